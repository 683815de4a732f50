"""Plays one episode of an environment and keeps everything of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, NamedTuple

import numpy as np

from worldloom.data.reel import Reel
from worldloom.data.types import Episode
from worldloom.envs.pixel import PixelEnv, Snapshot
from worldloom.errors import WorldloomError

_STILL = "still/"


@dataclass(frozen=True)
class Take:
    """Which episode, and how much of it is kept.

    Args:
      number: of the episode in its recording; policies take turns by it.
      env_seed: that starts it.
      policy_seed: of the policy's own dice.
      max_frames: end it, truncated, after so many frames. None: when it ends by itself.
      snapshot_every: keep the exact state so often, in frames, beside that of
        the first frame; 0 keeps only that one. Environments that have none keep none.
    """

    number: int
    env_seed: int
    policy_seed: int
    max_frames: int | None = None
    snapshot_every: int = 0


def play_episode(
    env: PixelEnv, policy: Any, take: Take, *, name: str, reel: Reel | None = None
) -> Episode:
    """Lets `policy` act until the episode ends.

    Games and players may write into their arrays and dictionaries again: copies are kept.

    Args:
      env: at any point; it is reset.
      policy: `policy(observation, info, rng) -> values`, with `reset()`.
      take: which episode.
      name: what to call the policy in the recording.
      reel: memory for the frames, which the episode then looks at. Default: its own.

    Raises:
      WorldloomError: the environment gave a reward that is not finite.
    """
    rng = np.random.default_rng(take.policy_seed)
    frame, reward, terminated, truncated, info = env.reset(take.env_seed)
    policy.reset()
    reel = reel or Reel()
    frames = reel.room(1, frame.shape)
    frames[0] = frame
    stretches = [_Stretch(reward, env.action.null(), info)]  # most often two: the reset, the rest
    snapshots = {0: Snapshot(env.save(), frame).pack()} if env.exact else {}
    every = take.snapshot_every if env.exact else 0
    most = take.max_frames or inf
    length = 1
    # A fast game's caches are cold for whatever comes between two of its frames. Every
    # operation in this loop costs twice what it costs alone; what can wait is done behind it.
    while not (terminated or truncated) and length < most:
        values = policy(frame, info, rng)
        frame, reward, terminated, truncated, info = env.step(values)
        if not isfinite(reward):
            raise WorldloomError(
                f"`{env.setup.id}` gave reward {reward} at frame {length} "
                f"of episode {take.number} (environment seed {take.env_seed})",
                "repair the environment; the episodes before are kept",
            )
        if length == len(frames):
            frames = reel.room(length + 1, frame.shape)
        frames[length] = frame
        if not stretches[-1].add(reward, values, info):
            stretches.append(_Stretch(reward, values, info))
        if every and length % every == 0:
            moment = Snapshot(env.save(), frame, terminated, truncated)
            snapshots[length] = moment.pack()
        length += 1
    parts = [stretch.columns() for stretch in stretches]
    truth = [part.truth for part in parts]
    return Episode(
        frames={"main": frames[:length]},
        actions=_joined([part.actions for part in parts]),
        reward=np.concatenate([part.rewards for part in parts]),
        terminated=terminated,
        truncated=truncated or not terminated,
        info=_joined(truth),
        stills={k.removeprefix(_STILL): v[0] for k, v in truth[0].items() if k.startswith(_STILL)},
        snapshots=snapshots,
        policy=name,
        seed=take.env_seed,
    )


class _Columns(NamedTuple):
    """What frames in a row held, by name, each `[frames, ...]`."""

    rewards: np.ndarray
    actions: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]


class _Stretch:
    """Frames in a row whose actions and truth have the same names and the same form.

    A frame is one list, and of arrays in it the bytes: nothing else is made of it until the
    episode has ended.

    Args:
      reward: of the first of them.
      values: its action.
      info: its ground truth.
    """

    def __init__(self, reward: float, values: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        self._keys, self._names = tuple(values), tuple(info)
        self._arrays = [
            (place, value.dtype, value.shape)
            for place, value in enumerate((reward, *values.values(), *info.values()))
            if isinstance(value, np.ndarray)
        ]
        self._rows: list[list[Any]] = []
        self.add(reward, values, info)

    def add(self, reward: float, values: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
        """Keeps one more frame, or says that it is of another kind."""
        if tuple(info) != self._names or tuple(values) != self._keys:
            return False
        row = [reward, *values.values(), *info.values()]
        for place, dtype, shape in self._arrays:
            value = row[place]
            if type(value) is not np.ndarray or value.dtype != dtype or value.shape != shape:
                return False
            row[place] = value.tobytes()  # a quarter of the price of a copy
        self._rows.append(row)
        return True

    def columns(self) -> _Columns:
        """All frames, told apart by what was said of them."""
        columns: list[Any] = [*zip(*self._rows, strict=True)]
        for place, dtype, shape in self._arrays:
            flat = np.frombuffer(b"".join(columns[place]), dtype)
            columns[place] = flat.reshape(len(self._rows), *shape)
        rewards, *others = columns
        arrays = [np.asarray(column) for column in others]
        told = len(self._keys)
        return _Columns(
            np.array(rewards, np.float32),
            dict(zip(self._keys, arrays[:told], strict=True)),
            dict(zip(self._names, arrays[told:], strict=True)),
        )


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What every part has, one behind the other."""
    return {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
        if all(name in part for part in parts)
    }
