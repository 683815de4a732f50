"""Players of Crafter: what they see, what they need first, and that they get somewhere."""

import numpy as np
import pytest

from worldloom.envs import CRAFTER
from worldloom.envs import crafter_player as game
from worldloom.envs.crafter_player import ACTIONS, COW, GRASS, STONE, TABLE, TREE, WATER, Player

ITEMS = ("health", "food", "drink", "energy", "sapling", "wood", "stone", "coal", "iron")
TOOLS = [f"{kind}_{tool}" for kind in ("wood", "stone", "iron") for tool in ("pickaxe", "sword")]


def look(*, cells=(), facing=(0, 1), **have) -> dict:
    """Grass all around, but for `cells`: ((x, y), kind) from the player; all is well."""
    view = np.full((9, 7), GRASS, np.uint8)
    view[game.HERE] = game.PLAYER
    for (x, y), kind in cells:
        view[game.HERE[0] + x, game.HERE[1] + y] = kind
    held = dict.fromkeys((*ITEMS, "diamond", *TOOLS), 0) | dict.fromkeys(ITEMS[:4], 9) | have
    deeds = [*game.DEEDS, *(f"collect_{item}" for item in game.FOUND)]
    return {
        "view": view,
        "facing": np.array(facing),
        **{f"inventory/{k}": v for k, v in held.items()},
        **{f"achievements/{name}": 0 for name in deeds},
    }


def wished(info, name: str) -> str | None:
    """What leads to an achievement, without moods."""
    player = Player("novice")
    player._wishes = [name]
    return player._wish(game._Sight(info), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("info", "name", "action"),
    [
        (look(cells=[((3, 0), TREE)]), "place_table", "move_right"),  # wood comes first
        (look(cells=[((1, 0), TREE)], facing=(1, 0)), "place_table", "do"),
        (look(cells=[((1, 0), TREE)]), "place_table", "move_right"),  # it turns
        (look(wood=2), "place_table", "place_table"),
        (look(wood=1, cells=[((1, 1), TABLE)]), "make_wood_sword", "make_wood_sword"),
        (look(wood=1, cells=[((0, -3), TABLE)]), "make_wood_sword", "move_up"),
        (look(wood=2), "make_wood_sword", "place_table"),
        (look(cells=[((0, 1), STONE)], wood=2), "collect_stone", "move_left"),  # room for a table
        (look(cells=[((0, 1), STONE)], wood_pickaxe=1), "collect_stone", "do"),
        (look(), "collect_diamond", None),  # nothing in sight
    ],
)
def test_what_is_needed_comes_first(info, name, action):
    assert wished(info, name) == action


def test_a_way_leads_around_what_cannot_be_walked():
    wall = [((1, y), WATER) for y in (-1, 0, 1)]
    first = game._Sight(look(cells=[*wall, ((2, 0), TREE)])).way(TREE)
    assert first in ("move_up", "move_down")
    closed = [((x, y), WATER) for x, y in game.MOVES.values()]
    assert game._Sight(look(cells=[*closed, ((2, 0), TREE)])).way(TREE) is None


def test_thirst_and_hunger_come_before_wishes():
    rng = np.random.default_rng(0)
    player = Player("expert")
    thirsty = look(drink=1, cells=[((0, 2), WATER), ((2, 0), TREE)])
    assert ACTIONS[int(player(np.zeros(0), thirsty, rng)["action"])] == "move_down"
    hungry = look(food=1, cells=[((0, 1), COW)])
    assert ACTIONS[int(player(np.zeros(0), hungry, rng)["action"])] == "do"


@pytest.mark.slow
def test_they_get_further_than_chance_and_know_what_is_on_the_screen():
    pytest.importorskip("crafter")
    from worldloom.agents.acting import play_one
    from worldloom.agents.policy import StickyRandom
    from worldloom.envs.pixel import PixelEnv

    env = PixelEnv(CRAFTER)
    assert env.action.components[0].labels == ACTIONS
    info = env.reset(3).info
    assert info["view"].shape == (9, 7) and info["view"][game.HERE] == game.PLAYER
    totals = {"chance": 0.0, "expert": 0.0}
    for seed in (1, 2):
        for name, who in (("chance", StickyRandom(env.action)), ("expert", Player("expert"))):
            totals[name] += play_one(env, who, seed, max_frames=250).total
    assert totals["expert"] > totals["chance"] + 3
