"""Linear probes: what can be read off features by ridge regression, and law by few terms.

Plain arrays in, plain arrays out; knows no probe and no task.
"""

from dataclasses import dataclass

import numpy as np

STRENGTHS = (1e-4, 1e-2, 1.0, 1e2)
"""Of the penalty, relative to the mean square of the features."""


@dataclass(frozen=True)
class Line:
    """A linear read-out.

    Args:
      weight: `[D]` in units of the target for one unit of a feature.
      offset: what is added.
    """

    weight: np.ndarray
    offset: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """`[B, D]` to `[B]`."""
        return features @ self.weight + self.offset


def ridge(features: np.ndarray, target: np.ndarray, strength: float) -> Line:
    """Ridge regression, solved among samples: features may be many.

    Args:
      features: `[B, D]`.
      target: `[B]`.
      strength: of the penalty, times the mean squared length of a centred sample.
    """
    middle, mean = features.mean(0), target.mean()
    centred = features - middle
    products = centred @ centred.T
    penalty = strength * max(np.trace(products) / len(target), 1e-12)
    alpha = np.linalg.solve(products + penalty * np.eye(len(target)), target - mean)
    weight = centred.T @ alpha
    return Line(weight, float(mean - middle @ weight))


def chosen(features: np.ndarray, target: np.ndarray) -> tuple[Line, float]:
    """The ridge whose penalty did best on the last third of the samples, fitted to all.

    Returns:
      The read-out, and its mean squared error on that third when it was fitted to the rest.
    """
    cut = len(target) - len(target) // 3
    errors = [
        float(
            np.square(ridge(features[:cut], target[:cut], s)(features[cut:]) - target[cut:]).mean()
        )
        for s in STRENGTHS
    ]
    best = int(np.argmin(errors))
    return ridge(features, target, STRENGTHS[best]), errors[best]


TERMS = ("1", "x", "y", "vx", "vy", "xx", "yy", "vxvx", "vyvy", "xy")
WIDTH = 5
"""Frames over which the law is tested at once (its weak form)."""


def law(tracks: list[np.ndarray], dt: float, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The accelerations as few terms of place and speed, by sparse regression.

    In the weak form: both sides are averaged over short stretches with a smooth weight, so
    that no noisy picture is differentiated twice.

    Args:
      tracks: places `[T, 2]` of single flights.
      dt: seconds between two of them.
      threshold: terms that together explain less than this, in root mean square, are none.

    Returns:
      Coefficients of `TERMS` `[2, terms]`, for x and y; and their supports, bool.
    """
    second, smooth = _weights(dt)
    library, accelerations = [], []
    for track in (t for t in tracks if len(t) >= WIDTH):
        speed = np.gradient(track, dt, axis=0)
        (x, y), (vx, vy) = track.T, speed.T
        columns = np.stack(
            [np.ones_like(x), x, y, vx, vy, x * x, y * y, vx * vx, vy * vy, x * y], 1
        )
        for start in range(len(track) - WIDTH + 1):
            part = slice(start, start + WIDTH)
            library.append(smooth @ columns[part])
            accelerations.append(second @ track[part])
    if len(library) < len(TERMS) + 2:
        return np.full((2, len(TERMS)), np.nan), np.zeros((2, len(TERMS)), bool)
    return _sparse(np.array(library), np.array(accelerations), threshold)


def _weights(dt: float) -> tuple[np.ndarray, np.ndarray]:
    """`[WIDTH]` each: gives the mean acceleration of places, and the mean of anything else."""
    s = np.linspace(-1, 1, WIDTH)
    smooth = (1 - s**2) ** 2
    second = 12 * s**2 - 4
    line = np.stack([np.ones(WIDTH), s])
    second = second - line.T @ np.linalg.solve(line @ line.T, line @ second)
    half = dt * (WIDTH - 1) / 2
    return second / (second @ (half * s) ** 2 / 2), smooth / smooth.sum()


def _sparse(
    library: np.ndarray, target: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Takes in the term that explains most, until all others together explain little.

    By what a term explains, and not by the size of its coefficient: in a few short flights
    many terms nearly stand for each other, and have large coefficients that cancel.
    """
    size = np.sqrt(np.square(library).mean(0)) + 1e-12
    found = np.zeros((2, library.shape[1]))
    kept = np.zeros((2, library.shape[1]), bool)
    for axis in range(2):
        terms: list[int] = []
        every = list(range(library.shape[1]))
        enough = _left_over(library / size, target[:, axis], every)[1] + threshold**2
        while _left_over(library / size, target[:, axis], terms)[1] > enough:
            more = [[*terms, t] for t in every if t not in terms]
            missed = [_left_over(library / size, target[:, axis], part)[1] for part in more]
            terms = more[int(np.argmin(missed))]
        kept[axis, terms] = True
        found[axis, terms] = _left_over(library / size, target[:, axis], terms)[0] / size[terms]
    return found, kept


def _left_over(
    library: np.ndarray, target: np.ndarray, terms: list[int]
) -> tuple[np.ndarray, float]:
    """The best coefficients of some terms, and the mean square that they leave."""
    if not terms:
        return np.zeros(0), float(np.square(target).mean())
    part = library[:, terms]
    weights = np.linalg.lstsq(part, target, rcond=1e-9)[0]
    return weights, float(np.square(part @ weights - target).mean())
