"""The integrator against closed forms, the pictures against areas, the reading against truth."""

import numpy as np
import pytest

from worldloom.trust.tasks.scenes import discs, physics
from worldloom.trust.tasks.scenes.physics import FRAME, Scenes


def scenes(place, speed, *, pull=0.0, radius=1.0, mass=1.0, **more) -> Scenes:
    place, speed = np.asarray(place, float), np.asarray(speed, float)
    down = np.zeros_like(place)
    down[..., 1] = -np.asarray(pull)
    wide = lambda v: np.broadcast_to(np.asarray(v, float), place.shape[:2])  # noqa: E731
    return Scenes(place, speed, down, wide(radius), wide(mass), **more)


def test_a_thrown_disc_follows_its_parabola():
    place, speed = physics.simulate(scenes([[[1, 5]]], [[[2, 3]]], pull=4.0), 20)
    t = FRAME * np.arange(20)
    assert place[0, :, 0, 0] == pytest.approx(1 + 2 * t)
    assert place[0, :, 0, 1] == pytest.approx(5 + 3 * t - 2 * t**2)
    assert speed[0, :, 0, 1] == pytest.approx(3 - 4 * t)


def test_a_head_on_collision_has_the_textbook_speeds():
    place, speed = physics.simulate(
        scenes([[[2, 5], [7, 5]]], [[[2, 0], [-1, 0]]], radius=[0.5, 1.0], mass=[1, 4]), 25
    )
    # v1' = ((m1 - m2) v1 + 2 m2 v2) / (m1 + m2), and the same for the other
    assert speed[0, -1, :, 0] == pytest.approx([(-3 * 2 + 8 * -1) / 5, (3 * -1 + 2 * 2) / 5])
    meet = (5 - 1.5) / 3
    after = 24 * FRAME - meet
    assert place[0, -1, 0, 0] == pytest.approx(2 + 2 * meet - 2.8 * after, abs=1e-6)


def test_collisions_keep_momentum_and_energy():
    rng = np.random.default_rng(0)
    count = 20
    place = np.stack([[[2, 2], [2, 8], [8, 2], [8, 8]]] * count) + rng.uniform(-1, 1, (count, 4, 2))
    speed = rng.uniform(-4, 4, (count, 4, 2))
    mass = rng.uniform(0.5, 4, (count, 4))
    start = scenes(place, speed, radius=0.99, mass=mass)
    _, open_ = physics.simulate(start, 20)
    momentum = (mass[:, None, :, None] * open_).sum(2)
    assert momentum == pytest.approx(np.repeat(momentum[:, :1], 20, 1), abs=1e-9)
    energy = (mass[:, None] * (open_**2).sum(-1)).sum(-1)
    assert energy == pytest.approx(np.repeat(energy[:, :1], 20, 1))
    assert (abs(open_[:, -1] - speed).max((1, 2)) > 0.1).mean() > 0.2, "hardly anything collided"


def test_walls_keep_discs_inside_and_their_energy():
    rng = np.random.default_rng(1)
    place, speed = rng.uniform(2, 8, (8, 1, 2)), rng.uniform(-6, 6, (8, 1, 2))
    start = scenes(place, speed, pull=5.0, radius=1.0, walls=True)
    where, how = physics.simulate(start, 40)
    assert where.min() > 1 - 1e-9 and where.max() < 9 + 1e-9
    energy = (how**2).sum(-1) / 2 + 5 * where[..., 1]
    assert energy == pytest.approx(np.repeat(energy[:, :1], 40, 1), rel=1e-6)


def test_what_is_fixed_does_not_move_and_what_is_not_solid_passes():
    fixed = scenes([[[2, 5], [6, 5]]], [[[3, 0], [0, 0]]], mass=[1, np.inf])
    place, speed = physics.simulate(fixed, 20)
    assert speed[0, -1, 0, 0] == -3 and (place[0, :, 1] == [6, 5]).all()
    ghosts = scenes([[[2, 5], [6, 5]]], [[[3, 0], [0, 0]]], solid=False)
    assert physics.simulate(ghosts, 20)[0][0, -1, 0, 0] == pytest.approx(2 + 3 * 1.9)


def test_scenes_do_not_see_each_other():
    both = scenes([[[2, 5], [6, 5]], [[1, 1], [9, 9]]], [[[3, 0], [0, 0]], [[1, 1], [0, 0]]])
    alone = physics.simulate(both[:1], 15)[0]
    assert np.array_equal(physics.simulate(both, 15)[0][:1], alone)


