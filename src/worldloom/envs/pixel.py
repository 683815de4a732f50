"""One environment seen as pixels: named actions in, frames out, snapshots where exact.

The plain, torch-free thing that worlds, recorders and worker processes share.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from PIL import Image

from worldloom.envs.make import Setup, make
from worldloom.envs.spaces import action_spec, to_native
from worldloom.errors import WorldloomError

# Below this side an "image" observation is a map of symbols, not a picture.
SMALLEST_PICTURE = 24
_STILL = "still/"  # pictures of the whole level, in the info of a reset
DEFAULT_FPS = 30.0
_HEAD, _MAGIC = struct.Struct("<4sBHHI"), b"WLS1"  # the front of a packed snapshot
_TINY_INFO = 64  # longer arrays of `info` are not kept as ground truth

Path = tuple[str, ...]


class Outcome(NamedTuple):
    """What a reset or a step gives.

    Args:
      frame: `[H, W, 3]` uint8.
      reward: that arrived with the frame.
      terminated: the task ended.
      truncated: somebody stopped looking.
      info: ground truth, flat: name to number or small array; the stills of a
        reset begin with "still/".
    """

    frame: np.ndarray
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """An environment's exact state, with the frame that shows it.

    Emulators do not restore their screen, so the frame travels along.
    """

    state: bytes
    frame: np.ndarray
    terminated: bool = False
    truncated: bool = False

    @property
    def ended(self) -> bool:
        return self.terminated or self.truncated

    def pack(self) -> bytes:
        """The snapshot as bytes, for a store."""
        height, width, _ = self.frame.shape
        ending = self.terminated + 2 * self.truncated
        head = _HEAD.pack(_MAGIC, ending, height, width, len(self.state))
        return head + self.state + zlib.compress(self.frame.tobytes(), 1)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The snapshot that `pack` made."""
        if data[:4] != _MAGIC or len(data) < _HEAD.size:
            raise WorldloomError(
                "these bytes are not a snapshot of an environment", "give those of a recording"
            )
        _, ending, height, width, length = _HEAD.unpack_from(data)
        state = data[_HEAD.size : _HEAD.size + length]
        pixels = zlib.decompress(data[_HEAD.size + length :])
        frame = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        return cls(state, frame, bool(ending & 1), bool(ending & 2))


class PixelEnv:
    """A gymnasium environment as frames and named actions.

    Attributes:
      setup: what it was made of.
      action: its action spec.
      shape: (height, width) of frames.
      fps: frames a second at which it is meant to be seen.
      exact: whether `save` and `load` are there.
      players: named policies that the environment brings, name to class.
    """

    def __init__(self, setup: Setup | str) -> None:
        self.setup = Setup(setup) if isinstance(setup, str) else setup
        self.env = make(self.setup)
        self._picture = find_picture(self.env.observation_space)
        self._vault = _vault(self.env)
        self.action = action_spec(self.env)
        self._native = to_native(self.env.action_space)
        self._again = self.setup.repeat - 1
        self._flat_keys: tuple[str, ...] | None = None
        self.exact = self._vault is not None
        self.players: Mapping[str, Any] = getattr(self.env.unwrapped, "players", {})
        self.fps = _rate(self.env) / self.setup.repeat
        if self._picture is None and self.env.render_mode != "rgb_array":
            raise WorldloomError(
                f"`{self.setup.id}` has no pictures: its observation is "
                f"{self.env.observation_space} and it cannot render",
                "choose an environment with pixels",
            )
        self._whole: tuple[int, ...] = ()  # shape of a picture that is a frame as it is
        self.shape = self.setup.size or self._own_shape()
        self._whole = (*self.shape, 3)

    def _own_shape(self) -> tuple[int, int]:
        """The environment's own frame size, seen by a reset where its spaces do not tell."""
        frame = self.reset(seed=0).frame
        return frame.shape[0], frame.shape[1]

    def reset(self, seed: int | None = None) -> Outcome:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed)
        return Outcome(self._frame(observation), 0.0, False, False, flat_info(info))

    def step(self, values: Mapping[str, np.ndarray]) -> Outcome:
        """Does one frame's action, `repeat` times or until the episode ends."""
        action = self._native(values)
        frame, reward, terminated, truncated, info = self.env.step(action)
        total, again = float(reward), self._again
        while again and not (terminated or truncated):
            frame, reward, terminated, truncated, info = self.env.step(action)
            total, again = total + float(reward), again - 1
        if self._picture != () or frame.shape != self._whole:
            frame = self._frame(frame)
        if tuple(info) != self._flat_keys:
            flat = flat_info(info)
            # Information that is flat already is passed on as it is while its keys stay.
            self._flat_keys = tuple(info) if flat.keys() == info.keys() else None
            info = flat
        return Outcome(frame, total, bool(terminated), bool(truncated), info)

    def save(self) -> bytes:
        """The exact state, randomness and clock included."""
        if self._vault is None:
            raise WorldloomError(f"`{self.setup.id}` cannot give its state", "record its seeds")
        return self._vault.save()

    def load(self, state: bytes) -> None:
        """Goes to a state of `save`."""
        if self._vault is None:
            raise WorldloomError(f"`{self.setup.id}` cannot take a state", "start from a seed")
        self._vault.load(state)

    def close(self) -> None:
        self.env.close()

    def _frame(self, observation: Any) -> np.ndarray:
        """The picture that goes with an observation, `[H, W, 3]` uint8."""
        if self._picture is None:
            picture = self.env.render()
        else:
            picture = observation
            for key in self._picture:
                picture = picture[key]
        frame = np.asarray(picture)
        if frame.shape == self._whole:
            return frame
        if frame.ndim == 2 or frame.shape[-1] == 1:
            frame = np.repeat(frame.reshape(*frame.shape[:2], 1), 3, 2)
        return resize(frame, self.setup.size)


