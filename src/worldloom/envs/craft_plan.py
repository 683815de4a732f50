"""How a player of Craft gets what it wants: from an item to the next action.

Remembers the land that was in view since the game began, creatures where they were last
seen. What was never in view counts as free: who goes there will see. Asks `craft_rules`
before every deed, so that none is tried in vain. Knows no moods (`craft_player`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from worldloom.envs import craft_paths, craft_rules
from worldloom.envs.craft_paths import CELLS, INSIDE, PAD, STEPS, WIDE
from worldloom.envs.craft_rules import COLLECTING, MAKING, WALKABLE, Act, Item, Kind

Info = Mapping[str, Any]
_VIEW = (np.arange(-3, 4)[:, None] * WIDE + np.arange(-3, 4)).reshape(-1)
_ACT_OF = {recipe.gives: act for act, recipe in MAKING.items() if recipe.gives is not None}
_KIND_OF = {recipe.gives: kind for kind, recipe in COLLECTING.items()}
# In the way and yet no obstacle to one who has the tool.
_DIGGABLE = tuple(kind for kind, recipe in COLLECTING.items() if recipe.leaves is not None)
UNKNOWN = 255  # a cell that was never in view
FAR = 14  # steps: a table that is farther is built anew
COWS = (Kind.COW_1, Kind.COW_2)
ZOMBIES = (Kind.ZOMBIE_1, Kind.ZOMBIE_2, Kind.ZOMBIE_3)


class Plan:
    """What a player knows, and what it would do next.

    Attributes:
      cells: `[38 * 38]` uint8 the land as it is remembered.
      place: the player's cell.
      facing: 0 left, 1 right, 2 up, 3 down.
      counts: `[12]` items held.
    """

    def __init__(self) -> None:
        self.cells = np.full(CELLS, Kind.DEEP, np.uint8)
        self.cells[INSIDE] = UNKNOWN
        self.place, self.facing = 0, 0
        self.counts = np.zeros(len(Item), np.int64)
        self._nearby = np.zeros((1, 2), bool)

    def learn(self, info: Info) -> None:
        """Takes in what `info` tells of the view."""
        column, row = info["position"].tolist()
        self.place, self.facing = (row + PAD) * WIDE + column + PAD, int(info["facing"])
        self.counts = info["counts"].astype(np.int64)
        view = info["view"].reshape(1, -1)
        self.cells[self.place + _VIEW] = view[0]
        self._nearby = craft_rules.in_sight(view)

    def ahead(self) -> int:
        """The kind of the faced cell."""
        return int(self.cells[self.place + STEPS[self.facing]])

    def can(self, act: int) -> bool:
        """Whether an action would have its effect now."""
        ahead, action = np.array([self.ahead()]), np.array([int(act)])
        able = craft_rules.possible(self.counts[None], self._nearby, ahead, action)
        return bool(able[0])

    def beside(self, kinds: Iterable[int]) -> int | None:
        """The direction in which one of `kinds` stands right beside the player."""
        found = (d for d, step in enumerate(STEPS) if self.cells[self.place + step] in kinds)
        return next(found, None)

    def obtain(self, item: Item, rng: np.random.Generator) -> int | None:
        """The next action on the way to one more of `item`; None where none leads there."""
        if item in _KIND_OF:
            kind = _KIND_OF[item]
            for tool in COLLECTING[kind].needs:
                if not self.counts[tool]:
                    return self.obtain(tool, rng)
            return self.reach((kind,), rng)
        act = _ACT_OF[item]
        recipe = MAKING[act]
        for part, count in recipe.takes.items():
            if self.counts[part] < count:
                return self.obtain(part, rng)
        if recipe.near and not self._in_view(recipe.near):
            return self._to_workplace(recipe.near, rng)
        return int(act) if self.can(act) else self.stray(rng)

    def reach(self, kinds: Iterable[int], rng: np.random.Generator) -> int | None:
        """Walks, digs and turns towards the nearest cell of `kinds`, and then does `do`."""
        return self._go(craft_paths.board_of(self.cells, *kinds), rng)

    def walk(self, cell: int, rng: np.random.Generator, *, dig: bool) -> int | None:
        """Walks to a cell, or digs; None where it is reached, or out of reach."""
        return None if cell == self.place else self._go(1 << cell, rng, dig=dig)

    def stray(self, rng: np.random.Generator) -> int:
        """A move in any direction, rather one that is free."""
        free = [d for d, step in enumerate(STEPS) if self.cells[self.place + step] in WALKABLE]
        return int(Act.LEFT) + int(rng.choice(free) if free else rng.integers(4))

    def _free(self, dig: bool = True) -> int:
        """Cells that can be walked, or dug with the tools at hand, as far as one knows."""
        able = [k for k in _DIGGABLE if dig and all(self.counts[t] for t in COLLECTING[k].needs)]
        return craft_paths.board_of(self.cells, *WALKABLE, *able, UNKNOWN)

    def _go(self, goal: int, rng: np.random.Generator, *, dig: bool = True) -> int | None:
        """One action on a shortest way to a set of cells."""
        ways = craft_paths.first_steps(self.place, goal, self._free(dig))
        if not ways:
            return None
        way = self.facing if self.facing in ways else int(rng.choice(ways))
        if self.cells[self.place + STEPS[way]] in WALKABLE or way != self.facing:
            return int(Act.LEFT) + way
        return int(Act.DO) if self.can(Act.DO) else None

    def _in_view(self, kinds: Iterable[Kind]) -> bool:
        return all(self._nearby[0, (Kind.TABLE, Kind.FURNACE).index(kind)] for kind in kinds)

    def _to_workplace(self, kinds: tuple[Kind, ...], rng: np.random.Generator) -> int | None:
        """Goes where table and furnace are in view together, or builds what is missing."""
        free = self._free()
        zone = free
        for kind in kinds:
            zone &= craft_paths.square(craft_paths.board_of(self.cells, kind), PAD)
        steps = craft_paths.distance(1 << self.place, zone, free)
        if steps is not None and steps <= FAR:
            return self._go(zone, rng)
        missing = next(kind for kind in kinds if not self._in_view((kind,)))
        return self.obtain(Item.TABLE if missing == Kind.TABLE else Item.FURNACE, rng)