@pytest.mark.parametrize("kind", ["disc", "square"])
def test_a_drawn_thing_has_its_area_and_its_colour(kind):
    white = (255, 255, 255)
    thing = discs.Thing(np.array([[4.37, 5.81]]), 1.3, white, kind)
    light = discs.draw(1, 64, (thing,)).astype(float) - discs.BACKGROUND
    area = (light / (np.array(white) - discs.BACKGROUND)).mean(-1).sum() * (10 / 64) ** 2
    expected = np.pi * 1.3**2 if kind == "disc" else 2.6**2
    assert area == pytest.approx(expected, rel=0.01)


def test_things_at_the_edge_and_beyond_are_cut_off_and_those_that_are_gone_are_not_drawn():
    place = np.array([[0, 5], [-3, 5], [10, 10], [np.nan, np.nan], [50, 5]], float)
    shown = discs.draw(5, 32, (discs.Thing(place, 1.0, discs.RED),))
    lit = (shown.astype(float) - discs.BACKGROUND).sum((1, 2, 3))
    lit /= (np.array(discs.RED) - discs.BACKGROUND).sum() * np.pi * 3.2**2
    assert lit[0] == pytest.approx(1 / 2, abs=0.02) and lit[2] == pytest.approx(1 / 4, abs=0.02)
    assert lit[[1, 3, 4]].tolist() == [0, 0, 0]


def test_bars_lie_on_top_with_exact_edges():
    disc = discs.Thing(np.array([[5.0, 5.0]]), 2.0, discs.RED)
    picture = discs.draw(1, 20, (disc,), (discs.Bar(4.75, 0, 6, 10, (200, 200, 200)),))[0]
    assert picture[10, 10].tolist() == [200, 200, 200]
    half = picture[0, 9].astype(float)  # column 9 spans 4.5 to 5, half of it covered
    assert half == pytest.approx((np.array([200] * 3) + discs.BACKGROUND) / 2, abs=1)


def test_things_are_found_to_a_fiftieth_of_a_pixel():
    rng = np.random.default_rng(2)
    place = rng.uniform(2, 8, (60, 2))
    other = rng.uniform(2, 8, (60, 2))
    far = np.hypot(*(place - other).T) > 2.5
    things = (discs.Thing(place, 0.9, discs.RED), discs.Thing(other, 0.7, discs.BLUE))
    shown = discs.draw(60, 64, things)
    found = discs.find(shown, (discs.RED, discs.BLUE), np.array([0.9, 0.7]))
    error = abs(found - np.stack([place, other], 1))[far] * 6.4
    assert error.max() < 0.02 * 3 and np.median(error) < 0.02
    noisy = np.clip(shown + rng.normal(0, 8, shown.shape), 0, 255).astype(np.uint8)
    found = discs.find(noisy, (discs.RED, discs.BLUE), np.array([0.9, 0.7]))
    assert np.median(abs(found - np.stack([place, other], 1))[far]) * 6.4 < 0.15


def test_small_things_are_found_beside_large_ones():
    """Together with films of large things as by themselves: each is looked for at its own size."""
    rng = np.random.default_rng(3)
    radii = np.where(np.arange(90) % 3, 1.6, 0.3)
    place = rng.uniform(1.6, 8.4, (90, 2))
    shown = [
        discs.draw(1, 64, (discs.Thing(at[None], radius, discs.RED),))
        for at, radius in zip(place, radii, strict=True)
    ]
    found = discs.find(np.concatenate(shown), (discs.RED,), radii[:, None])
    assert abs(found[:, 0] - place).max() * 6.4 < 0.1


def test_what_is_not_there_is_not_found():
    shown = discs.draw(3, 64, (discs.Thing(np.full((3, 2), 5.0), 0.9, discs.RED),))
    found = discs.find(shown, (discs.RED, discs.BLUE), np.array([0.9, 0.9]))
    assert np.isfinite(found[:, 0]).all() and np.isnan(found[:, 1]).all()


def test_scenes_together_are_what_they_are_alone_to_the_bit():
    rng = np.random.default_rng(2)
    count = 12
    place = np.stack([[[2, 2], [2, 8], [8, 2], [8, 8]]] * count) + rng.uniform(-1, 1, (count, 4, 2))
    mass = rng.uniform(0.5, 4, (count, 4))
    mass[:, 0] = np.inf
    speed = rng.uniform(-4, 4, (count, 4, 2)) * np.isfinite(mass)[..., None]
    every = scenes(place, speed, radius=0.9, mass=mass, walls=True)
    together = physics.simulate(every, 12)
    for row in range(count):
        alone = physics.simulate(every[row : row + 1], 12)
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], other[row])
