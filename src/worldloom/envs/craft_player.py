"""Players of Craft as people are: from one who finds out about wood to one who digs for diamonds.

Each has wishes, drawn anew for every game, and follows them with detours and
pauses; it drinks and eats when it has to, and hits back. None ever tries what the
rules do not allow. They know what they have seen, and look around for the rest. Follow
`worldloom.agents.policy.Policy` and read `info`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from worldloom.envs.craft_paths import INSIDE
from worldloom.envs.craft_plan import COWS, UNKNOWN, ZOMBIES, Info, Plan
from worldloom.envs.craft_rules import ACTS, MOST, WALKABLE, Act, Item, Kind

Values = dict[str, np.ndarray]
Wish = tuple[Item, int]  # how many of an item to have
Rng = np.random.Generator
MOVES = (Act.LEFT, Act.RIGHT, Act.UP, Act.DOWN)
DIRE = 2  # of drink or food: nothing else counts
PATIENCE = 120  # steps after which a wish is given up


@dataclass(frozen=True)
class Skill:
    """What a kind of player wants and how it wavers.

    Args:
      wishes: draws what it wants in one game, in order.
      stray: chance of a step to begin a detour.
      pause: chance of a step to stop and look.
      brave: chance to hit back at a zombie in one step.
      digs: whether it digs through rock when it looks around.
    """

    wishes: Callable[[Rng], list[Wish]]
    stray: float
    pause: float
    brave: float
    digs: bool = False


def _some(rng: Rng, *wishes: tuple[Item, int, float]) -> list[Wish]:
    """Each wish with its probability, in any order."""
    kept = [(item, count) for item, count, chance in wishes if rng.random() < chance]
    return [kept[i] for i in rng.permutation(len(kept))]


def _upto(rng: Rng, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def _novice(rng: Rng) -> list[Wish]:
    """Wood, a table, tools of wood, a few stones."""
    table = [(Item.TABLE, 1)] if rng.random() < 0.9 else []
    tools = _some(rng, (Item.WOOD_PICKAXE, 1, 0.75), (Item.WOOD_SWORD, 1, 0.55)) if table else []
    stones = _some(rng, (Item.STONE, _upto(rng, 1, 4), 0.6))
    more = _some(rng, (Item.WOOD, _upto(rng, 2, 6), 0.5))
    able = (Item.WOOD_PICKAXE, 1) in tools
    return [(Item.WOOD, _upto(rng, 1, 4)), *table, *tools, *(stones if able else []), *more]


def _journeyman(rng: Rng) -> list[Wish]:
    """Through the tools of stone to furnace and coal, at times to iron."""
    return [
        (Item.WOOD, _upto(rng, 3, 7)),
        (Item.TABLE, 1),
        *_some(rng, (Item.WOOD_PICKAXE, 1, 1.0), (Item.WOOD_SWORD, 1, 0.5)),
        (Item.STONE, _upto(rng, 1, 5)),
        *_some(
            rng,
            (Item.STONE_PICKAXE, 1, 0.5),
            (Item.STONE_SWORD, 1, 0.3),
            (Item.FURNACE, 1, 0.25),
            (Item.COAL, _upto(rng, 1, 3), 0.25),
        ),
        *_some(rng, (Item.IRON, _upto(rng, 1, 2), 0.1), (Item.WOOD, 4, 0.4)),
    ]


def _expert(rng: Rng) -> list[Wish]:
    """All that the iron pickaxe needs, and then the diamond."""
    return [
        (Item.WOOD, _upto(rng, 4, 8)),
        (Item.TABLE, 1),
        *_some(rng, (Item.WOOD_PICKAXE, 1, 1.0), (Item.WOOD_SWORD, 1, 0.7)),
        (Item.STONE, _upto(rng, 3, 7)),
        *_some(rng, (Item.STONE_PICKAXE, 1, 1.0), (Item.STONE_SWORD, 1, 0.7)),
        *_some(rng, (Item.COAL, 1, 1.0), (Item.FURNACE, 1, 0.9)),
        (Item.IRON, 1),
        *_some(rng, (Item.IRON_PICKAXE, 1, 0.9)),
        *_some(rng, (Item.DIAMOND, _upto(rng, 1, 2), 0.6)),
    ]


SKILLS = {
    "novice": Skill(_novice, stray=0.14, pause=0.08, brave=0.5),
    "journeyman": Skill(_journeyman, stray=0.14, pause=0.07, brave=0.6),
    "expert": Skill(_expert, stray=0.14, pause=0.06, brave=0.8, digs=True),
}
SHARES = {"novice": 0.45, "journeyman": 0.40, "expert": 0.15}


class Player:
    """One player of a skill.

    Args:
      skill: a name of `SKILLS`.
    """

    def __init__(self, skill: str) -> None:
        self.skill = SKILLS[skill]
        self.reset()

    def reset(self) -> None:
        self._plan = Plan()
        self._wishes: list[Wish] | None = None  # drawn with the first frame
        self._spent = 0  # steps on the wish at hand
        self._held: list[int] = []  # actions that follow without a thought
        self._thirsty = self._hungry = False
        self._limits = (3, 3)  # of drink and food, below which it looks for more
        self._aim: int | None = None

    def __call__(self, observation: np.ndarray, info: Info, rng: Rng) -> Values:
        self._plan.learn(info)
        if self._wishes is None:
            self._wishes = self.skill.wishes(rng)
            self._limits = (_upto(rng, 2, 5), _upto(rng, 2, 5))
        action = self._act(info, rng)
        if action >= Act.DO and not self._plan.can(action):
            action = self._plan.stray(rng)
        return {"action": np.array(action, np.int64)}

    def _act(self, info: Info, rng: Rng) -> int:
        """What comes first: a zombie, a thing begun, a need, a mood, a wish."""
        zombie = self._plan.beside(ZOMBIES)
        if zombie is not None and rng.random() < self.skill.brave:
            self._held = []
            return self._turn_or_do(zombie)
        if self._held:
            return self._held.pop()
        need = self._need(info, rng)
        if need is not None:
            return need
        if rng.random() < self.skill.stray:
            self._held = _detour(rng)
        elif rng.random() < self.skill.pause:
            self._held = [int(Act.NOOP)] * _upto(rng, 1, 4)
        if self._held:
            return self._held.pop()
        wished = self._wish(rng)
        return self._wander(rng) if wished is None else wished

    def _turn_or_do(self, direction: int) -> int:
        return int(Act.DO) if direction == self._plan.facing else int(Act.LEFT) + direction

    def _need(self, info: Info, rng: Rng) -> int | None:
        """Drinks and eats: begins when it has little, ends when it has enough.

        Looks for what it knows nowhere when it has next to nothing left.
        """
        drink, food = int(info["drink"]), int(info["food"])
        self._thirsty = drink < MOST if self._thirsty else drink <= self._limits[0]
        self._hungry = food < MOST - 2 if self._hungry else food <= self._limits[1]
        action = self._plan.reach((Kind.WATER,), rng) if self._thirsty else None
        if action is None and self._hungry:
            action = self._plan.reach(COWS, rng)
        if action is None and min(drink, food) <= DIRE:
            return self._wander(rng)
        return action

    def _wish(self, rng: Rng) -> int | None:
        """The next action for the first wish that is still open."""
        while self._wishes:
            item, count = self._wishes[0]
            self._spent += 1
            if self._plan.counts[item] < count and self._spent <= PATIENCE:
                return self._plan.obtain(item, rng)
            self._wishes.pop(0)
            self._spent = 0
        return None

    def _wander(self, rng: Rng) -> int:
        """Goes to see some place, and takes or sets down a thing on the way now and then."""
        common = self._plan.ahead() in (Kind.TREE, Kind.STONE)
        if common and rng.random() < 0.25 and self._plan.can(Act.DO):
            return int(Act.DO)
        if rng.random() < 0.02 and self._plan.can(Act.PLACE_STONE):
            return int(Act.PLACE_STONE)
        if self._aim is None or rng.random() < 0.01 or not self._fit(self._aim):
            news = self._plan.cells[INSIDE] == UNKNOWN
            known = rng.random() < 0.2 or not news.any()
            ground = np.isin(self._plan.cells[INSIDE], WALKABLE) if known else news
            self._aim = int(rng.choice(INSIDE[ground]))
        action = self._plan.walk(self._aim, rng, dig=self.skill.digs)
        if action is None:
            self._aim = None
            return self._plan.stray(rng)
        return action

    def _fit(self, aim: int) -> bool:
        """Whether one may still want to go there."""
        return int(self._plan.cells[aim]) in (UNKNOWN, *WALKABLE)


def _detour(rng: Rng) -> list[int]:
    """Some steps hither and thither."""
    moves: list[int] = []
    for _ in range(_upto(rng, 1, 4)):
        moves += [int(rng.choice(MOVES))] * _upto(rng, 1, 4)
    return moves


class Novice(Player):
    """Wanders, gathers wood, makes a table, tools of wood, a few stones."""

    def __init__(self) -> None:
        super().__init__("novice")


class Journeyman(Player):
    """Goes through tools of stone, furnace and coal to some iron."""

    def __init__(self) -> None:
        super().__init__("journeyman")


class Expert(Player):
    """Goes for the iron pickaxe and the diamond."""

    def __init__(self) -> None:
        super().__init__("expert")


class Anybody:
    """A novice, a journeyman or an expert, drawn for each game."""

    def __init__(self) -> None:
        self._players = {name: Player(name) for name in SKILLS}
        self._player: Player | None = None

    def reset(self) -> None:
        self._player = None

    def __call__(self, observation: np.ndarray, info: Info, rng: Rng) -> Values:
        if self._player is None:
            name = str(rng.choice(list(SHARES), p=list(SHARES.values())))
            self._player = self._players[name]
            self._player.reset()
        return self._player(observation, info, rng)


class Fidget:
    """Acts at random, and keeps at it: mostly moves, often `do`, now and then all else."""

    def __init__(self, keep: float = 0.6) -> None:
        self.keep = keep
        self.reset()

    def reset(self) -> None:
        self._last: int | None = None

    def __call__(self, observation: np.ndarray, info: Info, rng: Rng) -> Values:
        if self._last is None or rng.random() >= self.keep:
            kind = rng.random()
            self._last = int(
                rng.choice(MOVES) if kind < 0.6 else Act.DO if kind < 0.88 else rng.integers(ACTS)
            )
        return {"action": np.array(self._last, np.int64)}


PLAYERS = {
    "scripted": Anybody,
    "random": Fidget,
    "novice": Novice,
    "journeyman": Journeyman,
    "expert": Expert,
}
