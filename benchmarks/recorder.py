"""How much of an environment's own speed is left while it is recorded.

    python benchmarks/recorder.py

Rounds of three loops, one after the other: the bare environment with its random
player in one process, the same with the recorder, and the environment given
actions that were drawn before. Ratios are taken within a round.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import gymnasium
import numpy as np

from benchmarks import results
from worldloom.agents.choose import choose
from worldloom.data.record import Limits, record
from worldloom.envs import HOP
from worldloom.envs.hop_player import Wanderer


def bare(frames: int, *, drawn: bool) -> float:
    """Steps a second of the environment alone, with its player or with actions drawn before."""
    env, player, rng = gymnasium.make(HOP), Wanderer(), np.random.default_rng(0)
    actions = np.repeat(rng.integers(0, 2, (frames // 8 + 1, 3)), 8, 0).astype(np.uint8)
    observation, info = env.reset(seed=0)
    player.reset()
    begin = time.perf_counter()
    for action in actions[:frames]:
        keys = action if drawn else player(observation, info, rng)["keys"]
        observation, _, terminated, truncated, info = env.step(keys)
        if terminated or truncated:
            observation, info = env.reset()
            player.reset()
    return frames / (time.perf_counter() - begin)


def recorded(episodes: int, folder: Path) -> tuple[float, int]:
    """Frames a second of the recorder, from the first frame to the last byte on disk."""
    shutil.rmtree(folder, ignore_errors=True)
    done = record(HOP, folder, episodes=episodes, policies=choose("random"), limits=Limits())
    return done.frames / done.seconds, done.frames


def interval(ratios: np.ndarray) -> tuple[float, float]:
    """A 95% interval of the median by bootstrap over rounds."""
    draws = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.percentile(np.median(draws, 1), [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--episodes", type=int, default=400)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            rate, frames = recorded(args.episodes, Path(folder) / "store")
            rows.append((rate, bare(frames, drawn=False), bare(frames, drawn=True)))
            print("recorded {:,.0f}  player {:,.0f}  bare {:,.0f} frames/s".format(*rows[-1]))
    rates = np.array(rows)
    figures = {}
    for name, column in (("record_speed_share", 1), ("record_share_of_drawn_actions", 2)):
        ratios = rates[:, 0] / rates[:, column]
        figures[name] = results.figure(float(np.median(ratios)), *interval(ratios), n=len(ratios))
    for name, column in (("recorded", 0), ("environment_with_player", 1), ("environment", 2)):
        figures[name] = results.figure(float(np.median(rates[:, column])), unit="frames/s")
    command = f"python -m benchmarks.recorder --rounds {args.rounds} --episodes {args.episodes}"
    results.write("recorder", command=command, seeds=[0], figures=figures)


if __name__ == "__main__":
    main()
