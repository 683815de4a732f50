"""How often the trust suite's verdicts err: false alarms on null worlds, planted faults caught.

    python -m benchmarks.trust_controls --store runs/hop64/store --publish
    python -m benchmarks.trust_controls --tasks motion gladder --sets 20 --budget smoke

Rows are simulated, no model is run. Every task is sat once by its simulators, at the default
n. A data set is as many clusters of these rows, drawn anew with replacement within each split,
and is judged under the suite's own seed, as whoever sits the exam is.

- type-I error: the world is exactly as good as is just not enough, once for each thing that the
  gate asks for (`benchmarks.trust_bounds`), and as good as can be in all else. The share of data
  sets in which the verdict claims it all the same. At nominal 5% at most 7% is wanted; tests of
  one side of a two-sided interval have 2.5%.
- power: the rows are those of a planted fault. The share of data sets in which it is caught;
  0.9 or more is wanted.
- best passes: the share of data sets in which who sits it as well as can be passes. A gate that
  nobody passes never errs.

Rows and what is finished are kept in a folder and not made again. Left out unless they are named:
*transfer*, beside which networks stand that learn for minutes, and *blind*, one judging of which
takes seconds, so that its powers have fewer data sets; its words are drawn by chance, no encoder
is needed.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.rates import Figures
from benchmarks.trust_bounds import BEST, BOUNDS, Bound
from worldloom import seeding
from worldloom.data.files import replace_file
from worldloom.data.store import Store
from worldloom.evaluate.statistics import wilson
from worldloom.trust.listed import named
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Task
from worldloom.trust.tasks.blind.task import NAMES, Blind
from worldloom.trust.tasks.craft.task import Craft
from worldloom.trust.tasks.doubt.task import Doubter

OWN = (
    *("motion", "gladder", "voe2d", "combo", "rooms", "return", "outcomes"),
    *("craft", "craft_learned"),
)
RECORDED = ("control", "look", "doubt")
"""Tasks that ask about recordings, which have to be named."""
VIEWS = "memory"
"""The one that asks about recordings in which views come back, which may be others."""
SEED = 0
FEW = {"blind": 100}
"""Data sets at most for powers, where one judging takes seconds; type-I errors have them all."""


def tried(name: str) -> Task:
    """A task of the suite.

    `craft_learned` is *craft* as worlds of other games sit it; *blind* has words of its own.
    """
    if name == "blind":
        tongue = seeding.rng(SEED, "tongue").normal(size=(len(NAMES), 24))
        return Blind(words=lambda: tongue)
    return replace(Craft().elsewhere(), name=name) if name == "craft_learned" else named(name)


def films_again(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """Of *blind*: its concepts are what they are, films of each are drawn anew."""
    by: dict[str, list[Row]] = {}
    for row in rows:
        by.setdefault(row.cluster, []).append(row)
    return [some[i] for some in by.values() for i in rng.integers(0, len(some), len(some))]


def drawn(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """As many clusters again, with replacement within each split; a copy is one of its own."""
    if rows[0].task == "blind":
        return films_again(rows, rng)
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


@dataclass(frozen=True)
class Bench:
    """A task whose verdicts are tried.

    Args:
      task: that is sat.
      setting: of the exam.
      sets: data sets for each figure.
      folder: of the rows, and of what is finished, apart for every number of data sets.
    """

    task: Task
    setting: Setting
    sets: int
    folder: Path

    def figures(self) -> Figures:
        """Type-I errors of the task's verdict, and the power of each of its controls."""
        found, folder = {}, self.folder / f"{self.sets} sets"
        for key, bound in BOUNDS[self.task.name].items():
            name = "_".join(filter(None, (self.task.name, key, "type1_error")))
            found[name] = _kept(folder, name, lambda key=key, bound=bound: self.errs(key, bound))
        name = f"{self.task.name}_best_passes"
        found[name] = _kept(folder, name, self.best_passes)
        for fault in self.task.faults():
            name = f"{self.task.name}_{fault}_power"
            found[name] = _kept(folder, name, lambda fault=fault: self.caught(fault))
        return found

    def errs(self, key: str, bound: Bound) -> dict[str, Any]:
        """How often who is at a bound of the gate is said to be beyond it."""
        rows = self.simulated()

        def hit(some: list[Row], rng: np.random.Generator) -> bool:
            just = bound.draw(some, drawn(rows, rng), rng)
            return bound.claims(self.task.judge(just, seed=SEED))

        return share(rows, self.sets, f"{self.task.name} null {key}".strip(), hit)

    def best_passes(self) -> dict[str, Any]:
        """How often who sits it as well as can be passes."""
        rows, draw = self.simulated(), BEST.get(self.task.name)

        def hit(some: list[Row], rng: np.random.Generator) -> bool:
            good = some if draw is None else draw(some, drawn(rows, rng), rng)
            return bool(self.task.judge(good, seed=SEED).passed)

        return share(rows, self._few(), f"{self.task.name} best", hit)

    def caught(self, name: str) -> dict[str, Any]:
        """How often a planted fault is caught."""
        fault = self.task.faults()[name]
        rows = self._sat(fault.probe(self.setting), name, known=self.simulated())

        def hit(some: list[Row], rng: np.random.Generator) -> bool:
            return fault.caught(self.task.judge(some, seed=SEED))

        return share(rows, self._few(), f"{self.task.name} {name}", hit)

    def _few(self) -> int:
        return min(self.sets, FEW.get(self.task.name, self.sets))

    def simulated(self) -> Sequence[Row]:
        """The rows of who sits the task as well as can be, beside those of its nulls."""
        return self._sat(best(self.task, self.setting), "best")

    def _sat(self, probe: Probe, name: str, known: Sequence[Row] = ()) -> Sequence[Row]:
        out = self.folder / "rows" / name
        return sit(self.task, probe, self.setting, out=out, known=known).rows


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
    parser.add_argument("--views", help="recordings in which views come back, for memory")
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--budget", choices=("smoke", "quick"), default="quick")
    parser.add_argument("--folder", default="runs/trust-controls", help="of what is finished")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    args = parser.parse_args()
    store, views = (Store.open(path) if path else None for path in (args.store, args.views))
    tasks = args.tasks or [*OWN, *(RECORDED if store else ()), *([VIEWS] if views else ())]
    folder = Path(args.folder) / args.budget
    figures: Figures = {}
    for name in tasks:
        # Recordings say which deeds of *craft* players show, and those of other games none.
        shown = None if name == "craft" else views if name == VIEWS else store
        setting = Setting(args.budget, store=shown)
        figures |= Bench(tried(name), setting, args.sets, folder).figures()
    if args.publish:
        words = f"--tasks {' '.join(tasks)}" + (f" --store {args.store}" if store else "")
        words += f" --views {args.views}" if views else ""
        command = f"python -m benchmarks.trust_controls {words} --sets {args.sets}"
        command += f" --budget {args.budget} --publish"
        results.write("trust_controls", command=command, seeds=[SEED], figures=figures)


if __name__ == "__main__":
    main()
