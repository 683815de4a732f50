"""Which windows show how something is done: those with moments after which things went well.

Players pursue what nobody sees, and when they have it they stroll: most of what they do leads
nowhere, in states that look like any other. What was done is worth knowing together with
what came of it.
"""

from collections.abc import Sequence

import numpy as np

from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.seeding import rng

DISCOUNT = 0.97  # of a frame: what counts lies some thirty frames ahead


def to_come(reward: np.ndarray, discount: float = DISCOUNT) -> np.ndarray:
    """The reward that follows each frame, the later the less.

    Args:
      reward: `[T]` of one episode; each arrives with its frame.
      discount: of a frame.

    Returns:
      `[T]` float64, 0 at the last frame.
    """
    found = np.zeros(len(reward))
    for frame in range(len(reward) - 2, -1, -1):
        found[frame] = reward[frame + 1] + discount * found[frame + 1]
    return found


def went_well(
    rewards: Sequence[np.ndarray], share: float, groups: Sequence[int] | np.ndarray | None = None
) -> list[np.ndarray]:
    """Which frames of every episode the most reward followed.

    Args:
      rewards: of every episode, `[T]` each.
      share: of the frames of a group, at most; where the best of all are alike and more, all these.
      groups: of every episode; each is compared with its own. None: all are one.

    Returns:
      `[T]` bool for every episode.
    """
    groups = np.zeros(len(rewards), int) if groups is None else np.asarray(groups)
    after = [to_come(reward) for reward in rewards]
    found = [np.zeros(0, bool)] * len(after)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        every = np.concatenate([after[m] for m in members])
        # Without the last of them: where rewards are rare, it is as good as nothing.
        least = np.nextafter(np.quantile(every, 1 - share), np.inf) if share < 1 else every.min()
        for member in members:
            found[member] = after[member] >= min(least, every.max())
    return found


class RelevantSampler(ClipSampler):
    """Windows with a frame after which things went well, each equally likely.

    Where no window has one, any window counts.

    Args: as of `ClipSampler`, and
      well: of every episode `[T]` bool, see `went_well`.
      best: of the episodes, the share with the highest returns that counts at all; among those
        of a weight above 0, all alike.
    """

    def __init__(
        self,
        cache: ClipCache,
        length: int,
        batch: int,
        *,
        seed: int,
        well: Sequence[np.ndarray],
        best: float = 1.0,
        weights: np.ndarray | None = None,
    ) -> None:
        super().__init__(cache, length, batch, seed=seed, weights=weights)
        self._well = well
        self._episodes = _best([cache.rewards(e) for e in range(len(cache))], best, self.weights)
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
        well = self._well[episode]
        before = np.concatenate([[0], np.cumsum(well)])
        starts = np.arange(len(well) - length + 1)
        # What was done after a window's last frame is not in it.
        return starts[before[starts + length - 1] > before[starts]]


def _best(rewards: list[np.ndarray], share: float, weights: np.ndarray | None) -> np.ndarray:
    """Indices of the episodes with the highest returns, ascending; at least one."""
    totals = np.array([reward.sum() for reward in rewards])
    kept = np.arange(len(totals)) if weights is None else np.flatnonzero(weights)
    count = max(1, round(share * len(kept)))
    return np.sort(kept[np.argsort(-totals[kept], kind="stable")[:count]])
