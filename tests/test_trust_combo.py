"""Combinations: held-out templates, equal training, who learns passes, who remembers does not."""

from dataclasses import replace

import numpy as np
import pytest

from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Variants
from worldloom.trust.tasks import combo
from worldloom.trust.tasks.combo import COUNTS, Combo
from worldloom.trust.tasks.scenes.films import Film, FilmProbe

SMOKE = Setting("smoke")
TASK = Combo(clips=1)


@pytest.fixture(scope="module", autouse=True)
def short():
    """A few templates and frames are enough for simulators."""
    trained, held = combo.templates()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(combo, "templates", lambda: (trained, held[:7]))
        patch.setattr(combo, "COUNTS", (6, 60))
        patch.setattr(combo, "LIBRARY", {"smoke": 12})
        patch.setattr(combo, "FRAMES", 13)
        patch.setattr(combo, "HELD_OUT", 7)
        yield


class Learner:
    """Knows the pulls better, the more templates it saw."""

    def __init__(self, error: float) -> None:
        self.error = error

    def __call__(self, film: Film) -> Film:
        more = (replace(d, pull=(d.pull[0], d.pull[1] + self.error)) for d in film.discs)
        return replace(film, discs=tuple(more))


def test_held_out_templates_are_never_trained_on_and_every_number_trains_on_as_much():
    trained, held = combo.templates()
    assert len(trained) == 60 and not set(trained) & set(held)
    looks = {tuple(d.colour for d in draw.discs) for draw in TASK.library(6, SMOKE)}
    held_looks = {tuple(combo.KINDS[k].colour for k in template) for template in held}
    assert len(looks) == 6 and not looks & held_looks
    assert len(TASK.library(6, SMOKE)) == len(TASK.library(60, SMOKE))


def test_things_begin_apart():
    for seed in range(20):
        film = combo.draw_film((1, 4, 7, 2), np.random.default_rng(seed))
        for i, one in enumerate(film.discs):
            for two in film.discs[i + 1 :]:
                apart = np.hypot(*np.subtract(one.place, two.place))
                assert apart > one.radius + two.radius


def test_who_learns_from_combinations_passes():
    learner = Variants({"6": FilmProbe("6", Learner(2.0)), "60": FilmProbe("60", Learner(0.2))})
    verdict = sit(TASK, learner, SMOKE).verdict  # type: ignore[arg-type]
    assert verdict and verdict.passed
    slope = verdict.figures["slope"].value
    assert slope is not None and slope == pytest.approx(-1, abs=0.25), "a tenth for ten times"
    assert not any(fault.caught(verdict) for fault in TASK.faults().values())


@pytest.mark.parametrize("name", ["memoriser", "ignores_pull"])
def test_planted_faults_are_caught(name: str):
    fault = TASK.faults()[name]
    verdict = sit(TASK, fault.probe(SMOKE), SMOKE).verdict
    assert verdict and fault.caught(verdict)


def test_the_numbers_of_templates_are_those_of_the_specification():
    assert COUNTS == (6, 15, 30, 60)
