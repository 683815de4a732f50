"""Writing that survives a crash: aside first, then renamed; and what a full disk says."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worldloom.errors import WorldloomError

# Names that start with this are being written, or were when their writer died.
PART = ".part-"


def part_path(path: Path) -> Path:
    """A fresh name beside `path` under which to write it."""
    return path.parent / f"{PART}{path.name}-{secrets.token_hex(4)}"


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file and waits until the disk has it."""
    with open(path, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def sync_folder(path: Path) -> None:
    """Waits until the disk has the folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes) -> None:
    """Writes a whole file so that a reader finds the old one or the new one."""
    part = part_path(path)
    try:
        write_synced(part, data)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a folder: one holder at a time, and a holder that dies lets go."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a living process holds the folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def is_full(error: OSError) -> bool:
    """Whether the disk, or somebody's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_error(error: OSError, what: str, outcome: str) -> WorldloomError:
    """What the disk said, in one sentence.

    Args:
      error: from the disk.
      what: was being written, for example "store `a`".
      outcome: what that means for the user's data.
    """
    if is_full(error):
        return WorldloomError(
            f"the disk is full while writing {what}: {outcome}",
            "free some space and run the same command again",
        )
    return WorldloomError(
        f"{what} cannot be written ({error.strerror or error}): {outcome}",
        "check the disk and its permissions",
    )
