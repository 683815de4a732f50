"""Games in which chance has a part: from one moment, under the same keys, several things follow.

Hop by chance is Hop whose leaps turn out strong, weak or not at all. Craft throws dice for its
creatures anyway; from a moment on it is given others. Pictures have 32 pixels a side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from worldloom import seeding
from worldloom.actions import Action, ActionSpec, Binary
from worldloom.data.types import Episode
from worldloom.envs import hop
from worldloom.envs.craft_core import RECORD, CraftWorlds
from worldloom.envs.craft_dice import mix
from worldloom.envs.craft_rules import CREATURES, Act
from worldloom.envs.hop_player import Wanderer
from worldloom.trust.probe import Edit, Rollout
from worldloom.trust.simulated import Simulated, Told
from worldloom.trust.tasks.craft import runs
from worldloom.trust.tasks.craft.games import play

Game = Literal["hop", "craft"]
GAMES: tuple[Game, ...] = ("hop", "craft")
SIZE = 32
SPECS: Mapping[Game, ActionSpec] = {
    "hop": ActionSpec((Binary("keys", hop.KEYS),)),
    "craft": runs.ACTION,
}
FPS: Mapping[Game, float] = {"hop": 20.0, "craft": 10.0}
CONTEXT = 6
AHEAD: Mapping[Game, int] = {"hop": 6, "craft": 4}
"""Frames until an outcome is looked at."""
LEAPS = np.array((hop.JUMP, 600, 0))
LEAP_CHANCES = np.array((0.6, 0.3, 0.1))
WILD = 1.5  # of a leap at most, times the strong one, where there is too much chance
DICE = 256
"""Throws from which the chances of Craft's outcomes are counted."""
RARE = (0.02, 0.15)
"""Chances between which an outcome counts as rare."""


@dataclass(frozen=True)
class Futures:
    """What can follow from a moment.

    Args:
      films: `[M, T, 32, 32, 3]` uint8, no two of which end alike.
      chance: `[M]` of each; they add up to 1.
    """

    films: np.ndarray
    chance: np.ndarray

    @property
    def rare(self) -> np.ndarray:
        """`[M]` bool."""
        return (self.chance >= RARE[0]) & (self.chance <= RARE[1])


@dataclass(frozen=True)
class Question:
    """A moment, what is done there, and what can follow.

    Args:
      frames: `[C, 32, 32, 3]` uint8 up to the moment.
      past: `[C, ...]` actions that led to each; the first is unknown.
      ahead: `[T, ...]` what is done then.
      told: the moment's exact state.
      futures: what can follow.
    """

    frames: np.ndarray
    past: np.ndarray
    ahead: np.ndarray
    told: bytes
    futures: Futures


@lru_cache(maxsize=64)
def ask(game: Game, seed: int) -> Question:
    """The question of a seed: at least two things can follow, and one of them is rare."""
    attempt = 0
    while True:
        draw = _ask_hop if game == "hop" else _ask_craft
        found = draw(seeding.stream(seed, "question", attempt))
        if found is not None:
            return found
        attempt += 1


def lesson(game: Game, seed: int, length: int) -> Episode:
    """A recording of a game by chance, as the family under test learns from it."""
    if game == "craft":
        one = play(seed, "random", length)
        return Episode({"main": one.frames}, {"action": one.actions})
    return _played_hop(seed, length)[0]


def _played_hop(seed: int, length: int) -> tuple[Episode, hop.Moment]:
    """A game of Hop by chance, of at most `length` frames, and the moment at which it stops."""
    rng, player, now = seeding.rng(seed, "player"), Wanderer(), hop.begin(seed >> 32)
    frames, held = [hop.draw(now, SIZE)], [np.zeros(3, np.uint8)]
    while len(frames) < length and not now.over:
        held.append(player(frames[-1], {}, rng)["keys"])
        _leap(now, held[-1], int(rng.choice(LEAPS, p=LEAP_CHANCES)))
        frames.append(hop.draw(now, SIZE))
    return Episode({"main": np.stack(frames)}, {"keys": np.stack(held)}), now


