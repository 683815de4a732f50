"""Stores episodes in processes beside the one that plays them.

Frames are handed over in shared memory. A thread would not do: an environment
in Python holds the interpreter, and the encoder would wait for it at every frame.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from worldloom.data.folder import EpisodeRow
from worldloom.data.reel import SharedReel, look
from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.workers import Workers

PROCESSES = 2  # one encodes while the other waits for the disk
REELS = 2  # of each process: one is being stored, the other is full or played into

# Name of a reel, shape of the frames, fields of the episode without them, its number.
Message = tuple[str, tuple[int, ...], dict[str, Any], int]


class Keeper:
    """Processes that append to a store; use as a context.

    Leaving the context, even by Ctrl-C, first stores what was put.

    Args:
      path: of a store that exists.
    """

    def __init__(self, path: Path) -> None:
        self._workers = Workers(partial(_storer, path), PROCESSES, script=False)
        # A reel stays with its process, which looks at the memory once.
        self._free = [[SharedReel() for _ in range(REELS)] for _ in range(PROCESSES)]
        self._busy: list[deque[SharedReel]] = [deque() for _ in range(PROCESSES)]
        self._kept: list[EpisodeRow] = []

    def reel(self) -> SharedReel:
        """Memory for the frames of the next episode; waits until some is free."""
        for worker, reels in enumerate(self._busy):
            while reels and self._workers.ready(worker):
                self._collect(worker)
        if not any(self._free):
            self._collect(self._workers.wait(range(PROCESSES))[0])
        return max(self._free, key=len)[-1]

    def put(self, episode: Episode, reel: SharedReel, number: int) -> None:
        """Hands over an episode whose frames of camera `main` lie in `reel`.

        Args:
          episode: whose other arrays are copied.
          reel: that `reel` gave.
          number: of the episode, by which the store orders it.
        """
        frames = episode.frames["main"]
        rest = {f.name: getattr(episode, f.name) for f in fields(episode) if f.name != "frames"}
        worker = next(i for i, free in enumerate(self._free) if reel in free)
        self._free[worker].remove(reel)
        self._busy[worker].append(reel)
        self._workers.send(worker, (reel.name, frames.shape, rest, number))

    def kept(self) -> list[EpisodeRow]:
        """Rows of the episodes stored since the last call."""
        kept, self._kept = self._kept, []
        return kept

    def finish(self) -> None:
        """Waits until everything that was put is stored."""
        for worker, reels in enumerate(self._busy):
            while reels:
                self._collect(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.finish()
        finally:
            for reel in (reel for reels in [*self._free, *self._busy] for reel in reels):
                reel.hide()
            self._workers.close()

    def _collect(self, worker: int) -> None:
        """Takes a process's oldest answer, and the reel back."""
        reel = self._busy[worker].popleft()
        self._kept.append(self._workers.receive(worker))
        self._free[worker].append(reel)


def _storer(path: Path) -> Callable[[Message], EpisodeRow]:
    """What the process does with an episode."""
    store = Store.open(path)
    seen: dict[str, np.ndarray] = {}

    def answer(message: Message) -> EpisodeRow:
        name, shape, rest, number = message
        if name not in seen:
            seen[name] = look(name)
        frames = seen[name][: int(np.prod(shape))].reshape(shape)
        episode = Episode(frames={"main": frames}, **rest)
        return store.row(store.append(episode, number=number))

    return answer
