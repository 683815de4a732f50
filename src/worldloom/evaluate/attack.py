"""The strongest attack tried: a planner that looks for whatever a world promises most for.

It searches once from every start and then does what it found, in the dream and for real. What
it reaches is a lower bound on the worst that the world can be talked into.
"""

from typing import Any

import torch
from torch import Tensor

from worldloom.agents.planning import Planner, Search

SEARCH = Search(horizon=12, candidates=16, rounds=2)


class Attack:
    """A planner as a policy of `evaluate.gap`: from the same moment always the same plan.

    Args:
      planner: in a world with `features`.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self._found: dict[bytes, dict[str, Tensor]] = {}  # by moment: component to `[H, ...]`
        self._now: list[dict[str, Tensor]] = []

    def __call__(self, state: Any, step: int) -> dict[str, Tensor]:
        """What the plans of step 0 do at `step`, component name to `[B, ...]`."""
        if step == 0:
            self._now = self._plans(state)
        return {
            name: torch.stack([plan[name][step] for plan in self._now]) for name in self._now[0]
        }

    def _plans(self, state: Any) -> list[dict[str, Tensor]]:
        """The plan of every row; a moment that is known is not searched again."""
        heard = self.planner.world.features(state).cpu().numpy()
        moments = [row.tobytes() for row in heard]
        fresh = [row for row, moment in enumerate(moments) if moment not in self._found]
        if fresh:
            nothing = torch.zeros(len(fresh), dtype=torch.int64)
            found = self.planner.plan(state[fresh], nothing, nothing).actions
            for place, row in enumerate(fresh):
                plan = {name: value[place] for name, value in found.items()}
                self._found[moments[row]] = plan
        return [self._found[moment] for moment in moments]
