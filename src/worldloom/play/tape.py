"""What a visitor did, as an episode that can be stored.

Pure. A tape follows one course of events: going back takes off its end what was undone.
It is bounded in frames and in bytes, so that neither memory nor a killed server costs much.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from worldloom.actions import Action
from worldloom.data.types import Episode

MOST_FRAMES = 1000
MOST_BYTES = 64 * 2**20
VISITOR = "visitor"


@dataclass(frozen=True)
class Taped:
    """One frame of a tape.

    Args:
      moment: its number in the session.
      image: `[H, W, 3]` uint8.
      action: that led to it, numpy values `[1, ...]`; None at the beginning.
      reward: that arrived with it, None where the world tells none.
      terminated: the task ended with it.
      truncated: the world stopped with it.
    """

    moment: int
    image: np.ndarray
    action: Action | None = None
    reward: float | None = None
    terminated: bool = False
    truncated: bool = False


@dataclass
class Tape:
    """Frames of one course of events, from some moment on.

    Args:
      null: the action that does nothing, component name to `[*component shape]`.
      labels: facts about the whole episode.
      seed: of the environment, where the tape began with a reset of it.
      snapshot: the environment's exact state at the first frame, packed.
      frames: so far.
    """

    null: Mapping[str, np.ndarray]
    labels: Mapping[str, str | float | int] = field(default_factory=dict)
    seed: int | None = None
    snapshot: bytes | None = None
    frames: list[Taped] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether this tape should be stored and another one begun."""
        size = sum(taped.image.nbytes for taped in self.frames[:1]) * len(self.frames)
        return len(self.frames) >= MOST_FRAMES or size >= MOST_BYTES

    @property
    def ended(self) -> bool:
        """Whether the world ended with the last frame."""
        return bool(self.frames) and (self.frames[-1].terminated or self.frames[-1].truncated)

    def follows(self, moment: int) -> bool:
        """Whether a frame with this number goes on from the last one."""
        return bool(self.frames) and moment == self.frames[-1].moment + 1

    def cut(self, moment: int) -> bool:
        """Takes off what came after `moment`; False where that leaves nothing."""
        while self.frames and self.frames[-1].moment > moment:
            self.frames.pop()
        return bool(self.frames) and self.frames[-1].moment == moment

    def episode(self) -> Episode | None:
        """What is on the tape; None where nothing was done. What has not ended was truncated."""
        if len(self.frames) < 2:
            return None
        rewards = [taped.reward for taped in self.frames]
        known = np.array([reward is not None for reward in rewards])
        last = self.frames[-1]
        return Episode(
            frames={"main": np.stack([taped.image for taped in self.frames])},
            actions={name: self._actions(name) for name in self.null},
            reward=np.array([reward or 0.0 for reward in rewards], np.float32),
            reward_known=known,
            terminated=last.terminated,
            truncated=not last.terminated,
            snapshots={} if self.snapshot is None else {0: self.snapshot},
            labels=self.labels,
            policy=VISITOR,
            seed=self.seed,
        )

    def _actions(self, name: str) -> np.ndarray:
        null = self.null[name]
        done = (taped.action for taped in self.frames)
        return np.stack([null if action is None else action.values[name][0] for action in done])
