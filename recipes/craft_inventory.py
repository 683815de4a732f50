"""Does a world of Craft keep count? The inventory after 20 imagined steps, small world and large.

    python -m recipes.craft_inventory runs/craft
    python -m recipes.craft_inventory runs/craft --eighth runs/craft-eighth --publish

Worlds are shown held-out recordings, go on for 20 steps under the recorded actions, and the
inventory is read off their last picture. Beside them: the inventory as it was, and what the
tokenizer's own picture of the truth shows. `--plain` first trains a world of the same size, on
the same recordings, whose loss is that of plain pixels; `--eighth` by the same recipe one of an
eighth of the parameters, `--big` one of eight times as many (half a day of two cores). They are
kept when they are done.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import results
from recipes import steps
from recipes.craft import USUAL, size_of
from worldloom.configs import Size, nano
from worldloom.data.cache import ClipCache
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.envs.craft_reader import read
from worldloom.envs.craft_rules import ITEM_NAMES
from worldloom.evaluate.rollout import roll
from worldloom.evaluate.statistics import Estimate, Pool, by_cluster
from worldloom.hub import load_world
from worldloom.models.dream import DreamWorld
from worldloom.progress import Progress
from worldloom.seeding import rng
from worldloom.train.stage import Stage

CONTEXT, AHEAD = 16, 20
ROWS = 32  # dreams at once


@dataclass(frozen=True)
class Counted:
    """Inventories at the end of stretches of recordings, as somebody has them.

    Args:
      counts: `[N, 12]` of each item.
      truth: `[N, 12]`.
      before: `[N, 12]` when the dream began.
      episodes: `[N]` which recording each stretch is of.
    """

    counts: np.ndarray
    truth: np.ndarray
    before: np.ndarray
    episodes: np.ndarray


def big(updates: int) -> Size:
    """Twice the width and 10 layers for 4: 7.9 times the parameters of `size_of`."""
    base = size_of(updates)
    wide = replace(base.dynamics, width=256, hidden=896, heads=8, kv_heads=8, layers=10)
    return replace(base, dynamics=wide)


def plain(updates: int) -> Size:
    """As large, painting patches as the paper does, in place of choosing tiles."""
    chosen, painted = size_of(updates), nano((32, 32))
    wide = replace(painted.dynamics, width=128, hidden=384, steered=True)
    return replace(painted, dynamics=wide, schedule=chosen.schedule)


def eighth(updates: int) -> Size:
    """A quarter of the width: 1/8.1 of the parameters of `size_of`."""
    base = size_of(updates)
    return replace(base, dynamics=replace(base.dynamics, width=32, hidden=184))


OTHERS = {"plain": plain, "eighth": eighth, "big": big}
"""Worlds that are trained otherwise, by the name of their option."""


def stretches(cache: ClipCache, count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """At least `count` stretches, as many of each episode: `[N]` episodes, `[N]` first frames."""
    long = np.flatnonzero(cache.lengths >= CONTEXT + AHEAD)
    each = -(-count // max(1, len(long)))
    starts = [
        rng(seed, "inventory", int(e)).integers(cache.lengths[e] - CONTEXT - AHEAD + 1, size=each)
        for e in long
    ]
    return np.repeat(long, each), np.concatenate([np.zeros(0, np.int64), *starts])


def dreamed(world: DreamWorld, clip: Clip, seeds: torch.Tensor) -> np.ndarray:
    """Where the world is `AHEAD` steps after the context: `[B, H, W, 3]` uint8."""
    assert clip.actions is not None
    shown = Clip(
        frames={name: frames[:, :CONTEXT] for name, frames in clip.frames.items()},
        actions=clip.actions[:, :CONTEXT],
    )
    (pictures,) = roll(world, shown, [clip.actions[:, CONTEXT:]], seeds, camera="main")
    return pictures[:, -1]


def count(
    worlds: Mapping[str, DreamWorld], cache: ClipCache, *, n: int, seed: int, progress: Progress
) -> dict[str, Counted]:
    """What every world, persistence and the tokenizer say of the same stretches."""
    episodes, starts = stretches(cache, n, seed=seed)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*worlds, "tokenizer")}
    first, last = [], []
    for at in range(0, len(episodes), ROWS):
        rows = slice(at, at + ROWS)
        clip = cache.clip(episodes[rows], starts[rows], length=CONTEXT + AHEAD)
        frames = clip.frames["main"].numpy()
        first.append(read(frames[:, CONTEXT - 1])["counts"])
        last.append(read(frames[:, -1])["counts"])
        seeds = torch.arange(at, at + len(frames))
        for name, world in worlds.items():
            parts[name].append(read(dreamed(world, clip, seeds))["counts"])
        painted = next(iter(worlds.values())).reconstruct(clip).numpy()
        parts["tokenizer"].append(read(painted[:, -1])["counts"])
        progress.update((at + len(frames)) / len(episodes))
    before, truth = np.concatenate(first), np.concatenate(last)
    said = {name: np.concatenate(part) for name, part in parts.items()} | {"persistence": before}
    return {name: Counted(counts, truth, before, episodes) for name, counts in said.items()}


def measure(counted: Counted, *, seed: int = 0) -> dict[str, Estimate]:
    """Mean absolute errors and shares that are right, with intervals over whole episodes.

    `right` is the share of stretches in which every item is; `right_changed` that of those in
    which the inventory changed.
    """
    error = np.abs(counted.counts - counted.truth).astype(np.float64)
    right = (error == 0).all(1).astype(np.float64)
    changed = (counted.before != counted.truth).any(1).astype(np.float64)
    columns = {"error": error.mean(1), "right": right, "right_changed": right * changed}
    columns |= {
        f"error_{item.replace(' ', '_')}": e for item, e in zip(ITEM_NAMES, error.T, strict=True)
    }
    found = {}
    for name, column in columns.items():
        weight = changed if name == "right_changed" else np.ones(len(column))
        sums = by_cluster(np.stack([column, weight], 1), counted.episodes)
        pool = Pool(sums[sums[:, 1] > 0], seed=seed)
        found[name] = pool.estimate(lambda total: total[:, 0] / total[:, 1])
    return found


def figures(counted: Mapping[str, Counted]) -> dict[str, dict[str, Any]]:
    """Every measure of every one, named like `error_world`."""
    return {
        f"{measured}_{name}": results.figure(
            float(e.value), float(e.low), float(e.high), unit="items" if "err" in measured else "1",
            n=e.n, stretches=len(said.truth),
        )
        for name, said in counted.items()
        for measured, e in measure(said).items()
    }  # fmt: skip


def train_beside(run: Path, folder: Path, name: str, progress: Progress) -> None:
    """Trains a world of another size, from the recordings of `run` and for as many updates."""
    config = Stage.open(run / "dynamics").config
    updates, store = config["schedule"]["steps"], Store.open(run / "store")
    plan = replace(USUAL, out=folder, steps=updates, seed=config["seed"])
    steps.train(plan, store, progress, OTHERS[name](updates))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="of recipes.craft, its dynamics trained")
    for name in OTHERS:
        parser.add_argument(f"--{name}", type=Path, help="where it is, or shall be trained")
    parser.add_argument("--n", type=int, default=215, help="stretches, at least")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    given = parser.parse_args()
    others = {name: getattr(given, name) for name in OTHERS if getattr(given, name)}
    for name, folder in others.items():
        train_beside(given.run, folder, name, Progress({"tokenizer": 0.0, "dynamics": 0.0}))
    folders = {"world": given.run, **others}
    progress = Progress({"count": 0.0})
    worlds = {name: load_world(folder) for name, folder in folders.items()}
    store = Store.open(given.run / "store")
    progress.begin("count")
    cache = ClipCache.open(store, given.run / "cache-test", split="heldout")
    found = figures(count(worlds, cache, n=given.n, seed=0, progress=progress))
    for name, figure in found.items():
        print(f"{name:<36} {figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]")
    if given.publish:
        sizes = {name: parameters(world) for name, world in worlds.items()}
        results.write(
            "inventory",
            command=f"python -m recipes.craft_inventory runs/{given.run.name}"
            + "".join(f" --{name} runs/{folder.name}" for name, folder in others.items())
            + f" --n {given.n} --publish",
            seeds=[0],
            figures=found,
            folder=steps.ROOT / "benchmarks" / "results",
            parameters=sizes,
            frames_ahead=AHEAD,
        )


def parameters(world: DreamWorld) -> int:
    """Of its dynamics."""
    return sum(weight.numel() for weight in world.dynamics.parameters())


if __name__ == "__main__":
    main()
