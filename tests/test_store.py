"""Stores: what goes in comes out, whatever dies meanwhile."""

import errno
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from worldloom.actions import ActionSpec, Binary, Categorical, Continuous
from worldloom.data import files
from worldloom.data.check import check_store
from worldloom.data.store import Store, StoreInfo, split_of
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError

SPEC = ActionSpec(
    (
        Binary("keys", ("left", "right")),
        Continuous("aim", (-1.0,), (1.0,)),
        Categorical("tool", 3),
    )
)
INFO = StoreInfo(
    SPEC,
    {"main": (16, 24), "side": (9, 7)},
    20.0,
    env="worldloom/Hop-v0",
    env_kwargs={"size": 64},
    sensors={"joint": 2},
)


def make_episode(length: int = 7, seed: int = 0, info: StoreInfo = INFO) -> Episode:
    rng = np.random.default_rng(seed)
    actions = [info.action.sample(rng) for _ in range(length)]
    return Episode(
        frames={
            camera: rng.integers(0, 256, (length, *size, 3), dtype=np.uint8)
            for camera, size in info.cameras.items()
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
            "none": np.zeros((length, 0), np.float32),
        },
        stills={"background": rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)},
        snapshots={0: b"\x00\x01", 5: b""},
        texts={0: "it begins", 3: "es regnet ☔"},
        labels={"level": 3, "difficulty": 0.5, "name": "Hügel"},
        policy=tuple(f"p{i % 2}" for i in range(length)),
        seed=seed,
    )


def assert_same(a: Episode, b: Episode) -> None:
    for name in ("frames", "actions", "sensors", "info", "stills"):
        x, y = getattr(a, name), getattr(b, name)
        assert set(x) == set(y), name
        for key in x:
            assert x[key].dtype == y[key].dtype, (name, key)
            np.testing.assert_array_equal(x[key], y[key], err_msg=f"{name} {key}")
    for name in ("action_known", "reward", "reward_known"):
        assert getattr(a, name).dtype == getattr(b, name).dtype
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in ("terminated", "truncated", "snapshots", "texts", "labels", "policy", "seed"):
        assert getattr(a, name) == getattr(b, name), name


def test_round_trip_is_exact(tmp_path):
    store = Store.create(tmp_path / "s", INFO)
    episode = make_episode()
    name = store.append(episode)
    plain = replace(episode, policy="random", seed=None, snapshots={}, texts={}, stills={}, info={})
    other = store.append(plain)
    again = Store.open(tmp_path / "s")
    assert again.info == INFO
    assert_same(again.read(name), episode)
    assert_same(again.read(other), plain)
    assert again.episodes == store.episodes
    assert [row.name for row in again.episodes] == [name, other]
    assert len(again) == 2


def test_several_actions_a_frame_round_trip(tmp_path):
    spec = replace(SPEC, per_frame=3)
    info = replace(INFO, action=spec)
    store = Store.create(tmp_path / "s", info)
    episode = make_episode(info=info)
    assert episode.actions["keys"].shape == (7, 3, 2)
    name = store.append(episode)
    assert_same(Store.open(tmp_path / "s").read(name), episode)


def test_a_part_keeps_its_own_indices(tmp_path):
    store = Store.create(tmp_path / "s", INFO)
    episode = make_episode()
    part = store.read(store.append(episode), 2, 6)
    np.testing.assert_array_equal(part.frames["main"], episode.frames["main"][2:6])
    np.testing.assert_array_equal(part.actions["aim"], episode.actions["aim"][2:6])
    np.testing.assert_array_equal(part.info["box"], episode.info["box"][2:6])
    assert part.snapshots == {3: b""}
    assert part.texts == {1: "es regnet ☔"}
    assert part.policy == episode.policy[2:6]
    assert not part.terminated
    assert store.read(store.episodes[0].name, 2).terminated
    with pytest.raises(WorldloomError, match="has 7 frames, asked for 2 to 9"):
        store.read(store.episodes[0].name, 2, 9)


def test_rows_say_what_is_in_the_episode(tmp_path):
    store = Store.create(tmp_path / "s", INFO)
    episode = make_episode(seed=4)
    store.append(episode)
    (row,) = store.episodes
    assert (row.length, row.seed, row.policy) == (7, 4, "p0, p1")
    assert row.total == pytest.approx(float(episode.reward[episode.reward_known].sum()))
    assert row.actions_known == int(episode.action_known.sum())
    assert row.labels == episode.labels


