"""Simulators as probes: they are told the true state, and show what a perfect world would.

Also the base of planted faults: a simulator that is wrong in one way. Knows no game; a
clip's `snapshots` hold the state, which no learned world reads.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.trust.probe import Edit, Rollout


@dataclass(frozen=True)
class Told:
    """The true states of a batch.

    Args:
      snapshots: of each row, at the last frame that was shown.
      shown: `[B, T, H, W, 3]` uint8 the frames of the context, None where there were none.
    """

    snapshots: tuple[bytes, ...]
    shown: np.ndarray | None = None


class Simulated(ABC):
    """Says what follows from a state that it is told.

    Attributes:
      name: for people.
    """

    name = "simulator"
    layers: tuple[str, ...] = ()

    @property
    def capabilities(self) -> frozenset[str]:
        """It draws, and is surprised by what it would have drawn otherwise."""
        return frozenset({"rollout", "render", "score", "continue"})

    @abstractmethod
    def imagine(
        self, snapshot: bytes, actions: Mapping[str, np.ndarray], steps: int, seed: int
    ) -> np.ndarray:
        """`[steps, H, W, 3]` uint8, what follows a state under actions `[steps, ...]`."""

    def observe(self, clip: Clip, state: Told | None = None) -> Told:
        """Takes the clip's snapshots, which are those of its last frame."""
        del state  # the newest snapshot says it all
        if clip.snapshots is None:
            raise WorldloomError(
                f"`{self.name}` simulates from snapshots, the clip carries none",
                "give clips that carry the true state",
            )
        frames = clip.frames.get("main")
        return Told(clip.snapshots, None if frames is None else np.asarray(frames))

    def features(self, state: Told, layer: str | None = None) -> Tensor:
        """A simulator has none, and does not say that it has."""
        raise NotImplementedError

    def rollout(
        self, state: Told, actions: Action, *, seeds: Sequence[int] = (0,), edit: Edit | None = None
    ) -> Rollout:
        """The future of every row, one sample a seed."""
        del edit  # it does not say that it can be steered
        steps = actions.known.shape[1]
        rows = [
            {name: np.asarray(v[b]) for name, v in actions.values.items()}
            for b in range(len(state.snapshots))
        ]
        samples = [
            np.stack(
                [
                    self.imagine(s, row, steps, seed)
                    for s, row in zip(state.snapshots, rows, strict=True)
                ]
            )
            for seed in seeds
        ]
        return Rollout(frames=torch.from_numpy(np.stack(samples)))

    def score(self, state: Told, clip: Clip) -> Tensor:
        """`[B, T]` squared pixel error against what the state makes of it."""
        frames = torch.as_tensor(clip.frames["main"])
        rows, steps = frames.shape[:2]
        values: dict[str, Any] = {} if clip.actions is None else dict(clip.actions.values)
        known = torch.ones(rows, steps, dtype=torch.bool)
        drawn = self.rollout(state, Action(values, known)).frames
        assert drawn is not None
        gap = (drawn[0].float() - frames.float()) / 255
        return gap.square().mean((2, 3, 4))

    def doubt(self, state: Told, actions: Action) -> Tensor:
        """A simulator has none, and does not say that it has."""
        raise NotImplementedError
