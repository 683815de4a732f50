"""Worlds that know nothing, and one that knows all: they keep promises, and sit exams by name."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate_worlds import hop_store
from slider import slider_store

from worldloom import check_world
from worldloom.data.store import Store
from worldloom.data.types import Clip, Episode
from worldloom.entered import EnteredWorld, simulator
from worldloom.errors import WorldloomError
from worldloom.library import REACH, Library, cells
from worldloom.plain import NearestClip, Persistence
from worldloom.progress import Progress
from worldloom.trust import recorded
from worldloom.trust.check import check_probe
from worldloom.trust.recorded import CONTEXT, Environment
from worldloom.trust.task import Setting
from worldloom.trust.worldprobe import WorldProbe
from worldloom.verbs.exam import Exam

AFTER = 8


def quiet(share: float, words: str) -> None:
    """Tells nobody."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return hop_store(tmp_path_factory.mktemp("plain") / "hop", episodes=24, frames=40, heldout=0.5)


@pytest.fixture(scope="module")
def nearest(store: Store, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("nearest") / "world"
    return NearestClip().train(store, folder, Setting("smoke"), quiet), folder


def moments(store: Store, split: str, start: int, length: int) -> list[Episode]:
    stop = min(40, start + length)
    return [store.read(name, start, stop) for name in store.split(split)[:3]]


def clip_of(episodes: list[Episode], part: slice) -> Clip:
    frames = np.stack([episode.frames["main"][part] for episode in episodes])
    keys = np.stack([episode.actions["keys"][part] for episode in episodes])
    known = torch.ones(keys.shape[:2], dtype=torch.bool)
    actions = recorded.Action({"keys": torch.from_numpy(keys)}, known)
    return Clip(frames={"main": torch.from_numpy(frames)}, actions=actions)


def test_both_keep_the_promises_of_worlds_and_probes(store: Store, nearest, tmp_path: Path):
    some = moments(store, "heldout", 3, 12)
    before, after = clip_of(some, slice(0, 8)), clip_of(some, slice(8, 12))
    still = Persistence().train(store, tmp_path, Setting("smoke"), quiet)
    assert after.actions is not None
    for world in (still, nearest[0]):
        assert "states stack" in check_world(world, before)
        done = check_probe(WorldProbe(world), before, after, actions=after.actions)
        assert done == ["rollout", "score"]


def test_persistence_shows_the_last_frame_and_is_surprised_by_what_moves(store: Store, tmp_path):
    some = moments(store, "heldout", 3, 12)
    before, after = clip_of(some, slice(0, 8)), clip_of(some, slice(8, 12))
    probe = WorldProbe(Persistence().train(store, tmp_path, Setting("smoke"), quiet))
    state = probe.observe(before)
    drawn = probe.rollout(state, after.actions, seeds=(1,)).frames
    assert drawn is not None
    assert (drawn[0] == before.frames["main"][:, -1:]).all()
    shown = np.stack([e.frames["main"] for e in some]).astype(float) / 255
    plain = np.square(np.diff(shown, axis=1)).mean((2, 3, 4))[:, 7:]
    assert probe.score(state, after).numpy() == pytest.approx(plain, abs=1e-6)
    raw = WorldProbe(Persistence().untrained(tmp_path, seed=1))
    assert torch.equal(raw.score(raw.observe(before), after), probe.score(state, after))


@pytest.mark.parametrize("shown", [1, 2, 8])
def test_what_was_recorded_goes_on_as_it_was_recorded(store: Store, nearest, shown: int):
    some = moments(store, "train", 5, shown + 40)
    probe = WorldProbe(nearest[0])
    clip = clip_of(some, slice(0, shown))
    actions = clip_of(some, slice(0, 1)).actions
    assert actions is not None
    long = recorded.Action(
        {"keys": actions.values["keys"].expand(-1, 40, -1)}, torch.ones(3, 40, dtype=torch.bool)
    )
    drawn = probe.rollout(probe.observe(clip), long).frames
    assert drawn is not None
    for row, episode in enumerate(some):
        rest = episode.frames["main"][shown:]
        assert (drawn[0, row, : len(rest)].numpy() == rest).all()
        assert (drawn[0, row, len(rest) :].numpy() == rest[-1]).all(), "then its last frame"


def test_the_search_is_that_of_every_window_by_itself(store: Store, nearest):
    world = nearest[0]
    some = clip_of(moments(store, "heldout", 9, 6), slice(0, 6)).frames["main"]
    parts = [store.read(name).frames["main"] for name in store.split("train")]
    looks = [cells(torch.from_numpy(part)) for part in parts]
    spread = torch.cat(looks).std(0).clamp(min=1.0)
    for seen in (1, REACH, 6):
        state, _ = world.start(Clip(frames={"main": some[:, -seen:]}), torch.zeros(3))
        used = min(seen, REACH)
        wanted = cells(some[:, -used:].flatten(0, 1)).unflatten(0, (3, used)) / spread
        for row in range(3):
            costs, places, begin = [], [], 0
            for look in looks:
                for end in range(used - 1, len(look) - 1):
                    window = look[end - used + 1 : end + 1] / spread
                    costs.append(float((window - wanted[row]).square().sum()))
                    places.append(begin + end)
                begin += len(look)
            own = costs[places.index(int(state.place[row]))]
            assert own == pytest.approx(min(costs), rel=1e-4)


def test_seeing_on_is_seeing_at_once(store: Store, nearest):
    some = clip_of(moments(store, "heldout", 9, 6), slice(0, 6))
    probe = WorldProbe(nearest[0])
    whole = probe.observe(some).inner
    part = Clip(frames={"main": some.frames["main"][:, :2]}, actions=some.actions[:, :2])
    rest = Clip(frames={"main": some.frames["main"][:, 2:]}, actions=some.actions[:, 2:])
    pieces = probe.observe(rest, probe.observe(part)).inner
    assert torch.equal(whole.place, pieces.place) and torch.equal(whole.frame, pieces.frame)


def test_a_library_is_found_again_and_an_untrained_one_shows_what_has_nothing_to_do_with_it(
    store: Store, nearest
):
    world, folder = nearest
    made = (folder / "frames.npy").stat().st_mtime_ns
    some = clip_of(moments(store, "train", 5, 6), slice(0, 6))
    again = NearestClip().train(store, folder, Setting("smoke"), quiet)
    assert (folder / "frames.npy").stat().st_mtime_ns == made
    place = lambda one: one.start(some, torch.zeros(3))[0].place  # noqa: E731
    assert torch.equal(place(world), place(again))
    raw = NearestClip().untrained(folder, seed=1)
    assert not torch.equal(place(raw), place(world))
    assert torch.equal(place(raw), place(NearestClip().untrained(folder, seed=1)))
    assert not torch.equal(place(raw), place(NearestClip().untrained(folder, seed=2)))
    assert (raw.library.left[raw.library.leads] > 0).sum() == (raw.library.left > 0).sum()


def test_a_library_holds_whole_episodes_evenly_chosen(store: Store, tmp_path: Path):
    total = sum(store.row(name).length for name in store.split("train"))
    Library.keep(tmp_path, store, "main", total // 2, quiet)
    found = Library.open(tmp_path)
    assert 40 <= len(found.frames) <= total // 2 and len(found.frames) % 40 == 0
    assert int(found.age.max()) == 39 and found.frames.shape[1:] == (32, 32, 3)
    with pytest.raises(WorldloomError, match="has two frames"):
        Library.keep(tmp_path, Store(store.path, store.info, []), "main", 10, quiet)


def test_the_simulator_goes_on_as_the_environment_does(store: Store):
    setting = Setting("smoke", store=store)
    items = recorded.draw_items("plain", setting, count=4, frames=AFTER)
    some = recorded.moments_of(store, items, AFTER)
    actions = recorded.actions_of(some, CONTEXT, CONTEXT + AFTER)
    world, identity, why = simulator(setting)
    assert identity.startswith("worldloom/Hop-v0 as hop") and "another world" in why
    probe = WorldProbe(world)
    drawn = probe.rollout(probe.observe(recorded.begin(some)), actions).frames
    truth = Environment(store).film(some, actions)
    assert drawn is not None and truth is not None and (drawn[0].numpy() == truth).all()
    snapshots = recorded.begin(some).snapshots
    assert snapshots is not None
    assert "a snapshot starts where it was taken" in check_world(world, Clip(snapshots=snapshots))


def test_what_cannot_be_entered_is_said_in_words(tmp_path: Path):
    with pytest.raises(WorldloomError, match="no store is named"):
        simulator(Setting("smoke"))
    other = slider_store(tmp_path / "slider", episodes=2, frames=10)
    with pytest.raises(WorldloomError, match="cannot give its exact state"):
        EnteredWorld(other)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["persistence", "nearest", "simulator"])
def test_they_sit_an_exam_by_name(store: Store, tmp_path: Path, name: str):
    exam = Exam(name, str(store.path), "smoke", 0, 1, tmp_path)
    tasks = ("control", "look", "motion", "gladder", "doubt")
    profile = exam.sit(tasks, 1, Progress({"eval": 0.0}, out=io.StringIO()))
    by = {entry.task: entry for entry in profile.entries}
    assert by["doubt"].why.endswith("cannot `doubt`")
    share = by["control"].figures["headroom_share_h8"]
    if name == "simulator":
        assert by["control"].passed and share.value == share.ceiling
        assert by["look"].passed
        assert "another world" in by["motion"].why and "another world" in by["gladder"].why
        return
    assert by["control"].passed is False and by["look"].passed is False
    assert share.value in (None, pytest.approx(0, abs=0.1)), "it hears no key"
    assert name == "nearest" or share.value is None, "a share of nothing gained is none"
    for task in ("motion", "gladder"):
        assert by[task].passed is False and "untrained_0" in by[task].header["nulls"]
    assert "rung 0 of 4" in by["gladder"].sentence
