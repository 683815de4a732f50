"""The lands of Craft: 32 by 32 cells, a function of the seed alone.

A meadow in the middle with trees, water and rock not far away; coal and iron in
the rock, and a few diamonds deeper in it. Knows kinds and ways, no player and no
picture. Integers only: a seed names the same land on every machine.
"""

from dataclasses import dataclass

import numpy as np

from worldloom.envs import craft_paths
from worldloom.envs.craft_dice import keys, throw
from worldloom.envs.craft_paths import INSIDE, PAD, SIDE, WIDE
from worldloom.envs.craft_rules import WALKABLE, Kind

COWS, ZOMBIES = 5, 3  # the most there are at once
DIAMONDS = 2
# How far the nearest of a kind may be from the start, in steps; the diamond not nearer either.
TREE_WITHIN, WATER_WITHIN, STONE_WITHIN, DIAMOND_WITHIN = 9, 14, 12, (14, 28)
_LATTICE = (5, 9)  # knots a side of the coarse and of the fine noise
_USE_LAND = 2


@dataclass(frozen=True)
class Land:
    """Where an episode begins.

    Args:
      cells: `[38 * 38]` uint8 kinds, the sea around included.
      start: the player's cell.
      cows: their cells, at most `COWS`.
    """

    cells: np.ndarray
    start: int
    cows: np.ndarray


def make_land(seed: int) -> Land:
    """The land of a seed: the first of its drafts on which all can be reached."""
    attempt = 0
    while True:
        land = _draft(seed, attempt)
        if _playable(land):
            return land
        attempt += 1


def _weights(knots: int) -> np.ndarray:
    """`[32, knots]` int64: how much of each knot a cell has, in 1/256, smooth in between."""
    place = np.arange(SIDE) * (knots - 1) * 256 // SIDE
    left, part = place // 256, place % 256
    smooth = part * part * (3 * 256 - 2 * part) // 65536
    weights = np.zeros((SIDE, knots), np.int64)
    weights[np.arange(SIDE), left] = 256 - smooth
    weights[np.arange(SIDE), left + 1] = smooth
    return weights


_WEIGHTS = tuple(_weights(knots) for knots in _LATTICE)
FIELDS = 4


def _noise(dice: np.ndarray) -> np.ndarray:
    """Rolling heights `[FIELDS, 32, 32]` of 0 to 1023, two parts coarse and one part fine."""
    total, used = np.zeros((FIELDS, SIDE, SIDE), np.int64), 0
    for weights, knots, share in zip(_WEIGHTS, _LATTICE, (2, 1), strict=True):
        size = FIELDS * knots * knots
        heights = dice[used : used + size].reshape(FIELDS, knots, knots) % 1024
        total += share * (weights @ heights @ weights.T >> 16)
        used += size
    return total // 3


def _away(start: tuple[int, int]) -> np.ndarray:
    """`[32, 32]` distance from the start, diagonals counting one and a half."""
    dy = np.abs(np.arange(SIDE) - start[0])[:, None]
    dx = np.abs(np.arange(SIDE) - start[1])[None]
    return np.maximum(dy, dx) + np.minimum(dy, dx) // 2


def _draft(seed: int, attempt: int) -> Land:
    """A land that may or may not be playable."""
    key = keys(np.array([seed]), use=_USE_LAND + attempt)
    dice = (throw(key, 3072)[0] >> np.uint64(24)).astype(np.int64)
    start = 12 + int(dice[0]) % 8, 12 + int(dice[1]) % 8
    lots = dice[1024:2048].reshape(SIDE, SIDE)
    heights, away = _noise(dice[2:1024]), _away(start)
    land = np.full((SIDE, SIDE), Kind.GRASS, np.uint8)
    meadow = np.maximum(0, 7 - away) * 60  # neither rock nor water where one begins
    rock = heights[0] - meadow > 535
    wet = heights[1] - meadow
    land[wet > 590] = Kind.SAND
    land[wet > 625] = Kind.WATER
    trees = (heights[2] > 520) & (lots % 100 < 45) & (away > 1)
    land[trees & (land == Kind.GRASS)] = Kind.TREE
    land[rock] = Kind.STONE
    lot = lots // 128 % 1000
    land[rock & (lot < 75)] = Kind.COAL
    land[rock & (lot >= 960)] = Kind.IRON
    land[rock & (np.abs(heights[3] - 512) < 22)] = Kind.PATH
    _hide_diamonds(land, away, dice[2048:])
    cells = np.full((WIDE, WIDE), Kind.DEEP, np.uint8)
    cells[PAD:-PAD, PAD:-PAD] = land
    return _with_cows(cells.reshape(-1), start, away, dice[2048:])


def _hide_diamonds(land: np.ndarray, away: np.ndarray, dice: np.ndarray) -> None:
    """Turns a few stones into diamonds, far from the start, with rock all around."""
    hard = (land >= Kind.STONE) | (land == Kind.PATH)
    deep = hard.copy()
    deep[1:-1, 1:-1] = hard[:-2, 1:-1] & hard[2:, 1:-1] & hard[1:-1, :-2] & hard[1:-1, 2:]
    spots = np.flatnonzero(deep & (land == Kind.STONE) & (away >= DIAMOND_WITHIN[0]))
    for turn in range(DIAMONDS):
        if len(spots):
            land.reshape(-1)[spots[dice[turn] % len(spots)]] = Kind.DIAMOND


def _with_cows(
    cells: np.ndarray, start: tuple[int, int], away: np.ndarray, dice: np.ndarray
) -> Land:
    """The land with cows on its grass, the first two of them near the start."""
    meadow = (cells[INSIDE] == Kind.GRASS) & (away.reshape(-1) >= 2)
    near = np.flatnonzero(meadow & (away.reshape(-1) <= 7))
    anywhere, cows = np.flatnonzero(meadow), []
    for turn in range(COWS - 1):
        spots = near if turn < 2 else anywhere
        if len(spots):
            cows.append(INSIDE[spots[dice[64 + turn] % len(spots)]])
    herd = np.unique(np.array(cows, np.int64))
    cells[herd] = Kind.COW_2
    return Land(cells, int(INSIDE[start[0] * SIDE + start[1]]), herd)


def _playable(land: Land) -> bool:
    """Whether one who knows the way finds everything, and the diamond not at once."""
    of = lambda *kinds: craft_paths.board_of(land.cells, *kinds)  # noqa: E731
    start = 1 << land.start
    walk = of(*WALKABLE, Kind.COW_1, Kind.COW_2)
    for goal, most in (
        (Kind.TREE, TREE_WITHIN),
        (Kind.WATER, WATER_WITHIN),
        (Kind.STONE, STONE_WITHIN),
    ):
        steps = craft_paths.distance(start, of(goal), walk)
        if steps is None or steps > most:
            return False
    dig = walk | of(Kind.STONE, Kind.COAL)
    edge = craft_paths.around(craft_paths.flood(start, dig))
    enough = (edge & of(Kind.COAL)).bit_count() >= 3 and (edge & of(Kind.IRON)).bit_count() >= 2
    steps = craft_paths.distance(start, of(Kind.DIAMOND), dig)
    if steps is None or not enough:
        return False
    return DIAMOND_WITHIN[0] <= steps <= DIAMOND_WITHIN[1]
