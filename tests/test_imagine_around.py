"""Around an imagined world: action spaces, starts, one row alone, those who train in it."""

import re
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv
from imagine_worlds import PRESS, ColourWorld, LivesWorld, in_turn
from test_docs import load
from test_dream import make_clip

from worldloom import Imagined, ImaginedOne
from worldloom.actions import ActionSpec, Binary, Categorical, Continuous
from worldloom.data.starts import join
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Clip, Episode
from worldloom.envs.native import action_space, from_native
from worldloom.errors import WorldloomError
from worldloom.imagine import recorded, to_sb3

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

SPACES = [
    (ActionSpec((Categorical("a", 4),)), gymnasium.spaces.Discrete(4)),
    (ActionSpec((Binary("keys", ("l", "r")),)), gymnasium.spaces.MultiBinary(2)),
    (
        ActionSpec((Continuous("turn", (-1.0, 0.0), (1.0, 2.0)),)),
        gymnasium.spaces.Box(np.float32([-1, 0]), np.float32([1, 2])),
    ),
    (
        ActionSpec((Categorical("a/0", 4), Categorical("a/1", 2))),
        gymnasium.spaces.MultiDiscrete([4, 2]),
    ),
    (
        ActionSpec((Binary("keys", ("l", "r")), Continuous("turn", (-1.0,), (1.0,)))),
        gymnasium.spaces.Dict(
            keys=gymnasium.spaces.MultiBinary(2), turn=gymnasium.spaces.Box(-1, 1, (1,))
        ),
    ),
    (ActionSpec((Categorical("a", 4),), 3), gymnasium.spaces.MultiDiscrete([4, 4, 4])),
    (ActionSpec((Binary("keys", ("l", "r")),), 3), gymnasium.spaces.MultiBinary([3, 2])),
    (
        ActionSpec((Continuous("turn", (-1.0,), (1.0,)),), 3),
        gymnasium.spaces.Box(-1, 1, (3, 1)),
    ),
    (
        ActionSpec((Categorical("a", 4), Categorical("b", 2)), 3),
        gymnasium.spaces.Dict(
            a=gymnasium.spaces.MultiDiscrete([4] * 3), b=gymnasium.spaces.MultiDiscrete([2] * 3)
        ),
    ),
]


@pytest.mark.parametrize(("spec", "space"), SPACES, ids=lambda x: getattr(x, "describe", str)())
def test_actions_go_there_and_back(spec: ActionSpec, space: gymnasium.Space) -> None:
    assert action_space(spec) == space
    many = gymnasium.vector.utils.batch_space(space, 5)
    many.seed(0)
    drawn = many.sample()
    values = from_native(spec, drawn, 5)
    assert {name: v.shape for name, v in values.items()} == {
        c.name: (5, *spec.shape(c)) for c in spec.components
    }
    assert {name: v.dtype for name, v in values.items()} == {
        c.name: np.dtype(c.dtype) for c in spec.components
    }
    flat = np.concatenate([np.asarray(v, float).reshape(5, -1) for v in values.values()], 1)
    parts = drawn.values() if isinstance(drawn, dict) else [drawn]
    native = np.concatenate([np.asarray(v, float).reshape(5, -1) for v in parts], 1)
    assert np.array_equal(flat, native)


@pytest.mark.parametrize(
    ("spec", "actions", "message"),
    [
        (PRESS, [0, 3], "outside its bounds"),
        (PRESS, [0, -1], "outside its bounds"),
        (PRESS, [0.5, 1], "no int64"),
        (PRESS, [0, 1, 2], r"shape \(3,\), expected \(2,\)"),
        (SPACES[1][0], [[0, -1], [0, 1]], "no uint8"),
        (SPACES[1][0], [[0, 257], [0, 1]], "no uint8"),
        (SPACES[2][0], [[0, 3], [0, 1]], "outside its bounds"),
        (SPACES[3][0], [0, 1], r"expected \(2, 2\)"),
        (SPACES[4][0], [0, 1], "expected a dict"),
        (SPACES[4][0], {"keys": [[0, 1]] * 2}, "expected .'keys', 'turn'"),
    ],
)
def test_what_is_no_action_is_said(spec: ActionSpec, actions, message: str) -> None:
    with pytest.raises(WorldloomError, match=message):
        from_native(spec, actions, 2)


def make_one(render_mode: str = "rgb_array") -> ImaginedOne:
    one = ImaginedOne(Imagined(LivesWorld(doubt=lambda age: age / 300), rows=1, length=9))
    assert one.render_mode == render_mode
    return one


def test_one_row_passes_gymnasium_s_own_check() -> None:
    gymnasium.register("Lives-v0", make_one)
    try:
        check_env(gymnasium.make("Lives-v0").unwrapped)
    finally:
        del gymnasium.registry["Lives-v0"]


def test_one_row_begins_anew_by_reset_alone() -> None:
    one = ImaginedOne(Imagined(LivesWorld(doubt=lambda age: age / 10), in_turn(1, 2), rows=1))
    with pytest.raises(WorldloomError, match="ended or never began"):
        one.step(0)
    one.reset()
    frame, reward, terminated, truncated, info = one.step(2)
    assert (frame.shape, reward, terminated, truncated) == ((4, 4, 3), 1.0, True, False)
    assert info == {"doubt": pytest.approx(0.1)}
    with pytest.raises(WorldloomError, match="ended or never began"):
        one.step(0)
    assert one.reset()[0][0, 0].tolist()[:2] == [0, 2] and one.step(0)[2] is False


