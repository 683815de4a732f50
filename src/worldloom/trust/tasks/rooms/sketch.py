"""Floor plans to look at: rooms in their colours, doors as lines between the middles of rooms.

Knows apartments and pictures; neither probes nor heads.
"""

import numpy as np

from worldloom.envs.rooms_cast import COLOURS
from worldloom.envs.rooms_plan import HEIGHT, WIDTH
from worldloom.trust.tasks.rooms import apartments
from worldloom.trust.tasks.rooms.apartments import Views

CELL = 4  # pixels
THERE, MADE_UP = (0, 0, 0), (220, 0, 0)


def beside(world: Views, doors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The plan with its doors, and with those that were read, `[72, 96, 3]` uint8 each.

    Args:
      world: an apartment; rooms whose colours no view shows stay grey.
      doors: `[K]` bool, of the pairs of `apartments.ask`.
    """
    question = apartments.ask(world)
    right, read = (_rooms(world, question.rooms) for _ in range(2))
    for pair, door, said in zip(question.pairs, question.door, doors, strict=True):
        start, end = (_middle(world.plan["box"][0, room]) for room in pair)
        if door:
            _line(right, start, end, THERE)
        if said:
            _line(read, start, end, THERE if door else MADE_UP)
    return right, read


def below(views: np.ndarray, plan: np.ndarray) -> np.ndarray:
    """`[N, H + 72, 96, 3]` each view, in the middle, above a plan."""
    count, high, wide = views.shape[:3]
    sheet = np.full((count, high + len(plan), plan.shape[1], 3), 255, np.uint8)
    left = (plan.shape[1] - wide) // 2
    sheet[:, :high, left : left + wide] = views
    sheet[:, high:] = plan
    return sheet


def _rooms(world: Views, shown: np.ndarray) -> np.ndarray:
    """Every room as a rectangle, with a white edge."""
    sheet, plan = np.full((HEIGHT * CELL, WIDTH * CELL, 3), 255, np.uint8), world.plan[0]
    for room in range(plan["rooms"]):
        left, top, right, bottom = plan["box"][room] * CELL
        colour = COLOURS[plan["colour"][room]] if room in shown else (200, 200, 200)
        sheet[top + 1 : bottom - 1, left + 1 : right - 1] = colour
    return sheet


def _middle(box: np.ndarray) -> np.ndarray:
    """x and y in pixels."""
    return (box[:2] + box[2:]) * CELL / 2


def _line(
    sheet: np.ndarray, start: np.ndarray, end: np.ndarray, colour: tuple[int, int, int]
) -> None:
    """Draws a line of two pixels, in place."""
    count = 2 * int(np.abs(end - start).max()) + 1
    x, y = np.linspace(start, end, count).astype(int).T
    for right, down in np.ndindex(2, 2):
        sheet[y - down, x - right] = colour
