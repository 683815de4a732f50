"""Frames held still and told as deeds: what is seldom done comes to nothing, unless it is seen to.

Players never try in vain, and pause too seldom to be told of all that they did not do (see
`worldloom.train.vain`): before its first table a game of Craft has two pauses. So any frame may
be held for one step, as if nothing had happened, and told as a deed that is seldom done. Where
it is possible it is done more often than that, and stays possible. The way is ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action, ActionSpec
from worldloom.data.cache import ClipCache

OFTEN = 0.1
"""Share of the steps above which a deed is done too often to be told in vain, such as walking."""


@dataclass(frozen=True)
class Held:
    """Where time stands still in windows, and what is told for it.

    A window keeps its length: its last frames make room for those that are held.

    Args:
      still: `[B, T]` bool, steps before which nothing happens; never the first.
      deeds: values `[B, T, ...]`, of which those at `still` are told.
    """

    still: np.ndarray
    deeds: dict[str, np.ndarray]

    def rows(self, rows: slice) -> "Held":
        """Some of the windows."""
        return Held(self.still[rows], {name: value[rows] for name, value in self.deeds.items()})

    def frames(self, values: Tensor) -> Tensor:
        """`values` `[B, T, ...]` with what is held repeated, and all else later by as much."""
        if not self.still.any():
            return values
        still = torch.as_tensor(self.still).to(values.device)
        index = torch.arange(still.shape[1], device=values.device) - still.long().cumsum(1)
        return values[torch.arange(len(values), device=values.device)[:, None], index]

    def nothing(self, values: Tensor) -> Tensor:
        """The same of what a step brings, `[B, T]`: a step that is held brings 0 or False."""
        still = torch.as_tensor(self.still).to(values.device)
        return self.frames(values).masked_fill(still, 0)

    def told(self, action: Action) -> Action:
        """What led to every frame, values `[B, T, ...]`; what is told of a held one is known."""
        if not self.still.any():
            return action
        still = torch.as_tensor(self.still).to(action.known.device)
        values = {name: self.frames(value).clone() for name, value in action.values.items()}
        for name, value in values.items():
            value[still] = torch.as_tensor(self.deeds[name]).to(value)[still]
        return Action(values, self.frames(action.known) | still)


def seldom(cache: ClipCache, spec: ActionSpec) -> dict[str, np.ndarray]:
    """Deeds of the recordings that are done in at most `OFTEN` of the steps; a pause is none.

    Args:
      cache: of the recordings.
      spec: of their actions.

    Returns:
      Values `[K, ...]`, each once.
    """
    done = [cache.done(episode) for episode in range(len(cache))]
    names = list(spec.null())
    values = {n: np.concatenate([d.values[n][d.known] for d in done]) for n in names}
    total = len(values[names[0]])
    flat = np.concatenate([v.reshape(total, -1).astype(np.float64) for v in values.values()], 1)
    null = np.concatenate([v.reshape(-1).astype(np.float64) for v in spec.null().values()])
    kinds, first, counts = np.unique(flat, axis=0, return_index=True, return_counts=True)
    kept = first[(counts <= OFTEN * total) & (kinds != null).any(1)]
    return {name: value[kept] for name, value in values.items()}


def draw_held(
    deeds: dict[str, np.ndarray], lead: tuple[int, int], share: float, dice: np.random.Generator
) -> Held:
    """Where time stands still, by chance.

    Args:
      deeds: values `[K, ...]` that are told, each equally often; where there are none nothing
        is held.
      lead: `(B, T)`.
      share: of the steps of a window that are held, on average.
      dice: decides where, and what.
    """
    many = len(next(iter(deeds.values()), ()))
    still = dice.random(lead) < (share if many else 0.0)
    still[:, 0] = False
    which = dice.integers(max(1, many), size=lead)
    chosen = {n: v[which] if many else np.zeros((*lead, *v.shape[1:])) for n, v in deeds.items()}
    return Held(still, chosen)
