"""Two players of Hop: one who goes for the coins, one who holds random keys.

Both follow `worldloom.agents.policy.Policy` and read the game's ground truth
from `info`; neither looks ahead with the game's physics.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from worldloom.actions import Binary

KEYS = Binary("keys", ("left", "right", "jump"))
Info = Mapping[str, Any]
Run = tuple[int, int, int]  # a surface: its row of tiles, first and last column


def _press(direction: float, jump: bool) -> dict[str, np.ndarray]:
    return {KEYS.name: np.array([direction < 0, direction > 0, jump], np.uint8)}


class Wanderer:
    """Holds random keys: runs left or right most of the time, jumps half of it."""

    def __init__(self, keep: float = 0.9) -> None:
        self.keep = keep
        self._held = _press(0, False)
        self._fresh = True

    def reset(self) -> None:
        self._fresh = True

    def __call__(
        self, observation: np.ndarray, info: Info, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        if self._fresh or rng.random() >= self.keep:
            turn, jump = rng.random(2)
            direction = (turn > 0.575) - float(turn < 0.425)
            self._held, self._fresh = _press(direction, jump < 0.5), False
        return self._held


class Collector:
    """Goes for the nearest coin by way of the planks, and jumps over the enemy.

    It must see the `info` of the reset, which shows the level.

    Args:
      slip: probability of each frame to begin a few frames of random keys, so
        that its games differ and it meets mishaps worth learning from.
    """

    def __init__(self, slip: float = 0.0) -> None:
        self.slip = slip
        self._wander = Wanderer()
        self.reset()

    def reset(self) -> None:
        self._tiles = np.zeros((8, 8), np.uint8)
        self._coin: int | None = None
        self._goal: float | None = None  # where the feet are headed, kept while in the air
        self._since = 0  # frames since the last coin was taken or given up
        self._lost = 0  # frames still to be spent wandering
        self._wander.reset()

    def __call__(
        self, observation: np.ndarray, info: Info, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        self._tiles = info.get("tiles", self._tiles)
        if self._since > 90 or rng.random() < self.slip:
            self._coin, self._since, self._lost = None, 0, 12
        if self._lost:
            self._lost -= 1
            return self._wander(observation, info, rng)
        if self._coin is None or not info["coins"][self._coin]:
            self._coin, self._since, self._goal = _nearest_coin(info), 0, None
        self._since += 1
        if self._coin is None:
            return _press(0, False)
        jump = False
        if info["on_ground"] or self._goal is None:
            self._goal, jump = _way(info, self._tiles, self._coin)
        # Two frames' worth of speed is about the way that braking takes.
        ahead = self._goal - float(info["player_x"]) - 2 * float(info["player_vx"])
        push = ahead if abs(ahead) > 1 else 0.0
        if not info["on_ground"]:
            return _press(_flee(info) or push, False)
        return _press(push, (jump and not _overhead(info)) or _must_jump(info, self._tiles, push))


def _nearest_coin(info: Info) -> int | None:
    """The coin that costs the least to reach; climbing costs more than falling."""
    up = info["player_y"] - info["coin_y"]
    cost = np.abs(info["coin_x"] - info["player_x"]) + np.where(up > 0, 2.5 * up, -1.5 * up)
    cost = np.where(info["coins"], cost, np.inf)
    return int(cost.argmin()) if np.isfinite(cost).any() else None


def _runs(tiles: np.ndarray) -> list[Run]:
    """The surfaces one can stand on, as runs of neighbouring tiles of one row."""
    found: list[Run] = []
    for row in range(1, len(tiles)):
        free = [c for c in range(tiles.shape[1]) if tiles[row, c] and tiles[row - 1, c] != 1]
        for c in free:
            if found and found[-1][0] == row and found[-1][2] == c - 1:
                found[-1] = (row, found[-1][1], c)
            else:
                found.append((row, c, c))
    return found


def _distance(run: Run, x: float) -> float:
    return max(run[1] * 8 - x, 0.0, x - (run[2] + 1) * 8)


def _way(info: Info, tiles: np.ndarray, coin: int) -> tuple[float, bool]:
    """Where to go now for the coin (x in pixels), and whether to jump from here."""
    x, feet = float(info["player_x"]), float(info["player_y"]) + 4
    coin_x, coin_row = float(info["coin_x"][coin]), int(info["coin_y"][coin]) // 8
    runs, row = _runs(tiles), round(feet / 8)
    if not info["on_ground"]:
        return coin_x, False
    here = min((r for r in runs if r[0] == row), key=lambda r: _distance(r, x))
    if coin_row >= row:  # below: leave by the edge nearer to the coin
        left, right = here[1] * 8 - 6, here[2] * 8 + 14
        sides = [side for side in (left, right) if 0 < side < 64] or [coin_x]
        cost = lambda side: (  # noqa: E731
            abs(side - coin_x) + 0.5 * abs(side - x) + 40 * _blocked(tiles, coin_row, side, coin_x)
        )
        return min(sides, key=cost), False
    if row - coin_row <= 3:  # in reach of a jump, or of a walk
        return coin_x, coin_row < row - 1 and abs(coin_x - x) < 10
    higher = [r for r in runs if row - 2 <= r[0] < row and r[0] - coin_row >= 1]
    planks = [r for r in higher if tiles[r[0], r[1]] == 2] or higher or [here]
    goal = min(planks, key=lambda r: _distance(r, coin_x) + 0.2 * _distance(r, x))
    inside = min(max(x, goal[1] * 8 + 4), goal[2] * 8 + 4)
    return inside, abs(inside - x) < 5


def _blocked(tiles: np.ndarray, row: int, a: float, b: float) -> bool:
    """Whether a solid tile stands between two places of a row."""
    low, high = sorted((int(a) // 8, int(b) // 8))
    return bool((tiles[row, low : high + 1] == 1).any())


def _must_jump(info: Info, tiles: np.ndarray, push: float) -> bool:
    """A block ahead, or the enemy near on the same level, with us or it coming closer."""
    x, y = float(info["player_x"]), float(info["player_y"])
    row, ahead = int(y) // 8, int(x + (7 if push > 0 else -7)) // 8
    if push and 0 <= ahead < 8 and tiles[row, ahead] == 1:
        return True
    gap = float(info["enemy_x"]) - x
    near = abs(gap) < 17 and abs(float(info["enemy_y"]) - y) < 10
    closing = gap * push > 0 or gap * info["enemy_direction"] < 0
    return bool(info["enemy_alive"] and near and closing)


def _overhead(info: Info) -> bool:
    """Whether a jump from here would meet the enemy on a plank above."""
    gap = abs(float(info["enemy_x"]) - float(info["player_x"]))
    above = float(info["player_y"]) - float(info["enemy_y"])
    return bool(info["enemy_alive"] and gap < 24 and 8 < above < 24)


def _flee(info: Info) -> float:
    """In the air: away from an enemy that would be met from the side or from below, or 0."""
    gap = float(info["player_x"]) - float(info["enemy_x"])
    above = float(info["enemy_y"]) - float(info["player_y"])  # 7 where we stand on its back
    meet = info["enemy_alive"] and abs(gap) < 16 and -14 < above < 8
    return float(np.sign(gap) or 1.0) if meet else 0.0
