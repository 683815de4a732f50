"""An imagined world is just an environment: endings, new episodes, seeds, rewards, doubt."""

from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from imagine_worlds import Lives, LivesWorld, in_turn, pressed, run
from test_docs import load
from test_dream import make_clip, make_world

from worldloom import Imagined, ImaginedOne, check_world
from worldloom.data.types import Clip
from worldloom.envs import HOP
from worldloom.envs.gym import GymWorld
from worldloom.errors import WorldloomError
from worldloom.imagine import Caution

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_test_world_keeps_the_contract() -> None:
    done = check_world(LivesWorld(doubt=lambda age: age / 300), Clip(env_seeds=torch.arange(2, 5)))
    assert "players come and go" in done


def test_the_declared_spaces_hold_what_comes() -> None:
    envs = Imagined(LivesWorld(cameras=("left", "right")), in_turn(5, 6), rows=2, camera="right")
    assert envs.single_observation_space == gymnasium.spaces.Box(0, 255, (4, 4, 3), np.uint8)
    assert envs.single_action_space == gymnasium.spaces.Discrete(3)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    frames, infos = envs.reset()
    assert frames in envs.observation_space and frames.dtype == np.uint8 and infos == {}
    frames, reward, terminated, truncated, infos = envs.step(envs.action_space.sample())
    assert frames in envs.observation_space and infos == {}
    assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float64, bool, bool)
    assert reward.shape == terminated.shape == truncated.shape == (2,)
    assert np.array_equal(np.stack(envs.render()), frames)


@pytest.mark.parametrize("rows", [True, False])
def test_the_table_of_endings(rows: bool) -> None:
    """By hand: row 0 terminates after 2, row 1 is truncated at 4, row 2 terminates at 4.

    Then lives 3, 9 and 1 begin, in the order in which rows become free.
    """
    envs = Imagined(LivesWorld(rows=rows), in_turn(2, 9, 4, 3, 9, 1), rows=3, length=4)
    frames, _ = envs.reset()
    assert frames[:, 0, 0, :2].tolist() == [[0, 2], [0, 9], [0, 4]]
    table = [  # ages, lives, rewards, terminated, truncated
        ([1, 1, 1], [2, 9, 4], [1, 1, 1], "...", "..."),
        ([2, 2, 2], [2, 9, 4], [2, 2, 2], "x..", "..."),
        ([0, 3, 3], [3, 9, 4], [0, 3, 3], "...", "..."),
        ([1, 4, 4], [3, 9, 4], [1, 4, 4], "..x", ".x."),
        ([2, 0, 0], [3, 9, 1], [2, 0, 0], "...", "..."),
        ([3, 1, 1], [3, 9, 1], [3, 1, 1], "x.x", "..."),
    ]
    for number, (ages, lives, rewards, ended, cut) in enumerate(table):
        frames, reward, terminated, truncated, _ = envs.step(pressed(1, 2, 0))
        where = f"step {number}"
        assert frames[:, 0, 0, 0].tolist() == ages, where
        assert frames[:, 0, 0, 1].tolist() == lives, where
        assert reward.tolist() == rewards, where
        assert "".join(".x"[int(t)] for t in terminated) == ended, where
        assert "".join(".x"[int(t)] for t in truncated) == cut, where
    told = [action.known.tolist() for action in envs.world.told]
    assert told[2] == [False, True, True] and told[4] == [True, False, False]
    assert envs.world.told[1].values["press"].tolist() == [1, 2, 0] and told[1] == [True] * 3


def test_a_world_that_tells_no_ending_is_cut_at_the_length() -> None:
    world = LivesWorld(silent=("terminated", "truncated"))
    envs = Imagined(world, in_turn(*[200] * 8), rows=2, length=3)
    envs.reset()
    _, _, terminated, truncated = run(envs, 8)
    assert not terminated.any()
    assert truncated[:, 0].tolist() == [False, False, True, False] * 2


@pytest.mark.parametrize("rows", [True, False])
def test_the_same_seed_and_actions_give_the_same_bytes(rows: bool) -> None:
    def lives(number):
        return Clip(env_seeds=torch.tensor([2 + number % 7]))

    def all_of_it(seed, rows=rows):
        envs = Imagined(LivesWorld(rows=rows), lives, rows=3, length=5)
        return [envs.reset(seed=seed)[0], *run(envs, 40)]

    one = all_of_it(7)
    for other in (all_of_it(7), all_of_it(7, rows=not rows)):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0], all_of_it(8)[0])


def test_the_constructor_s_seed_rules_until_reset_gives_another() -> None:
    envs = Imagined(LivesWorld(), rows=4, seed=1)
    first = envs.reset()[0]
    second = envs.reset()[0]
    assert np.array_equal(first, Imagined(LivesWorld(), rows=4, seed=1).reset(seed=1)[0])
    assert not np.array_equal(first, second), "the next episode is another one"
    envs.reset(seed=1)
    assert np.array_equal(second, envs.reset()[0])
    assert len({frame.tobytes() for frame in first}) == 4, "so is every row's"


