"""Room for records of one kind, in blocks of many, used again once nobody holds a record.

What is kept of a tick lives for minutes. As tensors of their own such records lie between the
temporaries of a step, and were it only with the few hundred bytes by which PyTorch describes
each; the allocator places later temporaries elsewhere, and the process goes on growing for
long after what it keeps has ceased to. Knows tensors; not what they mean.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

BLOCK = 2**20
"""Bytes of a block, about; a larger record has one of its own."""


class Cell:
    """One record, for as long as somebody holds it; made by `Cells.keep`."""

    __slots__ = ("_block", "_free", "_row")

    def __init__(self, free: list[tuple[dict[str, Tensor], int]]) -> None:
        self._free = free
        self._block, self._row = free.pop()

    def write(self, record: Mapping[str, Tensor]) -> None:
        """Takes a copy."""
        for name, room in self._block.items():
            room[self._row].copy_(record[name])

    def read(self) -> dict[str, Tensor]:
        """The record where it lies: to be used at once, while the cell is held."""
        return {name: room[self._row] for name, room in self._block.items()}

    def __del__(self) -> None:
        self._free.append((self._block, self._row))


class Cells:
    """Makes cells. Its blocks go when it and all its cells are gone.

    Args:
      like: a record, of the names, shapes, number types and device of all that follow.
    """

    def __init__(self, like: Mapping[str, Tensor]) -> None:
        self._like = {name: torch.empty_like(part) for name, part in like.items()}
        size = sum(part.nbytes for part in like.values())
        self._rows = max(1, BLOCK // max(1, size))
        self._free: list[tuple[dict[str, Tensor], int]] = []

    def keep(self, record: Mapping[str, Tensor]) -> Cell:
        """Copies a record into a free cell."""
        if not self._free:
            like = self._like.items()
            block = {name: part.new_empty(self._rows, *part.shape) for name, part in like}
            self._free += [(block, row) for row in reversed(range(self._rows))]
        cell = Cell(self._free)
        cell.write(record)
        return cell
