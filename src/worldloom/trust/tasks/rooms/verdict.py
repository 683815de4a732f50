"""The verdict of the floor-plan test: pooled Matthews correlations, swaps of whole apartments.

What a system got right and wrong in an apartment is in the rows; sums of these are
pooled, and every figure is computed anew on every resample.
"""

from collections.abc import Sequence

import numpy as np

from worldloom import seeding
from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure
from worldloom.trust import beaten
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict
from worldloom.trust.tasks.rooms.planreader import matthews

VIEWS = (32, 16, 8)
"""Views of an apartment; the first is what the verdict is about."""


def counts(rows: Sequence[Row], system: str, kind: str) -> np.ndarray:
    """`[C, 4]` what a system got right and wrong in each apartment.

    Args:
      rows: one an apartment.
      system: "" for the world under test, else the name of a null, or "ceiling".
      kind: "hidden", "all", "shuffled".
    """
    said = [row.extra["beside"][system] if system else row.extra for row in rows]
    return np.array([facts[kind] for facts in said], np.float64).reshape(-1, 4)


def judge(rows: Sequence[Row], *, seed: int) -> Verdict:
    """The verdict: above every null, with the errors of a family of tests kept at one in twenty."""
    sizes = sorted({int(row.split.split()[0]) for row in rows}, reverse=True)
    first = [row for row in rows if row.split == f"{sizes[0]} views"]
    own, best = counts(first, "", "hidden"), counts(first, "ceiling", "hidden")
    nulls = {n: counts(first, n, "hidden") for n in first[0].null if n != "covisible"}
    nulls["shuffled"] = counts(first, "", "shuffled")
    everything = counts(first, "", "all")
    tests = {n: (own, other) for n, other in nulls.items()}
    tests["covisible"] = (everything, counts(first, "covisible", "all"))
    lost = beaten.unbeaten(tests, matthews, seed=seeding.stream(seed, "rooms swap"))
    strongest = max(nulls, key=lambda n: _total(nulls[n]))
    figures = {
        "hidden": _correlation(own, nulls[strongest], best, seed=seed, why=f"null: {strongest}"),
        "all": _correlation(
            everything, tests["covisible"][1], counts(first, "ceiling", "all"), seed=seed
        ),
        "to the ceiling": _difference(own, best, seed=seed),
        "area": _mean(first, "area", "covisible", seed=seed),
        "rooms": _mean(first, "rooms", "no views", seed=seed),
    }
    for views in sizes[1:]:
        some = [row for row in rows if row.split == f"{views} views"]
        parts = [counts(some, name, "hidden") for name in ("", "touching", "ceiling")]
        figures[f"hidden, {views} views"] = _correlation(*parts, seed=seed, why="null: touching")
    words = f"is not above: {beaten.told(lost)}" if lost else "is above all nulls"
    sentence = f"of rooms never seen together, its plan {words}"
    return Verdict(figures, not lost, sentence)


def _total(sums: np.ndarray) -> float:
    return float(matthews(sums.sum(0)))


def _pool(sums: np.ndarray, seed: int) -> statistics.Pool:
    return statistics.Pool(sums, seed=seeding.stream(seed, "rooms interval"))


def _correlation(
    own: np.ndarray, null: np.ndarray, best: np.ndarray, *, seed: int, why: str = ""
) -> Figure:
    """A pooled Matthews correlation and what it stands next to."""
    found = _pool(own, seed).estimate(matthews)
    ends = float(found.value), float(found.low), float(found.high)
    return Figure(*ends, "MCC", found.n, _total(null), _total(best), why)


def _difference(own: np.ndarray, best: np.ndarray, *, seed: int) -> Figure:
    """How far below the ceiling, in pooled Matthews correlation."""
    gap = lambda sums: matthews(sums[..., 0, :]) - matthews(sums[..., 1, :])  # noqa: E731
    found = _pool(np.stack([own, best], 1), seed).estimate(gap)
    ends = float(found.value), float(found.low), float(found.high)
    return Figure(*ends, "MCC", found.n, -_total(best), 0.0)


def _mean(rows: Sequence[Row], what: str, null: str, *, seed: int) -> Figure:
    """A mean over apartments in which the world under test has the number."""
    numbers = [row.extra[what] for row in rows if row.extra[what] is not None]
    if len(numbers) < 2:
        return Figure.absent("1", "it draws no sizes and counts no rooms")
    sums = np.column_stack([numbers, np.ones(len(numbers))]).astype(np.float64)
    found = _pool(sums, seed).estimate(lambda s: s[..., 0] / s[..., 1])
    ends = float(found.value), float(found.low), float(found.high)
    beside = [_plain_mean(rows, system, what) for system in (null, "ceiling")]
    unit = "rooms" if what == "rooms" else "1"
    return Figure(*ends, unit, found.n, 0.0 if beside[0] is None else beside[0], beside[1])


def _plain_mean(rows: Sequence[Row], system: str, what: str) -> float | None:
    numbers = [row.extra["beside"][system][what] for row in rows]
    known = [number for number in numbers if number is not None]
    return float(np.mean(known)) if known else None
