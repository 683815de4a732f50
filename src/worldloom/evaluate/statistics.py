"""Intervals and tests whose unit is a whole episode, never a frame.

Knows arrays of sums by cluster; not what was summed. A statistic is a function
of sums that were added up over clusters, so that a ratio or a decibel is
computed anew on every resample and never averaged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from math import ceil, comb, lgamma, log

import numpy as np

from worldloom import seeding
from worldloom.errors import WorldloomError

Statistic = Callable[[np.ndarray], np.ndarray]
"""Maps sums `[R, ...]`, one set for each of R resamples, to `[R, *result]`."""

RESAMPLES = 5_000
FLIPS = 10_000
ENOUGH = 30  # below this many clusters the percentile bootstrap is too narrow
UNDEFINED = 0.05  # the largest share of undefined resamples that still gives an interval

# Two-sided 95% points of Student's t for 1 to 29 degrees of freedom.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045),
)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval, in arrays of one shape; NaN where undefined.

    Args:
      value: `[*result]` the statistic on all clusters.
      low: `[*result]` lower end of the interval.
      high: `[*result]` upper end.
      n: number of independent clusters.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int


def by_cluster(sums: np.ndarray, clusters: np.ndarray | Sequence[str | None]) -> np.ndarray:
    """Adds up the samples of every cluster.

    Args:
      sums: `[N, ...]` one row a sample.
      clusters: `[N]` which cluster each sample belongs to.

    Returns:
      `[C, ...]` float64, in the order of the sorted cluster keys.

    Raises:
      WorldloomError: a sample belongs to none: it would count as independent.
    """
    lost = sum(key is None or key == "" for key in clusters)
    if lost:
        raise WorldloomError(
            f"{lost} of {len(clusters)} samples have no cluster",
            "say which world, episode or template every sample comes from",
        )
    keys, index = np.unique(np.asarray(clusters), return_inverse=True)
    total = np.zeros((len(keys), *sums.shape[1:]))
    np.add.at(total, index, sums)
    return total


def resample(sums: np.ndarray, *, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Draws whole clusters with replacement and adds them up: `[C, ...]` to `[resamples, ...]`."""
    n = len(sums)
    flat = _counts(n, seed, resamples).astype(np.float64) @ sums.reshape(n, -1)
    return flat.reshape(resamples, *sums.shape[1:])


# Drawing counts takes longer than all else of an interval, and the figures of one verdict ask
# for the same ones: they are kept, in bytes, for hardly any exceeds 255. One verdict has up to
# about ten numbers of clusters; with less room than that the next one would find none of them.
@lru_cache(maxsize=16)
def _counts(n: int, seed: int, resamples: int) -> np.ndarray:
    """`[resamples, n]` how often each of n clusters is drawn; must not be written to."""
    drawn = seeding.rng(seed, "bootstrap").multinomial(n, np.full(n, 1 / n), size=resamples)
    counts = drawn.astype(np.min_scalar_type(int(drawn.max())))
    counts.flags.writeable = False
    return counts


class Pool:
    """Sums of clusters, and the resamples on which every statistic of them is computed.

    All statistics of one pool share their resamples, so they are paired.

    Args:
      sums: `[C, ...]` one row a cluster.
      seed: makes the resamples.
      resamples: of the bootstrap.
    """

    def __init__(self, sums: np.ndarray, *, seed: int, resamples: int = RESAMPLES) -> None:
        self.sums = sums
        self.total = sums.sum(0, keepdims=True)
        self._draw = lambda: resample(sums, seed=seed, resamples=resamples)

    @cached_property
    def draws(self) -> np.ndarray:
        """`[resamples, ...]` sums of as many clusters, drawn with replacement."""
        return self._draw()

    def estimate(self, statistic: Statistic, *, smooth: bool = True) -> Estimate:
        """A statistic of all clusters and its 95% interval.

        With 30 clusters or more: percentiles over the resamples. With fewer: a
        t interval around the value, its standard error from leaving out one
        cluster at a time; for a mean this is the usual t interval on cluster
        means. Leaving one out says nothing about a median, so statistics that
        are not `smooth` always take the resamples. One cluster has no interval.

        Args:
          statistic: computes the result from sums over clusters.
          smooth: False for medians and other order statistics.
        """
        value, n = statistic(self.total)[0], len(self.sums)
        if n < 2:
            nothing = np.full_like(value, np.nan)
            return Estimate(value, nothing, nothing, n)
        if smooth and n < ENOUGH:
            low, high = _leave_one_out(self.sums, statistic, value)
        else:
            low, high = _percentiles(statistic(self.draws))
        return Estimate(value, low, high, n)


