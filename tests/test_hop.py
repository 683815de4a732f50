"""Hop: exact, fair, and the same world at both sizes."""

import gymnasium
import numpy as np
import pytest

from worldloom.envs import HOP, register
from worldloom.envs.hop import FRAMES, Hop, Moment, advance, begin, draw
from worldloom.envs.hop_level import COINS, PLANK, SOLID, make_level
from worldloom.envs.hop_player import Collector, Wanderer
from worldloom.errors import WorldloomError


def keys(count: int, seed: int = 0) -> np.ndarray:
    """Held random keys `[count, 3]`: a new draw every few frames."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(0, 2, (count // 6 + 1, 3)), 6, 0)[:count].astype(np.uint8)


def play(env: gymnasium.Env, actions: np.ndarray, seed: int) -> list:
    steps = [env.reset(seed=seed)[0]]
    for action in actions:
        *step, info = env.step(action)
        steps.append((*step, info))
    return steps


def test_gymnasium_knows_it_and_registering_twice_is_harmless() -> None:
    register()
    register()
    env = gymnasium.make(HOP, size=32)
    observation, _ = env.reset(seed=3)
    assert env.observation_space.contains(observation)
    assert env.action_space == gymnasium.spaces.MultiBinary(3)
    assert observation.shape == (32, 32, 3)


def test_an_unknown_size_is_one_sentence() -> None:
    with pytest.raises(WorldloomError, match="no size 48"):
        Hop(size=48)


@pytest.mark.parametrize("size", [32, 64])
def test_level_and_keys_decide_everything(size: int) -> None:
    actions = keys(120)
    first, second = (play(Hop(size), actions, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    for a, b in zip(first[1:], second[1:], strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1:4] == b[1:4]


def test_both_sizes_show_the_same_world() -> None:
    actions = keys(200, seed=1)
    for a, b in zip(play(Hop(64), actions, 9)[1:], play(Hop(32), actions, 9)[1:], strict=True):
        assert a[1:4] == b[1:4]
        for name in a[4]:
            np.testing.assert_array_equal(a[4][name], b[4][name])


def test_a_state_goes_on_exactly_in_another_environment() -> None:
    actions = keys(160, seed=2)
    env, other = Hop(), Hop()
    env.reset(seed=11)
    other.reset(seed=12)
    for action in actions[:40]:
        env.step(action)
    state = env.get_state()
    other.set_state(state)
    assert other.get_state() == state
    for action in actions[40:]:
        a, b = env.step(action), other.step(action)
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1:4] == b[1:4]
    assert env.get_state() == other.get_state()
    np.testing.assert_array_equal(env.reset()[0], other.reset()[0])  # the level that follows too


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(WorldloomError, match="has 60 bytes, this one 3"):
        Hop().set_state(b"abc")


def test_time_ends_the_game_and_is_part_of_the_state() -> None:
    env = Hop()
    env.reset(seed=0)
    for _ in range(FRAMES - 1):
        *_, terminated, truncated, _ = env.step(np.zeros(3, np.uint8))
        assert not terminated and not truncated
    state = env.get_state()
    assert env.step(np.zeros(3, np.uint8))[2:4] == (False, True)
    env.reset(seed=1)
    env.set_state(state)
    assert env.step(np.zeros(3, np.uint8))[2:4] == (False, True)


def test_spawns_are_safe() -> None:
    """Whoever stands still lives: the enemy never comes to the spawn."""
    for seed in range(100):
        now = begin(seed)
        start = (now.x, now.y)
        for _ in range(100):
            assert advance(now, 0, 0, 0) == 0
        assert (now.x, now.y) == start and not now.over


def test_levels_are_well_formed() -> None:
    for seed in range(300):
        level = make_level(seed)
        assert 4 <= len(level.coins) <= COINS
        assert len(set(level.coins)) == len(level.coins)
        assert all(level.tiles[spot] == 0 for spot in level.coins)
        row, (low, high) = level.enemy_row, level.enemy_range
        assert high > low and (level.tiles[row + 1, low : high + 1] != 0).all()
        assert not (level.tiles[row, low : high + 1] == SOLID).any()
        assert (level.tiles[7] == SOLID).all()


@pytest.mark.slow
def test_every_coin_can_be_reached() -> None:
    """By the physics itself: a search over keys held for a few frames takes each coin."""
    for seed in range(25):
        level = make_level(seed)
        taken, seen = 0, set()
        front = [begin(seed)]
        front[0].enemy_alive = 0
        while front and taken != (1 << len(level.coins)) - 1:
            now = front.pop(0)
            for left, right, jump in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 0, 1), (0, 1, 1)):
                then = Moment(*[getattr(now, name) for name in Moment.__slots__])
                for _ in range(4):
                    advance(then, left, right, jump)
                taken |= ~then.coins & ((1 << len(level.coins)) - 1)
                then.coins = (1 << len(level.coins)) - 1
                then.over = 0
                place = (then.x // 512, then.y // 512, then.vx // 256, then.vy // 256, then.ground)
                if place not in seen:
                    seen.add(place)
                    front.append(then)
        assert taken == (1 << len(level.coins)) - 1, f"level {seed}"


def test_a_jump_rises_two_and_a_half_tiles_and_comes_back() -> None:
    seed = next(s for s in range(100) if not make_level(s).tiles[5, make_level(s).spawn[1]])
    now = begin(seed)
    start, heights = now.y, []
    advance(now, 0, 0, 1)
    while not now.ground:
        heights.append(start - now.y)
        advance(now, 0, 0, 0)
    assert 19.5 <= max(heights) / 256 <= 20.5
    assert now.y == start


def test_planks_let_through_from_below_and_hold_from_above() -> None:
    seed = next(s for s in range(100) if make_level(s).tiles[5, make_level(s).spawn[1]] == PLANK)
    now = begin(seed)
    advance(now, 0, 0, 1)
    for _ in range(30):
        advance(now, 0, 0, 0)
    assert now.ground and (now.y + 8 * 256) // (8 * 256) == 5


def test_a_plank_does_not_catch_who_is_beside_its_top_already() -> None:
    level = make_level(0)
    column = int(np.flatnonzero(level.tiles[5] == PLANK)[0])
    now = begin(0)
    now.x, now.y, now.vy, now.ground = column * 8 * 256, (40 + 3 - 8) * 256, 100, 0
    advance(now, 0, 0, 0)
    assert not now.ground and now.y > (40 + 3 - 8) * 256


def meeting(above: int) -> Moment:
    """The player over the enemy's middle, `above` pixels over its back, falling."""
    now = begin(0)
    now.x, now.y, now.vy, now.ground = now.enemy_x, (50 - 8 - above) * 256, 600, 0
    return now


