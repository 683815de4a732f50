"""Games of Craft to be asked about, deeds to try in them, and policies that see pictures alone.

A game is played by one of Craft's own players. A policy of this file knows the last picture
and nothing else, so that it can act in a world as it acts for real. Knows no probe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from worldloom import seeding
from worldloom.envs import craft_reader
from worldloom.envs.craft_core import RECORD, CraftWorlds
from worldloom.envs.craft_paths import SIDE
from worldloom.envs.craft_plan import Plan
from worldloom.envs.craft_player import MOVES, PLAYERS, Player
from worldloom.envs.craft_rules import ACTS, MAKING, Act, Item
from worldloom.evaluate.forbidden import NOTHING, judged

CONTEXT = 8
LENGTH = 400
"""Frames of a game at most."""
SKILLS = ("expert", "journeyman", "expert", "novice")
DEEDS = (int(Act.DO), *map(int, MAKING))


@dataclass(frozen=True)
class Game:
    """What happened in a game, frame by frame.

    Args:
      frames: `[T, 32, 32, 3]` uint8.
      actions: `[T]` int64 that led to each; the first is none.
      records: `[T]` the exact states.
      seen: `counts` `[T, 12]`, `view` `[T, 7, 7]` and `facing` `[T]`.
    """

    frames: np.ndarray
    actions: np.ndarray
    records: np.ndarray
    seen: Mapping[str, np.ndarray]


@lru_cache(maxsize=32)
def play(seed: int, skill: str, length: int = LENGTH) -> Game:
    """The game of a seed, by a player of a skill, until it ends or has `length` frames."""
    worlds, rng = CraftWorlds(1, steps=10 * LENGTH), seeding.rng(seed, "player")
    worlds.reset([0], [seed >> 32])
    player: Player = PLAYERS[skill]()
    frames, actions, records, infos = [], [0], [], []
    while True:
        frames.append(worlds.render()[0])
        records.append(worlds.games[0].copy())
        infos.append({name: value[0] for name, value in worlds.info().items()})
        if len(frames) == length or infos[-1]["health"] <= 0:
            break
        actions.append(int(player(frames[-1], infos[-1], rng)["action"]))
        worlds.step(np.array(actions[-1:]))
    seen = {name: np.stack([i[name] for i in infos]) for name in ("counts", "view", "facing")}
    return Game(np.stack(frames), np.array(actions), np.array(records, RECORD), seen)


@dataclass(frozen=True)
class Deed:
    """Something to be tried.

    Args:
      frame: of the game, at which.
      action: what is done.
      kind: which deed that is, of `craft_rules.deeds`.
      works: whether the rules allow it.
      words: the deed, and what is missing.
    """

    frame: int
    action: int
    kind: int
    works: bool
    words: str


@lru_cache(maxsize=32)
def deeds_of(seed: int, skill: str) -> tuple[Deed, ...]:
    """Every deed at every frame of the game that `play` gives whose effect could be seen."""
    game, found = play(seed, skill), []
    for action in DEEDS:
        kinds, able, words = judged(game.seen, np.full(len(game.frames), action))
        found += [
            Deed(t, action, int(kinds[t]), bool(able[t]), words[t])
            for t in range(CONTEXT - 1, len(game.frames) - 1)
            if kinds[t] != NOTHING
        ]
    return tuple(found)


def chosen(games: Sequence[Sequence[Deed]], each: int, seed: int) -> list[list[Deed]]:
    """Of every game up to `each` deeds that work and as many that do not, the rarest so far first.

    Rare is first a deed, then what is missing for it.
    """
    taken: dict[int | str, int] = {}
    picked: list[list[Deed]] = []
    for number, deeds in enumerate(games):
        order = seeding.rng(seed, "deeds", number).permutation(len(deeds))
        mine: list[Deed] = []
        for works in (False, True):
            left = {
                deeds[place].words: deeds[place] for place in order if deeds[place].works == works
            }
            for _ in range(min(each, len(left))):
                deed = min(
                    left.values(), key=lambda d: (taken.get(d.kind, 0), taken.get(d.words, 0))
                )
                for name in (deed.kind, deed.words):
                    taken[name] = taken.get(name, 0) + 1
                mine.append(left.pop(deed.words))
        picked.append(mine)
    return picked


@dataclass(frozen=True)
class Policy:
    """Acts by the last picture.

    Args:
      aim: "seek": the next item that was never obtained; "press": some deed; "walk"; "stay".
      slip: chance of a step to do anything in place of that.
    """

    aim: str
    slip: float = 0.0


POLICIES: Mapping[str, Policy] = {
    "seeker": Policy("seek"),
    **{f"seeker, slips {slip:g}": Policy("seek", slip) for slip in (0.2, 0.4, 0.6, 0.8)},
    "chance": Policy("walk", 1.0),
    "presser": Policy("press"),
    "walker": Policy("walk"),
    "still": Policy("stay"),
}
BEST, CHANCE = "seeker", "chance"
"""Policies whose real returns span the unit of all returns."""


def act(frames: np.ndarray, policies: Sequence[Policy], seeds: Sequence[int]) -> np.ndarray:
    """What policies do at pictures `[B, 32, 32, 3]`, each with dice of its own: `[B]` int64."""
    seen = craft_reader.read(frames)
    return np.array(
        [
            _one({name: value[row] for name, value in seen.items()}, policy, seed)
            for row, (policy, seed) in enumerate(zip(policies, seeds, strict=True))
        ],
        np.int64,
    )


def _one(seen: Mapping[str, np.ndarray], policy: Policy, seed: int) -> int:
    rng = np.random.default_rng(seed)
    if rng.random() < policy.slip:
        return int(rng.integers(ACTS))
    if policy.aim == "seek":
        return _seek(seen, rng)
    return int(
        {"press": rng.choice(DEEDS), "walk": rng.choice(MOVES), "stay": Act.NOOP}[policy.aim]
    )


def _seek(seen: Mapping[str, np.ndarray], rng: np.random.Generator) -> int:
    """One step towards the first item that one never had and knows a way to."""
    plan, middle = Plan(), np.array([SIDE // 2, SIDE // 2])
    plan.learn({**seen, "position": middle})
    for item in np.flatnonzero(~seen["ever"]):
        action = plan.obtain(Item(item), rng)
        if action is not None:
            return int(action)
    return plan.stray(rng)
