"""Many games of Rooms at once: walking through apartments, for whole arrays of games.

Places are integers, so a game and its keys decide everything and the way back leads
to the very same picture. The state of a game is one small record; its plan follows
from its seed (`rooms_plan`), its pictures are `rooms_cast`.
"""

from collections.abc import Sequence

import numpy as np

from worldloom.envs import rooms_cast
from worldloom.envs.hop_level import Dice
from worldloom.envs.rooms_cast import TURNS, UNIT, Sight
from worldloom.envs.rooms_plan import HEIGHT, MOST, PLAN, WALL, WIDTH, make_plan
from worldloom.errors import WorldloomError

KEYS = ("forward", "back", "turn left", "turn right")
STEP = UNIT // 2  # how far one frame goes
BODY = 80  # half the width of who walks: wider than a step is long, so no wall is jumped over
RECORD = np.dtype(
    [(name, "<i8") for name in ("seed", "clock", "x", "y", "heading")] + [("visited", "?", MOST)]
)
"""A game: everything that changes. Places are in parts of a cell (`rooms_cast.UNIT`)."""

_ANGLES = np.arange(TURNS) * (2 * np.pi / TURNS)
STEPS_X = np.round(STEP * np.cos(_ANGLES)).astype(np.int64)
STEPS_Y = np.round(STEP * np.sin(_ANGLES)).astype(np.int64)
_PAIRS = np.triu_indices(MOST, 1)


def checked(keys: np.ndarray | Sequence[Sequence[int]], count: int) -> np.ndarray:
    """Held keys `[N, 4]` of 0 and 1, or one sentence saying what is wrong with them."""
    held = np.asarray(keys)
    if held.shape != (count, len(KEYS)) or not ((held == 0) | (held == 1)).all():
        raise WorldloomError(
            f"{count} games of Rooms got keys of shape {held.shape}",
            f"give 0 or 1 for each of {', '.join(KEYS)} in every game",
        )
    return held.astype(np.int64)


