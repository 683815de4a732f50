"""Players who search before they act, each with a memory and a plan of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldloom.agents.planning import Planner
from worldloom.agents.trained import Team


class Planners:
    """Plays as `Team` does; what to do is planned, and the next search goes on from that plan.

    Args:
      team: who remembers the games.
      planner: who searches, in the world that the team sees through.
    """

    def __init__(self, team: Team, planner: Planner) -> None:
        self.team, self.planner = team, planner
        self._plans: dict[str, Tensor] = {}  # `[B, H, ...]`
        self._seeds = self._frames = self._used = self._resting = torch.empty(0)  # `[B]`

    def begin(self, frames: np.ndarray, seeds: Sequence[int]) -> None:
        """Begins an episode in every row; as of `Team`."""
        self.team.begin(frames, seeds)
        self._plans = self.planner.nothing(len(seeds))
        self._seeds = torch.tensor(seeds, dtype=torch.int64)
        self._frames = torch.zeros_like(self._seeds)
        self._used = torch.full_like(self._seeds, self.planner.search.every)
        self._resting = torch.zeros_like(self._seeds, dtype=torch.bool)

    def replace(self, row: int, frame: np.ndarray, seed: int) -> None:
        """Begins another episode in one row."""
        self.team.replace(row, frame, seed)
        for name, value in self.planner.nothing(1).items():
            self._plans[name][row] = value[0]
        self._seeds[row], self._frames[row] = seed, 0
        self._used[row], self._resting[row] = self.planner.search.every, False

    def rest(self, row: int) -> None:
        """Nothing is wanted of a row any more: it is searched for no longer."""
        self._resting[row] = True

    def act(self) -> dict[str, np.ndarray]:
        """What every row does next, searched for where its plan is used up."""
        every = self.planner.search.every
        due = ((self._used >= every) & ~self._resting).nonzero()[:, 0]
        if len(due):
            later = torch.arange(every, every + self.planner.search.horizon)
            later = later.clamp(max=self.planner.search.horizon - 1)
            guess = {name: value[due][:, later] for name, value in self._plans.items()}
            given = self.team.state[due], self._seeds[due], self._frames[due]
            for name, value in self.planner.plan(*given, guess=guess).actions.items():
                self._plans[name][due] = value
            self._used[due] = 0
        rows, step = torch.arange(len(self._used)), self._used.clamp(max=every - 1)
        chosen = {name: value[rows, step].numpy() for name, value in self._plans.items()}
        self._used += 1
        return chosen

    def see(self, values: Mapping[str, np.ndarray], frames: np.ndarray) -> Any:
        """Takes in what was done and what came of it; as of `Team`."""
        self._frames += 1
        return self.team.see(values, frames)
