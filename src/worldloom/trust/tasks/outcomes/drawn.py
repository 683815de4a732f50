"""Futures that were drawn, against those that can be: an energy score, and which they are.

Only pixels in which possible outcomes differ are looked at; what is certain is another task's
business. A distance of 1 is the mean one between two throws of fair dice.
"""

from dataclasses import dataclass

import numpy as np

from worldloom.trust.task import Answer
from worldloom.trust.tasks.outcomes.chances import Futures

ROOM = 1 / 3
"""Of the distance between two outcomes: what is nearer to one is that one. A ghost halfway
between both is neither."""


@dataclass(frozen=True)
class Placed:
    """N pictures among M possible outcomes.

    Args:
      to_truth: `[N]` mean distance to what fair dice show.
      among: `[N, N]` distances between them.
      which: `[N]` the outcome that each is; -1 where it is none.
    """

    to_truth: np.ndarray
    among: np.ndarray
    which: np.ndarray


def place(found: Futures, ends: np.ndarray) -> Placed:
    """Where last frames `[N, H, W, 3]` stand among what can follow."""
    truth = found.films[:, -1]
    varies = (truth != truth[:1]).any((0, 3))
    modes, shown = (x[:, varies].reshape(len(x), -1).astype(np.float64) for x in (truth, ends))
    between, to_modes = _apart(modes, modes), _apart(shown, modes)
    unit = found.chance @ between @ found.chance
    room = ROOM * (between + np.diag(np.full(len(modes), np.inf))).min(1)
    nearest = to_modes.argmin(1)
    near = to_modes[np.arange(len(shown)), nearest] < room[nearest]
    which = np.where(near, nearest, -1)
    return Placed(to_modes @ found.chance / unit, _apart(shown, shown) / unit, which)


def compare(found: Futures, ends: np.ndarray) -> Answer:
    """What samples `[S, H, W, 3]` of the last frame are worth.

    Returns:
      The energy score; how many samples are possible outcomes; how many of these are different
      ones, and rare ones, and how many of both fair dice would show on average.
    """
    there, count = place(found, ends), len(ends)
    spread = there.among.sum() / (count * (count - 1))  # no sample is compared with itself
    shown = np.isin(np.arange(len(found.chance)), there.which).astype(float)
    possible = float((there.which >= 0).sum())
    return _answer(found, float(there.to_truth.mean() - spread / 2), (possible, count), shown)


def weigh(found: Futures, ends: np.ndarray, weight: np.ndarray, count: int) -> Answer:
    """What weights `[N]`, which add up to 1, of given last frames `[N, H, W, 3]` are worth.

    The same as of `count` samples that are drawn by these weights, on average.
    """
    there = place(found, ends)
    energy = float(weight @ there.to_truth - weight @ there.among @ weight / 2)
    share = np.bincount(there.which + 1, weight, 1 + len(found.chance))[1:]
    hit = 1 - (1 - np.minimum(share, 1)) ** count
    return _answer(found, energy, (float(count * share.sum()), count), hit)


def _answer(found: Futures, energy: float, possible: tuple[float, int], hit: np.ndarray) -> Answer:
    """An answer, from how many of how many samples are possible, and `[M]` what was hit."""
    likely = 1 - (1 - found.chance) ** possible[1]
    extra = {
        "samples": possible[1],
        "possible": possible[0],
        "hit": float(hit.sum()),
        "likely_hits": float(likely.sum()),
        "rare_hit": float(hit[found.rare].sum()),
        "likely_rare_hits": float(likely[found.rare].sum()),
    }
    return Answer(energy, extra)


def _apart(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Euclidean distances `[N, M]`."""
    square = (one**2).sum(1)[:, None] - 2 * one @ two.T + (two**2).sum(1)
    return np.sqrt(np.maximum(square, 0))
