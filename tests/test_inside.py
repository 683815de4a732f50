"""A dream opened: its layers are those of the full transformer, and a push goes where it should."""

from functools import partial

import pytest
import torch
from test_agent import agent_world
from test_dream import NEAR, make_clip, make_world
from worlds import keys

from worldloom.actions import Action
from worldloom.check import check_world
from worldloom.errors import WorldloomError
from worldloom.models.inside import Opened, Steered
from worldloom.seeding import noise

SEEDS = torch.tensor([5, 9])


def opened(paths=None, **sampler) -> Opened:
    return Opened(make_world(paths=NEAR if paths is None else paths, snap=False, **sampler))


def latents(shape, x: torch.Tensor) -> torch.Tensor:
    """The last frame's latents `[B, N, W]` of what a layer leaves `[B, T, n, W]`."""
    return x[:, -1, 2 : 2 + shape.tokens] if x.shape[2] == shape.slots else x[:, -1]


class Plain:
    """The slow version: all frames so far through the full transformer, whose layers are told.

    Args:
      world: to judge.
      pushes: layer number to `[B, N, W]`, added to every frame from number `since` on.
      since: the first frame that is pushed.
    """

    def __init__(self, world, pushes=None, since=0):
        self.world, self.model, self.shape = world, world.dynamics, world.dynamics.shape
        self.pushes, self.since, self.left = pushes or {}, since, {}
        self.level = round(0.9 * self.shape.grid)

    def corrupted(self, n, clean):
        frame = (self.shape.tokens, self.shape.channels)
        eps = noise(SEEDS, torch.full((2,), n), 1, frame)
        return torch.lerp(eps, clean, self.level / self.shape.grid)

    def __call__(self, past, z, signal, size, actions):
        """The clean latents of the last frame, whose noisy ones are `z`."""
        count = past.shape[1] + 1
        signals = torch.full((2, count), self.level)
        sizes = torch.full((2, count), self.shape.grid.bit_length() - 1)
        signals[:, -1], sizes[:, -1] = signal, size
        feeds = [layer.feed for layer in self.model.layers]
        try:
            for index, layer in enumerate(self.model.layers):
                object.__setattr__(layer, "feed", partial(self._feed, index, feeds[index]))
            frames = torch.cat([past, z[:, None]], 1)
            return self.model(frames, signals, sizes, actions, None)[:, -1]
        finally:
            for layer in self.model.layers:
                object.__delattr__(layer, "feed")

    def _feed(self, index, feed, x):
        x = feed(x)
        if index in self.pushes and x.shape[1] > self.since:
            own = slice(2, 2 + self.shape.tokens)
            place = (
                x[:, self.since :, own] if x.shape[2] == self.shape.slots else x[:, self.since :]
            )
            place += self.pushes[index][:, None]
        self.left[index] = latents(self.shape, x).clone()
        return x


def known(done: torch.Tensor) -> Action:
    return Action({"keys": done}, torch.ones(done.shape[:2], dtype=torch.bool))


@pytest.mark.parametrize("paths", [{}, NEAR, {**NEAR, "steered": True}])
@torch.no_grad()
def test_features_at_each_layer_are_those_of_the_full_transformer(paths):
    probe = opened(paths)
    world, clip, length = probe.world, make_clip(length=9), 9  # longer than the window of 5
    plain, shape = Plain(world), world.dynamics.shape
    state, _ = probe.start(clip, SEEDS)
    clean = world.encode(clip.frames["main"])
    past = torch.stack([plain.corrupted(n, clean[:, n]) for n in range(length)], 1)
    done = torch.cat([clip.actions.values["keys"], torch.zeros(2, 1, 3, dtype=torch.uint8)], 1)
    told = known(done)
    told.known[:, -1] = False  # of the next frame's action nothing is known
    z = noise(SEEDS, torch.full((2,), length), 0, (shape.tokens, shape.channels))
    plain(past, z, 0, 2, told)
    first = 0 if paths else 1  # without a path of its own the past comes in by the first time layer
    assert probe.layers == (*(f"block {i + 1}" for i in range(first, 4)), "dynamics")
    for index in range(first, 4):
        found = probe.features(state, f"block {index + 1}")
        assert torch.allclose(found, plain.left[index].flatten(1), atol=1e-4), index
    read = world.dynamics.norm(plain.left[3]).float().flatten(1)
    assert torch.allclose(probe.features(state, "dynamics"), read, atol=1e-4)
    assert torch.equal(probe.features(state), probe.features(state, "dynamics"))


