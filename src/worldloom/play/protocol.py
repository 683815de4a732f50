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
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
from PIL import Image

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

HEADER = struct.Struct("<IIIHBBIIB3x")
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


@dataclass(frozen=True)
class Hello:
    """The first message: who is there, and which start it wants to see first."""

    version: int
    token: str
    seed: int


@dataclass(frozen=True)
class Keys:
    """The set of held keys, sent on every change.

    Args:
      held: `KeyboardEvent.code` names in the order of pressing.
      tapped: keys that went down and up again before this message was sent.
      time: the page's own clock in ms, echoed in the frame that uses the keys.
      axes: sliders that stand away from their middle: axis id and value. Optional on the wire.
      mouse: its motion since the last message, right and down, in pixels. Optional.
    """

    held: tuple[str, ...]
    tapped: tuple[str, ...]
    time: int
    axes: tuple[tuple[str, float], ...] = ()
    mouse: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Ack:
    """The page has the frame with this id and can take another."""

    frame: int


@dataclass(frozen=True)
class Pause:
    """Stop the clock, or let it run."""

    on: bool


@dataclass(frozen=True)
class StepOnce:
    """One tick, then stand still."""


@dataclass(frozen=True)
class Reset:
    """Begin again, from the start that `seed` names.

    Args:
      picture: name of an image that was sent before, to start from instead. Optional on the wire.
      image: that image `[H, W, 3]`, found by the server; None where it is kept no more.
    """

    seed: int
    picture: str = ""
    image: np.ndarray | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Speed:
    """How fast the clock runs: 1 is the world's own pace."""

    factor: float


@dataclass(frozen=True)
class Export:
    """The past of this branch as a film. The server answers `exporting`, then `exported`.

    Args:
      kind: "mp4" or "gif"; `format` on the wire.
      scale: every pixel is enlarged by it, as far as the bounds allow.
      ticks: so many of the newest; 0 for all.
    """

    kind: Kind
    scale: int
    ticks: int


@dataclass(frozen=True)
class Rewind:
    """Go back on this branch.

    Args:
      ticks: how far.
      moment: of the frame that the page counts from.
    """

    ticks: int
    moment: int


@dataclass(frozen=True)
class Fork:
    """Open a branch at the present moment, and go on in it. `branch` on the wire."""


@dataclass(frozen=True)
class Switch:
    """Go to where the branch with this id was left."""

    branch: int


@dataclass(frozen=True)
class Drop:
    """Forget the branch with this id."""

    branch: int


@dataclass(frozen=True)
class RunOn:
    """Whether the branch with this id goes on while the page is elsewhere. `run` on the wire."""

    branch: int
    on: bool


@dataclass(frozen=True)
class Compare:
    """The real environment comes along, as a second pane, or leaves."""

    on: bool


@dataclass(frozen=True)
class Anchor:
    """Begin the dream anew from the latest real frames."""


@dataclass(frozen=True)
class Futures:
    """Show what could come next, under each of several sets of held keys.

    Args:
      choices: key codes that are held, for each future action.
      samples: of each.
      horizon: frames of each.
    """

    choices: tuple[tuple[str, ...], ...]
    samples: int
    horizon: int


@dataclass(frozen=True)
class Future:
    """Open a branch and go to the end of one of the futures that are shown."""

    choice: int
    sample: int


@dataclass(frozen=True)
class Record:
    """Keep what is done from here on, or end that."""

    on: bool


@dataclass(frozen=True)
class Wrong:
    """What is shown is wrong; the note says what should have been, and may be empty."""

    note: str


@dataclass(frozen=True)
class Share:
    """Tell this moment in a few bytes."""


@dataclass(frozen=True)
class Open:
    """Go to a moment that somebody shared.

    Args:
      code: that tells it, or a part of that.
      more: further parts follow.
    """

    code: str
    more: bool = False


Travel = Rewind | Fork | Switch | Drop | RunOn
Visit = Compare | Anchor | Futures | Future | Record | Wrong | Share | Open
Message = Hello | Keys | Ack | Pause | StepOnce | Reset | Speed | Export | Travel | Visit


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

    def pack(self) -> bytes:
        wrapped = (self.frame, self.input_time, self.server_time)
        model_time = min(self.model_time, 0xFFFF)
        place = (self.moment & 0xFFFFFFFF, self.branch)
        flags = (model_time, self.format, self.flags)
        return HEADER.pack(*(n & 0xFFFFFFFF for n in wrapped), *flags, *place, self.doubt)

    @classmethod
    def unpack(cls, data: bytes) -> "Header":
        """The header of a frame message."""
        return cls(*HEADER.unpack_from(data))


def encode(image: np.ndarray) -> tuple[int, bytes]:
    """An image `[H, W, 3]` uint8 as format and bytes: raw where small, else JPEG."""
    height, width, _ = image.shape
    if height <= RAW_SIDE and width <= RAW_SIDE:
        return RAW, image.tobytes()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=85)
    return JPEG, buffer.getvalue()
