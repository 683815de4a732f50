import numpy as np
import pytest

from worldloom.actions import ActionSpec, Binary, Categorical, Continuous
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError

SPEC = ActionSpec(
    (Binary("keys", ("left", "right")), Continuous("aim", (-1.0,), (1.0,)), Categorical("tool", 3))
)
INFO = StoreInfo(SPEC, {"main": (16, 24), "side": (8, 8)}, 20.0, sensors={"joint": 2})


def make_episode(length: int = 7, seed: int = 0, info: StoreInfo = INFO) -> Episode:
    rng = np.random.default_rng(seed)
    actions = [info.action.sample(rng) for _ in range(length)]
    return Episode(
        frames={
            k: rng.integers(0, 256, (length, *v, 3), dtype=np.uint8)
            for k, v in info.cameras.items()
        },
        actions={c.name: np.stack([a[c.name] for a in actions]) for c in info.action.components},
        action_known=rng.random(length) < 0.5,
        reward=rng.normal(size=length).astype(np.float32),
        reward_known=rng.random(length) < 0.5,
        terminated=True,
        sensors={
            k: rng.normal(size=(length, d)).astype(np.float32) for k, d in info.sensors.items()
        },
        info={
            "coins": rng.integers(0, 9, length),
            "box": rng.normal(size=(length, 3, 4)),
            "lucky": rng.random(length) < 0.5,
            "half": rng.normal(size=(length, 2)).astype(np.float16),
            "flags": rng.random((length, 2)) < 0.5,
        },
        stills={"background": rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)},
        snapshots={0: b"\x00\x01", 5: b""},
        texts={0: "it begins", 3: "es regnet ☔"},
        labels={"level": 3, "difficulty": 0.5, "name": "Hügel"},
        policy=tuple(f"p{i % 2}" for i in range(length)),
        seed=seed,
    )


def assert_same(a: Episode, b: Episode) -> None:
    for field in ("frames", "actions", "sensors", "info", "stills"):
        x, y = getattr(a, field), getattr(b, field)
        assert set(x) == set(y), field
        for key in x:
            assert x[key].dtype == y[key].dtype, (field, key)
            np.testing.assert_array_equal(x[key], y[key], err_msg=f"{field} {key}")
    for field in ("action_known", "reward", "reward_known"):
        x, y = getattr(a, field), getattr(b, field)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y, err_msg=field)
    for field in ("terminated", "truncated", "snapshots", "texts", "labels", "policy", "seed"):
        assert getattr(a, field) == getattr(b, field), field


def test_round_trip_is_exact(tmp_path):
    store = Store.create(tmp_path / "s", INFO)
    episode = make_episode()
    name = store.append(episode)
    assert_same(store.read(name), episode)
    again = Store.open(tmp_path / "s")
    assert again.info == INFO
    assert_same(again.read(name), episode)
    assert again.episodes == store.episodes
    assert len(again) == 1


def test_create_refuses_an_existing_folder(tmp_path):
    with pytest.raises(WorldloomError, match="exists already"):
        Store.create(tmp_path, INFO)
