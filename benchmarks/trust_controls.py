"""How often the trust suite's verdicts err: false alarms on null worlds, planted faults caught.

    python -m benchmarks.trust_controls --publish
    python -m benchmarks.trust_controls --tasks motion gladder --sets 20 --budget smoke

Rows are simulated, no model is run. Every task is sat once by its simulators, at the default
n. A data set is as many clusters of these rows, drawn anew with replacement within each split.

- type-I error: the world's answers are those of the main null to other questions of the same
  split, so it is as good as the null and no better; where the null is a coin, a coin is tossed
  for the world, and another one for an untrained network. The share of data sets in which the
  verdict claims something all the same. At nominal 5% at most 7% is wanted.
- power: the rows are those of a planted fault. The share of data sets in which it is caught;
  0.9 or more is wanted.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from benchmarks import results
from benchmarks.rates import Figures
from worldloom import seeding
from worldloom.evaluate.statistics import wilson
from worldloom.trust.listed import named
from worldloom.trust.rows import Row
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Task, Verdict

TASKS = ("motion", "gladder", "voe2d", "combo", "rooms", "return")
COINS = {"voe2d", "return"}
"""Tasks that ask for one of two: who knows nothing tosses a coin."""
MAIN = {"rooms": "touching"}
"""The null to be as good as, where it is not the first: the strongest."""
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
                found.append(
                    replace(row, cluster=f"{layer[0]}, {copy}", sample=f"{copy}, {row.sample}")
                )
    return found


def knows_nothing(task: Task, rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """The same questions, answered by who is as good as the main null and no better."""
    if task.name in COINS:
        return [_tossed(row, rng) for row in rows]
    null = MAIN.get(task.name, next(iter(rows[0].null)))
    found = []
    for split in dict.fromkeys(row.split for row in rows):
        some = [row for row in rows if row.split == split]
        for row, other in zip(some, rng.permutation(len(some)), strict=True):
            given = some[other]
            extra = {**row.extra, **given.extra.get("beside", {}).get(null, {})}
            extra = {k: row.extra[k] if k == "g" else v for k, v in extra.items()}
            found.append(replace(row, value=given.null[null], extra=extra))
    return found


def _tossed(row: Row, rng: np.random.Generator) -> Row:
    """A coin for the world, and another one for what was never trained."""
    one, two = (float(x) for x in rng.integers(0, 2, 2))
    value = None if row.value is None else one
    return replace(row, value=value, null={**row.null, "untrained_0": two})


def share(
    rows: Sequence[Row], sets: int, name: str, hit: Callable[[list[Row], np.random.Generator], bool]
) -> dict[str, object]:
    """How often something happens over data sets, with Wilson's interval."""
    hits = 0
    for index in range(sets):
        rng = seeding.rng(SEED, name, index)
        hits += hit(drawn(rows, rng), rng)
    low, high = wilson(hits, sets)
    return results.figure(hits / sets, max(0.0, low), min(1.0, high), n=sets)


def controls(task: Task, setting: Setting, sets: int) -> Figures:
    """Type-I error of a task's verdict, and the power of each of its controls."""
    figures: Figures = {}
    ceiling = task.ceiling(setting)
    assert ceiling is not None
    rows = sit(task, ceiling, setting).rows

    def false_alarm(some: list[Row], rng: np.random.Generator) -> bool:
        verdict = task.judge(knows_nothing(task, some, rng), seed=int(rng.integers(2**31)))
        return claims(task, verdict)

    figures[f"{task.name}_type1_error"] = share(rows, sets, f"{task.name} null", false_alarm)
    for name, fault in task.faults().items():
        wrong = sit(task, fault.probe(setting), setting).rows

        def caught(some: list[Row], rng: np.random.Generator, fault=fault) -> bool:
            return fault.caught(task.judge(some, seed=int(rng.integers(2**31))))

        figures[f"{task.name}_{name}_power"] = share(wrong, sets, f"{task.name} {name}", caught)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--budget", choices=("smoke", "quick"), default="quick")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    args = parser.parse_args()
    figures: Figures = {}
    for name in args.tasks:
        began = time.monotonic()
        found = controls(named(name), Setting(args.budget), args.sets)
        for key, entry in found.items():
            print(f"{key}: {entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]")
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
        figures |= found
    if args.publish:
        command = (
            f"python -m benchmarks.trust_controls --tasks {' '.join(args.tasks)} "
            f"--sets {args.sets} --budget {args.budget} --publish"
        )
        results.write("trust_controls", command=command, seeds=[SEED], figures=figures)


if __name__ == "__main__":
    main()
