"""Episodes of a store, decoded once into flat memory-mapped arrays.

    FOLDER/
      layout.json        which episodes lie in what order, and how many are decoded
      frames-main.u8     [total, H, W, 3] bytes, episode after episode
      steps/*.npy        [total, ...] actions, reward, ending, sensors

The flat order only ever grows at its end, and `layout.json` is written last:
whoever dies while building loses what was not yet noted, and whoever reads
meanwhile sees the old extent. Episodes beyond `limit_bytes` of frames keep
their steps here, and their frames are read from the video. Knows stores; knows
nothing of how windows are chosen.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data import files, folder, video
from worldloom.data.folder import EpisodeRow
from worldloom.data.store import Split, Store, repairable
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError

FORMAT = 1
LIMIT = 4 * 2**30
_CHUNK = 16 * video.KEYFRAME_EVERY
_NOTE_EVERY = 5.0  # seconds between two notes of how far the decoding is

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Layout:
    """What lies where in a cache; the contents of `layout.json`.

    Args:
      world: fingerprint of the store's cameras, sensors and actions.
      episodes: (name, length, fingerprint of the episode's files), in flat order.
      decoded: how many of them, from the front, have their frames here.
    """

    world: str
    episodes: tuple[tuple[str, int, str], ...] = ()
    decoded: int = 0

    def prefix(self, episodes: int) -> str:
        """Fingerprint of the first so many episodes and their order."""
        return fingerprint([self.world, self.episodes[:episodes]])

    def offsets(self) -> np.ndarray:
        """`[len(episodes) + 1]` int64: where each episode starts in the flat order."""
        lengths = [length for _, length, _ in self.episodes]
        return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


class ClipCache:
    """Random access to windows of the episodes of one split.

    `names`, `lengths` and `offsets` are parallel and ordered by name, whatever
    order the episodes came in, so that a seed means the same windows in a
    cache that grew and in one that was built afresh.

    Attributes:
      names: of the episodes.
      lengths: `[E]` int64 frames of each.
      offsets: `[E]` int64 first row of each in the flat arrays.
      identity: fingerprint of all of it; equal caches give equal windows.
    """

    def __init__(
        self,
        store: Store,
        path: Path,
        names: Sequence[str],
        *,
        layout: Layout,
        latents: np.ndarray | None = None,
    ) -> None:
        self.store = store
        self.path = path
        self.names = tuple(sorted(names))
        self.layout = layout
        self.latents = latents
        place = {name: i for i, (name, _, _) in enumerate(layout.episodes)}
        rows = np.array([place[name] for name in self.names], np.int64)
        flat = layout.offsets()
        self.offsets = flat[:-1][rows]
        self.lengths = np.diff(flat)[rows]
        self._decoded = rows < layout.decoded
        self._steps = _open_steps(path, int(flat[-1]))
        self._frames = _open_frames(path, store, int(flat[layout.decoded]))
        prints = [layout.episodes[row] for row in rows]
        self.identity = hashlib.blake2b(
            json.dumps([layout.world, prints]).encode(), digest_size=8
        ).hexdigest()

    @classmethod
    def open(
        cls,
        store: Store,
        path: str | Path,
        *,
        split: Split = "train",
        names: Sequence[str] | None = None,
        limit_bytes: int = LIMIT,
        progress: Progress | None = None,
    ) -> Self:
        """Opens the cache at `path`, decoding what it does not have yet.

        Args:
          store: where the episodes are.
          path: a folder of this cache's own; made where missing.
          split: which episodes.
          names: these episodes instead, for example those that an earlier run
            saw, so that it resumes exactly although the store has grown.
          limit_bytes: of decoded frames on disk; the rest is read from video.
          progress: called with (episodes decoded, episodes to decode).

        Raises:
          WorldloomError: there are no such episodes, one cannot be read, or the
            disk is full.
        """
        path = Path(path)
        rows = [store.row(name) for name in (store.split(split) if names is None else names)]
        if not rows:
            raise WorldloomError(
                f"store `{store.path}` has no episodes in its {split} split",
                "record some with `worldloom record`",
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            with files.locked(path), repairable(store.path):
                layout = _extend(store, path, rows, limit_bytes, progress)
        except OSError as error:
            raise files.disk_error(error, f"cache `{path}`", "it is not complete") from error
        return cls(store, path, [row.name for row in rows], layout=layout)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def frames_total(self) -> int:
        """Frames of all episodes together."""
        return int(self.lengths.sum())

    def with_latents(self, latents: np.ndarray) -> "ClipCache":
        """The same windows with latents in place of frames.

        Args:
          latents: `[total, N, D]` in this cache's flat order.
        """
        return ClipCache(self.store, self.path, self.names, layout=self.layout, latents=latents)

    def window(self, episode: int, start: int, stop: int) -> Clip:
        """One window as a batch of one.

        Args:
          episode: index into `names`.
          start: first frame.
          stop: after the last frame.
        """
        return self.clip(np.array([episode]), np.array([start]), length=stop - start)

    def clip(self, episodes: np.ndarray, starts: np.ndarray, *, length: int) -> Clip:
        """Windows as a batch; each must lie inside its episode.

        Args:
          episodes: `[B]` indices into `names`.
          starts: `[B]` first frame of each window.
          length: frames T of every window.

        Returns:
          A clip of torch tensors that own their memory.
        """
        bad = (starts < 0) | (starts + length > self.lengths[episodes]) | (length < 1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            name, have = self.names[episodes[row]], self.lengths[episodes[row]]
            raise WorldloomError(
                f"window of {length} frames from {starts[row]} leaves episode `{name}` ({have})",
                "ask for a window inside the episode",
            )
        rows = self.offsets[episodes] + starts
        steps = {name: _gather(column, rows, length) for name, column in self._steps.items()}
        part = lambda prefix: {  # noqa: E731
            k.removeprefix(prefix): v for k, v in steps.items() if k.startswith(prefix)
        }
        return Clip(
            frames={} if self.latents is not None else self._read(episodes, starts, length),
            latents=None if self.latents is None else _gather(self.latents, rows, length),
            actions=Action(part("action/"), steps["action_known"]),
            reward=steps["reward"],
            reward_known=steps["reward_known"],
            terminated=steps["terminated"],
            sensors=part("sensor/"),
        )

    def flat_frames(self, index: int) -> dict[str, torch.Tensor]:
        """Every frame of the episode that comes `index`-th in the flat order.

        Returns:
          Camera name to `[T, H, W, 3]` uint8.
        """
        name, length, _ = self.layout.episodes[index]
        begin = int(self.layout.offsets()[index])
        clips = {}
        for camera, frames in self._frames.items():
            if index < self.layout.decoded:
                array = np.array(frames[begin : begin + length])
            else:
                size = self.store.info.cameras[camera]
                array = video.decode(_video(self.store, name, camera), 0, length, size=size)
            clips[camera] = torch.from_numpy(array)
        return clips

    def _read(
        self, episodes: np.ndarray, starts: np.ndarray, length: int
    ) -> dict[str, torch.Tensor]:
        """Frames of windows, from the flat array or, beyond the limit, from the video."""
        clips = {}
        for camera, frames in self._frames.items():
            size = self.store.info.cameras[camera]
            clip = torch.empty((len(episodes), length, *size, 3), dtype=torch.uint8)
            for out, episode, start in zip(
                clip.numpy(), episodes.tolist(), starts.tolist(), strict=True
            ):
                if self._decoded[episode]:
                    row = self.offsets[episode] + start
                    out[...] = frames[row : row + length]
                else:
                    source = _video(self.store, self.names[episode], camera)
                    with repairable(self.store.path):
                        video.decode(source, start, start + length, size=size, out=out)
            clips[camera] = clip
        return clips


def _gather(column: np.ndarray, rows: np.ndarray, length: int) -> torch.Tensor:
    """Copies `column[row : row + length]` of every row into one tensor `[B, T, ...]`."""
    index = rows[:, None] + np.arange(length)
    return torch.from_numpy(np.take(column, index, axis=0))


def fingerprint(value: Any) -> str:
    """A short fingerprint of a JSON value."""
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=6).hexdigest()


def _world(store: Store) -> str:
    """What the flat arrays' shapes depend on."""
    info = store.info.to_json()
    return fingerprint([FORMAT, info["cameras"], info["action"], dict(info["sensors"])])


def _video(store: Store, name: str, camera: str) -> Path:
    """The video of one camera of one episode."""
    return folder.video_path(store.folder(name), store.row(name), camera)


def _extend(
    store: Store, path: Path, rows: list[EpisodeRow], limit: int, progress: Progress | None
) -> Layout:
    """Brings the cache at `path` to where it holds `rows`, and returns its layout."""
    layout = _read_layout(path, store)
    wanted = {row.name: fingerprint(dict(row.files)) for row in rows}
    sizes = store.info.cameras.values()
    frame_bytes = sum(height * width * 3 for height, width in sizes)
    held = int(layout.offsets()[layout.decoded]) * frame_bytes
    changed = any(wanted.get(name, mark) != mark for name, _, mark in layout.episodes)
    if changed or held > limit or not layout.episodes:
        _clear(path)
        layout = Layout(_world(store))
    have = {name for name, _, _ in layout.episodes}
    new = sorted((row for row in rows if row.name not in have), key=lambda row: row.name)
    if new:
        _append_steps(store, path, layout, new)
        added = tuple((row.name, row.length, wanted[row.name]) for row in new)
        layout = replace(layout, episodes=layout.episodes + added)
        _write_layout(path, layout)
    fits = int(np.searchsorted(layout.offsets() * frame_bytes, limit, side="right")) - 1
    for further in _decode(store, path, layout, fits, progress):
        layout = further
        _write_layout(path, layout)
    return layout


def _read_layout(path: Path, store: Store) -> Layout:
    """The layout on disk, or an empty one where there is none that fits store and files."""
    empty = Layout(_world(store))
    try:
        data = json.loads((path / "layout.json").read_text())
        episodes = tuple((name, length, mark) for name, length, mark in data["episodes"])
        layout = Layout(data["world"], episodes, data["decoded"])
        fits = layout.world == empty.world and _whole(path, store, layout)
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError):
        return empty
    return layout if fits else empty


