"""Does a world know what cannot be done? Deeds of Craft at exact states, against its rules.

A deed that the rules forbid has no effect; a world that shows the item all the same is too
permissive (forbidden rate), one that denies a deed which works is too timid (omission rate).
"Nothing ever happens" scores 0 and 1, so both are told. What happened is read off pictures,
the real and the dreamed alike. Knows Craft, worlds and moments; no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data.store import Store
from worldloom.envs.craft_reader import read
from worldloom.envs.craft_rules import (
    ACTION_NAMES,
    ACTS,
    COLLECTING,
    ITEM_NAMES,
    LIMITS,
    MAKING,
    NEAR,
    NEEDS,
    ONTO,
    Act,
    Kind,
    deeds,
    in_sight,
    possible,
)
from worldloom.envs.make import Setup
from worldloom.evaluate.gap import Act as Policy
from worldloom.evaluate.gap import seeds_of
from worldloom.evaluate.moments import Entry, Reality, together
from worldloom.evaluate.statistics import Estimate, Pool, Statistic, by_cluster
from worldloom.seeding import rng
from worldloom.world import World, require

MIDDLE = 3  # of the view: where the player stands
AHEAD = np.array([(0, -1), (0, 1), (-1, 0), (1, 0)])  # rows and columns, by facing
NOTHING = -1  # of a deed that is none of those that are judged
_GIVES = {int(act): recipe.gives for act, recipe in MAKING.items()}
_GIVES |= {ACTS + int(kind): recipe.gives for kind, recipe in COLLECTING.items()}


@dataclass(frozen=True)
class Trials:
    """Deeds that were tried at real states, `[N]` each.

    Args:
      episodes: that the states lie in, or grew from.
      names: of the deeds, with what is missing where they cannot be done.
      truth: bool, it works.
      said: bool, the world shows that it works.
      shown: `[N, C + 2, H, W, 3]` uint8: C frames up to the state, what the world shows next,
        what is next.
      actions: `[N, C + 1]` that led to each of these C frames, and what was done.
    """

    episodes: tuple[str, ...]
    names: tuple[str, ...]
    truth: np.ndarray
    said: np.ndarray
    shown: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True)
class Rates:
    """How often a world is wrong, with intervals over episodes; NaN where nothing was tried.

    Args:
      forbidden: share of the deeds without effect that work in the dream.
      omission: share of the deeds that work which the dream denies.
      balanced: mean of one minus each: the balanced accuracy.
    """

    forbidden: Estimate
    omission: Estimate
    balanced: Estimate


@dataclass(frozen=True)
class Hole:
    """A deed about which a world was wrong.

    Args:
      name: of the deed, with what is missing.
      kind: "forbidden" or "omission".
      tried: how often it was tried.
      wrong: how often the world was wrong.
      example: index of a trial in which it was.
    """

    name: str
    kind: str
    tried: int
    wrong: int
    example: int


@dataclass(frozen=True)
class Pair:
    """A recorded state and a deed to try there."""

    episode: str
    frame: int
    action: int


def pairs(store: Store, names: Sequence[str], count: int, *, context: int, seed: int) -> list[Pair]:
    """States of recordings with deeds that cannot be done there, and with deeds that can.

    Drawn evenly over the deeds, so that a rare one counts as much as a common one; deeds that
    cannot be done also evenly over what is missing. Where there are fewer, all are taken.

    Args:
      store: recordings of Craft, with its ground truth.
      names: of the episodes.
      count: pairs of each kind.
      context: frames that must be there, the state's own included.
      seed: of the choice.
    """
    bags: dict[bool, dict[int, dict[str, list[Pair]]]] = {False: {}, True: {}}
    for name in names:
        episode = store.read(name)
        info = episode.info
        seen = {key: np.asarray(info[key]) for key in ("counts", "view", "facing")}
        for action in (int(Act.DO), *map(int, MAKING)):
            deed, able, words = judged(seen, np.full(len(episode), action))
            for t in range(context - 1, len(episode) - 1):
                if deed[t] != NOTHING:
                    bag = bags[bool(able[t])].setdefault(int(deed[t]), {})
                    bag.setdefault(words[t], []).append(Pair(name, t, action))
    draws = rng(seed, "pairs")
    return [
        pair
        for bag in bags.values()
        for pair in _evenly([_evenly(_shuffled(b.values(), draws)) for b in bag.values()])[:count]
    ]


def _shuffled(bags: Any, draws: np.random.Generator) -> list[list[Pair]]:
    return [[bag[i] for i in draws.permutation(len(bag))] for bag in bags]


def _evenly(bags: Sequence[Sequence[Pair]]) -> list[Pair]:
    """One of each in turn, until all are empty."""
    longest = max(map(len, bags), default=0)
    return [bag[i] for i in range(longest) for bag in bags if i < len(bag)]


def judged(
    seen: Mapping[str, np.ndarray], actions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Which deed each action is at what is seen, whether the rules allow it, and its name.

    Deeds are `NOTHING` where there is no recipe for them, or where its effect could not be
    seen: of what one has the most of, or what lies there already.
    """
    counts, view, facing = seen["counts"].astype(int), seen["view"], seen["facing"].astype(int)
    at = MIDDLE + AHEAD[facing]
    ahead = view[np.arange(len(view)), at[:, 0], at[:, 1]].astype(int)
    nearby = in_sight(view.reshape(len(view), -1))
    able = possible(counts, nearby, ahead, actions)
    found = deeds(actions, ahead)
    for row, deed in enumerate(found):
        item = _GIVES.get(int(deed))
        full = item is not None and counts[row, item] >= LIMITS[item]
        there = deed == Act.PLACE_STONE and ahead[row] == Kind.STONE
        if int(deed) not in _GIVES or full or there:
            found[row] = NOTHING
    words = [
        _words(int(d), counts[i], nearby[i], int(ahead[i])) if d != NOTHING else ""
        for i, d in enumerate(found)
    ]
    return found, able, words


