"""One episode as one closed set of files, and back.

    <name>/
      episode.parquet   one row: length, split, seed, ending, labels, and the list
                        of the other files with their sizes and checksums
      steps.parquet     one row for each frame: actions, reward, sensors, info
      <camera>.mov      frames (`.mp4` where the store's codec is lossy)
      stills/<x>.png    pictures of the whole episode
      notes.parquet     snapshots and texts by frame, where there are any

Knows the files of one episode; knows nothing of other episodes, of names or of
the index.
"""

import io
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from worldloom.actions import ActionSpec
from worldloom.data import columns, video
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError

ROW = "episode.parquet"
STEPS = "steps.parquet"
NOTES = "notes.parquet"


@dataclass(frozen=True)
class EpisodeRow:
    """What a store's index knows of one episode.

    Args:
      name: of its folder.
      length: frames.
      split: "train", "heldout" or "dreamed".
      seed: of the environment, None where unknown.
      policy: who acted; several names are joined by a comma.
      terminated: the task ended.
      truncated: somebody stopped looking.
      total: sum of the known rewards (the return).
      actions_known: steps whose action is known.
      labels: facts about the whole episode.
      files: name of every other file to (bytes, crc32).
    """

    name: str
    length: int
    split: str
    seed: int | None
    policy: str
    terminated: bool
    truncated: bool
    total: float
    actions_known: int
    labels: Mapping[str, str | float | int] = field(default_factory=dict)
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)


_SCHEMA = pa.schema(
    [
        ("length", pa.int64()),
        ("split", pa.string()),
        ("seed", pa.int64()),
        ("policy", pa.string()),
        ("terminated", pa.bool_()),
        ("truncated", pa.bool_()),
        ("return", pa.float64()),
        ("actions_known", pa.int64()),
        ("labels", pa.string()),
        ("files", pa.string()),
    ]
)


def pack(episode: Episode, *, fps: float, codec: video.Codec) -> dict[str, bytes]:
    """Every file of an episode but its row, in memory, by name.

    Args:
      episode: that has been checked.
      fps: written into the videos.
      codec: the store's setting; small frames are lossless under each.
    """
    files = {STEPS: columns.to_bytes(columns.arrays_to_table(_step_arrays(episode)))}
    for camera, frames in episode.frames.items():
        use = video.codec_for(frames.shape[1:3], codec)
        sink = io.BytesIO()
        video.encode(sink, frames, fps=fps, codec=use)
        files[camera + video.suffix(use)] = sink.getvalue()
    for name, picture in episode.stills.items():
        sink = io.BytesIO()
        Image.fromarray(picture).save(sink, "PNG", compress_level=1)
        files[f"stills/{name}.png"] = sink.getvalue()
    if episode.snapshots or episode.texts:
        files[NOTES] = columns.to_bytes(_notes_table(episode), small=True)
    return files


def make_row(name: str, episode: Episode, *, split: str, files: Mapping[str, bytes]) -> EpisodeRow:
    """The row that describes a packed episode."""
    known = np.asarray(episode.reward_known)
    policy = episode.policy
    return EpisodeRow(
        name=name,
        length=len(episode),
        split=split,
        seed=episode.seed,
        policy=policy if isinstance(policy, str) else ", ".join(dict.fromkeys(policy)),
        terminated=bool(episode.terminated),
        truncated=bool(episode.truncated),
        total=float(np.asarray(episode.reward, np.float64)[known].sum()),
        actions_known=int(np.asarray(episode.action_known).sum()),
        labels=dict(episode.labels),
        files={file: (len(data), zlib.crc32(data)) for file, data in files.items()},
    )


def row_table(rows: list[EpisodeRow]) -> pa.Table:
    """Rows as a table, one column for each fact (labels and files as JSON text)."""
    values: dict[str, list[Any]] = {
        "length": [r.length for r in rows],
        "split": [r.split for r in rows],
        "seed": [r.seed for r in rows],
        "policy": [r.policy for r in rows],
        "terminated": [r.terminated for r in rows],
        "truncated": [r.truncated for r in rows],
        "return": [r.total for r in rows],
        "actions_known": [r.actions_known for r in rows],
        "labels": [json.dumps(dict(r.labels)) for r in rows],
        "files": [json.dumps(dict(r.files)) for r in rows],
    }
    table = pa.table(values, schema=_SCHEMA)
    return table.add_column(0, "name", pa.array([r.name for r in rows], pa.string()))


def table_rows(table: pa.Table) -> list[EpisodeRow]:
    """The rows that `row_table` was given."""
    rows = []
    for item in table.to_pylist():
        item["total"] = item.pop("return")
        item["labels"] = json.loads(item["labels"])
        item["files"] = {file: tuple(v) for file, v in json.loads(item["files"]).items()}
        rows.append(EpisodeRow(**item))
    return rows


def read_row(folder: Path) -> EpisodeRow:
    """The row of one episode, from the episode's own file."""
    table = columns.read_table(folder / ROW)
    wanted = ["name", *_SCHEMA.names]
    if table.num_rows != 1 or table.column_names != wanted:
        raise WorldloomError(f"file `{folder / ROW}` is not the row of an episode")
    row = table_rows(table)[0]
    if row.name != folder.name:
        raise WorldloomError(f"file `{folder / ROW}` belongs to episode `{row.name}`")
    if row.split not in ("train", "heldout", "dreamed"):
        raise WorldloomError(f"file `{folder / ROW}` names a split `{row.split}`")
    if any(Path(file).is_absolute() or ".." in Path(file).parts for file in row.files):
        raise WorldloomError(f"file `{folder / ROW}` names files outside its episode")
    return row