def _whole(path: Path, store: Store, layout: Layout) -> bool:
    """Whether the arrays hold what the layout says."""
    offsets = layout.offsets()
    decoded, total = int(offsets[layout.decoded]), int(offsets[-1])
    for camera, (height, width) in store.info.cameras.items():
        size = decoded * height * width * 3
        if size and _frames_file(path, camera).stat().st_size < size:
            return False
    steps = _open_steps(path, total)
    return set(steps) == _step_names(store) and all(len(v) == total for v in steps.values())


def _step_names(store: Store) -> set[str]:
    """The columns of steps that a cache keeps."""
    actions = {f"action/{component.name}" for component in store.info.action.components}
    sensors = {f"sensor/{name}" for name in store.info.sensors}
    return actions | sensors | {"action_known", "reward", "reward_known", "terminated"}


def _write_layout(path: Path, layout: Layout) -> None:
    """Notes how far the cache is; a reader finds the old note or the new one."""
    content = {"world": layout.world, "decoded": layout.decoded, "episodes": layout.episodes}
    files.replace_file(path / "layout.json", json.dumps(content).encode())


def _clear(path: Path) -> None:
    """Forgets everything; whoever has the old arrays mapped keeps them."""
    (path / "layout.json").unlink(missing_ok=True)
    for pattern in ("frames-*.u8", "steps/*", "latents-*"):
        for old in path.glob(pattern):
            old.unlink()


