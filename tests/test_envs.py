"""Any gymnasium environment as a world: names, spaces, snapshots, handles, processes."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from worldloom.actions import Action, ActionSpec
from worldloom.data.types import Clip
from worldloom.envs import HOP
from worldloom.envs.check import check_env
from worldloom.envs.gym import GymWorld
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv, Snapshot, find_picture, resize
from worldloom.envs.spaces import action_spec, to_native
from worldloom.errors import WorldloomError

FRAME = spaces.Box(0, 255, (32, 32, 3), np.uint8)


class Toy(gymnasium.Env):
    """Counts its steps in the brightness of its picture; ends after `length` steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 12}  # noqa: RUF012

    def __init__(self, actions: Any = None, length: int = 5, noisy: bool = False) -> None:
        self.action_space = actions or spaces.Discrete(3)
        self.observation_space = FRAME
        self.length, self.noisy, self.count = length, noisy, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count = 0
        return self._look(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        self.count += 1
        return self._look(), 1.0, self.count == self.length, False, {}

    def _look(self) -> np.ndarray:
        light = 10 * self.count + (np.random.randint(9) if self.noisy else 0)
        return np.full((32, 32, 3), light, np.uint8)


@pytest.fixture
def toy() -> Any:
    gymnasium.register("Toy-v0", entry_point=Toy)
    yield "Toy-v0"
    del gymnasium.registry["Toy-v0"]


def act(spec: ActionSpec, rows: int, seed: int = 0) -> Action:
    rng = np.random.default_rng(seed)
    drawn = [spec.sample(rng) for _ in range(rows)]
    values = {name: torch.from_numpy(np.stack([d[name] for d in drawn])) for name in drawn[0]}
    return Action(values, torch.ones(rows, dtype=torch.bool))


def start(world: GymWorld, *seeds: int) -> Any:
    return world.start(Clip(env_seeds=torch.tensor(seeds)), torch.zeros(len(seeds)))[0]


@pytest.mark.parametrize(
    ("space", "described"),
    [
        (spaces.Discrete(4, start=2), "action[4]"),
        (spaces.MultiBinary(2), "keys[key 0 key 1]"),
        (spaces.MultiDiscrete([2, 5]), "action/0[2] + action/1[5]"),
        (spaces.Box(-1, 2, (2, 3), np.float32), "action[6 continuous]"),
        (
            spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Dict({"c": spaces.MultiBinary(1)})}),
            "a[2] + b/c[key 0]",
        ),
    ],
)
def test_spaces_become_components_and_back(space: spaces.Space, described: str) -> None:
    spec = action_spec(Toy(space))
    assert spec.describe() == described
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert space.contains(to_native(space)(spec.sample(rng)))
    assert space.contains(to_native(space)(spec.null()))


def test_actions_without_bounds_are_refused() -> None:
    with pytest.raises(WorldloomError, match="no bounds"):
        action_spec(Toy(spaces.Box(-np.inf, np.inf, (2,), np.float32)))
    with pytest.raises(WorldloomError, match="which worlds do not know"):
        action_spec(Toy(spaces.Text(5)))


def test_pictures_are_told_from_symbols() -> None:
    symbols = spaces.Box(0, 255, (7, 7, 3), np.uint8)
    assert find_picture(FRAME) == ()
    assert find_picture(symbols) is None
    assert find_picture(spaces.Dict({"x": symbols, "y": spaces.Dict({"z": FRAME})})) == ("y", "z")
    assert find_picture(spaces.Box(0, 1, (32, 32, 3), np.float32)) is None


def test_resize_averages_areas() -> None:
    frame = np.zeros((4, 6, 3), np.uint8)
    frame[:2, :3] = 100
    frame[0, 0] = 200
    small = resize(frame, (2, 2))
    assert small.shape == (2, 2, 3) and small[1, 1, 0] == 0
    assert abs(int(small[0, 0, 0]) - 117) <= 1
    assert resize(frame, (4, 6)) is frame


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "worldloom/Hop-v7",
            "no environment `worldloom/Hop-v7`",
            "did you mean `worldloom/Hop-v0`",
        ),
        ("hop", "no environment `hop`", "`worldloom/Hop-v0`"),
        ("qqqqqqqq", "no environment `qqqqqqqq`", "worldloom ls envs"),
        ("no_such_module:Game-v0", "module `no_such_module`", "spelling"),
    ],
)
def test_an_unknown_name_is_one_sentence(name: str, message: str, hint: str) -> None:
    with pytest.raises(WorldloomError, match=message) as caught:
        PixelEnv(name)
    assert hint in caught.value.hint