def test_create_refuses_what_exists(tmp_path):
    with pytest.raises(WorldloomError, match="exists already"):
        Store.create(tmp_path, INFO)
    store = Store.open_or_create(tmp_path / "s", INFO)
    store.append(make_episode())
    assert len(Store.open_or_create(tmp_path / "s", INFO)) == 1
    with pytest.raises(WorldloomError, match=r"has fps 20\.0, the new recording has 15\.0"):
        Store.open_or_create(tmp_path / "s", replace(INFO, fps=15.0))
    with pytest.raises(WorldloomError, match=r"has action .* the new recording has tool\[4\]"):
        Store.open_or_create(
            tmp_path / "s", replace(INFO, action=ActionSpec((Categorical("tool", 4),)))
        )


def test_what_is_no_store_says_so(tmp_path):
    with pytest.raises(WorldloomError, match="is not a store"):
        Store.open(tmp_path / "nowhere")
    store = Store.create(tmp_path / "s", INFO)
    text = (tmp_path / "s" / "info.json").read_text()
    (tmp_path / "s" / "info.json").write_text(text.replace('"format": 1', '"format": 7'))
    with pytest.raises(WorldloomError, match="has format 7, this worldloom reads format 1"):
        Store.open(store.path)
    (tmp_path / "s" / "info.json").write_text(text[:40])
    with pytest.raises(WorldloomError, match=r"info\.json` cannot be read"):
        Store.open(store.path)


def test_bad_episodes_get_one_sentence_and_leave_nothing(tmp_path):
    store = Store.create(tmp_path / "s", INFO)
    good = make_episode()
    nan = good.reward.copy()
    nan[3] = np.nan
    for bad, match in [
        (replace(good, reward=nan), "reward that is not finite at frame 3"),
        (replace(good, frames={**good.frames, "side": good.frames["main"]}), "cameras main 16x24"),
        (replace(good, actions={"keys": good.actions["keys"]}), r"action components \['keys'\]"),
        (replace(good, actions={**good.actions, "tool": np.full(7, 3)}), "outside its bounds"),
        (replace(good, sensors={}), "has sensors {}, expected"),
        (replace(good, info={"x": np.zeros(3)}), "7 frames and 3 rows of info `x`"),
        (replace(good, stills={"../x": good.stills["background"]}), "cannot be a file name"),
        (replace(good, info={"x": np.array([{}] * 7)}), "dtype object, which cannot be stored"),
    ]:
        with pytest.raises(WorldloomError, match=match):
            store.append(bad)
    assert len(store) == 0
    assert os.listdir(tmp_path / "s" / "episodes") == []


def test_splits_follow_the_seed_and_are_recorded(tmp_path):
    info = replace(INFO, heldout=0.5)
    store = Store.create(tmp_path / "s", info)
    names = [store.append(make_episode(2, seed % 6)) for seed in range(12)]
    for first, second in zip(names[:6], names[6:], strict=True):
        assert store.row(first).split == store.row(second).split
    chosen = store.append(make_episode(2, 1), split="heldout")
    again = Store.open(tmp_path / "s")
    assert again.row(chosen).split == "heldout"
    assert sorted(again.split("train") + again.split("heldout")) == sorted([*names, chosen])
    assert again.split("train") and again.split("heldout")
    share = np.mean([split_of(f"seed {seed}", 0.1) == "heldout" for seed in range(4000)])
    assert 0.08 < share < 0.12


def test_the_index_is_only_a_cache(tmp_path):
    store = Store.create(tmp_path / "s", INFO)
    names = [store.append(make_episode(2, seed)) for seed in range(4)]
    index = tmp_path / "s" / "index.parquet"
    before = Store.open(tmp_path / "s").episodes
    assert index.exists()
    index.unlink()
    assert Store.open(tmp_path / "s").episodes == before == store.episodes
    index.write_bytes(b"nonsense")
    assert Store.open(tmp_path / "s").episodes == before
    (tmp_path / "s" / "episodes" / names[1]).rename(tmp_path / names[1])
    assert [row.name for row in Store.open(tmp_path / "s").episodes] == [names[0], *names[2:]]
    store.refresh()
    assert len(store) == 3


