"""The floor-plan test: fair worlds, exact co-visibility, faults caught, and heads that can read."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from worldloom.envs.rooms_plan import CLOSED, NOTHING, OPEN, make_plan
from worldloom.trust.listed import all_tasks, named
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting
from worldloom.trust.tasks.rooms import apartments, mappers, planreader, sketch
from worldloom.trust.tasks.rooms import task as rooms
from worldloom.trust.tasks.rooms.apartments import (
    Views,
    ask,
    draw_world,
    fair,
    graph_class,
    split_of,
)
from worldloom.trust.tasks.rooms.mappers import Mapper
from worldloom.trust.tasks.rooms.planreader import confusion, matthews
from worldloom.trust.tasks.rooms.task import ACTIONS, RoomsTask, by_moves

SMOKE = Setting("smoke")


@pytest.fixture(scope="module")
def worlds() -> list[Views]:
    return [draw_world(seed, "test", 16) for seed in range(15)]


def test_pairs_are_covisible_where_one_picture_shows_both(worlds: list[Views]) -> None:
    hidden = 0
    for world in worlds:
        question, room = ask(world), world.sight().room
        shown = [set(row.tolist()) for row in room]
        for pair, together, door in zip(
            question.pairs, question.covisible, question.door, strict=True
        ):
            assert together == any(set(pair.tolist()) <= rooms for rooms in shown)
            assert door == (world.plan["door"][0, pair[0], pair[1]] != NOTHING)
        assert set(question.rooms.tolist()) == set().union(*shown)
        hidden += int((~question.covisible & question.door).sum())
    assert hidden > 15


def test_worlds_are_fair_and_views_are_spread_over_rooms(worlds: list[Views]) -> None:
    for world in worlds:
        assert fair(world)
        x, y, _ = world.pose.T
        stands = np.bincount(world.plan["cell"][0, y // 256, x // 256])
        assert stands.max() - stands.min() <= 1 and len(stands) == world.plan["rooms"][0]
    plan = make_plan(3).copy()
    for name in ("upright", "level", "door"):
        plan[name][plan[name] == CLOSED] = OPEN
    assert not fair(Views(plan, worlds[0].pose[:0]))
    assert 0.4 < apartments.closed_share(worlds) < 0.6


def test_graphs_with_other_names_have_one_class_and_one_split() -> None:
    rng, classes = np.random.default_rng(0), set()
    for seed in range(30):
        plan = make_plan(seed)[0]
        rooms = int(plan["rooms"])
        door, order = plan["door"][:rooms, :rooms], rng.permutation(rooms)
        assert graph_class(door) == graph_class(door[np.ix_(order, order)])
        classes.add(graph_class(door))
    assert len(classes) > 10
    assert {split_of(seed) for seed in range(60)} == {"train", "dev", "test"}
    path, star = np.eye(4, k=1) + np.eye(4, k=-1), np.zeros((4, 4))
    star[0, 1:] = star[1:, 0] = 1
    assert graph_class(path) != graph_class(star)


def test_steps_add_up_to_poses(worlds: list[Views]) -> None:
    pose = worlds[0].pose
    whole, steps = (apartments.odometry(pose, steps=s) for s in (False, True))
    place, angle = np.zeros(2), 0.0
    for said, step in zip(whole, steps, strict=True):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        place = place + turn @ step[:2]
        angle += np.arctan2(step[3], step[2])
        np.testing.assert_allclose(said[:2], place, atol=1e-5)
        np.testing.assert_allclose(said[2:], (np.cos(angle), np.sin(angle)), atol=1e-5)
    assert (np.abs(whole) <= 1).all() and not np.allclose(whole, steps)


def test_the_stitcher_invents_no_doors_and_misses_few(worlds: list[Views]) -> None:
    total = np.zeros(4)
    for world in [*worlds, *(draw_world(seed, "test", 32) for seed in range(15))]:
        question, guess = ask(world), mappers.stitched(world)
        total += confusion(guess.door[tuple(question.colours.T)], question.door)
        sizes = guess.area[world.plan["colour"][0, question.rooms]]
        assert (sizes <= world.plan["area"][0, question.rooms] + 1e-6).all()
    assert total[1] <= 1 and total[0] > 2 * total[2]


def test_the_matthews_correlation_is_that_of_numpy() -> None:
    rng = np.random.default_rng(1)
    guess, truth = rng.random(200) < 0.4, rng.random(200) < 0.3
    expected = np.corrcoef(guess, truth)[0, 1]
    assert matthews(confusion(guess, truth)) == pytest.approx(expected)
    assert matthews(np.array([0.0, 0, 5, 9])) == 0


@pytest.fixture(scope="module")
def stitcher():
    return sit(RoomsTask(), Mapper("stitcher", mappers.stitched), SMOKE)


def test_the_ceiling_is_one_with_itself(stitcher) -> None:
    figures = stitcher.verdict.figures
    assert figures["hidden"].value == figures["hidden"].ceiling > 0.8
    assert figures["to the ceiling"].value == 0
    assert figures["hidden"].value > figures["hidden, 8 views"].value
    assert figures["rooms"].value == 0 and figures["area"].value > 0.9
    assert {"no views", "touching", "covisible"} <= set(stitcher.rows[0].null)


@pytest.mark.parametrize("name", list(RoomsTask().faults()))
def test_planted_faults_are_caught_and_the_ceiling_is_not(name: str, stitcher) -> None:
    fault = RoomsTask().faults()[name]
    sat = sit(RoomsTask(), fault.probe(SMOKE), SMOKE)
    assert sat.verdict and fault.caught(sat.verdict)
    assert not fault.caught(stitcher.verdict)


class Sighted:
    """An encoder whose state is the stitcher's plan, or nothing but noise."""

    name, layers, capabilities = "sighted", (), frozenset({"features"})

    def __init__(self, *, blind: bool = False) -> None:
        self.inner, self.blind = Mapper("inner", mappers.stitched), blind

    def observe(self, clip, state=None):
        assert clip.actions.values["pose"].shape == (*clip.frames["main"].shape[:2], 4)
        return self.inner.observe(clip)

    def features(self, state, layer=None):
        found = self.inner.features(state)
        return torch.rand(found.shape, generator=torch.Generator()) if self.blind else found


