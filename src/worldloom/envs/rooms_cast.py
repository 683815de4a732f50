"""Looking into Rooms: rays through rectangles, whole arrays of cameras at once.

A room is a rectangle, so a ray leaves it at one point, which no stepping from cell to
cell has to find; through an open door it goes on into the next. Each column of the
picture is then one strip of a table. Knows plans and cameras, no game.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from worldloom.envs.rooms_plan import CLOSED, NO_ROOM, OPEN, PALETTE

UNIT = 256  # parts of a cell, the unit of all places
ROWS, COLUMNS = 48, 64  # of a picture; the view is 90 degrees wide
TURNS = 24  # headings, 15 degrees apart; 0 looks right on the plan, and they go clockwise
TALL = 5  # cells from floor to ceiling; eyes are halfway
FINE = 8  # heights of a wall in the picture, to one part in so many of a pixel
PANEL = PALETTE  # the colour of a closed door, after those of walls
COLOURS = np.array(
    [
        *((224, 64, 56), (246, 150, 40), (240, 216, 60), (150, 206, 58)),
        *((48, 150, 66), (34, 178, 170), (80, 196, 246), (44, 100, 220)),
        *((110, 66, 200), (190, 80, 214), (246, 110, 178), (140, 30, 70)),
        *((130, 84, 40), (246, 196, 160), (20, 70, 80), (230, 236, 240)),
        (118, 118, 118),
    ],
    np.uint8,
)
"""`[PALETTE + 1, 3]` of walls, and of the panel."""
_CEILING, _FLOOR = (58, 60, 66), (92, 84, 74)
_SHADES = (1.0, 0.82)  # walls that run up and down on the plan, and those across
_HEIGHTS = ROWS // 2 * FINE + 1


@dataclass(frozen=True)
class Sight:
    """What each column of each picture shows.

    Args:
      depth: `[M, 64]` float64 cells from the camera's plane to the wall.
      room: `[M, 64]` which room's wall, or panel, it is.
      beyond: `[M, 64]` the room behind a panel, `NO_ROOM` where it is a wall.
      across: `[M, 64]` bool, whether the wall runs across the plan, not up and down.
    """

    depth: np.ndarray
    room: np.ndarray
    beyond: np.ndarray
    across: np.ndarray

    def columns(self) -> np.ndarray:
        """How many columns show the walls or panels of each room, `[M, 9]`."""
        return (self.room[:, :, None] == np.arange(9)).sum(1)


@lru_cache(maxsize=1)
def directions() -> tuple[np.ndarray, np.ndarray]:
    """The rays of every heading, `[24, 64]` along x and along y, 1 long along the view."""
    angle = np.arange(TURNS)[:, None] * (2 * np.pi / TURNS)
    side = (2 * np.arange(COLUMNS) + 1) / COLUMNS - 1
    ahead_x, ahead_y = np.cos(angle), np.sin(angle)
    x, y = ahead_x - side * ahead_y, ahead_y + side * ahead_x
    tiny = 1e-9  # no ray is quite parallel to a wall
    return np.where(np.abs(x) < tiny, tiny, x), np.where(np.abs(y) < tiny, tiny, y)


def look(
    plans: np.ndarray, row: np.ndarray, x: np.ndarray, y: np.ndarray, heading: np.ndarray
) -> Sight:
    """Casts the rays of M cameras.

    Args:
      plans: `[N]` records of `rooms_plan.PLAN`.
      row: `[M]` which plan each camera is in.
      x: `[M]` int, in parts of a cell.
      y: `[M]` int.
      heading: `[M]` int from 0 to 23.
    """
    go_x, go_y = (table[heading].ravel() for table in directions())
    plan = row.repeat(COLUMNS)
    from_x, from_y = (x / UNIT).repeat(COLUMNS), (y / UNIT).repeat(COLUMNS)
    hit = np.empty(len(plan), np.uint8)
    depth, across = np.empty(len(plan)), np.empty(len(plan), bool)
    beyond = np.full(len(plan), NO_ROOM, np.uint8)
    room = plans["cell"][row, y // UNIT, x // UNIT].repeat(COLUMNS)
    box, cells = plans["box"], plans["cell"]
    live: slice | np.ndarray = slice(None)
    while len(plan):
        left, top, right, bottom = box[plan, room].T
        line_x, line_y = np.where(go_x > 0, right, left), np.where(go_y > 0, bottom, top)
        far_x, far_y = (line_x - from_x) / go_x, (line_y - from_y) / go_y
        level, far = far_y < far_x, np.minimum(far_x, far_y)
        # Rounding may put the point a hair beyond a corner.
        hit_x = np.minimum(np.maximum((from_x + far * go_x).astype(np.int64), left), right - 1)
        hit_y = np.minimum(np.maximum((from_y + far * go_y).astype(np.int64), top), bottom - 1)
        stands = np.where(
            level, plans["level"][plan, line_y, hit_x], plans["upright"][plan, hit_y, line_x]
        )
        hit[live], depth[live], across[live] = room, far, level
        door = (stands >= OPEN).nonzero()[0]
        if not door.size:
            break
        plan, level, stands = plan[door], level[door], stands[door]
        from_x, from_y, go_x, go_y = from_x[door], from_y[door], go_x[door], go_y[door]
        behind_x = np.where(level, hit_x[door], line_x[door] - (go_x < 0))
        behind_y = np.where(level, line_y[door] - (go_y < 0), hit_y[door])
        room = cells[plan, behind_y, behind_x]
        live = door if isinstance(live, slice) else live[door]
        beyond[live] = np.where(stands == CLOSED, room, NO_ROOM)
        on = (stands == OPEN).nonzero()[0]
        live, plan, room = live[on], plan[on], room[on]
        from_x, from_y, go_x, go_y = from_x[on], from_y[on], go_x[on], go_y[on]
    shape = (len(row), COLUMNS)
    return Sight(*(a.reshape(shape) for a in (depth, hit, beyond, across)))


@lru_cache(maxsize=1)
def strips() -> np.ndarray:
    """Columns of pictures, `[colours, across, heights, 48, 3]` uint8."""
    half = np.arange(_HEIGHTS)[:, None] / FINE
    away = np.abs(np.arange(ROWS) - (ROWS - 1) / 2)
    cover = np.clip(half - away + 0.5, 0, 1)[..., None]
    light = 0.6 + 0.4 * half / (ROWS // 2)
    wall = COLOURS[:, None, None, None] * (np.array(_SHADES)[:, None, None] * light)[..., None]
    ground = np.where(np.arange(ROWS)[:, None] < ROWS // 2, _CEILING, _FLOOR)
    ground = ground * (0.6 + 0.4 * away[:, None] / (ROWS // 2))
    return np.round(cover * wall + (1 - cover) * ground).astype(np.uint8)


def draw(plans: np.ndarray, row: np.ndarray, sight: Sight) -> np.ndarray:
    """The pictures `[M, 48, 64, 3]` uint8 of what M cameras see, a fresh array."""
    colour = np.where(sight.beyond == NO_ROOM, plans["colour"][row[:, None], sight.room], PANEL)
    half = (COLUMNS // 2) * (TALL / 2) / np.maximum(sight.depth, 1e-3)
    height = np.minimum(half * FINE + 0.5, _HEIGHTS - 1).astype(np.int64)
    strip = (colour * np.int64(2) + sight.across) * _HEIGHTS + height
    columns = strips().reshape(-1, ROWS, 3).take(strip, axis=0)
    return columns.swapaxes(1, 2).copy()
