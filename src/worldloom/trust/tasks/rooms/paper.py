"""The floor-plan test on paper: views as pictures with their poses, plans as lists of doors.

Knows apartments and files; the marks are those of any other sitting.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from worldloom.envs.rooms_cast import COLOURS
from worldloom.envs.rooms_plan import PALETTE
from worldloom.trust.paper import Malformed, is_number, picture
from worldloom.trust.tasks.rooms import apartments
from worldloom.trust.tasks.rooms.apartments import Views
from worldloom.trust.tasks.rooms.mappers import Guess

NAMES = (
    *("red", "orange", "yellow", "lime", "green", "teal", "sky", "blue"),
    *("violet", "purple", "pink", "wine", "brown", "peach", "petrol", "white"),
)
"""Of `rooms_cast.COLOURS`, in their order."""
TIMES = 6
"""How many times a view is enlarged."""
CELLS = 32  # in the unit of `apartments.odometry`
_HOW = (
    "Each question shows views of one apartment from inside. Every room has walls of one colour "
    "of its own, and `colours` names those that can be seen. `poses` says where each view was "
    "taken, seen from {base}: cells ahead of it, cells to its right, and degrees turned to "
    "the right; a view is 90 degrees wide. A grey panel is a closed door. Draw the floor plan: "
    "`doors` lists all pairs of rooms with a door between them, open or closed, by their colours; "
    "`areas` gives square cells by colour, or is empty; `rooms` says how many rooms there are in "
    "all, or is null."
)
HOW = _HOW.format(base="the first one")
HOW_BY_MOVES = _HOW.format(base="the one before it, so that moves have to be added up")


def ask(world: Views, folder: Path, *, steps: bool) -> dict[str, Any]:
    """Writes the views; returns what is asked of them; poses as of `apartments.odometry`."""
    names = [
        picture(frame, folder / f"{index:02d}.png", TIMES)
        for index, frame in enumerate(world.frames(), 1)
    ]
    poses = [
        {
            "ahead": round(CELLS * float(ahead), 2),
            "right": round(CELLS * float(right), 2),
            "turned": round(float(np.degrees(np.arctan2(sine, cosine))), 1),
        }
        for ahead, right, cosine, sine in apartments.odometry(world.pose, steps=steps)
    ]
    seen = world.plan["colour"][0, apartments.ask(world).rooms]
    colours = {NAMES[c]: "#" + bytes(COLOURS[c]).hex() for c in sorted(seen.tolist())}
    return {"files": names, "poses": poses, "colours": colours}


def blank() -> dict[str, Any]:
    """No doors, nothing about sizes."""
    return {"doors": [], "areas": {}, "rooms": None}


def guess(key: str, answer: Any) -> Guess:
    """The plan that an answer draws.

    Raises:
      Malformed: it draws none.
    """
    wants = '{"doors": [["red", "blue"]], "areas": {"red": 12}, "rooms": 5}'
    if not isinstance(answer, Mapping) or set(answer) != {"doors", "areas", "rooms"}:
        raise Malformed(f"`{key}` is answered by {_short(answer)}, not in the form {wants}")
    doors, areas, rooms = answer["doors"], answer["areas"], answer["rooms"]
    door, area = np.zeros((PALETTE, PALETTE), bool), np.full(PALETTE, np.nan)
    if not isinstance(doors, list) or not all(isinstance(d, list) and len(d) == 2 for d in doors):
        raise Malformed(f"the doors of `{key}` are {_short(doors)}, not pairs of colours")
    for pair in doors:
        one, two = (_colour(key, name) for name in pair)
        door[one, two] = door[two, one] = True
    if not isinstance(areas, Mapping) or not all(map(_is_size, areas.values())):
        raise Malformed(f"the areas of `{key}` are {_short(areas)}, not numbers by colour")
    for name, size in areas.items():
        area[_colour(key, name)] = float(size)
    if rooms is not None and not _is_size(rooms):
        raise Malformed(f"the rooms of `{key}` are {_short(rooms)}, not a number or null")
    return Guess(door, area, float("nan") if rooms is None else float(rooms))


def drawn(plan: Guess) -> dict[str, Any]:
    """A plan as an answer, from which `guess` makes it again."""
    pairs = np.argwhere(np.triu(plan.door, 1)).tolist()
    known = np.flatnonzero(~np.isnan(plan.area)).tolist()
    return {
        "doors": [[NAMES[a], NAMES[b]] for a, b in pairs],
        "areas": {NAMES[c]: float(plan.area[c]) for c in known},
        "rooms": None if np.isnan(plan.rooms) else float(plan.rooms),
    }


def _colour(key: str, name: Any) -> int:
    if name not in NAMES:
        raise Malformed(f"`{key}` speaks of a colour {_short(name)}, there is {', '.join(NAMES)}")
    return NAMES.index(name)


def _is_size(value: Any) -> bool:
    """Whether a value is a number from 0 on."""
    return is_number(value) and value >= 0


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
