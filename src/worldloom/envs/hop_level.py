"""The levels of Hop: one screen of 8 by 8 tiles, a function of the seed alone.

Knows where things stand; not how they move (`hop`) nor how they look
(`hop_draw`). The dice are our own integer hash, so that a seed names the same
level with every version of every library.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

GRID = 8
TILE = 8 * 256  # a tile is 8 px wide at size 64; positions are integers of 1/256 px
EMPTY, SOLID, PLANK = 0, 1, 2
COINS = 6  # the most coins of a level; arrays of coins have this length
GROUND_ROW, LOW_ROW, HIGH_ROW = 7, 5, 3

T = TypeVar("T")
Spot = tuple[int, int]  # (row, column) of a tile


@dataclass(frozen=True)
class Level:
    """One screen.

    Args:
      seed: names it.
      tiles: `[8, 8]` uint8 of EMPTY, SOLID and PLANK (a plank is solid only from above).
      coins: tiles with a coin in the middle, at most `COINS`.
      spawn: the tile in which the player starts.
      enemy_row: the row of tiles in which the enemy walks.
      enemy_range: first and last column of its patrol.
      enemy_column: where it starts.
      enemy_direction: -1 or 1.
    """

    seed: int
    tiles: np.ndarray
    coins: tuple[Spot, ...]
    spawn: Spot
    enemy_row: int
    enemy_range: tuple[int, int]
    enemy_column: int
    enemy_direction: int


class Dice:
    """Integers from a seed, by the SplitMix64 hash of a counter."""

    def __init__(self, seed: int) -> None:
        self._state = seed & 0xFFFFFFFFFFFFFFFF

    def roll(self, n: int) -> int:
        """An integer from 0 to n - 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        x = self._state
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return ((x ^ (x >> 31)) >> 11) % n

    def between(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + self.roll(high - low + 1)

    def pick(self, items: list[T]) -> T:
        """Takes one item out of the list."""
        return items.pop(self.roll(len(items)))


def next_seed(seed: int) -> int:
    """The level that follows `seed` when nobody asks for another one."""
    return Dice(seed ^ 0x5DEECE66D).roll(2**31)


@lru_cache(maxsize=256)
def make_level(seed: int) -> Level:
    """Builds the level of a seed; every coin can be reached, the spawn is safe.

    Ground runs along the whole bottom. A jump rises 2.5 tiles and planks let
    the player through from below, so low planks are reached from the ground
    below them, and each high plank is placed within one tile of a low one.
    """
    dice = Dice(seed)
    tiles = np.zeros((GRID, GRID), np.uint8)
    tiles[GROUND_ROW] = SOLID
    spawn_column = 0 if dice.roll(2) else GRID - 1
    _put_planks(tiles, dice)
    enemy_row, enemy_range = _put_ground(tiles, spawn_column, dice)
    level = Level(
        seed=seed,
        tiles=tiles,
        coins=_put_coins(tiles, spawn_column, dice),
        spawn=(GROUND_ROW - 1, spawn_column),
        enemy_row=enemy_row,
        enemy_range=enemy_range,
        enemy_column=dice.between(*enemy_range),
        enemy_direction=1 if dice.roll(2) else -1,
    )
    tiles.setflags(write=False)
    return level


def _put_planks(tiles: np.ndarray, dice: Dice) -> None:
    """One or two low planks, then one or two high ones within a jump of them."""
    for start in [dice.between(0, 5)] if dice.roll(2) else [dice.between(0, 1), dice.between(4, 5)]:
        tiles[LOW_ROW, start : start + dice.between(2, 3)] = PLANK
    low = np.flatnonzero(tiles[LOW_ROW])
    for _ in range(dice.between(1, 2)):
        length = dice.between(2, 3)
        starts = [
            s
            for s in range(GRID - length + 1)
            if low.min() - length - 1 <= s <= low.max() + 2
            and np.abs(low[:, None] - np.arange(s, s + length)).min() <= 2
        ]
        start = starts[dice.roll(len(starts))]
        tiles[HIGH_ROW, start : start + length] = PLANK


def _put_ground(tiles: np.ndarray, spawn: int, dice: Dice) -> tuple[int, tuple[int, int]]:
    """Places the enemy's patrol and perhaps a block to jump over; gives (row, columns)."""
    away = [c for c in range(GRID) if abs(c - spawn) >= 3]
    length = dice.between(3, 5)
    first = away[0] + dice.roll(len(away) - length + 1)
    patrol = (first, first + length - 1)
    blocks = [
        c for c in range(GRID) if abs(c - spawn) >= 2 and not patrol[0] - 1 < c < patrol[1] + 1
    ]
    if blocks and dice.roll(3):
        tiles[GROUND_ROW - 1, dice.pick(blocks)] = SOLID
    low = np.flatnonzero(tiles[LOW_ROW])
    runs = np.split(low, np.flatnonzero(np.diff(low) > 1) + 1)
    wide = [run for run in runs if len(run) >= 3]
    if wide and dice.roll(4) == 0:
        run = wide[dice.roll(len(wide))]
        return LOW_ROW - 1, (int(run[0]), int(run[-1]))
    return GROUND_ROW - 1, patrol


def _put_coins(tiles: np.ndarray, spawn: int, dice: Dice) -> tuple[Spot, ...]:
    """Four to six coins: above a high plank, above a low one, and anywhere else in reach."""
    surface = lambda row: [  # noqa: E731
        (row - 1, c) for c in range(GRID) if tiles[row, c] and not tiles[row - 1, c]
    ]
    high, low = surface(HIGH_ROW), surface(LOW_ROW)
    ground = [s for s in surface(GROUND_ROW) if abs(s[1] - spawn) >= 2]
    air = [(r - 1, c) for r, c in high + low + ground if not tiles[r - 1, c]]
    coins = [dice.pick(high), dice.pick(low), dice.pick(ground)]
    rest = [s for s in high + low + ground + air if s not in coins]
    for _ in range(dice.between(1, COINS - 3)):
        # Neighbours are left out, so that coins stay apart on the screen.
        rest = [s for s in rest if all(abs(s[0] - r) + abs(s[1] - c) > 1 for r, c in coins)]
        if rest:
            coins.append(dice.pick(rest))
    return tuple(sorted(coins))
