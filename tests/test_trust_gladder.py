"""The gravity ladder: linear probes, the law, the rungs of a simulator, and planted faults."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from worldloom.trust.probe import Edit
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting
from worldloom.trust.tasks.gladder import task as gladder
from worldloom.trust.tasks.gladder import verdict
from worldloom.trust.tasks.gladder.task import Analytic, Gladder
from worldloom.trust.tasks.reading import ridge

pytestmark = pytest.mark.slow

SMOKE = Setting("smoke")
TASK = Gladder(count=16)


def test_ridge_reads_a_line_off_many_features_and_shrinks_with_its_penalty():
    rng = np.random.default_rng(0)
    features, weight = rng.normal(size=(40, 100)), rng.normal(size=100)
    target = features @ weight + 3
    exact = ridge.ridge(features, target, 1e-9)
    assert exact(features) == pytest.approx(target, abs=1e-4)
    assert np.linalg.norm(ridge.ridge(features, target, 10.0).weight) < np.linalg.norm(exact.weight)


def test_ridge_against_the_normal_equations():
    rng = np.random.default_rng(1)
    features, target = rng.normal(size=(30, 4)), rng.normal(size=30)
    line = ridge.ridge(features, target, 0.1)
    x, y = features - features.mean(0), target - target.mean()
    penalty = 0.1 * np.square(x).sum() / 30
    assert line.weight == pytest.approx(np.linalg.solve(x.T @ x + penalty * np.eye(4), x.T @ y))
    assert line(features).mean() == pytest.approx(target.mean())


def flights(g: float, drag: float = 0.0) -> list[np.ndarray]:
    rng, found = np.random.default_rng(2), []
    for _ in range(6):
        place, speed = rng.uniform(3, 7, 2), rng.uniform(-1, 2, 2)
        track = []
        for _ in range(120):
            track.append(place)
            pull = np.array([0.0, -g]) - drag * speed
            place, speed = place + speed * 0.01 + pull * 0.01**2 / 2, speed + pull * 0.01
        found.append(np.array(track)[::10])
    return found


def test_the_law_of_a_fall_is_a_constant_and_that_of_drag_is_not():
    terms, kept = ridge.law(flights(3.0), 0.1, 0.1)
    assert kept[1].nonzero()[0].tolist() == [0] and not kept[0].any()
    assert terms[1, 0] == pytest.approx(-3.0, rel=1e-6)
    terms, kept = ridge.law(flights(3.0, drag=0.8), 0.1, 0.1)
    vy = ridge.TERMS.index("vy")
    assert kept[1, [0, vy]].all() and terms[1, vy] == pytest.approx(-0.8, rel=0.15)


def test_too_few_flights_have_no_law():
    terms, kept = ridge.law([np.zeros((3, 2))], 0.1, 0.1)
    assert np.isnan(terms).all() and not kept.any()


def test_the_pull_depends_on_nothing_that_the_first_frame_shows():
    items = Gladder(count=200).items(SMOKE)
    some = [gladder._film(item) for item in items if item.split == "outside"]
    g = np.array([gladder.pull(film) for film in some])
    seen = np.array([[*f.discs[0].place, f.discs[0].radius, f.discs[0].colour[0]] for f in some])
    for column in seen.T:
        assert abs(np.corrcoef(g, column)[0, 1]) < 0.2
    assert ((g < 1.5) | (g > 7)).all() and (g < 1.5).mean() == 0.5


@pytest.fixture(scope="module")
def simulator():
    found = sit(TASK, Analytic("simulator"), SMOKE).verdict
    assert found
    return found


def test_a_simulator_that_knows_all_stands_on_the_top(simulator):
    assert simulator.passed is True
    assert simulator.sentence == "it stands on rung 4 of 4; the fifth is asked by blind"
    figures = simulator.figures
    assert figures["predicts"].value == pytest.approx(1, abs=0.01)
    assert figures["causes"].value == pytest.approx(1, abs=0.1) and figures["causes"].null < 0.1
    assert figures["decodes_r2"].value > 0.98 and figures["decodes_r2"].null < 0.5
    assert not any(fault.caught(simulator) for fault in TASK.faults().values())


@pytest.mark.parametrize("name", ["too_heavy", "fixed", "leaking"])
def test_planted_faults_are_caught(name: str):
    fault = TASK.faults()[name]
    found = sit(TASK, fault.probe(SMOKE), SMOKE).verdict
    assert found and fault.caught(found)


def test_who_has_no_features_is_told_so_and_climbs_no_further():
    found = sit(TASK, gladder.FilmProbe(), SMOKE).verdict
    assert found and found.passed is None, "nobody knows of the rungs that cannot be asked"
    assert found.sentence.startswith("it stands on rung 1 of 4; the next cannot be asked: it has")
    assert found.figures["decodes_r2"].why == "it has no features"


@pytest.mark.parametrize(
    ("reached", "passed", "words"),
    [
        ([True] * 4, True, "rung 4 of 4; the fifth"),
        ([True, True, None, True], None, "rung 2 of 4; the next cannot be asked: it cannot be st"),
        ([True, None, None, False], False, "rung 1 of 4; the next cannot be asked: it has no fea"),
        ([True, True, False, True], False, "rung 2 of 4; the next one: pushing"),
        ([False, True, True, True], False, "rung 0 of 4; the next one: its balls"),
    ],
)
def test_gravity_is_known_on_the_top_alone(reached, passed, words):
    assert verdict._passed(reached) is passed
    assert verdict._sentence(reached).startswith(f"it stands on {words}")
    assert verdict._sentence(reached).endswith("the fifth is asked by blind")


def test_pushes_that_leave_few_flights_cause_nothing():
    rows = list(sit(TASK, Analytic("simulator"), SMOKE).rows)
    broken = {f"inside-{i}" for i in range(10)}
    lost = [
        replace(row, extra={**row.extra, "pushed": None}) if row.sample in broken else row
        for row in rows
    ]
    found = verdict.judge(lost, seed=0)
    causes = found.figures["causes"]
    assert causes.value == pytest.approx(1, abs=0.1) and causes.why == "read off 6 of 16 flights"
    assert found.passed is False and "rung 2" in found.sentence


def test_untrained_networks_stand_beside_what_is_predicted_and_its_law():
    rows = list(sit(TASK, Analytic("simulator"), SMOKE).rows)
    own = verdict.judge(rows, seed=0)
    extra = [{k: v for k, v in row.extra.items() if k != "beside"} for row in rows]
    same = [
        replace(
            row,
            null={**row.null, "untrained_0": row.value},
            extra={**row.extra, "beside": {**row.extra["beside"], "untrained_0": kept}},
        )
        for row, kept in zip(rows, extra, strict=True)
    ]
    found = verdict.judge(same, seed=0)
    assert own.passed is True and found.passed is False
    for name in ("predicts", "law_support", "law_error"):
        assert found.figures[name].null == pytest.approx(found.figures[name].value)
    assert "rung 0" in found.sentence, "what untrained networks can is no knowledge"
    silent = [replace(row, null={**row.null, "untrained_0": None}) for row in rows]
    assert verdict.judge(silent, seed=0).figures["predicts"].null == own.figures["predicts"].null


class Weak(Analytic):
    """Reads the pull so faintly that one unit of it is a push of ten thousand."""

    def features(self, state, layer=None):
        return super().features(state, layer) * torch.tensor([1.0, 1.0, 1e-4])

    def rollout(self, state, actions, *, seeds=(0,), edit=None):
        if edit is not None:
            self.longest = max(float(edit.vector.norm()), getattr(self, "longest", 0.0))
            edit = Edit(edit.layer, edit.vector * torch.tensor([1.0, 1.0, 1e4]))
        return super().rollout(state, actions, seeds=seeds, edit=edit)


def test_a_push_goes_no_further_than_films_differ():
    probe, some = Weak("weak"), TASK.items(SMOKE)[:4]
    prepared = TASK.prepare(probe, SMOKE)
    answers = TASK.answer(probe, some, prepared)
    assert prepared.now is not None and prepared.spread < 1
    whole = 1 / np.linalg.norm(prepared.now.weight)
    assert probe.longest == pytest.approx(prepared.spread * whole, rel=1e-4)
    assert probe.longest < 3 < whole, "films lie some two units apart, places and all"
    slopes = [answer.extra["pushed"] for answer in answers]
    assert np.abs(slopes).max() < 1e4, "in units of pull, whatever the push was"
    outside = [item for item in TASK.items(SMOKE) if item.split == "outside"][:2]
    told = TASK.answer(probe, outside, TASK.prepare(probe, SMOKE))
    assert "pushed" not in told[0].extra, "pushes are for pulls that were trained on"
