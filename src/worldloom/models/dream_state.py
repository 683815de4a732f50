"""A batch of moments of a dream, as a value; and one moment kept in little room."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worldloom.models.agent import Mind
from worldloom.models.cache import Ring
from worldloom.models.cells import Cell, Cells


@dataclass
class DreamState:
    """A batch of moments of a dream.

    Args:
      ring: the committed past; `ring.count` is the number of the next frame.
      latents: `[B, W, N, D]` the last W frames that were shown, newest last.
      before: `[B, N, copy * D]` the last frames as they were committed, newest first, zeros
        before the first.
      seeds: `[B]` int64.
      mind: of the agents in it; None in a world without.
      doubt: `[B]` how likely the newest frame is wrong; None in a world that does not tell.
    """

    ring: Ring
    latents: Tensor
    before: Tensor
    seeds: Tensor
    mind: Mind | None = None
    doubt: Tensor | None = None

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> "DreamState":
        if not isinstance(rows, slice):
            rows = torch.as_tensor(rows, dtype=torch.int64, device=self.seeds.device)
            return self._pick(rows)
        return self._pick(rows).copy()

    def _pick(self, rows: slice | Tensor) -> "DreamState":
        mind = None if self.mind is None else self.mind[rows]
        ring, latents, before = self.ring[rows], self.latents[rows], self.before[rows]
        return DreamState(ring, latents, before, self.seeds[rows], mind, self._doubt(rows))

    def _doubt(self, rows: slice | Tensor) -> Tensor | None:
        return None if self.doubt is None else self.doubt[rows]

    def copy(self) -> "DreamState":
        mind = None if self.mind is None else self.mind.copy()
        doubt = None if self.doubt is None else self.doubt.clone()
        latents, before = self.latents.clone(), self.before.clone()
        return DreamState(self.ring.copy(), latents, before, self.seeds.clone(), mind, doubt)

    def view(self, row: int) -> "DreamState":
        """One row as a state, in the same memory: to mark or to copy, before the next step."""
        one = slice(row, row + 1)
        mind = None if self.mind is None else self.mind.view(row)
        ring, latents, before = self.ring.view(row), self.latents[one], self.before[one]
        return DreamState(ring, latents, before, self.seeds[one], mind, self._doubt(one))

    @torch.inference_mode()
    def put(self, row: int, other: "DreamState") -> None:
        """Overwrites one row in place with the only row of `other`; the others keep every bit.

        A batch of fixed size serves players who come and go: `state = one[[0] * rows]` to
        begin with, `state.put(row, world.start(...)[0])` for who comes, or
        `state.put(row, world.recall(mark))` for who goes back.
        """
        if len(other) != 1:
            raise ValueError(f"a row is put in place of a row; `other` has {len(other)}")
        self.ring.put(row, other.ring)
        self.latents[row] = other.latents[0]
        self.before[row] = other.before[0]
        self.seeds[row] = other.seeds[0]
        if self.mind is not None and other.mind is not None:
            self.mind.put(row, other.mind)
        if self.doubt is not None and other.doubt is not None:
            self.doubt[row] = other.doubt[0]

    @classmethod
    def stack(cls, states: Sequence["DreamState"]) -> "DreamState":
        minds = [state.mind for state in states if state.mind is not None]
        doubts = [state.doubt for state in states if state.doubt is not None]
        return cls(
            Ring.stack([state.ring for state in states]),
            torch.cat([state.latents for state in states]),
            torch.cat([state.before for state in states]),
            torch.cat([state.seeds for state in states]),
            Mind.stack(minds) if minds else None,
            torch.cat(doubts) if doubts else None,
        )


@dataclass(frozen=True)
class DreamMark:
    """A moment of a dream, from which its state is put together again exactly.

    What frames leave never changes, so the marks of one past hold the same cells: a further
    mark costs one frame.

    Args:
      frames: what single frames left, newest first, as many as the state remembers: `cached`
        `[B, F]` keys and values, `shown` and `before` `[B, N, D]` latents as shown and as
        committed, `count` and `seeds` of the state then. With agents also what their ring has
        of it, `thought`, and the rest of their `Mind`; in a world
        that tells it, `doubt`.
      cells: where what the frames of this past leave is kept.
    """

    frames: tuple[Cell, ...]
    cells: Cells
