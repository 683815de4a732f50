"""Latents of every frame of a cache, computed once and kept beside the frames.

    FOLDER/latents-<identity>.bin    [total, N, D] in the cache's flat order
    FOLDER/latents-<identity>.json   shape, dtype, and how many episodes are done

Knows the cache; the tokenizer is a function that it is given.
"""

import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from worldloom.data import files
from worldloom.data.cache import ClipCache
from worldloom.data.flat import Progress
from worldloom.errors import WorldloomError

Encode = Callable[[Mapping[str, Tensor]], Tensor]
_NOTE_EVERY = 5.0  # seconds of work that a crash may cost


def write_latents(
    cache: ClipCache,
    encode: Encode,
    *,
    identity: str,
    shape: tuple[int, int],
    dtype: Literal["float16", "float32"] = "float16",
    progress: Progress | None = None,
) -> ClipCache:
    """Encodes what has no latents yet, and returns the cache with latents in place of frames.

    Stopped and started again, it goes on where it was. Where everything is
    done, `encode` is not called.

    Args:
      cache: of frames.
      encode: frames of one whole episode, camera name to `[T, H, W, 3]` uint8,
        to latents `[T, N, D]`; whatever it needs of the past it finds there.
      identity: of the tokenizer's weights, for example their hash: another
        tokenizer, another identity.
      shape: (N, D) of one frame's latent.
      dtype: on disk.
      progress: called with (frames encoded, frames to encode).
    """
    _check_identity(identity)
    kind = _Kind(identity, shape, dtype)
    try:
        with files.locked(cache.path):
            _encode_rest(cache, encode, kind, progress)
    except OSError as error:
        what = f"latents in `{cache.path}`"
        raise files.disk_error(error, what, "they are not complete") from error
    return cache.with_latents(_map(cache, kind))


def open_latents(cache: ClipCache, identity: str) -> ClipCache:
    """The cache with latents that were written before.

    Raises:
      WorldloomError: there are none of this identity, or not for every frame.
    """
    _check_identity(identity)
    note = _read_note(cache.path, identity)
    done, wanted = 0 if note is None else note["episodes"], len(cache.layout.episodes)
    if note is None or done < wanted or note["prefix"] != cache.layout.prefix(done):
        raise WorldloomError(
            f"cache `{cache.path}` has latents `{identity}` of {done} of its {wanted} episodes",
            "write them with write_latents",
        )
    n, d = note["shape"]
    return cache.with_latents(_map(cache, _Kind(identity, (n, d), note["dtype"])))


@dataclass(frozen=True)
class _Kind:
    """Whose latents, of which shape and dtype."""

    identity: str
    shape: tuple[int, int]
    dtype: str

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def _encode_rest(cache: ClipCache, encode: Encode, kind: _Kind, progress: Progress | None) -> None:
    """Appends the latents of the episodes that have none, noting the place now and then."""
    flat, episodes = cache.layout.offsets(), len(cache.layout.episodes)
    first = _done(cache, kind)
    if first >= episodes:
        return
    begin, noted = int(flat[first]), time.monotonic()
    file = _file(cache.path, kind.identity)
    with open(file, "r+b" if file.exists() else "w+b") as handle:
        handle.truncate(begin * kind.row_bytes)
        handle.seek(0, os.SEEK_END)
        for index in range(first, episodes):
            latents = encode(cache.flat_frames(index)).detach().float().cpu().numpy()
            expected = (int(flat[index + 1] - flat[index]), *kind.shape)
            if latents.shape != expected:
                raise WorldloomError(f"the tokenizer gave latents {latents.shape}, not {expected}")
            handle.write(np.ascontiguousarray(latents, kind.dtype).data)
            if progress is not None:
                progress(int(flat[index + 1]) - begin, int(flat[-1]) - begin)
            if index + 1 == episodes or time.monotonic() - noted > _NOTE_EVERY:
                handle.flush()
                _write_note(cache, kind, index + 1)
                noted = time.monotonic()


def _done(cache: ClipCache, kind: _Kind) -> int:
    """Episodes that are done; 0 where what is there has another shape, order or extent."""
    note = _read_note(cache.path, kind.identity)
    if note is None or (tuple(note["shape"]), note["dtype"]) != (kind.shape, kind.dtype):
        return 0
    done = note["episodes"]
    if done > len(cache.layout.episodes) or note["prefix"] != cache.layout.prefix(done):
        return 0
    rows = int(cache.layout.offsets()[done])
    size = _file(cache.path, kind.identity).stat().st_size
    return done if size >= rows * kind.row_bytes else 0


def _write_note(cache: ClipCache, kind: _Kind, episodes: int) -> None:
    """Notes how many episodes are done."""
    note = {
        "shape": kind.shape,
        "dtype": kind.dtype,
        "episodes": episodes,
        "prefix": cache.layout.prefix(episodes),
    }
    files.replace_file(_note_file(cache.path, kind.identity), json.dumps(note).encode())


def _read_note(path: Path, identity: str) -> dict[str, Any] | None:
    """What is noted of one identity's latents, None where nothing is."""
    try:
        return json.loads(_note_file(path, identity).read_text())
    except (FileNotFoundError, ValueError):
        return None


def _map(cache: ClipCache, kind: _Kind) -> np.ndarray:
    """The latents, mapped: `[total, N, D]`."""
    shape = (int(cache.layout.offsets()[-1]), *kind.shape)
    file = _file(cache.path, kind.identity)
    return np.memmap(file, np.dtype(kind.dtype), "r", shape=shape).view(np.ndarray)


def _file(path: Path, identity: str) -> Path:
    return path / f"latents-{identity}.bin"


def _note_file(path: Path, identity: str) -> Path:
    return path / f"latents-{identity}.json"


def _check_identity(identity: str) -> None:
    """Raises where an identity cannot be part of a file name."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", identity):
        raise WorldloomError(f"latents cannot be called `{identity}`", "give a hash of the weights")