def _rate(env: gymnasium.Env) -> float:
    """Steps a second at which an environment is meant to be seen."""
    game: Any = env.unwrapped
    skip = getattr(game, "_frameskip", None)
    if hasattr(game, "ale") and isinstance(skip, int):
        return 60 / skip  # the console's own rate; the metadata does not count skipped frames
    return float(env.metadata.get("render_fps") or DEFAULT_FPS)


def find_picture(space: spaces.Space) -> Path | None:
    """Where in an observation the picture is: keys into a dict, or None to render."""
    if isinstance(space, spaces.Dict):
        for key, part in space.items():
            inside = find_picture(part)
            if inside is not None:
                return (key, *inside)
        return None
    picture = (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and (len(space.shape) == 2 or (len(space.shape) == 3 and space.shape[2] in (1, 3)))
        and min(space.shape[:2]) >= SMALLEST_PICTURE
    )
    return () if picture else None


def resize(frame: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """A frame at (height, width) `size`, averaged over areas; the same array where equal."""
    if size is None or frame.shape[:2] == size:
        return frame
    return np.asarray(Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BOX))


def flat_info(info: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Numbers, small arrays and stills of an `info`; nested names are joined by "/"."""
    flat: dict[str, Any] = {}
    for key, value in info.items():
        name = f"{path}/{key}" if path else str(key)
        if isinstance(value, Mapping):
            flat.update(flat_info(value, name))
        elif isinstance(value, bool | int | float | np.number | np.bool_):
            flat[name] = value
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            small = value.size <= _TINY_INFO or name.startswith(_STILL)
            flat.update({name: value} if small else {})
    return flat


class _OwnVault:
    """Saves an environment that has `get_state` and `set_state` of bytes."""

    def __init__(self, env: gymnasium.Env) -> None:
        self._game: Any = env.unwrapped

    def save(self) -> bytes:
        return self._game.get_state()

    def load(self, state: bytes) -> None:
        self._game.set_state(state)


class _AleVault:
    """Saves an Atari game with its emulator's randomness."""

    def __init__(self, env: gymnasium.Env) -> None:
        self._ale: Any = env.unwrapped.ale  # type: ignore[attr-defined]

    def save(self) -> bytes:
        return self._ale.cloneState(include_rng=True).serialize()

    def load(self, state: bytes) -> None:
        import ale_py

        self._ale.restoreState(ale_py.ALEState(state))


class _ClockVault:
    """Saves gymnasium's time limit along with what is inside it."""

    def __init__(self, inner: Any, limit: TimeLimit) -> None:
        self._inner = inner
        self._limit: Any = limit

    def save(self) -> bytes:
        return struct.pack("<q", self._limit._elapsed_steps) + self._inner.save()

    def load(self, state: bytes) -> None:
        (self._limit._elapsed_steps,) = struct.unpack_from("<q", state)
        self._inner.load(state[8:])


def _sticky(env: Any) -> bool:
    """Whether an Atari game repeats actions by chance: the last one is in none of its states."""
    return env.ale.getFloat("repeat_action_probability") > 0


def _vault(env: gymnasium.Env) -> Any:
    """How to save an environment exactly, or None: an unknown wrapper may hide state."""
    limits = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            limits.append(env)
        elif not isinstance(env, OrderEnforcing | PassiveEnvChecker):
            return None
        env = env.env
    if hasattr(env, "get_state") and hasattr(env, "set_state"):
        vault: Any = _OwnVault(env)
    elif hasattr(getattr(env, "ale", None), "cloneState") and not _sticky(env):
        vault = _AleVault(env)
    else:
        return None
    for limit in limits:
        vault = _ClockVault(vault, limit)
    return vault
