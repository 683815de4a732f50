"""Plays one episode of an environment and keeps everything of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    rewards = [reward]
    actions = {key: [value] for key, value in env.action.null().items()}
    truths = [_Truth(info)]  # most often two: of the reset, and of all steps
    snapshots = {0: Snapshot(env.save(), frame).pack()} if env.exact else {}
    every = take.snapshot_every if env.exact else 0
    most = take.max_frames or math.inf
    length = 1
    # A fast game's caches are cold for whatever comes between two of its frames. Every
    # operation in this loop costs twice what it costs alone; what can wait is done behind it.
    while not (terminated or truncated) and length < most:
        values = policy(frame, info, rng)
        frame, reward, terminated, truncated, info = env.step(values)
        if not math.isfinite(reward):
            raise WorldloomError(
                f"`{env.setup.id}` gave reward {reward} at frame {length} "
                f"of episode {take.number} (environment seed {take.env_seed})",
                "repair the environment; the episodes before are kept",
            )
        if length == len(frames):
            frames = reel.room(length + 1, frame.shape)
        frames[length] = frame
        rewards.append(reward)
        for key, column in actions.items():
            column.append(np.array(values[key]))
        if not truths[-1].add(info):
            truths.append(_Truth(info))
        if every and length % every == 0:
            moment = Snapshot(env.save(), frame, terminated, truncated)
            snapshots[length] = moment.pack()
        length += 1
    told, stills = _merge([truth.columns() for truth in truths])
    return Episode(
        frames={"main": frames[:length]},
        actions={key: np.array(column) for key, column in actions.items()},
        reward=np.array(rewards, np.float32),
        terminated=terminated,
        truncated=truncated or not terminated,
        info=told,
        stills=stills,
        snapshots=snapshots,
        policy=name,
        seed=take.env_seed,
    )


class _Truth:
    """The ground truth of frames in a row that tell the same things.

    Args:
      info: of the first of them.
    """

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._names = tuple(info)
        self._arrays = [
            (place, value.dtype, value.shape)
            for place, value in enumerate(info.values())
            if isinstance(value, np.ndarray)
        ]
        self._rows: list[list[Any]] = []
        self.add(info)

    def add(self, info: Mapping[str, Any]) -> bool:
        """Keeps what one more frame tells, or says that it is of another kind."""
        if tuple(info) != self._names:
            return False
        row = [*info.values()]
        for place, dtype, shape in self._arrays:
            value = row[place]
            if value.dtype != dtype or value.shape != shape:
                return False
            row[place] = value.tobytes()  # a quarter of the price of a copy
        self._rows.append(row)
        return True

    def columns(self) -> dict[str, np.ndarray]:
        """Values of all frames, by name."""
        columns: list[Any] = [*zip(*self._rows, strict=True)]
        for place, dtype, shape in self._arrays:
            flat = np.frombuffer(b"".join(columns[place]), dtype)
            columns[place] = flat.reshape(len(self._rows), *shape)
        return dict(zip(self._names, map(np.asarray, columns), strict=True))


def _merge(
    parts: list[dict[str, np.ndarray]],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Ground truth, which is what every frame has, and the stills of the first."""
    first = parts[0]
    told = {
        name: np.concatenate([part[name] for part in parts])
        for name in first
        if all(name in part for part in parts)
    }
    stills = {k.removeprefix(_STILL): v[0] for k, v in first.items() if k.startswith(_STILL)}
    return told, stills
