"""Memory for the frames of one episode, used again for the next.

Fresh memory costs more than the copying into it, and a shared reel lies where
another process reads the frames without a copy.
"""

import contextlib
import fcntl
import mmap
import os
import tempfile
import time
from pathlib import Path

import numpy as np

START = 256  # frames that a reel has room for at first
_IN_MEMORY = Path("/dev/shm")  # files there are never written to a disk
_PREFIX = "worldloom-"
_HEIR = 60.0  # seconds in which a killed recorder's other process has looked at all it was given


class Reel:
    """Frames in one growing array."""

    def __init__(self) -> None:
        self.frames = np.empty((0, 0, 0, 3), np.uint8)

    def room(self, length: int, shape: tuple[int, ...]) -> np.ndarray:
        """An array `[>= length, *shape]` uint8 that holds what was written before.

        Args:
          length: frames that must fit.
          shape: of one frame.
        """
        old = self.frames
        if len(old) < length or old.shape[1:] != shape:
            self.frames = self._allocate((max(START, 2 * (length - 1)), *shape))
            if old.shape[1:] == shape:
                self.frames[: len(old)] = old
        return self.frames

    def _allocate(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.empty(shape, np.uint8)


class SharedReel(Reel):
    """A reel whose memory another process opens by its name, once, with `look`."""

    def __init__(self) -> None:
        super().__init__()
        self.name = ""
        self._file = -1  # open and locked while this process lives, see `sweep`

    def behind(self, length: int, data: bytes) -> None:
        """Writes bytes right behind the first `length` frames."""
        shape = self.frames.shape[1:]
        size = int(np.prod(shape))
        room = self.room(length + -(-len(data) // size), shape).reshape(-1)
        room[length * size : length * size + len(data)] = np.frombuffer(data, np.uint8)

    def hide(self) -> None:
        """Unlinks the name, where nobody has looked yet."""
        if self.name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.name)
            os.close(self._file)
            self.name = ""

    def _allocate(self, shape: tuple[int, ...]) -> np.ndarray:
        self.hide()
        self._file, self.name = _reserve(int(np.prod(shape)))
        fcntl.flock(self._file, fcntl.LOCK_EX)
        memory = mmap.mmap(self._file, 0)
        return np.frombuffer(memory, np.uint8).reshape(shape)


def look(name: str) -> np.ndarray:
    """The memory of another process's reel, `[bytes]` uint8.

    Takes its name away, so that processes that are killed leave nothing behind but what
    nobody has looked at yet; that is what `sweep` is for.
    """
    file = os.open(name, os.O_RDWR)
    os.unlink(name)
    memory = mmap.mmap(file, 0)
    os.close(file)
    return np.frombuffer(memory, np.uint8)


def sweep(older: float = _HEIR) -> None:
    """Unlinks the reels of recorders that were killed before anybody looked at them.

    Args:
      older: leaves reels alone that are younger, in seconds.
    """
    for path in _IN_MEMORY.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or gone by now, or locked: in use
            file = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(file).st_ctime > older:
                    path.unlink()
            finally:
                os.close(file)


def _reserve(size: int) -> tuple[int, str]:
    """A new file of `size` bytes, in memory where there is room, and its path.

    The bytes are reserved now: a page that is missing later would be a crash.
    """
    if _IN_MEMORY.is_dir():
        file, name = tempfile.mkstemp(prefix=_PREFIX, dir=_IN_MEMORY)
        try:
            os.posix_fallocate(file, 0, size)
            return file, name
        except OSError:  # containers often have little of it
            os.close(file)
            os.unlink(name)
    file, name = tempfile.mkstemp(prefix=_PREFIX)
    os.truncate(file, size)
    return file, name
