"""Craft: exact, fair, the same alone as among others, and all of it on the screen."""

import itertools
import warnings
from collections import deque

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check

from worldloom.envs import CRAFT, craft_draw, craft_reader, craft_rules
from worldloom.envs.check import check_env
from worldloom.envs.craft import Craft
from worldloom.envs.craft_core import RECORD, CraftWorlds
from worldloom.envs.craft_map import make_land
from worldloom.envs.craft_paths import INSIDE
from worldloom.envs.craft_rules import ACTS, ITEMS, KINDS, Act, Item, Kind
from worldloom.envs.craft_vector import CraftVector
from worldloom.envs.make import Setup
from worldloom.errors import WorldloomError


def drawn(steps: int, rows: int, seed: int = 0) -> np.ndarray:
    """Random actions `[steps, rows]`, mostly moves and `do`."""
    rng = np.random.default_rng(seed)
    return np.where(
        rng.random((steps, rows)) < 0.8,
        rng.integers(1, 6, (steps, rows)),
        rng.integers(0, ACTS, (steps, rows)),
    )


def begun(count: int, first: int = 0, steps: int = 500) -> CraftWorlds:
    worlds = CraftWorlds(count, steps=steps)
    worlds.reset(range(count), range(first, first + count))
    return worlds


def rich(worlds: CraftWorlds, rng: np.random.Generator) -> None:
    """Gives every game random items, so that all recipes come into reach."""
    worlds.games["shown"][:, 3:] = rng.integers(0, 4, (worlds.count, ITEMS))
    worlds.games["shown"][:, [3 + Item.TABLE, 3 + Item.FURNACE]] %= 2


def around(worlds: CraftWorlds, rng: np.random.Generator) -> None:
    """Puts random things around every player, never on it."""
    for row, place in enumerate(worlds.games["place"]):
        for step in (-1, 1, -38, 38, 80):
            if worlds.games["cells"][row, place + step] not in (Kind.DEEP, *craft_rules.CREATURES):
                worlds.games["cells"][row, place + step] = rng.integers(1, Kind.COW_1)
    worlds._look()


# What the rules say, once more and slowly; see docs/craft.md.


def slow_effect(
    counts: dict[str, int], kind: str, view: set[str], action: str
) -> tuple[dict[str, int], str] | None:
    """The items after an action and the one it gives; None where it is impossible or about none."""
    after = dict(counts)

    def pay(**price: int) -> bool:
        if any(after[name] < n for name, n in price.items()):
            return False
        for name, n in price.items():
            after[name] -= n
        return True

    ground = kind in ("GRASS", "SAND", "PATH")
    bench, oven = "TABLE" in view, "FURNACE" in view
    if action == "DO":
        if kind == "TREE":
            gain = "WOOD"
        elif kind in ("STONE", "COAL"):
            gain = kind if counts["WOOD_PICKAXE"] > 0 else ""
        elif kind == "IRON":
            gain = kind if counts["STONE_PICKAXE"] > 0 else ""
        elif kind == "DIAMOND":
            gain = kind if counts["IRON_PICKAXE"] > 0 else ""
        else:
            gain = ""
        able = gain != ""
    elif action == "PLACE_STONE":
        gain, able = "", (ground or kind == "WATER") and pay(STONE=1)
    elif action == "PLACE_TABLE":
        gain, able = "TABLE", ground and pay(WOOD=2)
    elif action == "PLACE_FURNACE":
        gain, able = "FURNACE", ground and bench and pay(STONE=2)
    elif action in ("MAKE_WOOD_PICKAXE", "MAKE_WOOD_SWORD"):
        gain, able = action[5:], bench and pay(WOOD=1)
    elif action in ("MAKE_STONE_PICKAXE", "MAKE_STONE_SWORD"):
        gain, able = action[5:], bench and pay(WOOD=1, STONE=1)
    elif action == "MAKE_IRON_PICKAXE":
        gain, able = "IRON_PICKAXE", bench and oven and pay(WOOD=1, COAL=1, IRON=1)
    else:
        return None
    if not able:
        return None
    if gain:
        after[gain] = min(after[gain] + 1, 1 if gain in ("TABLE", "FURNACE") else 9)
    return after, gain


