"""A folder of episodes: append-only, crash-safe, and readable by a person.

    STORE/
      info.json         what every episode of it has in common
      episodes/<name>/  one closed set of files for each episode (`data/folder.py`)
      index.parquet     a cache of the episodes' rows; it may be deleted
      set-aside/        broken episodes, moved there by `worldloom check --repair`

An episode is written into a temporary folder beside the others and renamed into
place, so a writer that dies loses at most the episode it was writing, and any
number of writers may append at once without a lock.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Literal, Self

import numpy as np

from worldloom.actions import ActionSpec
from worldloom.data import columns, files, folder
from worldloom.data.folder import EpisodeRow
from worldloom.data.info import StoreInfo, check_name, read_info
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError

Split = Literal["train", "heldout", "dreamed"]
"""Nobody gets `dreamed` without asking for it: what a model made up is no truth to learn from."""


class Store:
    """A store that is open for reading and appending.

    `episodes` is what was there when it was opened, plus what this object
    appended; `refresh` looks again.
    """

    def __init__(self, path: Path, info: StoreInfo, episodes: list[EpisodeRow]) -> None:
        self.path = path
        self.info = info
        self._rows = {row.name: row for row in episodes}

    @classmethod
    def create(cls, path: str | Path, info: StoreInfo) -> Self:
        """Makes an empty store.

        Raises:
          WorldloomError: something is at `path` already.
        """
        path = Path(path)
        hint = "choose another folder, or append to it with Store.open"
        if path.exists():
            raise WorldloomError(f"`{path}` exists already", hint)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = files.part_path(path)
        (part / "episodes").mkdir(parents=True)
        try:
            files.write_synced(
                part / "info.json", json.dumps(info.to_json(), indent=2).encode() + b"\n"
            )
            files.sync_folder(part)
            os.rename(part, path)
        except OSError as error:
            shutil.rmtree(part)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise WorldloomError(f"`{path}` exists already", hint) from error
            raise files.disk_error(error, f"store `{path}`", "it was not made") from error
        return cls(path, info, [])

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens a store that exists.

        Raises:
          WorldloomError: it is not a store, or an episode's row cannot be read.
        """
        path = Path(path)
        store = cls(path, read_info(path), [])
        store.refresh()
        return store

    @classmethod
    def open_or_create(cls, path: str | Path, info: StoreInfo) -> Self:
        """Opens the store at `path`, which must hold the same kind of episode, or makes it."""
        if not Path(path).exists():
            try:
                return cls.create(path, info)
            except WorldloomError:
                if not Path(path).exists():
                    raise
        store = cls.open(path)
        for name in ("cameras", "action", "fps", "env", "env_kwargs", "sensors"):
            have, want = getattr(store.info, name), getattr(info, name)
            if have != want:
                if isinstance(have, ActionSpec):
                    have, want = have.describe(), want.describe()
                raise WorldloomError(
                    f"store `{path}` has {name} {have}, the new recording has {want}",
                    "record into another folder",
                )
        return store

    @property
    def episodes(self) -> tuple[EpisodeRow, ...]:
        """The index: one row for each episode, ordered by name."""
        return tuple(self._rows[name] for name in sorted(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, name: str) -> EpisodeRow:
        """The index row of one episode."""
        if name not in self._rows:
            raise WorldloomError(
                f"store `{self.path}` has no episode `{name}`", f"ls {self.path}/episodes"
            )
        return self._rows[name]

    def folder(self, name: str) -> Path:
        """Where an episode's files are."""
        return self.path / "episodes" / name

    def split(self, which: Split) -> list[str]:
        """Names of the episodes of one split, ordered."""
        return [row.name for row in self.episodes if row.split == which]

    def append(
        self, episode: Episode, *, split: Split | None = None, number: int | None = None
    ) -> str:
        """Adds an episode; it is there in full once this returns, or not at all.

        Args:
          episode: of this store's cameras, sensors and actions.
          split: where it belongs. Default: by a hash of its seed (of its
            contents where it has none), so that one seed is never in both.
          number: at the front of its name, by which episodes are ordered.
            Default: the one after the highest that this object knows. Several
            writers give it, so that their order does not depend on who was faster.

        Returns:
          The episode's name.

        Raises:
          WorldloomError: it does not fit this store, or the disk is full.
        """
        episode = self._checked(episode)
        packed = folder.pack(episode, fps=self.info.fps, codec=self.info.codec)
        digest = _digest(packed)
        identity = f"seed {episode.seed}" if episode.seed is not None else f"content {digest}"
        split = split or split_of(identity, self.info.heldout)
        part = files.part_path(self.path / "episodes" / digest[:6])
        try:
            part.mkdir()
            with files.locked(part):  # so that a check knows that its writer is alive
                if number is None:
                    number = 1 + max(map(_number, self._rows), default=-1)
                row = self._write_episode(part, episode, packed, (number, digest), split=split)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            outcome = "this episode was not added, the others are safe"
            raise files.disk_error(error, f"store `{self.path}`", outcome) from error
        except BaseException:  # Ctrl-C too leaves nothing behind
            shutil.rmtree(part, ignore_errors=True)
            raise
        self._rows[row.name] = row
        return row.name

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Episode:
        """Reads one episode back as it was appended, or its frames `start` to `stop`."""
        with repairable(self.path):
            return folder.unpack(
                self.folder(name),
                self.row(name),
                cameras=self.info.cameras,
                action=self.info.action,
                start=start,
                stop=stop,
            )

    def learn(self, row: EpisodeRow) -> None:
        """Takes in the row of an episode that another writer just appended: no need to read it."""
        self._rows[row.name] = row

    def refresh(self) -> None:
        """Looks again at which episodes there are; reads only the rows of new ones."""
        present = set(episode_names(self.path))
        cached = _read_index(self.path) if present - set(self._rows) else {}
        known = {**cached, **self._rows}
        with repairable(self.path):
            self._rows = {
                name: known.get(name) or folder.read_row(self.folder(name)) for name in present
            }
        if set(cached) != present:
            _write_index(self.path, list(self.episodes))

    def _checked(self, episode: Episode) -> Episode:
        """The episode with its actions in the dtypes of the spec, or one clear sentence."""
        where = f"episode for store `{self.path}`"
        episode.check(self.info.action, where)
        sizes = {camera: frames.shape[1:3] for camera, frames in episode.frames.items()}
        if sizes != dict(self.info.cameras):
            raise WorldloomError(
                f"{where} has cameras {_sizes(sizes)}, expected {_sizes(self.info.cameras)}",
                "resize the frames, or record into another folder",
            )
        sensors = {name: int(np.prod(v.shape[1:])) for name, v in episode.sensors.items()}
        if sensors != dict(self.info.sensors):
            raise WorldloomError(
                f"{where} has sensors {sensors}, expected {dict(self.info.sensors)}",
                "name every sensor, with its length, in the StoreInfo",
            )
        for still, picture in episode.stills.items():
            check_name("still", still)
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
                raise WorldloomError(
                    f"{where} has still `{still}` of {picture.dtype} {picture.shape}, "
                    "expected uint8 [H, W, 3]",
                    "give stills as RGB bytes",
                )
        dtypes = {c.name: c.dtype for c in self.info.action.components}
        actions = {k: np.asarray(v, dtypes[k]) for k, v in episode.actions.items()}
        copy = {f.name: getattr(episode, f.name) for f in fields(episode)}
        return Episode(**{**copy, "actions": actions})

    def _write_episode(
        self,
        part: Path,
        episode: Episode,
        packed: dict[str, bytes],
        place: tuple[int, str],
        *,
        split: Split,
    ) -> EpisodeRow:
        """Writes the files, the row last, and renames the folder into place."""
        for file, data in packed.items():
            (part / file).parent.mkdir(exist_ok=True)
            files.write_synced(part / file, data)
        number, digest = place
        while True:
            name = f"{number:06d}-{digest[:6]}"
            row = folder.make_row(name, episode, split=split, files=packed)
            files.write_synced(part / folder.ROW, columns.to_bytes(folder.row_table([row])))
            files.sync_folder(part)
            try:
                os.rename(part, self.folder(name))
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                number += 1  # another writer just took this very name, with these very contents
                continue
            files.sync_folder(part.parent)
            return row


@contextmanager
def repairable(path: Path) -> Iterator[None]:
    """Adds the way to repair the store at `path` to an error that has no hint."""
    try:
        yield
    except WorldloomError as error:
        if error.hint:
            raise
        raise WorldloomError(error.message, f"worldloom check {path} --repair") from error


def episode_names(path: Path) -> list[str]:
    """Folders of a store that are episodes, in no order."""
    try:
        with os.scandir(path / "episodes") as entries:
            return [e.name for e in entries if not e.name.startswith(".") and e.is_dir()]
    except FileNotFoundError as error:
        raise WorldloomError(
            f"store `{path}` has no folder `episodes`", f"worldloom check {path} --repair"
        ) from error


def split_of(identity: str, heldout: float) -> Split:
    """The split of an episode, from what identifies it; the same on every machine."""
    digest = hashlib.blake2b(f"split/{identity}".encode(), digest_size=8).digest()
    return "heldout" if int.from_bytes(digest, "little") / 2**64 < heldout else "train"


def _read_index(path: Path) -> dict[str, EpisodeRow]:
    """The cached index; empty where it is missing, broken or of another version."""
    try:
        table = columns.read_table(path / "index.parquet")
        return {row.name: row for row in folder.table_rows(table)}
    except (WorldloomError, KeyError, TypeError, ValueError):
        return {}


def _write_index(path: Path, rows: list[EpisodeRow]) -> None:
    """Writes the index where that is possible; a store on a read-only disk has none."""
    with suppress(OSError):
        files.replace_file(path / "index.parquet", columns.to_bytes(folder.row_table(rows)))


def _digest(files: Mapping[str, bytes]) -> str:
    """A short fingerprint of an episode's contents."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name])
    return digest.hexdigest()


def _number(name: str) -> int:
    """The counter at the front of an episode's name, -1 where it has none."""
    head = name.split("-")[0]
    return int(head) if head.isdecimal() else -1


def _sizes(cameras: Mapping[str, tuple[int, ...]]) -> str:
    """Cameras in a few words, for example `main 64x64`."""
    return ", ".join(f"{k} {v[0]}x{v[1]}" for k, v in sorted(cameras.items())) or "none"
