"""Craftlite: Craft as a table, at states that it is told: what each deed needs, what it gives.

Many games at once, by the rules of `envs.craft_rules`. As it is, it is the simulator; with
another entry in the table, another pay or another doubt it is a null or a planted fault.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.envs import craft_rules
from worldloom.envs.craft_core import CREATURES, HEALTH, RECORD, WELL, CraftWorlds
from worldloom.envs.craft_dice import throw
from worldloom.envs.craft_paths import STEPS
from worldloom.envs.craft_rules import Act
from worldloom.envs.pixel import Snapshot
from worldloom.trust.probe import Edit, Rollout

Table = Literal["rules", "everything", "nothing", "coin", "frozen"]
"""Which deeds work: those that the rules allow; all; none; each with an even chance; and in a
frozen world nothing happens at all."""
ITEMS = slice(3, None)  # of `shown` and `ever`, after the vitals
_STEPS = np.array(STEPS)


@dataclass(frozen=True)
class Games:
    """What Craftlite knows of B games.

    Args:
      records: `[B]` of `craft_core.RECORD`, never written to.
      reward: `[B]` that it thinks came with the newest step; None where it saw none.
    """

    records: np.ndarray
    reward: Tensor | None = None


class Craftlite:
    """A probe that is told the true state.

    Args:
      name: for people.
      table: which deeds work.
      bonus: that it pays for every step on top.
      doubt: what it doubts: nothing, so that it tells no doubt; every step alike; or its errors.
    """

    layers: tuple[str, ...] = ()

    def __init__(
        self,
        name: str = "simulator",
        table: Table = "rules",
        *,
        bonus: float = 0.0,
        doubt: Literal["", "constant", "honest"] = "",
    ) -> None:
        self.name, self.table, self.bonus, self._doubt = name, table, bonus, doubt

    @property
    def capabilities(self) -> frozenset[str]:
        """It draws, pays and goes on from what is real."""
        can = {"rollout", "render", "reward", "continue"}
        return frozenset(can | ({"doubt"} if self._doubt else set()))

    def observe(self, clip: Clip, state: Games | None = None) -> Games:
        """Takes the clip's snapshots; judges the step from `state` to them by what it pays."""
        assert clip.snapshots is not None, "a simulator goes by the true state"
        parts = [np.frombuffer(Snapshot.unpack(s).state, RECORD) for s in clip.snapshots]
        records = np.concatenate(parts)
        return Games(records, None if state is None else self._pay(state.records, records))

    def features(self, state: Games, layer: str | None = None) -> Tensor:
        """It has none, and does not say that it has."""
        raise NotImplementedError

    def score(self, state: Games, clip: Clip) -> Tensor:
        """It has none, and does not say that it has."""
        raise NotImplementedError

    def rollout(
        self,
        state: Games,
        actions: Action,
        *,
        seeds: Sequence[int] = (0,),
        edit: Edit | None = None,
    ) -> Rollout:
        """What follows by its table. Dice are those of the true game, so samples are alike."""
        del edit
        frames, rewards, last = [], [], state
        for step in self._steps(state.records, _chosen(actions)):
            frames.append(torch.from_numpy(step.frames))
            rewards.append(self._pay(step.before, step.after))
            last = Games(step.after, rewards[-1])
        pictures, pay, count = torch.stack(frames, 1), torch.stack(rewards, 1), len(seeds)
        return Rollout(
            pictures.expand(count, *pictures.shape), pay.expand(count, *pay.shape), (last,) * count
        )

    def doubt(self, state: Games, actions: Action) -> Tensor:
        """`[B, T]` one half everywhere, or 1 where a deed goes against the rules, else 0."""
        wrong = [step.wrong for step in self._steps(state.records, _chosen(actions))]
        found = torch.from_numpy(np.stack(wrong, 1)).float()
        return found if self._doubt == "honest" else torch.full_like(found, 0.5)

    def _steps(self, records: np.ndarray, actions: np.ndarray) -> Iterator["_Step"]:
        """Goes on from `[B]` games under actions `[B, T]`."""
        worlds = CraftWorlds(len(records))
        for row, record in enumerate(records):
            worlds.set_state(row, record.tobytes())
        for action in actions.T:
            before, wrong = worlds.games.copy(), np.zeros(len(records), bool)
            if self.table != "frozen":
                worlds.step(action)
                wrong = self._twist(worlds, before, action)
            yield _Step(before, worlds.games.copy(), wrong, worlds.render())

    def _twist(self, worlds: CraftWorlds, before: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Gives or takes back the item of deeds as the table has it; `[B]` where that is wrong.

        What a deed uses up, and what it leaves behind, stays as the rules have it.
        """
        after, wrong = worlds.games.copy(), np.zeros(len(before), bool)
        ahead = before["place"] + _STEPS[after["facing"]]
        kinds = before["cells"][np.arange(len(before)), ahead].astype(np.int64)
        deed = craft_rules.deeds(action, kinds)
        gains = craft_rules.GAINS[deed] & (action >= int(Act.DO))[:, None]
        gains &= before["shown"][:, ITEMS] < craft_rules.LIMITS  # of what is full no more is seen
        works = (after["shown"][:, ITEMS] > before["shown"][:, ITEMS]) & gains
        for row in np.flatnonzero(gains.any(1) & (before["shown"][:, HEALTH] > 0)):
            believed = self._works(bool(works[row].any()), before[row : row + 1])
            if believed != works[row].any():
                game = after[row : row + 1].copy()
                _give(game, before[row : row + 1], gains[row], believed)
                worlds.set_state(int(row), game.tobytes())
                wrong[row] = True
        return wrong

    def _works(self, truth: bool, game: np.ndarray) -> bool:
        """Whether the table lets a deed work that the rules allow or do not allow."""
        if self.table == "coin":
            return bool(throw(game["key"], CREATURES + 2)[0, -1] & np.uint64(1))  # an unused die
        return {"rules": truth, "everything": True, "nothing": False}[self.table]

    def _pay(self, before: np.ndarray, after: np.ndarray) -> Tensor:
        """`[B]` float32 reward of a step: 1 for a new item, a tenth for a point of health."""
        new = after["ever"].sum(1) - before["ever"].sum(1)
        health = after["shown"][:, HEALTH] - before["shown"][:, HEALTH]
        live = before["shown"][:, HEALTH] > 0
        return torch.from_numpy(((new + WELL * health + self.bonus) * live).astype(np.float32))


@dataclass(frozen=True)
class _Step:
    """Before and after `[B]` records, where the table was wrong `[B]`, frames `[B, 32, 32, 3]`."""

    before: np.ndarray
    after: np.ndarray
    wrong: np.ndarray
    frames: np.ndarray


def _give(game: np.ndarray, before: np.ndarray, gains: np.ndarray, given: bool) -> None:
    """Puts the items `gains` `[12]` into a record `[1]`, or takes them back to what there was."""
    items = 3 + np.flatnonzero(gains)
    game["shown"][0, items] = before["shown"][0, items] + given
    game["ever"][0, items] = 1 if given else before["ever"][0, items]


def _chosen(actions: Action) -> np.ndarray:
    """`[B, T]` int64, of the one component that Craft has."""
    (values,) = actions.values.values()
    return np.asarray(values).astype(np.int64)


def packed(records: np.ndarray, frames: np.ndarray) -> tuple[bytes, ...]:
    """The snapshots of games `[B]` that show frames `[B, 32, 32, 3]`."""
    return tuple(
        Snapshot(r.tobytes(), np.ascontiguousarray(f)).pack()
        for r, f in zip(records, frames, strict=True)
    )
