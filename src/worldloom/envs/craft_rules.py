"""The rules of Craft as data: what there is, what can be done, and what it needs.

One table judges every deed, and the game, its players and its tests all ask it:
there is no second opinion. Knows no map and no picture.
"""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np


class Kind(IntEnum):
    """What stands on a cell. A creature's health is part of its kind; it stands on grass."""

    DEEP = 0  # the sea around the world: nothing can be done with it
    WATER = 1
    GRASS = 2
    SAND = 3
    PATH = 4
    TREE = 5
    STONE = 6
    COAL = 7
    IRON = 8
    DIAMOND = 9
    TABLE = 10
    FURNACE = 11
    COW_1 = 12
    COW_2 = 13
    ZOMBIE_1 = 14
    ZOMBIE_2 = 15
    ZOMBIE_3 = 16


class Item(IntEnum):
    """The technology tree, and the order of every array of items."""

    WOOD = 0
    TABLE = 1
    WOOD_PICKAXE = 2
    WOOD_SWORD = 3
    STONE = 4
    STONE_PICKAXE = 5
    STONE_SWORD = 6
    COAL = 7
    FURNACE = 8
    IRON = 9
    IRON_PICKAXE = 10
    DIAMOND = 11


class Act(IntEnum):
    """What the player can do. Moving turns, and walks where the way is free."""

    NOOP = 0
    LEFT = 1
    RIGHT = 2
    UP = 3
    DOWN = 4
    DO = 5
    PLACE_STONE = 6
    PLACE_TABLE = 7
    PLACE_FURNACE = 8
    MAKE_WOOD_PICKAXE = 9
    MAKE_WOOD_SWORD = 10
    MAKE_STONE_PICKAXE = 11
    MAKE_STONE_SWORD = 12
    MAKE_IRON_PICKAXE = 13


KINDS, ITEMS, ACTS = len(Kind), len(Item), len(Act)
ACTION_NAMES = tuple(act.name.lower().replace("_", " ") for act in Act)
ITEM_NAMES = tuple(item.name.lower().replace("_", " ") for item in Item)
MOST = 9  # of one item, and of each of the vitals
WALKABLE = (Kind.GRASS, Kind.SAND, Kind.PATH)
CREATURES = tuple(kind for kind in Kind if kind >= Kind.COW_1)
FOOD = 6  # from one cow


@dataclass(frozen=True)
class Recipe:
    """What a deed needs and what comes of it.

    Args:
      needs: items that must be there and stay, the tools.
      takes: items that are used up.
      near: kinds that must be in view, table or furnace.
      onto: kinds that the faced cell may have; empty where it does not matter.
      gives: the item that is obtained.
      leaves: what the faced cell becomes.
    """

    needs: tuple[Item, ...] = ()
    takes: dict[Item, int] = field(default_factory=dict)
    near: tuple[Kind, ...] = ()
    onto: tuple[Kind, ...] = ()
    gives: Item | None = None
    leaves: Kind | None = None


GROUND = (Kind.GRASS, Kind.SAND, Kind.PATH)
WORK = (Kind.TABLE,)

MAKING: dict[Act, Recipe] = {
    Act.PLACE_STONE: Recipe(takes={Item.STONE: 1}, onto=(*GROUND, Kind.WATER), leaves=Kind.STONE),
    Act.PLACE_TABLE: Recipe(takes={Item.WOOD: 2}, onto=GROUND, gives=Item.TABLE, leaves=Kind.TABLE),
    Act.PLACE_FURNACE: Recipe(
        takes={Item.STONE: 2}, near=WORK, onto=GROUND, gives=Item.FURNACE, leaves=Kind.FURNACE
    ),
    Act.MAKE_WOOD_PICKAXE: Recipe(takes={Item.WOOD: 1}, near=WORK, gives=Item.WOOD_PICKAXE),
    Act.MAKE_WOOD_SWORD: Recipe(takes={Item.WOOD: 1}, near=WORK, gives=Item.WOOD_SWORD),
    Act.MAKE_STONE_PICKAXE: Recipe(
        takes={Item.WOOD: 1, Item.STONE: 1}, near=WORK, gives=Item.STONE_PICKAXE
    ),
    Act.MAKE_STONE_SWORD: Recipe(
        takes={Item.WOOD: 1, Item.STONE: 1}, near=WORK, gives=Item.STONE_SWORD
    ),
    Act.MAKE_IRON_PICKAXE: Recipe(
        takes={Item.WOOD: 1, Item.COAL: 1, Item.IRON: 1},
        near=(Kind.TABLE, Kind.FURNACE),
        gives=Item.IRON_PICKAXE,
    ),
}
"""What an action other than `do` needs. Placing and making, in the order of the actions."""