def facts(worlds: CraftWorlds, row: int, action: int) -> tuple[dict[str, int], str, set[str], str]:
    """What the slow rules ask about one game, in words."""
    counts = worlds.info()["counts"][row]
    facing = int(worlds.info()["facing"][row])
    ahead = (23, 25, 17, 31)[facing]
    view = worlds.view[row]
    names = {Item(i).name: int(n) for i, n in enumerate(counts)}
    return names, Kind(view[ahead]).name, {Kind(k).name for k in view}, Act(action).name


@pytest.mark.slow
def test_recipes_are_what_the_slow_rules_say() -> None:
    rng, worlds = np.random.default_rng(0), begun(64)
    tried = {act: [0, 0] for act in Act if act >= Act.DO}
    for _ in range(40):
        rich(worlds, rng)
        around(worlds, rng)
        actions = rng.integers(Act.DO, ACTS, worlds.count)
        before = [facts(worlds, row, actions[row]) for row in range(worlds.count)]
        ahead = np.array([Kind[kind] for _, kind, _, _ in before])
        sight = craft_rules.in_sight(worlds.view)
        able = craft_rules.possible(worlds.games["shown"][:, 3:], sight, ahead, actions)
        ever, health = worlds.info()["ever"], worlds.info()["health"].astype(int)
        rewards, _, _ = worlds.step(actions)
        firsts = rewards - 0.1 * (worlds.info()["health"] - health)
        for row, (counts, kind, view, action) in enumerate(before):
            effect = slow_effect(counts, kind, view, action)
            after, gain = effect or (counts, "")
            handled = action == "DO" and (kind == "WATER" or kind[:3] in ("COW", "ZOM"))
            assert able[row] == (effect is not None or handled), (kind, action, counts)
            tried[Act(actions[row])][int(able[row])] += 1
            now, _, _, _ = facts(worlds, row, 0)
            assert now == after, (kind, action)
            assert firsts[row] == pytest.approx(
                int(gain != "" and not ever[row, Item[gain]]), abs=1e-6
            )
    assert all(yes and no for yes, no in tried.values()), tried


def test_moving_turns_and_walks_where_it_is_free() -> None:
    worlds = begun(64)
    for actions in drawn(60, 64):
        moves = actions % 4 + 1
        before = worlds.info()
        worlds.step(moves)
        after = worlds.info()
        np.testing.assert_array_equal(after["facing"], moves - 1)
        ahead = before["view"].reshape(64, 49)[np.arange(64), np.take((23, 25, 17, 31), moves - 1)]
        free = np.isin(ahead, craft_rules.WALKABLE) & (before["health"] > 0)
        step = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])[moves - 1]
        expected = before["position"] + step * free[:, None]
        np.testing.assert_array_equal(after["position"], expected)


@pytest.mark.slow
def test_reward_comes_with_firsts_and_with_health() -> None:
    worlds, rng = begun(32), np.random.default_rng(3)
    total, moved = np.zeros(32), set()
    for actions in drawn(300, 32, seed=3):
        if rng.random() < 0.2:
            rich(worlds, rng)
            around(worlds, rng)
        before = worlds.info()
        rewards, _, _ = worlds.step(actions)
        after = worlds.info()
        assert (after["ever"] >= before["ever"]).all()
        firsts = (after["ever"] & ~before["ever"]).sum(1)
        health = after["health"].astype(int) - before["health"]
        np.testing.assert_allclose(rewards, firsts + 0.1 * health, atol=1e-6)
        total += firsts
        moved |= set(health.tolist())
    assert (total <= ITEMS).all() and total.max() >= 6
    assert {-2, -1, 1} <= moved


