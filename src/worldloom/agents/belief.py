"""Which action sequences are worth trying: a distribution that is fitted to the best of them.

Every step and every component is independent of the others: the cross-entropy method, its
discrete form for choices and keys. Knows action specs and tensors; no world.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from worldloom.actions import ActionSpec, Binary, Categorical, Component, Continuous

FLOOR = 0.1  # of every choice, drawn evenly whatever is believed
NARROWEST = 0.05  # deviation of a number, in half ranges


def numbers_of(spec: ActionSpec) -> int:
    """How many random numbers draw one frame's action."""
    return sum(int(np.prod(spec.shape(c), dtype=int)) for c in spec.components)


@dataclass(frozen=True)
class Belief:
    """Distributions of B sequences of H actions.

    Args:
      spec: of the actions.
      parts: component name to `[B, H, *shape, F]`: what describes each of its distributions. Of a
        choice the probabilities, of a key the probability that it is down, of a number mean and
        deviation.
    """

    spec: ActionSpec
    parts: Mapping[str, Tensor]

    @classmethod
    def even(cls, spec: ActionSpec, rows: int, horizon: int) -> "Belief":
        """Nothing is known: every choice and key is as likely, numbers are all over their range."""
        parts = {
            c.name: _even(c).expand(rows, horizon, *spec.shape(c), -1) for c in spec.components
        }
        return cls(spec, parts)

    def draw(self, normal: Tensor) -> dict[str, Tensor]:
        """Sequences from the distribution.

        Args:
          normal: `[B, N, H, P]` standard normal, P of `numbers_of`: the same numbers draw the
            same sequences.

        Returns:
          component name to `[B, N, H, ...]`.
        """
        shapes = [self.spec.shape(c) for c in self.spec.components]
        pieces = normal.split([int(np.prod(shape, dtype=int)) for shape in shapes], -1)
        return {
            c.name: _draw(c, self.parts[c.name][:, None], z.reshape(*z.shape[:-1], *shape))
            for c, shape, z in zip(self.spec.components, shapes, pieces, strict=True)
        }

    def fit(self, best: Mapping[str, Tensor]) -> "Belief":
        """The belief that the best sequences `[B, K, H, ...]` suggest; never quite sure."""
        parts = {c.name: _fit(c, best[c.name]) for c in self.spec.components}
        return Belief(self.spec, parts)


def _even(component: Component) -> Tensor:
    """What describes the widest distribution of a component, `[*component shape, F]` or `[F]`."""
    if isinstance(component, Categorical):
        return torch.full((component.n,), 1 / component.n)
    if isinstance(component, Binary):
        return torch.full((1,), 0.5)
    low, high = torch.tensor(component.low), torch.tensor(component.high)
    return torch.stack([(low + high) / 2, (high - low) / 2], -1)


def _draw(component: Component, part: Tensor, z: Tensor) -> Tensor:
    """Values `[B, N, H, ...]` of `part` `[B, 1, H, ..., F]` and standard normal `z`."""
    if isinstance(component, Continuous):
        mean, spread = part.unbind(-1)
        return (mean + spread * z).clamp(z.new_tensor(component.low), z.new_tensor(component.high))
    even = torch.special.ndtr(z)
    if isinstance(component, Categorical):
        return (even[..., None] > part.cumsum(-1)[..., :-1]).sum(-1)
    return (even < part[..., 0]).to(torch.uint8)


def _fit(component: Component, best: Tensor) -> Tensor:
    """What describes the best values `[B, K, H, ...]`, `[B, H, ..., F]`."""
    if isinstance(component, Continuous):
        mean, spread = best.mean(1), best.std(1, correction=0)
        least = NARROWEST * _even(component)[..., 1].to(best.device)
        return torch.stack([mean, torch.maximum(spread, least)], -1)
    if isinstance(component, Categorical):
        share = F.one_hot(best.long(), component.n).float().mean(1)
        return torch.lerp(share, torch.full_like(share, 1 / component.n), FLOOR)
    share = best.float().mean(1)[..., None]
    return torch.lerp(share, torch.full_like(share, 0.5), FLOOR)