def test_one_row_of_several_components() -> None:
    class Still(LivesWorld):
        def __init__(self) -> None:
            super().__init__()
            self.spec = replace(self.spec, action=SPACES[4][0])

    one = ImaginedOne(Imagined(Still(), in_turn(5), rows=1))
    one.reset()
    one.step({"keys": np.array([0, 1], np.int8), "turn": np.float32([0.5])})
    told = one.envs.world.told[0].values
    assert told["keys"].tolist() == [[0, 1]] and told["turn"].tolist() == [[0.5]]


def make_store(path: Path, lengths=(5, 9)) -> Store:
    """Episodes whose pixels count: 100 times the episode, plus the frame."""
    info = StoreInfo(action=PRESS, cameras={"main": (8, 8)}, fps=10, heldout=0.0)
    store = Store.create(path, info)
    for episode, length in enumerate(lengths):
        frames = (100 * episode + np.arange(length, dtype=np.uint8))[:, None, None, None]
        press = np.arange(length) % 3
        store.append(
            Episode(
                np.broadcast_to(frames, (length, 8, 8, 3)).copy(), {"press": press}, seed=episode
            )
        )
    return store


def test_recordings_give_every_stretch_but_the_last_frame(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    start = recorded(store, context=4)
    seen = {}
    for number in range(200):
        clip = start(number)
        shown = clip.frames["main"][0, :, 0, 0, 0].tolist()
        assert clip.frames["main"].shape == (1, 4, 8, 8, 3)
        assert shown == list(range(shown[0], shown[0] + 4))
        assert clip.actions.values["press"][0].tolist() == [s % 100 % 3 for s in shown]
        assert clip.actions.known[0].tolist() == [s % 100 > 0 for s in shown]
        seen[shown[0]] = seen.get(shown[0], 0) + 1
    assert sorted(seen) == [0, 100, 101, 102, 103, 104]
    assert min(seen.values()) > 15, "each stretch is as likely"
    assert np.array_equal(start(11).frames["main"], start(11).frames["main"])
    with pytest.raises(WorldloomError, match="no `train` episode of more than 9 frames"):
        recorded(store, context=9)


def test_starts_join_into_a_batch() -> None:
    clips = [make_clip(rows=1, seed=seed) for seed in range(3)]
    whole = join(clips)
    assert whole.frames["main"].shape == (3, 6, 16, 16, 3)
    assert torch.equal(whole.actions.values["keys"][1:2], clips[1].actions.values["keys"])
    assert whole.actions.known.shape == (3, 6) and whole.env_seeds is None
    assert join([Clip(snapshots=(b"a",)), Clip(snapshots=(b"b",))]).snapshots == (b"a", b"b")
    with pytest.raises(WorldloomError, match="different shapes"):
        join([make_clip(rows=1), make_clip(rows=1, length=5)])
    with pytest.raises(WorldloomError, match="different kinds"):
        join([make_clip(rows=1), Clip(env_seeds=torch.tensor([1]))])


def test_stable_baselines_meets_the_same_episodes_as_in_its_own_batch() -> None:
    """Its own `DummyVecEnv` is the judge."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    make = [lambda: gymnasium.make("CartPole-v1", max_episode_steps=12)] * 3
    ours, theirs = to_sb3(SyncVectorEnv(make)), DummyVecEnv(make)
    for envs in (ours, theirs):
        envs.seed(3)
    assert np.array_equal(ours.reset(), theirs.reset())
    rng, cut = np.random.default_rng(0), 0
    for _ in range(80):
        actions = rng.integers(0, 2, 3)
        one, two = ours.step(actions), theirs.step(actions)
        assert all(np.array_equal(a, b) for a, b in zip(one[:3], two[:3], strict=True))
        for a, b in zip(one[3], two[3], strict=True):
            cut += a["TimeLimit.truncated"]
            assert a["TimeLimit.truncated"] == b["TimeLimit.truncated"]
            assert ("terminal_observation" in a) == ("terminal_observation" in b)
            if "terminal_observation" in a:
                assert np.array_equal(a["terminal_observation"], b["terminal_observation"])
    assert cut, "somebody was truncated"
    with pytest.raises(WorldloomError, match="one batch"):
        ours.env_method("reset")


@pytest.mark.slow
def test_the_page_s_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load(EXAMPLES / "own_loop.py").main("stores/ball", episodes=4)
    load(EXAMPLES / "train_tiny.py").main("stores/ball", "runs/ball", 2)
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs/imagine.md").read_text(), re.S | re.M
    )
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2 and names["frames"].shape == (8, 32, 32, 3)
    assert names["frame"].shape == (64, 64, 3) and names["many"].num_envs == 8


@pytest.mark.slow
def test_somebody_else_s_ppo_learns_inside() -> None:
    """By chance a third of 16 presses is right; the colour says which one pays."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecMonitor

    envs = VecMonitor(to_sb3(Imagined(ColourWorld(), rows=8, length=16)))
    agent = PPO(
        "MlpPolicy", envs, n_steps=32, batch_size=64, learning_rate=2e-3, seed=0, device="cpu"
    )
    agent.learn(512)
    early = np.mean([episode["r"] for episode in agent.ep_info_buffer])
    agent.learn(6144)
    late = np.mean([episode["r"] for episode in list(agent.ep_info_buffer)[-32:]])
    assert {episode["l"] for episode in agent.ep_info_buffer} == {16}
    assert early < 9 and late > 13, (early, late)
