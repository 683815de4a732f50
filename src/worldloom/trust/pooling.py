"""From rows to figures: means, differences and ratios over clusters, with intervals.

What every task's `judge` needs. The unit is a cluster; a mean weighs every sample alike.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from worldloom import seeding
from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure
from worldloom.trust.rows import Row

Column = Callable[[Row], float | None]
"""Takes a number out of a row."""


def value(row: Row) -> float | None:
    """What the world under test scored."""
    return row.value


def ceiling(row: Row) -> float | None:
    """What the best possible world scored."""
    return row.ceiling


def null(name: str) -> Column:
    """What a null scored."""
    return lambda row: row.null.get(name)


def table(rows: Sequence[Row], columns: Sequence[Column]) -> np.ndarray:
    """Sums by cluster of the rows in which every column has a number.

    Returns:
      `[C, 1 + K]`: how many rows, then the sum of each column.
    """
    found, keys = [], []
    for row in rows:
        numbers = [column(row) for column in columns]
        if all(number is not None for number in numbers):
            found.append([1.0, *(float(n) for n in numbers if n is not None)])
            keys.append(row.cluster)
    sums = np.array(found) if found else np.zeros((0, 1 + len(columns)))
    return statistics.by_cluster(sums, keys)


def mean(rows: Sequence[Row], column: Column) -> float | None:
    """The mean of a column; None where nobody has a number."""
    sums = table(rows, [column]).sum(0)
    return float(sums[1] / sums[0]) if sums[0] else None


def nulls(rows: Sequence[Row]) -> tuple[str, ...]:
    """Names of the nulls that the rows stand next to."""
    return tuple(rows[0].null) if rows else ()


def figure(
    sums: np.ndarray,
    statistic: statistics.Statistic,
    *,
    seed: int,
    null: float,
    ceiling: float | None = None,
    unit: str = "1",
    why: str = "",
    smooth: bool = True,
) -> Figure:
    """A statistic of sums by cluster, with its interval; absent where that is undefined.

    Args:
      sums: `[C, ...]`.
      statistic: of sums `[R, ...]`, one number each `[R]`.
      seed: of the exam.
      null: what a world scores that knows nothing.
      ceiling: what the best possible world scores.
      unit: of the number.
      why: what to know about it.
      smooth: as of `statistics.Pool.estimate`; False for ranks.
    """
    if len(sums) < 2:
        return Figure.absent(unit, why or f"{len(sums)} clusters give no interval")
    found = statistics.Pool(sums, seed=seeding.stream(seed, "interval")).estimate(
        statistic, smooth=smooth
    )
    numbers = [float(x) for x in (found.value, found.low, found.high)]
    if not np.isfinite([*numbers, null]).all():
        return Figure.absent(unit, why or "it is undefined in too many resamples")
    best = None if ceiling is None or not np.isfinite(ceiling) else ceiling
    middle, low, high = numbers
    return Figure(middle, low, high, unit, found.n, null, best, why)


def mean_figure(
    rows: Sequence[Row], *, seed: int, null: float, unit: str = "1", why: str = ""
) -> Figure:
    """The world's mean over rows, with the ceiling's beside it."""
    sums = table(rows, [value])
    best = mean(rows, ceiling)
    return figure(sums, ratio(1, 0), seed=seed, null=null, ceiling=best, unit=unit, why=why)


def ratio(top: int, bottom: int) -> statistics.Statistic:
    """One sum over another."""

    def divide(sums: np.ndarray) -> np.ndarray:
        under = sums[..., bottom]
        out = np.full(under.shape, np.nan)
        return np.divide(sums[..., top], under, out=out, where=under != 0)

    return divide


def gap(sums: np.ndarray) -> np.ndarray:
    """Mean of the first column minus that of the second, of a `table` of two."""
    return ratio(1, 0)(sums) - ratio(2, 0)(sums)


def slope(sums: np.ndarray) -> np.ndarray:
    """Least-squares slope, of sums (n, x, y, xx, xy) `[..., 5]`."""
    n, x, y, xx, xy = np.moveaxis(sums, -1, 0)
    spread = n * xx - x**2
    out = np.full(n.shape, np.nan)
    return np.divide(n * xy - x * y, spread, out=out, where=spread > 1e-12 * np.maximum(n * xx, 1))


def line_sums(rows: Sequence[Row], x: Column, y: Column) -> np.ndarray:
    """Sums by cluster from which `slope` is computed, `[C, 5]`."""
    product: Column = lambda row: _times(x(row), y(row))  # noqa: E731
    square: Column = lambda row: _times(x(row), x(row))  # noqa: E731
    return table(rows, [x, y, square, product])


def _times(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a * b


def chance(rows: Sequence[Row], first: Column, second: Column, *, seed: int) -> float:
    """Two-sided p-value that two columns have different means: sign flips of whole clusters."""
    one, two = (table(rows, pair)[:, :2] for pair in ([first, second], [second, first]))
    if len(one) < 2:
        return 1.0
    return statistics.swap_test(one, two, ratio(1, 0), seed=seeding.stream(seed, "swap"))


def best_null(rows: Sequence[Row], names: Sequence[str]) -> str:
    """The null with the smallest mean error."""
    means: Mapping[str, float | None] = {name: mean(rows, null(name)) for name in names}
    return min(names, key=lambda name: m if (m := means[name]) is not None else np.inf)