COLLECTING: dict[Kind, Recipe] = {
    Kind.TREE: Recipe(gives=Item.WOOD),  # a tree has wood without end
    Kind.STONE: Recipe(needs=(Item.WOOD_PICKAXE,), gives=Item.STONE, leaves=Kind.PATH),
    Kind.COAL: Recipe(needs=(Item.WOOD_PICKAXE,), gives=Item.COAL, leaves=Kind.PATH),
    Kind.IRON: Recipe(needs=(Item.STONE_PICKAXE,), gives=Item.IRON, leaves=Kind.PATH),
    Kind.DIAMOND: Recipe(needs=(Item.IRON_PICKAXE,), gives=Item.DIAMOND, leaves=Kind.PATH),
}
"""What `do` needs on the kinds that give something."""

HANDLED: dict[Kind, Recipe] = {
    Kind.WATER: Recipe(),  # drunk
    **{kind: Recipe() for kind in CREATURES},  # hit
}
"""What else `do` can be done to. On any other kind it does nothing."""

KEEPS = 255  # in LEAVES: the faced cell stays what it is
DEEDS = ACTS + KINDS  # the actions, then `do` on each kind


def _tables() -> tuple[np.ndarray, ...]:
    """The recipes as arrays over deeds; a deed without a recipe is impossible, or is a move."""
    needs = np.zeros((DEEDS, ITEMS), np.int64)
    change = np.zeros((DEEDS, ITEMS), np.int64)
    near = np.zeros((DEEDS, 2), bool)
    onto = np.zeros((DEEDS, KINDS), bool)
    leaves = np.full(DEEDS, KEEPS, np.uint8)
    onto[: Act.DO] = True
    recipes = {int(act): recipe for act, recipe in MAKING.items()}
    recipes |= {ACTS + kind: recipe for kind, recipe in {**COLLECTING, **HANDLED}.items()}
    for deed, recipe in recipes.items():
        for item in recipe.needs:
            needs[deed, item] = 1
        for item, count in recipe.takes.items():
            needs[deed, item], change[deed, item] = count, -count
        if recipe.gives is not None:
            change[deed, recipe.gives] = 1
        near[deed] = [kind in recipe.near for kind in (Kind.TABLE, Kind.FURNACE)]
        onto[deed] = [not recipe.onto or kind in recipe.onto for kind in Kind]
        if recipe.leaves is not None:
            leaves[deed] = recipe.leaves
    return needs, change, near, onto, leaves


NEEDS, CHANGE, NEAR, ONTO, LEAVES = _tables()
"""By deed: items needed `[D, 12]`, items gained or lost `[D, 12]`, table and furnace needed in
view `[D, 2]`, faced kinds that will do `[D, 17]`, and what is left behind `[D]` (or `KEEPS`)."""

GAINS = CHANGE > 0
LIMITS = np.array([1 if i in (Item.TABLE, Item.FURNACE) else MOST for i in Item])
"""`[12]` the most of each item: a table or a furnace counts as placed or not."""


def deeds(action: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Which row of the tables an action is: `do` is a deed of its own on each kind.

    Args:
      action: `[N]` int.
      ahead: `[N]` kind of the faced cell.

    Returns:
      `[N]` int.
    """
    return np.where(action == int(Act.DO), ahead + np.int64(ACTS), action)


def possible(
    counts: np.ndarray, nearby: np.ndarray, ahead: np.ndarray, action: np.ndarray
) -> np.ndarray:
    """Whether an action has its effect; one that is not possible does nothing.

    Collecting what one has nine of is possible and the count stays. Moving and
    doing nothing always are.

    Args:
      counts: `[N, 12]` items held.
      nearby: `[N, 2]` bool, whether a table and a furnace are in view.
      ahead: `[N]` kind of the faced cell.
      action: `[N]` int.

    Returns:
      `[N]` bool.
    """
    deed = deeds(action, ahead)
    enough = (counts >= NEEDS[deed]).all(1)
    placed = (nearby >= NEAR[deed]).all(1)
    return enough & placed & ONTO[deed, ahead]


def in_sight(view: np.ndarray) -> np.ndarray:
    """Whether a table and a furnace are in view, `[N, 2]` bool, from its kinds `[N, 49]`."""
    seen = np.empty((len(view), 2), bool)
    for place, kind in enumerate((int(Kind.TABLE), int(Kind.FURNACE))):
        seen[:, place] = (view == kind).any(1)
    return seen


def strength(counts: np.ndarray) -> np.ndarray:
    """What one hit takes, `[N]`: 1 by hand, 2 by a sword of wood, 3 by one of stone."""
    wood, stone = counts[:, int(Item.WOOD_SWORD)] > 0, counts[:, int(Item.STONE_SWORD)] > 0
    return np.where(stone, 3, np.where(wood, 2, 1))
