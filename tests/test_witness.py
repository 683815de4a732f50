"""What pays in a dream is seen, not heard: the witness of an agent."""

from dataclasses import replace

import torch
from test_agent import SHAPE, agent_world, make_agent
from test_dream import make_clip
from worlds import ACTIONS, keys, tiny_dynamics

from worldloom.configs import Forcing
from worldloom.data.types import Clip
from worldloom.models.agent import Agent, WorldAgent
from worldloom.models.heads import Witness
from worldloom.train.cloning import AgentObjective, Lesson, Shown, witness_loss


def lesson(**changes) -> Lesson:
    """Two windows of six frames in which the first number of a picture, if it rises, pays 1."""
    shape = tiny_dynamics().shape
    draws = torch.Generator().manual_seed(1)
    clean = torch.randn(2, 6, shape.tokens, shape.channels, generator=draws)
    made = Lesson(
        clean,
        keys(2, 6),
        reward=torch.rand(2, 6, generator=draws),
        rewarded=torch.ones(2, 6, dtype=torch.bool),
        ended=torch.zeros(2, 6, dtype=torch.bool),
        tasks=torch.tensor([0, 1]),
    )
    return replace(made, **changes)


def test_a_witness_learns_what_a_change_pays():
    torch.manual_seed(0)
    shape = tiny_dynamics().shape
    witness = Witness(shape, SHAPE)
    learner = torch.optim.Adam(witness.parameters(), 1e-2)
    task = torch.zeros(256, dtype=torch.int64)

    def frames() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        before = torch.randn(256, shape.tokens, shape.channels)
        pays = torch.rand(256) < 0.5
        now = before.clone()
        now[pays, 0, 0] += 3.0
        return before, now, pays.float()

    for _ in range(60):
        before, now, pays = frames()
        learner.zero_grad()
        witness.reward.loss(witness(before, now, task), pays).mean().backward()
        learner.step()
    before, now, pays = frames()
    paid = witness.paid(before, now, task).detach()
    assert float((paid - pays).abs().mean()) < 0.1


def test_a_dream_pays_what_the_witness_saw():
    world = agent_world()
    assert world.agent is not None and world.agent.witness is not None
    clip = Clip(frames=make_clip().frames, actions=make_clip().actions, texts=("jump", "walk"))
    state, step = world.start(clip, torch.tensor([3, 4]))
    last = world.encode(clip.frames["main"])[:, -2:]
    tasks = torch.tensor([1, 0])
    assert torch.equal(step.reward, world.agent.witness.paid(last[:, 0], last[:, 1], tasks))
    for _ in range(3):
        before = state.latents[:, -1].clone()
        marked = world.recall(world.mark(state))
        assert torch.equal(marked.mind.paid, state.mind.paid)
        state, step = world.step(state, keys(2))
        seen = world.agent.witness.paid(before, state.latents[:, -1], tasks)
        assert torch.equal(state.mind.paid, seen) and (seen != 0).all()
        assert torch.equal(step.reward[~step.terminated], seen[~step.terminated])
    first = Clip(frames={"main": clip.frames["main"][:, :1]}, actions=None)
    assert (world.start(first, torch.tensor([3, 4]))[1].reward == 0).all()  # nothing came before


def test_it_learns_from_known_rewards_alone_and_nothing_where_it_is_not():
    torch.manual_seed(0)
    world = tiny_dynamics()
    agent = make_agent(world.shape)
    plain = lesson()
    unknown = torch.zeros(2, 6, dtype=torch.bool)
    assert float(witness_loss(agent, replace(plain, rewarded=unknown))) == 0
    some = plain.rewarded.clone()
    some[:, 3] = False
    other = plain.reward.clone()
    other[:, 3] += 1
    masked = witness_loss(agent, replace(plain, rewarded=some))
    assert torch.equal(masked, witness_loss(agent, replace(plain, rewarded=some, reward=other)))
    assert not torch.equal(masked, witness_loss(agent, plain))
    blind = Agent(replace(SHAPE, witness=0), world.shape, ACTIONS)
    assert float(witness_loss(blind, plain)) == 0


def test_it_never_hears_what_was_done():
    world = tiny_dynamics()
    objective = AgentObjective(WorldAgent(world, make_agent(world.shape)), Forcing(), cloning=True)
    noise = torch.zeros_like(lesson().clean)
    told = objective(Shown(lesson(), noise))
    other = objective(Shown(lesson(action=keys(2, 6, seed=1)), noise))
    assert torch.equal(told[-1], other[-1]) and not torch.equal(told[1], other[1])
