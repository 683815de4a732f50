"""Plays one episode of an environment and keeps everything of it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

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


def play_episode(env: PixelEnv, policy: Any, take: Take, *, name: str) -> Episode:
    """Lets `policy` act until the episode ends.

    Args:
      env: at any point; it is reset.
      policy: `policy(observation, info, rng) -> values`, with `reset()`.
      take: which episode.
      name: what to call the policy in the recording.

    Raises:
      WorldloomError: the environment gave a reward that is not finite.
    """
    rng = np.random.default_rng(take.policy_seed)
    outcome = env.reset(take.env_seed)
    policy.reset()
    tape = _Tape(outcome, env)
    snapshots = {0: Snapshot(env.save(), outcome.frame).pack()} if env.exact else {}
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
            snapshots[tape.length] = moment.pack()
        tape.add(values, outcome)
    return Episode(
        frames={"main": tape.frames[: tape.length]},
        actions={key: np.stack(rows) for key, rows in tape.actions.items()},
        reward=np.array(tape.rewards, np.float32),
        terminated=outcome.terminated,
        truncated=outcome.truncated or not ended,
        info={key: np.stack(rows) for key, rows in tape.info.items()},
        stills=tape.stills,
        snapshots=snapshots,
        policy=name,
        seed=take.env_seed,
    )


class _Tape:
    """Frames in one growing array, all else in lists."""

    def __init__(self, first: Outcome, env: PixelEnv) -> None:
        self.length = 0
        self.frames = np.empty((256, *first.frame.shape), np.uint8)
        self.rewards: list[float] = []
        self.actions = {key: [value] for key, value in env.action.null().items()}
        self.stills = {
            key.removeprefix(_STILL): value
            for key, value in first.info.items()
            if key.startswith(_STILL)
        }
        self.info: dict[str, list[Any]] = {
            key: [] for key in first.info if not key.startswith(_STILL)
        }
        self._keep(first)

    def add(self, values: dict[str, np.ndarray], outcome: Outcome) -> None:
        for key, value in values.items():
            self.actions[key].append(value)
        self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        if self.length == len(self.frames):
            self.frames = np.concatenate([self.frames, np.empty_like(self.frames)])
        self.frames[self.length] = outcome.frame
        self.length += 1
        self.rewards.append(outcome.reward)
        for key in self.info.keys() - outcome.info.keys():
            del self.info[key]  # only what every frame has is ground truth
        for key, rows in self.info.items():
            rows.append(outcome.info[key])
