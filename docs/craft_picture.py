"""Draws `docs/images/craft.png`: a morning, a night, and what one holds near the end.

python docs/craft_picture.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from worldloom.envs import craft_draw
from worldloom.envs.craft import Craft
from worldloom.envs.craft_player import Player
from worldloom.envs.craft_rules import Item, Kind

TARGET = Path(__file__).parent / "images" / "craft.png"
TIMES, GAP = 8, 12


def scenes() -> list[np.ndarray]:
    """The first game of an expert in which all three can be seen."""
    seed = 0
    while True:
        found = _scenes(seed)
        if len(found) == 3:
            return list(found.values())
        seed += 1


def _scenes(seed: int) -> dict[str, np.ndarray]:
    """The first frame of each scene that a game has."""
    env, player, rng = Craft(), Player("expert"), np.random.default_rng(seed)
    frame, info = env.reset(seed=seed)
    found: dict[str, np.ndarray] = {}
    ended = False
    while not ended:
        kinds = set(info["view"].reshape(-1).tolist())
        if info["light"] == 0 and {Kind.TABLE, Kind.TREE, Kind.COW_2} <= kinds:
            found.setdefault("day", frame)
        if info["light"] == craft_draw.LIGHTS - 1 and {Kind.ZOMBIE_3, Kind.TREE} <= kinds:
            found.setdefault("night", frame)
        if info["ever"][Item.DIAMOND] and {Kind.COAL, Kind.IRON} & kinds and info["light"] == 0:
            found.setdefault("late", frame)
        frame, _, terminated, truncated, info = env.step(
            np.int64(player(frame, info, rng)["action"])
        )
        ended = terminated or truncated
    return {name: found[name] for name in ("day", "night", "late") if name in found}


def main() -> None:
    pictures = [
        np.pad(craft_draw.larger(f, TIMES), ((0, 0), (0, GAP), (0, 0)), constant_values=255)
        for f in scenes()
    ]
    sheet = np.concatenate(pictures, 1)[:, :-GAP]
    Image.fromarray(sheet).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