def _append_steps(store: Store, path: Path, layout: Layout, new: list[EpisodeRow]) -> None:
    """Writes every step column again, with the new episodes behind the old ones."""
    total = int(layout.offsets()[-1])
    old = _open_steps(path, total) if total else {}
    parts = [_episode_steps(store, row) for row in new]
    (path / "steps").mkdir(exist_ok=True)
    for name in parts[0]:
        columns = [old[name]] if old else []
        column = np.concatenate(columns + [part[name] for part in parts])
        target = path / "steps" / f"{quote(name, safe='')}.npy"
        part = files.part_path(target)
        with open(part, "wb") as handle:
            np.save(handle, column, allow_pickle=False)
        part.replace(target)


def _episode_steps(store: Store, row: EpisodeRow) -> dict[str, np.ndarray]:
    """The columns of one episode that a clip carries."""
    folder.verify(store.folder(row.name), row)
    wanted = _step_names(store) - {"terminated"}
    steps = folder.read_steps(store.folder(row.name), row, wanted)
    columns = {name: steps[name] for name in wanted}
    columns["action_known"][0] = False  # nothing led to the first frame
    columns["terminated"] = np.arange(row.length) == (row.length - 1 if row.terminated else -1)
    return columns


def _decode(
    store: Store, path: Path, layout: Layout, stop: int, progress: Progress | None
) -> Iterator[Layout]:
    """Decodes episodes up to the index `stop`, yielding a layout to note now and then."""
    first, noted = layout.decoded, time.monotonic()
    if first >= stop:
        return
    cameras = store.info.cameras
    begin = int(layout.offsets()[first])
    handles = {camera: _append_frames(path, camera, cameras[camera], begin) for camera in cameras}
    try:
        for index in range(first, stop):
            name, length, _ = layout.episodes[index]
            for camera, handle in handles.items():
                source = _video(store, name, camera)
                for at in range(0, length, _CHUNK):
                    end = min(at + _CHUNK, length)
                    handle.write(video.decode(source, at, end, size=cameras[camera]).data)
            if progress is not None:
                progress(index + 1 - first, stop - first)
            if index + 1 == stop or time.monotonic() - noted > _NOTE_EVERY:
                for handle in handles.values():
                    handle.flush()
                noted = time.monotonic()
                yield replace(layout, decoded=index + 1)
    finally:
        for handle in handles.values():
            handle.close()


