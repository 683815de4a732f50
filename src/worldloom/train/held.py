"""Frames held still and told as deeds: what is seldom done comes to nothing, unless it is seen to.

Players never try in vain, and pause too seldom to be told of all that they did not do (see
`worldloom.train.vain`): before its first table a game of Craft has two pauses. So any frame may
be held for one step, as if nothing had happened, and told as a deed that is seldom done. Where
it is possible it is done more often than that, and stays possible.

Most frames are far from where a deed is possible, and teach little of where it is not. Whoever
pursues a deed does it as soon as it can be done: before that, told as this very deed, frames
teach what was still missing. Both ways are ours.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Coming:
    """Which seldom deed comes next in every recording, and when.

    Args:
      deeds: values `[K, ...]` of the seldom deeds.
      when: of every episode `[T]`, the step at frame t or later that the next one led to; the
        episode's length where none comes.
      which: of every episode `[T]`, its place among the deeds.
    """

    deeds: dict[str, np.ndarray]
    when: Sequence[np.ndarray]
    which: Sequence[np.ndarray]

    @classmethod
    def of(cls, cache: ClipCache, deeds: dict[str, np.ndarray]) -> "Coming":
        """Those of all recordings; `deeds` are `seldom`'s."""
        when, which = [], []
        for episode in range(len(cache)):
            done = cache.done(episode)
            length, found = len(done.known), np.full(len(done.known), -1)
            for place in range(len(next(iter(deeds.values()), ()))):
                same = done.known.copy()
                for name, values in deeds.items():
                    alike = done.values[name] == values[place]
                    same &= alike.reshape(length, -1).all(1)
                found[same] = place
            steps = np.where(found >= 0, np.arange(length), length)
            when.append(np.minimum.accumulate(steps[::-1])[::-1])
            which.append(np.append(found, -1)[when[-1]])
        return cls(deeds, when, which)


def draw_soon(
    held: Held,
    coming: Coming,
    windows: tuple[np.ndarray, np.ndarray],
    share: float,
    dice: np.random.Generator,
) -> Held:
    """Some windows in place of what was held in them hold one frame, told as what comes next.

    The deed is done two steps after the frame or later: at the step that follows it is possible.

    Args:
      held: of the windows.
      coming: of their recordings.
      windows: `[B]` episodes and `[B]` first frames.
      share: of the windows, less those where nothing comes.
      dice: decides where.
    """
    still, deeds = held.still.copy(), {name: v.copy() for name, v in held.deeds.items()}
    rows, length = still.shape
    chosen, places = dice.random(rows) < share, dice.integers(1, max(2, length), size=rows)
    for row in np.flatnonzero(chosen if length > 1 else np.zeros(0, bool)):
        episode, place = int(windows[0][row]), int(places[row])
        after = int(windows[1][row]) + place  # the step that follows the frame that is held
        which = coming.which[episode][after]
        if which < 0 or coming.when[episode][after] == after:
            continue
        still[row] = False
        still[row, place] = True
        for name, values in coming.deeds.items():
            deeds[name][row, place] = values[which]
    return Held(still, deeds)
