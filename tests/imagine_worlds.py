"""A world of rows that live for as long as their start says, and what is done with it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from worldloom import Imagined
from worldloom.actions import Action, ActionSpec, Categorical
from worldloom.data.types import Clip
from worldloom.seeding import noise
from worldloom.world import Step, WorldSpec

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PRESS = ActionSpec((Categorical("press", 3),))


@dataclass
class Lives:
    """Rows that live for as many steps as their start says; ages count the steps."""

    life: torch.Tensor  # [B] int64
    age: torch.Tensor  # [B] int64
    seeds: torch.Tensor  # [B] int64

    def __len__(self) -> int:
        return len(self.life)

    def __getitem__(self, rows) -> "Lives":
        return Lives(self.life[rows].clone(), self.age[rows].clone(), self.seeds[rows].clone())

    def copy(self) -> "Lives":
        return self[:]

    @classmethod
    def stack(cls, states) -> "Lives":
        return cls(*(torch.cat([getattr(s, n) for s in states]) for n in ("life", "age", "seeds")))

    def put(self, row: int, other: "Lives") -> None:
        for mine, its in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[row] = its[0]

    def view(self, row: int) -> "Lives":
        one = slice(row, row + 1)
        return Lives(self.life[one], self.age[one], self.seeds[one])


class LivesWorld:
    """Shows a row's age, its life, and a byte of noise; pays the age; ends at the end of life.

    Args:
      rows: whether rows are exchanged in place.
      silent: fields of `Step` that it does not declare.
      doubt: age to doubt.
    """

    def __init__(self, *, rows=True, silent=(), doubt=None, cameras=("main",)) -> None:
        self.silent, self.doubt = silent, doubt
        self.told: list[Action] = []
        self.spec = WorldSpec(
            name="lives",
            cameras={name: (4, 4) for name in cameras},
            action=PRESS,
            fps=10,
            capabilities=frozenset({"render", "fork"} | ({"rows"} if rows else set())),
            starts=frozenset({"seed"}),
        )

    def start(self, clip: Clip, seeds: torch.Tensor) -> tuple[Lives, Step]:
        return Lives(clip.env_seeds.clone(), torch.zeros_like(seeds), seeds.clone()), Step()

    def step(self, state: Lives, action: Action) -> tuple[Lives, Step]:
        self.told.append(action)
        alive = state.age < state.life
        state = Lives(state.life, state.age + alive, state.seeds)
        reward = torch.where(alive, state.age, 0).float()
        doubt = None if self.doubt is None else self.doubt(state.age.float())
        step = Step(reward, state.age >= state.life, torch.zeros(len(state), dtype=torch.bool))
        return state, replace(step, doubt=doubt, **dict.fromkeys(self.silent))

    def render(self, state: Lives, camera: str = "main") -> torch.Tensor:
        drawn = noise(state.seeds, state.age, 0, (1,))[:, 0]
        pixel = torch.stack([state.age, state.life, (drawn * 40 + 128).long()], 1).clamp(0, 255)
        return pixel.byte()[:, None, None].repeat(1, 4, 4, 1)


def in_turn(*lives: int):
    """Starts of these lives, one after another, whatever their number."""
    left = iter(lives)
    return lambda number: Clip(env_seeds=torch.tensor([next(left)]))


def pressed(*keys: int) -> np.ndarray:
    return np.array(keys)


def run(envs: Imagined, steps: int, seed: int = 3):
    """Everything that random actions bring, as arrays over the steps."""
    envs.action_space.seed(seed)
    out = [envs.step(envs.action_space.sample())[:4] for _ in range(steps)]
    return [np.stack(column) for column in zip(*out, strict=True)]


class ColourWorld(LivesWorld):
    """Shows one of three colours, drawn anew at each step; pressing its number pays 1."""

    def step(self, state: Lives, action: Action) -> tuple[Lives, Step]:
        pays = action.values["press"] == self._colour(state)
        return Lives(state.life, state.age + 1, state.seeds), Step(pays.float())

    def render(self, state: Lives, camera: str = "main") -> torch.Tensor:
        colour = torch.nn.functional.one_hot(self._colour(state), 3) * 255
        return colour.byte()[:, None, None].repeat(1, 4, 4, 1)

    def _colour(self, state: Lives) -> torch.Tensor:
        return (noise(state.seeds, state.age, 0, (1,))[:, 0].abs() * 1000).long() % 3
