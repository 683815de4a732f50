"""Agents from recordings: what their heads learn, resuming, and acting after a reload."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_agent import SHAPE
from worlds import tiny_dynamics

from worldloom.acting import play_checkpoint
from worldloom.actions import ActionSpec, Categorical
from worldloom.configs import Batches, Size, nano
from worldloom.data.cache import ClipCache
from worldloom.data.info import StoreInfo
from worldloom.data.store import Store
from worldloom.data.types import Clip, Episode
from worldloom.envs import HOP
from worldloom.envs.make import Setup
from worldloom.errors import WorldloomError
from worldloom.hub import TrainedMaker, load_agent, load_policy, load_team
from worldloom.models.agent import Agent
from worldloom.models.dream import Sampler
from worldloom.train.agent import train_agent
from worldloom.train.cloning import AgentObjective, ahead
from worldloom.train.dream import Actor, DreamObjective, Rollout, dream, train_dream
from worldloom.train.dynamics import train_dynamics
from worldloom.train.imagination import Dreaming
from worldloom.train.lessons import Lessons
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options
from worldloom.train.tokenizer import train_tokenizer

SPEC = ActionSpec((Categorical("action", 3),))


def test_multi_token_targets_look_ahead_and_stop_at_the_window():
    values = torch.arange(5)[None]
    found, inside = ahead(values, 1, 5, 3)
    assert found[0, 0].tolist() == [1, 2, 3] and found[0, 1].tolist() == [2, 3, 4]
    assert inside.tolist() == [
        [True] * 3,
        [True] * 3,
        [True, True, False],
        [True, False, False],
        [False] * 3,
    ]
    now, inside = ahead(values, 0, 4, 2)
    assert now[0].tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]] and inside.all()


def colour_store(path, episodes=12, length=24, reward=True, seed=0):
    """The frame shows the colour of the last action, and action 1 pays.

    The players choose it in two of five cases, each other one in three of ten.
    """
    info = StoreInfo(action=SPEC, cameras={"main": (16, 16)}, fps=10.0)
    store = Store.create(path, info)
    rng = np.random.default_rng(seed)
    for number in range(episodes):
        action = rng.choice(3, length, p=(0.3, 0.4, 0.3))
        frames = np.zeros((length, 16, 16, 3), np.uint8)
        frames[np.arange(length), :, :, action] = 200
        paid = (action == 1).astype(np.float32)
        paid[0] = 0
        store.append(
            Episode(
                frames=frames,
                actions={"action": action},
                reward=paid if reward else None,
                terminated=number % 2 == 0,
                truncated=number % 2 == 1,
                seed=number,
            )
        )
    return store


def small(steps=6) -> Size:
    base = nano((16, 16))
    return replace(
        base,
        dynamics=replace(base.dynamics, width=32, hidden=48, heads=2, kv_heads=2, window=6),
        schedule=replace(base.schedule, steps=steps, warmup=2),
        batches=Batches(rows=4, short=6, long=12),
    )


def lessons(steps=6, rows=4, **changes) -> Lessons:
    return Lessons(
        Schedule(steps=steps, rate=3e-3, warmup=2, ema=0.9, muon_rate=0.02),
        Batches(rows=rows, short=6, long=12),
        hidden=32,
        **changes,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with tokenizer, dynamics and agent, of a few steps each."""
    folder = tmp_path_factory.mktemp("agents")
    store, run = colour_store(folder / "store"), folder / "run"
    train_tokenizer(store, run, small(), Options())
    train_dynamics(store, run, small(), Options())
    assert train_agent(store, run, lessons(), Options())
    return store, run


