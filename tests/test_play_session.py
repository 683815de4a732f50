"""Keys in, frames out, without clock or network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from play_world import SPEC, CountingWorld

from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.play.session import Session, from_clips, from_seed
from worldloom.world import WorldSpec


def _play(session, seed, script):
    state = session.start(seed)
    frames = [session.draw(state)]
    for keys in script:
        state, frame = session.tick(state, keys)
        frames.append(frame)
    return state, frames


def test_keys_reach_the_world_in_the_tick_that_they_are_given():
    state, frames = _play(Session(CountingWorld(), from_seed), 0, [("KeyA",), (), ("Space",)])
    assert state.world.pressed.tolist() == [[1, 0, 0, 0, 1]]
    assert [frame.tick for frame in frames] == [0, 1, 2, 3]
    assert (frames[1].image[4:20, 4:9] == 255).all()
    assert (frames[2].image[4:20, 4:9, 0] != 255).all()
    assert frames[0].image.shape == (40, 40, 3) and frames[0].image.dtype == np.uint8


def test_the_same_seed_and_keys_give_the_same_bytes():
    script = [("KeyA",), ("KeyD", "Space"), (), ("ArrowUp",)] * 3
    first = _play(Session(CountingWorld(), from_seed), 5, script)[1]
    second = _play(Session(CountingWorld(), from_seed), 5, script)[1]
    other = _play(Session(CountingWorld(), from_seed), 6, script)[1]
    for a, b, c in zip(first, second, other, strict=True):
        assert a.image.tobytes() == b.image.tobytes()
        assert a.image.tobytes() != c.image.tobytes()


def test_equal_actions_are_kept_once_however_far_apart():
    session = Session(CountingWorld(), from_seed)
    state, _ = _play(session, 0, [("KeyA",), (), ("Space",), ("KeyA",), ("ArrowLeft",), ()])
    done = [tick.action for tick in state.trace.ticks()]
    assert done[0] is done[3] is done[4] and done[1] is done[5]  # A and the arrow: one button
    assert len({id(action) for action in done}) == 3
    assert (
        session.keys.action(("Space",)).values["keys"].tolist() == done[2].values["keys"].tolist()
    )


def test_an_ending_stands_still_then_the_next_seed_starts():
    world = CountingWorld(ends_at=3)
    session = Session(world, from_seed, fps=4, restart_after=0.5)
    assert session.restart_ticks == 2
    _, frames = _play(session, 7, [("KeyA",)] * 6)
    assert [frame.ended for frame in frames] == [False] * 3 + [True, True, False, False]
    assert frames[4].image.tobytes() == frames[3].image.tobytes()
    assert [frame.seed for frame in frames] == [7] * 5 + [8, 8]
    assert [frame.tick for frame in frames] == [0, 1, 2, 3, 4, 0, 1]
    assert world.calls["step"] == 4, "an ended world is not stepped"
    assert world.calls["release"] == 1, "the ended state was given back"


def test_truncation_ends_too():
    world = CountingWorld()
    session = Session(world, from_seed)
    state = session.start(0)
    stopped = type(state.step)(truncated=torch.tensor([True]))
    ended = replace(state, step=stopped)
    assert session.draw(ended).ended
    assert session.advance(ended, ()).world is state.world


def test_a_world_that_declares_no_ending_never_ends():
    class Endless(CountingWorld):
        def _step(self, tick):
            return type(super()._step(tick))()

    _, frames = _play(Session(Endless(ends_at=1), from_seed), 0, [()] * 3)
    assert not any(frame.ended for frame in frames)


def test_a_frame_is_not_overwritten_by_the_next_one():
    class Reusing(CountingWorld):
        def render(self, state, camera="main"):
            image = super().render(state, camera)
            self.buffer = getattr(self, "buffer", torch.empty_like(image))
            self.buffer.copy_(image)
            return self.buffer

    _, frames = _play(Session(Reusing(), from_seed), 0, [(), ()])
    assert len({frame.image.tobytes() for frame in frames}) == 3


def test_a_world_that_cannot_render_says_so():
    world = CountingWorld()
    world.spec = WorldSpec("blind", {"main": (4, 4)}, SPEC, 10.0)
    with pytest.raises(WorldloomError, match="play needs a world that can `render`; `blind`"):
        Session(world, from_seed)


def test_a_world_without_a_main_camera_shows_its_first():
    world = CountingWorld()
    world.spec = WorldSpec(
        "side", {"side": (8, 9), "top": (4, 4)}, SPEC, 10.0, capabilities=frozenset({"render"})
    )
    session = Session(world, from_seed)
    assert session.size == (8, 9)
    assert session.draw(session.start(0)).image.shape == (8, 9, 3)


def test_nothing_asks_for_gradients():
    class Learned(CountingWorld):
        def step(self, state, action):
            self.grad = torch.is_grad_enabled()
            return super().step(state, action)

    world = Learned()
    _play(Session(world, from_seed), 0, [()])
    assert world.grad is False


def test_starts_from_clips_go_round():
    clips = [Clip(env_seeds=torch.tensor([n])) for n in (10, 11)]
    make_start = from_clips(clips)
    assert [int(make_start(seed).env_seeds[0]) for seed in range(4)] == [10, 11, 10, 11]
    assert int(from_seed(9).env_seeds[0]) == 9