def test_a_row_is_the_same_alone_and_among_others() -> None:
    actions = drawn(400, 64, seed=1)
    many = begun(64, first=100)
    rows = (0, 17, 63)
    alone = {row: CraftWorlds(1) for row in rows}
    for row, world in alone.items():
        world.reset([0], [100 + row])
    for chosen in actions:
        rewards, dead, late = many.step(chosen)
        for row, world in alone.items():
            mine = world.step(chosen[row : row + 1])
            assert (mine[0][0], mine[1][0], mine[2][0]) == (rewards[row], dead[row], late[row])
            assert world.state(0) == many.state(row)
    frames = many.render()
    for row, world in alone.items():
        np.testing.assert_array_equal(world.render()[0], frames[row])


def test_seed_and_actions_decide_everything() -> None:
    first, second = begun(8, first=5), begun(8, first=5)
    for actions in drawn(200, 8, seed=2):
        first.step(actions)
        second.step(actions)
    np.testing.assert_array_equal(first.render(), second.render())
    assert first.games.tobytes() == second.games.tobytes()
    assert begun(1, first=5).state(0) != begun(1, first=6).state(0)


def test_a_state_goes_on_exactly_in_another_row() -> None:
    actions = drawn(260, 1, seed=4)[:, 0]
    env, other = Craft(), CraftWorlds(3)
    env.reset(seed=11)
    other.reset(range(3), range(3))
    for action in actions[:100]:
        env.step(action)
    other.set_state(1, env.get_state())
    assert other.state(1) == env.get_state()
    for action in actions[100:]:
        frame, reward, terminated, truncated, _ = env.step(action)
        rewards, dead, late = other.step(np.array([0, action, 5]))
        assert (reward, terminated, truncated) == (rewards[1], dead[1], late[1])
        np.testing.assert_array_equal(frame, other.render()[1])
    assert other.state(1) == env.get_state()
    again = Craft()
    again.set_state(env.get_state())
    np.testing.assert_array_equal(env.reset()[0], again.reset()[0])  # the game that follows too


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(WorldloomError, match=f"has {RECORD.itemsize} bytes, this one 3"):
        Craft().set_state(b"abc")


def test_wrong_use_is_one_sentence() -> None:
    with pytest.raises(WorldloomError, match="no size 48"):
        Craft(size=48)
    with pytest.raises(WorldloomError, match="before its first reset"):
        Craft().step(np.int64(0))
    env = Craft()
    env.reset(seed=0)
    with pytest.raises(WorldloomError, match="no action 14"):
        env.step(np.int64(14))


def test_hunger_kills_and_time_ends() -> None:
    env = Craft(steps=400)
    env.reset(seed=2)
    health, paid = [], 0.0
    terminated = truncated = False
    while not (terminated or truncated):
        _, reward, terminated, truncated, info = env.step(np.int64(0))
        health.append(int(info["health"]))
        paid += reward
    assert paid == pytest.approx(-0.9)  # all the health there was
    assert terminated and not truncated and health[-1] == 0 and len(health) < 400
    state = env.get_state()
    _, reward, terminated, _, info = env.step(np.int64(Act.DO))
    assert terminated and reward == 0 and info["health"] == 0
    env.set_state(state)
    short = Craft(steps=20)
    short.reset(seed=2)
    endings = [short.step(np.int64(0))[2:4] for _ in range(20)]
    assert endings == [(False, False)] * 19 + [(False, True)]


def put(worlds: CraftWorlds, step: int, kind: Kind) -> None:
    """Puts a thing beside the player of row 0, as its first creature where it is one."""
    cell = worlds.games["place"][0] + step
    worlds.games["cells"][0, cell] = kind
    if kind in craft_rules.CREATURES:
        slot = 0 if kind < Kind.ZOMBIE_1 else 5
        worlds.games["creatures"][0, slot] = cell
    worlds._look()


