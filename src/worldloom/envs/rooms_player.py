"""Two players of Rooms: one who sees every room and looks around, one who holds random keys.

Both follow `worldloom.agents.policy.Policy`. The tourist reads `info`, whose seed tells
it the plan; it sees no pixels.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from worldloom.actions import Binary
from worldloom.envs.rooms_cast import TURNS
from worldloom.envs.rooms_core import KEYS as NAMES
from worldloom.envs.rooms_plan import DOOR, NOTHING, OPEN, make_plan

KEYS = Binary("keys", NAMES)
Info = Mapping[str, Any]
Values = dict[str, np.ndarray]
Spot = tuple[float, float]  # x and y, in cells
NEAR = 0.6  # cells from a spot at which it counts as reached
FAR = 1.2  # cells from a door at which one lines up, and to which one walks through


def press(ahead: int = 0, turn: int = 0) -> Values:
    """Keys that walk (1 ahead, -1 back) and turn (1 right, -1 left)."""
    return {KEYS.name: np.array([ahead > 0, ahead < 0, turn < 0, turn > 0], np.uint8)}


def gate(plan: np.ndarray, here: int, there: int) -> tuple[Spot, Spot]:
    """The spots before and behind the door from one room to another."""
    left, top, right, bottom = plan["box"][here]
    other = plan["box"][there]
    if right == other[0] or left == other[2]:
        line, sign = (right, 1) if right == other[0] else (left, -1)
        cells = np.flatnonzero(plan["upright"][:, line] >= OPEN)
        cells = cells[(cells >= max(top, other[1])) & (cells < min(bottom, other[3]))]
        middle = float(cells[0] + DOOR / 2)
        return (line - sign * FAR, middle), (line + sign * FAR, middle)
    line, sign = (bottom, 1) if bottom == other[1] else (top, -1)
    cells = np.flatnonzero(plan["level"][line] >= OPEN)
    cells = cells[(cells >= max(left, other[0])) & (cells < min(right, other[2]))]
    middle = float(cells[0] + DOOR / 2)
    return (middle, line - sign * FAR), (middle, line + sign * FAR)


def way(plan: np.ndarray, start: int, goal: int) -> list[int]:
    """The rooms from one to another, both included, through as few doors as possible."""
    came, queue = {start: start}, [start]
    for room in queue:
        for other in np.flatnonzero(plan["door"][room] != NOTHING).tolist():
            if other not in came:
                came[other] = room
                queue.append(other)
    path = [goal]
    while path[-1] != start:
        path.append(came[path[-1]])
    return path[::-1]


class Walk:
    """Goes through spots one after another, turning towards each.

    Args:
      spots: where to go.
    """

    def __init__(self, spots: list[Spot]) -> None:
        self.spots = list(spots)

    def keys(self, info: Info) -> Values | None:
        """The keys for this frame; None once all spots were reached."""
        x, y = float(info["x"]), float(info["y"])
        while self.spots and np.hypot(self.spots[0][0] - x, self.spots[0][1] - y) < NEAR:
            self.spots.pop(0)
        if not self.spots:
            return None
        angle = np.arctan2(self.spots[0][1] - y, self.spots[0][0] - x) * TURNS / (2 * np.pi)
        off = (round(angle) - int(info["heading"]) + TURNS // 2) % TURNS - TURNS // 2
        return press(int(abs(off) <= 2), int(np.sign(off)))


class Tourist:
    """Visits the rooms in an order of its own, walks about in each and looks around."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._walk = Walk([])
        self._spin = 0  # frames of turning that are left, to the right where positive
        self._to_see: list[int] = []

    def __call__(self, observation: np.ndarray, info: Info, rng: np.random.Generator) -> Values:
        keys = self._walk.keys(info)
        if keys is not None:
            return keys
        if self._spin:
            turn = int(np.sign(self._spin))
            self._spin -= turn
            return press(0, turn)
        self._plan(info, rng)
        return press()

    def _plan(self, info: Info, rng: np.random.Generator) -> None:
        """Looks around, strolls to another spot of this room, or goes on to the next."""
        plan, here = make_plan(int(info["seed"]))[0], int(info["room"])
        choice = rng.random()
        if choice < 0.4:
            self._spin = int(rng.integers(6, TURNS + 1)) * int(rng.choice((-1, 1)))
            return
        if choice < 0.6:
            self._walk = Walk([stand(plan, here, rng)])
            return
        if not self._to_see:
            self._to_see = rng.permutation(int(plan["rooms"])).tolist()
        goal = self._to_see.pop()
        self._walk = Walk([*through(plan, here, goal), stand(plan, goal, rng)])


def through(plan: np.ndarray, start: int, goal: int) -> list[Spot]:
    """The spots that lead from one room to another."""
    rooms = way(plan, start, goal)
    return [spot for a, b in itertools.pairwise(rooms) for spot in gate(plan, a, b)]


def stand(plan: np.ndarray, room: int, rng: np.random.Generator) -> Spot:
    """A spot somewhere in a room, not close to its walls."""
    left, top, right, bottom = plan["box"][room].tolist()
    return float(rng.uniform(left + 1, right - 1)), float(rng.uniform(top + 1, bottom - 1))


class Wanderer:
    """Holds random keys: mostly goes ahead, often turns.

    Args:
      keep: probability of each frame to hold on to the keys of the last.
    """

    def __init__(self, keep: float = 0.8) -> None:
        self.keep = keep
        self._held = press()
        self._fresh = True

    def reset(self) -> None:
        self._fresh = True

    def __call__(self, observation: np.ndarray, info: Info, rng: np.random.Generator) -> Values:
        if self._fresh or rng.random() >= self.keep:
            walk, turn = rng.random(2)
            ahead = int(walk < 0.6) - int(walk > 0.9)
            self._held = press(ahead, int(turn > 0.65) - int(turn < 0.35))
            self._fresh = False
        return self._held