def _leap(now: hop.Moment, keys: np.ndarray, leap: int) -> None:
    """One frame of Hop, in place; what jumps leaps so fast."""
    if not now.over:
        hop.advance(now, *np.asarray(keys).tolist(), leap=leap)


def _ask_hop(seed: int) -> Question | None:
    """A player on the ground leaps, and steers while it flies."""
    rng = seeding.rng(seed, "moment")
    episode, now = _played_hop(seed, int(rng.integers(CONTEXT, 40)))
    if now.over or not now.ground or len(episode) < CONTEXT:
        return None
    ahead = np.zeros((AHEAD["hop"], 3), np.uint8)
    ahead[:, :2] = np.eye(3, 2, dtype=np.uint8)[rng.integers(3)]
    ahead[0, 2] = 1
    told = b"hop" + np.array(astuple(now), np.int64).tobytes()
    found = futures(told, ahead.tobytes())
    if len(found.films) < len(LEAPS):
        return None
    return Question(
        episode.frames["main"][-CONTEXT:], episode.actions["keys"][-CONTEXT:], ahead, told, found
    )


def _ask_craft(seed: int) -> Question | None:
    """One waits, with a creature in view."""
    rng = seeding.rng(seed, "moment")
    game = play(seed, "random", 60)
    near = np.flatnonzero(np.isin(game.seen["view"], CREATURES).any((1, 2)))
    fit = near[near >= CONTEXT - 1]
    if not fit.size:
        return None
    frame = int(rng.choice(fit))
    ahead = np.full(AHEAD["craft"], int(Act.NOOP), np.int64)
    told = b"craft" + game.records[frame].tobytes()
    found = futures(told, ahead.tobytes())
    if not found.rare.any() or found.chance.max() > 0.7:
        return None
    past = slice(frame + 1 - CONTEXT, frame + 1)
    return Question(game.frames[past], game.actions[past], ahead, told, found)


@lru_cache(maxsize=64)
def futures(told: bytes, ahead: bytes) -> Futures:
    """What can follow from a moment, each outcome once, the likeliest first."""
    if told.startswith(b"hop"):
        films = np.stack([_film_hop(told, _keys(told, ahead), int(leap)) for leap in LEAPS])
        chance = LEAP_CHANCES
    else:
        films = _films_craft(told, _keys(told, ahead), np.arange(DICE))
        chance = np.full(DICE, 1 / DICE)
    first: dict[bytes, int] = {}
    which = np.array([first.setdefault(f[-1].tobytes(), i) for i, f in enumerate(films)])
    total = np.bincount(which, chance, len(films))
    order = np.argsort(-total, kind="stable")[: len(first)]
    return Futures(films[order], total[order])


def _keys(told: bytes, ahead: bytes) -> np.ndarray:
    """Actions `[T, ...]` from their bytes."""
    if told.startswith(b"hop"):
        return np.frombuffer(ahead, np.uint8).reshape(-1, 3)
    return np.frombuffer(ahead, np.int64)


def _film_hop(told: bytes, keys: np.ndarray, leap: int) -> np.ndarray:
    """`[T, 32, 32, 3]` what follows where a leap is so fast."""
    now, frames = hop.Moment(*np.frombuffer(told[3:], np.int64).tolist()), []
    for held in keys:
        _leap(now, held, leap)
        frames.append(hop.draw(now, SIZE))
    return np.stack(frames)


def _films_craft(told: bytes, keys: np.ndarray, dice: np.ndarray, pace: int = 1) -> np.ndarray:
    """`[D, T, 32, 32, 3]` what follows under throws `[D]`; every step is done `pace` times."""
    record = np.frombuffer(told[5:], RECORD)
    worlds = CraftWorlds(len(dice), steps=runs.STEPS)
    for row, die in enumerate(dice.astype(np.uint64)):
        other = record.copy()
        other["key"] = mix(record["key"] ^ mix(np.array([die + np.uint64(1)])))
        worlds.set_state(row, other.tobytes())
    frames = []
    for action in keys.tolist():
        for _ in range(pace):
            worlds.step(np.full(len(dice), action))
        frames.append(worlds.render())
    return np.stack(frames, 1)