def test_water_is_drunk_and_cows_are_eaten() -> None:
    worlds = begun(1)
    worlds.games["shown"][0, :3] = (9, 2, 2)
    worlds.games["facing"][0] = 0
    put(worlds, -1, Kind.WATER)
    worlds.step(np.array([Act.DO]))
    assert worlds.info()["drink"][0] == 3
    put(worlds, -1, Kind.COW_2)
    worlds.games["shown"][0, 3 + Item.WOOD_SWORD] = 1
    worlds.step(np.array([Act.DO]))
    assert worlds.info()["food"][0] == 2 + craft_rules.FOOD
    assert worlds.info()["view"][0].reshape(-1)[23] == Kind.GRASS
    assert not (worlds.games["creatures"][0] == worlds.games["place"][0] - 1).any()


@pytest.mark.parametrize(
    ("sword", "hits"), [(None, 3), (Item.WOOD_SWORD, 2), (Item.STONE_SWORD, 1)]
)
def test_swords_hit_harder(sword: Item | None, hits: int) -> None:
    worlds = begun(1)
    worlds.games["facing"][0] = 0
    if sword is not None:
        worlds.games["shown"][0, 3 + sword] = 1
    put(worlds, -1, Kind.ZOMBIE_3)
    done = 0
    while worlds.games["creatures"][0, 5]:
        # It stands where it was, whatever it would have done: only hits are counted.
        left = int(worlds.games["cells"][0, worlds.games["creatures"][0, 5]])
        worlds.games["cells"][0, worlds.games["creatures"][0, 5]] = Kind.GRASS
        put(worlds, -1, Kind(left))
        worlds.step(np.array([Act.DO]))
        done += 1
    assert done == hits


def test_zombies_harm_and_creatures_stay_what_they_are() -> None:
    worlds, hurt = begun(64), False
    for actions in drawn(450, 64, seed=6):
        before = worlds.info()["health"]
        worlds.step(actions)
        hurt |= bool((before - worlds.info()["health"] >= 2).any())
        for row in range(0, 64, 16):
            game = worlds.games[row]
            there = game["creatures"][game["creatures"] > 0]
            cells = np.flatnonzero(game["cells"] >= Kind.COW_1)
            np.testing.assert_array_equal(np.sort(there), cells)
            assert game["cells"][game["place"]] in craft_rules.WALKABLE
    assert hurt


def reached(cells: list[int], start: int, free: set[int]) -> set[int]:
    """All cells that are reached over `free` kinds, and the cells beside them."""
    seen, queue = {start}, deque([start])
    while queue:
        cell = queue.popleft()
        if cells[cell] in free or cell == start:
            for other in (cell - 1, cell + 1, cell - 38, cell + 38):
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
    return seen


def test_everything_can_be_reached_with_the_tools_of_the_time() -> None:
    diamonds = []
    for seed in range(120):
        land = make_land(seed)
        cells = land.cells.tolist()
        found = lambda among, kind: sum(cells[c] == kind for c in among)  # noqa: B023, E731
        free = {int(k) for k in (*craft_rules.WALKABLE, Kind.COW_1, Kind.COW_2)}
        near = reached(cells, land.start, free)
        assert found(near, Kind.TREE) and found(near, Kind.WATER) and found(near, Kind.STONE)
        near = reached(cells, land.start, free := free | {int(Kind.STONE), int(Kind.COAL)})
        assert found(near, Kind.COAL) and found(near, Kind.IRON)
        near = reached(cells, land.start, free | {int(Kind.IRON)})
        assert found(near, Kind.DIAMOND), seed
        diamonds.append(cells.count(Kind.DIAMOND))
    assert set(diamonds) <= {1, 2}


def test_every_tile_is_another_one_in_every_light() -> None:
    tiles = craft_draw.view_tiles()
    for light in tiles:
        assert len({tile.tobytes() for tile in light}) == len(light)
    slots = craft_draw.slot_tiles()
    for slot in slots:
        assert len({tile.tobytes() for tile in slot.reshape(20, -1)}) == 20


