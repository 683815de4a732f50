"""Plays one episode of an environment and keeps everything of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
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
    """Frames in one growing array, all else in lists until the end."""

    def __init__(self, first: Outcome, env: PixelEnv, reel: Reel) -> None:
        self.length = 0
        self._reel = reel
        self._frames = reel.room(1, first.frame.shape)
        self._rewards: list[float] = []
        self._infos: list[Mapping[str, Any]] = []
        self.snapshots: dict[int, bytes] = {}
        self._actions = [env.action.null()]
        self._keep(first)

    def add(self, values: dict[str, np.ndarray], outcome: Outcome) -> None:
        self._actions.append(values)
        self._keep(outcome)

    def episode(self, take: Take, name: str, ended: tuple[bool, bool]) -> Episode:
        first = self._infos[0]
        stills = {k.removeprefix(_STILL): v for k, v in first.items() if k.startswith(_STILL)}
        # Ground truth is what every frame has.
        lasting = [k for k in first if all(k in info for info in self._infos)]
        return Episode(
            frames={"main": self._frames[: self.length]},
            actions={
                k: np.array([values[k] for values in self._actions]) for k in self._actions[0]
            },
            reward=np.array(self._rewards, np.float32),
            terminated=ended[0],
            truncated=ended[1],
            info={k: np.array([info[k] for info in self._infos]) for k in lasting},
            stills=stills,
            snapshots=self.snapshots,
            policy=name,
            seed=take.env_seed,
        )

    def _keep(self, outcome: Outcome) -> None:
        if self.length == len(self._frames):
            self._frames = self._reel.room(self.length + 1, outcome.frame.shape)
        self._frames[self.length] = outcome.frame
        self.length += 1
        self._rewards.append(outcome.reward)
        self._infos.append(outcome.info)
