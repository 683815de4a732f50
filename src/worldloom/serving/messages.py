"""What a client may ask and what it is told, as plain values.

Reads requests strictly: a key that nobody knows is a mistake, not a wish. Knows the wire; no
socket and no world.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from worldloom.errors import WorldloomError
from worldloom.serving.wire import unpack
from worldloom.world import WorldSpec

KEYS = {
    "image": "the newest frame",
    "reset": "true begins another episode with this frame and forgets the last",
    "seed": "of the episode's chance, where one begins",
    "prompt": "the task, where an episode begins",
}


@dataclass(frozen=True)
class Request:
    """One frame, and what to do with the memory of those before.

    Args:
      image: `[H, W, 3]` uint8.
      reset: it begins an episode.
      seed: of that episode; None for one that the server draws.
      task: that is asked; None for the server's.
    """

    image: np.ndarray
    reset: bool = False
    seed: int | None = None
    task: str | None = None

    def instead_of(self, older: Self) -> Self:
        """This request in place of one that was not answered: a reset is never lost."""
        if self.reset or not older.reset:
            return self
        seed = older.seed if self.seed is None else self.seed
        return replace(self, reset=True, seed=seed, task=self.task or older.task)


def read_request(data: bytes | str, size: tuple[int, int]) -> Request:
    """A message as a request.

    Args:
      data: one message of the socket.
      size: (height, width) of frames.

    Raises:
      WorldloomError: in one sentence what is wrong with it.
    """
    if isinstance(data, str):
        raise WorldloomError("a text came, expected msgpack in a binary message", _ASK)
    asked = unpack(data)
    if not isinstance(asked, dict):
        raise WorldloomError(f"a {type(asked).__name__} came, expected a map of keys", _ASK)
    for key in asked:
        if key not in KEYS:
            raise WorldloomError(f"there is no key `{_short(key)}`", _ASK)
    if "image" not in asked:
        raise WorldloomError("a request came without an `image`", _ASK)
    for key, (kind, what) in _KINDS.items():
        if asked.get(key) is not None and not isinstance(asked[key], kind):
            words = f"`{key}` is {_short(asked[key])}, expected {what}"
            raise WorldloomError(words, "leave it out, or mend it")
    seed = asked.get("seed")
    if seed is not None and (isinstance(seed, bool) or not 0 <= seed < 2**63):
        raise WorldloomError(f"`seed` is {seed}, expected 0 or more, below 2^63", "choose another")
    return Request(
        _image(asked["image"], size),
        bool(asked.get("reset")),
        None if seed is None else int(seed),
        None if asked.get("prompt") is None else str(asked["prompt"]),
    )


_ASK = f"send a map with: {', '.join(KEYS)}"
_KINDS: Mapping[str, tuple[Any, str]] = {
    "reset": (bool | np.bool_, "true or false"),
    "seed": (int | np.integer, "a whole number"),
    "prompt": (str, "a text"),
}


def _image(image: Any, size: tuple[int, int]) -> np.ndarray:
    expected = (*size, 3)
    if not isinstance(image, np.ndarray):
        raise WorldloomError(
            f"`image` is {_short(image)}, expected a numpy array", f"send uint8 {list(expected)}"
        )
    if image.dtype != np.uint8 or image.shape != expected:
        raise WorldloomError(
            f"`image` is {image.dtype} {list(image.shape)}, expected uint8 {list(expected)}",
            "send the frame as RGB bytes, resized to what this agent learned from",
        )
    return image


def _short(value: Any) -> str:
    """A value in a message, never a page of it."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def describe(spec: WorldSpec, *, policy: str, task: str | None) -> dict[str, Any]:
    """What a client is told first: what to send and what it gets.

    Args:
      spec: of the world that the agent sees through.
      policy: its name.
      task: that it is asked where a client asks none.
    """
    height, width = spec.cameras["main"]
    return {
        "policy": policy,
        "task": task,
        "fps": spec.fps,
        "image": {"shape": [height, width, 3], "dtype": "uint8"},
        "action_spec": spec.action.to_json(),
        "request": KEYS,
    }


def answer(
    values: Mapping[str, np.ndarray], frame: int, timing: Mapping[str, float]
) -> dict[str, Any]:
    """What a client gets for a frame.

    Args:
      values: component name to `[*component shape]`.
      frame: number of the message that is answered, from 0.
      timing: in milliseconds.
    """
    # openpi's clients take chunks of actions: the first axis counts them, and there is one.
    actions = {name: np.asarray(value)[None] for name, value in values.items()}
    return {"actions": actions, "frame": frame, "server_timing": dict(timing)}
