"""A trained agent in a real environment: frames in, actions out, with a memory of its own.

The agent sees through a world that can `observe` and has `features`; what to do is read
from these. Knows that contract, and no model.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.agents.policy import Players, Values
from worldloom.data.types import Clip
from worldloom.world import World, require

# Features `[B, W]` and a state to an action for every row: component name to `[B, ...]`.
Decide = Callable[[Tensor, Any], dict[str, Tensor]]


class Team:
    """Players of a fixed number of games, batched; each has a memory of its own.

    Args:
      world: that it sees through, with `observe`, `features` and `rows`.
      decide: features and state to actions.
      task: that is asked of it; None for the first that the agent knows.

    `state` is the world's, of all games, after `begin`.
    """

    def __init__(self, world: World, decide: Decide, task: str | None = None) -> None:
        for capability in ("observe", "features", "rows"):
            require(world, capability, "a trained agent")
        self.world: Any = world
        self.decide, self.task = decide, task
        self.state: Any = None

    @torch.inference_mode()
    def begin(self, frames: np.ndarray, seeds: Sequence[int]) -> None:
        """Begins an episode in every row.

        Args:
          frames: `[B, H, W, 3]` uint8, the first of each.
          seeds: `[B]` of each row's own chance.
        """
        self.state = self._start(frames, seeds)

    @torch.inference_mode()
    def replace(self, row: int, frame: np.ndarray, seed: int) -> None:
        """Begins another episode in one row; the others keep every bit."""
        self.state.put(row, self._start(frame[None], [seed]))

    def rest(self, row: int) -> None:
        """Nothing is wanted of a row any more; it goes on, since the batch keeps its shape."""

    @torch.inference_mode()
    def act(self) -> dict[str, np.ndarray]:
        """What every row does next: component name to `[B, ...]`."""
        chosen = self.decide(self.world.features(self.state), self.state)
        return {name: value.cpu().numpy() for name, value in chosen.items()}

    @torch.inference_mode()
    def see(self, values: Mapping[str, np.ndarray], frames: np.ndarray) -> Any:
        """Takes in what was done and what came of it.

        Args:
          values: component name to `[B, ...]`.
          frames: `[B, H, W, 3]` uint8.

        Returns:
          The agent's own estimate of the step.
        """
        known = torch.ones(len(frames), dtype=torch.bool)
        action = Action({k: torch.as_tensor(v) for k, v in values.items()}, known)
        newest = Clip(frames={"main": torch.as_tensor(frames)[:, None]})
        self.state, step = self.world.observe(self.state, action, newest)
        return step

    def _start(self, frames: np.ndarray, seeds: Sequence[int]) -> Any:
        texts = None if self.task is None else (self.task,) * len(frames)
        clip = Clip(frames={"main": torch.as_tensor(frames)[:, None]}, texts=texts)
        return self.world.start(clip, torch.tensor(seeds, dtype=torch.int64))[0]


class Trained:
    """One player of a `Team` or of `Planners` behind `Policy`: for everyone who plays one game."""

    def __init__(self, team: Players) -> None:
        self._team = team
        self._last: Values | None = None

    def reset(self) -> None:
        self._last = None

    def __call__(
        self, observation: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator
    ) -> Values:
        if self._last is None:
            self._team.begin(observation[None], [int(rng.integers(2**62))])
        else:
            self._team.see({k: v[None] for k, v in self._last.items()}, observation[None])
        self._last = {name: value[0] for name, value in self._team.act().items()}
        return self._last
