"""Leaving and coming back: trips are what they say, memory has its half-life, faults are caught."""

import numpy as np
import pytest

from worldloom.trust.probe import Probe
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Verdict
from worldloom.trust.tasks.returning import curtain, trips
from worldloom.trust.tasks.returning import task as returning
from worldloom.trust.tasks.returning.rememberers import Rememberer
from worldloom.trust.tasks.returning.task import Return
from worldloom.trust.tasks.returning.trips import LOOK, make_trip
from worldloom.trust.tasks.returning.verdict import fitted

pytestmark = pytest.mark.slow

SMOKE = Setting("smoke")
TASK = Return(count=5, gaps=(8, 16, 32, 64))


@pytest.mark.parametrize(("kind", "gap"), [("turn", 8), ("turn", 64), ("back", 64), ("loop", 256)])
def test_a_trip_through_rooms_comes_back_to_what_it_left(kind, gap) -> None:
    for seed in range(2):
        trip = make_trip(kind, gap, seed)
        plan, pose = trips.unpack(trip.told)
        assert len(trip.frames) == 1 + LOOK + gap and len(pose) == len(trip.frames) - trip.hidden
        whole = np.concatenate([pose, trips.walk(plan, tuple(pose[-1]), trip.keys[-trip.hidden :])])
        assert whole[-1, 2] == whole[LOOK, 2]
        assert np.hypot(*(whole[-1, :2] - whole[LOOK, :2])) <= (0 if kind != "loop" else 256)
        np.testing.assert_array_equal(trips.picture(plan, whole), trip.frames)
        if kind != "loop":
            np.testing.assert_array_equal(trip.frames[-1], trip.frames[LOOK])
        changed = (trip.frames[-1] != trip.lure[-1]).any(-1).any(0).sum()
        assert changed >= trips.SHOWN
        assert (trip.frames[-1] != trip.frames[0]).any() and (trip.other[-1] != trip.lure[-1]).any()
        again = make_trip(kind, gap, seed)
        assert again.told == trip.told and (again.lure == trip.lure).all()


def test_what_is_asked_for_is_out_of_sight_in_between() -> None:
    trip = make_trip("turn", 64, 5)
    plan, pose = trips.unpack(trip.told)
    changed = np.flatnonzero((trip.frames[LOOK] != trip.lure[-1]).any((0, 2)))
    sight = trips._look(plan, pose)
    asked = set(sight.room[LOOK, changed].tolist())
    assert len(asked) == 1
    seen = sight.columns()[:, asked.pop()] > 0
    assert seen[LOOK] and not seen[0] and not seen[LOOK + 8 :].any()


def test_a_disc_goes_on_behind_the_curtain() -> None:
    for seed in range(6):
        trip = make_trip("moving", 32, seed)
        scene, time, start, seen = curtain.unpack(trip.told)
        assert (time, start) == (len(trip.frames) - 1 - trip.hidden, 0)
        assert scene.asked is not None and scene.asked.speed != 0
        heights, y, speed = [], scene.asked.y, scene.asked.speed
        for _ in range(len(trip.frames)):
            heights.append(y)
            y += speed
            if not curtain.LOW <= y <= curtain.HIGH:
                speed, y = -speed, 2 * (curtain.LOW if speed < 0 else curtain.HIGH) - y
        np.testing.assert_array_equal(scene.asked.height(np.arange(len(heights))), heights)
        colour = curtain.COLOURS[scene.asked.colour]
        shown = (trip.frames == colour).all(-1).any((1, 2))
        assert not shown[0] and shown[8] and not shown[seen + 1 : time + 1].any() and shown[-1]
        assert (trip.lost != trip.frames[-1]).any()


def verdict(task: Return, probe: Probe) -> Verdict:
    found = sit(task, probe, SMOKE).verdict
    assert found is not None
    return found


@pytest.fixture(scope="module")
def simulator():
    return sit(TASK, Rememberer("simulator"), SMOKE)


def test_the_simulator_remembers_everything(simulator) -> None:
    figures = simulator.verdict.figures
    assert simulator.verdict.passed and figures["remembers"].value == 1
    assert figures["half-life"].value == 64 and "outlasts" in figures["half-life"].why
    assert figures["evolves"].value == 1 and figures["listens"].low > 0
    nulls = simulator.rows[0].null
    assert set(nulls) == {"window", "copy_first"}
    some = [row for row in simulator.rows if row.split != "moving"]
    assert np.mean([row.null["copy_first"] for row in some]) < 0.75
    far = [row.null["window"] for row in some if row.extra["gap"] >= 32]
    assert np.mean(far) < 0.75


@pytest.mark.parametrize("name", list(TASK.faults()))
def test_planted_faults_are_caught_and_the_simulator_is_not(name, simulator) -> None:
    fault = TASK.faults()[name]
    found = verdict(TASK, fault.probe(SMOKE))
    assert fault.caught(found), found
    assert not fault.caught(simulator.verdict)


def test_who_does_not_hear_its_keys_is_not_measured() -> None:
    class Deaf(Rememberer):
        def imagine(self, snapshot, actions, steps, seed):
            return super().imagine(snapshot, {"keys": 0 * actions["keys"]}, steps, seed)

    found = verdict(Return(count=4, gaps=(8, 16)), Deaf("deaf"))
    assert found.passed is None and "not measurable" in found.sentence


def test_a_world_that_draws_nothing_chooses_by_surprise() -> None:
    class Blind(Rememberer):
        @property
        def capabilities(self):
            return frozenset({"continue", "score"})

    found = verdict(Return(count=3, gaps=(8, 16)), Blind("blind"))
    assert found.passed and found.figures["remembers"].value == 1
    assert found.figures["evolves"].value is None


def test_half_life_is_where_choices_have_fallen_halfway() -> None:
    gaps = (8, 16, 32, 64, 128, 256, 512)
    for true in (20.0, 90.0):
        left = 1 / (1 + np.exp(2.0 * (np.log2(gaps) - np.log2(true))))
        rate = 0.5 + 0.45 * left
        sums = np.stack([300 * rate, np.full(7, 300.0)], 1)[None]
        assert fitted(sums, gaps)[0] == pytest.approx(true, rel=0.25)
    flat = np.stack([np.full(7, 270.0), np.full(7, 300.0)], 1)[None]
    assert fitted(flat, gaps)[0] == 512
    assert np.isnan(fitted(flat * [0.5, 1], gaps)[0])


def test_recordings_are_made_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(returning, "LESSONS", {"smoke": 3})
    stores = TASK.recordings(tmp_path, SMOKE)
    assert set(stores) == {"rooms", "curtain"} and all(len(s) == 3 for s in stores.values())
    assert len(TASK.recordings(tmp_path, SMOKE)["rooms"]) == 3
