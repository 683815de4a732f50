"""Crafter, from recordings alone: the way of `recipes.craft` in a game that somebody else wrote.

    python -m recipes.crafter_offline --out runs/crafter-offline

Records our scripted players of three skills and trains the same stages; all are played for
real from the same starts. What is there already is kept: run it again to go on. Needs the
extra `crafter`. `python -m recipes.table RUN RUN ... --publish` collects several seeds. A
frame has 81 tokens where one of Craft has 16: hours on a CPU.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recipes import iql, judge, offline, steps, table
from worldloom.agents.choose import choose
from worldloom.configs import Batches
from worldloom.envs import CRAFTER
from worldloom.envs.make import Setup
from worldloom.progress import Progress
from worldloom.train.imagination import Dreaming
from worldloom.train.lessons import Lessons
from worldloom.train.optim import Schedule

DEEDS = (
    *("collect_wood", "collect_sapling", "collect_drink", "wake_up", "place_plant", "eat_cow"),
    *("place_table", "make_wood_sword", "make_wood_pickaxe", "defeat_zombie", "collect_stone"),
    *("place_stone", "collect_coal", "defeat_skeleton", "make_stone_sword", "make_stone_pickaxe"),
    *("place_furnace", "eat_plant", "collect_iron", "make_iron_sword", "make_iron_pickaxe"),
    "collect_diamond",
)
"""Crafter's 22 achievements, in the order of what they need."""


def achieved(info: Mapping[str, Any]) -> np.ndarray:
    """Which of them an episode reached."""
    return np.array([info[f"achievements/{deed}"] > 0 for deed in DEEDS])


# At 72x72 a cell of the game is one patch of the tokenizer, see `recipes.crafter_world`.
GAME = offline.Game(Setup(CRAFTER, size=(72, 72)), choose("scripted"), DEEDS, achieved)
USUAL = steps.Plan(
    out=Path("runs/crafter-offline"),
    episodes=400,
    frames=501,
    steps=6000,
    judged=200,
    seed=0,
    publish=False,
    heldout=0.1,
)


def training_of(updates: int) -> offline.Training:
    """As in `recipes.craft`, with fewer windows, since a frame has five times the tokens."""
    base = steps.small_world((72, 72), updates)
    size = replace(base, dynamics=replace(base.dynamics, width=128, hidden=384, steered=True))
    schedule = Schedule(max(2, updates // 2), rate=1e-3, warmup=100, ema=0.998, muon_rate=0.01)
    return offline.Training(
        size,
        Lessons(schedule, Batches(rows=8, short=12, long=24, long_every=4), beside=0.25),
        Schedule(max(2, updates // 6), rate=3e-4, warmup=50, ema=0.99),
        Dreaming(contexts=32),
        iql.usual(max(2, updates * 2 // 3)),
        iql.How(patch=8),
    )


def main() -> None:
    plan = steps.ask(__doc__ or "", USUAL)
    progress = Progress(dict.fromkeys(offline.stages(offline.RIVALS), 0.0))
    offline.train(plan, GAME, training_of(plan.steps), offline.RIVALS, progress)
    names = ("agent", *offline.RIVALS, "dream")
    print(judge.compare(plan, GAME, names, progress))
    if plan.publish:
        table.publish("crafter_offline", [plan.out], [table.load(plan.out, GAME)], GAME)


if __name__ == "__main__":
    main()