def free(plans: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether a body fits at `[N]` places, each in its own plan: no wall crosses it."""
    left, right = (x - BODY) // UNIT, (x + BODY - 1) // UNIT
    top, bottom = (y - BODY) // UNIT, (y + BODY - 1) // UNIT
    rows = np.arange(len(x))
    # Beyond the plan, which its outer walls end anyway: the last row and column stand for it.
    low, east = np.minimum(bottom, HEIGHT - 1), np.minimum(right, WIDTH - 1)
    uprights, levels = plans["upright"], plans["level"]
    beside = (uprights[rows, top, right] == WALL) | (uprights[rows, low, right] == WALL)
    above = (levels[rows, bottom, left] == WALL) | (levels[rows, bottom, east] == WALL)
    return ~((left != right) & beside) & ~((top != bottom) & above)


class RoomsWorlds:
    """`count` games of Rooms, each in its own row.

    A new object has no games: `reset` all rows first. A game has no end of its
    own; one whose time is over may be played on.

    Args:
      count: of rows.
      steps: after which a game is truncated.

    Attributes:
      games: `[N]` records (`RECORD`), the whole state, to be looked at only.
      plans: `[N]` records (`rooms_plan.PLAN`) of their apartments.
    """

    def __init__(self, count: int, *, steps: int = 500) -> None:
        if count < 1 or steps < 1:
            raise WorldloomError(
                f"there are no {count} games of {steps} steps", "ask for at least one of each"
            )
        self.count, self.steps = count, steps
        self.games, self.plans = np.zeros(count, RECORD), np.zeros(count, PLAN)
        self._rows = np.arange(count)
        self._sight: Sight | None = None

    def reset(self, rows: Sequence[int] | np.ndarray, seeds: Sequence[int] | np.ndarray) -> None:
        """Begins the games of `seeds` in `rows`, each in the middle of some cell."""
        for row, seed in zip(rows, seeds, strict=True):
            self.plans[row], game = make_plan(int(seed))[0], self.games[row]
            dice = Dice(int(seed) ^ 0x3C0FFEE)
            game["seed"], game["clock"] = seed, 0
            game["heading"] = dice.roll(TURNS)
            left, top, right, bottom = self.plans["box"][row, dice.roll(self.plans["rooms"][row])]
            game["x"] = dice.between(left, right - 1) * UNIT + UNIT // 2
            game["y"] = dice.between(top, bottom - 1) * UNIT + UNIT // 2
            game["visited"] = np.arange(MOST) == self._room()[row]
        self._sight = None

    def step(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One frame under held keys: first it turns, then it walks, along walls where they block.

        Args:
          keys: `[N, 4]` of 0 and 1, see `KEYS`.

        Returns:
          rewards `[N]` float32, 1 where a room is entered for the first time;
          truncated `[N]` bool, time is over.
        """
        games, plans = self.games, self.plans
        games["clock"] += 1
        heading = games["heading"] = (games["heading"] + keys[:, 3] - keys[:, 2]) % TURNS
        ahead = keys[:, 0] - keys[:, 1]
        # Ahead first along x, back first along y: the way back leads through the same places.
        for go in (ahead > 0, ahead < 0) if np.count_nonzero(ahead) else ():
            x = games["x"] + ahead * go * STEPS_X[heading]
            y = games["y"] + ahead * ~go * STEPS_Y[heading]
            can = free(plans, x, y)
            games["x"], games["y"] = np.where(can, x, games["x"]), np.where(can, y, games["y"])
        room = self._room()
        first = ~games["visited"][self._rows, room]
        games["visited"][self._rows, room] = True
        self._sight = None
        return first.astype(np.float32), games["clock"] >= self.steps

    def sight(self) -> Sight:
        """What each column of the picture of each row shows."""
        if self._sight is None:
            games = self.games
            place = (games["x"], games["y"], games["heading"])
            self._sight = rooms_cast.look(self.plans, self._rows, *place)
        return self._sight

    def render(self) -> np.ndarray:
        """The pictures `[N, 48, 64, 3]` uint8, a fresh array."""
        return rooms_cast.draw(self.plans, self._rows, self.sight())

    def state(self, row: int) -> bytes:
        """The exact state of one game, clock included."""
        return self.games[row].tobytes()

    def set_state(self, row: int, state: bytes) -> None:
        """Puts a state of `state`, of this or another object, into a row."""
        if len(state) != RECORD.itemsize:
            raise WorldloomError(
                f"a state of Rooms has {RECORD.itemsize} bytes, this one {len(state)}",
                "give the bytes that were saved",
            )
        self.games[row] = np.frombuffer(state, RECORD)[0]
        self.plans[row] = make_plan(int(self.games["seed"][row]))[0]
        self._sight = None

    def info(self) -> dict[str, np.ndarray]:
        """The ground truth of all rows, fresh arrays.

        Returns:
          `x`, `y` `[N]` float32 in cells; `heading` `[N]` in 15 degrees, 0 to the right
          and clockwise on the plan; `room` `[N]` where one stands, `rooms` `[N]` how many;
          `visited` `[N, 9]`; `columns` `[N, 9]` how many columns of the picture show the walls
          of each room; `colours` `[N, 9]` of their walls; `areas` `[N, 9]` in cells, 0 where
          there is no room; `doors` `[N, 36]` of each pair (0 none, 2 open, 3 closed), in
          the order of `numpy.triu_indices(9, 1)`; `clock`, `seed` `[N]`.
        """
        games, plans = self.games, self.plans
        return {
            "x": (games["x"] / UNIT).astype(np.float32),
            "y": (games["y"] / UNIT).astype(np.float32),
            "heading": games["heading"].copy(),
            "room": self._room().astype(np.int64),
            "rooms": plans["rooms"].copy(),
            "visited": games["visited"].copy(),
            "columns": self.sight().columns(),
            "colours": plans["colour"].copy(),
            "areas": plans["area"].copy(),
            "doors": plans["door"][:, *_PAIRS],
            "clock": games["clock"].copy(),
            "seed": games["seed"].copy(),
        }

    def _room(self) -> np.ndarray:
        """`[N]` the room in which each stands."""
        cells = self.games["x"] // UNIT, self.games["y"] // UNIT
        return self.plans["cell"][self._rows, cells[1], cells[0]]
