"""Any world as a probe: nothing is changed, rows have their own noise, surprise is measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from evaluate_worlds import HopOracle
from test_agent import agent_world
from test_doubt import doubting
from test_dream import make_clip, make_world
from worlds import keys

from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.models.inside import Opened
from worldloom.trust import worldprobe
from worldloom.trust.check import check_probe
from worldloom.trust.probe import lacking
from worldloom.trust.worldprobe import WorldProbe, told


def after(clip: Clip, steps: int) -> Clip:
    assert clip.actions is not None
    frames = clip.frames["main"][:, -steps:]
    return Clip(frames={"main": 255 - frames}, actions=clip.actions[:, -steps:])


def test_a_dream_keeps_the_promises_of_a_probe():
    clip = make_clip()
    done = check_probe(WorldProbe(make_world()), clip, after(clip, 3), actions=keys(2, 3))
    assert {"rollout", "score"} <= set(done)


def test_an_opened_dream_has_features_and_a_surprise_of_its_own():
    world, clip = make_world(), make_clip()
    probe = WorldProbe(Opened(world))
    done = check_probe(probe, clip, after(clip, 3), actions=keys(2, 3))
    assert {"rollout", "score", "features", "steer"} <= set(done)
    assert probe.layers == ("block 2", "block 3", "block 4", "dynamics")
    state, _ = world.start(clip, torch.zeros(2, dtype=torch.int64))
    next_action = keys(2, 1)
    frame = torch.full((2, 1, 16, 16, 3), 90, dtype=torch.uint8)
    expected = world.make(state, world.dynamics.action(next_action[:, 0])).first
    by_hand = (expected - world.encode(frame)[:, 0]).square().mean((1, 2))
    came = Clip(frames={"main": frame}, actions=next_action)
    assert torch.equal(probe.score(probe.observe(clip), came)[:, 0], by_hand)
    hidden = next_action[:, 0].map(torch.zeros_like)
    read = world.make(state, world.dynamics.action(hidden)).read.flatten(1)
    assert torch.equal(probe.features(probe.observe(clip)), read), "drawing changes no feature"


def test_surprise_of_a_frame_counts_those_before_it_as_seen():
    probe, clip = WorldProbe(Opened(make_world())), make_clip()
    assert clip.actions is not None
    parts = [
        Clip(frames={"main": clip.frames["main"][:, part]}, actions=clip.actions[:, part])
        for part in (slice(0, 3), slice(3, 4), slice(4, 5), slice(3, 5))
    ]
    first = probe.observe(parts[0])
    both = probe.score(first, parts[3])
    later = probe.score(probe.observe(parts[1], first), parts[2])
    assert torch.allclose(both[:, 1:], later, atol=1e-6)


def test_observing_on_equals_observing_at_once():
    probe, clip = WorldProbe(make_world()), make_clip()
    assert clip.actions is not None
    parts = [
        Clip(frames={"main": clip.frames["main"][:, part]}, actions=clip.actions[:, part])
        for part in (slice(0, 2), slice(2, 6))
    ]
    whole = probe.rollout(probe.observe(clip), keys(2, 3)).frames
    pieces = probe.rollout(probe.observe(parts[1], probe.observe(parts[0])), keys(2, 3)).frames
    assert whole is not None and pieces is not None and torch.equal(whole, pieces)


def test_samples_differ_by_seed_and_rows_by_their_own_noise():
    probe, clip = WorldProbe(make_world()), make_clip()
    twin = Clip(
        frames={"main": clip.frames["main"][[0, 0]]},
        actions=clip.actions[torch.tensor([0, 0])] if clip.actions else None,
    )
    frames = probe.rollout(probe.observe(twin), keys(2, 2), seeds=(1, 2)).frames
    assert frames is not None and frames.shape == (2, 2, 2, 16, 16, 3)
    assert not torch.equal(frames[0], frames[1]) and not torch.equal(frames[0, 0], frames[0, 1])


def test_samples_drawn_together_are_those_drawn_alone(monkeypatch):
    probe, clip = WorldProbe(Opened(make_world())), make_clip()
    begun, actions = probe.observe(clip), keys(2, 3)
    together = probe.rollout(begun, actions, seeds=(1, 2, 3))
    monkeypatch.setattr(worldprobe, "TOGETHER", 4)  # two samples at once, then one
    parted = probe.rollout(begun, actions, seeds=(1, 2, 3))
    alone = [probe.rollout(begun, actions, seeds=(seed,)) for seed in (1, 2, 3)]
    assert together.frames is not None and parted.frames is not None
    assert together.frames.shape == (3, 2, 3, 16, 16, 3) and len(together.states) == 3
    for number, one in enumerate(alone):
        assert one.frames is not None
        for frames in (together.frames, parted.frames):
            off = frames[number].int() - one.frames[0].int()
            assert off.abs().max() <= 1, "no more than what another batch shape rounds"
        heard = probe.features(together.states[number])
        assert torch.allclose(heard, probe.features(one.states[0]), atol=1e-4)


def test_surprise_of_a_world_that_only_draws_is_the_error_of_what_it_drew():
    world = make_world(temperature=0.0)  # every draw is the mean, whatever the seed
    probe, clip = WorldProbe(world), make_clip()
    state = probe.observe(clip)
    drawn = probe.rollout(state, keys(2, 1)).frames
    assert drawn is not None
    came = Clip(frames={"main": drawn[0]}, actions=keys(2, 1))
    assert probe.score(state, came).abs().max() == 0
    off = Clip(frames={"main": drawn[0] ^ 1}, actions=keys(2, 1))
    assert probe.score(state, off).numpy() == pytest.approx(np.full((2, 1), 1 / 255**2))


def test_what_a_world_lacks_is_said_in_words():
    with pytest.raises(WorldloomError, match="cannot be copied"):
        WorldProbe(HopOracle())
    probe = WorldProbe(make_world())
    assert lacking(probe, frozenset({"doubt", "rollout"})) == "`test` cannot `doubt`"
    assert lacking(probe, frozenset({"rollout"})) == ""
    assert told(make_world(), make_clip()) == told(make_world()) == frozenset()
    assert told(agent_world()) == {"reward"} and told(HopOracle()) == frozenset()
    spec = make_world().spec
    assert "continue" not in WorldProbe(_without(spec.capabilities - {"observe"})).capabilities


def test_a_rollout_goes_on_from_the_states_that_it_leaves():
    probe, clip = WorldProbe(make_world(temperature=0.0)), make_clip()
    begun, actions = probe.observe(clip), keys(2, 4)
    whole = probe.rollout(begun, actions)
    first = probe.rollout(begun, actions[:, :2])
    rest = probe.rollout(first.states[0], actions[:, 2:])
    assert whole.frames is not None and rest.frames is not None
    assert torch.equal(rest.frames, whole.frames[:, :, 2:])


def test_frames_of_another_size_fit_only_where_that_is_declared():
    world, clip = Opened(make_world(temperature=0.0)), make_clip()
    large = replace(
        clip, frames={"main": clip.frames["main"].repeat_interleave(2, 2).repeat_interleave(2, 3)}
    )
    with pytest.raises(WorldloomError, match="sees frames of 16x16, these are 32x32"):
        WorldProbe(world).observe(large)
    probe, actions = WorldProbe(world, resizes=True), keys(2, 3)
    plain = probe.rollout(probe.observe(clip), actions)
    found = probe.rollout(probe.observe(large), actions)
    assert plain.frames is not None and found.frames is not None
    again = plain.frames.repeat_interleave(2, 3).repeat_interleave(2, 4)
    assert torch.equal(found.frames, again), "seen at its own size, drawn at theirs"
    after_ = Clip(frames={"main": large.frames["main"][:, -2:]}, actions=keys(2, 2))
    small = Clip(frames={"main": clip.frames["main"][:, -2:]}, actions=keys(2, 2))
    told = probe.score(probe.observe(large), after_)
    assert torch.equal(told, probe.score(probe.observe(clip), small))
    vars(world)["resizes"] = True  # as a world itself declares it
    assert WorldProbe(world).observe(large).size == (32, 32)


def test_doubt_is_that_of_the_sample_that_is_drawn():
    world, clip = doubting(passes=1), make_clip()
    probe = WorldProbe(world, tells=told(world))
    begun, actions = probe.observe(clip), keys(2, 3)
    last = probe.rollout(begun, actions).states[0]
    assert torch.equal(probe.doubt(begun, actions)[:, -1], last.step.doubt)


def test_a_world_with_an_agent_has_its_layers():
    world, clip = agent_world(), make_clip()
    probe = WorldProbe(Opened(world))
    known = probe.observe(clip)
    heard = probe.features(known, "agent")
    assert probe.layers[-3:] == ("dynamics", "agent", "policy")
    assert "steer" not in probe.capabilities
    assert torch.equal(heard, world.features(known.inner))
    assert world.agent is not None
    assert torch.equal(probe.features(known, "policy"), world.agent.policy.now(heard).likely())
    assert not torch.equal(probe.features(known), heard)


def _without(capabilities: frozenset[str]):
    world = make_world()
    world.spec = replace(world.spec, capabilities=capabilities)
    return world
