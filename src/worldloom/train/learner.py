"""A model that learns: its weights, their average, its optimisers, and how far it got."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from worldloom.errors import WorldloomError
from worldloom.train.checkpoint import (
    flatten_optimizer,
    load_strictly,
    read_tensors,
    restore_optimizer,
    write_tensors,
)
from worldloom.train.dist import Ranks
from worldloom.train.optim import (
    Schedule,
    optimizers,
    rate_share,
    running_scale,
    set_rate,
    update_average,
)


class Learner:
    """Owns everything that changes while learning; `save` and `load` keep all of it.

    Args:
      objective: a module whose `model` is trained, whose call returns losses
        `[K]`, and which names them in `terms` and weighs them by `weights`. Each is
        divided by its running size, but for those that it names in `unscaled`. Numbers
        behind them, which it names in `told`, are written down and not learned from.
      schedule: how long and how fast.
      ranks: this process among all.
    """

    def __init__(self, objective: nn.Module, schedule: Schedule, ranks: Ranks) -> None:
        self.model: nn.Module = objective.get_submodule("model").to(ranks.device)
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.schedule, self.ranks = schedule, ranks
        self.optimizers = optimizers(self.model, schedule)
        self.terms: tuple[str, ...] = tuple(objective.terms)  # type: ignore[arg-type]
        self.told: tuple[str, ...] = tuple(getattr(objective, "told", ()))
        self.weights = torch.tensor(objective.weights, device=ranks.device)
        # Terms whose size means nothing, or that may be 0 or less, are taken as they are.
        unscaled = getattr(objective, "unscaled", ())
        self._unscaled = torch.tensor(
            [name in unscaled for name in self.terms], device=ranks.device
        )
        self.mean_square = torch.zeros(len(self.terms), device=ranks.device)
        self.step = 0
        self._weights = list(self.model.parameters())
        self._averages = list(self.average.parameters())
        wrapped = objective.to(ranks.device)
        if ranks.world_size > 1:
            wrapped = DistributedDataParallel(wrapped)
        self._objective = wrapped

    def update(self, *inputs: Any) -> dict[str, Tensor]:
        """One step on `inputs` of the objective; returns scalars that are still on the device."""
        set_rate(self.optimizers, rate_share(self.step, self.schedule))
        half = self.ranks.device.type == "cuda"
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=half):
            found = self._objective(*inputs)
        means, count = self.ranks.mean(found), len(self.terms)
        losses, everyone = found[:count], means[:count]
        scale = running_scale(self.mean_square, everyone, self.step)
        scale = torch.where(self._unscaled, 1.0, scale)
        (losses / scale * self.weights).sum().backward()
        norm = nn.utils.clip_grad_norm_(self._weights, self.schedule.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        update_average(self._averages, self._weights, self.step, self.schedule.ema)
        self.step += 1
        rows = dict(zip(self.terms + self.told, means, strict=True))
        return {**rows, "loss": everyone.sum(), "gradient_norm": norm.detach()}

    def save(self, path: Path) -> None:
        """Writes everything to `path`, atomically."""
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.state_dict().items()}
        for index, optimizer in enumerate(self.optimizers):
            tensors |= flatten_optimizer(optimizer, f"optimizer{index}")
        tensors["mean_square"] = self.mean_square
        write_tensors(path, tensors, {"step": self.step})

    def load(self, path: Path) -> None:
        """Takes up exactly where `save` left off.

        Raises:
          WorldloomError: a part is missing, or does not fit this model and schedule.
        """
        tensors, facts = read_tensors(path)
        begun = facts.get("step", 0) > 0
        for name in ["mean_square", *(f"optimizer{i}/" for i in range(len(self.optimizers)))]:
            if "step" not in facts or (begun and not any(k.startswith(name) for k in tensors)):
                raise WorldloomError(
                    f"`{path}` does not hold all that training needs: no {name.rstrip('/')}",
                    "restore the file, or train again in another run folder",
                )
        for name, module in (("model", self.model), ("average", self.average)):
            head = f"{name}/"
            part = {k.removeprefix(head): v for k, v in tensors.items() if k.startswith(head)}
            load_strictly(module, part, f"`{path}` ({name})")
        for index, optimizer in enumerate(self.optimizers):
            restore_optimizer(optimizer, f"optimizer{index}", tensors)
        self.mean_square.copy_(tensors["mean_square"])
        self.step = int(facts["step"])
