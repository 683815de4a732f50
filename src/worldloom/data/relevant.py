"""Which windows show how something is done: those from which a reward is soon reached."""

from dataclasses import dataclass

import numpy as np

from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.seeding import rng


@dataclass(frozen=True)
class Relevance:
    """What counts as showing how something is done.

    Args:
      within: a window counts where a reward above 0 arrives in it, or in so many frames after.
      best: of the episodes, the share with the highest returns that counts at all.
    """

    within: int = 64
    best: float = 1.0


class RelevantSampler(ClipSampler):
    """Windows that show how a reward is reached, each equally likely.

    In recordings without any reward above 0 every window counts.

    Args: as of `ClipSampler`, and
      relevance: which windows count; among the episodes of a weight above 0, all alike.
    """

    def __init__(
        self,
        cache: ClipCache,
        length: int,
        batch: int,
        *,
        seed: int,
        relevance: Relevance,
        weights: np.ndarray | None = None,
    ) -> None:
        super().__init__(cache, length, batch, seed=seed, weights=weights)
        self._relevance = relevance
        self._rewards = [cache.rewards(episode) for episode in range(len(cache))]
        shown = range(len(cache)) if self.weights is None else np.flatnonzero(self.weights)
        self._rewarded = any((self._rewards[episode] > 0).any() for episode in shown)
        self._episodes = _best(self._rewards, relevance.best, self.weights)
        self._windows: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def draw(self, step: int, *, length: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Which windows a step sees: `[batch]` episode indices and `[batch]` first frames."""
        episodes, starts = self.windows(length)
        if not len(starts):
            return super().draw(step, length=length, batch=batch)
        picked = rng(self.seed, "relevant", step).integers(len(starts), size=batch)
        return episodes[picked], starts[picked]

    def windows(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Every window that counts: `[W]` episode indices and `[W]` first frames."""
        if length not in self._windows:
            found = [self._starts(int(e), length) for e in self._episodes]
            counts = [len(starts) for starts in found]
            self._windows[length] = (
                np.repeat(self._episodes, counts),
                np.concatenate([np.zeros(0, np.int64), *found]),
            )
        return self._windows[length]

    def _starts(self, episode: int, length: int) -> np.ndarray:
        """First frames of the windows of one episode that count."""
        reward = self._rewards[episode]
        starts = np.arange(len(reward) - length + 1)
        if not self._rewarded:
            return starts
        before = np.concatenate([[0], np.cumsum(reward > 0)])
        ends = np.minimum(starts + length + self._relevance.within, len(reward))
        # A reward that arrived with the first frame shows nothing of how it was reached.
        return starts[before[ends] > before[starts + 1]]


def _best(rewards: list[np.ndarray], share: float, weights: np.ndarray | None) -> np.ndarray:
    """Indices of the episodes with the highest returns, ascending; at least one."""
    totals = np.array([reward.sum() for reward in rewards])
    kept = np.arange(len(totals)) if weights is None else np.flatnonzero(weights)
    count = max(1, round(share * len(kept)))
    return np.sort(kept[np.argsort(-totals[kept], kind="stable")[:count]])
