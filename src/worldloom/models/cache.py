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

from worldloom.models.blocks import rotary_angles


@dataclass
class Past:
    """What the frame being computed reads of its past.

    The last of the R + 1 places is the frame's own; every pass overwrites it.

    Args:
      k: for each time layer `[B * slots * Hkv, R + 1, d]` keys, rotated by minus their age.
      v: for each time layer `[B * slots * Hkv, R + 1, d]`, in the ring's own memory.
      bias: `[B, 1, R + 1]` float32: 0 where written, and for the frame itself, else -inf.
    """

    k: list[Tensor]
    v: list[Tensor]
    bias: Tensor


@dataclass
class Ring:
    """Committed keys and values of all time layers.

    Args:
      k: for each time layer `[B, slots, Hkv, R, d]` with R = window - 1.
      v: for each time layer `[B, slots, Hkv, R + 1, d]`; the last place is scratch
        for the frame that is being computed.
      count: `[B]` int64 frames committed so far.
    """

    k: tuple[Tensor, ...]
    v: tuple[Tensor, ...]
    count: Tensor

    def __post_init__(self) -> None:
        # Where `past` turns the keys, once it has been asked for; no part of the value.
        self._turned: list[Tensor] = []

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> "Ring":
        return Ring(
            tuple(k[rows] for k in self.k), tuple(v[rows] for v in self.v), self.count[rows]
        )

    def copy(self) -> "Ring":
        return Ring(
            tuple(k.clone() for k in self.k), tuple(v.clone() for v in self.v), self.count.clone()
        )

    def view(self, row: int) -> "Ring":
        """One row, in the same memory."""
        one = slice(row, row + 1)
        return Ring(tuple(k[one] for k in self.k), tuple(v[one] for v in self.v), self.count[one])

    def put(self, row: int, other: "Ring") -> None:
        """Overwrites one row in place with the only row of `other`."""
        for old, new in zip((*self.k, *self.v), (*other.k, *other.v), strict=True):
            old[row] = new[0]
        self.count[row] = other.count[0]

    @classmethod
    def stack(cls, rings: Sequence["Ring"]) -> "Ring":
        return cls(
            tuple(torch.cat(parts) for parts in zip(*(ring.k for ring in rings), strict=True)),
            tuple(torch.cat(parts) for parts in zip(*(ring.v for ring in rings), strict=True)),
            torch.cat([ring.count for ring in rings]),
        )

    @classmethod
    def empty(
        cls,
        rows: int,
        slots: Sequence[int],
        head: tuple[int, int],
        window: int,
        like: Tensor,
    ) -> "Ring":
        """A ring without history.

        Args:
          rows: B.
          slots: of each time layer.
          head: (key heads, width of one).
          window: frames that a time layer sees, the current one included.
          like: lends its device and number type.
        """
        heads, dim = head
        return cls(
            tuple(like.new_zeros(rows, n, heads, window - 1, dim) for n in slots),
            tuple(like.new_zeros(rows, n, heads, window, dim) for n in slots),
            like.new_zeros(rows, dtype=torch.int64),
        )

    def age(self) -> Tensor:
        """`[B, R]` how many frames ago each place was written; above R where it never was."""
        size = self.k[0].shape[3]
        place = torch.arange(size, device=self.count.device)
        age = (self.count[:, None] - 1 - place) % size + 1
        return torch.where(age <= self.count[:, None], age, size + 1)

    def frame(self, age: int) -> Tensor:
        """What the frame `age` frames ago left, the newest being 1.

        Args:
          age: from 1 to R.

        Returns:
          `[B, F]` its keys and values of all layers, zeros where no frame was committed.
        """
        rows = torch.arange(len(self.count), device=self.count.device)
        place = (self.count - age) % self.k[0].shape[3]
        return torch.cat([part[rows, :, :, place].flatten(1) for part in (*self.k, *self.v)], 1)

    def refill(self, frames: Sequence[Tensor], count: Tensor) -> None:
        """Puts frames back where they were, to the bit.

        Args:
          frames: what `frame` gave for ages 1 to R.
          count: `[B]` of the ring that they were taken from.
        """
        size = self.k[0].shape[3]
        place = torch.arange(size, device=count.device)
        rows = torch.arange(len(count), device=count.device)[:, None]
        parts = (*self.k, *(v[..., :-1, :] for v in self.v))
        widths = [part[:, :, :, 0].flatten(1).shape[1] for part in parts]
        by_place = torch.stack(list(frames), 1)[rows, (count[:, None] - 1 - place) % size]
        for part, values in zip(parts, by_place.split(widths, -1), strict=True):
            slots, heads, _, dim = part.shape[1:]
            part.copy_(values.unflatten(-1, (slots, heads, dim)).movedim(1, 3))
        self.count = count.clone()

    def past(self) -> Past:
        """What the next frame reads: rotated keys, values, and where nothing was written yet.

        Good until the ring is asked again: it has one place to turn its keys in.
        """
        self._turned = self._turned or [torch.empty_like(v) for v in self.v]
        size, dim = self.k[0].shape[3:]
        age = self.age()
        cos, sin = rotary_angles(-age, dim)
        cos, sin = (x.to(self.k[0].dtype)[:, None, None] for x in (cos, sin))
        keys = []
        for k, rotated in zip(self.k, self._turned, strict=True):
            (a, b), (to_a, to_b) = k.chunk(2, -1), rotated[..., :-1, :].chunk(2, -1)
            torch.mul(a, cos, out=to_a).addcmul_(b, sin, value=-1)
            torch.mul(b, cos, out=to_b).addcmul_(a, sin)
            keys.append(rotated.flatten(0, 2))
        bias = cos.new_zeros(len(age), 1, size + 1, dtype=torch.float32)
        bias[:, 0, :-1].masked_fill_(age > size, float("-inf"))
        return Past(keys, [v.flatten(0, 2) for v in self.v], bias)

    def commit(self, fresh: list[tuple[Tensor, Tensor]]) -> None:
        """Writes one frame in place over the oldest.

        Args:
          fresh: for each time layer k, v `[B, slots, Hkv, d]`.
        """
        rows = torch.arange(len(self.count), device=self.count.device)
        place = self.count % self.k[0].shape[3]
        for ring_k, ring_v, (k, v) in zip(self.k, self.v, fresh, strict=True):
            ring_k[rows, :, :, place] = k
            ring_v[rows, :, :, place] = v
        self.count.add_(1)
