"""Craft, corrected: three rounds of real experience, and the same steps spent in other ways.

    python -m recipes.craft_correct runs/craft --out runs/craft-correct
    python -m recipes.craft_correct runs/craft --out runs/craft-correct --data random

Each way of spending the real steps corrects a copy of the run of its own, OUT/DATA, and goes on
where it was interrupted: `agent`, and for comparison `random`, `human` (our scripted players) and
`doubt` (the agent where the world doubts most; said and left out where the world has no doubt).
`--publish` writes benchmarks/results/craft_correct.json of all that are done.
"""

import argparse
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import results
from recipes import steps
from worldloom.correct import Plan, correct
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.evaluate.exam import line
from worldloom.train.stage import Stage

WAYS = {"agent": "agent", "random": "random", "human": "scripted", "doubt": "doubt"}
STAGES = ("tokenizer", "dynamics", "agent", "dream", "agent-doubt")


@dataclass(frozen=True)
class Asked:
    """What the recipe was asked for.

    Args:
      run: whose agent is trained and has dreamed; it is left as it is.
      out: folder of the copies.
      ways: of spending the real steps.
      rounds: of correction.
      plan: of every round.
      publish: write the results file.
    """

    run: Path
    out: Path
    ways: Sequence[str]
    rounds: int
    plan: Plan
    publish: bool


def ask() -> Asked:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the run to correct copies of")
    parser.add_argument("--out", type=Path, default=Path("runs/craft-correct"))
    parser.add_argument("--data", choices=WAYS, action="append", help="this way only; repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a minute: proves the way alone")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    given = parser.parse_args()
    plan = Plan(steps=2000, updates=600, dreams=200, starts=200, seed=given.seed)
    if given.smoke:
        plan = replace(plan, steps=60, updates=2, dreams=1, starts=4, horizon=4)
    ways = given.data or list(WAYS)
    return Asked(given.run, given.out, ways, given.rounds, plan, given.publish)


def copy(run: Path, here: Path, cache: Path) -> Store:
    """A copy of a run with a store of its own; decoded frames are shared by all copies.

    Files of a store are never changed, so that the copy links to them.
    """
    if not here.exists():
        part = here.with_name(f"{here.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        for stage in STAGES:
            if (run / stage).exists() or stage != "agent-doubt":
                shutil.copytree(run / stage, part / stage)
        recorded = Path(Stage.open(run / "agent").config["store"])
        shutil.copytree(recorded, part / "store", copy_function=_linked)
        cache.mkdir(parents=True, exist_ok=True)
        (part / "cache").symlink_to(cache.resolve())
        part.rename(here)
    return Store.open(here / "store")


def _linked(source: str, target: str) -> str:
    """The same file under another name, or a copy of it on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def figures(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of the results file, from the rounds of every way that is done."""
    told: dict[str, Any] = {}
    for way, report in found.items():
        first, last = report["rounds"][0], report["rounds"][-1]
        rounds, end = len(report["rounds"]) - 1, "" if way == "agent" else f"_{way}"
        told[f"gap_removed_{rounds}_rounds{end}"] = last["gap_removed"]["agent"]
        told[f"gap_removed_{rounds}_rounds_planner{end}"] = last["gap_removed"]["planner"]
        told[f"return_after{end}"] = last["return"]
        for name, one in (("before", first), ("after", last)):
            for part in ("gap", "dynamics", "reward"):
                told[f"{part}_{name}{end}"] = one["agent"]["gap"][part]
            for rate in ("forbidden", "omission"):
                told[f"{rate}_rate_{name}{end}"] = one["deeds"][rate]
        told["return_before"] = first["return"]
    return {name: results.figure(**one) for name, one in told.items()}


def main() -> None:
    asked = ask()
    found: dict[str, dict[str, Any]] = {}
    for way in asked.ways:
        here = asked.out / way
        store = copy(asked.run, here, asked.out / "cache")
        plan = replace(asked.plan, data=WAYS[way])
        try:
            found[way] = correct(here, store, plan, rounds=asked.rounds)
        except WorldloomError as error:
            if way != "doubt" or "tells no doubt" not in error.message:
                raise
            print(f"doubt: left out, {error.message}")
            continue
        print(*(f"{way}: {line(one)}" for one in found[way]["rounds"]), sep="\n")
    told = figures(found)
    (asked.out / "figures.json").write_text(json.dumps(told, indent=1) + "\n")
    if asked.publish:
        results.write(
            "craft_correct",
            command=f"python -m recipes.craft_correct runs/craft --rounds {asked.rounds} "
            f"--seed {asked.plan.seed} --publish",
            seeds=[asked.plan.seed],
            figures=told,
            folder=steps.ROOT / "benchmarks" / "results",
        )


if __name__ == "__main__":
    main()
