"""The floor plans of Rooms: an apartment as a function of the seed alone.

A grid of 24 by 18 cells is cut in two again and again until there are four to nine
rooms; a spanning tree of doors joins them, every other pair that touches may have a
door too. Half of the doors are closed by a panel that hides what is behind it and
that one walks through like a curtain. Knows where things stand, not how they look.

A plan is one record of fixed size (`PLAN`), so that many of them are one array.
"""

from functools import lru_cache

import numpy as np

from worldloom.envs.hop_level import Dice

WIDTH, HEIGHT = 24, 18  # cells; one is half a metre
MOST, FEWEST = 9, 4  # rooms
LEAST = 4  # cells of the shortest side of a room
DOOR = 2  # cells of a door
TOUCH = 3  # cells of wall that two rooms must share for a door to fit between them
PALETTE = 16  # colours of walls
EXTRA = 20  # percent of the pairs beside the tree that have a door
NOTHING, WALL, OPEN, CLOSED = range(4)  # what stands on the line between two cells
NO_ROOM = 255

PLAN = np.dtype(
    [
        ("seed", "<i8"),
        ("rooms", "<i8"),
        ("box", "<i8", (MOST, 4)),
        ("area", "<i8", MOST),
        ("colour", "u1", MOST),
        ("door", "u1", (MOST, MOST)),
        ("touch", "?", (MOST, MOST)),
        ("cell", "u1", (HEIGHT, WIDTH)),
        ("upright", "u1", (HEIGHT, WIDTH + 1)),
        ("level", "u1", (HEIGHT + 1, WIDTH)),
    ]
)
"""`rooms`: how many. `box`: left, top, right, bottom of each; `area`: all in cells. `colour`: of
its walls. `door`, `touch`: between each two, both ways. `cell`: which room. `upright[y, x]`: what
stands between the cells (x - 1, y) and (x, y); `level[y, x]`: between (x, y - 1) and (x, y)."""

Box = tuple[int, int, int, int]
Wall = tuple[bool, int, int, int]  # upright or not, its line, first cell, the cell after the last


@lru_cache(maxsize=4096)
def make_plan(seed: int) -> np.ndarray:
    """The plan of a seed, a read-only array of one record `[1]`."""
    dice = Dice(seed ^ 0x0F100BB1A2)
    boxes = _boxes(dice, dice.between(FEWEST, MOST))
    plans = np.zeros(1, PLAN)
    plan = plans[0]
    plan["seed"], plan["rooms"] = seed, len(boxes)
    plan["box"][: len(boxes)] = boxes
    colours = list(range(PALETTE))
    plan["colour"] = [dice.pick(colours) for _ in range(MOST)]
    for room, (left, top, right, bottom) in enumerate(boxes):
        plan["area"][room] = (right - left) * (bottom - top)
        plan["cell"][top:bottom, left:right] = room
        plan["upright"][top:bottom, [left, right]] = WALL
        plan["level"][[top, bottom], left:right] = WALL
    walls = shared_walls(boxes)
    for pair in walls:
        plan["touch"][pair] = plan["touch"][pair[::-1]] = True
    doors = _doors(dice, list(walls), len(boxes))
    closed = (len(doors) + dice.roll(2)) // 2  # of an odd number, one more or one less
    for pair in (dice.pick(doors) for _ in range(len(doors))):
        place_door(plan, pair, walls[pair], dice, CLOSED if closed > 0 else OPEN)
        closed -= 1
    plans.flags.writeable = False
    return plans


def _boxes(dice: Dice, count: int) -> list[Box]:
    """Cuts the whole into `count` rooms; large ones are cut more often."""
    boxes: list[Box] = [(0, 0, WIDTH, HEIGHT)]
    while len(boxes) < count:
        can = [box for box in boxes if max(box[2] - box[0], box[3] - box[1]) >= 2 * LEAST]
        spots = [box for box in can for _ in range((box[2] - box[0]) * (box[3] - box[1]))]
        box = spots[dice.roll(len(spots))]
        boxes.remove(box)
        left, top, right, bottom = box
        if right - left >= bottom - top:
            cut = dice.between(left + LEAST, right - LEAST)
            boxes += [(left, top, cut, bottom), (cut, top, right, bottom)]
        else:
            cut = dice.between(top + LEAST, bottom - LEAST)
            boxes += [(left, top, right, cut), (left, cut, right, bottom)]
    return boxes


def shared_walls(boxes: list[Box]) -> dict[tuple[int, int], Wall]:
    """Pairs of rooms that share enough wall for a door, and that wall."""
    walls: dict[tuple[int, int], Wall] = {}
    for i, a in enumerate(boxes):
        for j, b in enumerate(boxes[:i]):
            for upright in (True, False):
                x, y = (0, 1) if upright else (1, 0)
                low, high = max(a[y], b[y]), min(a[y + 2], b[y + 2])
                line = {a[x], a[x + 2]} & {b[x], b[x + 2]}
                beside = a[x + 2] == b[x] or b[x + 2] == a[x]
                if beside and line and high - low >= TOUCH:
                    walls[j, i] = (upright, a[x] if a[x] == b[x + 2] else b[x], low, high)
    return walls


def _doors(dice: Dice, pairs: list[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """A random spanning tree of the pairs, and each of the others with its chance."""
    group = list(range(count))
    doors = []
    for pair in (dice.pick(pairs) for _ in range(len(pairs))):
        a, b = group[pair[0]], group[pair[1]]
        if a != b:
            group = [a if g == b else g for g in group]
        if a != b or dice.roll(100) < EXTRA:
            doors.append(pair)
    return doors


def place_door(plan: np.ndarray, pair: tuple[int, int], wall: Wall, dice: Dice, kind: int) -> None:
    """Puts a door of a kind somewhere into the wall that two rooms share, in place."""
    upright, line, low, high = wall
    at = dice.between(low, high - DOOR)
    if upright:
        plan["upright"][at : at + DOOR, line] = kind
    else:
        plan["level"][line, at : at + DOOR] = kind
    plan["door"][pair] = plan["door"][pair[::-1]] = kind


def picture(plan: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The plan from above, `[37, 49, 3]` uint8: rooms in their colours, walls black, doors white.

    Closed doors are grey. Cells are at odd rows and columns.

    Args:
      plan: one record.
      colours: `[PALETTE, 3]` uint8.
    """
    sheet = np.zeros((2 * HEIGHT + 1, 2 * WIDTH + 1, 3), np.uint8)
    for room in range(plan["rooms"]):
        left, top, right, bottom = 2 * plan["box"][room]
        sheet[top + 1 : bottom, left + 1 : right] = colours[plan["colour"][room]]
    for kind, grey in ((OPEN, 255), (CLOSED, 128)):
        sheet[1::2, 0::2][plan["upright"] == kind] = grey
        sheet[0::2, 1::2][plan["level"] == kind] = grey
    return sheet
