"""Two sets of points that nobody paired: which belongs to which, by their distances alone.

Quadratic assignment by exchanging pairs, from many beginnings; the best by its objective is
taken, and nothing else is looked at. Plain arrays; knows no concept and no word.
"""

from math import comb, factorial

import numpy as np

RESTARTS = 64


def distances(points: np.ndarray) -> np.ndarray:
    """`[N, N]` one minus the cosine between points `[N, D]`, centred first."""
    centred = points - points.mean(0)
    centred = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return 1 - centred @ centred.T


def match(one: np.ndarray, two: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[N]` which of the second set belongs to each of the first.

    Args:
      one: distances `[N, N]` within the first set.
      two: distances within the second.
      rng: draws the beginnings.
    """
    a, b = _even(one), _even(two)
    order = np.stack([rng.permutation(len(a)) for _ in range(RESTARTS)])
    going = np.arange(RESTARTS)  # a beginning that no exchange helps any more is left alone
    while len(going):
        some = order[going]
        moved = b[some[:, :, None], some[:, None, :]]
        cross = a @ moved
        own = np.einsum("rii->ri", cross)
        gain = cross + cross.transpose(0, 2, 1) - own[:, :, None] - own[:, None, :]
        gain = (gain + 2 * a * moved).reshape(len(going), -1)
        best = gain.argmax(1)
        i, j = np.divmod(best, len(a))
        better = gain[np.arange(len(going)), best] > 1e-9
        going, x, y = going[better], i[better], j[better]
        order[going, x], order[going, y] = order[going, y], order[going, x]
    fit = np.einsum("ij,rij->r", a, b[order[:, :, None], order[:, None, :]])
    return order[int(fit.argmax())]


def _even(far: np.ndarray) -> np.ndarray:
    """Distances by rank, from -1 to 1, zero on the diagonal: two spaces have no common scale."""
    upper = np.triu_indices(len(far), 1)
    values = np.round(far[upper], 9)
    below = np.searchsorted(np.sort(values), values, "left")
    upto = np.searchsorted(np.sort(values), values, "right")
    ranks = (below + upto - 1) / 2
    even = np.zeros_like(far)
    even[upper] = 2 * ranks / max(len(values) - 1, 1) - 1
    return even + even.T


def accuracy(one: np.ndarray, two: np.ndarray, rng: np.random.Generator) -> float:
    """Share of points `[N, D]` that are matched with the point of their own number."""
    found = match(distances(one), distances(two), rng)
    return float((found == np.arange(len(one))).mean())


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    """Rank correlation of the distances within two sets, under the true pairs."""
    upper = np.triu_indices(len(one), 1)
    a, b = (_even(distances(points))[upper] for points in (one, two))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-12))


def chance_of(hits: int, count: int) -> float:
    """How often a permutation of so many leaves at least so many in their places."""
    total = 0.0
    for fixed in range(hits, count + 1):
        rest = count - fixed
        lost = sum((-1) ** k / factorial(k) for k in range(rest + 1)) * factorial(rest)
        total += comb(count, fixed) * round(lost)
    return total / factorial(count)
