"""Turns actions into one token; an unknown action is its own learned embedding."""

import torch
from torch import Tensor, nn

from worldloom.actions import Action, ActionSpec, Binary, Categorical, Component, Continuous


class _Part(nn.Module):
    """Embeds one component: lookup for categorical and for each key, linear for continuous."""

    centre: Tensor
    reach: Tensor
    offset: Tensor

    def __init__(self, component: Component, per_frame: int, width: int) -> None:
        super().__init__()
        self.component, self.per_frame = component, per_frame
        if isinstance(component, Continuous):
            self.linear = nn.Linear(per_frame * len(component.low), width, bias=False)
            low, high = torch.tensor(component.low), torch.tensor(component.high)
            finite = torch.isfinite(low) & torch.isfinite(high)
            self.register_buffer("centre", torch.where(finite, (low + high) / 2, 0.0), False)
            self.register_buffer("reach", torch.where(finite, (high - low) / 2, 1.0), False)
            return
        choices = component.n if isinstance(component, Categorical) else 2
        keys = len(component.keys) if isinstance(component, Binary) else 1
        self.table = nn.Embedding(per_frame * keys * choices, width)
        nn.init.normal_(self.table.weight, 0.0, 0.5)
        self.register_buffer("offset", torch.arange(per_frame * keys) * choices, False)

    def forward(self, value: Tensor) -> Tensor:
        lead = value.dim() - len(self.component.shape) - (self.per_frame > 1)
        if isinstance(self.component, Continuous):
            scaled = (value.float() - self.centre) / self.reach
            return self.linear(scaled.flatten(lead) if value.dim() > lead else scaled)
        index = value.long().reshape(*value.shape[:lead], -1) + self.offset
        return self.table(index).sum(-2)


class ActionEncoder(nn.Module):
    """One token for each frame: a learned base plus the sum over components.

    Where a step has no label only the base is used: not zeros, not an extra
    token (arXiv 2509.24527, section 3). Labels are masked per step.
    """

    def __init__(self, spec: ActionSpec, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.base = nn.Parameter(0.5 * torch.randn(width))
        self.parts = nn.ModuleList(_Part(c, spec.per_frame, width) for c in spec.components)

    def forward(self, action: Action) -> Tensor:
        """Values `[*lead, ...]`, known `[*lead]` to `[*lead, W]`."""
        known = action.known
        total = torch.zeros((), device=known.device)
        null = self.spec.null()
        for component, part in zip(self.spec.components, self.parts, strict=True):
            value = action.values[component.name]
            wide = known.reshape(*known.shape, *(1,) * (value.dim() - known.dim()))
            safe = torch.as_tensor(null[component.name], device=value.device, dtype=value.dtype)
            value = torch.where(wide, value, safe)  # an unlabelled value may be anything, NaN too
            total = total + part(value)
        return self.base + torch.where(known[..., None], total, 0.0)
