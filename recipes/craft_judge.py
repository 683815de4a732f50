"""Plays the policies of a Craft run for real, from the same starts, and compares them.

What a policy did is kept in RUN/act/NAME.json and not played again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import results
from recipes import steps
from worldloom.acting import play_checkpoint
from worldloom.data.store import Store
from worldloom.envs import CRAFT
from worldloom.envs.craft_rules import Item
from worldloom.envs.make import Setup
from worldloom.evaluate.returns import gain, mean, ratio
from worldloom.evaluate.statistics import Estimate
from worldloom.progress import Progress
from worldloom.train.stage import write_text

DIAMOND = int(Item.DIAMOND)


@dataclass(frozen=True)
class Episode:
    """How one went, as the file keeps it."""

    seed: int
    total: float
    length: int
    terminated: bool
    ever: tuple[bool, ...]


def play(plan: steps.Plan, name: str, progress: Progress) -> list[Episode]:
    """Episodes of RUN/name, or of a player of that name."""
    file = plan.out / "act" / f"{name}.json"
    if not file.exists():
        trained = (plan.out / name / "config.json").exists()
        played = play_checkpoint(
            str(plan.out / name) if trained else name,
            Setup(CRAFT),
            episodes=plan.judged,
            seed=plan.seed,
            rows=32,
            max_frames=plan.frames,
            progress=lambda done, of: progress.update(done / of, f"{name}: {done} of {of}"),
        )
        rows = [
            (p.seed, p.total, p.length, p.terminated, np.asarray(p.info["ever"]).tolist())
            for p in played
        ]
        file.parent.mkdir(exist_ok=True)
        write_text(file, json.dumps(rows) + "\n")
    rows = json.loads(file.read_text())
    return [
        Episode(seed, total, length, ended, tuple(ever))
        for seed, total, length, ended, ever in rows
    ]


def recorded(store: Store) -> list[float]:
    """Returns of the recordings."""
    return [row.total for row in store.episodes if row.split == "train"]


def figures(played: Mapping[str, Sequence[Episode]], totals: Sequence[float]) -> dict[str, Any]:
    """Every figure of the comparison."""
    found = {"return_recordings": _figure(mean(totals))}
    for name, episodes in played.items():
        found[f"return_{name}"] = _figure(mean([e.total for e in episodes]))
        found[f"diamond_rate_{name}"] = _figure(mean([float(e.ever[DIAMOND]) for e in episodes]))
        if name != "random":
            found[f"gain_{name}_over_random"] = _figure(gain(episodes, played["random"]))
    dreamed = [e.total for e in played["dream"]]
    for other in ("agent", "clone", "filtered"):
        found[f"gain_dream_over_{other}"] = _figure(gain(played["dream"], played[other]))
    base = float(np.mean(totals))
    found["ratio_dream_over_recordings"] = _figure(ratio(dreamed, [base] * len(dreamed)))
    return found


def table(plan: steps.Plan, names: Sequence[str], progress: Progress) -> str:
    """The comparison for people; written to RUN/act/report.json, and published where asked."""
    played = {name: play(plan, name, progress) for name in (*names, "random", "scripted")}
    store = Store.open(plan.out / "store")
    found = figures(played, recorded(store))
    write_text(plan.out / "act" / "report.json", json.dumps(found, indent=1) + "\n")
    if plan.publish:
        results.write(
            "craft_offline",
            command=f"python -m recipes.craft --seed {plan.seed} --publish",
            seeds=[plan.seed],
            figures=found,
            frames=sum(row.length for row in store.episodes),
            folder=steps.ROOT / "benchmarks" / "results",
        )
    lines = [f"recordings  return {found['return_recordings']['value']:.2f}"]
    for name, episodes in played.items():
        total = found[f"return_{name}"]
        deepest = np.mean([e.ever for e in episodes], 0)
        items = " ".join(f"{item.name.lower()} {deepest[item]:.0%}" for item in Item)
        interval = f"[{total['low']:.2f}, {total['high']:.2f}]"
        lines.append(f"{name:<11} return {total['value']:.2f} {interval}  {items}")
    return "\n".join(lines)


def _figure(found: Estimate) -> dict[str, Any]:
    return results.figure(float(found.value), float(found.low), float(found.high), n=found.n)
