"""Recording: exact, the same with any number of workers, and nothing is lost."""

import json
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from worldloom.agents.choose import choose
from worldloom.cli import main
from worldloom.data.check import check_store
from worldloom.data.folder import read_row
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.data.take import Take, play_episode
from worldloom.envs import HOP
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv, Snapshot
from worldloom.errors import WorldloomError

SMALL = Setup(HOP, size=(32, 32))
BOTH = choose("random,scripted")


def by_seed(path: Path) -> dict[int, Any]:
    store = Store.open(path)
    return {row.seed: store.read(row.name) for row in store.episodes}


def same(a: Any, b: Any) -> bool:
    return (
        np.array_equal(a.frames["main"], b.frames["main"])
        and np.array_equal(a.actions["keys"], b.actions["keys"])
        and np.array_equal(a.reward, b.reward)
        and a.policy == b.policy
        and dict(a.snapshots) == dict(b.snapshots)
    )


def test_limits_of_episodes_take_turns(tmp_path: Path) -> None:
    keep = Keep(max_frames=(9, 5, 5))
    for _ in range(2):  # the second goes on with the first's turns
        record(SMALL, tmp_path / "s", episodes=3, policies=choose("random"), keep=keep, workers=0)
    assert [row.length for row in Store.open(tmp_path / "s").episodes] == [9, 5, 5, 9, 5, 5]


def test_what_is_stored_is_what_happened(tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []
    keep = Keep(max_frames=60, snapshot_every=20)
    done = record(
        SMALL,
        tmp_path / "s",
        episodes=3,
        policies=BOTH,
        keep=keep,
        workers=0,
        progress=lambda *p: shown.append(p),
    )
    assert (done.episodes, shown) == (3, [(1, 3), (2, 3), (3, 3)])
    for episode in by_seed(tmp_path / "s").values():
        env = PixelEnv(SMALL)
        outcome = env.reset(episode.seed)
        np.testing.assert_array_equal(outcome.frame, episode.frames["main"][0])
        np.testing.assert_array_equal(
            outcome.info["still/background"], episode.stills["background"]
        )
        assert not episode.action_known[0] and episode.action_known[1:].all()
        for t in range(1, len(episode)):
            outcome = env.step({"keys": episode.actions["keys"][t]})
            np.testing.assert_array_equal(outcome.frame, episode.frames["main"][t])
            assert outcome.reward == episode.reward[t]
            assert outcome.info["player_x"] == episode.info["player_x"][t]
            if t % 20 == 0:
                moment = Snapshot.unpack(episode.snapshots[t])
                assert moment.state == env.save()
                np.testing.assert_array_equal(moment.frame, outcome.frame)
        ended = outcome.terminated or outcome.truncated
        assert len(episode) == 60 or ended
        assert episode.terminated == outcome.terminated
        assert episode.truncated == (outcome.truncated or not ended)
    assert {e.policy for e in by_seed(tmp_path / "s").values()} == {"random", "scripted"}


def test_going_on_adds_other_episodes(tmp_path: Path) -> None:
    keep = Keep(max_frames=10)
    for _ in range(2):
        record(SMALL, tmp_path / "a", episodes=2, policies=BOTH, keep=keep, workers=0)
    record(SMALL, tmp_path / "b", episodes=4, policies=BOTH, keep=keep, workers=0)
    first, second = by_seed(tmp_path / "a"), by_seed(tmp_path / "b")
    assert len(first) == 4 and first.keys() == second.keys()
    assert all(same(first[seed], second[seed]) for seed in first)


@pytest.mark.slow
def test_processes_record_the_same_episodes(tmp_path: Path) -> None:
    keep = Keep(max_frames=50)
    stores, orders = [], []
    for workers in (0, 1, 3):
        path = tmp_path / str(workers)
        done = record(SMALL, path, episodes=6, policies=BOTH, keep=keep, workers=workers)
        stores.append(by_seed(path))
        rows = Store.open(path).episodes
        orders.append([row.seed for row in rows])
        assert rows == tuple(read_row(path / "episodes" / row.name) for row in rows)
        assert (done.episodes, done.frames) == (6, sum(row.length for row in rows))
        assert done.mean_return == pytest.approx(np.mean([row.total for row in rows]))
    assert orders[0] == orders[1] == orders[2]
    first, *others = stores
    for other in others:
        assert first.keys() == other.keys()
        assert all(same(first[seed], other[seed]) for seed in first)
    assert not multiprocessing.active_children()


SCRIPT = """
import sys
from worldloom import record
from worldloom.agents.choose import choose
from worldloom.data.record import Keep
keep = Keep(max_frames=5)
print(record("worldloom/Hop-v0", sys.argv[1], episodes=2, policies=choose("random"), keep=keep))
"""


@pytest.mark.slow
def test_a_script_without_a_guard_records(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "s")]
    subprocess.run(command, check=True, capture_output=True)
    assert len(Store.open(tmp_path / "s")) == 2