def test_one_seed_for_each_row_and_none_where_it_goes_on() -> None:
    envs = Imagined(LivesWorld(), rows=3)
    one = envs.reset(seed=[5, 5, 6])[0]
    assert np.array_equal(one[0], one[1]) and not np.array_equal(one[0], one[2])
    two = envs.reset(seed=[5, None, None])[0]
    assert np.array_equal(two[0], one[0]) and not np.array_equal(two[1], one[1])
    with pytest.raises(WorldloomError, match="2 seeds for 3 rows"):
        envs.reset(seed=[1, 2])


def test_every_episode_has_a_number_of_its_own() -> None:
    asked = []

    def start(number):
        asked.append(number)
        return Clip(env_seeds=torch.tensor([1 + number % 3]))

    envs = Imagined(LivesWorld(), start, rows=3)
    envs.reset(seed=0)
    run(envs, 20)
    once = list(asked)
    assert len(set(once)) == len(once) > 12 and 0 <= min(once) <= max(once) < 2**31
    envs.reset(seed=0)
    run(envs, 20)
    assert asked == 2 * once


def test_a_mask_begins_its_rows_at_once_and_no_other() -> None:
    envs = Imagined(LivesWorld(), in_turn(2, 9, 7), rows=2)
    with pytest.raises(WorldloomError, match="have not begun"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    envs.reset()
    run(envs, 2)
    frames, _ = envs.reset(options={"reset_mask": np.array([True, False])})
    assert frames[:, 0, 0, :2].tolist() == [[0, 7], [2, 9]]
    frames, reward, *_ = envs.step(pressed(0, 0))
    assert frames[:, 0, 0, 0].tolist() == [1, 3] and reward.tolist() == [1, 3]
    with pytest.raises(WorldloomError, match="no option"):
        envs.reset(options={"level": 3})
    with pytest.raises(WorldloomError, match=r"int64 \(2,\), expected bool"):
        envs.reset(options={"reset_mask": np.array([1, 0])})


def test_what_was_returned_is_the_caller_s() -> None:
    class Drawn(LivesWorld):
        """Draws into one picture, again and again."""

        def render(self, state: Lives, camera: str = "main") -> torch.Tensor:
            self.picture = getattr(self, "picture", torch.empty(2, 4, 4, 3, dtype=torch.uint8))
            return self.picture.copy_(super().render(state, camera))

    envs = Imagined(Drawn(), in_turn(3, 4), rows=2)
    frames, _ = envs.reset()
    kept = frames.copy()
    run(envs, 2)
    assert np.array_equal(frames, kept)


def test_a_missing_reward_is_said_and_may_be_given() -> None:
    mute = LivesWorld(silent=("reward",))
    envs = Imagined(mute, in_turn(3, 3), rows=2)
    envs.reset()
    with pytest.raises(WorldloomError, match="`lives` gives no reward") as caught:
        envs.step(pressed(0, 0))
    assert "give `reward`" in caught.value.hint

    def brightness(frames, action):
        return frames[..., 0].mean((1, 2)) + 10 * action.values["press"].numpy()

    envs = Imagined(mute, in_turn(2, 9, 9), rows=2, reward=brightness)
    envs.reset()
    assert envs.step(pressed(0, 1))[1].tolist() == [1, 11]
    assert envs.step(pressed(2, 0))[1].tolist() == [22, 2]
    assert envs.step(pressed(2, 0))[1].tolist() == [0, 3], "a new first frame earns nothing"
    for bad in (lambda frames, action: 1.0, lambda frames, action: [1.0, float("nan")]):
        envs = Imagined(mute, in_turn(2, 9), rows=2, reward=bad)
        envs.reset()
        with pytest.raises(WorldloomError, match="no 2 finite numbers"):
            envs.step(pressed(0, 0))


def test_doubt_costs_and_ends() -> None:
    world = LivesWorld(doubt=lambda age: age / 10)
    caution = Caution(limit=0.25, price=5.0)
    envs = Imagined(world, in_turn(9, 3, 9, 9), rows=2, caution=caution)
    envs.reset()
    _, reward, _, truncated, infos = envs.step(pressed(0, 0))
    assert reward == pytest.approx([0.5, 0.5]) and infos["doubt"] == pytest.approx([0.1, 0.1])
    envs.step(pressed(0, 0))
    _, reward, terminated, truncated, _ = envs.step(pressed(0, 0))
    assert reward == pytest.approx([1.5, 1.5])
    assert terminated.tolist() == [False, True], "what the world terminates is no truncation"
    assert truncated.tolist() == [True, False]
    frames, reward, _, truncated, infos = envs.step(pressed(0, 0))
    assert frames[:, 0, 0, 0].tolist() == [0, 0] and reward.tolist() == [0, 0]
    assert not truncated.any() and infos["_doubt"].tolist() == [False, False]
    assert infos["doubt"].tolist() == [0, 0]


def test_caution_needs_a_world_that_doubts() -> None:
    envs = Imagined(LivesWorld(), in_turn(9), rows=1, caution=Caution(price=1.0))
    envs.reset()
    with pytest.raises(WorldloomError, match="gives no doubt"):
        envs.step(pressed(0))


def test_mistakes_are_one_sentence() -> None:
    blind = LivesWorld()
    blind.spec = replace(blind.spec, capabilities=frozenset())
    with pytest.raises(WorldloomError, match="can `render`"):
        Imagined(blind)
    with pytest.raises(WorldloomError, match="no camera `back`"):
        Imagined(LivesWorld(), camera="back")
    with pytest.raises(WorldloomError, match="0 rows"):
        Imagined(LivesWorld(), rows=0)
    dream = make_world()
    for nothing in (None, []):
        with pytest.raises(WorldloomError, match=r"starts from \['frames', 'latents'\], and no"):
            Imagined(dream, nothing)
    envs = Imagined(LivesWorld(), rows=2)
    with pytest.raises(WorldloomError, match="have not begun"):
        envs.step(pressed(0, 0))
    with pytest.raises(WorldloomError, match="have not begun"):
        envs.render()
    pair = Imagined(LivesWorld(), lambda number: Clip(env_seeds=torch.tensor([1, 2])), rows=2)
    with pytest.raises(WorldloomError, match="2 starts gave 4 rows"):
        pair.reset()
    with pytest.raises(WorldloomError, match="2 rows"):
        ImaginedOne(envs)


def test_hop_as_a_world_is_hop() -> None:
    """Beside gymnasium's own batch of the same environment, at the same environment seeds."""
    world = GymWorld(HOP, size=32)
    seeds = iter(range(100))
    envs = Imagined(world, lambda _: Clip(env_seeds=torch.tensor([next(seeds)])), rows=2)
    plain = SyncVectorEnv([lambda: gymnasium.make(HOP, size=32)] * 2)
    assert envs.single_action_space == plain.single_action_space
    frames, _ = envs.reset()
    assert np.array_equal(frames, plain.reset(seed=[0, 1])[0])
    envs.action_space.seed(0)
    for _ in range(60):
        actions = envs.action_space.sample()
        actions[:, 1] = 1  # to the right, into whatever comes
        ours, theirs = envs.step(actions), plain.step(actions)
        for name, a, b in zip(("frames", "reward", "terminated"), ours, theirs, strict=False):
            assert np.array_equal(a, b), name
        if ours[2].any():
            break
    assert ours[2].any(), "somebody ended"
    frames, reward, terminated, truncated, _ = envs.step(envs.action_space.sample())
    begun = theirs[2]
    assert (reward[begun] == 0).all() and not (terminated | truncated)[begun].any()
    fresh, _ = gymnasium.make(HOP, size=32).reset(seed=2)
    assert np.array_equal(frames[np.flatnonzero(begun)[0]], fresh)
    plain.close()
    world.close()


def test_running_environments_are_given_back() -> None:
    """A world of handles: as many environments as rows, however many episodes."""
    gymnasium.register("Adrift-v0", load(EXAMPLES / "play_own_env.py").Drift)
    try:
        world = GymWorld("Adrift-v0")
        envs = Imagined(world, rows=3, length=4)

        def all_of_it():
            return [envs.reset(seed=5)[0], *run(envs, 14)]

        one = all_of_it()
        assert all(np.array_equal(a, b) for a, b in zip(one, all_of_it(), strict=True))
        assert len(world._clocks) == 3 and world._free == []
        envs.close()
        assert world._clocks == {}
        world.close()
    finally:
        del gymnasium.registry["Adrift-v0"]


def dreamed(clips, rows=3, **settings) -> Imagined:
    def pay(frames, action):
        return frames.mean((1, 2, 3))

    return Imagined(make_world(), clips, rows=rows, reward=pay, **settings)


def test_a_dream_is_an_environment() -> None:
    clips = [make_clip(rows=1, seed=seed) for seed in range(4)]

    def all_of_it(seed):
        envs = dreamed(clips, length=3)
        return [envs.reset(seed=seed)[0], *run(envs, 9)]

    one, two = all_of_it(4), all_of_it(4)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], all_of_it(5)[0])
    assert one[4][:, 0].tolist() == [False, False, True, False] * 2 + [False]
    assert (one[2][3] == 0).all() and (one[2][4] > 0).all()


def test_a_row_that_begins_anew_leaves_its_neighbours_bytes() -> None:
    clips = [make_clip(rows=1, seed=seed) for seed in range(4)]
    quiet, busy = dreamed(clips), dreamed(clips)
    for envs in (quiet, busy):
        envs.reset(seed=2)
    for index in range(6):
        if index % 2:
            busy.reset(options={"reset_mask": np.array([False, True, False])})
        actions = np.random.default_rng(index).integers(0, 2, (3, 3))
        seen, told = quiet.step(actions)[0], busy.step(actions)[0]
        assert np.array_equal(seen[[0, 2]], told[[0, 2]])
        assert (index == 0) == np.array_equal(seen[1], told[1])