def _frames_file(path: Path, camera: str) -> Path:
    """Where the decoded frames of one camera are."""
    return path / f"frames-{camera}.u8"


def _append_frames(path: Path, camera: str, size: tuple[int, int], begin: int) -> Any:
    """Opens a flat file of frames to write after its first `begin` frames."""
    file = _frames_file(path, camera)
    handle = open(file, "r+b" if file.exists() else "w+b")  # noqa: SIM115
    handle.truncate(begin * size[0] * size[1] * 3)
    handle.seek(0, 2)
    return handle


def _open_steps(path: Path, total: int) -> dict[str, np.ndarray]:
    """The step columns, mapped, without the mapping's slow subclass of array."""
    return {
        unquote(file.stem): np.load(file, mmap_mode="r").view(np.ndarray)[:total]
        for file in (path / "steps").glob("*.npy")
        if not file.name.startswith(files.PART)
    }


def _open_frames(path: Path, store: Store, total: int) -> Mapping[str, np.ndarray]:
    """The decoded frames of each camera, mapped: `[total, H, W, 3]`."""
    arrays = {}
    for camera, size in store.info.cameras.items():
        shape = (total, *size, 3)
        file = _frames_file(path, camera)
        empty = np.empty(shape, np.uint8)
        mapped = np.memmap(file, np.uint8, "r", shape=shape) if total else empty
        arrays[camera] = mapped.view(np.ndarray)
    return arrays
