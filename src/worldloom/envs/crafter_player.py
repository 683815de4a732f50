"""Players of Crafter as people are: from one who gathers wood to one who digs for diamonds.

Each has wishes, drawn anew for every game, and follows them with detours; it drinks, eats and
sleeps when it has to, and hits back. It knows what is on the screen, `info["view"]`, and no
more. Follow `worldloom.agents.policy.Policy`; need no package.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Info = Mapping[str, Any]
Rng = np.random.Generator
Cell = tuple[int, int]

WIDTH, HEIGHT = 9, 7  # cells of the view
HERE = (WIDTH // 2, HEIGHT // 2)
NOTHING, WATER, GRASS, STONE, PATH, SAND, TREE, LAVA, COAL, IRON, DIAMOND, TABLE, FURNACE = range(
    13
)
PLAYER, COW, ZOMBIE, SKELETON, ARROW, PLANT = range(13, 19)
"""What a cell of the view shows, in Crafter's own numbers."""

WALKABLE = (GRASS, SAND, PATH)
MOVES: dict[str, Cell] = {
    "move_left": (-1, 0),
    "move_right": (1, 0),
    "move_up": (0, -1),
    "move_down": (0, 1),
}
ACTIONS = (
    *("noop", *MOVES, "do", "sleep", "place_stone", "place_table", "place_furnace"),
    *("place_plant", "make_wood_pickaxe", "make_stone_pickaxe", "make_iron_pickaxe"),
    *("make_wood_sword", "make_stone_sword", "make_iron_sword"),
)
TOOLS = {
    STONE: "wood_pickaxe",
    COAL: "wood_pickaxe",
    IRON: "stone_pickaxe",
    DIAMOND: "iron_pickaxe",
}
FOUND = {"wood": TREE, "stone": STONE, "coal": COAL, "iron": IRON, "diamond": DIAMOND}
FOUND |= {"sapling": GRASS, "drink": WATER, "food": COW}
PLACES = {TABLE: "place_table", FURNACE: "place_furnace"}


@dataclass(frozen=True)
class Deed:
    """What an action uses up and what must stand beside the player."""

    uses: Mapping[str, int]
    near: tuple[int, ...] = ()


DEEDS = {
    "place_stone": Deed({"stone": 1}),
    "place_table": Deed({"wood": 2}),
    "place_furnace": Deed({"stone": 4}, (TABLE,)),
    "place_plant": Deed({"sapling": 1}),
    **{f"make_wood_{tool}": Deed({"wood": 1}, (TABLE,)) for tool in ("pickaxe", "sword")},
    **{
        f"make_stone_{tool}": Deed({"wood": 1, "stone": 1}, (TABLE,))
        for tool in ("pickaxe", "sword")
    },
    **{
        f"make_iron_{tool}": Deed({"wood": 1, "coal": 1, "iron": 1}, (TABLE, FURNACE))
        for tool in ("pickaxe", "sword")
    },
}

WISHES: dict[str, Sequence[tuple[str, float]]] = {
    "novice": (
        *(("collect_sapling", 0.4), ("place_plant", 0.3), ("place_table", 0.9)),
        *(("make_wood_pickaxe", 0.7), ("make_wood_sword", 0.5), ("collect_stone", 0.5)),
    ),
    "journeyman": (
        *(("place_table", 1.0), ("make_wood_pickaxe", 1.0), ("make_wood_sword", 0.6)),
        *(("collect_stone", 1.0), ("place_stone", 0.5), ("make_stone_pickaxe", 0.8)),
        *(("make_stone_sword", 0.5), ("collect_coal", 0.6), ("place_furnace", 0.4)),
        *(("collect_iron", 0.2), ("place_plant", 0.4)),
    ),
    "expert": (
        *(("place_plant", 0.5), ("make_wood_pickaxe", 1.0), ("make_wood_sword", 0.8)),
        *(("place_stone", 0.7), ("make_stone_pickaxe", 1.0), ("make_stone_sword", 0.8)),
        *(("collect_coal", 1.0), ("collect_iron", 1.0), ("place_furnace", 1.0)),
        *(("make_iron_pickaxe", 0.9), ("collect_diamond", 0.8), ("make_iron_sword", 0.4)),
    ),
}
"""Achievements that a skill may want, in order, each with its probability."""

SHARES = {"novice": 0.45, "journeyman": 0.4, "expert": 0.15}
STRAY = 0.12  # chance of a step to begin a detour


