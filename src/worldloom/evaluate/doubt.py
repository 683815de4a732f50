"""How good a doubt is: does it rank errors, may it be believed, and what is left out by heeding it.

Every figure is a function of sums over clusters, so that it is computed anew on each
resample of whole episodes. Knows arrays; not where a doubt comes from.
"""

from dataclasses import dataclass

import numpy as np

from worldloom.evaluate.statistics import Estimate, Pool, by_cluster

RANKS = 128  # places by which a score is sorted; as many different scores are told apart exactly
BELIEFS = 10  # equal steps of probability in which doubt is compared with what happened


@dataclass(frozen=True)
class Doubted:
    """Steps of dreams whose truth is known.

    Args:
      score: `[S]` higher where more is to be doubted.
      doubt: `[S]` the probability that was told.
      low: `[S]` lower end of the interval that was told for the error.
      high: `[S]` upper end.
      error: `[S]` root mean square pixel error, in [0, 1].
      episode: `[S]` which episode each step is of.
      tolerance: error above which a step is wrong.
    """

    score: np.ndarray
    doubt: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    episode: np.ndarray
    tolerance: float

    @property
    def wrong(self) -> np.ndarray:
        """`[S]` bool."""
        return self.error > self.tolerance


def figures(found: Doubted, *, seed: int = 0) -> dict[str, Estimate]:
    """All figures by name, with 95% intervals over episodes.

    `auroc`: chance that a wrong step is doubted more than a right one. `risk_coverage`: how
    much of what an oracle would save is saved by leaving out the most doubtful steps first, 0
    for any that is left out by chance, 1 for the oracle. `ece`: mean distance between doubt
    and how often steps of such doubt were wrong. `coverage`: share of errors inside their 90%
    intervals. `wrong`: share of wrong steps.

    Args:
      found: the steps.
      seed: of the resamples, which all figures share.
    """
    sums = {
        "auroc": (rank_sums(found), auroc),
        "risk_coverage": (risk_sums(found), risk_coverage),
        "ece": (belief_sums(found), calibration_error),
        "coverage": (_share_sums((found.error >= found.low) & (found.error <= found.high)), _share),
        "wrong": (_share_sums(found.wrong), _share),
    }
    return {
        name: Pool(by_cluster(rows, found.episode), seed=seed).estimate(statistic)
        for name, (rows, statistic) in sums.items()
    }


def places(score: np.ndarray, count: int = RANKS) -> np.ndarray:
    """`[S]` the place of every score among `count`, equal scores in one place."""
    values = np.unique(score)
    if len(values) > count:
        values = np.unique(np.quantile(score, np.linspace(0, 1, count + 1)[1:], method="lower"))
    return np.searchsorted(values, score)


def rank_sums(found: Doubted) -> np.ndarray:
    """`[S, RANKS, 2]` right and wrong steps in each place of the score."""
    return _placed(places(found.score), [~found.wrong, found.wrong])


def auroc(sums: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, from sums `[..., RANKS, 2]`; NaN where all are of one kind."""
    right, wrong = sums[..., 0], sums[..., 1]
    below = right.cumsum(-1) - right / 2  # an equal score counts half
    pairs = right.sum(-1) * wrong.sum(-1)
    return _divide((wrong * below).sum(-1), pairs)


def risk_sums(found: Doubted) -> np.ndarray:
    """`[S, RANKS, 4]` steps and errors in each place of the score, then of the error itself."""
    ones = np.ones(len(found.error))
    by_score = _placed(places(found.score), [ones, found.error])
    return np.concatenate([by_score, _placed(places(found.error), [ones, found.error])], -1)


def risk_coverage(sums: np.ndarray) -> np.ndarray:
    """(random - score) / (random - oracle), in areas under risk-coverage curves.

    Args:
      sums: `[..., RANKS, 4]` of `risk_sums`.
    """
    chance = _divide(sums[..., 1].sum(-1), sums[..., 0].sum(-1))
    score, oracle = (area(sums[..., k], sums[..., k + 1]) for k in (0, 2))
    return _divide(chance - score, chance - oracle)


def area(count: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """Mean over all coverages of the mean risk among what is least doubted.

    Args:
      count: `[..., RANKS]` steps in each place.
      risk: `[..., RANKS]` their summed risk.
    """
    kept = _divide(risk.cumsum(-1), count.cumsum(-1))
    return _divide((np.nan_to_num(kept) * count).sum(-1), count.sum(-1))


def belief_sums(found: Doubted) -> np.ndarray:
    """`[S, BELIEFS, 3]` steps, their doubt, and the wrong ones, by doubt."""
    place = np.minimum((found.doubt * BELIEFS).astype(int), BELIEFS - 1)
    return _placed(place, [np.ones(len(place)), found.doubt, found.wrong], BELIEFS)


def calibration_error(sums: np.ndarray) -> np.ndarray:
    """Expected calibration error, from sums `[..., BELIEFS, 3]`."""
    gap = np.abs(sums[..., 1] - sums[..., 2]).sum(-1)
    return _divide(gap, sums[..., 0].sum(-1))


def _placed(place: np.ndarray, columns: list[np.ndarray], count: int = RANKS) -> np.ndarray:
    """`[S, count, K]` with the columns of each step in its place, 0 elsewhere."""
    rows = np.zeros((len(place), count, len(columns)))
    rows[np.arange(len(place)), place] = np.stack(columns, -1)
    return rows


def _share_sums(hits: np.ndarray) -> np.ndarray:
    return np.stack([hits, np.ones(len(hits))], -1).astype(np.float64)


def _share(sums: np.ndarray) -> np.ndarray:
    return _divide(sums[..., 0], sums[..., 1])


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divides, NaN where there is nothing to divide by."""
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
