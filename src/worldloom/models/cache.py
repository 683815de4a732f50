"""A ring of committed keys and values, with static shapes.

Keeps the last `window - 1` frames of every row. Keys are stored un-rotated
and rotated when a frame begins, by minus their age, so nothing depends on how
long a world has been running. Rows may have different ages: a row's place in
its ring follows from its own frame count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worldloom.models.blocks import TimeCache, rotary_angles, rotate


@dataclass
class Ring:
    """Committed keys and values of all time layers.

    Args:
      k: `[B, L, R, slots, Hkv, d]` with R = window - 1.
      v: `[B, L, R, slots, Hkv, d]`.
      count: `[B]` int64 frames committed so far.
    """

    k: Tensor
    v: Tensor
    count: Tensor

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> "Ring":
        return Ring(self.k[rows], self.v[rows], self.count[rows])

    def copy(self) -> "Ring":
        return Ring(self.k.clone(), self.v.clone(), self.count.clone())

    @classmethod
    def stack(cls, rings: Sequence["Ring"]) -> "Ring":
        return cls(
            torch.cat([ring.k for ring in rings]),
            torch.cat([ring.v for ring in rings]),
            torch.cat([ring.count for ring in rings]),
        )

    @classmethod
    def empty(
        cls, rows: int, layers: int, frame: tuple[int, int, int], window: int, device: torch.device
    ) -> "Ring":
        """A ring without history; `frame` is (slots, key heads, head width)."""
        shape = (rows, layers, window - 1, *frame)
        return cls(
            torch.zeros(shape, device=device),
            torch.zeros(shape, device=device),
            torch.zeros(rows, dtype=torch.int64, device=device),
        )

    def age(self) -> Tensor:
        """`[B, R]` how many frames ago each place was written; above R where it never was."""
        size = self.k.shape[2]
        place = torch.arange(size, device=self.count.device)
        age = (self.count[:, None] - 1 - place) % size + 1
        return torch.where(age <= self.count[:, None], age, size + 1)

    def past(self) -> list[TimeCache]:
        """What every time layer of the next frame reads: rotated keys, values, mask."""
        rows, layers, size, slots, heads, dim = self.k.shape
        age = self.age()
        cos, sin = rotary_angles(-age, dim)
        cos, sin = cos[:, None, :, None, None], sin[:, None, :, None, None]
        turned = rotate(self.k, cos, sin)
        written = torch.cat([age <= size, torch.ones_like(age[:, :1], dtype=torch.bool)], 1)
        mask = written.repeat_interleave(slots, 0)[:, None, None, None]
        order = (1, 0, 3, 4, 2, 5)
        shape = (layers, rows * slots, heads, size, dim)
        keys = turned.permute(order).reshape(shape)
        values = self.v.permute(order).reshape(shape)
        return [TimeCache(keys[layer], values[layer], mask) for layer in range(layers)]

    def commit(self, fresh: list[tuple[Tensor, Tensor]]) -> None:
        """Writes one frame in place over the oldest. `fresh`: k, v `[B, slots, Hkv, d]` a layer."""
        rows = torch.arange(len(self.count), device=self.count.device)
        place = self.count % self.k.shape[2]
        self.k[rows, :, place] = torch.stack([k for k, _ in fresh], 1)
        self.v[rows, :, place] = torch.stack([v for _, v in fresh], 1)
        self.count = self.count + 1
