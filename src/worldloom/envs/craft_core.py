"""Many games of Craft at once: what happens in a step, for whole arrays of games.

The state of a game is one record of fixed size, so a snapshot is its bytes. A
game throws dice of its own (`craft_dice`): it goes the same way alone as among
any others. Rules are `craft_rules`, lands `craft_map`, pictures `craft_draw`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from worldloom.envs import craft_draw, craft_rules
from worldloom.envs.craft_dice import STEP, keys, throw
from worldloom.envs.craft_map import COWS, ZOMBIES, make_land
from worldloom.envs.craft_paths import CELLS, INSIDE, PAD, STEPS, WIDE
from worldloom.envs.craft_rules import ACTS, ITEMS, KINDS, LEAVES, LIMITS, MOST, Act, Kind
from worldloom.errors import WorldloomError

CREATURES = COWS + ZOMBIES
RECORD = np.dtype(
    [
        ("seed", "<i8"),
        ("key", "<u8"),
        ("clock", "<i8"),
        ("place", "<i8"),
        ("facing", "<i8"),
        ("shown", "<i8", 3 + ITEMS),
        ("ever", "<i8", 3 + ITEMS),
        ("creatures", "<i8", CREATURES),
        ("cells", "u1", CELLS),
        ("unused", "u1", -CELLS % 8),  # numbers of the next record stay at whole words
    ]
)
"""A game: everything that changes. `shown` is the vitals, then the count of every item; `ever`
beside it is 0 for the vitals. Places are cells of the padded map; a creature that is not there
is at cell 0, in the sea."""

_CELLS_AT = RECORD.itemsize - CELLS - -CELLS % 8  # where in a record its cells begin
HEALTH, FED, DRUNK = range(3)  # of `vitals`
VITALS = ("health", "food", "drink")
HUNGER, THIRST, BREATH = 30, 24, 12  # steps from one loss, or one recovery, to the next

GRASS, WATER, COW, ZOMBIE = (int(k) for k in (Kind.GRASS, Kind.WATER, Kind.COW_1, Kind.ZOMBIE_1))
DO, NOWHERE = int(Act.DO), 0
_VIEW = (np.arange(-3, 4)[:, None] * WIDE + np.arange(-3, 4)).reshape(-1)
_AHEAD = np.array(STEPS)
_TURNS = np.arange(ACTS * 4) % 4
_TURNS[4:20] = np.repeat(np.arange(4), 4)  # a move faces its own way, all else keeps its own
_WALKS = np.zeros((ACTS, KINDS), np.int64)
_WALKS[1:5, list(craft_rules.WALKABLE)] = 1
_TIRES = np.array(
    [[t % period == 0 for period in (BREATH, HUNGER, THIRST)] for t in range(120)], np.int64
)
_ROW, _COLUMN = np.divmod(np.arange(CELLS), WIDE)

# Chances in 1/256 of a step. A cow strolls; a zombie in reach comes nearer, and strikes.
STROLL, CHASE, STRIKE = 48, 170, 84
REACH = 6  # cells from which a zombie sees the player
HARM = 2
WELL = np.float32(0.1)  # reward of a point of health
_MOVES = np.zeros(KINDS, np.int64)
_MOVES[COW:ZOMBIE], _MOVES[ZOMBIE:] = STROLL, 128
# How likely one try, one a step, brings a creature to where its slot is empty, by light.
_ARRIVES = np.array([[6] * CREATURES] * craft_draw.LIGHTS)
_ARRIVES[:, COWS:] = np.array([12, 40, 80, 120, 200, 256])[:, None]
NEAR, FAR = 4, 9  # cells from the player where creatures arrive: out of view, not out of reach


class CraftWorlds:
    """`count` games of Craft, each in its own row.

    A new object has no games: `reset` all rows first. A row that is dead stays
    dead, with reward 0; one whose time is over may be played on.

    Args:
      count: of rows.
      steps: after which a game is truncated.

    Attributes:
      games: `[N]` records (`RECORD`), the whole state. Its fields are the ground
        truth, to be looked at and not to be changed.
      view: `[N, 49]` uint8 kinds around each player, row by row.
    """

    def __init__(self, count: int, *, steps: int = 500) -> None:
        if count < 1 or steps < 1:
            raise WorldloomError(
                f"there are no {count} games of {steps} steps", "ask for at least one of each"
            )
        self.count, self.steps = count, steps
        self._bytes = np.zeros((count, RECORD.itemsize), np.uint8)
        self.games = self._bytes.view(RECORD)[:, 0]
        self.view = np.zeros((count, craft_draw.VIEW**2), np.uint8)
        for name in ("key", "clock", "place", "facing", "creatures"):
            setattr(self, f"_{name}", self.games[name])
        shown, ever = self.games["shown"], self.games["ever"]
        self._vitals, self._counts, self._ever = shown[:, :3], shown[:, 3:], ever[:, 3:]
        self._flat = self._bytes.reshape(-1)
        self._base = np.arange(count) * RECORD.itemsize + _CELLS_AT
        self._claims = np.zeros(count * RECORD.itemsize, np.int32)
        self._slots = np.arange(count * CREATURES, dtype=np.int32).reshape(count, CREATURES)

    _clock: np.ndarray
    _place: np.ndarray
    _facing: np.ndarray
    _creatures: np.ndarray
    _key: np.ndarray

    def reset(self, rows: Sequence[int] | np.ndarray, seeds: Sequence[int] | np.ndarray) -> None:
        """Begins the games of `seeds` in `rows`."""
        fresh = np.zeros(len(rows), RECORD)
        fresh["seed"] = seeds
        fresh["key"] = keys(fresh["seed"])
        fresh["facing"] = 3
        fresh["shown"][:, :3] = MOST
        for game, seed in zip(fresh, seeds, strict=True):
            land = make_land(int(seed))
            game["cells"], game["place"] = land.cells, land.start
            game["creatures"][: len(land.cows)] = land.cows
        self.games[rows] = fresh
        self._look()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Does one action in every row.

        Args:
          actions: `[N]` int, see `craft_rules.Act`.

        Returns:
          rewards `[N]` float32, 1 for each item obtained for the first time and a tenth of what
          health rose or fell by, as in Crafter (Hafner, arXiv 2109.06780, section 3.3);
          terminated `[N]` bool, dead; truncated `[N]` bool, time is over.
        """
        actions = np.asarray(actions) * (self._vitals[:, HEALTH] > 0)
        self._clock += 1
        facing = _TURNS[actions * 4 + self._facing]
        self._facing[:] = facing
        ahead = self._place + _AHEAD[facing]
        kind = self._flat[self._base + ahead]
        self._place += _AHEAD[facing] * _WALKS[actions, kind]
        rewards = np.zeros(self.count, np.float32)
        busy = (actions >= DO).nonzero()[0]  # some calls of NumPy cost a lone game too much
        if busy.size:
            rewards[busy] = self._work(busy, actions[busy], ahead[busy], kind[busy])
        self._key += STEP
        dice = throw(self._key, CREATURES + 1).view(np.int64)
        harm = self._stir(dice[:, :CREATURES])
        self._come_and_go(dice[:, CREATURES])
        rewards += WELL * self._live(harm)
        self._look()
        dead = self._vitals[:, HEALTH] <= 0
        return rewards, dead, (self._clock >= self.steps) & ~dead

    def render(self) -> np.ndarray:
        """The pictures `[N, 32, 32, 3]` uint8, a fresh array."""
        shown, ever = self.games["shown"], self.games["ever"]
        return craft_draw.draw(self.view, self._facing, self.light(), shown, ever)

    def light(self) -> np.ndarray:
        """`[N]` int, 0 by day to 5 at night."""
        return _LIGHTS[self._clock % craft_draw.DAY]

    def state(self, row: int) -> bytes:
        """The exact state of one game, clock included."""
        return self._bytes[row].tobytes()

    def set_state(self, row: int, state: bytes) -> None:
        """Puts a state of `state`, of this or another object, into a row."""
        if len(state) != RECORD.itemsize:
            raise WorldloomError(
                f"a state of Craft has {RECORD.itemsize} bytes, this one {len(state)}",
                "give the bytes that were saved",
            )
        self._bytes[row] = np.frombuffer(state, np.uint8)
        self._look()

    def map(self, row: int) -> np.ndarray:
        """The kinds of one game's whole map, `[32, 32]` uint8, a fresh array."""
        return self.games["cells"][row][INSIDE].reshape(32, 32)

    def info(self) -> dict[str, np.ndarray]:
        """The ground truth of all rows, fresh arrays.

        Returns:
          `counts`, `ever` `[N, 12]`; `health`, `food`, `drink`, `facing`, `light`,
          `clock`, `seed` `[N]`; `position` `[N, 2]` column and row of the map;
          `view` `[N, 7, 7]` kinds, the middle being what the player stands on.
        """
        position = np.empty((self.count, 2), np.int64)
        position[:, 0], position[:, 1] = _COLUMN[self._place] - PAD, _ROW[self._place] - PAD
        return {
            "counts": self._counts.astype(np.int8),
            "ever": self._ever.astype(bool),
            **{name: self._vitals[:, i].copy() for i, name in enumerate(VITALS)},
            "position": position,
            "facing": self._facing.copy(),
            "light": self.light(),
            "clock": self._clock.copy(),
            "seed": self.games["seed"].copy(),
            "view": self.view.reshape(self.count, 7, 7).copy(),
        }

    def _look(self) -> None:
        """Looks around each player."""
        self.view = self._flat[(self._base + self._place)[:, None] + _VIEW]

    def _work(
        self, rows: np.ndarray, actions: np.ndarray, ahead: np.ndarray, kind: np.ndarray
    ) -> np.ndarray:
        """Does what is more than moving, where it is possible; gives the rewards."""
        counts = self._counts[rows]
        able = craft_rules.possible(counts, craft_rules.in_sight(self.view[rows]), kind, actions)
        if not np.count_nonzero(able):
            return np.zeros(len(rows))
        deed = craft_rules.deeds(actions, kind) * able  # deed 0 is to do nothing
        self._counts[rows] = np.minimum(counts + craft_rules.CHANGE[deed], LIMITS)
        first = craft_rules.GAINS[deed] > self._ever[rows]
        self._ever[rows] += first
        left = LEAVES[deed]
        spots = self._base[rows] + ahead
        self._flat[spots] = np.where(left == craft_rules.KEEPS, kind, left)
        handled = able & (actions == DO) & ((kind == WATER) | (kind >= COW))
        if np.count_nonzero(handled):
            self._drink_or_hit(rows[handled], ahead[handled], kind[handled])
        return first.sum(1)

    def _drink_or_hit(self, rows: np.ndarray, ahead: np.ndarray, kind: np.ndarray) -> None:
        """What `do` does to water, cows and zombies."""
        wet = rows[kind == WATER]
        self._vitals[wet, DRUNK] = np.minimum(self._vitals[wet, DRUNK] + 1, MOST)
        alive = kind >= COW
        rows, ahead, kind = rows[alive], ahead[alive], kind[alive].astype(np.int64)
        first = np.where(kind >= ZOMBIE, ZOMBIE, COW)
        left = kind - craft_rules.strength(self._counts[rows])
        killed = left < first
        self._flat[self._base[rows] + ahead] = np.where(killed, GRASS, left)
        eaten = rows[killed & (first == COW)]
        self._vitals[eaten, FED] = np.minimum(self._vitals[eaten, FED] + craft_rules.FOOD, MOST)
        rows, ahead = rows[killed], ahead[killed]
        there = self._creatures[rows]
        self._creatures[rows] = np.where(there == ahead[:, None], NOWHERE, there)

    def _stir(self, dice: np.ndarray) -> np.ndarray:
        """Moves cows and zombies; gives the harm that zombies do, `[N]`.

        Args:
          dice: `[N, K]` of 64 bits.
        """
        at, base = self._creatures, self._base[:, None]
        kind = self._flat[at + base]
        step = _AHEAD[dice & 3]
        moves = (dice >> 8 & 255) < _MOVES[kind]
        harm, hunters = _NO_HARM, at[:, COWS:]
        if np.count_nonzero(hunters):
            dx = _COLUMN[self._place][:, None] - _COLUMN[hunters]
            dy = _ROW[self._place][:, None] - _ROW[hunters]
            wide, high = np.abs(dx), np.abs(dy)
            seen = (np.maximum(wide, high) <= REACH) & (hunters != NOWHERE)
            after = seen & ((dice[:, COWS:] >> 16 & 255) < CHASE)
            toward = np.where(wide >= high, np.sign(dx), np.sign(dy) * WIDE)
            step[:, COWS:] = np.where(after, toward, step[:, COWS:])
            moves[:, COWS:] |= after
            strikes = (wide + high == 1) & ((dice[:, COWS:] >> 24 & 255) < STRIKE)
            harm = HARM * strikes.any(1)
        to = at + step
        free = moves & (self._flat[to + base] == GRASS) & (to != self._place[:, None])
        if np.count_nonzero(free):
            self._walk_creatures(free, to, kind)
        return harm

    def _walk_creatures(self, free: np.ndarray, to: np.ndarray, kind: np.ndarray) -> None:
        """Creatures go where it is free; of two that want one cell the later slot has it."""
        slots = self._slots
        spots, mine = (self._base[:, None] + to)[free], slots[free]
        self._claims[spots] = mine
        wins = self._claims[spots] == mine
        spots, mine = spots[wins], mine[wins]
        rows, slot = np.divmod(mine, CREATURES)
        self._flat[self._base[rows] + self._creatures[rows, slot]] = GRASS
        self._flat[spots] = kind[rows, slot]
        self._creatures[rows, slot] = to[rows, slot]

    def _come_and_go(self, dice: np.ndarray) -> None:
        """Creatures arrive out of sight; zombies that are far leave by day."""
        slot = (dice & 0xFFFF) % CREATURES
        light = self.light()
        luck = dice >> 16 & 255
        rows = (luck < _ARRIVES[light, slot]).nonzero()[0]
        if not rows.size:
            return
        slot, dice = slot[rows], dice[rows]
        here, there = self._place[rows], INSIDE[dice >> 24 & 1023]
        old = self._creatures[rows, slot]
        empty, zombie = old == NOWHERE, slot >= COWS
        away = _apart(here, there)
        fits = (away >= NEAR) & (away <= FAR) & (self._flat[self._base[rows] + there] == GRASS)
        comes = empty & fits
        goes = ~empty & zombie & (light[rows] == 0) & (_apart(here, old) > REACH)
        kind = np.where(zombie, int(Kind.ZOMBIE_3), int(Kind.COW_2))
        self._put(rows[comes], slot[comes], there[comes], kind[comes])
        gone = rows[goes]
        self._flat[self._base[gone] + old[goes]] = GRASS
        self._creatures[gone, slot[goes]] = NOWHERE

    def _put(
        self, rows: np.ndarray, slots: np.ndarray, places: np.ndarray, kinds: np.ndarray
    ) -> None:
        """Puts new creatures on the map."""
        self._flat[self._base[rows] + places] = kinds
        self._creatures[rows, slots] = places

    def _live(self, harm: np.ndarray) -> np.ndarray:
        """Hunger, thirst, recovery and harm; the dead stay dead. Gives by how much health rose."""
        tires = _TIRES[self._clock % 120]
        if not (np.count_nonzero(tires) or np.count_nonzero(harm)):
            return _NO_HARM
        vitals = self._vitals
        before = vitals[:, HEALTH].copy()
        alive = before > 0
        vitals[:, FED:] -= tires[:, FED:]
        starves = vitals[:, FED:].min(1) <= 0
        vitals[:, HEALTH] += (tires[:, HEALTH] * np.where(starves, -1, 1) - harm) * alive
        vitals[:] = np.minimum(np.maximum(vitals, 0), MOST)
        return vitals[:, HEALTH] - before.astype(np.int64)


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many cells lie between two places, the longer way."""
    wide, high = np.abs(_COLUMN[a] - _COLUMN[b]), np.abs(_ROW[a] - _ROW[b])
    return np.maximum(wide, high)


_NO_HARM = np.zeros(1, np.int64)
_LIGHTS = craft_draw.lights()


def checked(actions: Any, count: int) -> np.ndarray:
    """Actions as `[N]` int64, or one sentence on what is wrong with them."""
    array = np.asarray(actions)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise WorldloomError(
            f"{count} games got actions {array.dtype} {list(array.shape)}",
            f"give {count} integers from 0 to {ACTS - 1}",
        )
    if ((array < 0) | (array >= ACTS)).any():
        bad = array[(array < 0) | (array >= ACTS)][0]
        raise WorldloomError(f"Craft has no action {bad}", f"choose from 0 to {ACTS - 1}")
    return array.astype(np.int64)
