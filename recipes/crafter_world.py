"""Crafter, from nothing to a world with a report beside it.

    python recipes/crafter_world.py --out runs/crafter --episodes 300

Records with random actions, which find trees, water and zombies but no tools.
What is there already is kept: run it again to go on. Needs the extra `crafter`.
"""

import argparse
import sys
from pathlib import Path

from worldloom.agents.choose import choose
from worldloom.data.record import Limits, record
from worldloom.data.store import Store
from worldloom.envs import CRAFTER
from worldloom.envs.make import Setup

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path("runs/crafter"))
parser.add_argument("--episodes", type=int, default=300, help="how many the store shall hold")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--seed", type=int, default=0)


def main() -> None:
    args = parser.parse_args()

    store = args.out / "store"
    there = len(Store.open(store)) if store.exists() else 0
    if there < args.episodes:
        recorded = record(
            Setup(CRAFTER, size=(64, 64)),
            store,
            episodes=args.episodes - there,
            policies=choose("random"),
            seed=args.seed,
            workers=args.workers,
            limits=Limits(max_frames=500),
            progress=lambda done, of: print(f"recorded {done} of {of}", file=sys.stderr),
        )
        print(recorded)


if __name__ == "__main__":
    main()
