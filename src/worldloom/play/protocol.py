"""What page and server say to each other, and in which version.

Text messages are JSON objects with a `type`; frames are binary: a header of 28
bytes, little-endian, and one image. Everything that a page sends is checked
here before anything else sees it.
"""

import hmac
import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from PIL import Image

from worldloom.play.messages import (
    Ack,
    Anchor,
    Compare,
    Drop,
    Export,
    Fork,
    Future,
    Futures,
    Hello,
    Keys,
    Message,
    Open,
    Pause,
    Record,
    Reset,
    Rewind,
    RunOn,
    Share,
    Speed,
    StepOnce,
    Switch,
    Wrong,
)
from worldloom.play.reel import KINDS, Kind

VERSION = 3
MAX_BYTES = 4096
MAX_KEYS = 32
MAX_CODE = 32
MAX_NAME = 64
MAX_REAL = 1e9
SLOWEST, FASTEST = 0.1, 4.0
MAX_SEED = 2**31 - 1
MAX_BRANCH = 2**16 - 1
MAX_CHOICES = 16
MAX_NOTE = 500
MAX_PART = 3500
RAW_SIDE = 128

HEADER = struct.Struct("<IIIHBBIIBB2x")
NO_DOUBT = 255
RAW, JPEG = 0, 1
PAUSED, REWOUND, RESET, ENDED, BESIDE = 1, 2, 4, 8, 16


