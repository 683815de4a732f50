"""The gravity ladder: linear probes, the law, the rungs of a simulator, and planted faults."""

import numpy as np
import pytest

from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting
from worldloom.trust.tasks.gladder import task as gladder
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
    verdict = sit(TASK, Analytic("simulator"), SMOKE).verdict
    assert verdict
    return verdict


def test_a_simulator_that_knows_all_stands_on_the_top(simulator):
    assert simulator.sentence == "it stands on rung 4 of 4"
    figures = simulator.figures
    assert figures["predicts"].value == pytest.approx(1, abs=0.01)
    assert figures["causes"].value == pytest.approx(1, abs=0.1) and figures["causes"].null < 0.1
    assert figures["decodes_r2"].value > 0.98 and figures["decodes_r2"].null < 0.5
    assert not any(fault.caught(simulator) for fault in TASK.faults().values())


@pytest.mark.parametrize("name", ["too_heavy", "fixed", "leaking"])
def test_planted_faults_are_caught(name: str):
    fault = TASK.faults()[name]
    verdict = sit(TASK, fault.probe(SMOKE), SMOKE).verdict
    assert verdict and fault.caught(verdict)


def test_who_has_no_features_is_told_so_and_climbs_no_further():
    verdict = sit(TASK, gladder.FilmProbe(), SMOKE).verdict
    assert verdict and verdict.passed and "rung 1 of 4" in verdict.sentence
    assert verdict.figures["decodes_r2"].why == "it has no features"
