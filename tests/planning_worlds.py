"""Tiny exact worlds to plan in: a table, and a point that is steered; both step in place."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from worldloom.actions import Action, ActionSpec, Binary, Categorical, Continuous
from worldloom.seeding import noise
from worldloom.world import Step, WorldSpec


@dataclass
class Place:
    """Where each row is."""

    at: torch.Tensor  # [B, D]
    over: torch.Tensor  # [B] bool
    seeds: torch.Tensor  # [B] int64

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows) -> "Place":
        return Place(self.at[rows].clone(), self.over[rows].clone(), self.seeds[rows].clone())

    def copy(self) -> "Place":
        return self[:]

    @classmethod
    def stack(cls, states) -> "Place":
        return cls(*(torch.cat([getattr(s, n) for s in states]) for n in ("at", "over", "seeds")))


def places(*at) -> Place:
    at = torch.tensor(at, dtype=torch.float32)
    at = at[:, None] if at.dim() == 1 else at
    return Place(at, torch.zeros(len(at), dtype=torch.bool), torch.arange(len(at)))


class Counted:
    """A world that counts the rows it steps; `sign` -1 turns its rewards round."""

    def __init__(self, action: ActionSpec, *, sign: float = 1.0, lacks=()) -> None:
        can = {"fork", "reseed", "features"} - set(lacks)
        self.spec = WorldSpec("tiny", {}, action, 10, capabilities=frozenset(can))
        self.sign, self.stepped, self.batches = sign, 0, []

    def step(self, state: Place, action: Action) -> tuple[Place, Step]:
        self.stepped += len(state)
        self.batches.append(len(state))
        reward, ends = self.move(state, action.values)
        reward = torch.where(state.over, 0.0, self.sign * reward)
        state.over |= ends
        return state, Step(reward.float(), state.over.clone())

    def reseed(self, state: Place, seeds) -> Place:
        return replace(state.copy(), seeds=seeds.clone())

    def features(self, state: Place) -> torch.Tensor:
        return state.at


class Table(Counted):
    """States and choices from chance; some states end the episode."""

    def __init__(self, states=12, choices=4, seed=0, **given) -> None:
        super().__init__(ActionSpec((Categorical("move", choices),)), **given)
        rng = np.random.default_rng(seed)
        self.next = torch.tensor(rng.integers(states, size=(states, choices)))
        self.pays = torch.tensor(rng.normal(size=(states, choices)), dtype=torch.float32)
        self.ends = torch.tensor(rng.random(states) < 0.15)

    def move(self, state, values):
        at, move = state.at[:, 0].long(), values["move"]
        to = self.next[at, move]
        state.at[:, 0] = torch.where(state.over, at, to).float()
        return self.pays[at, move], self.ends[to]

    def best(self, at: int, horizon: int, discount: float) -> float:
        """The judge: what the best sequence is worth, by trying every one."""
        if horizon == 0:
            return 0.0
        ahead = [
            0.0 if self.ends[to] else self.best(int(to), horizon - 1, discount)
            for to in self.next[at]
        ]
        return max(float(p) + discount * v for p, v in zip(self.pays[at], ahead, strict=True))


class Steered(Counted):
    """A point that a push moves; the further from the target, the worse. A key doubles the push.

    From (2.5, -0.5) and a target at 0 the best is to push with the key down, then to stay.
    """

    def __init__(self, **given) -> None:
        push = Continuous("push", (-1.0, -1.0), (1.0, 1.0))
        super().__init__(ActionSpec((push, Binary("keys", ("double",)))), **given)

    def move(self, state, values):
        state.at += values["push"] * (1 + values["keys"].float())
        return -state.at.square().sum(1), torch.zeros(len(state), dtype=torch.bool)


class Gamble(Counted):
    """Choice 1 pays normal chance less a half; choice 0 nothing."""

    def __init__(self, **given) -> None:
        super().__init__(ActionSpec((Categorical("bet", 2),)), **given)

    def move(self, state, values):
        state.at += 1
        luck = noise(state.seeds, state.at[:, 0].long(), 0, (1,))[:, 0]
        return (luck - 0.5) * values["bet"], torch.zeros(len(state), dtype=torch.bool)
