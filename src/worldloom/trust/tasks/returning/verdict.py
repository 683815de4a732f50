"""The verdict of the test of memory: choices, their half-life, what keys do, and hidden fates.

A row is one trip and a cluster of its own. Half-life is the gap at which choosing has
fallen halfway from its level at the shortest gap to a coin's, by a logistic curve over the
logarithm of the gap.
"""

from collections.abc import Sequence

import numpy as np

from worldloom import seeding
from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure
from worldloom.trust import beaten, pooling
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict

FATES = ("evolves", "freezes", "loses")
LEVEL = 0.55  # the least at the shortest gap from which anything can fall halfway
COIN = "a coin"
WORDS = {"window": "who remembers 8 steps", "copy_first": "the first frame repeated"}
SLOPES = (0.5, 1.0, 2.0, 4.0, 8.0)


def judge(rows: Sequence[Row], *, seed: int) -> Verdict:
    """Passed where the truth is chosen more often than by any null, and keys matter."""
    still = [row for row in rows if row.split != "moving"]
    gaps = sorted({int(row.extra["gap"]) for row in rows})
    listens = _difference(rows, "deaf_error", "error", seed=seed)
    figures = {"remembers": pooling.mean_figure(still, seed=seed, null=_null(still))}
    figures |= {
        f"after {gap} steps": pooling.mean_figure(some, seed=seed, null=_null(some))
        for gap in gaps
        if (some := [row for row in still if row.extra["gap"] == gap])
    }
    figures |= {"half-life": half_life(still, gaps, seed=seed), "listens": listens}
    turns = [row for row in rows if row.split == "turn"]
    figures["memory gain"] = _difference(turns, "other_error", "error", seed=seed)
    moving = [row for row in rows if row.split == "moving"]
    figures |= {fate: _share(moving, fate, seed=seed) for fate in FATES}
    if listens.low is None or listens.low <= 0:
        return Verdict(figures, None, "not measurable: it does not listen to its keys")
    left = beaten.stands(still, {COIN: lambda row: 0.5, **beaten.every(still)}, seed=seed)
    return Verdict(figures, not left, _words(left, figures["half-life"]))


def _words(left: Sequence[str], life: Figure) -> str:
    """Which nulls it is not above, or for how long it remembers."""
    if left:
        than = beaten.told(left, WORDS)
        return f"it is not shown to remember what it left: it chooses no better than {than}"
    if life.value is None:
        return "it remembers what it left"
    more = " or more" if life.why else ""
    return f"it remembers what it left, half of it for {life.value:.0f} steps{more}"


def _null(rows: Sequence[Row]) -> float:
    """The best of the nulls, a coin among them."""
    means = [pooling.mean(rows, pooling.null(name)) for name in pooling.nulls(rows)]
    return max([0.5, *(mean for mean in means if mean is not None)])


def _difference(rows: Sequence[Row], more: str, less: str, *, seed: int) -> Figure:
    """How much larger one error is than another, trip by trip."""
    known = [row for row in rows if row.extra[more] is not None]
    if len(known) < 2:
        return Figure.absent("squared error", "it draws no frames")
    sums = pooling.table(known, [lambda row: row.extra[more] - row.extra[less]])
    best = [
        row.extra["beside"]["ceiling"][more] - row.extra["beside"]["ceiling"][less]
        for row in known
        if row.extra.get("beside", {}).get("ceiling", {}).get(more) is not None
    ]
    # A simulator draws what was never seen as well as what was: it has nothing to gain.
    ceiling = float(np.mean(best)) if best and more != "other_error" else None
    unit = "squared error"
    return pooling.figure(
        sums, pooling.ratio(1, 0), seed=seed, null=0.0, ceiling=ceiling, unit=unit
    )


def _share(rows: Sequence[Row], fate: str, *, seed: int) -> Figure:
    """How often a hidden moving thing met this fate."""
    known = [row for row in rows if row.extra["was"] is not None]
    if len(known) < 2:
        return Figure.absent("1", "it draws no frames")
    sums = pooling.table(known, [lambda row: float(row.extra["was"] == fate)])
    ceiling = float(fate == "evolves")
    return pooling.figure(
        sums, pooling.ratio(1, 0), seed=seed, null=1 / len(FATES), ceiling=ceiling
    )


def half_life(rows: Sequence[Row], gaps: Sequence[int], *, seed: int) -> Figure:
    """D50 with its interval; at the longest gap where memory outlasts it.

    Args:
      rows: of things that stand still.
      gaps: that were tried.
      seed: of the exam.
    """
    sums = np.zeros((len(rows), len(gaps), 2))
    for i, row in enumerate(rows):
        sums[i, gaps.index(int(row.extra["gap"]))] = float(row.value or 0.0), 1.0
    found = statistics.Pool(sums, seed=seeding.stream(seed, "half-life")).estimate(
        lambda s: fitted(s, gaps), smooth=False
    )
    value, low, high = (float(x) for x in (found.value, found.low, found.high))
    if not np.isfinite([value, low, high]).all():
        return Figure.absent("steps", "nothing is remembered even at the shortest gap")
    why = f"memory outlasts the longest gap, {gaps[-1]}" if value >= gaps[-1] else ""
    return Figure(value, low, high, "steps", found.n, float(gaps[0]), float(gaps[-1]), why)


def fitted(sums: np.ndarray, gaps: Sequence[int]) -> np.ndarray:
    """The gap at which a logistic curve has fallen halfway, by weighted least squares.

    Args:
      sums: `[R, G, 2]` choices of the truth, and how many, at each gap.
      gaps: G of them, rising.

    Returns:
      `[R]` steps, at most the longest gap; NaN where there is nothing that could fall.
    """
    count = sums[..., 1]
    rate = np.divide(sums[..., 0], count, out=np.full(count.shape, 0.5), where=count > 0)
    first = rate[:, :1] - 0.5
    known = first[:, 0] > LEVEL - 0.5
    left = (rate - 0.5) / np.where(known[:, None], first, 1.0)
    place = np.log2(np.asarray(gaps, float))
    middle = np.arange(place[0], place[-1] + 2, 0.05)
    slope, centre = (a.ravel() for a in np.meshgrid(SLOPES, middle))
    curve = 1 / (1 + np.exp(slope[:, None] * (place - centre[:, None])))  # [K, G]
    # The squared error of every curve, expanded so that it is two products.
    cost = count @ (curve**2).T - 2 * (count * left) @ curve.T
    best = 2.0 ** centre[cost.argmin(1)]
    return np.where(known, np.minimum(best, gaps[-1]), np.nan)