@pytest.mark.slow
def test_pictures_tell_everything_by_day_and_night() -> None:
    worlds, rng, lights = begun(16, first=50), np.random.default_rng(5), set()
    for step, actions in enumerate(drawn(300, 16, seed=5)):
        if step % 40 == 20:
            rich(worlds, rng)
            worlds.games["ever"][:, 3:] |= worlds.games["shown"][:, 3:] > 0
            around(worlds, rng)
        worlds.step(actions)
        truth, seen = worlds.info(), craft_reader.read(worlds.render())
        lights |= set(truth["light"].tolist())
        for name in ("counts", "ever", "view", "facing", "light"):
            np.testing.assert_array_equal(seen[name], truth[name], err_msg=name)
        vitals = np.stack([truth[name] for name in ("health", "food", "drink")], 1)
        np.testing.assert_array_equal(seen["vitals"], vitals)
        assert (seen["error"] == 0).all()
    assert lights == set(range(craft_draw.LIGHTS))


def test_all_that_can_be_shown_is_read() -> None:
    """Every kind, ground, facing, count and mark, in every light, of both sizes."""
    shown = np.arange(10 * 15).reshape(10, 15) % 10
    for light, facing, ground in itertools.product(range(6), range(4), craft_draw.GROUNDS):
        view = np.resize(np.arange(KINDS, dtype=np.uint8), (10, 49))
        view[:, 24] = ground
        ever = np.resize([0, 1, 1, 0, 1], (10, 15))
        ever[:, :3] = 0
        full = np.full(10, facing), np.full(10, light)
        frames = craft_draw.draw(view, *full, shown, ever)
        seen = craft_reader.read(craft_draw.larger(frames, 3) if facing else frames)
        np.testing.assert_array_equal(seen["view"].reshape(10, 49), view)
        np.testing.assert_array_equal(seen["counts"], shown[:, 3:])
        np.testing.assert_array_equal(seen["ever"], ever[:, 3:])
        assert (seen["facing"] == facing).all() and (seen["light"] == light).all()
        assert (seen["error"] == 0).all()


def test_a_blurred_picture_is_read_with_an_error() -> None:
    frames = begun(4).render().astype(np.float64)
    noisy = (frames + np.random.default_rng(0).normal(0, 12, frames.shape)).clip(0, 255)
    seen, truth = craft_reader.read(noisy.astype(np.uint8)), begun(4).info()
    np.testing.assert_array_equal(seen["view"], truth["view"])
    np.testing.assert_array_equal(seen["counts"], truth["counts"])
    assert (seen["error"] > 5).all()


def test_larger_pictures_show_the_same_pixels() -> None:
    small, large = Craft(), Craft(size=96)
    a, b = small.reset(seed=1)[0], large.reset(seed=1)[0]
    np.testing.assert_array_equal(a.repeat(3, 0).repeat(3, 1), b)


def test_it_conforms() -> None:
    assert check_env(CRAFT) == []
    assert check_env(Setup(CRAFT, size=(64, 64), repeat=2), steps=30) == []
    env = gymnasium.make(CRAFT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of what it cannot test
        gymnasium_check(env.unwrapped, skip_render_check=True)
    _, info = env.reset(seed=3)
    picture = info["still/map"]
    assert picture.shape == (32, 32, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[..., 1].reshape(-1), make_land(3).cells[INSIDE])


def test_the_vector_is_the_single_game_many_times() -> None:
    envs, single = CraftVector(3, steps=40), Craft(steps=40)
    frames, infos = envs.reset(seed=7)
    frame, info = single.reset(seed=8)
    assert envs.observation_space.contains(frames)
    ended = False
    for actions in drawn(100, 3, seed=8):
        frames, rewards, dead, late, infos = envs.step(actions)
        if ended:  # the row is reset in place of a step
            frame, info = single.reset()
            outcome = (0.0, False, False)
        else:
            frame, *outcome, info = single.step(actions[1])
        np.testing.assert_array_equal(frames[1], frame)
        assert (rewards[1], dead[1], late[1]) == tuple(outcome)
        np.testing.assert_array_equal(infos["view"][1], info["view"])
        ended = bool(outcome[1] or outcome[2])
    assert infos["_view"].all() and envs.metadata["autoreset_mode"].value == "NextStep"
    with pytest.raises(WorldloomError, match="3 games got 2 seeds"):
        envs.reset(seed=[1, 2])
