"""A moment in a few bytes: enough to come to it again elsewhere, and to tell whether one did.

Pure: a moment to text and back. What another place reads of it is not believed: sizes are
bounded before anything is unpacked, and every value is checked.
"""

import base64
import binascii
import hashlib
import json
import platform
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from worldloom.actions import Action, ActionSpec
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.play.trace import Origin, Trace

FORMAT = 1
MOST_TICKS = 6000
MOST_CODE = 200_000
"""Characters of a moment as text."""
MOST_BYTES = 8 * 2**20
"""Of what is in it, unpacked."""
MOST_SEED = 2**32
MOST_FRAMES = 32
"""Of a context that is carried along."""


@dataclass(frozen=True)
class Mode:
    """How bytes came about: where any of it differs, so may the last bit of a picture.

    Args:
      rows: of every step of the world.
      threads: that torch computed with.
      torch: its version.
      device: of the world.
      machine: the kind of processor.
    """

    rows: int
    threads: int
    torch: str
    device: str
    machine: str

    @classmethod
    def here(cls, rows: int, device: Any) -> "Mode":
        """The mode of this process."""
        kind = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
        return cls(rows, torch.get_num_threads(), str(torch.__version__), str(device), kind)

    def differences(self, here: "Mode") -> list[str]:
        """What is not as it was there, in words."""
        words = {
            "rows": "rows a step",
            "threads": "threads",
            "torch": "torch",
            "device": "device",
            "machine": "processor",
        }
        return [
            f"{word}: {getattr(self, name)} there, {getattr(here, name)} here"
            for name, word in words.items()
            if getattr(self, name) != getattr(here, name)
        ]