class ProtocolError(Exception):
    """The other side said something that is not in the protocol.

    Args:
      code: one word for programs: "version", "token", "malformed", "rate", "slow", "idle",
        "busy", "world", "closing"; "refused" alone does not end the session.
      message: what is wrong, for people.
      hint: what to do about it.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def to_json(self) -> dict[str, Any]:
        return {"type": "error", "code": self.code, "message": self.message, "hint": self.hint}


def parse(text: str) -> Message:
    """The message in `text`.

    Raises:
      ProtocolError: it is too long, no JSON, of an unknown type, or has a field
        that is missing or out of bounds.
    """
    if len(text) > MAX_BYTES:
        raise ProtocolError("malformed", f"message of {len(text)} characters, limit {MAX_BYTES}")
    try:
        data = json.loads(text)
        if "\\u" in text:  # half a pair of surrogates, which no file can hold
            json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ProtocolError("malformed", "message is not JSON") from error
    if not isinstance(data, dict):
        raise ProtocolError("malformed", "message is not a JSON object")
    kind = data.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise ProtocolError("malformed", f"unknown message type {str(kind)[:40]!r}")
    return read(data)


def check_hello(message: Message, token: str) -> Hello:
    """The greeting, or what is wrong with it."""
    if not isinstance(message, Hello):
        raise ProtocolError("malformed", "the first message must be `hello`")
    if message.version != VERSION:
        raise ProtocolError(
            "version",
            f"the page speaks version {message.version}, the server {VERSION}",
            "reload the page",
        )
    if not hmac.compare_digest(message.token.encode(errors="replace"), token.encode()):
        raise ProtocolError(
            "token", "the access token is wrong", "open the address that the command printed"
        )
    return message


def _take(data: dict[str, Any], name: str, kind: type) -> Any:
    value = data.get(name)
    if type(value) is not kind:
        raise ProtocolError("malformed", f"`{name}` must be {kind.__name__}")
    return value


def _number(data: dict[str, Any], name: str, low: int, high: int = 2**32 - 1) -> int:
    value = _take(data, name, int)
    if not low <= value <= high:
        raise ProtocolError("malformed", f"`{name}` must be between {low} and {high}")
    return value


def _codes(data: dict[str, Any], name: str) -> tuple[str, ...]:
    codes = _take(data, name, list)
    if len(codes) > MAX_KEYS or not all(type(c) is str and len(c) <= MAX_CODE for c in codes):
        raise ProtocolError("malformed", f"`{name}` must be at most {MAX_KEYS} key codes")
    return tuple(codes)


def _name(data: dict[str, Any], field_name: str) -> str:
    name = _take({field_name: "", **data}, field_name, str)
    if len(name) > MAX_NAME:
        raise ProtocolError("malformed", f"`{field_name}` must be at most {MAX_NAME} characters")
    return name


def _factor(data: dict[str, Any]) -> float:
    factor = data.get("factor")
    if not _real(factor) or not SLOWEST <= factor <= FASTEST:
        raise ProtocolError("malformed", f"`factor` must be between {SLOWEST} and {FASTEST}")
    return float(factor)


def _kind(data: dict[str, Any]) -> Kind:
    kind = data.get("format")
    if kind not in KINDS:
        raise ProtocolError("malformed", f"`format` must be one of {', '.join(KINDS)}")
    return kind


def _axes(data: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    axes = _take({"axes": {}, **data}, "axes", dict)
    if len(axes) > MAX_KEYS or not all(len(k) <= MAX_NAME and _real(v) for k, v in axes.items()):
        raise ProtocolError("malformed", f"`axes` must be at most {MAX_KEYS} numbers by name")
    return tuple((name, float(value)) for name, value in axes.items())


def _motion(data: dict[str, Any]) -> tuple[float, float]:
    mouse = _take({"mouse": [0, 0], **data}, "mouse", list)
    if len(mouse) != 2 or not all(_real(pixels) for pixels in mouse):
        raise ProtocolError("malformed", "`mouse` must be two numbers")
    return float(mouse[0]), float(mouse[1])


def _real(value: Any) -> TypeGuard[int | float]:
    """Whether this is a number that arithmetic can be done with."""
    return type(value) in (int, float) and abs(value) <= MAX_REAL


def _hello(data: dict[str, Any]) -> Hello:
    token = _take(data, "token", str)
    seed = _number({"seed": 0, **data}, "seed", 0, MAX_SEED)
    return Hello(_number(data, "version", 0, 2**16), token, seed)


def _keys(data: dict[str, Any]) -> Keys:
    codes = _codes(data, "held"), _codes(data, "tapped")
    return Keys(*codes, _number(data, "time", 0), _axes(data), _motion(data))


def _branch(data: dict[str, Any]) -> int:
    return _number(data, "branch", 1, MAX_BRANCH)


def _futures(data: dict[str, Any]) -> Futures:
    choices = _take(data, "choices", list)
    if len(choices) > MAX_CHOICES or not all(type(choice) is list for choice in choices):
        raise ProtocolError("malformed", f"`choices` must be at most {MAX_CHOICES} lists of keys")
    held = tuple(_codes({"choices": choice}, "choices") for choice in choices)
    return Futures(held, _number(data, "samples", 1, 64), _number(data, "horizon", 1, 256))


def _words(data: dict[str, Any], name: str, most: int) -> str:
    words = _take(data, name, str)
    if len(words) > most:
        raise ProtocolError("malformed", f"`{name}` must be at most {most} characters")
    return words


# What a page may say, by its `type`; each reader checks every field.
_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "hello": _hello,
    "keys": _keys,
    "ack": lambda data: Ack(_number(data, "frame", 0)),
    "pause": lambda data: Pause(_take(data, "on", bool)),
    "step": lambda data: StepOnce(),
    "reset": lambda data: Reset(_number(data, "seed", 0, MAX_SEED), _name(data, "picture")),
    "speed": lambda data: Speed(_factor(data)),
    "export": lambda data: Export(
        _kind(data), _number(data, "scale", 1, 64), _number(data, "ticks", 0)
    ),
    "rewind": lambda data: Rewind(_number(data, "ticks", 0), _number(data, "moment", 0)),
    "branch": lambda data: Fork(),
    "switch": lambda data: Switch(_branch(data)),
    "drop": lambda data: Drop(_branch(data)),
    "run": lambda data: RunOn(_branch(data), _take(data, "on", bool)),
    "compare": lambda data: Compare(_take(data, "on", bool)),
    "anchor": lambda data: Anchor(),
    "futures": _futures,
    "future": lambda data: Future(
        _number(data, "choice", 0, MAX_CHOICES), _number(data, "sample", 0, 64)
    ),
    "record": lambda data: Record(_take(data, "on", bool)),
    "wrong": lambda data: Wrong(_words({"note": "", **data}, "note", MAX_NOTE)),
    "share": lambda data: Share(),
    "open": lambda data: Open(
        _words(data, "code", MAX_PART), _take({"more": False, **data}, "more", bool)
    ),
}


@dataclass(frozen=True)
class Header:
    """The first 28 bytes of a frame.

    Args:
      frame: its id; ids grow by one with each tick, so a gap is a dropped frame.
      input_time: the page's clock of the newest `keys` message that it shows.
      server_time: ms on the server's clock since the session began, when it was sent.
      model_time: what the tick took, step and render, in 0.1 ms; stops at 65535.
      format: RAW (rows of RGB bytes) or JPEG.
      flags: of PAUSED, REWOUND (the page went elsewhere in time), RESET, ENDED, BESIDE (two
        panes, the real environment on the left).
      moment: its number on its branch.
      branch: id of its branch.
      doubt: of the world in this frame, in 1/254; NO_DOUBT where it gives none.
      rewinds: that the page had asked for and the server had answered, modulo 256. With fewer
        than the page has asked for, the frame was sent before the server heard where it went.
    """

    frame: int
    input_time: int
    server_time: int
    model_time: int
    format: int
    flags: int
    moment: int = 0
    branch: int = 0
    doubt: int = NO_DOUBT
    rewinds: int = 0

    def pack(self) -> bytes:
        wrapped = (self.frame, self.input_time, self.server_time)
        model_time = min(self.model_time, 0xFFFF)
        place = (self.moment & 0xFFFFFFFF, self.branch)
        flags = (model_time, self.format, self.flags)
        rest = (self.doubt, self.rewinds & 0xFF)
        return HEADER.pack(*(n & 0xFFFFFFFF for n in wrapped), *flags, *place, *rest)

    @classmethod
    def unpack(cls, data: bytes) -> "Header":
        """The header of a frame message."""
        return cls(*HEADER.unpack_from(data))


def encode(image: np.ndarray) -> tuple[int, bytes | memoryview]:
    """An image `[H, W, 3]` uint8 as format and bytes: where it lies if small, else JPEG."""
    height, width, _ = image.shape
    if height <= RAW_SIDE and width <= RAW_SIDE:
        return RAW, np.ascontiguousarray(image).data.cast("B")
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=85)
    return JPEG, buffer.getvalue()
