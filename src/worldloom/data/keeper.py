"""Stores episodes in a process beside the one that plays them.

Episodes are handed over in shared memory: a pipe holds few of them, and whoever plays
would wait for it while the process starts. A thread would not do: an environment
in Python holds the interpreter, and the encoder would wait for it at every frame.
One process, so that episodes are stored in order: a recorder that is killed leaves
the first ones, without a gap. A second took more from the game than it gave.
"""

import pickle
from collections import deque
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from worldloom.data.folder import EpisodeRow
from worldloom.data.reel import SharedReel, look, sweep
from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.workers import Workers

REELS = 4  # one is being stored, one is played into, the others are full
WAITING = 64 * 2**20  # bytes of more reels: what is played while the process starts

# Name of a reel, shape of the frames, length of the rest of the episode, its number.
Message = tuple[str, tuple[int, ...], int, int]


class Keeper:
    """A process that appends to a store; use as a context.

    Leaving the context, even by Ctrl-C, first stores what was put.

    Args:
      path: of a store that exists.
    """

    def __init__(self, path: Path) -> None:
        sweep()
        self._workers = Workers(partial(_storer, path), 1, script=False)
        self._free: list[SharedReel] = []
        self._busy: deque[SharedReel] = deque()
        self._kept: list[EpisodeRow] = []

    def reel(self) -> SharedReel:
        """Memory for the frames of the next episode; waits until some is free."""
        while self._busy and (self._workers.ready(0) or not (self._free or self._may_grow())):
            self._collect()
        if not self._free:
            self._free.append(SharedReel())
        return self._free[-1]

    def put(self, episode: Episode, reel: SharedReel, number: int) -> None:
        """Hands over an episode whose frames of camera `main` lie in `reel`.

        Args:
          episode: whose other arrays are copied.
          reel: that `reel` gave.
          number: of the episode, by which the store orders it.
        """
        frames = episode.frames["main"]
        rest = {f.name: getattr(episode, f.name) for f in fields(episode) if f.name != "frames"}
        data = pickle.dumps(rest)
        reel.behind(len(frames), data)
        self._free.remove(reel)
        self._busy.append(reel)
        self._workers.send(0, (reel.name, frames.shape, len(data), number))

    def kept(self) -> list[EpisodeRow]:
        """Rows of the episodes stored since the last call."""
        kept, self._kept = self._kept, []
        return kept

    def finish(self) -> None:
        """Waits until everything that was put is stored."""
        while self._busy:
            self._collect()

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
            for reel in (*self._free, *self._busy):
                reel.hide()
            self._workers.close()

    def _may_grow(self) -> bool:
        """Whether one more reel may be made."""
        held = sum(reel.frames.nbytes for reel in self._busy)
        return len(self._busy) < REELS or held < WAITING

    def _collect(self) -> None:
        """Takes the oldest answer, and its reel back."""
        reel = self._busy.popleft()
        self._kept.append(self._workers.receive(0))
        self._free.append(reel)


def _storer(path: Path) -> Callable[[Message], EpisodeRow]:
    """What the process does with an episode."""
    store = Store.open(path)
    seen: dict[str, np.ndarray] = {}

    def answer(message: Message) -> EpisodeRow:
        name, shape, length, number = message
        if name not in seen:
            seen[name] = look(name)
        end = int(np.prod(shape))
        frames = seen[name][:end].reshape(shape)
        rest: dict[str, Any] = pickle.loads(seen[name][end : end + length].data)
        episode = Episode(frames={"main": frames}, **rest)
        return store.row(store.append(episode, number=number))

    return answer
