"""Optimisers, the learning-rate schedule, and the running scale of a loss."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldloom.train.muon import Muon


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    Args:
      steps: updates in all.
      rate: peak learning rate of AdamW; matrices under Muon use `muon_rate`.
      warmup: updates of linear warm-up.
      floor: the cosine ends at this share of the peak.
      clip: largest norm of the gradient.
      decay: weight decay on matrices.
      ema: decay of the weights' exponential moving average.
      muon_rate: None uses AdamW for everything.
    """

    steps: int
    rate: float = 3e-4
    warmup: int = 1000
    floor: float = 0.1
    clip: float = 1.0
    decay: float = 0.01
    ema: float = 0.999
    muon_rate: float | None = None


def rate_share(step: int, schedule: Schedule) -> float:
    """The share of the peak learning rate at `step`: linear warm-up, then a cosine."""
    warmup = min(schedule.warmup, max(1, schedule.steps // 10))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, schedule.steps - warmup)
    return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * min(1, progress)))


def optimizers(model: nn.Module, schedule: Schedule) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon (Jordan et al., 2024) for the matrices inside the layers.

    Weight decay falls on matrices only. Each optimiser remembers its peak rate.
    """
    inner, matrices, rest = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim == 2 and ".layers." in f".{name}" and schedule.muon_rate is not None:
            inner.append(parameter)
        else:
            (matrices if parameter.ndim >= 2 else rest).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": schedule.decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.95), fused=True)
    ]
    if inner:
        found.append(Muon(inner, schedule.muon_rate or 0.0, weight_decay=schedule.decay))
    for optimizer in found:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return found


def set_rate(found: list[torch.optim.Optimizer], share: float) -> None:
    """Sets every group's learning rate to `share` of its peak."""
    for optimizer in found:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share


def running_scale(mean_square: Tensor, losses: Tensor, step: int, decay: float = 0.99) -> Tensor:
    """The running root mean square of each loss `[K]`, bias-corrected and detached.

    Updates `mean_square` `[K]` in place. Divide the losses by the result.
    """
    mean_square.lerp_(losses.detach().float().square(), 1 - decay)
    return (mean_square / (1 - decay ** (step + 1))).sqrt().clamp(min=1e-8)


@torch.no_grad()
def update_average(
    average: Sequence[Tensor], weights: Sequence[Tensor], step: int, decay: float
) -> None:
    """Moves the exponential moving average towards `weights`; early steps move it faster."""
    now = min(decay, (1 + step) / (10 + step))
    for mean, weight in zip(average, weights, strict=True):
        mean.lerp_(weight, 1 - now)