def test_landing_on_the_enemy_squashes_it() -> None:
    now = meeting(above=1)
    assert advance(now, 0, 0, 0) == 1
    assert not now.enemy_alive and not now.over and now.vy < 0


def test_touching_the_enemy_from_the_side_ends_the_game() -> None:
    now = meeting(above=-4)
    assert advance(now, 0, 0, 0) == -1
    assert now.over and now.enemy_alive


def test_the_last_coin_wins() -> None:
    now = begin(0)
    row, column = make_level(0).coins[0]
    now.coins = 1
    now.x, now.y, now.ground = (column * 8 + 1) * 256, row * 8 * 256, 0
    now.enemy_alive = 0
    assert advance(now, 0, 0, 0) == 2
    assert now.over and not now.coins


def test_info_is_the_truth_of_the_picture() -> None:
    env = Hop(64)
    _, info = env.reset(seed=4)
    plate = info["still/background"]
    frame, *_, info = env.step(np.array([0, 1, 1], np.uint8))
    rows, columns = np.nonzero((frame != plate).any(-1))
    x, y = int(info["player_x"]) - 3, int(info["player_y"]) - 4
    assert ((rows >= y) & (rows < y + 8) & (columns >= x) & (columns < x + 6)).sum() > 30
    for cx, cy in zip(info["coin_x"], info["coin_y"], strict=True):
        if cx >= 0:
            assert (frame[int(cy), int(cx)] == (255, 220, 0)).all()


def test_drawing_leaves_the_plate_alone() -> None:
    now = begin(7)
    before = draw(now, 64).copy()
    draw(now, 64)[:] = 0
    np.testing.assert_array_equal(draw(now, 64), before)


def won_share(player: object, games: int) -> float:
    env, rng, coins = Hop(32), np.random.default_rng(0), []
    for seed in range(games):
        observation, info = env.reset(seed=seed)
        player.reset()  # type: ignore[attr-defined]
        total, ended = info["coins"].sum(), False
        while not ended:
            values = player(observation, info, rng)  # type: ignore[operator]
            observation, _, terminated, truncated, info = env.step(values["keys"])
            ended = terminated or truncated
        coins.append(1 - info["coins"].sum() / total)
    return float(np.mean(coins))


def test_the_collector_collects_and_the_wanderer_explores() -> None:
    assert won_share(Collector(), 16) > 0.8
    assert 0.4 < won_share(Wanderer(), 16) < 0.8
