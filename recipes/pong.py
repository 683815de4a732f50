"""Atari Pong, from nothing to a world with a report beside it.

    python recipes/pong.py --out runs/pong --episodes 60

Records with random keys, trains the tokenizer and the dynamics, scores the
world on held-out episodes. What is there already is kept: run it again to go on.
Needs the extra `atari`.
"""

import argparse
import sys
from pathlib import Path

from worldloom.agents.choose import choose
from worldloom.data.record import Limits, record
from worldloom.data.store import Store
from worldloom.envs.make import Setup

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path("runs/pong"))
parser.add_argument("--episodes", type=int, default=60, help="how many the store shall hold")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--seed", type=int, default=0)


def main() -> None:
    args = parser.parse_args()

    # The game without its own sticky actions, so that what happens follows from the
    # keys; four emulator frames to each of ours, 15 a second.
    pong = Setup("ALE/Pong-v5", size=(64, 64), kwargs={"repeat_action_probability": 0.0})
    store = args.out / "store"
    there = len(Store.open(store)) if store.exists() else 0
    if there < args.episodes:
        recorded = record(
            pong,
            store,
            episodes=args.episodes - there,
            policies=choose("random"),
            seed=args.seed,
            workers=args.workers,
            limits=Limits(max_frames=1000),
            progress=lambda done, of: print(f"recorded {done} of {of}", file=sys.stderr),
        )
        print(recorded)


if __name__ == "__main__":
    main()
