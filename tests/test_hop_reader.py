"""The reader of Hop's pictures agrees with the truth."""

import numpy as np
import pytest

from worldloom.envs.hop import Hop
from worldloom.envs.hop_player import Collector, Wanderer
from worldloom.envs.hop_reader import read


def games(size: int, count: int) -> list[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]:
    """Frames, plate and truth of `count` games."""
    result, rng, env = [], np.random.default_rng(0), Hop(size)
    for seed in range(count):
        player = Wanderer() if seed % 2 else Collector(slip=0.05)
        player.reset()
        observation, info = env.reset(seed=1000 + seed)
        plate, frames, infos, ended = info["still/background"], [observation], [info], False
        while not ended:
            keys = player(observation, info, rng)["keys"]
            observation, _, terminated, truncated, info = env.step(keys)
            frames.append(observation)
            infos.append(info)
            ended = terminated or truncated
        truth = {name: np.stack([i[name] for i in infos]) for name in infos[-1]}
        result.append((np.stack(frames), plate, truth))
    return result


def agreement(found: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Per frame: player within 4 px, enemy within 4 px or rightly absent, coins equal."""
    away = {
        name: np.hypot(
            found[f"{name}_x"] - truth[f"{name}_x"], found[f"{name}_y"] - truth[f"{name}_y"]
        )
        for name in ("player", "enemy")
    }
    enemy = np.where(truth["enemy_alive"], away["enemy"] < 4, np.isnan(found["enemy_x"]))
    coins = (found["coins"] == truth["coins"]).all(1)
    return {"player": away["player"] < 4, "enemy": enemy, "coins": coins}


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("noise", [0, 20])
def test_it_reads_real_and_noisy_frames(size: int, noise: int) -> None:
    rng, right = np.random.default_rng(1), []
    for frames, plate, truth in games(size, 4):
        shown = (frames + rng.normal(0, noise, frames.shape)).clip(0, 255).astype(np.uint8)
        shown, truth = shown[::3], {name: values[::3] for name, values in truth.items()}
        found = read(shown, plate, (truth["coin_x"][0], truth["coin_y"][0]))
        right.append(np.stack(list(agreement(found, truth).values())))
    assert (np.concatenate(right, 1).mean(1) >= 0.99).all()


def test_coins_are_found_without_their_places() -> None:
    for frames, plate, truth in games(64, 2):
        found = read(frames[::5], plate)
        for t, present in enumerate(truth["coins"][::5]):
            places = zip(truth["coin_x"][t], truth["coin_y"][t], strict=True)
            want = {place for place, there in zip(places, present, strict=True) if there}
            got = zip(found["coin_x"][t], found["coin_y"][t], strict=True)
            assert {p for p, there in zip(got, found["coins"][t], strict=True) if there} == want


def test_an_empty_level_has_nothing_in_it() -> None:
    _, info = Hop(64).reset(seed=3)
    plate = info["still/background"]
    found = read(plate[None], plate, (info["coin_x"], info["coin_y"]))
    assert np.isnan(found["player_x"]).all() and np.isnan(found["enemy_y"]).all()
    assert not found["coins"].any()