def _words(deed: int, counts: np.ndarray, nearby: np.ndarray, ahead: int) -> str:
    """A deed and what is missing for it, for people."""
    item = _GIVES[deed]
    name = ACTION_NAMES[deed] if deed < ACTS or item is None else f"take {ITEM_NAMES[item]}"
    missing = [f"enough {ITEM_NAMES[i]}" for i in np.flatnonzero(counts < NEEDS[deed])]
    needed = NEAR[deed] & ~nearby
    missing += [thing for thing, lacks in zip(("table", "furnace"), needed, strict=True) if lacks]
    missing += [] if ONTO[deed, ahead] else ["room"]
    return name + (f" without {' and '.join(missing)}" if missing else "")


def try_deeds(
    world: World, starts: Sequence[Entry], asked: np.ndarray, setup: Setup, *, how: "How"
) -> Trials:
    """Does a deed at every moment, in the dream and for real.

    Args:
      world: that can `render`.
      starts: the moments, for example those of `pairs`.
      asked: `[N]` what is done there.
      setup: of the real environment.
      how: seeds and rows.
    """
    require(world, "render", "the deeds of Craft")
    parts = []
    with Reality(setup) as reality:
        for first in range(0, len(starts), how.rows):
            part, done = starts[first : first + how.rows], asked[first : first + how.rows]
            reality.enter(part)
            with torch.inference_mode():
                state, _ = world.start(
                    together(part), seeds_of(range(first, first + len(part)), how.seed)
                )
            names = np.array([entry.episode for entry in part])
            frames, actions = _past(part)
            both = [frame[:, None] for frame in _both(world, state, done, reality)]
            frames = np.concatenate([frames, *both], 1)
            parts.append(_trials(names, frames, np.concatenate([actions, done[:, None]], 1)))
    return joined(parts)


def _past(part: Sequence[Entry]) -> tuple[np.ndarray, np.ndarray]:
    """The frames `[B, C, H, W, 3]` and actions `[B, C]` of moments."""
    past = together(part)
    assert past.actions is not None
    (actions,) = past.actions.values.values()
    return past.frames["main"].numpy(), actions.numpy()


def meet(
    world: World, act: Policy, starts: Sequence[Entry], setup: Setup, *, how: "How", steps: int
) -> Trials:
    """The deeds that a policy does for real, each also dreamed one step ahead from where it is.

    A planner that believes in a hole of the world goes there, and is found out.

    Args:
      world: that can `render`, `observe` and `fork`.
      act: the policy.
      starts: where it begins.
      setup: of the real environment.
      how: seeds and rows.
      steps: from each start.
    """
    for capability in ("render", "observe", "fork"):
        require(world, capability, "deeds that a policy meets")
    one: Any = world
    parts = []
    with Reality(setup) as reality, torch.inference_mode():
        for first in range(0, len(starts), how.rows):
            part = starts[first : first + how.rows]
            reality.enter(part)
            state, _ = world.start(
                together(part), seeds_of(range(first, first + len(part)), how.seed)
            )
            names = np.array([entry.episode for entry in part])
            frames, actions = _past(part)
            for step in range(steps):
                live = np.flatnonzero(reality.live())
                if not len(live):
                    break
                done = np.asarray(next(iter(act(state, step).values())).cpu())
                dreamed, real = _both(world, state.copy(), done, reality)
                frames = np.concatenate([frames, dreamed[:, None], real[:, None]], 1)
                actions = np.concatenate([actions, done[:, None]], 1)
                parts.append(_trials(names[live], frames[live], actions[live]))
                state, _ = one.observe(state, _action(world, done), reality.clip())
                frames, actions = np.delete(frames, (0, -2), 1), actions[:, 1:]
    return joined(parts)


