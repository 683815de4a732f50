"""Doom: seeded, moved by keys and mouse, explored by its player, leaving nothing behind."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from worldloom.actions import Binary, Continuous
from worldloom.envs import DOOM
from worldloom.envs.check import check_env
from worldloom.envs.doom import TURN, Doom
from worldloom.envs.doom_player import FORWARD, NEAR, Explorer
from worldloom.envs.make import Setup
from worldloom.envs.pixel import Outcome, PixelEnv
from worldloom.errors import WorldloomError

TICS = 2


@pytest.fixture(scope="module")
def game() -> Iterator[PixelEnv]:
    pytest.importorskip("vizdoom")
    env = PixelEnv(Setup(DOOM, size=(64, 64), kwargs={"length": 200}))
    yield env
    env.close()


def act(keys: str = "", mouse: float = 0.0) -> dict[str, np.ndarray]:
    """An action that holds some of "f b l r" and moves the mouse."""
    return {
        "keys": np.array([key in keys for key in "fblr"], np.uint8),
        "mouse": np.array([mouse], np.float32),
    }


def play(env: PixelEnv, seed: int, actions: list[dict[str, np.ndarray]]) -> list[Outcome]:
    return [env.reset(seed), *(env.step(action) for action in actions)]


def test_a_missing_package_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    with pytest.raises(WorldloomError) as caught:
        PixelEnv(DOOM)
    assert caught.value.hint == "pip install 'worldloom[doom]'"


def test_an_unknown_scenario_is_one_sentence() -> None:
    pytest.importorskip("vizdoom")
    with pytest.raises(WorldloomError, match="no scenario `my_way_hom`") as caught:
        Doom("my_way_hom")
    assert "my_way_home" in caught.value.hint


def test_it_has_keys_and_a_mouse(game: PixelEnv) -> None:
    keys, mouse = game.action.components
    assert keys == Binary("keys", ("forward", "back", "strafe_left", "strafe_right"))
    assert mouse == Continuous("mouse", (-1.0,), (1.0,))
    assert (game.shape, game.fps, game.exact) == ((64, 64), 35 / TICS, False)


def test_an_episode_follows_from_its_seed_whatever_was_before(game: PixelEnv) -> None:
    rng = np.random.default_rng(0)
    actions = [game.action.sample(rng) for _ in range(25)]
    first = play(game, 3, actions)
    play(game, 4, actions[:7])
    again, other = play(game, 3, actions), play(game, 5, actions)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.frame, b.frame)
        np.testing.assert_array_equal(a.info["position"], b.info["position"])
    assert any((a.frame != b.frame).any() for a, b in zip(first, other, strict=True))


def test_the_mouse_turns_by_as_much_as_it_moves(game: PixelEnv) -> None:
    play(game, 0, [act()] * 3)
    before = game.step(act()).info["angle"]
    for mouse in (1.0, -0.5, 0.0):
        after = game.step(act(mouse=mouse)).info["angle"]
        turned = (float(before - after) + 180) % 360 - 180  # to the right is clockwise
        assert turned == pytest.approx(TURN * TICS * mouse, abs=0.05)
        before = after


@pytest.mark.parametrize(("key", "side"), [("f", 0), ("l", 90), ("b", 180), ("r", 270)])
def test_keys_walk_where_they_say(game: PixelEnv, key: str, side: float) -> None:
    moves = []
    for seed in range(12):
        start = play(game, seed, [act()] * 2)[-1].info
        end = [game.step(act(key)) for _ in range(3)][-1].info
        (x, y), angle = end["position"] - start["position"], np.radians(start["angle"] + side)
        if np.hypot(x, y) > 5:  # no wall in the way
            moves.append(np.array([x, y]) @ [np.cos(angle), np.sin(angle)] / np.hypot(x, y))
    assert len(moves) >= 6
    assert np.mean(np.array(moves) > 0.99) > 0.8  # some slide along a wall


def test_who_does_nothing_sees_nothing_move(game: PixelEnv) -> None:
    outcomes = play(game, 1, [act()] * 20)
    np.testing.assert_array_equal(outcomes[2].info["position"], outcomes[20].info["position"])
    np.testing.assert_array_equal(outcomes[2].frame, outcomes[20].frame)  # the eye does not bob


def test_an_episode_is_truncated_at_its_length_and_keeps_its_last_view(game: PixelEnv) -> None:
    outcomes = play(game, 2, [act(mouse=0.3)] * 200)
    assert [o.truncated for o in outcomes] == [False] * 200 + [True]
    assert not any(o.terminated for o in outcomes)
    assert outcomes[-1].frame.shape == (64, 64, 3)


def test_the_explorer_gets_around(game: PixelEnv) -> None:
    places, still = set(), 0
    for seed in range(2):
        rng, player = np.random.default_rng(seed), Explorer()
        player.reset()
        outcome = game.reset(seed)
        for _ in range(120):
            before = outcome.info
            outcome = game.step(player(outcome.frame, before, rng))
            place, angle = outcome.info["position"], outcome.info["angle"]
            still += bool((place == before["position"]).all() and angle == before["angle"])
            places.add(tuple(place // 96))
    assert len(places) >= 5
    assert still < 60


def test_the_explorer_turns_from_a_wall_to_where_there_is_room_until_it_sees_far() -> None:
    rng, player = np.random.default_rng(0), Explorer()
    player.reset()
    picture = np.zeros((8, 8, 3), np.uint8)

    def turn(left: float, ahead: float, right: float) -> float:
        clear = np.array([left, ahead, right], np.float32)
        info = {"position": rng.random(2).astype(np.float32) * 99, "clear": clear}
        action = player(picture, info, rng)
        assert action["keys"].shape == (4,) and action["keys"].dtype == np.uint8
        assert action["mouse"].dtype == np.float32
        return float(action["mouse"][0])

    wall = [turn(2, NEAR - 1, 20) for _ in range(30)]
    assert min(wall) > 0.3 and len(set(wall)) == 1
    free = [turn(20, 2 * NEAR, 20) for _ in range(200)]
    assert len(set(free)) > 10 and min(free) < 0 < max(free)
    assert turn(20, NEAR - 1, 2) < -0.3


def test_the_explorer_walks_forward_most_of_the_time() -> None:
    rng, player = np.random.default_rng(0), Explorer()
    player.reset()
    info = {"position": np.zeros(2, np.float32), "clear": np.full(3, 30, np.float32)}
    keys = []
    for step in range(2000):
        info = {**info, "position": np.full(2, 9.0 * step, np.float32)}
        keys.append(player(np.zeros((8, 8, 3), np.uint8), info, rng)["keys"])
    share = np.mean(keys, 0)
    assert 0.6 < share[FORWARD] < 0.9
    assert (share[1:] > 0.02).all()


@pytest.mark.slow
def test_doom_conforms() -> None:
    pytest.importorskip("vizdoom")
    assert check_env(Setup(DOOM, size=(64, 64)), steps=40) == []


@pytest.mark.slow
def test_one_can_shoot_where_the_scenario_lets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("vizdoom")
    monkeypatch.chdir(tmp_path)
    env = PixelEnv(Setup(DOOM, size=(64, 64), kwargs={"scenario": "basic", "tics": 4}))
    keys = env.action.components[0]
    assert isinstance(keys, Binary) and keys.keys[-1] == "attack"
    quiet = play(env, 0, [{**act(), "keys": np.zeros(5, np.uint8)}] * 8)
    shots = play(env, 0, [{**act(), "keys": np.array([0, 0, 0, 0, 1], np.uint8)}] * 8)
    assert (quiet[-1].frame != shots[-1].frame).any()
    env.close()
    assert list(tmp_path.iterdir()) == []  # the engine leaves nothing where it was started
