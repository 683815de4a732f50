"""Is a store whole? Names every missing, truncated, changed or foreign file.

`check_store` only looks. `repair` moves broken episodes and foreign files to
`set-aside/` and deletes nothing. Neither decodes video: a checksum of what was
written says more, and faster.
"""

import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worldloom.data import files, folder, store, video
from worldloom.data.folder import EpisodeRow
from worldloom.data.info import StoreInfo, read_info
from worldloom.errors import WorldloomError

SET_ASIDE = "set-aside"
_TOP = ("info.json", "index.parquet", "episodes", SET_ASIDE)

# A temporary file, which nobody locks, is a dead writer's after so many seconds.
_STILL = 60.0


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a store.

    Args:
      path: of the file or folder.
      text: what is wrong with it, in a few words.
      move: what `repair` sets aside for it: the episode, or the foreign file
        itself; None where there is nothing to move.
      leftover: it is what a dead writer (or one at work now) left; harmless.
    """

    path: Path
    text: str
    move: Path | None = None
    leftover: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def check_store(path: str | Path) -> list[Problem]:
    """Everything that is wrong with the store at `path`; empty where it is whole.

    Args:
      path: of the store.

    Raises:
      WorldloomError: there is no readable `info.json`, so this is no store.
    """
    path = Path(path)
    info = read_info(path)
    problems = list(_top_level(path))
    episodes = path / "episodes"
    for entry in sorted(episodes.iterdir()) if episodes.is_dir() else []:
        if entry.name.startswith(files.PART):
            problems.append(_leftover(entry))
        elif not entry.is_dir():
            problems.append(Problem(entry, "is no episode", move=entry))
        else:
            problems += _episode(entry, info)
    return problems


def repair(path: str | Path) -> list[Path]:
    """Moves broken episodes, foreign files and dead writers' leftovers to `set-aside/`.

    Nothing is deleted. What a living writer is at work on stays.

    Args:
      path: of the store.

    Returns:
      Where each thing went.
    """
    path = Path(path)
    moved = []
    problems = check_store(path)
    (path / "episodes").mkdir(exist_ok=True)
    for source in dict.fromkeys(p.move for p in problems if p.move is not None):
        target = path / SET_ASIDE / source.relative_to(path)
        target = _free(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)
        moved.append(target)
    store.Store.open(path)  # brings the index up to date
    return moved


def _top_level(path: Path) -> Iterator[Problem]:
    """Problems of the store's own folder."""
    if not (path / "episodes").is_dir():
        yield Problem(path / "episodes", "is missing")
    for entry in sorted(path.iterdir()):
        if entry.name.startswith(files.PART):
            yield _leftover(entry)
        elif entry.name not in _TOP:
            yield Problem(entry, "is no part of a store", move=entry)


def _leftover(entry: Path) -> Problem:
    """A temporary file or folder: of a dead writer, or of one at work."""
    try:
        if entry.is_dir():
            alive = files.is_locked(entry)
        else:
            alive = time.time() - entry.stat().st_mtime < _STILL
    except FileNotFoundError:
        return Problem(entry, "was being written a moment ago", leftover=True)
    if alive:
        return Problem(entry, "is being written", leftover=True)
    return Problem(entry, "was left by a writer that died", move=entry, leftover=True)


def _episode(entry: Path, info: StoreInfo) -> Iterator[Problem]:
    """Problems of one episode's folder."""
    if not (entry / folder.ROW).exists():
        yield Problem(entry / folder.ROW, "is missing", move=entry)
        return
    try:
        row = folder.read_row(entry)
    except WorldloomError as error:
        yield Problem(entry / folder.ROW, _reason(error), move=entry)
        return
    broken = False
    for problem in _files(entry, row):
        broken = broken or problem.move == entry
        yield problem
    if not broken:
        for file, text in _disagreements(entry, row, info):
            yield Problem(entry / file, text, move=entry)


def _files(entry: Path, row: EpisodeRow) -> Iterator[Problem]:
    """Files of an episode that are missing, cut, changed, or not its own."""
    for name, (size, checksum) in row.files.items():
        file = entry / name
        if not file.is_file():
            yield Problem(file, "is missing", move=entry)
            continue
        have = file.stat().st_size
        if have != size:
            word = "is cut short" if have < size else "has grown"
            yield Problem(file, f"{word}: {have} of {size} bytes", move=entry)
        elif zlib.crc32(file.read_bytes()) != checksum:
            yield Problem(file, "has changed since it was written", move=entry)
    for file in sorted(entry.rglob("*")):
        name = file.relative_to(entry).as_posix()
        known = name in row.files or name == folder.ROW
        parent = file.is_dir() and any(other.startswith(f"{name}/") for other in row.files)
        if not known and not parent and not file.parent.name.startswith(files.PART):
            yield Problem(file, "is no part of the episode", move=file)


def _disagreements(entry: Path, row: EpisodeRow, info: StoreInfo) -> Iterator[tuple[str, str]]:
    """(file, what is wrong) where an episode does not fit its row or the store's info."""
    for camera, size in info.cameras.items():
        try:
            file = folder.video_path(entry, row, camera)
            length, *have = video.count(file)
        except WorldloomError as error:
            yield camera, _reason(error)
            continue
        if length != row.length:
            yield file.name, f"has {length} frames, its row says {row.length}"
        even = [side + side % 2 for side in size] if file.suffix == ".mp4" else list(size)
        if have != even:
            yield (
                file.name,
                f"has frames of {have[0]}x{have[1]}, info.json says {size[0]}x{size[1]}",
            )
    try:
        steps = folder.read_steps(entry, row)
    except WorldloomError as error:
        yield folder.STEPS, _reason(error)
        return
    for text in _step_problems(steps, info):
        yield folder.STEPS, text


def _step_problems(steps: dict[str, np.ndarray], info: StoreInfo) -> Iterator[str]:
    """What is wrong with the per-step columns."""
    for name in ["reward", *(f"sensor/{sensor}" for sensor in info.sensors)]:
        if name not in steps:
            yield f"lacks {name}"
        elif not np.isfinite(steps[name]).all():
            yield f"has {name} that is not finite"
    for name, width in info.sensors.items():
        have = int(np.prod(steps.get(f"sensor/{name}", np.empty((0, width))).shape[1:]))
        if have != width:
            yield f"has sensor `{name}` of {have} numbers, info.json says {width}"
    prefix = "action/"
    actions = {k.removeprefix(prefix): v for k, v in steps.items() if k.startswith(prefix)}
    try:
        info.action.check(actions, "it")
    except WorldloomError as error:
        yield error.message


def _reason(error: Exception) -> str:
    """An error in a few words; the path stands before them already."""
    return str(error.args[0] if error.args else error).split("\n")[0]


def _free(target: Path) -> Path:
    """`target`, or with a number behind it where that is taken."""
    number, free = 1, target
    while free.exists():
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    return free