def test_a_missing_package_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "crafter", None)
    with pytest.raises(WorldloomError) as caught:
        PixelEnv("CrafterReward-v1")
    assert caught.value.hint == "pip install 'worldloom[crafter]'"


def test_an_unknown_argument_is_one_sentence() -> None:
    with pytest.raises(WorldloomError, match="takes no argument `colour`"):
        PixelEnv(Setup(HOP, kwargs={"colour": 1}))


def test_a_setup_survives_a_store() -> None:
    setup = Setup(HOP, size=(32, 32), repeat=2, kwargs={"a": 1})
    assert Setup.from_json(HOP, setup.to_json()) == setup


def test_hop_conforms() -> None:
    assert check_env(HOP) == []
    assert check_env(Setup(HOP, size=(32, 32), repeat=3)) == []


def test_the_kit_finds_what_is_wrong(toy: str) -> None:
    assert check_env(toy) == []
    assert "differ in the frame" in check_env(Setup(toy, kwargs={"noisy": True}))[0]


def test_actions_are_repeated_until_the_end(toy: str) -> None:
    env = PixelEnv(Setup(toy, repeat=3))
    env.reset(0)
    action = env.action.null()
    first, second = env.step(action), env.step(action)
    assert (first.reward, first.terminated) == (3.0, False)
    assert (second.reward, second.terminated) == (2.0, True)
    assert env.fps == 4


def test_a_step_is_a_pure_function_and_branches_are_independent() -> None:
    world = GymWorld(HOP, size=32)
    state = start(world, 1, 2, 3)
    for k in range(10):
        state, _ = world.step(state, act(world.spec.action, 3, k))
    action, other = act(world.spec.action, 3, 50), act(world.spec.action, 3, 51)
    once, _ = world.step(state, action)
    world.step(state, other)
    again, _ = world.step(state, action)
    assert torch.equal(world.render(once), world.render(again))
    assert world.snapshot(once) == world.snapshot(again)
    picked, _ = world.step(state[[2, 2, 0]], action[torch.tensor([2, 2, 0])])
    assert torch.equal(world.render(picked), world.render(once)[[2, 2, 0]])
    stacked = type(state).stack([state[0:1], state[torch.tensor([2])]])
    assert torch.equal(world.render(stacked), world.render(state)[[0, 2]])


def test_a_snapshot_starts_where_it_was_taken() -> None:
    world = GymWorld(HOP)
    state = start(world, 4)
    for k in range(5):
        state, _ = world.step(state, act(world.spec.action, 1, k))
    elsewhere = GymWorld(HOP)
    again, step = elsewhere.start(Clip(snapshots=world.snapshot(state)), torch.zeros(1))
    assert torch.equal(world.render(state), elsewhere.render(again))
    assert step.reward is not None and step.reward.tolist() == [0]
    a, _ = world.step(state, act(world.spec.action, 1, 9))
    b, _ = elsewhere.step(again, act(world.spec.action, 1, 9))
    assert world.snapshot(a) == elsewhere.snapshot(b)


def test_foreign_bytes_are_refused() -> None:
    with pytest.raises(WorldloomError, match="not a snapshot"):
        Snapshot.unpack(b"something else")


def test_an_ended_row_stays_ended(toy: str) -> None:
    world = GymWorld(toy, length=2)
    state = start(world, 0, 1)
    rewards, ends = [], []
    for k in range(4):
        state, step = world.step(state, act(world.spec.action, 2, k))
        assert step.reward is not None and step.terminated is not None
        rewards.append(step.reward.tolist())
        ends.append(step.terminated.tolist())
    assert rewards == [[1, 1], [1, 1], [0, 0], [0, 0]]
    assert ends == [[False, False], [True, True], [True, True], [True, True]]
    assert world.render(state).unique().tolist() == [20]