def _leave_one_out(
    sums: np.ndarray, statistic: Statistic, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n = len(sums)
    without = statistic(sums.sum(0, keepdims=True) - sums)
    error = np.sqrt((n - 1) / n * ((without - without.mean(0)) ** 2).sum(0))
    half = _T[n - 2] * error
    return value - half, value + half


def _percentiles(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95% of the draws, NaN where more than a few of them are undefined."""
    defined = np.isfinite(draws)
    safe = np.where(defined, draws, np.inf)  # sorted to the end
    ordered = np.sort(safe, axis=0)
    count = defined.sum(0)
    enough = count >= (1 - UNDEFINED) * len(draws)
    pick = lambda q: np.take_along_axis(  # noqa: E731
        ordered, np.maximum(np.round(q * (count - 1)), 0).astype(int)[None], 0
    )[0]
    bounds = [np.where(enough, pick(q), np.nan) for q in (0.025, 0.975)]
    return bounds[0], bounds[1]


def swap_test(first: np.ndarray, second: np.ndarray, statistic: Statistic, *, seed: int) -> float:
    """Two-sided p-value that two systems differ, by swapping them within random clusters.

    For a mean of differences this is the sign-flip permutation test; for pooled
    metrics everything is computed anew. All swaps are enumerated where there
    are no more than 10,000 of them, otherwise that many are drawn.

    Args:
      first: `[C, ...]` sums of one system, one row a cluster.
      second: `[C, ...]` sums of the other, on the same clusters.
      statistic: maps sums `[R, ...]` to one number each `[R]`.
      seed: draws the swaps.
    """
    n = len(first)
    swaps = _swaps(n, seed)
    change = (second - first).reshape(n, -1)
    moved = (swaps.astype(np.float64) @ change).reshape(len(swaps), *first.shape[1:])
    total_first, total_second = first.sum(0), second.sum(0)
    gap = statistic(total_first + moved) - statistic(total_second - moved)
    seen = statistic(total_first[None])[0] - statistic(total_second[None])[0]
    hits = int((np.abs(gap) >= abs(seen) * (1 - 1e-9)).sum())
    return (1 + hits) / (1 + len(swaps))


@lru_cache(maxsize=4)
def _swaps(n: int, seed: int) -> np.ndarray:
    """`[R, n]` bool, which of n clusters are swapped; must not be written to."""
    if 2**n <= FLIPS:
        swaps = np.array(list(product((False, True), repeat=n)))[1:]
    else:
        swaps = seeding.rng(seed, "swap").random((FLIPS, n)) < 0.5
    swaps.flags.writeable = False
    return swaps


def unit_sums(clusters: int) -> np.ndarray:
    """Sums for what is no function of sums, such as a rank correlation: `[C, C]`, the identity.

    A statistic of a `Pool` of these is given how often each cluster was drawn, `[R, C]`.
    """
    return np.eye(clusters)


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """p-values of a family of tests, such that p < 0.05 errs anywhere in it one time in twenty.

    Args:
      chances: name of the test to its own p-value.
    """
    adjusted: dict[str, float] = {}
    least = 0.0
    for rank, name in enumerate(sorted(chances, key=lambda name: chances[name])):
        least = max(least, min(1.0, (len(chances) - rank) * chances[name]))
        adjusted[name] = least
    return {name: adjusted[name] for name in chances}


def wilson(hits: float, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a rate, for single items of which none is like another."""
    z = 1.959964
    middle = (hits / n + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (hits / n * (1 - hits / n) / n + (z / (2 * n)) ** 2) ** 0.5
    return middle - half, middle + half


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95% t interval of the mean of 2 or more independent values, such as training seeds."""
    n, mean = len(values), float(np.mean(values))
    half = _t(n - 1) * float(np.std(values, ddof=1)) / n**0.5
    return mean - half, mean + half


def _t(degrees: int) -> float:
    """The two-sided 95% point of Student's t."""
    if degrees <= len(_T):
        return _T[degrees - 1]
    # Cornish and Fisher's expansion about the normal point, right to 0.0001 from 30 on.
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / degrees + second / degrees**2


def clusters_for(half: float, n: int, *, wanted: float) -> int:
    """The fewest clusters with which an interval is no wider than it is wanted.

    Intervals narrow with the square root of the number of clusters.

    Args:
      half: of the interval that n clusters gave.
      n: of them.
      wanted: half of the interval that is wanted.
    """
    return max(2, ceil(n * (half / wanted) ** 2 * (1 - 1e-12)))


def items_for(rate: float, *, wanted: float) -> int:
    """The fewest single items whose Wilson interval at a rate is no wider than it is wanted.

    Args:
      rate: in 0..1.
      wanted: half of the interval that is wanted.
    """
    n = 2
    step = 1 << 20
    while step:
        low, high = wilson(rate * (n + step), n + step)
        n, step = (n + step, step) if (high - low) / 2 > wanted else (n, step // 2)
    low, high = wilson(rate * n, n)
    return n if (high - low) / 2 <= wanted else n + 1


def items_to_tell(rate: float, *, most: int = 100_000) -> int:
    """The fewest items with which a true `rate` is told from 50% four times in five.

    By the exact two-sided binomial test at 5%.

    Args:
      rate: above 0.5.
      most: gives up here.
    """
    n = 6  # fewer can never reach 5%
    while _told(n, rate) < 0.8:
        if n >= most:
            raise WorldloomError(
                f"not even {most:,} items tell a rate of {rate} from 50%",
                "ask about a rate that is further from 50%",
            )
        n += 1
    return n


def _told(n: int, rate: float) -> float:
    """The chance that n items of this rate are significantly more than half right."""
    k = np.arange(n + 1)
    factorials = np.array([lgamma(i + 1) for i in k])
    ways = factorials[-1] - factorials - factorials[::-1]
    fair = np.exp(ways - n * log(2))[::-1].cumsum()[::-1]
    enough = int(np.argmax(fair <= 0.025)) if (fair <= 0.025).any() else n + 1
    return float(np.exp(ways + k * log(rate) + (n - k) * log(1 - rate))[enough:].sum())


def fisher_test(hits: tuple[int, int], of: tuple[int, int]) -> float:
    """Two-sided p-value that two independent shares differ: Fisher's exact test.

    Args:
      hits: of the first and the second.
      of: how many there were of each.
    """
    marked, whole = sum(hits), sum(of)
    ways = [comb(of[0], k) * comb(of[1], marked - k) for k in range(marked + 1)]
    seen = ways[hits[0]]
    return sum(way for way in ways if way <= seen) / comb(whole, marked)
