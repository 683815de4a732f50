"""Recording: exact, the same with any number of workers, and nothing is lost."""

import multiprocessing
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from worldloom.agents.choose import choose
from worldloom.data.record import Limits, record
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


def test_what_is_stored_is_what_happened(tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []
    limits = Limits(max_frames=60, snapshot_every=20)
    done = record(
        SMALL,
        tmp_path / "s",
        episodes=3,
        policies=BOTH,
        limits=limits,
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
    limits = Limits(max_frames=10)
    for _ in range(2):
        record(SMALL, tmp_path / "a", episodes=2, policies=BOTH, limits=limits, workers=0)
    record(SMALL, tmp_path / "b", episodes=4, policies=BOTH, limits=limits, workers=0)
    first, second = by_seed(tmp_path / "a"), by_seed(tmp_path / "b")
    assert len(first) == 4 and first.keys() == second.keys()
    assert all(same(first[seed], second[seed]) for seed in first)


@pytest.mark.slow
def test_processes_record_the_same_episodes(tmp_path: Path) -> None:
    limits = Limits(max_frames=50)
    stores, orders = [], []
    for workers in (0, 1, 3):
        path = tmp_path / str(workers)
        record(SMALL, path, episodes=6, policies=BOTH, limits=limits, workers=workers)
        stores.append(by_seed(path))
        orders.append([row.seed for row in Store.open(path).episodes])
    assert orders[0] == orders[1] == orders[2]
    first, *others = stores
    for other in others:
        assert first.keys() == other.keys()
        assert all(same(first[seed], other[seed]) for seed in first)
    assert not multiprocessing.active_children()


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
    policies, limits = [Presses()], Limits(max_frames=9)
    path = tmp_path / "s"
    with pytest.raises(KeyboardInterrupt, match="holds 2 episodes"):
        record(SMALL, path, episodes=5, policies=policies, limits=limits, workers=workers)
    assert len(Store.open(path)) == 2
    assert not multiprocessing.active_children()


def test_policies_by_name() -> None:
    with pytest.raises(WorldloomError, match="no policy `genius`"):
        choose("genius")
    with pytest.raises(WorldloomError, match="is not a policy"):
        choose(".")
    env = PixelEnv(SMALL)
    env.players = {}
    with pytest.raises(WorldloomError, match="no scripted player"):
        choose("scripted")[0](env)


def test_another_size_or_share_is_refused(tmp_path: Path) -> None:
    limits = Limits(max_frames=5)
    record(SMALL, tmp_path / "s", episodes=1, policies=BOTH, limits=limits, workers=0)
    with pytest.raises(WorldloomError, match="cameras"):
        record(HOP, tmp_path / "s", episodes=1, policies=BOTH, limits=limits, workers=0)
    with pytest.raises(WorldloomError, match=r"holds out 0.1 .* asked for 0.5"):
        record(
            SMALL, tmp_path / "s", episodes=1, policies=BOTH, limits=limits, workers=0, heldout=0.5
        )