class Player:
    """One player.

    Args:
      skill: a name of `WISHES`; None draws one for each game.
    """

    def __init__(self, skill: str | None = None) -> None:
        self.skill = skill
        self.reset()

    def reset(self) -> None:
        self._wishes: list[str] | None = None  # drawn with the first frame
        self._heading, self._stray = "move_down", 0

    def __call__(self, observation: np.ndarray, info: Info, rng: Rng) -> dict[str, np.ndarray]:
        if self._wishes is None:
            skill = self.skill or str(rng.choice(list(SHARES), p=list(SHARES.values())))
            self._wishes = [name for name, chance in WISHES[skill] if rng.random() < chance]
            self._limits = {name: int(rng.integers(2, 6)) for name in ("drink", "food", "energy")}
        action = self._act(_Sight(info), rng)
        return {"action": np.array(ACTIONS.index(action), np.int64)}

    def _act(self, now: "_Sight", rng: Rng) -> str:
        """What comes first: a zombie, a need, a mood, a wish, a look around."""
        enemy = now.beside((ZOMBIE, SKELETON))
        if enemy is not None and rng.random() < 0.7:
            return "do" if enemy == now.facing else enemy
        if now.has("energy") <= self._limits["energy"]:
            return "sleep"
        for need in ("drink", "food"):
            if now.has(need) <= self._limits[need]:
                return now.reach(FOUND[need]) or self._wander(now, rng)
        if self._stray == 0 and rng.random() < STRAY:
            self._stray, self._heading = int(rng.integers(1, 5)), str(rng.choice(list(MOVES)))
        if self._stray:
            self._stray -= 1
            return self._wander(now, rng)
        return self._wish(now, rng) or self._wander(now, rng)

    def _wish(self, now: "_Sight", rng: Rng) -> str | None:
        assert self._wishes is not None
        while self._wishes and now.achieved(self._wishes[0]):
            self._wishes.pop(0)
        if not self._wishes:
            return None
        kind, name = self._wishes[0].split("_", 1)
        return now.obtain(name) if kind == "collect" else now.do(self._wishes[0])

    def _wander(self, now: "_Sight", rng: Rng) -> str:
        """Goes on as it went, digs through stone, turns where there is no way or by mood."""
        ahead = now.kind(now.step(self._heading))
        if ahead == STONE and now.has("wood_pickaxe") and rng.random() < 0.8:
            return "do" if now.facing == self._heading else self._heading
        if ahead not in WALKABLE or rng.random() < 0.05:
            ways = [move for move in MOVES if now.kind(now.step(move)) in WALKABLE]
            self._heading = str(rng.choice(ways or list(MOVES)))
        return self._heading


class _Sight:
    """One look at the game, and what leads to what from here."""

    def __init__(self, info: Info) -> None:
        self.info = info
        self.view = np.asarray(info["view"]).reshape(WIDTH, HEIGHT)
        turned = tuple(int(x) for x in info["facing"])
        self.facing = next(move for move, way in MOVES.items() if way == turned)

    def has(self, item: str) -> int:
        return int(self.info[f"inventory/{item}"])

    def achieved(self, name: str) -> bool:
        return int(self.info[f"achievements/{name}"]) > 0

    def step(self, move: str, cell: Cell = HERE) -> Cell:
        return cell[0] + MOVES[move][0], cell[1] + MOVES[move][1]

    def kind(self, cell: Cell) -> int:
        """What is there; nothing beyond the view."""
        inside = 0 <= cell[0] < WIDTH and 0 <= cell[1] < HEIGHT
        return int(self.view[cell]) if inside else NOTHING

    def beside(self, kinds: Sequence[int]) -> str | None:
        """The move that faces a neighbour of one of the kinds."""
        return next((move for move in MOVES if self.kind(self.step(move)) in kinds), None)

    def obtain(self, item: str) -> str | None:
        """The next action on the way to one more of an item; None where nothing is in sight."""
        tool = TOOLS.get(FOUND[item])
        if tool is not None and not self.has(tool):
            return self.do(f"make_{tool}")
        return self.reach(FOUND[item])

    def do(self, name: str) -> str | None:
        """The next action on the way to a deed."""
        deed = DEEDS[name]
        for item, count in deed.uses.items():
            if self.has(item) < count:
                return self.obtain(item)
        around = self.view[HERE[0] - 1 : HERE[0] + 2, HERE[1] - 1 : HERE[1] + 2]
        for kind in deed.near:
            if not (around == kind).any():
                return self.way(kind) if (self.view == kind).any() else self.do(PLACES[kind])
        if name.startswith("make_"):
            return name
        ground = (GRASS,) if name == "place_plant" else WALKABLE
        return name if self.kind(self.step(self.facing)) in ground else self.way(ground[0])

    def reach(self, kind: int) -> str | None:
        """Goes to what is of a kind, faces it, and does it."""
        if self.kind(self.step(self.facing)) == kind:
            return "do"
        return self.way(kind)

    def way(self, kind: int) -> str | None:
        """The first move of a shortest way to beside a cell of a kind, or towards it there."""
        queue: deque[tuple[Cell, str | None]] = deque([(HERE, None)])
        seen: set[Cell] = {HERE}
        while queue:
            cell, first = queue.popleft()
            for move in MOVES:
                then = self.step(move, cell)
                found = self.kind(then)
                if found == kind:
                    return first or move
                if found in WALKABLE and then not in seen:
                    seen.add(then)
                    queue.append((then, first or move))
        return None


def _of(skill: str) -> Any:
    return lambda: Player(skill)


PLAYERS = {"scripted": Player, **{skill: _of(skill) for skill in WISHES}}
