"""Hop at 64x64, from nothing to the world that ships with the package.

    python -m recipes.hop_world --out runs/hop64

Records, trains and scores; what is there already is kept: run it again to go
on. Two hours on one CPU core. `worldloom play runs/hop64` enters the result;
`python -m recipes.ship runs/hop64 hop --passes 2 --hold 6 --temperature 0.75` puts it
into the package.
"""

from dataclasses import replace
from pathlib import Path

from recipes import steps
from worldloom.agents.choose import choose
from worldloom.configs import Size, nano
from worldloom.envs import HOP
from worldloom.envs.make import Setup
from worldloom.models.patches import PatchShape
from worldloom.progress import Progress

GAME = Setup(HOP, size=(64, 64))
USUAL = steps.Plan(
    out=Path("runs/hop64"),
    episodes=1200,
    frames=401,
    steps=13_200,
    judged=120,
    seed=0,
    publish=False,
    heldout=0.1,
)


def size_of(updates: int) -> Size:
    """Size nano, a third wider, which sees its own mistakes in the later part of its training.

    In the last part it also learns to find again what a past has lost.
    """
    base = nano(GAME.size or (64, 64))
    tokenizer = PatchShape(base.frame, patch=8, channels=128)
    return replace(
        base,
        tokenizer=tokenizer,
        dynamics=replace(base.dynamics, channels=tokenizer.channels, width=128, hidden=384),
        tokenizer_batches=replace(base.tokenizer_batches, rows=2048),
        schedule=replace(base.schedule, steps=updates, ema=0.999, warmup=200),
        batches=replace(base.batches, rows=4),
        forcing=replace(
            base.forcing, self_fed=0.25, fed_from=0.55, fed_depth=4, wiped=0.25, wiped_from=0.85
        ),
    )


def main() -> None:
    plan = steps.ask(__doc__ or "", USUAL)
    progress = Progress(dict.fromkeys(["record", "tokenizer", "dynamics", "evaluate"], 0.0))

    progress.begin("record")
    store = steps.record_missing(plan, GAME, choose("random,scripted"), progress)

    steps.train(plan, store, progress, size_of(plan.steps))

    progress.begin("evaluate")
    report = steps.judge(plan, store, progress)
    print(report.to_text())
    if plan.publish:
        steps.publish(plan, "hop64", "recipes.hop_world", report)


if __name__ == "__main__":
    main()