def test_an_unknown_action_is_the_null_action() -> None:
    world = GymWorld(HOP)
    state = start(world, 0)
    jump = Action({"keys": torch.tensor([[0, 0, 1]], dtype=torch.uint8)}, torch.tensor([True]))
    null = Action({"keys": torch.zeros(1, 3, dtype=torch.uint8)}, torch.tensor([True]))
    hidden, _ = world.step(state, jump.unknown())
    still, _ = world.step(state, null)
    risen, _ = world.step(state, jump)
    assert world.snapshot(hidden) == world.snapshot(still) != world.snapshot(risen)


def test_actions_outside_the_spec_are_one_sentence() -> None:
    world = GymWorld(HOP)
    state = start(world, 0)
    bad = Action({"keys": torch.full((1, 3), 7, dtype=torch.uint8)}, torch.tensor([True]))
    with pytest.raises(WorldloomError, match="outside its bounds"):
        world.step(state, bad)
    with pytest.raises(WorldloomError, match="for 1 rows"):
        world.step(state, act(world.spec.action, 2))


def test_handles_only_go_forward(toy: str) -> None:
    world = GymWorld(toy)
    assert "fork" not in world.spec.capabilities and world.spec.starts == {"seed"}
    old = start(world, 0, 1)
    state, _ = world.step(old, act(world.spec.action, 2))
    with pytest.raises(WorldloomError, match="has moved on"):
        world.step(old, act(world.spec.action, 2))
    with pytest.raises(WorldloomError, match="cannot be repeated"):
        state[[0, 0]]
    one, _ = world.step(state[[1]], act(world.spec.action, 1))
    assert world.render(one).unique().tolist() == [20]
    world.release(one)
    with pytest.raises(WorldloomError, match="was released"):
        world.step(one, act(world.spec.action, 1))
    fresh = start(world, 5)
    assert world.render(fresh).unique().tolist() == [0]
    rest, _ = world.step(state[[0]], act(world.spec.action, 1))
    assert world.render(rest).unique().tolist() == [20]


@pytest.mark.slow
def test_processes_give_the_same_as_one() -> None:
    alone, shared = GymWorld(HOP, size=32), GymWorld(HOP, size=32, workers=2)
    try:
        a, b = start(alone, 1, 2, 3), start(shared, 1, 2, 3)
        for k in range(12):
            a, x = alone.step(a, act(alone.spec.action, 3, k))
            b, y = shared.step(b, act(alone.spec.action, 3, k))
            assert torch.equal(alone.render(a), shared.render(b))
            assert x.reward is not None and torch.equal(x.reward, y.reward)
        assert alone.snapshot(a) == shared.snapshot(b)
    finally:
        shared.close()


@pytest.mark.slow
@pytest.mark.parametrize("game", ["ALE/Pong-v5", "ALE/Breakout-v5"])
def test_atari_conforms_with_exact_snapshots(game: str) -> None:
    pytest.importorskip("ale_py")
    assert not PixelEnv(Setup(game)).exact  # it repeats actions by chance, by default
    setup = Setup(game, size=(64, 64), kwargs={"repeat_action_probability": 0.0})
    env = PixelEnv(setup)
    assert env.exact and env.shape == (64, 64) and env.fps == 15
    labels = env.action.components[0].labels
    assert labels[:2] == ("NOOP", "FIRE") and env.action.components[0].null == 0
    env.close()
    assert check_env(setup, steps=80) == []


@pytest.mark.slow
def test_crafter_conforms() -> None:
    pytest.importorskip("crafter")
    assert check_env("CrafterReward-v1", steps=40) == []
    env = PixelEnv("CrafterReward-v1")
    assert env.action.components[0].labels[5] == "do"
    first, again, other = (env.reset(seed).frame.copy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert env.reset(1).info["inventory/health"] == 9


@pytest.mark.slow
def test_minigrid_conforms() -> None:
    pytest.importorskip("minigrid")
    setup = Setup("MiniGrid-DoorKey-5x5-v0", size=(64, 64))
    assert check_env(setup, steps=30) == []
    component = PixelEnv(setup).action.components[0]
    assert component.labels[component.null] == "done"
