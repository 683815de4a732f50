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
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from worldloom.actions import ActionSpec
from worldloom.data import columns, files, folder, video
from worldloom.data.folder import EpisodeRow
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError

FORMAT = 1
Split = Literal["train", "heldout"]

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class StoreInfo:
    """What every episode of a store has in common; the contents of `info.json`.

    Args:
      action: what could be done.
      cameras: camera name to (height, width) in pixels.
      fps: frames a second.
      env: id of the environment, empty where there is none.
      env_kwargs: what it was made with; JSON values.
      seed_policy: in words, where episode seeds come from.
      heldout: share of the seeds that go to the held-out split.
      codec: how frames above 128x128 are kept: "lossless", "h264" or "av1".
        Smaller frames are always lossless.
      sensors: sensor name to its length.
      format: version of the layout on disk.
    """

    action: ActionSpec
    cameras: Mapping[str, tuple[int, int]]
    fps: float
    env: str = ""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed_policy: str = ""
    heldout: float = 0.1
    codec: video.Codec = "lossless"
    sensors: Mapping[str, int] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.codec not in ("lossless", "h264", "av1"):
            raise WorldloomError(f"codec `{self.codec}` is unknown", "choose lossless, h264 or av1")
        if not self.cameras:
            raise WorldloomError("a store needs a camera", 'for example {"main": (64, 64)}')
        if not self.fps > 0:
            raise WorldloomError(
                f"a store needs frames a second above 0, got {self.fps}", "for example 20"
            )
        if not 0 <= self.heldout <= 1:
            raise WorldloomError(
                f"the held-out share is {self.heldout}, expected 0 to 1", "for example 0.1"
            )
        for name in self.cameras:
            _check_name("camera", name)
        object.__setattr__(self, "cameras", {k: tuple(v) for k, v in self.cameras.items()})

    def to_json(self) -> dict[str, Any]:
        """The contents of `info.json`."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "action"}
        cameras = {name: list(size) for name, size in self.cameras.items()}
        return {**plain, "cameras": cameras, "action": self.action.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The info that `to_json` came from."""
        return cls(**{**data, "action": ActionSpec.from_json(data["action"])})


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
            _check_name("still", still)
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


def read_info(path: Path) -> StoreInfo:
    """The info of the store at `path`, or one clear sentence."""
    file = path / "info.json"
    if not file.exists():
        raise WorldloomError(
            f"`{path}` is not a store: it has no info.json",
            "give the folder that `worldloom record` wrote",
        )
    try:
        data = json.loads(file.read_text())
        version = data.get("format")
        if version == FORMAT:
            return StoreInfo.from_json(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorldloomError(
            f"file `{file}` cannot be read: {error}", "restore it from a copy of the store"
        ) from error
    raise WorldloomError(
        f"store `{path}` has format {version}, this worldloom reads format {FORMAT}",
        "update worldloom",
    )


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


def _check_name(kind: str, name: str) -> None:
    """Raises where a name cannot be the name of a file."""
    if not _NAME.fullmatch(name):
        raise WorldloomError(
            f"{kind} name `{name}` cannot be a file name", "use letters and digits"
        )


def _sizes(cameras: Mapping[str, tuple[int, ...]]) -> str:
    """Cameras in a few words, for example `main 64x64`."""
    return ", ".join(f"{k} {v[0]}x{v[1]}" for k, v in sorted(cameras.items())) or "none"