@pytest.mark.slow
def test_an_agent_learns_what_to_do_what_pays_and_how_the_world_goes_on(tmp_path):
    store = colour_store(tmp_path / "store", episodes=40)
    run = tmp_path / "run"
    train_tokenizer(store, run, small(), Options())
    train_dynamics(store, run, small(100), Options())
    train_agent(store, run, lessons(250, rows=16, well=1.0), Options())
    world = load_agent(run)
    cache = ClipCache.open(store, run / "cache")
    clip = cache.clip(np.arange(24), np.full(24, 4), length=8)
    clip = Clip(frames=clip.frames, actions=clip.actions, reward=clip.reward)
    state, step = world.start(clip, torch.arange(24))
    paid = clip.reward[:, -1]
    assert step.reward[paid == 1].min() > 0.7 and step.reward[paid == 0].max() < 0.3

    def share(policy):
        """How likely the action is that pays."""
        one = {"action": torch.ones(24, dtype=torch.int64)}
        return float(policy.now(world.features(state)).log_prob(one).exp().mean())

    cloned = share(load_policy(run, world, "agent"))
    assert 0.25 < cloned < 0.55
    how = Dreaming(horizon=5, contexts=16, context=4)
    train_dream(store, run, Schedule(steps=120, rate=3e-3, warmup=5, ema=0.9), how, Options())
    assert share(load_policy(run, world, "dream")) > cloned + 0.2


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["agent", "dream"])
def test_training_resumes_exactly(trained, tmp_path, stage):
    store, run = trained
    weights = []
    for stops in ((None,), (3, None)):
        place = tmp_path / str(len(stops))
        place.mkdir()
        for part in ("tokenizer", "dynamics", *(["agent"] if stage == "dream" else [])):
            (place / part).symlink_to(run / part)
        for number, until in enumerate(stops):
            options = Options(until=until)
            if stage == "agent":
                train_agent(store, place, lessons(), options, resume=number > 0)
            else:
                how = Dreaming(horizon=3, contexts=4, context=3)
                schedule = Schedule(steps=6, warmup=2)
                # A resumed stage draws its frames as it began, whatever the default is.
                sampler = None if number else Sampler(passes=2)
                train_dream(
                    store, place, schedule, how, options, sampler=sampler, resume=number > 0
                )
        weights.append((place / stage / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_an_agent_that_was_taught_otherwise_does_not_go_on(trained, tmp_path):
    store, run = trained
    for part in ("tokenizer", "dynamics"):
        (tmp_path / part).symlink_to(run / part)
    train_agent(store, tmp_path, lessons(), Options(until=1))
    file = tmp_path / "agent" / "config.json"
    config = json.loads(file.read_text())
    del config["lessons"]["beside"]
    file.write_text(json.dumps(config))
    with pytest.raises(WorldloomError, match="taught agents otherwise"):
        train_agent(store, tmp_path, lessons(), Options(), resume=True)


@pytest.mark.parametrize("alone", [False, True])
def test_so_many_windows_are_imitated_and_so_many_are_beside_them(
    trained, tmp_path, monkeypatch, alone
):
    store, run = trained
    for part in ("tokenizer", "dynamics"):
        (tmp_path / part).symlink_to(run / part)
    seen = []

    def spy(self, shown):
        beside = 0 if shown.uniform is None else len(shown.uniform.clean)
        seen.append((len(shown.relevant.clean), beside, sum(len(g.clean) for g in shown.glances)))
        return forward(self, shown)

    forward = AgentObjective.forward
    monkeypatch.setattr(AgentObjective, "forward", spy)
    plan = lessons(steps=2, rows=4, beside=0.5, glances=6, alone=alone)
    train_agent(store, tmp_path, plan, Options())
    assert set(seen) == {(4, 0 if alone else 2, 6)}


def test_a_dream_does_not_go_on_with_another_agent(trained, tmp_path):
    store, run = trained
    for part in ("tokenizer", "dynamics"):
        (tmp_path / part).symlink_to(run / part)
    shutil.copytree(run / "agent", tmp_path / "agent")
    how = Dreaming(horizon=2, contexts=2, context=3)
    train_dream(store, tmp_path, Schedule(steps=3), how, Options(until=1))
    shutil.rmtree(tmp_path / "agent")
    train_agent(store, tmp_path, lessons(), Options(seed=1))
    with pytest.raises(WorldloomError, match="another agent"):
        train_dream(store, tmp_path, Schedule(steps=3), how, Options(), resume=True)


def test_a_reloaded_policy_acts_the_same(trained):
    store, run = trained
    clip = ClipCache.open(store, run / "cache").clip(np.arange(3), np.zeros(3, int), length=5)
    acted = []
    for _ in range(2):
        team = load_team(run / "agent")
        team.begin(clip.frames["main"][:, 0].numpy(), [4, 5, 6])
        values = []
        for n in range(1, 5):
            values.append(team.act()["action"])
            team.see({"action": values[-1]}, clip.frames["main"][:, n].numpy())
        acted.append(np.stack(values))
    assert (acted[0] == acted[1]).all()


@pytest.mark.slow
def test_cloning_alone_needs_no_world_and_no_rewards(tmp_path):
    store = colour_store(tmp_path / "store", reward=False)
    run = tmp_path / "run"
    train_tokenizer(store, run, small(), Options())
    train_dynamics(store, run, small(), Options())
    assert train_agent(store, run, lessons(alone=True), Options(), name="clone")
    team = load_team(run / "clone")
    team.begin(np.zeros((2, 16, 16, 3), np.uint8), [1, 2])
    assert team.act()["action"].shape == (2,)
    train_agent(store, run, lessons(), Options())
    with pytest.raises(WorldloomError, match="no rewards"):
        train_dream(store, run, Schedule(steps=1), Dreaming(), Options())


def test_an_unknown_task_is_refused_before_anything_is_written(trained):
    store, run = trained
    with pytest.raises(WorldloomError, match="no task `fly`"):
        train_dream(store, run, Schedule(steps=1), Dreaming(task="fly"), Options(), name="x")
    assert not (run / "x").exists()


@torch.no_grad()
def test_a_rollout_is_in_arrival_order(trained):
    """What a dream says arrived with a state is what the world says of that state."""
    store, run = trained
    world = load_agent(run, Sampler(passes=2))
    cache = ClipCache.open(store, run / "cache")
    clip = cache.clip(np.arange(2), np.zeros(2, int), length=4)
    clip = Clip(frames=clip.frames, actions=clip.actions)
    seeds = torch.tensor([7, 8])
    rollout = dream(world, world.agent.policy, clip, seeds, 4)
    state, _ = world.start(clip, seeds)
    assert torch.equal(rollout.heard[:, 0], world.features(state))
    for k in range(4):
        action = {"action": rollout.actions["action"][:, k]}
        known = torch.ones(2, dtype=torch.bool)
        state, step = world.step(state, clip.actions.__class__(action, known))
        assert torch.equal(rollout.heard[:, k + 1], world.features(state))
        live = ~step.terminated
        assert torch.allclose(rollout.reward[live, k], step.reward[live], atol=1e-5)


@pytest.mark.slow
def test_policy_and_value_move_the_right_way():
    """One good and one bad action in each state: after some updates the good one is likelier."""
    torch.manual_seed(0)
    shape = tiny_dynamics().shape
    agent = Agent(SHAPE, shape, SPEC)
    actor = Actor(agent, shape.width)
    objective = DreamObjective(actor, agent.policy, Dreaming(discount=0.9))
    learner = torch.optim.Adam(actor.parameters(), 3e-3)
    draws = torch.Generator().manual_seed(0)
    heard = torch.randn(32, 4, shape.width, generator=draws)
    for _ in range(150):
        action = torch.randint(0, 3, (32, 3), generator=draws)
        reward = (action == 1).float()
        rollout = Rollout(heard, {"action": action}, reward, torch.zeros(32, 3))
        learner.zero_grad()
        objective(rollout).sum().backward()
        learner.step()
    share = actor.policy.now(heard[:, :-1]).log_prob({"action": torch.ones(32, 3).long()}).exp()
    assert float(share.detach().mean()) > 0.6
    value = actor.value.mean(actor.value(heard)[:, :, 0]).detach()
    assert float(value[:, 0].mean()) > 0.3
    assert all(p.grad is None for p in agent.parameters())


def test_a_dream_tells_what_it_pays_and_how_far_it_went_from_the_clone():
    torch.manual_seed(0)
    shape = tiny_dynamics().shape
    agent = Agent(SHAPE, shape, SPEC)
    actor = Actor(agent, shape.width)
    objective = DreamObjective(actor, agent.policy, Dreaming(discount=1.0, trace=1.0))
    heard, action = torch.randn(2, 3, shape.width), torch.zeros(2, 2).long()
    reward, ends = torch.tensor([[1.0, 3.0], [5.0, 99.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    rollout = Rollout(heard, {"action": action}, reward, ends)
    told = dict(zip(objective.told, objective(rollout)[2:].detach(), strict=True))
    assert float(told["reward"]) == 3.0  # what comes after an ending does not count
    assert float(told["return"]) == pytest.approx((4 + 3 + 5) / 3, abs=1e-5)  # values begin at 0
    assert float(told["kl"]) == pytest.approx(0.0, abs=1e-6)
    torch.nn.init.normal_(actor.policy.head.out.weight)
    assert float(objective(rollout)[-1].detach()) > 0.01


def test_an_environment_with_other_actions_is_refused(trained):
    _, run = trained
    with pytest.raises(WorldloomError, match=r"acts with action\[3\], this environment takes keys"):
        play_checkpoint(str(run / "agent"), Setup(HOP), episodes=1)
    maker = TrainedMaker(run / "agent")
    assert maker.name.endswith("agent")
