"""Which windows a training step sees: a pure function of (seed, step).

There is no sampler state: the step number is the exact position to resume at.
Knows the cache; knows nothing of models.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import numpy as np
import torch

from worldloom.data.cache import ClipCache
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.seeding import rng

__all__ = ["ClipCache", "ClipSampler", "prefetch"]


class ClipSampler:
    """Random windows, each start of each episode equally likely.

    Args:
      cache: where the windows come from.
      length: frames T of a window, where `batch` does not say otherwise.
      batch: windows B of a step over all ranks, where `batch` does not say otherwise.
      seed: of the whole order.
      weights: `[len(cache)]` at least 0, multiplies each episode's chance.

    Raises:
      WorldloomError: no episode has `length` frames and a weight above 0.
    """

    def __init__(
        self,
        cache: ClipCache,
        length: int,
        batch: int,
        *,
        seed: int,
        weights: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        if length < 1 or batch < 1:
            raise WorldloomError(f"windows of {length} frames, {batch} a batch: give at least 1")
        self.cache = cache
        self.length = length
        self.size = batch
        self.seed = seed
        self.weights = None if weights is None else _check_weights(cache, weights)
        self._chances: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._chance(length)

    def skipped(self, length: int | None = None) -> int:
        """How many episodes are too short for a window of `length` frames."""
        return int((self.cache.lengths < (length or self.length)).sum())

    def batch(
        self,
        step: int,
        *,
        length: int | None = None,
        batch: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Clip:
        """The windows of one training step.

        Args:
          step: training step; with the seed it decides everything.
          length: frames of a window, for steps that alternate lengths.
          batch: windows of this step, over all ranks.
          rank: which part of the batch to read.
          world_size: parts; the parts of all ranks in order are the whole batch.

        Returns:
          A clip of `batch / world_size` windows.
        """
        size, length = batch or self.size, length or self.length
        if size % world_size:
            raise WorldloomError(
                f"a batch of {size} cannot be divided among {world_size} ranks",
                "choose a multiple of the number of ranks",
            )
        episodes, starts = self.draw(step, length=length, batch=size)
        share = size // world_size
        mine = slice(rank * share, (rank + 1) * share)
        clip = self.cache.clip(episodes[mine], starts[mine], length=length)
        if self.weights is None:
            return clip
        weight = torch.from_numpy(self.weights[episodes[mine]].astype(np.float32))
        return replace(clip, weight=weight)

    def draw(self, step: int, *, length: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Which windows a step sees: `[batch]` episode indices and `[batch]` first frames."""
        ends, per_start = self._chance(length)
        point = rng(self.seed, "clips", step).random(batch) * ends[-1]
        point = np.minimum(point, np.nextafter(ends[-1], 0))  # the product may round up
        episodes = np.searchsorted(ends, point, side="right")
        before = np.concatenate([[0.0], ends[:-1]])[episodes]
        starts = ((point - before) / per_start[episodes]).astype(np.int64)
        return episodes, np.minimum(starts, self.cache.lengths[episodes] - length)

    def _chance(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Cumulative chance of the episodes, and the chance of one start in each."""
        if length not in self._chances:
            starts = np.maximum(self.cache.lengths - length + 1, 0)
            weights = np.ones(len(starts)) if self.weights is None else self.weights
            if not (starts * weights > 0).any():
                raise WorldloomError(
                    f"no episode can give a window of {length} frames: the longest of "
                    f"{len(starts)} in `{self.cache.store.path}` has {self.cache.lengths.max()}",
                    "train with shorter clips, or record longer episodes",
                )
            self._chances[length] = (np.cumsum(starts * weights), weights)
        return self._chances[length]


def prefetch(read: Callable[[int], Clip], first: int, *, depth: int = 2) -> Iterator[Clip]:
    """Reads the clips of steps `first`, `first + 1`, ... ahead, in one thread, in order.

    Args:
      read: the clip of one step, for example `sampler.batch`.
      first: the step to begin with.
      depth: clips that may wait.

    Yields:
      The clip of each step; what `read` raises is raised here. Close the
      iterator to stop the thread.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="clips")
    try:
        waiting = deque(pool.submit(read, first + ahead) for ahead in range(depth))
        for step in count(first + depth):
            clip = waiting.popleft().result()
            waiting.append(pool.submit(read, step))
            yield clip
    finally:
        pool.shutdown(cancel_futures=True)


def _check_weights(cache: ClipCache, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """Weights as float64, or one clear sentence."""
    array = np.asarray(weights, np.float64)
    if array.shape != (len(cache),) or not np.isfinite(array).all() or (array < 0).any():
        raise WorldloomError(
            f"weights of shape {array.shape} do not fit {len(cache)} episodes",
            "give one finite number of at least 0 for each episode",
        )
    return array
