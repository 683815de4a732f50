"""The real environment beside a dream: entered, stepped, judged."""

import dataclasses
import math

import numpy as np
import pytest
from evaluate_worlds import SIZE, hop_store
from play_hop import BEGIN, DreamedHop, clip, hop_beside

from worldloom.actions import Action
from worldloom.envs.gym import GymWorld
from worldloom.envs.reenter import moment_at
from worldloom.errors import WorldloomError
from worldloom.play.beside import (
    PATIENCE,
    Beside,
    Start,
    distance,
    joined,
    pixel_error,
)
from worldloom.play.session import Session


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return hop_store(tmp_path_factory.mktemp("hop") / "store", episodes=3, frames=30)


def both(store, script, *, seed=1, **dream):
    """Plays a dream and its real side with the same keys; returns both sides of every moment."""
    session = Session(DreamedHop(**dream), lambda n: clip(store, n))
    beside = hop_beside(store)
    state, side = session.start(seed), beside.enter(seed)
    seen = []
    for moment, keys in enumerate([None, *script]):
        if keys is not None:
            state = session.advance(state, keys)
            side = beside.step(side, session.keys.action(keys))
        dream_image = session.draw(state).image
        side = beside.judge(side, dream_image, moment)
        seen.append((side, dream_image))
    return seen


SCRIPT = [("ArrowRight",)] * 6 + [("ArrowRight", "Space")] * 4 + [()] * 4


def test_a_perfect_dream_never_parts_from_the_game(store):
    for side, dream in both(store, SCRIPT):
        assert (side.image == dream).all()
        assert (side.gap.error, side.gap.apart, side.gap.wrong) == (0, 0, False)
        assert side.parted is None


def test_the_moment_at_which_they_part_is_found_and_stays(store):
    seen = [side for side, _ in both(store, SCRIPT, wrong_after=6)]
    assert [side.gap.wrong for side in seen[:7]] == [False] * 7
    assert seen[7].gap.wrong
    assert seen[7].gap.apart > 4
    assert [side.parted for side in seen[7 : 7 + PATIENCE]] == [None, None, 7]
    assert seen[-1].parted == 7


def test_without_a_reader_pixels_decide(store):
    beside = hop_beside(store, reader=False)
    side = beside.enter(0)
    other = np.array(side.image)
    assert beside.gap(side, other).wrong is False
    other[:16] = 255 - other[:16]
    gap = beside.gap(side, other)
    assert gap.wrong and gap.apart is None
    wanted = np.sqrt(np.mean((side.image / 255 - other / 255) ** 2))
    assert gap.error == pytest.approx(wanted, abs=1e-6)


def test_one_wrong_frame_is_no_parting(store):
    beside = hop_beside(store, reader=False)
    side = beside.enter(0)
    good, bad = side.image, 255 - side.image
    for moment, image in enumerate([good, bad, bad, good, bad, bad, good]):
        side = beside.judge(side, image, moment)
    assert side.parted is None


def test_figures_of_pictures_and_places():
    black, white = np.zeros((2, 3, 3), np.uint8), np.full((2, 3, 3), 255, np.uint8)
    assert pixel_error(black, white) == pixel_error(white, black) == 1.0
    assert pixel_error(white, white) == 0.0
    nowhere, here, there = np.array([np.nan, np.nan]), np.zeros(2), np.array([3.0, 4.0])
    assert distance(here, there) == 5
    assert distance(nowhere, nowhere) == 0
    assert math.isinf(distance(nowhere, here)) and math.isinf(distance(here, nowhere))
    assert joined([black, white]).shape == (2, 6, 3)
    assert (joined([black, white])[:, 3:] == 255).all()


def test_a_recording_without_snapshots_is_entered_from_its_seed(store, monkeypatch):
    beside = hop_beside(store)
    way = moment_at(store, store.split("heldout")[0], BEGIN)
    assert way.snapshot is not None
    by_snapshot = beside.enter(0)
    bare = dataclasses.replace(store.read(store.split("heldout")[0]), snapshots={})
    monkeypatch.setattr(store, "read", lambda name, start=0, stop=None: cut(bare, stop))
    way = moment_at(store, store.split("heldout")[0], BEGIN)
    assert (way.snapshot, len(way)) == (None, BEGIN)
    by_seed = Beside(beside.world, lambda seed: Start(way)).enter(0)
    assert (by_seed.image == by_snapshot.image).all()
    keys = {"keys": np.array([[0, 1, 1]], np.uint8)}
    for _ in range(5):
        action = Action(keys, np.ones(1, bool))
        by_seed, by_snapshot = beside.step(by_seed, action), beside.step(by_snapshot, action)
        assert (by_seed.image == by_snapshot.image).all()


def cut(episode, stop):
    """The first `stop` frames of an episode."""
    return dataclasses.replace(
        episode,
        frames={k: v[:stop] for k, v in episode.frames.items()},
        actions={k: v[:stop] for k, v in episode.actions.items()},
        action_known=episode.action_known[:stop],
        reward=episode.reward[:stop],
        reward_known=episode.reward_known[:stop],
        info={},
    )


def test_what_cannot_be_entered_says_why(store):
    world = GymWorld("worldloom/Hop-v0", size=SIZE)
    with pytest.raises(WorldloomError, match="not recorded from the environment"):
        Beside(world, lambda seed: None).enter(0)
    way = moment_at(store, store.split("heldout")[0], BEGIN)
    other = dataclasses.replace(way, frame=way.frame ^ 1)
    with pytest.raises(WorldloomError, match="does not repeat its recording"):
        Beside(world, lambda seed: Start(other)).enter(0)
    neither = dataclasses.replace(way, snapshot=None, seed=None)
    with pytest.raises(WorldloomError, match="keeps neither seed nor snapshot"):
        Beside(world, lambda seed: Start(neither)).enter(0)


def test_the_real_side_ends_and_stays(store):
    beside = hop_beside(store)
    side = beside.enter(0)
    state = side.state
    ended = dataclasses.replace(state.moments[0], terminated=True)
    side = dataclasses.replace(side, state=type(state)((ended,)))
    action = Session(DreamedHop(), lambda n: clip(store, n)).keys.action(("ArrowLeft",))
    assert beside.step(side, action).ended
