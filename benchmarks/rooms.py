"""How fast Rooms runs, and how many rooms its players find.

    python -m benchmarks.rooms
    python -m benchmarks.rooms --publish

Frames a second of one process, pictures included: gymnasium's single environment with
its truth and resets, and batches of 16, 64 and 256 games as a vector environment and as
bare arrays. Then the share of rooms that each player enters in an episode.
"""

import argparse
import time
from typing import Any

import numpy as np

from benchmarks import rates, results
from benchmarks.rates import Figures
from worldloom.envs.rooms import Rooms
from worldloom.envs.rooms_core import RoomsWorlds
from worldloom.envs.rooms_vector import RoomsVector

BATCHES = (16, 64, 256)
SEED = 0


def drawn(steps: int, rows: int) -> np.ndarray:
    """Random keys `[steps, rows, 4]`, ahead more often than back."""
    rng = np.random.default_rng(SEED)
    return (rng.random((steps, rows, 4)) < (0.7, 0.2, 0.3, 0.3)).astype(np.int64)


def single(steps: int) -> float:
    """Frames a second of the single environment, its truth and resets included."""
    env, ended = Rooms(), True
    begin = time.perf_counter()
    for (keys,) in drawn(steps, 1):
        if ended:
            env.reset()
        _, _, _, ended, _ = env.step(keys)
    return steps / (time.perf_counter() - begin)


def vector(rows: int, steps: int) -> float:
    """Frames a second of the vector environment, its truth and resets included."""
    envs, keys = RoomsVector(rows), drawn(steps, rows)
    envs.reset(seed=SEED)
    begin = time.perf_counter()
    for held in keys:
        envs.step(held)
    return rows * steps / (time.perf_counter() - begin)


def bare(rows: int, steps: int) -> float:
    """Frames a second of the games and their pictures alone."""
    worlds, keys = RoomsWorlds(rows), drawn(steps, rows)
    worlds.reset(range(rows), range(rows))
    begin = time.perf_counter()
    for held in keys:
        worlds.step(held)
        worlds.render()
    return rows * steps / (time.perf_counter() - begin)


def speeds(rounds: int, steps: int) -> Figures:
    """Medians over rounds, all kinds taking turns; `steps` are those of a round and kind."""
    kinds: dict[str, Any] = {"single": lambda: single(steps)}
    for rows in BATCHES:
        kinds[f"vector_{rows}"] = lambda rows=rows: vector(rows, max(10, steps // rows))
        kinds[f"bare_{rows}"] = lambda rows=rows: bare(rows, max(10, steps // rows))
    return rates.medians(kinds, rounds, "frames")


def found(name: str, episodes: int) -> Figures:
    """The share of an apartment's rooms that a player enters in an episode."""
    env, player, shares = Rooms(), Rooms.players[name](), []
    for episode in range(episodes):
        frame, info = env.reset(seed=episode)
        rng, ended = np.random.default_rng([SEED, episode]), False
        player.reset()
        while not ended:
            frame, _, _, ended, info = env.step(player(frame, info, rng)["keys"])
        shares.append(float(info["visited"].sum() / info["rooms"]))
    print(f"{name}: {np.mean(shares):.2f} of the rooms")
    bounds = results.bootstrap(shares)
    return {f"{name}_rooms": results.figure(float(np.mean(shares)), *bounds, n=episodes)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--smoke", action="store_true", help="seconds, for a test of the script")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    args = parser.parse_args()
    if args.smoke:
        args.rounds, args.steps, args.episodes = 1, 200, 1
    figures = speeds(args.rounds, args.steps)
    for name in Rooms.players:
        figures |= found(name, args.episodes)
    if args.publish and not args.smoke:
        command = (
            f"python -m benchmarks.rooms --rounds {args.rounds} --steps {args.steps} "
            f"--episodes {args.episodes} --publish"
        )
        results.write("rooms", command=command, seeds=[SEED], figures=figures)


if __name__ == "__main__":
    main()
