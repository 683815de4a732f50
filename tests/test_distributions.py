"""Two-hot numbers and action distributions, against plain restatements."""

import math

import numpy as np
import pytest
import torch

from worldloom.actions import ActionSpec, Binary, Categorical, Continuous
from worldloom.models.distributions import (
    ActionDistribution,
    bins,
    parameters_of,
    symexp,
    two_hot,
    two_hot_loss,
    two_hot_mean,
)

MIXED = ActionSpec(
    (
        Categorical("move", 3),
        Binary("keys", ("a", "b")),
        Continuous("aim", (-1.0, 0.0), (1.0, 10.0)),
    )
)


def test_bins_are_mirrored_around_an_exact_zero() -> None:
    places = bins(255, 20.0)
    assert len(places) == 255 and places[127] == 0
    assert torch.equal(places, -places.flip(0))
    assert float(places[-1]) == pytest.approx(math.exp(20) - 1, rel=1e-6)
    assert torch.allclose(
        symexp(torch.tensor([-1.0, 0.0, 2.0])), places.new_tensor([-1.71828, 0, 6.38906])
    )


def test_two_hot_has_the_mean_that_it_was_given() -> None:
    places = bins(255, 20.0)
    for value in (0.0, 1.0, -1.0, 0.123, 7.5, -250.0, 3e5):
        hot = two_hot(torch.tensor(value), places)
        assert float(hot.sum()) == pytest.approx(1.0, abs=1e-6)
        assert int((hot > 0).sum()) <= 2
        assert float((hot.double() * places.double()).sum()) == pytest.approx(
            value, rel=1e-4, abs=1e-6
        )
        # Decoding the logarithm of these probabilities gives the value back.
        assert float(two_hot_mean(hot.clamp(min=1e-30).log(), places)) == pytest.approx(
            value, rel=1e-4, abs=1e-5
        )


def test_two_hot_beyond_the_last_bin_stops_there() -> None:
    places = bins(11, 2.0)
    hot = two_hot(torch.tensor([1e9, -1e9]), places)
    assert hot[0].argmax() == 10 and hot[1].argmax() == 0


def test_equal_logits_are_exactly_zero() -> None:
    places = bins(255, 20.0)
    assert float(two_hot_mean(torch.zeros(255), places)) == 0.0
    assert float(two_hot_mean(torch.full((255,), 3.7), places)) == 0.0


def test_two_hot_loss_is_least_at_the_value() -> None:
    places = bins(41, 3.0)
    logits = torch.zeros(41, requires_grad=True)
    learner = torch.optim.Adam([logits], 0.1)
    for _ in range(400):
        learner.zero_grad()
        loss = two_hot_loss(logits, torch.tensor(2.5), places)
        loss.backward()
        learner.step()
    assert float(two_hot_mean(logits.detach(), places)) == pytest.approx(2.5, abs=0.02)


def _random(spec: ActionSpec, rows: int, seed: int) -> ActionDistribution:
    draws = torch.Generator().manual_seed(seed)
    return ActionDistribution(spec, torch.randn(rows, sum(parameters_of(spec)), generator=draws))


def test_log_prob_and_entropy_against_torch() -> None:
    parameters = torch.randn(5, sum(parameters_of(MIXED)))
    ours = ActionDistribution(MIXED, parameters)
    values = {
        "move": torch.tensor([0, 1, 2, 1, 0]),
        "keys": torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1]], dtype=torch.uint8),
        "aim": torch.tensor([[0.5, 2.0], [-1.0, 10.0], [0.0, 5.0], [1.0, 0.0], [0.2, 9.0]]),
    }
    move, keys, aim = parameters.split([3, 2, 4], -1)
    choice = torch.distributions.Categorical(logits=move)
    press = torch.distributions.Bernoulli(logits=keys)
    spread = 0.05 + 0.95 * aim[:, 2:].sigmoid()
    normal = torch.distributions.Normal(aim[:, :2], spread)
    scaled = torch.stack([values["aim"][:, 0], (values["aim"][:, 1] - 5) / 5], -1)
    expected = (
        choice.log_prob(values["move"])
        + press.log_prob(values["keys"].float()).sum(-1)
        + normal.log_prob(scaled).sum(-1)
    )
    assert torch.allclose(ours.log_prob(values), expected, atol=1e-5)
    entropy = choice.entropy() + press.entropy().sum(-1) + normal.entropy().sum(-1)
    assert torch.allclose(ours.entropy(), entropy, atol=1e-5)


