"""Motion: scenes are where they should be, the simulator passes, planted faults are caught."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Verdict
from worldloom.trust.tasks import motion
from worldloom.trust.tasks.motion import Motion
from worldloom.trust.tasks.scenes import films
from worldloom.trust.tasks.scenes.films import Film, FilmProbe

pytestmark = pytest.mark.slow

SMOKE = Setting("smoke")
TASK = Motion(clips=6)


def test_training_has_no_clip_in_the_hole_and_tests_are_where_they_say():
    library = TASK.library(SMOKE)
    for film in library:
        for disc in film.discs:
            radius, speed = disc.radius, disc.speed[0]
            assert not (0.95 < radius < 1.15 and 2 < abs(speed) < 3)
            assert 0.5 <= radius <= 1.5 and 1 <= abs(speed) <= 4
        assert film.discs[0].speed[0] > 0, "a mirrored clip teaches reversal"
    for item in TASK.items(SMOKE):
        first = motion._film(item).discs[0]
        if item.split == "hole":
            assert 0.95 <= first.radius <= 1.15 and 2 <= first.speed[0] <= 3
        if item.split == "high" and item.facts["varied"] != "radius":
            assert first.speed[0] >= 4.5
        if item.split == "low" and item.facts["varied"] == "radius":
            assert first.radius <= 0.6 and first.speed[0] >= 1


def test_a_collision_comes_after_the_context():
    for region in motion.REGIONS:
        rng = np.random.default_rng(0)
        some = [motion.draw_film("collision", region, "both", rng) for _ in range(10)]
        _, speed = motion.films.physics.simulate(films.scenes_of(some), motion.CONTEXT)
        assert (speed[:, -1] == speed[:, 0]).all()


def test_a_film_comes_back_from_its_bytes():
    film = motion.draw_film("collision", "id", "both", np.random.default_rng(0))
    assert Film.unpack(film.pack()) == film


def test_the_nearest_clip_of_a_training_clip_is_itself():
    library = TASK.library(SMOKE)[:60]
    shot = films.shoot(library[:1], motion.FRAMES)
    clip = films.begin(library[:1], shot, motion.CONTEXT)
    near = films.FilmProbe("near", motion.Nearest(library, context=3, shift=False))
    drawn = near.rollout(near.observe(clip), films.no_actions(1, 29)).frames
    assert drawn is not None
    assert np.array_equal(drawn[0, 0].numpy(), shot.frames[0, 3:])


@pytest.fixture(scope="module")
def simulator() -> Verdict:
    verdict = sit(TASK, FilmProbe(), SMOKE).verdict
    assert verdict
    return verdict


def test_the_simulator_passes_and_the_readout_costs_little(simulator: Verdict):
    assert simulator.passed
    for region in motion.REGIONS:
        error = simulator.figures[f"error_{region}"]
        assert error.value is not None and error.value < 0.04 < (error.null or 0)


def test_the_primary_figure_is_not_kind_to_who_errs_everywhere_alike(simulator: Verdict):
    """Backwards is as wrong inside as outside, which a ratio of errors would praise."""
    verdict = sit(TASK, FilmProbe("backwards", _backwards), SMOKE).verdict
    assert verdict and simulator.primary.value == pytest.approx(1.0, abs=0.1)
    assert verdict.primary.value is not None and verdict.primary.value < 0


def _backwards(film: Film) -> Film:
    discs = (replace(disc, speed=(-disc.speed[0], -disc.speed[1])) for disc in film.discs)
    return replace(film, discs=tuple(discs))


@pytest.mark.parametrize("name", ["nearest_clip", "capped_speed"])
def test_planted_faults_are_caught(name: str):
    fault = TASK.faults()[name]
    verdict = sit(TASK, fault.probe(SMOKE), SMOKE).verdict
    assert verdict and fault.caught(verdict)


def test_no_fault_is_found_in_the_simulator(simulator: Verdict):
    assert not any(fault.caught(simulator) for fault in TASK.faults().values())


def test_recordings_are_a_store_that_is_made_once(tmp_path: Path):
    library = TASK.library(SMOKE)[:3]
    store = films.record(tmp_path / "s", library[:2], 4)
    again = films.record(tmp_path / "s", library, 4)
    assert len(store) == 2 and len(again) == 3
    assert again.split("train") == [row.name for row in again.episodes]
    frames = again.read(again.split("train")[2]).frames["main"]
    assert np.array_equal(frames, films.shoot(library[2:], 4).frames[0])