def test_opening_reads_the_index_and_not_every_episode(tmp_path, monkeypatch):
    store = Store.create(tmp_path / "s", INFO)
    for seed in range(3):
        store.append(make_episode(2, seed))
    Store.open(tmp_path / "s")
    read = []
    monkeypatch.setattr("worldloom.data.folder.read_row", lambda folder: read.append(folder))
    assert len(Store.open(tmp_path / "s")) == 3
    assert read == []


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, monkeypatch):
    store = Store.create(tmp_path / "s", INFO)
    store.append(make_episode())
    real, written = files.write_synced, []

    def full(path, data):
        written.append(path)
        if len(written) == 3:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    monkeypatch.setattr(files, "write_synced", full)
    with pytest.raises(
        WorldloomError, match=r"the disk is full.* was not added, the others are safe"
    ):
        store.append(make_episode(seed=1))
    monkeypatch.undo()
    assert len(written) == 3
    assert check_store(tmp_path / "s") == []
    assert len(Store.open(tmp_path / "s")) == 1
    store.append(make_episode(seed=1))
    assert len(Store.open(tmp_path / "s")) == 2


def test_a_writer_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    store = Store.create(tmp_path / "s", INFO)

    def interrupted(path, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_synced", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.append(make_episode())
    assert os.listdir(tmp_path / "s" / "episodes") == []


WRITER = '''
import os, random, signal, sys, time
import numpy as np
from worldloom.actions import ActionSpec, Categorical
from worldloom.data import files
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode

path, kills = sys.argv[1], int(sys.argv[2])
info = StoreInfo(ActionSpec((Categorical("a", 3),)), {"main": (32, 32)}, 20.0)

def append(seed, many):
    store = Store.open_or_create(path, info)
    rng = np.random.default_rng(seed)
    for number in range(many):
        store.append(Episode(
            frames=rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8),
            actions={"a": rng.integers(0, 3, 40)}, seed=seed * 1000 + number,
            stills={"background": np.zeros((32, 32, 3), np.uint8)}, snapshots={0: b"s" * 100},
        ))
        if number == 0 and seed < 1000:
            os.write(told[1], b"1")

told = os.pipe()

def child(seed, many, die=0):
    pid = os.fork()
    if pid == 0:
        try:
            if die:
                die_at(die)
            append(seed, many)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return pid

def die_at(count):
    """Kills this process in the middle of the count-th thing that the disk is asked to do."""
    calls = iter(range(count, 0, -1))
    def wrap(module, name):
        real = getattr(module, name)
        def wrapped(*args, **kwargs):
            if next(calls) == 1:
                if name == "write_synced":
                    args[0].write_bytes(args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        setattr(module, name, wrapped)
    for name in ("write_synced", "sync_folder"):
        wrap(files, name)
    for name in ("mkdir", "rename", "replace"):
        wrap(os, name)

if kills == 0:  # two writers at once, which also race to make the store
    pids = [child(seed, 12) for seed in range(2)]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
for seed in range(kills):
    if seed < 16:
        pid = child(1000 + seed, 3, die=seed + 1)
    else:
        pid = child(seed, 10_000)
        os.read(told[0], 1)  # it has appended one
        time.sleep(random.Random(seed).uniform(0.0, 0.03))
        os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, seed
'''


def run_writer(path, kills: int) -> None:
    command = [sys.executable, "-c", WRITER, str(path), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_kill_9_loses_only_the_episode_being_written(tmp_path):
    run_writer(tmp_path / "s", 24)
    store = Store.open(tmp_path / "s")
    problems = check_store(tmp_path / "s")
    assert [str(p) for p in problems if not p.leftover] == []
    assert problems, "no writer was killed while it wrote: the test shows nothing"
    assert len(store) > 5
    for row in store.episodes:
        assert len(store.read(row.name)) == row.length == 40


@pytest.mark.slow
def test_two_writers_may_append_at_once(tmp_path):
    run_writer(tmp_path / "s", 0)
    store = Store.open(tmp_path / "s")
    assert len(store) == 24
    assert sorted(row.seed for row in store.episodes) == [*range(12), *range(1000, 1012)]
    assert check_store(tmp_path / "s") == []


def test_two_writers_of_the_very_same_episode_both_succeed(tmp_path):
    first = Store.create(tmp_path / "s", INFO)
    second = Store.open(tmp_path / "s")
    names = {first.append(make_episode()), second.append(make_episode())}
    assert len(names) == 2
    assert len(Store.open(tmp_path / "s")) == 2
    assert check_store(tmp_path / "s") == []


def test_importing_the_store_imports_no_torch():
    code = "import sys, worldloom.data.store; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