@dataclass(frozen=True)
class Shared:
    """A moment that can be sent to somebody.

    Args:
      world: fingerprint of the world: its weights and how it draws, or its environment.
      start: fingerprint of the context that it began from.
      origin: where it began; with the context itself where it was carried in.
      actions: component name to `[T, *component shape]`, all that was done since.
      noise: tick to the seed that the randomness was changed to before it.
      frame: fingerprint of the picture that must come out.
      mode: how it was computed.
    """

    world: str
    start: str
    origin: Origin
    actions: Mapping[str, np.ndarray]
    noise: Mapping[int, int]
    frame: str
    mode: Mode

    def __len__(self) -> int:
        """Ticks since the origin."""
        return len(next(iter(self.actions.values())))

    def action(self, tick: int) -> Action:
        """What was done in tick `tick`, counted from 0, values `[1, ...]`."""
        values = {name: value[tick : tick + 1] for name, value in self.actions.items()}
        return Action(values, np.ones(1, bool))

    def to_text(self) -> str:
        """As a code that fits into an address."""
        clip = self.origin.clip
        data = {
            "format": FORMAT,
            "world": self.world,
            "start": self.start,
            "seed": self.origin.seed,
            "clip": None if clip is None else _clip_to_json(clip),
            "actions": {name: _pack(value) for name, value in self.actions.items()},
            "noise": {str(tick): seed for tick, seed in self.noise.items()},
            "frame": self.frame,
            "mode": vars(self.mode),
        }
        packed = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def from_text(cls, code: str, spec: ActionSpec) -> "Shared":
        """The moment that `to_text` told.

        Raises:
          WorldloomError: it is damaged, too large, of another format or for other actions.
        """
        try:
            data = json.loads(_unzip(_from_base64(code)))
            if data["format"] != FORMAT:
                raise WorldloomError(
                    f"this moment has format {data['format']}, this worldloom reads {FORMAT}",
                    "update worldloom",
                )
            clip = None if data["clip"] is None else _clip_from_json(data["clip"], spec)
            actions = {str(name): _unpack(value) for name, value in data["actions"].items()}
            shared = cls(
                world=_text(data["world"]),
                start=_text(data["start"]),
                origin=Origin(_whole(data["seed"], MOST_SEED), clip),
                actions=actions,
                noise={int(tick): _whole(seed) for tick, seed in data["noise"].items()},
                frame=_text(data["frame"]),
                mode=Mode(
                    _whole(data["mode"]["rows"]),
                    _whole(data["mode"]["threads"]),
                    *(_text(data["mode"][name]) for name in ("torch", "device", "machine")),
                ),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged() from error
        spec.check(actions, "this moment")
        lengths = {value.shape[0] if value.ndim else -1 for value in actions.values()}
        lead = (min(lengths),)
        if len(lengths) != 1 or not 0 <= lead[0] <= MOST_TICKS or not _fit(actions, lead, spec):
            raise _damaged()
        return shared


def shared_of(trace: Trace, spec: ActionSpec, **facts: Any) -> Shared:
    """The moment that a trace leads to.

    Args:
      trace: of the moment.
      spec: of the world's actions.
      facts: the remaining fields of `Shared`.

    Raises:
      WorldloomError: too much was done since the start.
    """
    if trace.length > MOST_TICKS:
        raise WorldloomError(
            f"this moment is {trace.length} ticks from its start, {MOST_TICKS} can be told",
            "go back, or begin again, and share sooner",
        )
    ticks = trace.ticks()
    done = [tick.action for tick in ticks if tick.action is not None]
    actions = {
        component.name: np.array(
            [action.values[component.name][0] for action in done], component.dtype
        ).reshape(len(done), *spec.shape(component))
        for component in spec.components
    }
    noise = {i: tick.noise for i, tick in enumerate(ticks) if tick.noise is not None}
    return Shared(origin=trace.origin, actions=actions, noise=noise, **facts)


def fingerprint(*parts: Any) -> str:
    """A short digest of arrays, bytes and texts, their kinds and shapes included."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, bytes | str):
            raw, kind = (part.encode() if isinstance(part, str) else part), "text"
        else:
            array = np.ascontiguousarray(torch.as_tensor(part).cpu().numpy())
            raw, kind = array.tobytes(), f"{array.dtype}{array.shape}"
        digest.update(f"{kind}:{len(raw)}:".encode() + raw)
    return digest.hexdigest()


def fingerprint_of_start(clip: Clip) -> str:
    """A digest of what a world is started from."""
    parts: list[Any] = [f"{k}" for k in sorted(clip.frames)]
    parts += [clip.frames[k] for k in sorted(clip.frames)]
    if clip.actions is not None:
        parts += [clip.actions.values[k] for k in sorted(clip.actions.values)]
        parts.append(clip.actions.known)
    parts += [clip.latents] if clip.latents is not None else []
    parts += list(clip.snapshots or ())
    parts += [clip.env_seeds] if clip.env_seeds is not None else []
    return fingerprint(*parts)


def _clip_to_json(clip: Clip) -> dict[str, Any]:
    actions = clip.actions
    return {
        "frames": {name: _pack(frames.cpu().numpy()) for name, frames in clip.frames.items()},
        "actions": None
        if actions is None
        else {name: _pack(np.asarray(value)) for name, value in actions.values.items()},
        "known": None if actions is None else _pack(np.asarray(actions.known)),
    }


def _clip_from_json(data: Mapping[str, Any], spec: ActionSpec) -> Clip:
    frames = {str(name): _unpack(value) for name, value in data["frames"].items()}
    length = {value.shape[1] if value.ndim == 5 else 0 for value in frames.values()}
    fine = all(
        v.dtype == np.uint8 and v.ndim == 5 and (v.shape[0], v.shape[4]) == (1, 3)
        for v in frames.values()
    )
    if not fine or len(length) != 1 or not 1 <= min(length) <= MOST_FRAMES:
        raise _damaged()
    lead = (1, min(length))
    if data["actions"] is None:
        return Clip(frames={k: torch.from_numpy(v) for k, v in frames.items()})
    values = {str(name): _unpack(value) for name, value in data["actions"].items()}
    known = _unpack(data["known"])
    spec.check(values, "the start of this moment")
    if known.dtype != bool or known.shape != lead or not _fit(values, lead, spec):
        raise _damaged()
    actions = Action({k: torch.from_numpy(v) for k, v in values.items()}, torch.from_numpy(known))
    return Clip(frames={k: torch.from_numpy(v) for k, v in frames.items()}, actions=actions)


def _fit(values: Mapping[str, np.ndarray], lead: tuple[int, ...], spec: ActionSpec) -> bool:
    """Whether actions have exactly the dtypes and shapes of their spec, after these axes."""
    return all(
        values[part.name].dtype == np.dtype(part.dtype)
        and values[part.name].shape == (*lead, *spec.shape(part))
        for part in spec.components
    )


def _pack(array: np.ndarray) -> dict[str, Any]:
    raw = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": raw}


def _unpack(data: Mapping[str, Any]) -> np.ndarray:
    dtype = np.dtype(data["dtype"])
    if dtype.kind not in "biuf":
        raise _damaged()
    shape = tuple(_whole(n) for n in data["shape"])
    raw = _unzip(base64.b64decode(data["data"], validate=True))
    return np.frombuffer(raw, dtype).reshape(shape).copy()


def _from_base64(code: str) -> bytes:
    if len(code) > MOST_CODE:
        raise WorldloomError(
            f"this moment has {len(code)} characters, at most {MOST_CODE} are read",
            "share a sooner one",
        )
    try:
        return base64.b64decode(code + "=" * (-len(code) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise _damaged() from error


def _unzip(data: bytes) -> bytes:
    """What was compressed, unless it is cut off or larger than allowed."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise _damaged() from error
    if not stream.eof or stream.unused_data:
        raise _damaged()
    return plain


def _whole(value: Any, most: int = 2**63 - 1) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise _damaged()
    return value


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > 200:
        raise _damaged()
    return value


def _damaged() -> WorldloomError:
    return WorldloomError("this is no moment, or it is damaged", "copy the whole link or file")
