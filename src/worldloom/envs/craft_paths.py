"""Ways on the map of Craft, by flooding: a set of cells is one big integer.

Bit `cell` of the integer is the cell; moving a whole set by one cell is a shift.
That floods a map in microseconds. The sea around the map, which nobody enters,
keeps a shift from leaving one row for the next.
"""

import numpy as np

SIDE, PAD = 32, 3  # cells of the map, and of sea on each of its sides: what a view needs
WIDE = SIDE + 2 * PAD
CELLS = WIDE * WIDE
"""Cells are numbered row by row with the sea: `cell = (y + 3) * 38 + x + 3`."""

STEPS = (-1, 1, -WIDE, WIDE)
"""What a step left, right, up and down adds to a cell."""

INSIDE = ((np.arange(SIDE)[:, None] + PAD) * WIDE + np.arange(SIDE) + PAD).reshape(-1)
"""`[1024]` the cells of the map without the sea, row by row."""


def board(mask: np.ndarray) -> int:
    """A set of cells from `[38 * 38]` bool."""
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")


def board_of(cells: np.ndarray, *kinds: int) -> int:
    """The cells that are of one of `kinds`, from the kinds `[38 * 38]` uint8 of all."""
    among = np.zeros(256, bool)
    among[list(kinds)] = True
    return board(among[cells])


def around(cells: int) -> int:
    """All cells beside one of `cells`; a cell of the set only where another is beside it."""
    return cells << 1 | cells >> 1 | cells << WIDE | cells >> WIDE


def flood(start: int, free: int) -> int:
    """All cells of `free` that can be reached from `start` over `free`."""
    reached, new = start, start
    while new:
        new = around(new) & free & ~reached
        reached |= new
    return reached


def distance(start: int, goal: int, free: int) -> int | None:
    """Steps over `free` from `start` to beside a cell of `goal`; None where there is no way."""
    reached, new, steps = start, start, 0
    while new:
        if around(new) & goal:
            return steps
        new = around(new) & free & ~reached
        reached |= new
        steps += 1
    return None


def first_steps(here: int, goal: int, free: int) -> tuple[int, ...]:
    """Directions, as indices of `STEPS`, in which a shortest way to the nearest goal begins.

    From beside a goal it is the direction of the goal itself, which need not be free.

    Args:
      here: the cell to start from.
      goal: set of cells.
      free: set of cells that can be walked.

    Returns:
      One to four directions; none where there is no way.
    """
    own = 1 << here
    reached = new = goal & ~own
    while new:
        if around(new) & own:
            return tuple(d for d, step in enumerate(STEPS) if new >> (here + step) & 1)
        new = around(new) & free & ~reached
        reached |= new
    return ()


def square(cells: int, reach: int) -> int:
    """All cells at most `reach` columns and rows from one of `cells`: where it is in view."""
    for _ in range(reach):
        cells |= cells << 1 | cells >> 1
    for _ in range(reach):
        cells |= cells << WIDE | cells >> WIDE
    return cells
