"""Plays one episode of an environment and keeps everything of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from worldloom.data.reel import Reel
from worldloom.data.types import Episode
from worldloom.envs.pixel import Outcome, PixelEnv, Snapshot
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
    outcome = env.reset(take.env_seed)
    policy.reset()
    tape = _Tape(outcome, env, reel or Reel())
    if env.exact:
        tape.snapshots[0] = Snapshot(env.save(), outcome.frame).pack()
    most = take.max_frames or math.inf
    ended = False
    while not ended and tape.length < most:
        values = policy(outcome.frame, outcome.info, rng)
        outcome = env.step(values)
        if not math.isfinite(outcome.reward):
            raise WorldloomError(
                f"`{env.setup.id}` gave reward {outcome.reward} at frame {tape.length} "
                f"of episode {take.number} (environment seed {take.env_seed})",
                "repair the environment; the episodes before are kept",
            )
        ended = outcome.terminated or outcome.truncated
        if env.exact and take.snapshot_every and tape.length % take.snapshot_every == 0:
            moment = Snapshot(env.save(), outcome.frame, outcome.terminated, outcome.truncated)
            tape.snapshots[tape.length] = moment.pack()
        tape.add(values, outcome)
    return tape.episode(take, name, (outcome.terminated, outcome.truncated or not ended))


class _Tape:
    """Frames in one growing array, all else in lists until the end.

    Games and players may write into their arrays and dictionaries again: copies are kept.
    """

    def __init__(self, first: Outcome, env: PixelEnv, reel: Reel) -> None:
        self.length = 0
        self._reel = reel
        self._frames = reel.room(1, first.frame.shape)
        self._rewards: list[float] = []
        null = env.action.null()
        self._actions: list[tuple[str, list[np.ndarray]]] = [(name, []) for name in null]
        self._truth = _Truth(first.info)
        self._truths = [self._truth]  # most often two: of the reset, and of all steps
        self.snapshots: dict[int, bytes] = {}
        self.add(null, first)

    def add(self, values: Mapping[str, np.ndarray], outcome: Outcome) -> None:
        """Keeps one frame and the action that led to it."""
        frame, reward, _, _, info = outcome
        index = self.length
        if index == len(self._frames):
            self._frames = self._reel.room(index + 1, frame.shape)
        self._frames[index] = frame
        self.length = index + 1
        self._rewards.append(reward)
        for name, column in self._actions:
            column.append(np.array(values[name]))
        if self._truth.names != tuple(info):
            self._truth = _Truth(info)
            self._truths.append(self._truth)
        self._truth.add(info)

    def episode(self, take: Take, name: str, ended: tuple[bool, bool]) -> Episode:
        first, *later = [truth.columns() for truth in self._truths]
        stills = {k.removeprefix(_STILL): v[0] for k, v in first.items() if k.startswith(_STILL)}
        # Ground truth is what every frame has.
        lasting = [k for k in first if all(k in part for part in later)]
        return Episode(
            frames={"main": self._frames[: self.length]},
            actions={k: np.array(v) for k, v in self._actions},
            reward=np.array(self._rewards, np.float32),
            terminated=ended[0],
            truncated=ended[1],
            info={k: np.array([*chain(first[k], *(p[k] for p in later))]) for k in lasting},
            stills=stills,
            snapshots=self.snapshots,
            policy=name,
            seed=take.env_seed,
        )


class _Truth:
    """The ground truth of frames in a row that tell the same things.

    Args:
      info: of the first of them.
    """

    def __init__(self, info: Mapping[str, Any]) -> None:
        self.names = tuple(info)
        self._arrays = [i for i, value in enumerate(info.values()) if isinstance(value, np.ndarray)]
        self._rows: list[list[Any]] = []

    def add(self, info: Mapping[str, Any]) -> None:
        row = [*info.values()]
        for place in self._arrays:
            row[place] = row[place].copy()
        self._rows.append(row)

    def columns(self) -> dict[str, tuple[Any, ...]]:
        """Values of all frames, by name."""
        return dict(zip(self.names, zip(*self._rows, strict=True), strict=True))
