"""The eye of an agent: what its heads read of the frame itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_agent import SHAPE, agent_world, make_agent
from worlds import ACTIONS, keys, tiny_dynamics

from worldloom.configs import Forcing
from worldloom.errors import WorldloomError
from worldloom.models.agent import Agent, WorldAgent
from worldloom.models.heads import Eye
from worldloom.train.cloning import AgentObjective, Lesson, glance_loss


def test_the_eye_is_a_convolution_over_the_patches_and_then_all_of_them():
    world = tiny_dynamics(copy=2, columns=2).shape
    torch.manual_seed(0)
    eye = Eye(world, 3).requires_grad_(False)
    latents = torch.randn(2, 5, world.tokens, world.channels)
    silu = torch.nn.functional.silu
    each = silu(eye.each(latents[1, 2])).reshape(-1, 2, 3)
    slow = torch.zeros_like(each)
    for row, column in np.ndindex(*each.shape[:2]):
        for y, x in np.ndindex(3, 3):
            if 0 <= row + y - 1 < each.shape[0] and 0 <= column + x - 1 < 2:
                slow[row, column] += eye.near.weight[:, :, y, x] @ each[row + y - 1, column + x - 1]
    assert eye.near.bias is not None
    slow = silu(slow + eye.near.bias).movedim(-1, 0).flatten()
    assert torch.allclose(eye(latents)[1, 2], eye.all(slow), atol=1e-5)


@pytest.mark.parametrize("eye", [0, 4])
def test_heads_read_the_frame_only_through_an_eye(eye):
    world = tiny_dynamics().shape
    agent = Agent(replace(SHAPE, eye=eye), world, ACTIONS).requires_grad_(False)
    heard = torch.randn(3, world.width)
    a, b = torch.randn(2, 3, world.tokens, world.channels)
    assert torch.equal(agent.read(heard, a), agent.read(heard, b)) == (eye == 0)
    assert any(name.startswith("eye") for name in agent.state_dict()) == (eye > 0)


@torch.no_grad()
def test_what_is_learned_from_is_what_is_read_when_acting():
    world = agent_world()
    agent = make_agent(world.dynamics.shape)
    shape = world.dynamics.shape
    clean = torch.randn(2, 4, shape.tokens, shape.channels)
    none, no = torch.zeros(2, 4), torch.zeros(2, 4, dtype=torch.bool)
    first, done = torch.zeros(2, dtype=torch.int64), keys(2, 4)
    lesson = Lesson(clean, done, none, no, no, first)
    objective = AgentObjective(WorldAgent(world.dynamics, agent), Forcing(), cloning=True)
    noise = torch.zeros_like(clean)
    blind = replace(lesson, clean=torch.zeros_like(clean))
    eye = agent.eye
    assert eye is not None
    seen, unseen = (objective._committed(x, noise) for x in (lesson, blind))
    plain = Agent(replace(SHAPE, eye=0), shape, ACTIONS).eval()
    plain.load_state_dict(agent.state_dict(), strict=False)
    without = AgentObjective(WorldAgent(world.dynamics, plain), Forcing(), cloning=True)
    assert torch.allclose(seen, without._committed(lesson, noise) + eye(clean), atol=1e-6)
    assert torch.allclose(unseen, without._committed(blind, noise) + eye(blind.clean), atol=1e-6)


def test_at_a_glance_it_learns_what_was_done_next_and_nothing_of_the_past():
    """By hand: the mean over lessons of the mean over known rows."""
    world = agent_world()
    agent = make_agent(world.dynamics.shape)
    torch.nn.init.normal_(agent.policy.head.out.weight, 0.0, 0.5)
    shape = world.dynamics.shape
    clean, done = torch.randn(3, 2, shape.tokens, shape.channels), keys(3, 2)
    done.known[1, 1] = False
    none, no = torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.bool)
    lesson = Lesson(clean, done, none, no, no, torch.zeros(3, dtype=torch.int64))
    eye = agent.eye
    assert eye is not None
    policy = agent.policy.now(eye(clean[:, 0]))
    by_hand = -policy.log_prob({k: v[:, 1] for k, v in done.values.items()})[[0, 2]].mean()
    assert torch.allclose(glance_loss(agent, [lesson]), by_hand)
    changed = replace(lesson, clean=torch.stack([clean[:, 0], clean[:, 1] + 1], 1))
    assert torch.equal(glance_loss(agent, [lesson]), glance_loss(agent, [changed]))
    assert torch.allclose(glance_loss(agent, [lesson, lesson]), by_hand)
    assert float(glance_loss(agent, [])) == 0
    blind = Agent(replace(SHAPE, eye=0), shape, ACTIONS)
    with pytest.raises(WorldloomError, match="no eye"):
        glance_loss(blind, [lesson])


@torch.no_grad()
def test_a_policy_without_a_past_acts_on_what_is_seen_alone():
    torch.manual_seed(0)
    shape = agent_world().dynamics.shape
    heard, latents = torch.randn(2, 3, shape.width), torch.randn(3, shape.tokens, shape.channels)
    for past in (True, False):
        agent = Agent(replace(SHAPE, past=past), shape, ACTIONS)
        for head in (agent.policy.head, agent.ending, agent.reward.head):
            torch.nn.init.normal_(head.out.weight, 0.0, 0.5)
        one, other = (agent.read(h, latents) for h in heard)
        assert one.shape[-1] == shape.width * (1 if past else 2)
        acts = [agent.policy.now(x).likely() for x in (one, other)]
        assert torch.equal(*acts) != past
        assert not torch.equal(agent.ending(one), agent.ending(other))
        assert not torch.equal(agent.reward(one), agent.reward(other))
        if not past:
            assert torch.equal(acts[0], agent.policy.now(agent.glance(latents)).likely())
    with pytest.raises(WorldloomError, match="sees nothing"):
        Agent(replace(SHAPE, past=False, eye=0), shape, ACTIONS)


@torch.no_grad()
def test_an_urge_goes_on_from_the_other_to_the_good():
    torch.manual_seed(0)
    shape, x = agent_world().dynamics.shape, torch.randn(4, agent_world().dynamics.shape.width)
    agent = Agent(replace(SHAPE, aims=True, urge=0.5), shape, ACTIONS)
    torch.nn.init.normal_(agent.policy.head.out.weight, 0.0, 0.5)
    logs = [agent.policy.head(x + agent.policy.aim.weight[i])[..., 0, :] for i in (0, 1)]
    assert torch.allclose(agent.policy._logits(x, None)[..., 0, :], 1.5 * logs[1] - 0.5 * logs[0])
    plain = Agent(replace(SHAPE, aims=True), shape, ACTIONS)
    plain.load_state_dict(agent.state_dict())
    yes = torch.ones(4, dtype=torch.bool)
    assert torch.equal(plain.policy.now(x).likely(), plain.policy.now(x, yes).likely())


@torch.no_grad()
def test_half_of_what_the_eye_makes_out_is_left_out_where_it_learns():
    """In the mean nothing changes; the same dice leave out the same."""
    torch.manual_seed(0)
    shape = agent_world().dynamics.shape
    eye = Eye(shape, 16)
    latents = torch.randn(1, 1, shape.tokens, shape.channels)
    rolled = [eye(latents, torch.Generator().manual_seed(n)) for n in range(400)]
    again = eye(latents, torch.Generator().manual_seed(3))
    assert torch.equal(rolled[3], again) and not torch.equal(rolled[3], rolled[4])
    mean, spread = torch.stack(rolled).mean(0), torch.stack(rolled).std(0)
    assert ((mean - eye(latents)).abs() < 5 * spread / 20 + 1e-6).all()
