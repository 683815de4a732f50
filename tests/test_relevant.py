"""After which moments things went well, and a policy that does what was done there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_agent_training import colour_store

from worldloom.actions import Action, ActionSpec, Categorical
from worldloom.data.cache import ClipCache
from worldloom.data.relevant import DISCOUNT, RelevantSampler, to_come, went_well
from worldloom.models.agent import Agent
from worldloom.models.dynamics import DynamicsShape
from worldloom.models.heads import AgentShape, PolicyHead
from worldloom.train.cloning import Lesson, policy_loss

SPEC = ActionSpec((Categorical("action", 3),))
SHAPE = DynamicsShape(tokens=1, channels=4, width=8, layers=2, heads=2, kv_heads=2, time_every=2)


def test_what_is_to_come_is_the_discounted_sum_of_later_rewards():
    reward = np.random.default_rng(0).random(9)
    slow = [sum(0.5 ** (k - t - 1) * reward[k] for k in range(t + 1, 9)) for t in range(9)]
    assert np.allclose(to_come(reward, 0.5), slow) and slow[-1] == 0


def test_things_went_well_in_the_share_that_the_most_reward_followed():
    reward = np.zeros(100)
    reward[60] = 1
    found, never = went_well([reward, np.zeros(100)], 0.1)
    assert np.flatnonzero(found).tolist() == list(range(40, 60)) and not never.any()
    # A reward that arrived with a frame is no merit of what is done after it.
    assert not found[60]


def test_each_group_has_its_own_measure():
    rich, poor = np.zeros(50), np.zeros(50)
    rich[30], poor[30] = 100, 1
    together, apart = (went_well([rich, poor], 0.1, groups) for groups in (None, [0, 1]))
    assert not together[1].any() and apart[1].sum() == apart[0].sum() == 5


def test_where_all_is_alike_all_counts_and_where_rewards_are_rare_only_they_do():
    assert went_well([np.zeros(20)], 0.1)[0].all() and went_well([np.arange(9.0)], 1)[0].all()
    rare = np.zeros(100)
    rare[5] = 1
    assert np.flatnonzero(went_well([rare], 0.5)[0]).tolist() == [0, 1, 2, 3, 4]
    assert to_come(np.ones(2000), DISCOUNT)[0] == pytest.approx(1 / (1 - DISCOUNT))


def lesson(rows=256) -> Lesson:
    """Where it went well action 2 was done, else action 0; features tell nothing."""
    well = torch.arange(rows)[:, None].expand(rows, 3) % 4 == 0
    done = torch.where(well, 2, 0)
    known = torch.ones(rows, 3, dtype=torch.bool)
    action = Action({"action": done}, known)
    none = torch.zeros(rows, 3)
    first = torch.zeros(rows, dtype=torch.long)
    return Lesson(none, action, none, known, ~known, first, well)


def test_a_policy_that_aims_does_what_was_done_where_it_went_well():
    torch.manual_seed(0)
    chances = {}
    for aims in (True, False):
        agent = Agent(AgentShape(length=2, hidden=16, aims=aims), SHAPE, SPEC)
        heard = torch.zeros(256, 3, SHAPE.width)
        optimizer = torch.optim.Adam(agent.policy.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            policy_loss(agent, heard, lesson()).backward()
            optimizer.step()
        with torch.no_grad():
            now = agent.policy.now(heard[:1, 0]).log_prob({"action": torch.tensor([2])})
        chances[aims] = now.exp().item()
    assert chances[True] > 0.9 and 0.15 < chances[False] < 0.35


def test_the_next_action_weighs_as_much_as_all_later_ones():
    agent = Agent(AgentShape(length=8, hidden=16), SHAPE, SPEC)
    heard = torch.randn(4, 12, SHAPE.width)
    action = Action({"action": torch.randint(3, (4, 12))}, torch.ones(4, 12, dtype=torch.bool))
    given = replace(lesson(4), action=action, well=None)
    torch.nn.init.normal_(agent.policy.head.out.weight)
    loss = policy_loss(agent, heard, given)
    next_alone = -agent.policy.now(heard[:, :-1]).log_prob(
        {"action": action.values["action"][:, 1:]}
    )
    short = Agent(AgentShape(length=1, hidden=16), SHAPE, SPEC)
    grads = torch.autograd.grad(loss, agent.policy.head.out.bias)[0].view(8, -1)
    alone = torch.autograd.grad(next_alone.mean(), agent.policy.head.out.bias)[0].view(8, -1)
    assert torch.allclose(grads[0], alone[0] / 2, atol=1e-6) and (grads[1:] != 0).any()
    assert policy_loss(short, heard, given) > 0


def test_a_policy_without_aim_has_no_more_weights_than_ever():
    plain, aimed = (PolicyHead(8, AgentShape(hidden=4, aims=a), SPEC, 1) for a in (False, True))
    assert set(aimed.state_dict()) - set(plain.state_dict()) == {"aim.weight"}


def test_windows_count_that_show_what_was_done_where_it_went_well(tmp_path):
    store = colour_store(tmp_path / "store", episodes=3, length=20)
    cache = ClipCache.open(store, tmp_path / "cache", names=[row.name for row in store.episodes])
    well = [np.zeros(20, bool) for _ in range(3)]
    well[0][[4, 19]], well[2][11] = True, True
    sampler = RelevantSampler(cache, 5, 8, seed=0, well=well)
    found = set(zip(*(x.tolist() for x in sampler.windows(5)), strict=True))
    # What follows the last frame of a window is not in it.
    slow = {(e, s) for e in range(3) for s in range(16) if well[e][s : s + 4].any()}
    assert found == slow and len(found) == 8
    assert not len(sampler.windows(30)[0])
    returns = [cache.rewards(e).sum() for e in range(3)]
    every = [np.ones(20, bool)] * 3
    best = RelevantSampler(cache, 5, 8, seed=0, well=every, best=0.3)
    assert set(best.windows(5)[0].tolist()) == {int(np.argmax(returns))}
    episodes, begin = sampler.draw(3, length=5, batch=50)
    assert set(zip(episodes.tolist(), begin.tolist(), strict=True)) <= found
