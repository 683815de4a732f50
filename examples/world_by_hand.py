"""A world by hand: a dot on a line, and the kit that checks it against the contract."""

from dataclasses import dataclass

import torch
from torch import Tensor

from worldloom import Action, ActionSpec, Binary, Clip, Step, WorldSpec, check_world


@dataclass(frozen=True)
class Dot:
    """All there is to know: state is a value."""

    x: Tensor  # [B] int64 pixels from the left

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
    """Two keys move a dot."""

    spec = WorldSpec(
        name="dot",
        cameras={"main": (32, 32)},
        action=ActionSpec((Binary("keys", ("left", "right")),)),
        fps=10,
        capabilities=frozenset({"render", "fork"}),
        starts=frozenset({"seed"}),
    )

    def start(self, clip: Clip, seeds: Tensor) -> tuple[Dot, Step]:
        return Dot(clip.env_seeds % 32), Step()

    def step(self, state: Dot, action: Action) -> tuple[Dot, Step]:
        keys = action.values["keys"].long() * action.known[:, None]
        return Dot((state.x + keys[:, 1] - keys[:, 0]).clamp(0, 31)), Step()

    def render(self, state: Dot, camera: str = "main") -> Tensor:
        lit = torch.nn.functional.one_hot(state.x, 32)[:, None, :, None]
        return (255 * lit).byte().repeat(1, 32, 1, 3)


if __name__ == "__main__":
    check_world(DotWorld(), Clip(env_seeds=torch.arange(3)))
    print("the dot keeps the contract")
