"""msgpack with numpy arrays, byte for byte as `openpi-client` writes them.

An array is a map with the keys `__ndarray__`, `data`, `dtype` and `shape`, all of them bytes; a
numpy number one with `__npgeneric__`, `data` and `dtype`. Nothing that is read here can run code:
objects have no place on the wire. Knows bytes; not what they are about.
"""

import re
from typing import Any

import numpy as np

from worldloom.errors import WorldloomError, need

_OBJECTS = "VOc"  # kinds of numbers that openpi does not send
_PLAIN = re.compile(r"[<>|=][biufSUmM]\d{1,6}(\[\w+\])?")


def pack(value: Any) -> bytes:
    """A tree of dicts, lists, plain values and numpy arrays as bytes."""
    return need("msgpack", "serve").packb(value, default=_as_map)


def unpack(data: bytes) -> Any:
    """What `pack` packed; arrays cannot be written to.

    Raises:
      WorldloomError: these bytes are something else.
    """
    msgpack = need("msgpack", "serve")
    try:
        return msgpack.unpackb(data, object_hook=_from_map)
    except WorldloomError:
        raise
    except (ValueError, TypeError, OverflowError, MemoryError, msgpack.UnpackException) as error:
        raise WorldloomError(
            f"a message is not msgpack with numpy arrays ({error or type(error).__name__})",
            "send what openpi-client's msgpack_numpy.packb makes",
        ) from error


def _as_map(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"{type(value).__name__} has no place on the wire")
    if value.dtype.kind in _OBJECTS:
        raise ValueError(f"numbers of {value.dtype} have no place on the wire")
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    return {
        b"__ndarray__": True,
        b"data": value.tobytes(),
        b"dtype": value.dtype.str,
        b"shape": value.shape,
    }


def _from_map(found: dict[Any, Any]) -> Any:
    if b"__ndarray__" in found:
        data, shape = found.get(b"data"), found.get(b"shape")
        if not isinstance(data, bytes) or not isinstance(shape, list):
            raise ValueError("an array lacks its bytes or its shape")
        return np.ndarray(tuple(shape), _dtype(found), buffer=data)
    if b"__npgeneric__" in found:
        data = found.get(b"data")
        if not isinstance(data, bool | int | float | str | bytes):
            raise ValueError("a number is none")
        return _dtype(found).type(data)
    return found


def _dtype(found: dict[Any, Any]) -> np.dtype:
    """Only what a plain array's `dtype.str` can be: numpy reads far more out of a text."""
    name = found.get(b"dtype")
    if not isinstance(name, str) or not _PLAIN.fullmatch(name):
        raise ValueError(f"`{str(name)[:40]}` is no type of plain numbers")
    return np.dtype(name)
