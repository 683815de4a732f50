"""How long a rollout stays true: its usable horizon, censored where nobody looked further.

Knows when each rollout left the truth; not what it shows nor how it was read.
"""

from dataclasses import dataclass

import numpy as np

DEPARTED, AT_RISK = 0, 1


@dataclass(frozen=True)
class Departures:
    """When each rollout left the truth.

    Args:
      wrong: `[N, T]` bool, the state read from this frame is out of tolerance.
      length: `[N]` frames of which the truth is known; beyond them nothing is.
    """

    wrong: np.ndarray
    length: np.ndarray

    def sums(self) -> np.ndarray:
        """For each window and frame: did it leave here, had it stayed until here. `[N, T, 2]`.

        A rollout that stays true to its end, or whose episode ends, counts as
        at risk until then and as nothing afterwards (right-censored).
        """
        steps = np.arange(self.wrong.shape[1])
        known = steps < self.length[:, None]
        left = self.wrong & known
        before = np.cumsum(left, 1) - left
        at_risk = known & (before == 0)
        return np.stack([left & at_risk, at_risk], -1).astype(np.float64)


def still_true(sums: np.ndarray) -> np.ndarray:
    """The share of rollouts that are still true after each frame (Kaplan-Meier).

    Args:
      sums: `[..., T, 2]` pooled from `Departures.sums`.

    Returns:
      `[..., T]` from 1 down.
    """
    at_risk = sums[..., AT_RISK]
    leave = np.divide(sums[..., DEPARTED], at_risk, out=np.zeros(at_risk.shape), where=at_risk > 0)
    return np.cumprod(1 - leave, -1)


def median_frames(sums: np.ndarray) -> np.ndarray:
    """Frames that the median rollout stays true: 0 where half are wrong at once.

    Where more than half are still true at the last frame that was watched, that
    frame's number: a lower bound.

    Args:
      sums: `[..., T, 2]` pooled from `Departures.sums`.

    Returns:
      `[...]` frames.
    """
    half = still_true(sums) <= 0.5
    watched = (sums[..., AT_RISK] > 0).sum(-1)
    return np.where(half.any(-1), half.argmax(-1), watched).astype(np.float64)


def is_censored(sums: np.ndarray) -> bool:
    """Whether the median of pooled sums `[T, 2]` is only a lower bound."""
    return bool(still_true(sums)[-1] > 0.5)
