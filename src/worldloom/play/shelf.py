"""Where what a visitor leaves behind is kept: one folder with a store for each kind of thing.

    SHELF/
      real/      what was done in the environment itself: demonstrations
      dreamed/   what was done in a dream: of the split `dreamed`, which nobody trains on unasked
      wrong/     stretches of dreams that end where a visitor said that they are wrong

Every episode is stored by write and rename, so that a killed server loses at most the one that
was being recorded. A shelf that is full refuses more.
"""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from worldloom.data.ledger import MADE_UP
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError

Kind = Literal["real", "dreamed", "wrong"]
MOST_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Place:
    """Which store a thing goes to, and under which name it is there."""

    store: Path
    episode: str


class Shelf:
    """Stores that are made when the first thing is put into them. May be used by several threads.

    Args:
      folder: that holds them; made when it is needed.
      info: what recordings of the environment have in common.
      limit_bytes: that all of it may fill.
    """

    def __init__(self, folder: Path, info: StoreInfo, *, limit_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self._infos: dict[str, StoreInfo] = {
            "real": replace(info, seed_policy="a visitor's"),
            "dreamed": _made_up(info),
            "wrong": _made_up(info),
        }
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._stores: dict[str, Store] = {}
        self._used: int | None = None

    def put(self, kind: Kind, episode: Episode) -> Place:
        """Stores an episode; it is there in full once this returns, or not at all.

        Raises:
          WorldloomError: it does not fit the store, or the disk or the shelf is full.
        """
        with self._lock:
            used = self._filled()
            if used >= self._limit:
                raise WorldloomError(
                    f"`{self.folder}` holds {used / 2**20:.0f} MB, its limit is "
                    f"{self._limit / 2**20:.0f} MB",
                    "move some of it away",
                )
            store = self._store(kind)
            name = store.append(episode, split=None if kind == "real" else "dreamed")
            self._used = used + sum(size for size, _ in store.row(name).files.values())
            return Place(store.path, name)

    def _filled(self) -> int:
        """Bytes on the shelf; the disk is asked once."""
        if self._used is None:
            files = self.folder.rglob("*")
            self._used = sum(path.stat().st_size for path in files if path.is_file())
        return self._used

    def _store(self, kind: Kind) -> Store:
        if kind not in self._stores:
            self._stores[kind] = Store.open_or_create(self.folder / kind, self._infos[kind])
        return self._stores[kind]


def _made_up(info: StoreInfo) -> StoreInfo:
    """The store of a dream names no environment: nothing in it came from one."""
    return replace(info, env="", env_kwargs={}, seed_policy=MADE_UP)
