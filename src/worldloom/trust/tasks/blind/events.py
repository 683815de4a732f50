"""Sixteen things that can happen to discs, as films and in words.

No two are mirror images of each other in what happens, and colours, sizes and sides are drawn
anew for each film, so that only what happens tells concepts apart. The words name no colour.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from worldloom.trust.tasks.scenes import discs
from worldloom.trust.tasks.scenes.discs import Bar, Thing

FRAMES, SIZE = 16, 64
TIME = np.arange(FRAMES) / (FRAMES - 1)
"""From 0 to 1 over a film."""
COLOURS = ((225, 60, 50), (60, 110, 235), (70, 190, 80), (240, 220, 70), (220, 70, 210))
WALL = (120, 120, 130)
SUBJECTS = ("a ball", "something", "an object")

Paths = Sequence[np.ndarray]
"""Places `[T, 2]` of each thing; NaN where it is not there."""
Event = Callable[[np.random.Generator], tuple[Paths, tuple[Bar, ...]]]


def _path(x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
    return np.stack(np.broadcast_arrays(x + 0 * TIME, y + 0 * TIME), 1)


def _one(path: np.ndarray) -> tuple[Paths, tuple[Bar, ...]]:
    return [path], ()


def _fall(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    return _one(_path(dice.uniform(2, 8), dice.uniform(8, 9) - 7.5 * TIME**2))


def _rise(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    return _one(_path(dice.uniform(2, 8), dice.uniform(1, 2) + 7 * TIME))


def _bounce(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    phase = (TIME * 3) % 1
    height = dice.uniform(3, 5) * (1 - 0.2 * np.floor(TIME * 3))
    return _one(_path(dice.uniform(1, 3) + 5 * TIME, 1 + 4 * height * phase * (1 - phase)))


def _slide(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    return _one(_path(dice.uniform(0.5, 1.5) + 7.5 * TIME, dice.uniform(2, 8)))


def _stop(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    way = np.minimum(TIME, dice.uniform(0.35, 0.5)) * 2
    return _one(_path(dice.uniform(1, 2) + 6 * way, dice.uniform(2, 8)))


def _speed_up(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    return _one(_path(dice.uniform(1, 2) + 7 * TIME**3, dice.uniform(2, 8)))


def _turn_back(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    way = 1 - np.abs(2 * TIME - 1)
    return _one(_path(dice.uniform(1, 2) + 6 * way, dice.uniform(2, 8)))


def _circle(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    angle = 2 * np.pi * (1.5 * TIME + dice.random())
    reach = dice.uniform(2, 3.5)
    return _one(_path(5 + reach * np.cos(angle), 5 + reach * np.sin(angle)))


def _swing(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    angle = 0.9 * np.sin(2 * np.pi * (2 * TIME + dice.random()))
    reach = dice.uniform(5, 6)
    return _one(_path(5 + reach * np.sin(angle), 9 - reach * np.cos(angle)))


def _shake(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    x, y = dice.uniform(2, 8, 2)
    return _one(_path(x + 0.5 * (-1.0) ** np.arange(FRAMES), y))


def _rest(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    x, y = dice.uniform(2, 8, 2)
    return _one(_path(x, y))


def _collide(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    y, apart = dice.uniform(2, 8), 0.9 + 6 * np.abs(TIME - 0.5)
    return [_path(5 - apart, y), _path(5 + apart, y)], ()


def _merge(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    y, apart = dice.uniform(2, 8), np.maximum(0.0, 4 * (1 - 1.7 * TIME))
    other = _path(5 + apart, y)
    other[apart == 0] = np.nan
    return [_path(5 - apart, y), other], ()


def _split(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    y, apart = dice.uniform(2, 8), np.maximum(0.0, 4 * (1.7 * TIME - 0.7))
    other = _path(5 + apart, y)
    other[apart == 0] = np.nan
    return [_path(5 - apart, y), other], ()


def _hide(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    x, y = dice.uniform(6, 7), dice.uniform(3, 7)
    wall = Bar(x - 1.4, y - 2, x + 1.4, y + 2, WALL)
    return [_path(1 + (x - 1) * np.minimum(1.0, 1.8 * TIME), y)], (wall,)


def _chase(dice: np.random.Generator) -> tuple[Paths, tuple[Bar, ...]]:
    phase = 2 * np.pi * dice.random()
    lead = lambda t: 5 + 2.5 * np.sin(6 * t + phase)  # noqa: E731
    first, second = 1.5 + 7 * TIME, 7 * TIME - 0.5
    return [_path(first, lead(TIME)), _path(second, lead(TIME - 2 / 7))], ()


EVENTS: Mapping[str, tuple[Event, tuple[str, ...]]] = {
    "fall": (
        _fall,
        ("falls down", "drops to the ground", "plunges faster and faster", "tumbles down"),
    ),
    "rise": (_rise, ("rises up", "floats upward", "goes up into the air", "ascends steadily")),
    "bounce": (
        _bounce,
        (
            "bounces",
            "bounces along the floor",
            "hops again and again",
            "hits the ground and springs back up",
        ),
    ),
    "slide": (
        _slide,
        (
            "slides sideways at a steady speed",
            "glides straight across",
            "moves evenly along a line",
            "drifts from one side to the other",
        ),
    ),
    "stop": (
        _stop,
        (
            "moves and then stops",
            "comes to a halt",
            "suddenly stands still on its way",
            "stops moving halfway",
        ),
    ),
    "speed up": (
        _speed_up,
        ("speeds up", "accelerates sideways", "starts slowly and gets faster", "races off"),
    ),
    "turn back": (
        _turn_back,
        (
            "turns back",
            "reverses its direction",
            "goes away and returns",
            "comes back the way it went",
        ),
    ),
    "circle": (
        _circle,
        ("moves in a circle", "goes round and round", "orbits the middle", "revolves in a ring"),
    ),
    "swing": (
        _swing,
        (
            "swings to and fro",
            "swings like a pendulum",
            "sways on a string",
            "hangs and swings from side to side",
        ),
    ),
    "shake": (
        _shake,
        ("shakes", "trembles on the spot", "vibrates quickly", "jitters without going anywhere"),
    ),
    "rest": (
        _rest,
        ("stays still", "rests without moving", "does nothing at all", "remains where it is"),
    ),
    "collide": (
        _collide,
        (
            "collides with another and bounces off",
            "crashes into another one and is thrown back",
            "bumps into another",
            "hits another and they fly apart",
        ),
    ),
    "merge": (
        _merge,
        (
            "merges with another into one",
            "joins another and they become one",
            "melts together with another",
            "unites with another one",
        ),
    ),
    "split": (
        _split,
        (
            "splits in two",
            "divides into two parts",
            "breaks apart into two",
            "separates into two pieces",
        ),
    ),
    "hide": (
        _hide,
        (
            "disappears behind a wall",
            "hides behind a screen",
            "goes out of sight behind something",
            "is covered by a wall",
        ),
    ),
    "chase": (
        _chase,
        (
            "is chased by another",
            "is followed by another one",
            "leads while another runs after it",
            "flees with another close behind",
        ),
    ),
}
"""Name of the concept to what happens, and four ways to say it."""


def film(name: str, rng: np.random.Generator) -> np.ndarray:
    """`[T, SIZE, SIZE, 3]` uint8: one film of a concept, mirrored half of the times."""
    paths, bars = EVENTS[name][0](rng)
    colours = rng.permutation(len(COLOURS))
    radius, mirrored = float(rng.uniform(0.6, 0.9)), rng.random() < 0.5
    things = tuple(
        Thing(path, radius, COLOURS[colour]) for path, colour in zip(paths, colours, strict=False)
    )
    frames = discs.draw(FRAMES, SIZE, things, bars)
    return np.ascontiguousarray(frames[:, :, ::-1]) if mirrored else frames


def sentences(name: str) -> list[str]:
    """Twelve ways to say a concept."""
    return [f"{subject} {words}" for words in EVENTS[name][1] for subject in SUBJECTS]