def test_kl_against_torch_and_its_direction() -> None:
    a, b = torch.randn(4, 9), torch.randn(4, 9)
    ours = ActionDistribution(MIXED, a).kl(ActionDistribution(MIXED, b))
    kl = torch.distributions.kl_divergence
    d = torch.distributions
    expected = kl(d.Categorical(logits=a[:, :3]), d.Categorical(logits=b[:, :3]))
    expected = expected + kl(d.Bernoulli(logits=a[:, 3:5]), d.Bernoulli(logits=b[:, 3:5])).sum(-1)
    width = lambda x: 0.05 + 0.95 * x.sigmoid()  # noqa: E731
    expected = expected + kl(
        d.Normal(a[:, 5:7], width(a[:, 7:])), d.Normal(b[:, 5:7], width(b[:, 7:]))
    ).sum(-1)
    assert torch.allclose(ours, expected, atol=1e-5)
    two = ActionSpec((Categorical("move", 2),))
    policy = ActionDistribution(two, torch.tensor([0.9, 0.1]).log())
    prior = ActionDistribution(two, torch.tensor([0.5, 0.5]).log())
    assert float(policy.kl(prior)) == pytest.approx(0.3681, abs=1e-4)
    assert float(prior.kl(policy)) == pytest.approx(0.5108, abs=1e-4)


def test_samples_occur_as_often_as_they_should() -> None:
    rows = 20_000
    one = torch.randn(sum(parameters_of(MIXED)))
    dist = ActionDistribution(MIXED, one.expand(rows, -1))
    drawn = dist.sample(torch.randn(rows, len(one), generator=torch.Generator().manual_seed(0)))
    share = torch.bincount(drawn["move"], minlength=3) / rows
    assert torch.allclose(share, one[:3].softmax(-1), atol=0.015)
    assert torch.allclose(drawn["keys"].float().mean(0), one[3:5].sigmoid(), atol=0.015)
    assert drawn["aim"][:, 1].min() >= 0 and drawn["aim"][:, 1].max() <= 10
    MIXED.check({k: v.numpy() for k, v in drawn.items()}, "drawn")
    told = ActionDistribution(MIXED, one).likely()
    assert torch.allclose(told[:5], torch.cat([share, drawn["keys"].float().mean(0)]), atol=0.015)
    assert told.shape == (7,) and told[5:].min() >= 0 and told[5:].max() <= 1


def test_the_same_noise_draws_the_same_row_in_any_batch() -> None:
    noise = torch.randn(6, 9)
    dist = _random(MIXED, 6, 1)
    whole = dist.sample(noise)
    parameters = torch.randn(6, 9, generator=torch.Generator().manual_seed(1))
    for row in range(6):
        alone = ActionDistribution(MIXED, parameters[row : row + 1]).sample(noise[row : row + 1])
        for name in whole:
            assert torch.equal(whole[name][row], alone[name][0])


def test_several_actions_in_a_frame() -> None:
    spec = ActionSpec((Categorical("move", 3), Continuous("aim", (-1.0,), (1.0,))), per_frame=2)
    dist = _random(spec, 4, 0)
    drawn = dist.sample(torch.randn(4, sum(parameters_of(spec))))
    assert drawn["move"].shape == (4, 2) and drawn["aim"].shape == (4, 2, 1)
    assert dist.log_prob(drawn).shape == (4,)
    spec.check({k: np.asarray(v) for k, v in dist.mode().items()}, "mode")
