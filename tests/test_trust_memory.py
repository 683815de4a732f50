"""Memory by view: returns are found, who remembers passes, and only where views come back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from slider import verdict_of

from worldloom.actions import ActionSpec, Categorical
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting
from worldloom.trust.tasks.memory import views
from worldloom.trust.tasks.memory.task import PAST, Memory
from worldloom.trust.tasks.memory.views import AHEAD, SHORT, Reminded

TASK = Memory()
ROOMS = {"A": 12, "B": 26, "C": 12}
"""Frames in each room of a walk A, B, A, C."""


def walk(rng: np.random.Generator, rooms: str = "ABAC") -> np.ndarray:
    """`[T, 16, 16, 3]` rooms of one colour each, and some noise."""
    every = np.stack(np.meshgrid(*[(20, 120, 220)] * 3), -1).reshape(-1, 3)
    colour = dict(zip("ABC", rng.permutation(every), strict=False))
    plain = np.concatenate([np.tile(colour[room], (ROOMS[room], 16, 16, 1)) for room in rooms])
    return (plain + rng.integers(0, 3, plain.shape)).astype(np.uint8)


def walks(path: Path, rooms: str = "ABAC", episodes: int = 12) -> Setting:
    spec = ActionSpec((Categorical("action", 2),))
    store = Store.create(path, StoreInfo(spec, {"main": (16, 16)}, 10.0))
    for number in range(episodes):
        frames = walk(np.random.default_rng(number), rooms)
        actions = {"action": np.zeros(len(frames), np.int64)}
        store.append(Episode(frames, actions, seed=number), split="heldout", number=number)
    return Setting("smoke", store=store)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return walks(tmp_path_factory.mktemp("memory") / "store")


def test_a_view_comes_back_or_is_new_and_is_never_in_the_short_past():
    frames = walk(np.random.default_rng(0))
    found = views.found(views.view(frames), PAST["smoke"])
    # Back in A at 38, and in C for the first time at 50; later frames have it in the short past.
    assert found == {"back": list(range(38, 42)), "new": list(range(50, 54))}
    assert views.found(views.view(frames), 48) == {"back": [], "new": [51, 52, 53]}


def test_the_past_that_is_shown_holds_the_view_and_the_short_one_does_not(setting: Setting):
    assert setting.store is not None
    for item in TASK.items(setting):
        frames = setting.store.read(item.facts["episode"]).frames["main"]
        last = item.facts["last"]
        asked, now = views.view(frames[last : last + 1]), last - AHEAD + 1
        away = views.far(views.view(frames[now - item.facts["past"] : now]), asked)
        assert (away[:-SHORT].min() < views.NEAR) == (item.split == "back")
        assert (away[-SHORT:] >= views.FAR).all()


def test_who_remembers_passes_and_its_past_helps_only_where_a_view_comes_back(setting: Setting):
    verdict = verdict_of(TASK, TASK.ceiling(setting), setting)
    assert verdict.passed and verdict.figures["remembers"].value == 1
    assert verdict.figures["where it is new"].value == 0.5
    gain = verdict.figures["gain"]
    assert gain.value == gain.ceiling and (gain.low or 0) > 0


@pytest.mark.parametrize("name", sorted(TASK.faults()))
def test_every_planted_fault_is_caught(setting: Setting, name: str):
    fault = TASK.faults()[name]
    assert fault.caught(verdict_of(TASK, fault.probe(setting), setting))
    assert not fault.caught(verdict_of(TASK, TASK.ceiling(setting), setting))


def test_a_gain_that_is_as_large_where_views_are_new_is_no_memory(setting: Setting):
    rows = sit(TASK, TASK.ceiling(setting), setting).rows
    same = {"long": 0.1, "short": 0.2}
    longer = [replace(row, value=1.0, extra={**row.extra, **same}) for row in rows]
    verdict = TASK.judge(longer, seed=0)
    assert verdict.figures["remembers"].value == 1 and verdict.figures["gain"].value == 0
    assert verdict.passed is False


def test_a_window_longer_than_the_way_is_enough(setting: Setting):
    assert verdict_of(TASK, Reminded("two dozen frames", window=30), setting).passed


def test_where_nothing_comes_back_it_is_not_applicable(tmp_path: Path):
    setting = walks(tmp_path / "store", "ABC")
    sat = sit(TASK, Reminded("remembers"), setting)
    assert sat.verdict is None and "in 0 held-out episodes" in sat.why
    assert sit(TASK, Reminded("remembers"), Setting("smoke")).verdict is None


def test_the_way_back_is_shown_beside_what_was_recorded(setting: Setting):
    item = next(item for item in TASK.items(setting) if item.split == "back")
    shown = TASK.show(Reminded("forgets", window=SHORT), item, setting)
    assert shown is not None and len(shown.truth) == PAST["smoke"] + AHEAD
    assert np.array_equal(shown.truth[: PAST["smoke"]], shown.seen[: PAST["smoke"]])
    assert not np.array_equal(shown.truth[-1], shown.seen[-1])
    assert shown.words == "a view that comes back"