def test_the_track_of_actions_is_asked_for_by_name(stitcher) -> None:
    task = named("rooms_actions")
    assert isinstance(task, RoomsTask) and task.name not in {one.name for one in all_tasks()}
    assert task.fingerprint(SMOKE) != RoomsTask().fingerprint(SMOKE)
    sat = sit(task, Mapper("stitcher", mappers.stitched), SMOKE)
    assert sat.verdict and (sat.verdict.primary.value or 0) > 0.8
    fault = task.faults()["forgetful"]
    found = sit(task, fault.probe(SMOKE), SMOKE).verdict
    assert found and fault.caught(found) and not fault.caught(sat.verdict)


def test_on_paper_views_say_where_they_are_or_how_one_went_there(tmp_path) -> None:
    asked: dict[str, Any] = {}
    for task in (RoomsTask(), by_moves()):
        flats = task.on_paper()
        item = replace(flats.items(SMOKE)[0], seed=1)
        (tmp_path / task.name).mkdir()
        asked[task.name] = flats.ask(item, tmp_path / task.name)["poses"]
    assert asked["rooms"][:2] == asked["rooms_actions"][:2]
    assert asked["rooms"][2:] != asked["rooms_actions"][2:]
    assert "the one before it" in by_moves().how and "the first one" in RoomsTask().how


