"""Rooms: exact, the same alone as among others, drawn as slow rays say; ways back lead back."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check

from worldloom.envs import ROOMS, rooms_cast
from worldloom.envs.check import check_env
from worldloom.envs.rooms import Rooms
from worldloom.envs.rooms_cast import COLUMNS, TURNS, UNIT
from worldloom.envs.rooms_core import BODY, RECORD, RoomsWorlds, free
from worldloom.envs.rooms_plan import (
    CLOSED,
    DOOR,
    HEIGHT,
    LEAST,
    NO_ROOM,
    NOTHING,
    OPEN,
    WALL,
    WIDTH,
    make_plan,
)
from worldloom.envs.rooms_player import Tourist
from worldloom.envs.rooms_vector import RoomsVector
from worldloom.errors import WorldloomError

PLANS = np.concatenate([make_plan(seed) for seed in range(60)])


def drawn(steps: int, rows: int, seed: int = 0) -> np.ndarray:
    """Random keys `[steps, rows, 4]`, ahead more often than back."""
    rng = np.random.default_rng(seed)
    return (rng.random((steps, rows, 4)) < (0.7, 0.2, 0.3, 0.3)).astype(np.int64)


def begun(count: int, first: int = 0) -> RoomsWorlds:
    worlds = RoomsWorlds(count)
    worlds.reset(range(count), range(first, first + count))
    return worlds


def test_plans_are_apartments_of_four_to_nine_rooms() -> None:
    assert set(PLANS["rooms"].tolist()) == set(range(4, 10))
    for plan in PLANS:
        rooms = int(plan["rooms"])
        for room in range(rooms):
            left, top, right, bottom = plan["box"][room]
            assert min(right - left, bottom - top) >= LEAST
            assert (plan["cell"] == room).sum() == plan["area"][room]
            assert (plan["cell"][top:bottom, left:right] == room).all()
        assert plan["area"].sum() == WIDTH * HEIGHT
        assert len(set(plan["colour"].tolist())) == len(plan["colour"])


def slow_lines(plan: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """What stands on every line between cells of two rooms, looked at cell by cell."""
    lines: dict[tuple[int, int], list[int]] = {}
    for y in range(HEIGHT):
        for x in range(WIDTH):
            for u, v, kind in ((x + 1, y, "upright"), (x, y + 1, "level")):
                if u < WIDTH and v < HEIGHT:
                    pair = sorted((int(plan["cell"][y, x]), int(plan["cell"][v, u])))
                    what = int(plan[kind][v, u])
                    if pair[0] == pair[1]:
                        assert what == NOTHING
                    else:
                        lines.setdefault((pair[0], pair[1]), []).append(what)
    return lines


def test_doors_join_all_rooms_and_half_of_them_are_closed() -> None:
    extra = 0
    for plan in PLANS:
        lines = slow_lines(plan)
        kinds = {}
        for (i, j), what in lines.items():
            assert plan["touch"][i, j] == plan["touch"][j, i] == (len(what) >= DOOR + 1)
            doors = [w for w in what if w != WALL]
            assert plan["door"][i, j] == plan["door"][j, i] == (doors[0] if doors else NOTHING)
            assert len(doors) in (0, DOOR) and len(set(doors)) <= 1
            kinds.update({(i, j): doors[0]} if doors else {})
        assert np.count_nonzero(plan["door"]) == 2 * len(kinds)
        assert abs(sum(1 if k == CLOSED else -1 for k in kinds.values())) <= 1
        joined, before = {0}, set()
        while joined != before:
            before = set(joined)
            joined |= {b for pair in kinds for b in pair if joined & set(pair)}
        assert joined == set(range(plan["rooms"]))
        extra += len(kinds) - int(plan["rooms"]) + 1
    assert extra > 0


def slow_ray(plan: np.ndarray, x: float, y: float, go: list[float]) -> tuple:
    """Walks along a ray from line to line: depth, room, room behind a panel, across."""
    cx, cy, done = int(x), int(y), 0.0
    while True:
        step_x, step_y = (1 if go[0] > 0 else -1), (1 if go[1] > 0 else -1)
        far_x = (cx + (step_x > 0) - x) / go[0]
        far_y = (cy + (step_y > 0) - y) / go[1]
        across = far_y < far_x
        done = min(far_x, far_y)
        new = (cx, cy + step_y) if across else (cx + step_x, cy)
        what = (
            plan["level"][max(cy, new[1]), cx] if across else plan["upright"][cy, max(cx, new[0])]
        )
        if what in (WALL, CLOSED):
            behind = NO_ROOM if what == WALL else plan["cell"][new[1], new[0]]
            return done, plan["cell"][cy, cx], behind, across
        cx, cy = new


def test_rays_hit_what_slow_rays_hit() -> None:
    rng, worlds = np.random.default_rng(1), begun(40)
    for keys in drawn(25, 40, seed=1):
        worlds.step(keys)
    sight, along = worlds.sight(), rooms_cast.directions()
    panels = through = 0
    for row in range(40):
        game, plan = worlds.games[row], worlds.plans[row]
        x, y = game["x"] / UNIT, game["y"] / UNIT
        for column in rng.choice(COLUMNS, 30, replace=False):
            go = [float(table[game["heading"], column]) for table in along]
            depth, room, behind, across = slow_ray(plan, x, y, go)
            assert sight.depth[row, column] == pytest.approx(depth)
            assert sight.room[row, column] == room
            assert sight.beyond[row, column] == behind
            assert sight.across[row, column] == across
            panels += behind != NO_ROOM
            through += room != plan["cell"][int(y), int(x)]
    assert panels > 10 and through > 10


def test_a_picture_has_the_colours_of_the_walls_in_it() -> None:
    worlds = begun(30)
    frames, sight = worlds.render().astype(int), worlds.sight()
    colours = rooms_cast.COLOURS.astype(float)
    middle = frames[:, 24]  # the horizon, where every column shows its wall
    unit = lambda c: c / np.linalg.norm(c, axis=-1, keepdims=True)  # noqa: E731
    own = worlds.plans["colour"][np.arange(30)[:, None], sight.room]
    own = np.where(sight.beyond == NO_ROOM, own, rooms_cast.PANEL)
    assert (np.abs(unit(middle.astype(float)) - unit(colours[own])) < 0.02).all()
    for row in np.flatnonzero(sight.depth[:, 0] > 4):
        like = np.abs(unit(frames[row, :, 0].astype(float)) - unit(middle[row, 0])).max(-1) < 0.02
        assert abs(np.count_nonzero(like) - 2 * 80 / sight.depth[row, 0]) <= 3


def test_nobody_walks_through_walls_and_the_way_back_leads_back() -> None:
    worlds, returned = begun(64), 0
    for keys in drawn(150, 64, seed=2):
        before = worlds.games.copy()
        worlds.step(keys)
        games = worlds.games
        assert free(worlds.plans, games["x"], games["y"]).all()
        cells = [(g["x"] // UNIT, g["y"] // UNIT) for g in (before, games)]
        rooms = [worlds.plans["cell"][np.arange(64), y, x] for x, y in cells]
        moved = rooms[0] != rooms[1]
        assert (worlds.plans["door"][np.arange(64), *rooms][moved] >= OPEN).all()
        went = (games["x"] - before["x"]) ** 2 + (games["y"] - before["y"]) ** 2
        whole = (keys[:, 0] != keys[:, 1]) & (keys[:, 2] == keys[:, 3]) & (went > 127**2)
        back = RoomsWorlds(64)
        back.plans[:], back.games[:] = worlds.plans, games
        back.step(keys[:, [1, 0, 2, 3]])
        for axis in ("x", "y"):
            np.testing.assert_array_equal(back.games[axis][whole], before[axis][whole])
        returned += np.count_nonzero(whole)
    assert worlds.games["visited"].sum() > 64 and returned > 1000


def slow_free(plan: np.ndarray, x: int, y: int) -> bool:
    """Whether no wall crosses the open square of a body, line by line."""
    left, top, right, bottom = x - BODY, y - BODY, x + BODY, y + BODY
    for line in range(HEIGHT + 1):
        for cell in range(WIDTH):
            if plan["level"][line, cell] == WALL and (
                top < line * UNIT < bottom and left < (cell + 1) * UNIT and cell * UNIT < right
            ):
                return False
    for cell in range(HEIGHT):
        for line in range(WIDTH + 1):
            if plan["upright"][cell, line] == WALL and (
                left < line * UNIT < right and top < (cell + 1) * UNIT and cell * UNIT < bottom
            ):
                return False
    return True


def test_a_body_fits_where_no_wall_crosses_it() -> None:
    rng = np.random.default_rng(3)
    plans = PLANS[rng.integers(0, 60, 150)]
    x, y = rng.integers(0, WIDTH * UNIT, 150), rng.integers(0, HEIGHT * UNIT, 150)
    expected = [slow_free(plan, int(a), int(b)) for plan, a, b in zip(plans, x, y, strict=True)]
    assert free(plans, x, y).tolist() == expected
    assert 100 < sum(expected) < 140


def test_a_row_is_the_same_alone_and_among_others() -> None:
    many, keys = begun(16, first=100), drawn(80, 16, seed=1)
    alone = {row: begun(1, first=100 + row) for row in (0, 7, 15)}
    for chosen in keys:
        rewards, late = many.step(chosen)
        for row, world in alone.items():
            mine = world.step(chosen[row : row + 1])
            assert (mine[0][0], mine[1][0]) == (rewards[row], late[row])
            assert world.state(0) == many.state(row)
    frames = many.render()
    for row, world in alone.items():
        np.testing.assert_array_equal(world.render()[0], frames[row])


def test_a_state_goes_on_exactly_in_another_row() -> None:
    env, other, keys = Rooms(), RoomsWorlds(3), drawn(60, 1, seed=4)[:, 0]
    env.reset(seed=11)
    other.reset(range(3), range(3))
    for chosen in keys[:30]:
        env.step(chosen)
    other.set_state(1, env.get_state())
    for chosen in keys[30:]:
        frame, reward, _, late, _ = env.step(chosen)
        rewards, truncated = other.step(np.stack([chosen] * 3))
        assert (reward, late) == (rewards[1], truncated[1])
        np.testing.assert_array_equal(frame, other.render()[1])
    assert other.state(1) == env.get_state()
    again = Rooms()
    again.set_state(env.get_state())
    np.testing.assert_array_equal(env.reset()[0], again.reset()[0])  # the game that follows too


def test_each_room_gives_one_and_time_ends() -> None:
    env, player = Rooms(steps=300), Tourist()
    for seed in range(3):
        frame, info = env.reset(seed=seed)
        player.reset()
        rng, total, late, steps = np.random.default_rng(seed), 0.0, False, 0
        while not late:
            frame, reward, ended, late, info = env.step(player(frame, info, rng)["keys"])
            total, steps = total + reward, steps + 1
            assert not ended
        assert steps == 300 and total == info["visited"].sum() - 1 >= 2


def test_the_tourist_sees_every_room_when_it_has_time() -> None:
    worlds, players = begun(12, first=30), [Tourist() for _ in range(12)]
    rng = np.random.default_rng(0)
    for _ in range(900):
        truth = worlds.info()
        keys = [
            player(np.empty(0), {k: v[row] for k, v in truth.items()}, rng)["keys"]
            for row, player in enumerate(players)
        ]
        worlds.step(np.stack(keys).astype(np.int64))
    assert (worlds.games["visited"].sum(1) == worlds.plans["rooms"]).all()


def test_wrong_use_is_one_sentence() -> None:
    with pytest.raises(WorldloomError, match="before its first reset"):
        Rooms().step(np.zeros(4))
    with pytest.raises(WorldloomError, match=f"has {RECORD.itemsize} bytes, this one 3"):
        Rooms().set_state(b"abc")
    env = Rooms()
    env.reset(seed=0)
    with pytest.raises(WorldloomError, match="keys of shape"):
        env.step(np.zeros(3))
    with pytest.raises(WorldloomError, match="no 0 games"):
        RoomsWorlds(0)
    with pytest.raises(WorldloomError, match="2 games got 3 seeds"):
        RoomsVector(2).reset(seed=[1, 2, 3])


def test_it_conforms() -> None:
    assert check_env(ROOMS) == []
    env = gymnasium.make(ROOMS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of what it cannot test
        gymnasium_check(env.unwrapped, skip_render_check=True)
    frame, info = env.reset(seed=3)
    assert frame.shape == (48, 64, 3) and info["still/plan"].shape == (37, 49, 3)
    assert info["columns"].sum() == COLUMNS and 0 <= info["heading"] < TURNS
    assert info["areas"].sum() == WIDTH * HEIGHT and len(info["doors"]) == 36


def test_the_vector_is_the_single_game_many_times() -> None:
    envs, single, keys = RoomsVector(3, steps=20), Rooms(steps=20), drawn(45, 3, seed=7)
    frames, _ = envs.reset(seed=40)
    frame, _ = single.reset(seed=41)
    ended = False
    np.testing.assert_array_equal(frames[1], frame)
    for chosen in keys:
        frames, rewards, over, late, infos = envs.step(chosen)
        if ended:
            (frame, info), reward, ended = single.reset(), 0.0, False
        else:
            frame, reward, _, ended, info = single.step(chosen[1])
        np.testing.assert_array_equal(frames[1], frame)
        assert (rewards[1], late[1], over[1]) == (reward, ended, False)
        np.testing.assert_array_equal(infos["visited"][1], info["visited"])