@dataclass(frozen=True)
class How:
    """How trials are made.

    Args:
      seed: of the dreams.
      rows: at once.
    """

    seed: int = 0
    rows: int = 32


def _action(world: World, actions: np.ndarray) -> Action:
    (part,) = world.spec.action.components
    values = {part.name: torch.from_numpy(actions.astype(np.int64))}
    return Action(values, torch.ones(len(actions), dtype=torch.bool))


@torch.inference_mode()
def _both(
    world: World, state: Any, actions: np.ndarray, reality: Reality
) -> tuple[np.ndarray, np.ndarray]:
    """One step in the dream and for real: frames `[B, H, W, 3]` of each."""
    one: Any = world
    action = _action(world, actions)
    state, _ = world.step(state, action)
    dreamed = torch.as_tensor(one.render(state)).cpu().numpy().copy()
    reality.step(action.values)
    return dreamed, _frames(reality)


def _frames(reality: Reality) -> np.ndarray:
    return np.stack([now.frame for now in reality.now])


def _trials(episodes: np.ndarray, shown: np.ndarray, actions: np.ndarray) -> Trials:
    """Judges the last step of each row; keeps those whose deed has a recipe."""
    before, dreamed, real = (read(shown[:, place]) for place in (-3, -2, -1))
    deed, _, words = judged(before, actions[:, -1])
    kept = np.flatnonzero(deed != NOTHING)
    worked = [
        np.array([_worked(int(deed[i]), int(i), before, after) for i in kept], bool)
        for after in (real, dreamed)
    ]
    return Trials(
        episodes=tuple(episodes[kept].tolist()),
        names=tuple(words[i] for i in kept),
        truth=worked[0],
        said=worked[1],
        shown=shown[kept],
        actions=actions[kept],
    )


def _worked(
    deed: int, row: int, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> bool:
    """Whether the deed shows its effect."""
    item = _GIVES[deed]
    if item is None:  # a stone that is placed
        y, x = MIDDLE + AHEAD[int(before["facing"][row])]
        return bool(after["view"][row, y, x] == Kind.STONE)
    more = after["counts"][row, item] > before["counts"][row, item]
    return bool(more or (after["ever"][row, item] and not before["ever"][row, item]))


def works(before: np.ndarray, after: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Whether deeds show their effect, `[N]` bool; False where there is no recipe for them.

    Args:
      before: `[N, H, W, 3]` uint8.
      after: `[N, H, W, 3]` one step later.
      actions: `[N]` what was done between the two.
    """
    then, now = read(before), read(after)
    deed, _, _ = judged(then, actions)
    return np.array(
        [d != NOTHING and _worked(int(d), row, then, now) for row, d in enumerate(deed)], bool
    )


def joined(parts: Sequence[Trials]) -> Trials:
    """Several lots of trials as one."""
    return Trials(
        episodes=tuple(name for part in parts for name in part.episodes),
        names=tuple(name for part in parts for name in part.names),
        **{
            key: np.concatenate([getattr(part, key) for part in parts])
            for key in ("truth", "said", "shown", "actions")
        },
    )


def rates(trials: Trials, *, seed: int = 0) -> Rates:
    """Forbidden rate, omission rate and balanced accuracy, with 95% intervals over episodes."""
    truth, said = trials.truth, trials.said
    columns = np.stack([~truth & said, ~truth, truth & ~said, truth], 1).astype(np.float64)
    if not len(columns):
        nothing = Estimate(np.array(np.nan), np.array(np.nan), np.array(np.nan), 0)
        return Rates(nothing, nothing, nothing)
    pool = Pool(by_cluster(columns, np.array(trials.episodes)), seed=seed)
    forbidden, omission = _share(0), _share(2)
    return Rates(
        pool.estimate(forbidden),
        pool.estimate(omission),
        pool.estimate(lambda sums: 1 - (forbidden(sums) + omission(sums)) / 2),
    )


def _share(column: int) -> Statistic:
    """One column over the next, NaN where there is nothing."""

    def share(sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return sums[:, column] / sums[:, column + 1]

    return share


def holes(trials: Trials) -> list[Hole]:
    """The deeds about which the world was wrong, the most often wrong first."""
    found = []
    names = np.array(trials.names)
    for name in sorted(set(trials.names)):
        for kind, wanted in (("forbidden", False), ("omission", True)):
            there = np.flatnonzero((names == name) & (trials.truth == wanted))
            wrong = there[trials.said[there] != wanted]
            if len(wrong):
                found.append(Hole(name, kind, len(there), len(wrong), int(wrong[0])))
    return sorted(found, key=lambda hole: -hole.wrong / hole.tried)
