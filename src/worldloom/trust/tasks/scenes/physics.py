"""Discs that fly, fall and collide without loss: the one integrator of all generated scenes.

Between contacts every disc moves in closed form under its own constant pull, so the only
numerical question is when two things touch; that is bisected. Many scenes at once.
Units: the arena is `ARENA` wide and high, y points up, time is in seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

ARENA = 10.0
FRAME = 0.1
"""Seconds between two frames."""
SUBSTEPS = 8
BISECTIONS = 32


@dataclass(frozen=True)
class Scenes:
    """S scenes of N discs.

    Args:
      place: `[S, N, 2]` centres.
      speed: `[S, N, 2]`.
      pull: `[S, N, 2]` constant acceleration of each disc.
      radius: `[S, N]`.
      mass: `[S, N]`; infinity for what nothing moves.
      walls: whether the arena's four sides throw discs back; without, they leave it.
      solid: whether discs collide; without, they pass through each other.
    """

    place: np.ndarray
    speed: np.ndarray
    pull: np.ndarray
    radius: np.ndarray
    mass: np.ndarray
    walls: bool = False
    solid: bool = True

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, rows: np.ndarray | slice) -> "Scenes":
        """Some of the scenes."""
        parts = (self.place, self.speed, self.pull, self.radius, self.mass)
        return Scenes(*(part[rows] for part in parts), walls=self.walls, solid=self.solid)


def simulate(scenes: Scenes, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """What happens in each scene.

    Args:
      scenes: as they are at the first frame.
      frames: T, the first one included.

    Returns:
      Places and speeds, `[S, T, N, 2]` each.
    """
    places, speeds = [scenes.place], [scenes.speed]
    alone = not scenes.walls and (not scenes.solid or scenes.place.shape[1] == 1)
    parts = 1 if alone else SUBSTEPS  # nothing to touch: the closed form takes any step
    for _ in range(frames - 1):
        for _ in range(parts):
            scenes = _substep(scenes, FRAME / parts)
        places.append(scenes.place)
        speeds.append(scenes.speed)
    return np.stack(places, 1), np.stack(speeds, 1)


def _substep(scenes: Scenes, dt: float) -> Scenes:
    """Moves all scenes in closed form, and those in which something touches by way of that."""
    free = _fly(scenes, dt)
    met = np.flatnonzero(_touching(free))
    return _put(free, met, _through_contacts(scenes[met], dt)) if len(met) else free


def _put(scenes: Scenes, rows: np.ndarray, others: Scenes) -> Scenes:
    """The scenes, some of them as they are in `others`."""
    place, speed = scenes.place.copy(), scenes.speed.copy()
    place[rows], speed[rows] = others.place, others.speed
    return replace(scenes, place=place, speed=speed)


def _fly(scenes: Scenes, dt: float | np.ndarray) -> Scenes:
    """All scenes by one time, or each by its own of `[S]`."""
    time = np.asarray(dt)[..., None, None]
    return replace(
        scenes,
        place=scenes.place + scenes.speed * time + scenes.pull * (time * time / 2),
        speed=scenes.speed + scenes.pull * time,
    )


@cache
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Every two of so many discs."""
    one, two = np.triu_indices(count, 1)
    return one, two


def _touching(scenes: Scenes) -> np.ndarray:
    """`[S]` bool: in which scenes things overlap that come closer."""
    found = np.zeros(len(scenes), bool)
    if scenes.solid:
        one, two = _pairs(scenes.place.shape[1])
        apart = scenes.place[:, two] - scenes.place[:, one]
        relative = scenes.speed[:, two] - scenes.speed[:, one]
        reach = scenes.radius[:, one] + scenes.radius[:, two]
        overlap = np.square(apart).sum(-1) < reach**2
        found |= (overlap & ((relative * apart).sum(-1) < 0)).any(1)
    if scenes.walls:
        radius = scenes.radius[..., None]
        low = (scenes.place < radius) & (scenes.speed < 0)
        high = (scenes.place > ARENA - radius) & (scenes.speed > 0)
        found |= (low | high).any((1, 2))
    return found


Where = tuple[int, int] | tuple[int, int, float]
"""Two discs; or a disc, an axis, and where along it the wall is that its centre must not pass."""


def _contacts(scenes: Scenes) -> Iterator[tuple[Where, np.ndarray, np.ndarray]]:
    """Everything that could touch: what, the gap `[S]`, and how fast it closes `[S]`."""
    count = scenes.place.shape[1]
    for a in range(count if scenes.solid else 0):
        for b in range(a + 1, count):
            apart = scenes.place[:, b] - scenes.place[:, a]
            far = np.hypot(apart[:, 0], apart[:, 1])
            relative = scenes.speed[:, b] - scenes.speed[:, a]
            closing = -(relative * apart).sum(-1) / np.maximum(far, 1e-12)
            yield (a, b), far - scenes.radius[:, a] - scenes.radius[:, b], closing
    for a in range(count if scenes.walls else 0):
        for axis in (0, 1):
            along, speed = scenes.place[:, a, axis], scenes.speed[:, a, axis]
            yield (a, axis, 0.0), along - scenes.radius[:, a], -speed
            yield (a, axis, ARENA), ARENA - along - scenes.radius[:, a], speed


def _through_contacts(scenes: Scenes, dt: float) -> Scenes:
    """Scenes through a substep, each from one contact of its own to the next."""
    left = np.full(len(scenes), dt)
    for _ in range(64):  # a ball at rest on the floor would bounce without end
        rows = np.flatnonzero(_touching(_fly(scenes, left)))
        if not len(rows):
            break
        some, after = scenes[rows], left[rows]
        before = np.zeros(len(rows))
        for _ in range(BISECTIONS):
            middle = (before + after) / 2
            touches = _touching(_fly(some, middle))
            before = np.where(touches, before, middle)
            after = np.where(touches, middle, after)
        scenes = _put(scenes, rows, _bounced(_fly(some, after)))
        left[rows] -= after
    return _fly(scenes, left)


def _bounced(scenes: Scenes) -> Scenes:
    """The scenes, with everything thrown back that has just met."""
    speed = scenes.speed.copy()
    for where, gap, closing in _contacts(scenes):
        for row in np.flatnonzero((gap < 1e-9) & (closing > 0)):
            speed[row] = _thrown_back(scenes.place[row], speed[row], scenes.mass[row], where)
    return replace(scenes, speed=speed)


def _thrown_back(
    place: np.ndarray, speed: np.ndarray, mass: np.ndarray, where: Where
) -> np.ndarray:
    """The speeds `[N, 2]` of one scene after an elastic contact."""
    speed = speed.copy()
    if len(where) == 3:
        speed[where[0], where[1]] *= -1
        return speed
    a, b = where
    normal = place[b] - place[a]
    normal = normal / np.hypot(*normal)
    light = np.array([1 / mass[a], 1 / mass[b]])
    if light.sum():
        push = 2 * ((speed[a] - speed[b]) @ normal) / light.sum()
        speed[a] -= push * light[0] * normal
        speed[b] += push * light[1] * normal
    return speed