@pytest.mark.slow
def test_a_recorder_that_is_killed_loses_only_the_episode_that_is_played(tmp_path: Path) -> None:
    path = tmp_path / "s"
    command = ["record", HOP, str(path), "--episodes", "5000", "--size", "32"]
    recorder = subprocess.Popen([sys.executable, "-m", "worldloom", *command])
    deadline = time.monotonic() + 60
    while len(list(path.glob("episodes/[0-9]*"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    recorder.kill()
    recorder.wait()
    stored = -1
    while stored < len(list(path.glob("episodes/[0-9]*"))) and time.monotonic() < deadline:
        stored = len(list(path.glob("episodes/[0-9]*")))  # what was handed over is still stored
        time.sleep(0.5)
    assert stored >= 4
    assert not [problem for problem in check_store(path) if not problem.leftover]
    rows = Store.open(path).episodes
    assert [int(row.name.split("-")[0]) for row in rows] == list(range(stored))
    record(SMALL, path, episodes=1, policies=choose("random"), keep=Keep(max_frames=5), workers=0)
    assert len(Store.open(path)) == stored + 1


class Broken(gymnasium.Env):
    """Gives a reward that is not a number at its fourth frame."""

    observation_space = gymnasium.spaces.Box(0, 255, (32, 32, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count = 0
        return np.zeros((32, 32, 3), np.uint8), {}

    def step(self, action: Any) -> Any:
        self.count += 1
        reward = float("nan") if self.count == 3 else 0.0
        return np.zeros((32, 32, 3), np.uint8), reward, False, False, {}


@pytest.fixture
def broken() -> Any:
    gymnasium.register("NanReward-v0", entry_point=Broken)
    yield "NanReward-v0"
    del gymnasium.registry["NanReward-v0"]


def test_a_reward_that_is_not_a_number_is_one_sentence(broken: str) -> None:
    env = PixelEnv(broken)
    policy = choose("random")[0](env)
    with pytest.raises(
        WorldloomError, match="`NanReward-v0` gave reward nan at frame 3 of episode 7"
    ):
        play_episode(env, policy, Take(7, 1, 2), name="random")


class Wide(gymnasium.Env):
    """Larger than what is always lossless; what it tells changes from frame to frame."""

    observation_space = gymnasium.spaces.Box(0, 255, (144, 160, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count, self.pair = 0, np.zeros(2, int)
        return self.picture(), {"at first": 1, **self.truth()}

    def step(self, action: Any) -> Any:
        self.count += 1
        extra = {"later": 1.0} if self.count > 2 else {}
        return self.picture(), 1.0, False, False, {**extra, **self.truth()}

    def picture(self) -> np.ndarray:
        y, x = np.mgrid[0:144, 0:160]
        wave = 90 + 60 * np.sin((x + y + 3 * self.count) / 30)
        return np.repeat(wave[..., None], 3, -1).astype(np.uint8)

    def truth(self) -> dict[str, Any]:
        count = self.count
        self.pair[:] = count, -count  # the same array every time
        pair = self.pair if count < 5 else self.pair.astype(float)  # of as many bytes
        return {"count": count if count < 2 else count + 0.5, "pair": pair}


@pytest.fixture
def wide() -> Any:
    gymnasium.register("Wide-v0", entry_point=Wide)
    yield "Wide-v0"
    del gymnasium.registry["Wide-v0"]


def frames_of(path: Path) -> np.ndarray:
    store = Store.open(path)
    return store.read(store.episodes[0].name).frames["main"]


def test_the_codec_of_large_frames_is_chosen_and_written_down(wide: str, tmp_path: Path) -> None:
    random = choose("random")
    for codec, said, ending in ((None, "lossless", "mov"), ("h264", "h264", "mp4")):
        path = tmp_path / said
        keep = Keep(max_frames=20, codec=codec)
        record(wide, path, episodes=1, policies=random, keep=keep, workers=0)
        assert json.loads((path / "info.json").read_text())["codec"] == said
        assert len(list(path.glob(f"episodes/*/main.{ending}"))) == 1
    exact, close = frames_of(tmp_path / "lossless"), frames_of(tmp_path / "h264")
    np.testing.assert_array_equal(exact[0], PixelEnv(wide).reset(0).frame)
    assert 0 < np.abs(exact.astype(int) - close).mean() < 2
    size = {p.parent.parent.parent.name: p.stat().st_size for p in tmp_path.glob("*/*/*/main.*")}
    assert size["h264"] < size["lossless"] / 10
    # The store's own goes on where nothing is said, and another is refused.
    more = Keep(max_frames=5)
    record(wide, tmp_path / "h264", episodes=1, policies=random, keep=more, workers=0)
    assert len(list((tmp_path / "h264").glob("episodes/*/main.mp4"))) == 2
    with pytest.raises(WorldloomError, match="keeps large frames as h264, asked for lossless"):
        keep = Keep(max_frames=5, codec="lossless")
        record(wide, tmp_path / "h264", episodes=1, policies=random, keep=keep, workers=0)


def test_the_codec_has_an_option(wide: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    options = ["--episodes", "1", "--max-frames", "3", "--codec", "h264"]
    assert main(["record", wide, str(path), *options]) == 0
    assert Store.open(path).info.codec == "h264"


def test_truth_that_every_frame_has_is_kept_in_full(wide: str) -> None:
    env = PixelEnv(wide)
    policy = choose("random")[0](env)
    for most in (1, 2, 3, 6):  # at the reset only; as at first; wider; a new name and dtype
        info = play_episode(env, policy, Take(0, 1, 2, most), name="random").info
        assert sorted(info) == (["at first", "count", "pair"] if most == 1 else ["count", "pair"])
        assert info["count"].tolist() == [0, 1, 2.5, 3.5, 4.5, 5.5][:most]
        assert info["pair"].tolist() == [[t, -t] for t in range(most)]


def test_a_player_may_use_its_array_again(wide: str) -> None:
    class Counts:
        def __init__(self) -> None:
            self.value = np.zeros((), np.int64)

        def reset(self) -> None: ...

        def __call__(self, *seen: Any) -> Any:
            self.value[...] = (self.value + 1) % 2
            return {"action": self.value}

    episode = play_episode(PixelEnv(wide), Counts(), Take(0, 1, 2, 6), name="counts")
    assert episode.actions["action"].tolist() == [0, 1, 0, 1, 0, 1]


def test_a_player_may_say_the_same_in_several_forms(wide: str) -> None:
    forms = [1, np.array(1, np.uint8), np.int64(0), np.array(0), True]

    class Changes:
        def reset(self) -> None:
            self.forms = iter(forms)

        def __call__(self, *seen: Any) -> Any:
            return {"aside": 3, "action": next(self.forms)}

    episode = play_episode(PixelEnv(wide), Changes(), Take(0, 1, 2, 6), name="changes")
    assert {k: v.tolist() for k, v in episode.actions.items()} == {"action": [0, 1, 1, 0, 0, 1]}


class Presses:
    """Makes itself a policy, and presses Ctrl-C in its third episode."""

    name = "presses"

    def __init__(self) -> None:
        self.games = 0

    def __call__(self, *seen: Any) -> Any:
        if len(seen) == 1:  # as a maker: given the stage
            return self
        if self.games == 3:
            raise KeyboardInterrupt
        return {"keys": np.zeros(3, np.uint8)}

    def reset(self) -> None:
        self.games += 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_ctrl_c_keeps_what_was_finished(tmp_path: Path, workers: int) -> None:
    policies, keep = [Presses()], Keep(max_frames=9)
    path = tmp_path / "s"
    with pytest.raises(KeyboardInterrupt, match="holds 2 episodes"):
        record(SMALL, path, episodes=5, policies=policies, keep=keep, workers=workers)
    assert len(Store.open(path)) == 2
    assert not multiprocessing.active_children()


def test_policies_by_name() -> None:
    with pytest.raises(WorldloomError, match="no policy `genius`"):
        choose("genius")[0](PixelEnv(SMALL))
    with pytest.raises(WorldloomError, match="no policy `runs/genius`"):
        choose("runs/genius")
    with pytest.raises(WorldloomError, match="is not a policy"):
        choose(".")
    env = PixelEnv(SMALL)
    env.players = {}
    with pytest.raises(WorldloomError, match="no scripted player"):
        choose("scripted")[0](env)


def test_another_size_or_share_is_refused(tmp_path: Path) -> None:
    keep = Keep(max_frames=5)
    record(SMALL, tmp_path / "s", episodes=1, policies=BOTH, keep=keep, workers=0)
    with pytest.raises(WorldloomError, match="cameras"):
        record(HOP, tmp_path / "s", episodes=1, policies=BOTH, keep=keep, workers=0)
    with pytest.raises(WorldloomError, match=r"holds out 0.1 .* asked for 0.5"):
        again = Keep(max_frames=5, heldout=0.5)
        record(SMALL, tmp_path / "s", episodes=1, policies=BOTH, keep=again, workers=0)
