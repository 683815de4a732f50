"""Pairs of possible films that meet at one picture, one kind for each property.

What follows that picture can be exchanged, which makes two impossible films. Knows no task.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from worldloom.trust.tasks.scenes import discs
from worldloom.trust.tasks.scenes.discs import Bar
from worldloom.trust.tasks.scenes.films import Disc, Film
from worldloom.trust.tasks.scenes.physics import FRAME

FRAMES, SEAM = 32, 15
"""Frames of a film, and the one at which A and B look the same."""
SCREEN = (120, 120, 130)
GREEN = (70, 190, 80)
FAR = (-50.0, -50.0)
Pair = tuple[Film, Film]
AT_SEAM = SEAM * FRAME


@dataclass(frozen=True)
class Draw:
    """What is random about a pair.

    Args:
      rng: for everything but the height.
      height: at which things happen; training and test differ in it.
    """

    rng: np.random.Generator
    height: float

    def uniform(self, low: float, high: float) -> float:
        """One number."""
        return float(self.rng.uniform(low, high))


def _screen(draw: Draw, radius: float) -> Bar:
    """A screen in the middle, wide enough to hide a thing."""
    half = radius + draw.uniform(0.5, 1.0)
    return Bar(5 - half, 0.0, 5 + half, 10.0, SCREEN)


def _crosser(draw: Draw, radius: float) -> Disc:
    """Something that is in the middle, behind the screen, when the films meet."""
    speed = draw.uniform(2.4, 3.0)
    return Disc((5 - speed * AT_SEAM, draw.height), (speed, 0.0), radius=radius)


def permanence(draw: Draw) -> Pair:
    """Something goes behind the screen, or nothing does."""
    radius = draw.uniform(0.6, 0.9)
    screen, thing = _screen(draw, radius), _crosser(draw, radius)
    nothing = replace(thing, place=FAR, speed=(0.0, 0.0))
    return Film((thing,), (screen,)), Film((nothing,), (screen,))


def continuity(draw: Draw) -> Pair:
    """It falls behind the left screen or behind the right one."""
    radius, speed = draw.uniform(0.5, 0.8), draw.uniform(2.4, 2.8)
    half, x = radius + 0.3, draw.uniform(2.2, 3.0)
    top, bottom = draw.height + radius + 0.4, draw.height - radius - 0.4
    screens = tuple(Bar(c - half, bottom, c + half, top, SCREEN) for c in (x, 10 - x))
    start = draw.height + speed * AT_SEAM
    pair = (Film((Disc((c, start), (0.0, -speed), radius=radius),), screens) for c in (x, 10 - x))
    left, right = pair
    return left, right


def solidity(draw: Draw) -> Pair:
    """A block went down behind the screen, or none did; a ball follows it."""
    radius, speed = draw.uniform(0.5, 0.8), draw.uniform(2.2, 2.6)
    block = 0.8
    hit = AT_SEAM + draw.uniform(0.15, 0.25)  # the ball meets the block after the films met
    ball = Disc((5 - block - radius - speed * hit, draw.height), (speed, 0.0), radius=radius)
    sink = (9.1 - draw.height) / hit
    wall = Disc((5.0, 9.1), (0.0, -sink), radius=block, mass=np.inf, colour=GREEN, kind="square")
    top = 9.1 - sink * (AT_SEAM - 0.2) + block  # the block is behind it well before they meet
    screen = Bar(5 - block - 0.3, 0.0, 5 + block + 0.3, max(top, draw.height + 1), SCREEN)
    gone = replace(wall, place=FAR, speed=(0.0, 0.0))
    return Film((wall, ball), (screen,)), Film((gone, ball), (screen,))


def gravity(draw: Draw) -> Pair:
    """It rises under a weak or a strong pull and falls again; the films meet at the top."""
    radius, drift = draw.uniform(0.6, 0.9), draw.uniform(0.5, 1.0)
    top = draw.height + 3.2
    x = 5 - drift * AT_SEAM

    def thrown(g: float) -> Film:
        start = top - g * AT_SEAM**2 / 2
        return Film((Disc((x, start), (drift, g * AT_SEAM), (0.0, -g), radius),))

    return thrown(draw.uniform(1.5, 2.0)), thrown(draw.uniform(4.5, 5.0))


def inertia(draw: Draw) -> Pair:
    """Two straight courses cross where the films meet."""
    radius, speed = draw.uniform(0.6, 0.9), draw.uniform(1.8, 2.4)
    first = draw.uniform(0.3, 0.6)
    middle = np.array([5.0, draw.height])

    def course(angle: float) -> Film:
        way = speed * np.array([np.cos(angle), np.sin(angle)])
        x, y = middle - AT_SEAM * way
        return Film((Disc((float(x), float(y)), (float(way[0]), float(way[1])), radius=radius),))

    return course(first), course(-first)


def shape(draw: Draw) -> Pair:
    """A disc or a square goes behind the screen."""
    radius = draw.uniform(0.6, 0.9)
    screen, thing = _screen(draw, radius), _crosser(draw, radius)
    return Film((thing,), (screen,)), Film((replace(thing, kind="square"),), (screen,))


def colour(draw: Draw) -> Pair:
    """Something red or something blue goes behind the screen."""
    radius = draw.uniform(0.6, 0.9)
    screen, thing = _screen(draw, radius), _crosser(draw, radius)
    return Film((thing,), (screen,)), Film((replace(thing, colour=discs.BLUE),), (screen,))


PROPERTIES: Mapping[str, Callable[[Draw], Pair]] = {
    "permanence": permanence,
    "continuity": continuity,
    "solidity": solidity,
    "gravity": gravity,
    "inertia": inertia,
    "shape": shape,
    "colour": colour,
}
