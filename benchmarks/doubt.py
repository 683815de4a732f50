"""Does a world know where it is wrong: four scores of doubt, in distribution and out of it.

    python -m benchmarks.doubt RUN STORE [--publish]

RUN has a doubt (`worldloom train doubt`). New episodes are recorded beside the run, on seeds
that are in no recording: by the store's own player (`same`), and by one who acts by chance
(`random`). The third set (`colours`) is half the first and half the same frames with their
colours exchanged, of which nothing was learned: whoever doubts by what is unseen tells them
apart. Figures are of single steps of dreams that were right until then.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import results
from worldloom.agents.choose import choose
from worldloom.data.cache import ClipCache
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.envs.make import Setup
from worldloom.evaluate.doubt import figures
from worldloom.hub import doubt_folder, load_agent, load_world
from worldloom.models.doubt import KINDS
from worldloom.models.dream import DreamWorld
from worldloom.train.doubt import doubting_of, measure, told
from worldloom.train.stage import Stage

SEEDS = {"same": 424242, "random": 535353}  # of the recordings made here


class Exchanged:
    """A cache whose frames have their colours exchanged: red is shown as green, and so on."""

    def __init__(self, cache: ClipCache) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def clip(self, *given: Any, **named: Any) -> Clip:
        clip = self._cache.clip(*given, **named)
        return replace(clip, frames={k: v.roll(1, -1) for k, v in clip.frames.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--of", default="dynamics", choices=("dynamics", "agent"))
    parser.add_argument("--players", default="scripted", help="who made the recordings")
    parser.add_argument("--episodes", type=int, default=60, help="recorded of each kind")
    parser.add_argument("--frames", type=int, default=200, help="of an episode")
    parser.add_argument("--steps", type=int, default=3072, help="dreamed of each kind")
    parser.add_argument("--name", default="doubt", help="of the results file")
    parser.add_argument("--publish", action="store_true", help="write the results file")
    given = parser.parse_args()
    world = (load_world if given.of == "dynamics" else load_agent)(given.run)
    assert world.doubt is not None, "train it first: worldloom train doubt"
    store = Store.open(given.store)
    found: dict[str, dict[str, Any]] = {}
    caches = {name: fresh(store, given, name) for name in SEEDS}
    sets: dict[str, Any] = {**caches, "colours": Exchanged(caches["same"])}
    steps = {name: measured(world, cache, given) for name, cache in sets.items()}
    steps["colours"] = pooled(steps["same"], steps["colours"])
    for name, rows in steps.items():
        found |= compared(world, rows, name)
    for key, entry in found.items():
        bounds = (entry["value"], entry["low"], entry["high"])
        print(f"{key:<28}" + " ".join(f"{float(x):8.3f}" for x in bounds), entry["n"])
    found["step_cost"] = cost(world, caches["same"])
    print(f"{'step_cost':<28}{found['step_cost']['value']:8.3f}")
    if given.publish:
        command = f"python -m benchmarks.doubt {given.run} {given.store} --of {given.of}"
        command += f" --players {given.players} --episodes {given.episodes}"
        command += f" --frames {given.frames} --steps {given.steps} --publish"
        results.write(
            given.name,
            command=command,
            seeds=[0],
            figures=found,
            speaks=world.doubt.kind,
            tolerance=world.doubt.tolerance,
        )


@torch.inference_mode()
def cost(world: DreamWorld, cache: ClipCache, rounds: int = 30) -> dict[str, Any]:
    """Processor time of a step of one row with doubt over one without, round by round."""
    bare = DreamWorld(world.tokenizer, world.dynamics, world.spec, world.sampler, world.agent)
    clip = cache.window(0, 0, 9)
    assert clip.actions is not None
    begun, action = replace(clip, actions=clip.actions[:, :8]), clip.actions[:, 8]
    begun = Clip(frames={k: v[:, :8] for k, v in begun.frames.items()}, actions=begun.actions)
    took: dict[bool, list[float]] = {True: [], False: []}
    states = {who: who.start(begun, torch.zeros(1, dtype=torch.int64))[0] for who in (world, bare)}
    for number in range(2 * rounds + 4):
        who = (world, bare)[number % 2]
        begin = time.process_time()
        for _ in range(20):
            who.step(states[who], action)
        if number >= 4:
            took[who is world].append(time.process_time() - begin)
    ratios = [a / b for a, b in zip(took[True], took[False], strict=True)]
    low, high = results.bootstrap(ratios)
    return results.figure(statistics.median(ratios), low, high, unit="x", n=rounds)


def fresh(store: Store, given: argparse.Namespace, name: str) -> ClipCache:
    """Recordings that nobody has learned from; what is there already is kept."""
    assert store.info.env is not None, "only what an environment made can be recorded again"
    how = store.info.env_kwargs
    size = how.get("size")
    setup = Setup(store.info.env, None if size is None else tuple(size), how.get("repeat", 1))
    path = given.run / "doubt-recordings" / name
    missing = given.episodes - (len(Store.open(path)) if (path / "info.json").exists() else 0)
    if missing > 0:
        players = choose(given.players if name == "same" else "random")
        keep = Keep(max_frames=given.frames)
        record(setup, path, episodes=missing, policies=players, seed=SEEDS[name], keep=keep)
    made = Store.open(path)
    names = [row.name for row in made.episodes]
    known = {row.seed for row in store.episodes}
    assert not known & {row.seed for row in made.episodes}, "a seed that was learned from"
    return ClipCache.open(made, path.with_name(f"{name}-cache"), names=names)


def measured(world: DreamWorld, cache: Any, given: argparse.Namespace) -> dict[str, Any]:
    """What every score says of single steps, and how wrong they are."""
    assert world.doubt is not None
    config = Stage.open(doubt_folder(given.run, given.of)).config
    windows = doubting_of(config).windows
    return measure(world.doubt, world, cache, windows, steps=given.steps, seed=1)


def pooled(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Both sets of steps, of episodes apart."""
    apart = {**two, "episode": two["episode"] + 1 + one["episode"].max()}
    return {name: np.concatenate([one[name], apart[name]]) for name in one}


def compared(world: DreamWorld, steps: dict[str, Any], name: str) -> dict[str, Any]:
    """Every figure of every score on one set of steps."""
    doubt = world.doubt
    assert doubt is not None
    found: dict[str, Any] = {}
    for kind in KINDS:
        for key, estimate in figures(told(doubt, steps, kind)).items():
            if key == "wrong" and kind != KINDS[0]:
                continue
            title = f"{name}_wrong" if key == "wrong" else f"{name}_{kind}_{key}"
            bounds = (float(x) for x in (estimate.value, estimate.low, estimate.high))
            found[title] = results.figure(*bounds, n=estimate.n, steps=len(steps["error"]))
    return found


if __name__ == "__main__":
    main()