def verify(folder: Path, row: EpisodeRow) -> None:
    """Raises where a file is missing or has another length than when it was written."""
    for name, (size, _) in row.files.items():
        try:
            have = (folder / name).stat().st_size
        except FileNotFoundError as error:
            raise WorldloomError(f"file `{folder / name}` is missing") from error
        if have != size:
            raise WorldloomError(f"file `{folder / name}` has {have} of {size} bytes")


def read_steps(folder: Path, row: EpisodeRow, needed: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """The per-step columns of one episode: `action/*`, `reward`, `sensor/*`, `info/*`, ...

    Args:
      folder: of the episode.
      row: of the episode.
      needed: columns that must be there, beside those that every episode has.
    """
    file = folder / STEPS
    table = columns.read_table(file)
    try:
        steps = columns.table_to_arrays(table)
    except (ValueError, KeyError, TypeError) as error:
        raise WorldloomError(f"file `{file}` has columns that do not fit: {error}") from error
    missing = {"action_known", "reward", "reward_known", *needed} - set(steps)
    if missing:
        raise WorldloomError(f"file `{file}` lacks {', '.join(sorted(missing))}")
    if len(steps["reward"]) != row.length:
        raise WorldloomError(
            f"file `{file}` has {len(steps['reward'])} rows, the episode {row.length} frames"
        )
    return steps


def video_path(folder: Path, row: EpisodeRow, camera: str) -> Path:
    """Where the frames of one camera are."""
    for ending in (".mov", ".mp4"):
        if camera + ending in row.files:
            return folder / (camera + ending)
    raise WorldloomError(
        f"episode `{folder}` has no camera `{camera}`", "ask for a camera that the store has"
    )


def unpack(
    folder: Path,
    row: EpisodeRow,
    *,
    cameras: Mapping[str, tuple[int, int]],
    action: ActionSpec,
    start: int = 0,
    stop: int | None = None,
) -> Episode:
    """Reads an episode, or the frames `start` to `stop` of it.

    A part keeps the indices of its own frames: snapshots and texts move with
    them, and it ends only where the episode does.
    """
    stop = row.length if stop is None else stop
    if not 0 <= start < stop <= row.length:
        raise WorldloomError(
            f"episode `{folder}` has {row.length} frames, asked for {start} to {stop}"
        )
    verify(folder, row)
    needed = [f"action/{component.name}" for component in action.components]
    steps = {name: v[start:stop] for name, v in read_steps(folder, row, needed).items()}
    part = lambda prefix: {  # noqa: E731
        name.removeprefix(prefix): v for name, v in steps.items() if name.startswith(prefix)
    }
    frames = {
        camera: video.decode(video_path(folder, row, camera), start, stop, size=size)
        for camera, size in cameras.items()
    }
    snapshots, texts = _read_notes(folder, row)
    ends = stop == row.length
    return Episode(
        frames=frames,
        actions={c.name: steps[f"action/{c.name}"] for c in action.components},
        action_known=steps["action_known"],
        reward=steps["reward"],
        reward_known=steps["reward_known"],
        terminated=row.terminated and ends,
        truncated=row.truncated and ends,
        sensors=part("sensor/"),
        info=part("info/"),
        stills=_read_stills(folder, row),
        snapshots={t - start: v for t, v in snapshots.items() if start <= t < stop},
        texts={t - start: v for t, v in texts.items() if start <= t < stop},
        labels=row.labels,
        policy=tuple(steps["policy"].tolist()) if "policy" in steps else row.policy,
        seed=row.seed,
    )


def _step_arrays(episode: Episode) -> dict[str, np.ndarray]:
    """The columns of steps.parquet, by name."""
    arrays = {f"action/{k}": np.asarray(v) for k, v in episode.actions.items()}
    arrays["action_known"] = np.asarray(episode.action_known, bool)
    arrays["reward"] = np.asarray(episode.reward, np.float32)
    arrays["reward_known"] = np.asarray(episode.reward_known, bool)
    arrays |= {f"sensor/{k}": np.asarray(v, np.float32) for k, v in episode.sensors.items()}
    arrays |= {f"info/{k}": np.asarray(v) for k, v in episode.info.items()}
    if not isinstance(episode.policy, str):
        arrays["policy"] = np.asarray(episode.policy, np.str_)
    return arrays


def _notes_table(episode: Episode) -> pa.Table:
    """Snapshots and texts, one row for each frame that has either."""
    frames = sorted({*episode.snapshots, *episode.texts})
    return pa.table(
        {
            "frame": pa.array(frames, pa.int64()),
            "snapshot": pa.array([episode.snapshots.get(t) for t in frames], pa.binary()),
            "text": pa.array([episode.texts.get(t) for t in frames], pa.string()),
        }
    )


def _read_notes(folder: Path, row: EpisodeRow) -> tuple[dict[int, bytes], dict[int, str]]:
    """Snapshots and texts by frame index."""
    if NOTES not in row.files:
        return {}, {}
    notes = columns.read_table(folder / NOTES).to_pylist()
    snapshots = {n["frame"]: n["snapshot"] for n in notes if n["snapshot"] is not None}
    return snapshots, {n["frame"]: n["text"] for n in notes if n["text"] is not None}


def _read_stills(folder: Path, row: EpisodeRow) -> dict[str, np.ndarray]:
    """The pictures of the whole episode, by name."""
    stills = {}
    for file in row.files:
        if file.startswith("stills/"):
            try:
                with Image.open(folder / file) as picture:
                    stills[Path(file).stem] = np.asarray(picture.convert("RGB"))
            except OSError as error:
                raise WorldloomError(f"file `{folder / file}` cannot be read: {error}") from error
    return stills
