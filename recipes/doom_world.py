"""Doom, from nothing to a world with a report beside it.

    python -m recipes.doom_world --out runs/doom

The scenario `my_way_home` of ViZDoom in Freedoom's art: eight rooms of a maze,
each with walls of its own, seen in first person. Records, trains and scores; what
is there already is kept: run it again to go on. Needs the extra `doom`.
`worldloom play runs/doom` enters the result.
"""

from dataclasses import replace
from pathlib import Path

from recipes import steps
from worldloom.agents.choose import Named
from worldloom.configs import Size
from worldloom.envs import DOOM
from worldloom.envs.make import Setup
from worldloom.models.dream import Sampler
from worldloom.models.patches import PatchShape
from worldloom.progress import Progress

# The engine draws 320x240; averaged over areas, what is far away flickers less as it moves.
GAME = Setup(DOOM, size=(64, 64), kwargs={"scenario": "my_way_home"})
# Nearly all follows from the action: one pass was no worse than eight, and costs a fifth.
SAMPLER = Sampler(passes=1, shortcuts=False)
USUAL = steps.Plan(
    out=Path("runs/doom"), episodes=300, frames=160, steps=1960, judged=48, seed=0, publish=False
)


def size_of(updates: int) -> Size:
    """Size nano, wider, with neighbours that are weighed by the action: the whole picture moves."""
    base = steps.small_world(GAME.size or (64, 64), updates)
    tokenizer = PatchShape(base.frame, patch=8, channels=64)
    shape = replace(base.dynamics, channels=64, width=128, hidden=384, steered=True)
    return replace(
        base,
        tokenizer=tokenizer,
        dynamics=shape,
        schedule=replace(base.schedule, ema=0.998),
        batches=replace(base.batches, long=24),
        forcing=replace(base.forcing, bootstrap_rows=0.0),
    )


def main() -> None:
    plan = steps.ask(__doc__ or "", USUAL)
    progress = Progress(dict.fromkeys(["record", "tokenizer", "dynamics", "evaluate"], 0.0))

    progress.begin("record")
    store = steps.record_missing(plan, GAME, (Named("scripted"),), progress, workers=2)

    steps.train(plan, store, progress, size_of(plan.steps))

    progress.begin("evaluate")
    report = steps.judge(plan, store, progress, SAMPLER)
    print(report.to_text())
    if plan.publish:
        steps.publish(plan, "doom", "recipes.doom_world", report)


if __name__ == "__main__":
    main()
