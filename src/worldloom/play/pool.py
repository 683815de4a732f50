"""Many players in one world: their states are rows of one batch, stepped together.

A batch has the same number of rows for as long as the pool lives, taken or not: what a
row computes may depend on that number, but not on who sits beside it. Knows worlds;
it knows no session, no thread and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.world import Step, World, require

ROWS = (1, 4, 16, 64)


@dataclass(eq=False)
class Seat:
    """One player's state: a row of the pool's batch, or beside it, where it costs no time.

    Args:
      state: of one row, while it is beside.
      row: in the batch, while it is there.
    """

    pool: Pool
    state: Any = None
    row: int | None = None

    def __len__(self) -> int:
        return 1

    def view(self) -> Any:
        """The world's own state of one row, good until the next step."""
        return self.state if self.row is None else self.pool.view(self.row)

    def copy(self) -> Seat:
        """An independent state."""
        return Seat(self.pool, self.view().copy())


class Pool:
    """A world whose states are single rows, and which steps many of them at once.

    Args:
      world: can `fork`, and exchange `rows`.
      rows: of every step, however few of them are wanted.
    """

    def __init__(self, world: World, rows: int) -> None:
        require(world, "rows", "playing together")
        self.world: Any = world
        self.rows = rows
        kept = world.spec.capabilities & {"render", "fork", "recall", "reseed"}
        self.spec = replace(world.spec, capabilities=kept)
        self._batch: Any = None
        self._seats: list[Seat | None] = [None] * rows

    @property
    def device(self) -> Any:
        """Where the world computes."""
        return getattr(self.world, "device", "cpu")

    def start(self, clip: Clip, seeds: Tensor) -> tuple[Seat, Step]:
        """As the world's own, for one row."""
        state, step = self.world.start(clip, seeds)
        return Seat(self, state), step

    def step(self, state: Seat, action: Action) -> tuple[Seat, Step]:
        """One step of one seat, at the price of a whole batch."""
        return self.step_together([state], [action])[0]

    def step_together(
        self, seats: Sequence[Seat], actions: Sequence[Action]
    ) -> list[tuple[Seat, Step]]:
        """One step of each of these seats, and of no other.

        Args:
          seats: `rows` of them at most.
          actions: values `[1, ...]`, one for each.
        """
        if not seats:
            return []
        rows = self._gather(seats)
        wanted = set(rows)
        for row, other in enumerate(self._seats):
            if other is not None and row not in wanted:
                self._lift(other)
        self._batch, step = self.world.step(self._batch, self._joined(rows, actions))
        return [(seat, _row(step, row)) for seat, row in zip(seats, rows, strict=True)]

    def render(self, state: Seat, camera: str = "main") -> Tensor:
        """The newest frame, `[1, H, W, 3]` uint8."""
        return self.render_together([state], camera)[0][None]

    def render_together(self, seats: Sequence[Seat], camera: str = "main") -> list[Tensor]:
        """The newest frame of each, `[H, W, 3]` uint8."""
        if not seats:
            return []
        rows = self._gather(seats)
        images = self.world.render(self._batch, camera)
        return [images[row] for row in rows]

    def mark(self, state: Seat, since: Any = None) -> Any:
        """As the world's own."""
        return self.world.mark(state.view(), since)

    def recall(self, mark: Any) -> Seat:
        """As the world's own; the seat stays beside until it is stepped."""
        return Seat(self, self.world.recall(mark))

    def reseed(self, state: Seat, seeds: Tensor) -> Seat:
        """As the world's own."""
        return Seat(self, self.world.reseed(state.view(), seeds))

    def release(self, state: Seat) -> None:
        """Frees the row, however often it is called."""
        if state.row is not None:
            self._seats[state.row] = None
        state.row = state.state = None

    @property
    def taken(self) -> int:
        """How many rows are somebody's."""
        return sum(seat is not None for seat in self._seats)

    def view(self, row: int) -> Any:
        """One row of the batch as a state, in the same memory."""
        return self._batch.view(row)

    def _gather(self, seats: Sequence[Seat]) -> list[int]:
        """Brings these seats into the batch, and tells their rows."""
        if self._batch is None:
            self._batch = seats[0].view()[[0] * self.rows]
        wanted = set(seats)
        for seat in seats:
            if seat.row is None:
                row = self._free_row(wanted)
                self._batch.put(row, seat.state)
                seat.row, seat.state = row, None
                self._seats[row] = seat
        return [seat.row for seat in seats if seat.row is not None]

    def _free_row(self, wanted: set[Seat]) -> int:
        """A row that nobody has, else that of somebody who is not wanted now."""
        if None in self._seats:
            return self._seats.index(None)
        row = next(i for i, seat in enumerate(self._seats) if seat not in wanted)
        other = self._seats[row]
        assert other is not None
        self._lift(other)
        return row

    def _lift(self, seat: Seat) -> None:
        """Takes a seat out of the batch, to stand still beside it."""
        assert seat.row is not None
        self._seats[seat.row] = None
        seat.state, seat.row = self.view(seat.row).copy(), None

    def _joined(self, rows: Sequence[int], actions: Sequence[Action]) -> Action:
        """The actions in their rows; null in those of nobody."""
        null = self.spec.action.null((self.rows,))
        values = {name: torch.from_numpy(value) for name, value in null.items()}
        known = torch.zeros(self.rows, dtype=torch.bool)
        for row, action in zip(rows, actions, strict=True):
            known[row] = action.known[0]
            for name, value in values.items():
                value[row] = action.values[name][0]
        return Action(values, known)


def _row(step: Step, row: int) -> Step:
    """One row of what came with a step."""
    one = slice(row, row + 1)
    fields = (step.reward, step.terminated, step.truncated, step.doubt)
    return Step(*(None if field is None else field[one].clone() for field in fields))


def pooled(world: World, sessions: int) -> World:
    """The world as a server for so many sessions steps it.

    For one person with a second tab it stays as it is: a step of one row is the quickest.
    Environments stay too, one for each session.
    """
    rows = 1 if sessions <= 2 else next((n for n in ROWS if n >= sessions), ROWS[-1])
    return Pool(world, rows) if rows > 1 and "rows" in world.spec.capabilities else world
