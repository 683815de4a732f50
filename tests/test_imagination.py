"""Returns and policy objectives against tables worked by hand."""

import pytest
import torch

from worldloom.actions import ActionSpec, Categorical
from worldloom.models.distributions import ActionDistribution
from worldloom.train.imagination import (
    Spread,
    alive,
    lambda_returns,
    mean_where,
    pmpo_loss,
    reinforce_loss,
)

REWARD = torch.tensor([[0.0, 1.0, 0.0]])
VALUE = torch.tensor([[9.0, 0.5, 0.5, 2.0]])


@pytest.mark.parametrize(
    ("keeps", "expected"),
    [([1.0, 1.0, 1.0], [1.14075, 2.035, 1.8]), ([1.0, 1.0, 0.0], [0.77625, 1.225, 0.0])],
)
def test_returns_by_hand(keeps, expected):
    found = lambda_returns(REWARD, torch.tensor([keeps]), VALUE, discount=0.9, trace=0.5)
    assert torch.allclose(found, torch.tensor([expected]), atol=1e-6)


def test_returns_at_the_ends_of_lambda():
    keeps = torch.ones(1, 3)
    far = lambda_returns(REWARD, keeps, VALUE, discount=0.9, trace=1.0)
    assert float(far[0, 0]) == pytest.approx(0.9 * 1 + 0.9**3 * 2)
    near = lambda_returns(REWARD, keeps, VALUE, discount=0.9, trace=0.0)
    assert torch.allclose(near, REWARD + 0.9 * VALUE[:, 1:])


def test_what_lies_behind_an_ending_does_not_count():
    ends = torch.tensor([[False, True, False, True], [False] * 4])
    assert alive(ends).tolist() == [[True, True, False, False], [True] * 4]


def test_pmpo_is_the_formula():
    log_prob = torch.tensor([-0.1, -0.5, -2.0, -1.0, -7.0])
    advantage = torch.tensor([3.0, 0.0, -1.0, -5.0, -2.0])
    kl = torch.tensor([0.1, 0.2, 0.3, 0.4, 9.0])
    counted = torch.tensor([True, True, True, True, False])
    found = pmpo_loss(log_prob, advantage, kl, counted, alpha=0.5, beta=0.3)
    expected = 0.5 * (-2.0 - 1.0) / 2 - 0.5 * (-0.1 - 0.5) / 2 + 0.3 * (0.1 + 0.2 + 0.3 + 0.4) / 4
    assert float(found) == pytest.approx(expected)


def test_pmpo_reads_only_signs():
    log_prob, advantage, kl = (torch.randn(4, 6) for _ in range(3))
    counted = torch.ones(4, 6, dtype=torch.bool)
    losses = [
        pmpo_loss(log_prob, scale * advantage, kl, counted, alpha=0.5, beta=0.3)
        for scale in (1e-6, 1.0, 1e6)
    ]
    assert torch.equal(losses[0], losses[1]) and torch.equal(losses[1], losses[2])
    turned = pmpo_loss(log_prob, -advantage, kl, counted, alpha=0.5, beta=0.3)
    assert not torch.equal(turned, losses[1])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_pmpo_with_an_empty_set(sign):
    log_prob = torch.randn(5, requires_grad=True)
    counted = torch.ones(5, dtype=torch.bool)
    loss = pmpo_loss(log_prob, torch.full((5,), sign), torch.zeros(5), counted, alpha=0.5, beta=0.3)
    loss.backward()
    assert torch.isfinite(loss) and torch.allclose(log_prob.grad, torch.full((5,), -sign * 0.1))
    nobody = torch.zeros(5, dtype=torch.bool)
    none = pmpo_loss(log_prob, torch.ones(5), torch.ones(5), nobody, alpha=0.5, beta=0.3)
    assert float(none.detach()) == 0.0