@torch.no_grad()
def test_a_push_is_that_of_the_full_transformer_in_every_frame_that_follows():
    probe = opened(passes=4)
    world, clip, length = probe.world, make_clip(length=4), 6
    shape = world.dynamics.shape
    pushes = {i: 0.5 * torch.randn(2, shape.tokens, shape.width) for i in (0, 1, 3)}
    plain = Plain(world, pushes, since=4)
    state, _ = probe.start(clip, SEEDS)
    for index, push in pushes.items():
        state = probe.steer(state, push.flatten(1), f"block {index + 1}")
    clean = world.encode(clip.frames["main"])
    past = torch.stack([plain.corrupted(n, clean[:, n]) for n in range(4)], 1)
    done, actions = clip.actions.values["keys"], keys(2, length, seed=3)
    for t in range(length):
        state, _ = probe.step(state, actions[:, t])
        done = torch.cat([done, actions.values["keys"][:, t : t + 1]], 1)
        z = noise(SEEDS, torch.full((2,), 4 + t), 0, (shape.tokens, shape.channels))
        for index in range(4):
            seen = plain(past, z, index * shape.grid // 4, 2, known(done))
            z = z + (seen - z) / (4 - index)
        past = torch.cat([past, plain.corrupted(4 + t, z)[:, None]], 1)
        assert torch.allclose(state.inner.latents[:, -1], z, atol=1e-4), f"frame {4 + t}"


def frames(probe: Opened, state, actions) -> torch.Tensor:
    state, shown = state.copy(), []
    for t in range(actions.known.shape[1]):
        state, _ = probe.step(state, actions[:, t])
        shown.append(probe.render(state))
    return torch.stack(shown, 1)


def test_no_push_changes_no_bit_and_a_push_changes_what_follows():
    probe, actions = opened(), keys(2, 4)
    state, _ = probe.start(make_clip(), SEEDS)
    base = frames(probe, state, actions)
    width = probe.features(state).shape[1]
    for layer in probe.layers:
        still = probe.steer(state, torch.zeros(2, width), layer)
        assert torch.equal(base, frames(probe, still, actions))
        pushed = probe.steer(state, torch.ones(2, width), layer)
        shown = frames(probe, pushed, actions)
        assert all(not torch.equal(base[:, t], shown[:, t]) for t in range(4)), layer
        assert torch.equal(probe.render(pushed), probe.render(state)), "what was seen was seen"
    assert torch.equal(base, frames(probe, state, actions)), "the state that was given is as it was"


def test_a_push_moves_what_is_read_at_its_layer_and_nothing_before_it():
    probe = opened()
    state, _ = probe.start(make_clip(), SEEDS)
    push = torch.randn(2, probe.features(state).shape[1])
    for number, layer in enumerate(probe.layers):
        moved = probe.steer(state, push, layer)
        gap = probe.features(moved, layer) - probe.features(state, layer)
        assert torch.allclose(gap, push, atol=1e-4)
        for before in probe.layers[:number]:
            assert torch.equal(probe.features(moved, before), probe.features(state, before))
    twice = probe.steer(probe.steer(state, push, "block 2"), push, "block 2")
    gap = probe.features(twice, "block 2") - probe.features(state, "block 2")
    assert torch.allclose(gap, 2 * push, atol=1e-4)


def test_rows_of_a_steered_state_have_their_own_pushes():
    probe, actions = opened(), keys(2, 3)
    state, _ = probe.start(make_clip(), SEEDS)
    push = torch.zeros(2, probe.features(state).shape[1])
    push[1] = 1.0
    both = probe.steer(state, push, "block 2")
    shown = frames(probe, both, actions)
    assert torch.equal(shown[0], frames(probe, state, actions)[0])
    parted = Steered.stack([both[[0]], both[[1]]])
    parted.put(0, both.view(1))
    own = frames(probe, parted, actions)
    assert (own[1].int() - shown[1].int()).abs().max() <= 1, "what another batch shape rounds"
    seeds = torch.tensor([5, 9])
    assert torch.equal(frames(probe, probe.reseed(both, seeds), actions), shown)


def test_what_enters_a_steered_state_is_remembered_with_the_push():
    probe, clip = opened(), make_clip()
    state, _ = probe.start(clip, SEEDS)
    push = torch.ones(2, probe.features(state).shape[1])
    pushed = probe.steer(state, push, "block 1")
    assert not torch.equal(probe.score(pushed, clip), probe.score(state, clip))
    one, _ = probe.observe(pushed.copy(), keys(2, 1)[:, 0], clip)
    two, _ = probe.observe(state.copy(), keys(2, 1)[:, 0], clip)
    assert torch.equal(probe.render(one), probe.render(two))
    assert not torch.equal(one.inner.ring.frame(1), two.ring.frame(1))


def test_what_cannot_be_done_is_said_in_words():
    probe = opened()
    state, _ = probe.start(make_clip(), SEEDS)
    with pytest.raises(WorldloomError, match="no layer `block 9`"):
        probe.features(state, "block 9")
    width = probe.features(state).shape[1]
    with pytest.raises(WorldloomError, match="marks keep no pushes"):
        probe.mark(probe.steer(state, torch.zeros(2, width), "dynamics"))
    inhabited = Opened(agent_world())
    assert "steer" in probe.spec.capabilities and "steer" not in inhabited.spec.capabilities


@pytest.mark.slow
def test_an_opened_dream_keeps_the_contract():
    tested = check_world(opened(), make_clip())
    assert "a mark recalls its moment exactly" in tested and "players come and go" in tested
