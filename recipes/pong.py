"""Atari Pong, from nothing to a world with a report beside it.

    python -m recipes.pong --out runs/pong

Records, trains and scores; what is there already is kept: run it again to go
on. Needs the extra `atari`. `worldloom play runs/pong` enters the result.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recipes import steps
from worldloom.agents.choose import choose
from worldloom.envs.make import Setup
from worldloom.progress import Progress

# Without the console's own sticky actions, so that what happens follows from the
# keys. Four emulator frames to each of ours: 15 a second.
GAME = Setup("ALE/Pong-v5", size=(64, 64), kwargs={"repeat_action_probability": 0.0})
USUAL = steps.Plan(
    out=Path("runs/pong"), episodes=200, frames=240, steps=6000, judged=48, seed=0, publish=False
)
STAY, UP, DOWN = 0, 2, 3
FIELD = slice(11, 58), slice(9, 55)
"""Rows and columns between the walls and the paddles."""


class Chaser:
    """Follows the ball with its paddle, so that there are rallies; now and then its hand slips.

    A random player alone loses nearly every ball, and a world never sees one returned.
    """

    def reset(self) -> None:
        self.aim, self.slip, self.key = 0.0, 0, STAY

    def __call__(
        self, observation: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Moves towards the brightest pixel of the field."""
        if self.slip == 0 and rng.random() < 0.05:
            self.slip, self.key = int(rng.integers(3, 10)), int(rng.choice([STAY, UP, DOWN]))
            self.aim = rng.uniform(-2.5, 2.5)  # where on the paddle it means to hit
        if self.slip:
            self.slip -= 1
            return {"action": np.int64(self.key)}
        ball = observation[(*FIELD, 2)]
        paddle = observation[FIELD[0], 56].astype(int)
        rows = np.flatnonzero(paddle[:, 1] > paddle[:, 0])  # green on brown
        key = STAY
        if ball.max() > 40 and len(rows):
            gap = ball.max(1).argmax() + self.aim - rows.mean()
            key = DOWN if gap > 2 else UP if gap < -2 else STAY
        return {"action": np.int64(key)}


class Chasers:
    """Makes a `Chaser` for every episode."""

    name = "chaser"

    def __call__(self, stage: Any) -> Chaser:
        return Chaser()


def main() -> None:
    plan = steps.ask(__doc__ or "", USUAL)
    progress = Progress(dict.fromkeys(["record", "tokenizer", "dynamics", "evaluate"], 0.0))

    progress.begin("record")
    players = (Chasers(), *choose("random"))
    store = steps.record_missing(plan, GAME, players, progress)

    steps.train(plan, store, progress)

    progress.begin("evaluate")
    report = steps.judge(plan, store, progress)
    print(report.to_text())
    if plan.publish:
        steps.publish(plan, "pong", "recipes.pong", report)


if __name__ == "__main__":
    main()
