"""Long rollouts: an exact simulator passes, and each planted fault moves its own number."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluate_worlds import HopOracle, Moments, hop_store

from worldloom.data.store import Store
from worldloom.envs import hop, hop_draw
from worldloom.evaluate.endurance import free_play, idle, usable_horizon

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return hop_store(tmp_path_factory.mktemp("hop") / "store", episodes=12, frames=48)


def total(world: HopOracle, store: Store, rule: str = "") -> float:
    found = free_play(world, store, episodes=8, frames=80)
    name = "violations_per_1000" + (f"_{rule}" if rule else "")
    value = found[name].value
    assert value is not None
    return value


def test_an_exact_world_breaks_no_rule(store: Store) -> None:
    found = free_play(HopOracle(), store, episodes=8, frames=80)
    every = found["violations_per_1000"]
    assert every.value == every.ceiling and every.value is not None and every.value < 1
    assert every.null is not None and every.null >= 1000  # nobody in the picture


def test_a_second_player_counts_in_every_frame(store: Store) -> None:
    def paint(frames: np.ndarray, state: object) -> np.ndarray:
        for frame in frames:
            hop_draw.blit(frame, 32, ("player", 0), 4 * hop_draw.FINE, 3 * hop_draw.FINE)
        return frames

    assert total(HopOracle(paint=paint), store, "one_player") > 800


def test_a_coin_that_comes_back_counts_once(store: Store) -> None:
    def refill(now: hop.Moment, step: int, seed: int) -> None:
        if step == 40:
            now.coins = hop.begin(now.level).coins

    value = total(HopOracle(fault=refill), store, "coins_stay_taken")
    assert 0 < value < 30


def test_a_player_who_sinks_into_the_ground_is_seen(store: Store) -> None:
    def paint(frames: np.ndarray, state: Moments) -> np.ndarray:
        deep = [
            replace(now, y=min(now.y + 5 * hop.PX * now.ground, 55 * hop.PX)) for now in state.rows
        ]
        return np.stack([hop.draw(now, 32) for now in deep])

    assert total(HopOracle(paint=paint), store, "outside_solids") > 100


def test_an_exact_world_loses_nothing_by_idling(store: Store) -> None:
    found = idle(HopOracle(), store, episodes=4)
    assert [abs(figure.value or 0) < 0.3 for figure in found.values()] == [True, True]


@pytest.mark.parametrize("fades", [False, True])
def test_a_picture_that_fades_loses_by_idling(store: Store, fades: bool) -> None:
    def paint(frames: np.ndarray, state: object) -> np.ndarray:
        off = 2 + (getattr(state, "steps", 0) // 40 if fades else 0)
        return (frames.astype(int) + off).clip(0, 255).astype(np.uint8)

    found = idle(HopOracle(paint=paint), store, episodes=4)
    lost = found["idle_1000_still_psnr_drop_db"].value
    assert lost is not None and (lost > 5 if fades else abs(lost) < 0.1)


def test_the_usable_horizon_is_watched_to_its_end(store: Store) -> None:
    def forget(now: hop.Moment, step: int, seed: int) -> None:
        if step >= 20:
            now.x = 0

    right, accuracy = usable_horizon(HopOracle(), store, episodes=12, frames=40)
    wrong, _ = usable_horizon(HopOracle(fault=forget), store, episodes=12, frames=40)
    assert accuracy.value is not None and accuracy.value > 0.99
    assert right.value == 40 and wrong.value is not None and 15 <= wrong.value <= 24


def test_a_game_whose_rules_nobody_wrote_down_says_so(tmp_path: Path) -> None:
    other = hop_store(tmp_path / "store", episodes=2, frames=20, env="", env_kwargs={})
    figure = free_play(HopOracle(), other)["violations_per_1000"]
    assert figure.value is None and "rules" in figure.why
