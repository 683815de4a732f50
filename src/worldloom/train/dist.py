"""One process or many: who am I, and what all ranks agree on.

Started by `torchrun`, every rank draws the same global batch and noise from
(seed, step) and keeps its own rows, so n processes reproduce one process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

from worldloom.errors import WorldloomError


@dataclass(frozen=True)
class Ranks:
    """This process among all of them."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """This rank's rows of a global batch that divides evenly."""
        if batch % self.world_size:
            raise WorldloomError(
                f"a batch of {batch} rows cannot be divided among {self.world_size} processes",
                "start a number of processes that divides the rows of short and long batches",
            )
        share = batch // self.world_size
        return slice(self.rank * share, (self.rank + 1) * share)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over ranks, detached."""
        value = value.detach().clone()
        if self.world_size > 1:
            dist.all_reduce(value)
            value /= self.world_size
        return value


@contextmanager
def ranks() -> Iterator[Ranks]:
    """Joins the process group that `torchrun` announced, or stays alone."""
    cuda = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks(device=torch.device("cuda" if cuda else "cpu"))
        return
    local = int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
