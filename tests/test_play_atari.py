"""An emulator beside a dream: entered where the dream begins, played along, gone back with."""

import dataclasses

import numpy as np
import pytest
import torch
from play_guest import Guest
from worlds import tiny_shape

from worldloom.actions import Action
from worldloom.agents.choose import choose
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.envs.make import Setup
from worldloom.envs.reenter import moment_at
from worldloom.models.dream import DreamWorld, dream_spec
from worldloom.models.dynamics import Dynamics
from worldloom.models.patches import PatchShape, PatchTokenizer
from worldloom.play.beside import Beside, Start
from worldloom.play.protocol import BESIDE
from worldloom.play.server import served_in_thread
from worldloom.play.session import Session, from_clips
from worldloom.play.visitor import Nearby
from worldloom.starts import LENGTH, beside, contexts

pytest.importorskip("ale_py")

SIDE, FRAMES = 32, 40


@pytest.fixture(scope="module", params=["ALE/Pong-v5", "ALE/Breakout-v5"])
def store(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("ale") / "store"
    keep = Keep(heldout=1.0, max_frames=FRAMES)
    # With repeated actions the emulator remembers the last one, and its state does not.
    setup = Setup(request.param, (SIDE, SIDE), 1, {"repeat_action_probability": 0.0})
    record(setup, path, episodes=2, policies=choose("random"), keep=keep, workers=0)
    return Store.open(path)


def dream(store):
    """A world of this game's frames and actions that has learned nothing."""
    torch.manual_seed(0)
    tokenizer = PatchTokenizer(PatchShape((SIDE, SIDE), 8, 6))
    tokenizer.fit(contexts(store)[0].frames["main"][0])
    dynamics = Dynamics(tiny_shape(tokens=16), store.info.action)
    spec = dream_spec("dream", (SIDE, SIDE), store.info.action, store.info.fps)
    return DreamWorld(tokenizer, dynamics, spec)


def test_the_emulator_follows_its_recording(store):
    found = beside(store, dream(store).spec)
    assert isinstance(found, Beside) and found.exact, found
    for seed, name in enumerate(store.split("heldout")):
        side, episode = found.enter(seed), store.read(name)
        for t in range(LENGTH, len(episode)):
            done = {key: value[t : t + 1] for key, value in episode.actions.items()}
            side = found.step(side, Action(done, np.ones(1, bool)))
            assert (side.image == episode.frames["main"][t]).all(), t
            assert side.reward == pytest.approx(float(episode.reward[t]))


def test_a_snapshot_of_the_very_moment_is_entered_too(store):
    found = beside(store, dream(store).spec)
    name = store.split("heldout")[0]
    way, there = moment_at(store, name, LENGTH - 1), found.enter(0)
    here = dataclasses.replace(
        way,
        snapshot=found.snapshot(there),
        actions={key: value[:0] for key, value in way.actions.items()},
    )
    again = Beside(found.world, lambda seed: Start(here)).enter(0)
    right = Action({"action": np.array([2])}, np.ones(1, bool))
    for _ in range(10):
        there, again = found.step(there, right), found.step(again, right)
        assert (there.image == again.image).all()


def halves(image):
    return image[:, :SIDE], image[:, SIDE:]


@pytest.mark.slow
def test_both_are_played_over_a_socket(store):
    world = dream(store)
    session = Session(world, from_clips(contexts(store)), fps=100)
    with served_in_thread(session, nearby=Nearby(beside=beside(store, world.spec))) as served:
        page = Guest(served)
        assert page.ready["can_compare"] and page.ready["compare_rewinds"]
        page.stands()
        page.say("reset", seed=1)
        page.say("compare", on=True)
        _, image = page.two()
        recorded = store.read(store.split("heldout")[1]).frames["main"]
        assert (halves(image)[0] == recorded[LENGTH - 1]).all()

        def tick(*codes):
            page.keys(*codes)
            header, image = page.stepped()
            gap = page.newest("beside")
            assert (gap["moment"], gap["branch"]) == (header.moment, header.branch)
            assert not gap["ended"]
            return header, halves(image)[0]

        seen = [tick("ArrowRight", "Space") for _ in range(8)]
        assert len({image.tobytes() for _, image in seen}) > 1
        page.say("rewind", ticks=5, moment=seen[-1][0].moment)
        _, image = page.two()
        assert (halves(image)[0] == seen[2][1]).all()
        again = [tick("ArrowRight", "Space") for _ in range(5)]
        assert all((a[1] == b[1]).all() for a, b in zip(again, seen[3:], strict=True))
        page.say("branch")
        page.two()
        page.say("anchor")
        _, image = page.two()
        assert (halves(image)[0] == seen[-1][1]).all()
        tick("ArrowLeft")
        page.say("compare", on=False)
        page.when(lambda header: not header.flags & BESIDE)
