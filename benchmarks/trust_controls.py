"""How often the trust suite's verdicts err: false alarms on null worlds, planted faults caught.

    python -m benchmarks.trust_controls --store runs/hop64/store --publish
    python -m benchmarks.trust_controls --tasks motion gladder --sets 20 --budget smoke

Rows are simulated, no model is run. Every task is sat once by its simulators, at the default
n. A data set is as many clusters of these rows, drawn anew with replacement within each split.

- type-I error: the world's answers are those of who knows nothing (`benchmarks.trust_nulls`).
  The share of data sets in which the verdict claims something all the same. At nominal 5% at
  most 7% is wanted.
- power: the rows are those of a planted fault. The share of data sets in which it is caught;
  0.9 or more is wanted.

What is finished is kept in a folder and not drawn again. Left out unless they are named:
*transfer*, beside which networks stand that learn for minutes. Left out: *blind*, whose gate
is an exact count of permutations already, and one judging of which takes seconds.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.rates import Figures
from benchmarks.trust_nulls import knows_nothing
from worldloom import seeding
from worldloom.data.files import replace_file
from worldloom.data.store import Store
from worldloom.evaluate.statistics import wilson
from worldloom.trust.listed import named
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Task, Verdict
from worldloom.trust.tasks.doubt.task import Doubter

OWN = ("motion", "gladder", "voe2d", "combo", "rooms", "return", "outcomes", "craft")
RECORDED = ("control", "look", "doubt")
"""Tasks that ask about recordings, which have to be named."""
SEED = 0


def claims(task: Task, verdict: Verdict) -> bool:
    """Whether a verdict says that something is known; of `voe2d` any one property."""
    return (
        verdict.sentence != "it expects nothing" if task.name == "voe2d" else bool(verdict.passed)
    )


def drawn(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """As many clusters again, with replacement within each split; a copy is one of its own."""
    by: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.cluster, set()).add(row.split)
    for row in rows:
        layer = tuple(sorted(splits[row.cluster]))
        by.setdefault(layer, {}).setdefault(row.cluster, []).append(row)
    found = []
    for layer, clusters in by.items():
        names = list(clusters)
        for copy, pick in enumerate(rng.integers(0, len(names), len(names))):
            for row in clusters[names[pick]]:
                own = f"{' '.join(layer)}, {copy}"
                found.append(replace(row, cluster=own, sample=f"{copy}, {row.sample}"))
    return found


def share(
    rows: Sequence[Row], sets: int, name: str, hit: Callable[[list[Row], np.random.Generator], bool]
) -> dict[str, Any]:
    """How often something happens over data sets, with Wilson's interval."""
    hits = 0
    for index in range(sets):
        rng = seeding.rng(SEED, name, index)
        hits += hit(drawn(rows, rng), rng)
    low, high = wilson(hits, sets)
    return results.figure(hits / sets, max(0.0, low), min(1.0, high), n=sets)


def best(task: Task, setting: Setting) -> Probe:
    """Who sits it as well as can be."""
    found = task.ceiling(setting)
    return Doubter(setting) if found is None else found


def controls(task: Task, setting: Setting, sets: int, folder: Path) -> Figures:
    """Type-I error of a task's verdict, and the power of each of its controls."""

    def false_alarm() -> dict[str, Any]:
        rows = sit(task, best(task, setting), setting).rows

        def hit(some: list[Row], rng: np.random.Generator) -> bool:
            nothing = knows_nothing(task.name, some, rng)
            return claims(task, task.judge(nothing, seed=int(rng.integers(2**31))))

        return share(rows, sets, f"{task.name} null", hit)

    def caught(name: str) -> dict[str, Any]:
        fault = task.faults()[name]
        rows = sit(task, fault.probe(setting), setting).rows

        def hit(some: list[Row], rng: np.random.Generator) -> bool:
            return fault.caught(task.judge(some, seed=int(rng.integers(2**31))))

        return share(rows, sets, f"{task.name} {name}", hit)

    found = {f"{task.name}_type1_error": _kept(folder, f"{task.name}_type1_error", false_alarm)}
    for name in task.faults():
        key = f"{task.name}_{name}_power"
        found[key] = _kept(folder, key, lambda name=name: caught(name))
    return found


def _kept(folder: Path, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A figure, made where it is not in the folder."""
    path = folder / f"{name}.json"
    began = time.monotonic()
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(make()).encode())
    entry = json.loads(path.read_text())
    span = f"[{entry['low']:.3f}, {entry['high']:.3f}]"
    print(f"{name}: {entry['value']:.3f} {span}, {time.monotonic() - began:.0f} s", flush=True)
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description="How often the trust suite's verdicts err.")
    parser.add_argument("--tasks", nargs="+", help="all that need no recordings by default")
    parser.add_argument("--store", help="recordings, for tasks that ask about recordings")
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--budget", choices=("smoke", "quick"), default="quick")
    parser.add_argument("--folder", default="runs/trust-controls", help="of what is finished")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    args = parser.parse_args()
    store = Store.open(args.store) if args.store else None
    tasks = args.tasks or [*OWN, *(RECORDED if store else ())]
    folder = Path(args.folder) / f"{args.budget}-{args.sets}"
    figures: Figures = {}
    for name in tasks:
        figures |= controls(named(name), Setting(args.budget, store=store), args.sets, folder)
    if args.publish:
        words = f"--tasks {' '.join(tasks)}" + (f" --store {args.store}" if store else "")
        command = f"python -m benchmarks.trust_controls {words} --sets {args.sets}"
        command += f" --budget {args.budget} --publish"
        results.write("trust_controls", command=command, seeds=[SEED], figures=figures)


if __name__ == "__main__":
    main()
