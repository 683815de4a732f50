"""A world by hand: a dot on a line, and the kit that checks it against the contract.

    python examples/world_by_hand.py
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worldloom.actions import Action, ActionSpec, Binary
from worldloom.check import check_world
from worldloom.data.types import Clip
from worldloom.world import Step, WorldSpec


@dataclass(frozen=True)
class Dot:
    """Where the dot is, in pixels: `[B]` int64. All there is to know: state is a value."""

    x: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: list[int] | slice | Tensor) -> "Dot":
        return Dot(self.x[rows].clone())

    def copy(self) -> "Dot":
        return Dot(self.x.clone())

    @classmethod
    def stack(cls, states: list["Dot"]) -> "Dot":
        return cls(torch.cat([state.x for state in states]))


class DotWorld:
    """Two keys move a dot; the right edge pays 1."""

    spec = WorldSpec(
        name="dot",
        cameras={"main": (32, 32)},
        action=ActionSpec((Binary("keys", ("left", "right")),)),
        fps=10,
        capabilities=frozenset({"render", "fork"}),
        starts=frozenset({"seed"}),
    )

    def start(self, clip: Clip, seeds: Tensor) -> tuple[Dot, Step]:
        return self._look(Dot(clip.env_seeds % 32))

    def step(self, state: Dot, action: Action) -> tuple[Dot, Step]:
        keys = action.values["keys"].long() * action.known[:, None]
        return self._look(replace(state, x=(state.x + keys[:, 1] - keys[:, 0]).clamp(0, 31)))

    def render(self, state: Dot, camera: str = "main") -> Tensor:
        columns = torch.arange(32) == state.x[:, None, None, None]
        return (255 * columns.byte()).transpose(2, 3).expand(-1, 32, 32, 3).contiguous()

    def _look(self, state: Dot) -> tuple[Dot, Step]:
        off = torch.zeros(len(state), dtype=torch.bool)
        return state, Step(reward=(state.x == 31).float(), terminated=off, truncated=off)


if __name__ == "__main__":
    check_world(DotWorld(), Clip(env_seeds=torch.arange(3)))
    print("the dot world keeps the contract")
