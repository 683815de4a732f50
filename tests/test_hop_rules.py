"""Real games keep Hop's rules; every planted breach is seen."""

import numpy as np
import pytest
from test_hop_reader import games

from worldloom.envs import hop, hop_draw
from worldloom.envs.hop_level import SOLID, Level, make_level
from worldloom.envs.hop_rules import RULES, broken, over

Game = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]


@pytest.fixture(scope="module", params=[32, 64])
def played(request: pytest.FixtureRequest) -> list[tuple[Game, Level]]:
    every = games(request.param, 4)
    return [(game, make_level(int(game[2]["level"][0]))) for game in every]


@pytest.mark.slow
def test_real_games_keep_the_rules(played: list[tuple[Game, Level]]) -> None:
    frames = sum(len(game[0]) for game, _ in played)
    breaches = {rule: 0 for rule in RULES}
    for (shown, plate, _), level in played:
        for rule, count in broken(shown, plate, level).items():
            breaches[rule] += int(count.sum())
    assert frames > 300
    assert sum(breaches.values()) <= 0.001 * frames, breaches


@pytest.mark.slow
def test_a_game_is_over_when_it_is(played: list[tuple[Game, Level]]) -> None:
    for (shown, plate, _), level in played:
        died = len(shown) < hop.FRAMES + 1
        assert abs(over(shown, plate, level) - len(shown)) <= (2 if died else 0)


@pytest.mark.slow
def test_the_lightest_touch_ends_a_game() -> None:
    """With a tolerance of 1.5 pixels two endings of three were missed, and what a dream showed
    after them was counted against it."""
    touched = 0
    for shown, plate, truth in games(64, 24):
        level = make_level(int(truth["level"][0]))
        assert over(shown, plate, level) == len(shown)
        if len(shown) < hop.FRAMES + 1 and truth["coins"][-1].any():
            touched += 1
            invented = np.concatenate([shown, np.repeat(shown[:1], 5, 0)])
            assert over(invented, plate, level) == len(shown)
    assert touched >= 5


def test_a_second_player_is_seen(played: list[tuple[Game, Level]]) -> None:
    (shown, plate, truth), level = played[0]
    size, twice = shown.shape[1], shown[:40].copy()
    fine = hop_draw.FINE * size // 64
    for t, frame in enumerate(twice):
        far = 8 if truth["player_x"][t] > 32 else 48
        hop_draw.blit(frame, size, ("player", 0), far * fine, 20 * fine)
    assert broken(twice, plate, level)["one player"].mean() > 0.95


def test_a_vanished_player_is_seen(played: list[tuple[Game, Level]]) -> None:
    (shown, plate, _), level = played[0]
    empty = np.broadcast_to(plate, shown[:20].shape)
    assert (broken(empty, plate, level)["one player"] == 1).all()


def test_a_player_inside_the_ground_is_seen(played: list[tuple[Game, Level]]) -> None:
    for (_, plate, _), level in played:
        size = plate.shape[0]
        fine = hop_draw.FINE * size // 64
        row, column = np.argwhere(level.tiles == SOLID)[-1]
        frame = plate.copy()
        hop_draw.blit(frame, size, ("player", 0), int(column * 8 + 1) * fine, int(row * 8) * fine)
        assert broken(frame[None], plate, level)["outside solids"].all()


@pytest.mark.slow
def test_a_coin_that_comes_back_is_seen_once(played: list[tuple[Game, Level]]) -> None:
    found = 0
    for (shown, plate, truth), level in played:
        taken = np.flatnonzero(~truth["coins"][:, : len(level.coins)].all(1))
        if not len(taken) or taken[0] < 3 or taken[0] > len(shown) - 6:
            continue
        t = int(taken[0])
        back = np.concatenate([shown[: t + 3], shown[t - 3 : t - 2].repeat(4, 0)])
        assert broken(back, plate, level)["coins stay taken"].sum() == 1
        found += 1
    assert found
