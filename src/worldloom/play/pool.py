"""Many players in one world: their states are rows of one batch, stepped together.

Every batch has the same number of rows for as long as the pool lives, taken or not: what
a row computes may depend on that number, but not on who sits beside it. Batches stay
where they are between steps, so that only who comes or goes is copied. Knows worlds; it
knows no session, no thread and no clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.world import Step, World, require

# More rows cost a lonely player more time than they save a crowd.
MOST_ROWS = 64
BEGUN = 32  # starts that are kept


@dataclass(eq=False)
class _Table:
    """A batch, and who sits where.

    Args:
      batch: the world's state of all rows.
      seats: of each row, None where nobody sits.
    """

    batch: Any
    seats: list[Seat | None]


@dataclass(eq=False)
class Seat:
    """One player's state: a row of a batch, or beside them all, where it costs no time.

    Args:
      state: of one row, while it is beside.
      table: the batch, while it is in one.
      row: in that batch.
    """

    state: Any = None
    table: _Table | None = None
    row: int = 0

    def __len__(self) -> int:
        return 1

    def view(self) -> Any:
        """The world's own state of one row, good until the next step."""
        return self.state if self.table is None else self.table.batch.view(self.row)

    def copy(self) -> Seat:
        """An independent state."""
        return Seat(self.view().copy())

    def stand(self) -> None:
        """Leaves the batch with what it holds."""
        if self.table is not None:
            self.state = self.view().copy()
            self.table.seats[self.row] = self.table = None

    def sit(self, table: _Table, row: int) -> None:
        """Takes a row of a batch, in place of whoever has it."""
        other = table.seats[row]
        if other is not None:
            other.stand()
        table.batch.put(row, self.view())
        if self.table is not None:
            self.table.seats[self.row] = None
        table.seats[row] = self
        self.state, self.table, self.row = None, table, row

    def leave(self) -> None:
        """Leaves and forgets, however often."""
        if self.table is not None:
            self.table.seats[self.row] = self.table = None
        self.state = None


class Pool:
    """A world whose states are single rows, and which steps many of them at once.

    Args:
      world: can `fork`, and exchange `rows`.
      rows: of every step, however few of them are wanted.
      tables: so many batches are kept at most; more players than fit take turns.
    """

    def __init__(self, world: World, rows: int, tables: int = 1) -> None:
        require(world, "rows", "playing together")
        self.world: Any = world
        self.rows = rows
        kept = world.spec.capabilities & {"render", "fork", "recall", "reseed"}
        self.spec = replace(world.spec, capabilities=kept)
        self._most = tables
        self._tables: list[_Table] = []
        # The clip is kept too: its id is its own for as long as it lives.
        self._begun: dict[tuple[int, int], tuple[Clip, Any, Step]] = {}

    @property
    def device(self) -> Any:
        """Where the world computes."""
        return getattr(self.world, "device", "cpu")

    @property
    def about(self) -> str:
        """The world's own words, and how many share a step."""
        words = getattr(self.world, "about", "")
        return ", ".join(filter(None, (words, f"{self.rows} rows a step")))

    def start(self, clip: Clip, seeds: Tensor) -> tuple[Seat, Step]:
        """As the world's own, for one row; the same clip and seed are begun only once.

        A start commits a whole context frame by frame, while everybody else waits.
        """
        key = (id(clip), int(seeds[0]))
        if key not in self._begun or "recall" not in self.spec.capabilities:
            state, step = self.world.start(clip, seeds)
            if "recall" in self.spec.capabilities:
                self._begun[key] = (clip, self.world.mark(state), step)
                while len(self._begun) > BEGUN:
                    del self._begun[next(iter(self._begun))]
            return Seat(state), step
        _, mark, step = self._begun[key]
        return Seat(self.world.recall(mark)), step

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
        table = self._gather(seats)
        due = set(seats)
        for other in table.seats:
            if other is not None and other not in due:
                other.stand()
        table.batch, step = self.world.step(table.batch, self._joined(seats, actions))
        return [(seat, _row(step, seat.row)) for seat in seats]

    def render(self, state: Seat, camera: str = "main") -> Tensor:
        """The newest frame, `[1, H, W, 3]` uint8."""
        return self.render_together([state], camera)[0][None]

    def render_together(self, seats: Sequence[Seat], camera: str = "main") -> list[Tensor]:
        """The newest frame of each, `[H, W, 3]` uint8."""
        if not seats:
            return []
        images = self.world.render(self._gather(seats).batch, camera)
        return [images[seat.row] for seat in seats]

    def mark(self, state: Seat, since: Any = None) -> Any:
        """As the world's own."""
        return self.world.mark(state.view(), since)

    def recall(self, mark: Any) -> Seat:
        """As the world's own; the seat stays beside until it is stepped."""
        return Seat(self.world.recall(mark))

    def reseed(self, state: Seat, seeds: Tensor) -> Seat:
        """As the world's own."""
        return Seat(self.world.reseed(state.view(), seeds))

    def release(self, state: Seat) -> None:
        """Frees the row, however often it is called."""
        state.leave()

    @property
    def taken(self) -> int:
        """How many rows are somebody's."""
        return sum(self.rows - table.seats.count(None) for table in self._tables)

    def _gather(self, seats: Sequence[Seat]) -> _Table:
        """Brings these seats into one batch."""
        table = self._table_for(seats)
        due = set(seats)
        free = [row for row, seat in enumerate(table.seats) if seat is None]
        free += [row for row, seat in enumerate(table.seats) if seat and seat not in due]
        for seat in seats:
            if seat.table is not table:
                seat.sit(table, free.pop(0))
        return table

    def _table_for(self, seats: Sequence[Seat]) -> _Table:
        """Where most of them sit, else one with room, else a new one."""
        tables = [seat.table for seat in seats if seat.table is not None]
        if tables:
            return max(dict.fromkeys(tables), key=tables.count)
        emptiest = max(self._tables, key=lambda table: table.seats.count(None), default=None)
        full = emptiest is None or emptiest.seats.count(None) < len(seats)
        if emptiest is None or (full and len(self._tables) < self._most):
            emptiest = _Table(seats[0].view()[[0] * self.rows], [None] * self.rows)
            self._tables.append(emptiest)
        return emptiest

    def _joined(self, seats: Sequence[Seat], actions: Sequence[Action]) -> Action:
        """The actions in their rows; null in those of nobody."""
        null = self.spec.action.null((self.rows,))
        values = {name: torch.from_numpy(value) for name, value in null.items()}
        known = torch.zeros(self.rows, dtype=torch.bool)
        for seat, action in zip(seats, actions, strict=True):
            known[seat.row] = action.known[0]
            for name, value in values.items():
                value[seat.row] = action.values[name][0]
        return Action(values, known)


def _row(step: Step, row: int) -> Step:
    """One row of what came with a step."""
    one = slice(row, row + 1)
    fields = (step.reward, step.terminated, step.truncated, step.doubt)
    return Step(*(None if field is None else field[one].clone() for field in fields))


def pooled(world: World, sessions: int) -> World:
    """The world as a server for so many sessions steps it.

    For one person with a second tab it stays as it is: a step of one row is the quickest.
    Environments stay too, one for each session. Others share batches of equal size.
    """
    if sessions <= 2 or "rows" not in world.spec.capabilities:
        return world
    tables = math.ceil(sessions / MOST_ROWS)
    return Pool(world, math.ceil(sessions / tables), tables)