@pytest.mark.slow
def test_an_encoder_is_read_with_heads_and_stands_beside_another_world(monkeypatch) -> None:
    monkeypatch.setattr(rooms, "LESSONS", {"smoke": (40, 15)})
    monkeypatch.setattr(rooms, "WORLDS", {"smoke": (5, 3, 3)})
    blind: Any = Sighted(blind=True)
    sat = sit(RoomsTask(), Sighted(), SMOKE, nulls={"untrained_0": blind})  # type: ignore[arg-type]
    assert sat.verdict and "untrained_0" in sat.rows[0].null
    own = np.mean([row.extra["rooms"] for row in sat.rows])
    assert own < np.mean([row.extra["beside"]["untrained_0"]["rooms"] for row in sat.rows])
    assert any(row.extra["shuffled"] != row.extra["hidden"] for row in sat.rows)
    for row in sat.rows:
        beside = row.extra["beside"]
        for kind in ("hidden", "all"):
            assert sum(row.extra[kind]) == sum(beside["ceiling"][kind])
            assert sum(row.extra[kind]) == sum(beside["untrained_0"][kind])


def test_heads_read_what_is_there_and_nothing_where_nothing_is(monkeypatch) -> None:
    """A state that holds the plan in another basis, with noise; and one that is noise."""
    monkeypatch.setattr(planreader, "UPDATES", 60)
    rng = np.random.default_rng(0)
    truth = rng.random((400, 120)) < 0.2
    area = torch.from_numpy(rng.random((400, 16))).float()
    door = torch.from_numpy(np.where(rng.random((400, 120)) < 0.5, truth, np.nan)).float()
    basis, found = rng.normal(size=(137, 137)) / 137**0.5, {}
    for signal in (1.0, 0.0):
        facts = np.concatenate([truth, area, area.sum(1, keepdim=True)], 1) @ basis
        states = torch.from_numpy(signal * facts + 0.02 * rng.normal(size=facts.shape))
        lesson = lambda s: planreader.Lesson(door[s], area[s], area[s].sum(1))  # noqa: E731
        parts = [(states[s], lesson(s)) for s in (slice(250), slice(250, 320))]
        doors, areas, _ = planreader.learn(parts[0], parts[1]).read(states[320:])
        assert (doors == doors.swapaxes(1, 2)).all()
        found[signal] = float(matthews(confusion(doors[:, *planreader.PAIRS], truth[320:])))
        missed = (np.log(areas) - area[320:].numpy()).std() / area.std()
        assert (missed < 0.75) == (signal > 0)
    assert found[1.0] > 0.4 and abs(found[0.0]) < 0.1


def test_the_recordings_hold_views_and_where_they_are(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(rooms, "LESSONS", {"smoke": (4, 2)})
    task = RoomsTask("actions")
    assert len(task.recordings(tmp_path / "rooms", SMOKE)[""]) == 4
    store = task.recordings(tmp_path / "rooms", SMOKE)[""]  # made once
    assert [row.length for row in store.episodes] == [32, 16, 8, 32]
    assert store.info.action == ACTIONS


def test_a_plan_is_drawn_from_what_a_row_says(stitcher) -> None:
    items = {item.key: item for item in RoomsTask().items(SMOKE)}
    row = stitcher.rows[0]
    world = rooms._world(items[row.sample])
    shown = RoomsTask().draw(items[row.sample], row)
    assert shown is not None and shown.truth.shape == shown.seen.shape == (
        len(world.pose),
        120,
        96,
        3,
    )
    assert np.array_equal(shown.truth[:, :48, 16:80], world.frames())
    question = ask(world)
    nobody = question.door & False
    right, empty = sketch.beside(world, nobody)
    invented = sketch.beside(world, ~question.door)[1]
    red, black = ((invented == colour).all(-1).any() for colour in (sketch.MADE_UP, sketch.THERE))
    assert red and not black and not (empty == sketch.THERE).all(-1).any()
    assert np.array_equal(sketch.beside(world, question.door)[1], right)
    assert RoomsTask().draw(items[row.sample], replace(row, extra={})) is None