def test_two_ranks_pool_their_sets():
    """Each has rows of its own; the mean of their losses is that of the whole batch."""
    draws = torch.Generator().manual_seed(0)
    log_prob, kl = (-torch.rand(6, 3, generator=draws) for _ in range(2))
    advantage = torch.tensor([1.0, 2.0, 0.0, -1.0, -1.0, 3.0])[:, None].expand(6, 3)
    counted = torch.rand(6, 3, generator=draws) < 0.7
    inputs = (log_prob, advantage, kl, counted)
    halves = [[part[:3] for part in inputs], [part[3:] for part in inputs]]
    heard: list[list[torch.Tensor]] = [[], []]

    def note(rank):
        def over_ranks(count):
            heard[rank].append(count)
            return count

        return over_ranks

    for rank, half in enumerate(halves):
        pmpo_loss(*half, alpha=0.5, beta=0.3, over_ranks=note(rank))
    losses = []
    for half in halves:
        means = iter([(a + b) / 2 for a, b in zip(*heard, strict=True)])
        losses.append(
            pmpo_loss(*half, alpha=0.5, beta=0.3, over_ranks=lambda count, means=means: next(means))
        )
    whole = pmpo_loss(*inputs, alpha=0.5, beta=0.3)
    assert torch.allclose((losses[0] + losses[1]) / 2, whole, atol=1e-6)
    apart = [pmpo_loss(*half, alpha=0.5, beta=0.3) for half in halves]
    assert not torch.allclose((apart[0] + apart[1]) / 2, whole, atol=1e-3)


def test_the_divergence_is_taken_from_the_policy_to_the_prior():
    spec = ActionSpec((Categorical("move", 2),))
    policy = ActionDistribution(spec, torch.tensor([[0.9, 0.1]]).log())
    prior = ActionDistribution(spec, torch.tensor([[0.5, 0.5]]).log())
    nothing = torch.zeros(1)
    loss = pmpo_loss(
        nothing, nothing, policy.kl(prior), torch.ones(1, dtype=torch.bool), alpha=0.5, beta=1.0
    )
    assert float(loss) == pytest.approx(0.3681, abs=1e-4)


def test_reinforce_is_the_formula():
    log_prob, advantage = torch.tensor([-0.1, -2.0, -7.0]), torch.tensor([3.0, -1.0, 5.0])
    kl, entropy = torch.tensor([0.1, 0.4, 9.0]), torch.tensor([0.7, 0.2, 9.0])
    counted = torch.tensor([True, True, False])
    found = reinforce_loss(log_prob, advantage, kl, entropy, counted, beta=0.3, bonus=0.01)
    expected = (0.3 - 2.0) / 2 + 0.3 * (0.1 + 0.4) / 2 - 0.01 * (0.7 + 0.2) / 2
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("objective", ["pmpo", "reinforce"])
def test_both_objectives_find_the_better_of_two_actions(objective):
    spec = ActionSpec((Categorical("move", 2),))
    logits = torch.zeros(2, requires_grad=True)
    prior = ActionDistribution(spec, torch.zeros(64, 2))
    learner = torch.optim.Adam([logits], 0.05)
    draws = torch.Generator().manual_seed(0)
    counted = torch.ones(64, dtype=torch.bool)
    for _ in range(200):
        policy = ActionDistribution(spec, logits.expand(64, 2))
        action = policy.sample(torch.randn(64, 2, generator=draws))
        advantage = torch.where(action["move"] == 1, 1.0, -1.0)
        log_prob = policy.log_prob(action)
        if objective == "pmpo":
            loss = pmpo_loss(log_prob, advantage, policy.kl(prior), counted, alpha=0.5, beta=0.3)
        else:
            parts = log_prob, advantage, policy.kl(prior), policy.entropy(), counted
            loss = reinforce_loss(*parts, beta=0.01, bonus=3e-4)
        learner.zero_grad()
        loss.backward()
        learner.step()
    assert float(logits.detach().softmax(0)[1]) > 0.9


def test_the_spread_of_returns_never_blows_up_small_ones():
    spread = Spread(decay=0.5)
    assert float(spread(torch.zeros(100))) == 1.0
    large = torch.linspace(0, 100, 1001)
    for _ in range(40):
        scale = spread(large)
    assert float(scale) == pytest.approx(90.0, rel=1e-3)


def test_mean_where_nothing_is_chosen():
    assert float(mean_where(torch.tensor([float("nan"), 2.0]), torch.tensor([False, True]))) == 2.0
