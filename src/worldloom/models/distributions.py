"""What heads predict: a number as a symexp two-hot, an action as a product of its components.

Symexp two-hot as in Dreamer 3 (Hafner et al., arXiv 2301.04104); which is used where:
arXiv 2509.24527, section 3.3. Knows tensors and action specs.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from worldloom.actions import ActionSpec, Binary, Categorical, Component, Continuous

NARROWEST, WIDEST = 0.05, 1.0  # deviation of a continuous action, in half ranges


def symexp(x: Tensor) -> Tensor:
    """sign(x) (exp|x| - 1), the inverse of symlog."""
    return x.sign() * torch.expm1(x.abs())


def bins(count: int, reach: float) -> Tensor:
    """`[count]` the numbers that two-hot probabilities stand for, mirrored around an exact 0.

    Args:
      count: odd.
      reach: the largest is symexp of it.
    """
    half = symexp(torch.linspace(0.0, reach, count // 2 + 1, dtype=torch.float64)).float()
    return torch.cat([-half[1:].flip(0), half])


def two_hot(value: Tensor, places: Tensor) -> Tensor:
    """`[...]` numbers to probabilities `[..., K]` of the two nearest bins, whose mean they are."""
    value = value.float().clamp(places[0], places[-1])
    above = torch.searchsorted(places, value.contiguous()).clamp(1, len(places) - 1)
    low, high = places[above - 1], places[above]
    share = ((value - low) / (high - low))[..., None]
    upper, lower = (F.one_hot(i, len(places)).float() for i in (above, above - 1))
    return upper * share + lower * (1 - share)


def two_hot_loss(logits: Tensor, value: Tensor, places: Tensor) -> Tensor:
    """Cross entropy `[...]` between logits `[..., K]` and the two-hot of `value` `[...]`."""
    return -(two_hot(value, places) * logits.float().log_softmax(-1)).sum(-1)


def two_hot_mean(logits: Tensor, places: Tensor) -> Tensor:
    """The number `[...]` that logits `[..., K]` stand for; equal logits give exactly 0.

    Mirrored bins are paired before they are added: large terms cancel exactly.
    """
    share = logits.float().softmax(-1)
    middle = len(places) // 2
    pairs = share[..., middle + 1 :] - share[..., :middle].flip(-1)
    return (pairs * places[middle + 1 :]).sum(-1)


def parameters_of(spec: ActionSpec) -> list[int]:
    """How many numbers describe the distribution of each component, actions of a frame together."""
    return [spec.per_frame * _own_parameters(component) for component in spec.components]


class ActionDistribution:
    """Independent distributions of an action's components.

    Categorical and binary components by their logits; continuous ones are normal, in half
    ranges around the middle of their bounds, and cut at the bounds when drawn.

    Args:
      spec: of the actions.
      parameters: `[..., P]`, P the sum of `parameters_of`.
    """

    def __init__(self, spec: ActionSpec, parameters: Tensor) -> None:
        self.spec = spec
        parts = parameters.float().split(parameters_of(spec), -1)
        self._parts = [
            _PARTS[type(component)](component, part.unflatten(-1, (spec.per_frame, -1)))
            for component, part in zip(spec.components, parts, strict=True)
        ]

    def log_prob(self, values: Mapping[str, Tensor]) -> Tensor:
        """`[...]` natural logarithm of the probability, summed over components."""
        return self._sum([part.log_prob(self._lined(c, values[c.name])) for c, part in self._pairs])

    def entropy(self) -> Tensor:
        """`[...]` in nats, summed over components."""
        return self._sum([part.entropy() for part in self._parts])

    def kl(self, other: "ActionDistribution") -> Tensor:
        """`[...]` KL[self || other] in nats, summed over components."""
        return self._sum([a.kl(b) for a, b in zip(self._parts, other._parts, strict=True)])

    def sample(self, noise: Tensor) -> dict[str, Tensor]:
        """An action drawn from the distribution.

        Args:
          noise: `[..., P]` standard normal: the same noise draws the same action.
        """
        parts = noise.split(parameters_of(self.spec), -1)
        return {
            c.name: self._shaped(c, part.sample(z.unflatten(-1, (self.spec.per_frame, -1))))
            for (c, part), z in zip(self._pairs, parts, strict=True)
        }

    def mode(self) -> dict[str, Tensor]:
        """The likeliest action."""
        return {c.name: self._shaped(c, part.mode()) for c, part in self._pairs}

    def likely(self) -> Tensor:
        """`[..., E]` in [0, 1]: the chance of every choice and of every key that it is down.

        A continuous number by its mean, from 0 at its lower bound to 1 at its upper one.
        """
        return torch.cat([part.likely().flatten(-2) for part in self._parts], -1)

    @property
    def _pairs(self) -> list[tuple[Component, "_Part"]]:
        return list(zip(self.spec.components, self._parts, strict=True))

    def _lined(self, component: Component, value: Tensor) -> Tensor:
        """Values as stored to `[..., per_frame, *component shape]`."""
        place = value.dim() - len(component.shape)
        return value if self.spec.per_frame > 1 else value.unsqueeze(place)

    def _shaped(self, component: Component, value: Tensor) -> Tensor:
        place = value.dim() - len(component.shape) - 1
        return value if self.spec.per_frame > 1 else value.squeeze(place)

    @staticmethod
    def _sum(parts: list[Tensor]) -> Tensor:
        return torch.stack([part.sum(-1) for part in parts]).sum(0)


class _Choice:
    """One of n."""

    def __init__(self, component: Categorical, parameters: Tensor) -> None:
        self.logs = parameters.log_softmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.logs.gather(-1, value.long()[..., None])[..., 0]

    def entropy(self) -> Tensor:
        return -(self.logs.exp() * self.logs).sum(-1)

    def kl(self, other: "_Choice") -> Tensor:
        return (self.logs.exp() * (self.logs - other.logs)).sum(-1)

    def sample(self, noise: Tensor) -> Tensor:
        # Gumbel's trick, with uniform numbers that come from normal ones.
        uniform = torch.special.ndtr(noise.double()).clamp(1e-12, 1 - 1e-12)
        return (self.logs - (-uniform.log()).log()).argmax(-1)

    def mode(self) -> Tensor:
        return self.logs.argmax(-1)

    def likely(self) -> Tensor:
        return self.logs.exp()


class _Keys:
    """Keys that are up or down, each for itself."""

    def __init__(self, component: Binary, parameters: Tensor) -> None:
        self.logits = parameters

    def log_prob(self, value: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(
            self.logits, value.float().expand_as(self.logits), reduction="none"
        ).sum(-1)

    def entropy(self) -> Tensor:
        share = self.logits.sigmoid()
        down, up = F.logsigmoid(self.logits), F.logsigmoid(-self.logits)
        return -(share * down + (1 - share) * up).sum(-1)

    def kl(self, other: "_Keys") -> Tensor:
        share = self.logits.sigmoid()
        down = F.logsigmoid(self.logits) - F.logsigmoid(other.logits)
        up = F.logsigmoid(-self.logits) - F.logsigmoid(-other.logits)
        return (share * down + (1 - share) * up).sum(-1)

    def sample(self, noise: Tensor) -> Tensor:
        return (torch.special.ndtr(noise) < self.logits.sigmoid()).to(torch.uint8)

    def mode(self) -> Tensor:
        return (self.logits > 0).to(torch.uint8)

    def likely(self) -> Tensor:
        return self.logits.sigmoid()


class _Numbers:
    """Normal numbers between bounds."""

    def __init__(self, component: Continuous, parameters: Tensor) -> None:
        low, high = (parameters.new_tensor(x) for x in (component.low, component.high))
        self.low, self.high = low, high
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        mean, spread = parameters.chunk(2, -1)
        self.mean = mean
        self.spread = NARROWEST + (WIDEST - NARROWEST) * spread.sigmoid()

    def log_prob(self, value: Tensor) -> Tensor:
        z = ((value - self.middle) / self.half - self.mean) / self.spread
        return -(0.5 * z.square() + self.spread.log() + 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        return (self.spread.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def kl(self, other: "_Numbers") -> Tensor:
        ratio = (self.spread / other.spread).square()
        apart = ((self.mean - other.mean) / other.spread).square()
        return (0.5 * (ratio + apart - 1 - ratio.log())).sum(-1)

    def sample(self, noise: Tensor) -> Tensor:
        return self._native(self.mean + self.spread * noise[..., : self.mean.shape[-1]])

    def mode(self) -> Tensor:
        return self._native(self.mean)

    def likely(self) -> Tensor:
        return ((self.mean + 1) / 2).clamp(0, 1)

    def _native(self, scaled: Tensor) -> Tensor:
        return (self.middle + self.half * scaled).clamp(self.low, self.high)


_Part = _Choice | _Keys | _Numbers
_PARTS: dict[type, type] = {Categorical: _Choice, Binary: _Keys, Continuous: _Numbers}


def _own_parameters(component: Component) -> int:
    if isinstance(component, Categorical):
        return component.n
    return len(component.keys) if isinstance(component, Binary) else 2 * len(component.low)
