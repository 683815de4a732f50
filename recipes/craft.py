"""Craft, from recordings alone: a world, an agent cloned in it, and one that dreamed.

    python -m recipes.craft --out runs/craft

Records mixed players, trains tokenizer, dynamics, the agent in them, rivals for
comparison, and a policy in imagination; plays all of them for real from the same starts.
What is there already is kept: run it again to go on.

    python -m recipes.craft --seed 1 --out runs/craft-1
    python -m recipes.craft --episodes 84 --rivals clone --out runs/craft-10
    python -m recipes.table runs/craft runs/craft-1 runs/craft-10 --publish

Another seed trains on the same recordings and plays the same starts; fewer episodes are the
first of the others. `--small` is minutes in all: short games of novices and of chance.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recipes import iql, judge, offline, steps, table
from worldloom.agents.choose import choose
from worldloom.configs import Batches, Size, tiles
from worldloom.data.relevant import DISCOUNT
from worldloom.envs import CRAFT
from worldloom.envs.craft_rules import ITEM_NAMES
from worldloom.envs.make import Setup
from worldloom.models.dream import Sampler
from worldloom.progress import Progress
from worldloom.train.imagination import Dreaming
from worldloom.train.lessons import Lessons, at_sight
from worldloom.train.optim import Schedule

GAME = offline.Game(
    Setup(CRAFT), choose("scripted"), ITEM_NAMES, lambda info: np.asarray(info["ever"], bool)
)
USUAL = steps.Plan(
    out=Path("runs/craft"),
    episodes=840,
    frames=501,
    steps=12000,
    judged=200,
    seed=0,
    publish=False,
    heldout=0.1,
    # Players have most of what they want after a hundred frames and stroll from then on: one
    # game in four is recorded to its end, for the nights and the thirst.
    sittings=(501, 161, 161, 161),
)


def size_of(updates: int) -> Size:
    """Size tiles, a third wider, told by each action how the view moves.

    What players never try comes to nothing now and then, most often what they do next: told of
    all else more often, a world takes what they seldom do where they could for impossible.
    """
    base = tiles((32, 32))
    return replace(
        base,
        dynamics=replace(base.dynamics, width=128, hidden=384, steered=True),
        schedule=replace(base.schedule, steps=updates, ema=0.998),
        forcing=replace(base.forcing, vain=0.1, held=0.02, soon=0.6, paid=0.5),
    )


def training_of(updates: int) -> offline.Training:
    """All that follows from the updates of the dynamics.

    The view and the inventory say nearly all: agents act at sight. Whoever imitates is shown as
    many windows and glances; beside two windows is one for the world, where there is a world.
    """
    schedule = Schedule(max(2, updates // 12), rate=1e-3, warmup=100, ema=0.998, muon_rate=0.01)
    windows = Batches(rows=8, short=12, long=24, long_every=4)
    return offline.Training(
        size_of(updates),
        at_sight(Lessons(schedule, windows, beside=0.5)),
        Schedule(max(2, updates // 20), rate=5e-4, warmup=30, ema=0.99),
        # What counts lies some thirty frames ahead, as for those who aim: a value that looks
        # ten times as far is not learned within so few dreams.
        Dreaming(contexts=32, context=12, discount=DISCOUNT),
        iql.usual(max(2, updates // 6)),
        iql.How(),
        Sampler(passes=2),
    )


SMALL = replace(
    USUAL, out=Path("runs/craft-small"), episodes=96, frames=128, sittings=(), steps=250
)
SMALL_GAME = replace(GAME, players=choose("random,novice"))


def small_training(updates: int) -> offline.Training:
    """The same in a few minutes: half of the width, shorter windows and shorter dreams."""
    base = size_of(updates)
    short = Batches(rows=8, short=8, long=16, long_every=4)
    size = replace(
        base,
        dynamics=replace(base.dynamics, width=64, hidden=168, window=12),
        schedule=replace(base.schedule, warmup=50, ema=0.99),
        batches=short,
    )
    schedule = Schedule(2 * updates, rate=1e-3, warmup=40, ema=0.99, muon_rate=0.01)
    return offline.Training(
        size,
        at_sight(Lessons(schedule, replace(short, rows=8), beside=0.5)),
        Schedule(max(2, updates * 2 // 5), rate=3e-4, warmup=10, ema=0.9),
        Dreaming(horizon=12, contexts=24, context=8),
        iql.usual(4 * updates),
        iql.How(),
        Sampler(passes=2),
    )


def ask() -> tuple[steps.Plan, bool, Sequence[str]]:
    """The command line: the plan, whether all of it is small, and the rivals."""
    parser = steps.parser(__doc__ or "")
    parser.add_argument("--small", action="store_true", help="minutes in all, see above")
    parser.add_argument(
        "--rivals",
        nargs="*",
        choices=(*offline.RIVALS, "plan"),
        help="for comparison; all but the dreamer who plans, which takes an hour",
    )
    given = parser.parse_args()
    small, rivals = given.small, given.rivals
    if rivals is None:
        rivals = () if small else offline.RIVALS
    return steps.planned(given, SMALL if small else USUAL), small, rivals


def main() -> None:
    plan, small, rivals = ask()
    game, training = (SMALL_GAME, small_training) if small else (GAME, training_of)
    trained = [name for name in rivals if name != "plan"]
    progress = Progress(dict.fromkeys(offline.stages(trained), 0.0))
    offline.train(plan, game, training(plan.steps), trained, progress)
    planned = [name for name in rivals if name == "plan"]
    print(judge.compare(plan, game, ("agent", *trained, "dream", *planned), progress))
    if plan.publish and not small:
        table.publish("craft_offline", [plan.out], [table.load(plan.out, game)], game)


if __name__ == "__main__":
    main()
