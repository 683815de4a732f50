"""Muon: momentum whose matrices are orthogonalised (Jordan et al., 2024).

torch has this optimiser, in bfloat16 only; on a CPU without bfloat16 units that
takes longer than the rest of a small model's step. Here it runs in the
parameters' own precision, all matrices of one shape at once.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315  # the quintic of the reference implementation


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Moves the singular values of `[n, rows, columns]` to about 1, by Newton-Schulz steps."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.transpose(1, 2) if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, scaled by sqrt(max(1, rows / columns))."""

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, *, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update; matrices without a gradient stay."""
        del closure
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for shape, members in shapes.items():
                self._update(members, shape, group)

    def _update(self, members: list[Tensor], shape: torch.Size, group: dict) -> None:
        directions = []
        for parameter in members:
            state, gradient = self.state[parameter], parameter.grad
            assert gradient is not None  # `step` picked those that have one
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(gradient, 1 - group["momentum"])
            directions.append(gradient.lerp(state["momentum"], group["momentum"]))
        scale = max(1.0, shape[0] / shape[1]) ** 0.5
        for parameter, update in zip(members, orthogonalise(torch.stack(directions)), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-group["lr"] * scale)