Habit = Literal["fair", "likeliest", "stuck", "common", "wild"]


class Thrower(Simulated):
    """The simulator of games by chance, with dice of its own.

    Args:
      name: for people.
      habit: fair dice; always the likeliest outcome; at every moment the same outcome, whatever
        the seed; never a rare one; or more chance than there is.
    """

    def __init__(self, name: str = "simulator, other dice", habit: Habit = "fair") -> None:
        self.name, self.habit = name, habit

    def imagine(
        self, snapshot: bytes, actions: Mapping[str, np.ndarray], steps: int, seed: int
    ) -> np.ndarray:
        """What follows for one throw."""
        (keys,) = actions.values()
        number = 0 if self.habit == "stuck" else seed
        die = seeding.stream(number, f"throw {snapshot.hex()}")
        if self.habit in ("likeliest", "common"):
            return self._known(snapshot, keys, die)
        if snapshot.startswith(b"craft"):
            pace = 3 if self.habit == "wild" else 1
            return _films_craft(snapshot, keys, np.array([die]), pace)[0]
        rng = np.random.default_rng(die)
        leap = int(rng.choice(LEAPS, p=LEAP_CHANCES))
        if self.habit == "wild":
            leap = int(rng.uniform(0, WILD * hop.JUMP))
        return _film_hop(snapshot, keys, leap)

    def _known(self, snapshot: bytes, keys: np.ndarray, die: int) -> np.ndarray:
        """The likeliest of the outcomes, or one of those that are not rare."""
        found = futures(snapshot, np.ascontiguousarray(keys).tobytes())
        if self.habit == "likeliest":
            return found.films[0]
        left = np.where(found.chance > RARE[1], found.chance, 0)
        left[0] = found.chance[0]
        return found.films[np.random.default_rng(die).choice(len(left), p=left / left.sum())]


class NearestClips(Simulated):
    """Shows what followed in recordings where they looked most like it: the nearest, the next, …

    Only moments after which the same was done are taken, where there are any.

    Args:
      episodes: the recordings.
      game: that they are of.
    """

    name = "nearest clips"

    def __init__(self, episodes: Sequence[Episode], game: Game) -> None:
        (part,) = SPECS[game].components
        steps = AHEAD[game]
        places = [(e, t) for e in episodes for t in range(CONTEXT - 1, len(e) - steps)]
        frames = [e.frames["main"] for e, _ in places]
        self._shown = np.stack([f[t] for f, (_, t) in zip(frames, places, strict=True)])
        films = [f[t + 1 : t + 1 + steps] for f, (_, t) in zip(frames, places, strict=True)]
        self._films = np.stack(films)
        self._done = np.stack([e.actions[part.name][t + 1] for e, t in places])

    def imagine(
        self, snapshot: bytes, actions: Mapping[str, np.ndarray], steps: int, seed: int
    ) -> np.ndarray:
        """Nearest clips are asked for whole rollouts only."""
        raise NotImplementedError

    def rollout(
        self, state: Told, actions: Action, *, seeds: Sequence[int] = (0,), edit: Edit | None = None
    ) -> Rollout:
        """The clips of every row by their distance in pixels, one a seed."""
        del edit
        assert state.shown is not None
        (keys,) = (np.asarray(value) for value in actions.values.values())
        rows = [
            self._films[self._order(shown[-1], done[0])[np.array(seeds) % len(self._films)]]
            for shown, done in zip(state.shown, keys, strict=True)
        ]
        return Rollout(frames=torch.from_numpy(np.stack(rows, 1)))

    def _order(self, frame: np.ndarray, done: np.ndarray) -> np.ndarray:
        """All clips, the nearest first; those before which something else was done come last."""
        apart = np.square(self._shown.astype(np.float32) - frame).sum((1, 2, 3))
        other = (self._done != done).reshape(len(apart), -1).any(1)
        return np.lexsort((apart, other))
