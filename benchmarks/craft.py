"""How fast Craft runs, and how far its players come.

    python -m benchmarks.craft
    python -m benchmarks.craft --publish

Steps a second of one process, pictures included, for batches of 1, 32 and 256
games under random actions, games that end being begun anew; the bare step and
gymnasium's single environment beside them. Then episodes of every player.
"""

import argparse
import time
from typing import Any

import numpy as np

from benchmarks import rates, results
from benchmarks.rates import Figures
from worldloom.envs.craft import Craft
from worldloom.envs.craft_core import CraftWorlds
from worldloom.envs.craft_player import PLAYERS
from worldloom.envs.craft_rules import ACTS, Item
from worldloom.envs.craft_vector import CraftVector

BATCHES = (1, 32, 256)
SEED = 0


def drawn(steps: int, rows: int) -> np.ndarray:
    """Random actions `[steps, rows]`."""
    return np.random.default_rng(SEED).integers(0, ACTS, (steps, rows))


def with_pictures(rows: int, steps: int) -> float:
    """Steps a second of the vector environment, its pictures and resets included."""
    envs, actions = CraftVector(rows), drawn(steps, rows)
    envs.reset(seed=SEED)
    begin = time.perf_counter()
    for chosen in actions:
        envs.step(chosen)
    return rows * steps / (time.perf_counter() - begin)


def bare(rows: int, steps: int) -> float:
    """Steps a second of the games alone, without pictures and resets."""
    worlds, actions = CraftWorlds(rows), drawn(steps, rows)
    worlds.reset(range(rows), range(rows))
    begin = time.perf_counter()
    for chosen in actions:
        worlds.step(chosen)
    return rows * steps / (time.perf_counter() - begin)


def single(steps: int) -> float:
    """Steps a second of the single environment, its pictures, truth and resets included."""
    env, ended = Craft(), True
    begin = time.perf_counter()
    for (action,) in drawn(steps, 1):
        if ended:
            env.reset()
        _, _, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
    return steps / (time.perf_counter() - begin)


def speeds(rounds: int, steps: int) -> Figures:
    """Medians over rounds, all kinds taking turns; `steps` are those of a round and kind."""
    kinds: dict[str, Any] = {"single": lambda: single(steps)}
    for rows in BATCHES:
        kinds[f"batch_{rows}"] = lambda rows=rows: with_pictures(rows, max(20, steps // rows))
        kinds[f"bare_{rows}"] = lambda rows=rows: bare(rows, max(20, steps // rows))
    return rates.medians(kinds, rounds, "steps")


def returns(name: str, episodes: int) -> Figures:
    """How far a player comes in whole episodes, and how fast it thinks."""
    env, player = Craft(), PLAYERS[name]()
    totals, ever, deaths, steps, thought = [], [], [], 0, 0.0
    for episode in range(episodes):
        frame, info = env.reset(seed=episode)
        rng = np.random.default_rng([SEED, episode])
        player.reset()
        total, terminated, ended = 0.0, False, False
        while not ended:
            begin = time.perf_counter()
            action = player(frame, info, rng)["action"]
            thought += time.perf_counter() - begin
            frame, reward, terminated, truncated, info = env.step(np.int64(action))
            total, steps, ended = total + reward, steps + 1, terminated or truncated
        totals.append(total)
        ever.append(info["ever"])
        deaths.append(float(terminated))
    diamonds = np.array(ever)[:, Item.DIAMOND].astype(float)
    print(
        f"{name}: return {np.mean(totals):.2f}, diamond {diamonds.mean():.3f}, "
        f"dead {np.mean(deaths):.2f}, {steps / thought:,.0f} choices/s",
        flush=True,
    )
    columns = {"return": totals, "diamond": diamonds, "death": deaths}
    return {
        f"{name}_{what}": results.figure(
            float(np.mean(values)), *results.bootstrap(values), n=episodes
        )
        for what, values in columns.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--smoke", action="store_true", help="seconds, for a test of the script")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    args = parser.parse_args()
    if args.smoke:
        args.rounds, args.steps, args.episodes = 1, 200, 1
    figures = speeds(args.rounds, args.steps)
    for name in PLAYERS:
        figures |= returns(name, args.episodes)
    if args.publish and not args.smoke:
        command = (
            f"python -m benchmarks.craft --rounds {args.rounds} --steps {args.steps} "
            f"--episodes {args.episodes} --publish"
        )
        results.write("craft", command=command, seeds=[SEED], figures=figures)


if __name__ == "__main__":
    main()
