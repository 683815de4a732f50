"""Learning on: from earlier weights, on old and new recordings in a stated mixture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldloom.data.cache import ClipCache
from worldloom.errors import WorldloomError


@dataclass(frozen=True)
class Onward:
    """What is learned on from, and on what.

    Args:
      begin: folder of the finished stage whose weights it begins with; empty to begin as ever.
      share: of the windows, those of the fresh episodes.
      fresh: names of the episodes that the earlier weights have not seen.
    """

    begin: str
    share: float
    fresh: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise WorldloomError(
                f"a share of {self.share:g} of new recordings makes no sense",
                "give a number from 0 to 1",
                code=2,
            )


def onward_of(data: Mapping[str, Any] | None) -> Onward | None:
    """What a stage's configuration says."""
    return None if data is None else Onward(data["begin"], data["share"], tuple(data["fresh"]))


def weights(cache: ClipCache, onward: Onward | None, length: int) -> np.ndarray | None:
    """What each episode's chance is multiplied with, `[len(cache)]`; None where all are alike.

    With these weights the share of windows of `length` frames that come from fresh episodes
    is what was asked for. Where there are only old or only fresh windows, all are alike.
    """
    if onward is None:
        return None
    new = fresh(cache, onward)
    starts = np.maximum(cache.lengths - length + 1, 0)
    many, few = starts[~new].sum(), starts[new].sum()
    if not many or not few:
        return None
    return np.where(new, onward.share / few, (1 - onward.share) / many)


def fresh(cache: ClipCache, onward: Onward) -> np.ndarray:
    """Which episodes of the cache are fresh, `[len(cache)]` bool."""
    names = set(onward.fresh)
    return np.array([name in names for name in cache.names])
