"""The flat arrays of a cache on disk: what lies where, and how they grow.

    FOLDER/
      layout.json        which episodes lie in what order, and how many are decoded
      frames-main.u8     [total, H, W, 3] bytes, episode after episode
      steps/*.npy        [total, ...] actions, reward, ending, sensors

The flat order only ever grows at its end, and `layout.json` is written last:
whoever dies while building loses what was not yet noted, and whoever reads
meanwhile sees the old extent. Knows nothing of windows.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from worldloom.data import files, folder, video
from worldloom.data.folder import EpisodeRow
from worldloom.data.store import Store

FORMAT = 1
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


def fingerprint(value: Any) -> str:
    """A short fingerprint of a JSON value."""
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=6).hexdigest()


def _world(store: Store) -> str:
    """What the flat arrays' shapes depend on."""
    info = store.info.to_json()
    return fingerprint([FORMAT, info["cameras"], info["action"], dict(info["sensors"])])


def video_of(store: Store, name: str, camera: str) -> Path:
    """The video of one camera of one episode."""
    return folder.video_path(store.folder(name), store.row(name), camera)


def extend(
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
    steps = open_steps(path, total)
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
    old = open_steps(path, total) if total else {}
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
                source = video_of(store, name, camera)
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


def open_steps(path: Path, total: int) -> dict[str, np.ndarray]:
    """The step columns, mapped, without the mapping's slow subclass of array."""
    return {
        unquote(file.stem): np.load(file, mmap_mode="r").view(np.ndarray)[:total]
        for file in (path / "steps").glob("*.npy")
        if not file.name.startswith(files.PART)
    }


def open_frames(path: Path, store: Store, total: int) -> Mapping[str, np.ndarray]:
    """The decoded frames of each camera, mapped: `[total, H, W, 3]`."""
    arrays = {}
    for camera, size in store.info.cameras.items():
        shape = (total, *size, 3)
        file = _frames_file(path, camera)
        empty = np.empty(shape, np.uint8)
        mapped = np.memmap(file, np.uint8, "r", shape=shape) if total else empty
        arrays[camera] = mapped.view(np.ndarray)
    return arrays
