"""Crafter, from nothing to a world with a report beside it.

    python -m recipes.crafter_world --out runs/crafter

Records, trains and scores; what is there already is kept: run it again to go
on. Needs the extra `crafter`. `worldloom play runs/crafter` enters the result;
`python -m recipes.ship runs/crafter crafter --passes 8 --temperature 0.75` puts it
into the package.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recipes import steps
from worldloom.actions import Categorical
from worldloom.envs import CRAFTER
from worldloom.envs.make import Setup
from worldloom.progress import Progress

# The game shows 9x9 cells. At 72x72 pixels a cell is 8 pixels, so that each patch
# of the tokenizer is one cell; at the usual 64x64 a cell is 7 and no patch fits.
GAME = Setup(CRAFTER, size=(72, 72))
USUAL = steps.Plan(
    out=Path("runs/crafter"), episodes=500, frames=120, steps=5200, judged=48, seed=0, publish=False
)


class Walker:
    """Walks, holding a direction for a few steps; tries everything else now and then.

    Drawn evenly, three of four actions would leave the picture where it is.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        moves = np.array([label.startswith("move") for label in labels])
        do = np.array([label == "do" for label in labels])
        rest = ~(moves | do)
        self.odds = 0.65 * moves / moves.sum() + 0.2 * do / do.sum() + 0.15 * rest / rest.sum()

    def reset(self) -> None:
        self.left, self.key = 0, 0

    def __call__(
        self, observation: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Repeats its action, or draws another one."""
        if self.left == 0:
            self.left = int(rng.integers(1, 6))
            self.key = int(rng.choice(len(self.odds), p=self.odds))
        self.left -= 1
        return {"action": np.int64(self.key)}


class Walkers:
    """Makes a `Walker` for every episode."""

    name = "walker"

    def __call__(self, stage: Any) -> Walker:
        (component,) = stage.action.components
        assert isinstance(component, Categorical)
        return Walker(component.labels)


def main() -> None:
    plan = steps.ask(__doc__ or "", USUAL)
    progress = Progress(dict.fromkeys(["record", "tokenizer", "dynamics", "evaluate"], 0.0))

    progress.begin("record")
    store = steps.record_missing(plan, GAME, (Walkers(),), progress)

    steps.train(plan, store, progress)

    progress.begin("evaluate")
    report = steps.judge(plan, store, progress)
    print(report.to_text())
    if plan.publish:
        steps.publish(plan, "crafter", "recipes.crafter_world", report)


if __name__ == "__main__":
    main()
