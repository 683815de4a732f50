"""Craft: the simulator passes, planted faults are caught, ranks and deeds are right."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.agents.choose import choose
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.envs import CRAFT, HOP
from worldloom.envs.gym import GymWorld
from worldloom.envs.make import Setup
from worldloom.trust.probe import Rollout
from worldloom.trust.sitting import sit
from worldloom.trust.suite import run_suite
from worldloom.trust.task import Setting, Verdict
from worldloom.trust.tasks.craft import games, runs
from worldloom.trust.tasks.craft.craftlite import Craftlite
from worldloom.trust.tasks.craft.task import Craft, done_in
from worldloom.trust.tasks.craft.verdict import pearson, ranks, violation
from worldloom.world import Step, WorldSpec

pytestmark = pytest.mark.slow

SMOKE, TASK = Setting("smoke"), Craft()


@dataclass(frozen=True)
class Alone(Craft):
    """The task without nulls and ceiling, which take four times as long."""

    def nulls(self, setting):
        return {}

    def ceiling(self, setting):
        return None


def verdict_on(probe, task: Craft = Alone()) -> Verdict:
    found = sit(task, probe, SMOKE).verdict
    assert found
    return found


@pytest.fixture(scope="module")
def simulator() -> Verdict:
    return verdict_on(Craftlite(), TASK)


def test_the_simulator_passes(simulator: Verdict):
    assert simulator.passed and simulator.primary is simulator.figures["gap"]
    for name in ("gap", "dynamics", "reward", "exploit", "forbidden", "omission"):
        figure = simulator.figures[name]
        assert figure.value == pytest.approx(0, abs=1e-6) == figure.ceiling
        assert figure.high == pytest.approx(0, abs=1e-6) and figure.n == 5
    for name in ("pearson", "spearman", "balanced"):
        assert simulator.figures[name].value == pytest.approx(1)


def test_nulls_score_what_they_know(simulator: Verdict):
    figures = simulator.figures
    assert (figures["gap"].null or 0) < -0.2, "where nothing happens nothing is paid"
    assert figures["reward"].null == 0 and (figures["rank_violation"].null or 0) > 0.5
    for name in ("forbidden", "omission"):
        assert 0.2 < (figures[name].null or 0) < 0.8, "a coin"


@pytest.mark.parametrize("name", list(TASK.faults()))
def test_planted_faults_are_caught(name: str):
    fault = TASK.faults()[name]
    assert fault.caught(verdict_on(fault.probe(SMOKE)))


def test_no_fault_is_found_in_the_simulator_nor_even_doubt_where_errors_are_doubted(
    simulator: Verdict,
):
    assert not any(fault.caught(simulator) for fault in TASK.faults().values())
    honest = verdict_on(Craftlite("honest", "everything", doubt="honest"))
    assert honest.figures["doubt"].low == 1
    assert not TASK.faults()["even_doubt"].caught(honest)


def test_deeds_are_of_many_kinds_and_as_the_game_has_them():
    items = [item for item in TASK.items(SMOKE) if item.split != "start"]
    assert [sum(i.split == s for i in items) for s in "FLU"] == [20, 20, 0]
    assert len({item.facts["words"] for item in items if item.split == "L"}) >= 8
    assert len({item.facts["words"] for item in items if item.split == "F"}) >= 15
    assert all((" without " in i.facts["words"]) == (i.split == "F") for i in items)


def test_what_no_recording_shows_is_asked_for_apart(tmp_path: Path):
    path = tmp_path / "store"
    keep = Keep(max_frames=120, heldout=0.0)
    record(Setup(CRAFT), path, episodes=1, policies=choose("novice"), workers=0, keep=keep)
    store = Store.open(path)
    assert games.DEEDS[-1] not in done_in(store), "a novice makes no iron pickaxe"
    items = TASK.items(replace(SMOKE, store=store))
    unseen = {item.facts["words"] for item in items if item.split == "U"}
    seen = {item.facts["words"] for item in items if item.split == "L"}
    assert "make iron pickaxe" in unseen and "take wood" in seen and not unseen & seen


class Forgetful(Craftlite):
    """Keeps no state at the end of a rollout."""

    def rollout(self, state, actions, **how):
        found = super().rollout(state, actions, **how)
        return Rollout(found.frames, found.reward)


def test_a_probe_that_keeps_no_states_is_led_again_and_gets_the_same():
    game = games.play(TASK.items(SMOKE)[0].seed, "expert")
    moment = runs.Moment(game, 50, 3)
    returns = [
        runs.imagined(probe("p", "everything"), [moment], 4) for probe in (Craftlite, Forgetful)
    ]
    assert np.array_equal(*returns) and returns[0].max() > 0


def test_a_planner_is_promised_and_not_paid_by_who_makes_everything():
    moments = [runs.Moment(games.play(5 << 32, "novice"), 30, seed) for seed in (1, 2)]
    how = runs.Search(24, 2, 4)
    promised, paid = runs.promised(Craftlite("p", "everything"), moments, how)
    assert (promised > paid + 1).all()
    honest = runs.promised(Craftlite(), moments, how)
    assert honest[0] == pytest.approx(honest[1], abs=1e-5)


def test_ranks_and_their_violation_against_the_definition():
    rng = np.random.default_rng(0)
    dreamt, real = rng.integers(0, 4, (2, 3, 6)).astype(float)
    for row in range(3):
        worst = []
        for i in range(6):
            pairs = [
                abs(real[row, i] - real[row, j])
                for j in range(6)
                if np.sign(real[row, i] - real[row, j]) != np.sign(dreamt[row, i] - dreamt[row, j])
            ]
            worst.append(max(pairs, default=0.0))
        assert violation(dreamt, real)[row] == pytest.approx(np.mean(worst))
        by_hand = np.corrcoef(dreamt[row], real[row])[0, 1]
        assert pearson(dreamt, real)[row] == pytest.approx(by_hand)
    assert ranks(np.array([[3.0, 1.0, 3.0]])).tolist() == [[2.0, 0.5, 2.0]]
    assert violation(real, real).max() == 0
    assert np.isnan(pearson(np.zeros((1, 6)), real[:1]))


class Shell:
    """A world of a spec, that knows nothing else."""

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = replace(spec, capabilities=frozenset({"fork", "render"}), starts=frozenset())

    def start(self, clip: Clip, seeds: torch.Tensor):
        return seeds, Step()

    def step(self, state, action):
        return state, Step()


def test_a_world_of_another_game_is_told_why_it_is_not_asked(tmp_path: Path):
    hop = Shell(GymWorld(HOP, size=64).spec)
    (entry,) = run_suite(hop, [TASK], SMOKE, out=tmp_path).entries
    assert entry.passed is None and entry.figures == {}
    assert "frames of 32x32" in entry.why and "has frames of 64x64 and keys[" in entry.why
    small = replace(GymWorld(CRAFT).spec, cameras={"main": (64, 64)})
    assert "64x64" in TASK.fits(small) and TASK.fits(GymWorld(CRAFT).spec) == ""


def test_the_agents_world_sits_what_the_bare_one_cannot(tmp_path: Path):
    bare = Shell(GymWorld(CRAFT).spec)
    (entry,) = run_suite(bare, [Craft(games=1)], SMOKE, out=tmp_path / "a").entries
    assert "cannot `continue` or `reward`" in entry.why
    setting = replace(SMOKE, agent=Craftlite())
    (entry,) = run_suite(bare, [Alone(games=2)], setting, out=tmp_path / "b").entries
    assert entry.passed and entry.header["world"] == "simulator"


def test_what_the_simulator_shows_is_the_truth_and_a_lie_is_not():
    items = TASK.items(SMOKE)
    start = next(item for item in items if item.split == "start")
    forbidden = next(item for item in items if item.split == "F")
    for item in (start, forbidden):
        shown = TASK.show(Craftlite(), item, SMOKE)
        assert np.array_equal(shown.truth, shown.seen)
    lie = TASK.show(Craftlite("permissive", "everything"), forbidden, SMOKE)
    assert np.array_equal(lie.truth[:-1], lie.seen[:-1])
    assert not np.array_equal(lie.truth[-1], lie.seen[-1]) and "cannot" in lie.words


LEARNED = TASK.elsewhere()


@pytest.fixture(scope="module")
def told_apart() -> Verdict:
    return verdict_on(Craftlite(), LEARNED)  # type: ignore[arg-type]


def test_the_simulator_tells_deeds_apart_wherever_they_were_learned(told_apart: Verdict):
    assert told_apart.passed and told_apart.primary.value == 1
    assert told_apart.figures["forbidden"].value == told_apart.figures["omission"].value == 0
    assert not any(fault.caught(told_apart) for fault in LEARNED.faults().values())


@pytest.mark.parametrize("name", list(LEARNED.faults()))
def test_planted_faults_are_caught_where_craft_was_learned(name: str):
    fault = LEARNED.faults()[name]
    found = verdict_on(fault.probe(SMOKE), LEARNED)  # type: ignore[arg-type]
    assert fault.caught(found) and found.primary.value < 0.6
    others = [n for n, f in LEARNED.faults().items() if n != name and f.caught(found)]
    assert others == []


def test_who_is_no_better_than_an_untrained_network_does_not_pass():
    good = sit(LEARNED, Craftlite(), SMOKE, nulls={"untrained_0": Craftlite()})
    assert good.verdict is not None and good.verdict.passed is False
    assert good.verdict.primary.null == 1


def test_a_family_learns_from_games_that_nobody_is_asked_about(tmp_path: Path):
    (store,) = LEARNED.recordings(tmp_path / "store", SMOKE).values()
    again = LEARNED.recordings(tmp_path / "store", SMOKE)[""]
    assert len(store) == len(again) == 4 and store.info.action == runs.ACTION
    asked = {item.seed for item in LEARNED.items(SMOKE)}
    games_asked = [games.play(seed, "expert").frames[0] for seed in asked]
    for row in store.episodes:
        first = store.read(row.name).frames["main"][0]
        assert not any(np.array_equal(first, other) for other in games_asked)
    assert {item.split for item in LEARNED.items(SMOKE)} == {"F", "L"}
