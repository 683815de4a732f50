"""Windows around steps that paid: what is rare and matters is seen often enough to be learned.

Most frames show scenery that scrolls. What a reward marks happens once or twice in an
episode, and what is paid for last, which few players get to, hardly at all.
"""

from collections.abc import Sequence

import numpy as np

from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.seeding import rng

LEAST = 0.5  # of the largest reward: what pays less, such as a scratch that heals, is no payment
FEW = 5  # payments of one rank, below which these episodes are not worth learning by heart


def payments(rewards: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The steps that paid, by rank: all first payments of an episode, all second ones, ...

    Args:
      rewards: of every episode, `[T]` each.

    Returns:
      For every rank that `FEW` episodes reach `[P, 2]` int64, episode and frame.
    """
    most = max((float(reward.max()) for reward in rewards if len(reward)), default=0.0)
    if most <= 0:
        return []
    ranks: list[list[tuple[int, int]]] = []
    for episode, reward in enumerate(rewards):
        for rank, frame in enumerate(np.flatnonzero(reward >= LEAST * most)):
            if rank == len(ranks):
                ranks.append([])
            ranks[rank].append((episode, int(frame)))
    return [np.array(rank) for rank in ranks if len(rank) >= FEW]


class PaidSampler(ClipSampler):
    """Some windows hold a step that paid, each rank equally likely; the others are drawn evenly.

    Args: as of `ClipSampler`, and
      share: of the windows of a batch, rounded down; none where nothing pays.
    """

    def __init__(
        self,
        cache: ClipCache,
        length: int,
        batch: int,
        *,
        seed: int,
        share: float,
        weights: np.ndarray | None = None,
    ) -> None:
        super().__init__(cache, length, batch, seed=seed, weights=weights)
        self.share = share
        self._ranks: list[np.ndarray] = []
        if share > 0:
            self._ranks = payments([cache.rewards(episode) for episode in range(len(cache))])

    def draw(self, step: int, *, length: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Which windows a step sees: `[batch]` episode indices and `[batch]` first frames."""
        episodes, starts = super().draw(step, length=length, batch=batch)
        ranks = [self._fitting(rank, length) for rank in self._ranks]
        ranks = [rank for rank in ranks if len(rank)]
        if not ranks:
            return episodes, starts
        dice = rng(self.seed, "paid", step)
        for row in range(int(self.share * batch)):
            rank = ranks[dice.integers(len(ranks))]
            episode, frame = rank[dice.integers(len(rank))]
            # The frame before is in the window too: what led to the payment is to be seen.
            first = frame - dice.integers(1, max(2, length))
            episodes[row] = episode
            starts[row] = np.clip(first, 0, self.cache.lengths[episode] - length)
        return episodes, starts

    def _fitting(self, rank: np.ndarray, length: int) -> np.ndarray:
        """Payments in episodes that are long enough and have a weight above 0."""
        fits = self.cache.lengths[rank[:, 0]] >= length
        if self.weights is not None:
            fits &= self.weights[rank[:, 0]] > 0
        return rank[fits]
