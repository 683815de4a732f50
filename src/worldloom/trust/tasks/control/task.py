"""Control: does the world do what it is told, as much and as soon as reality does?

From moments of held-out recordings it goes on under the recorded actions, under those of
another episode, and under none that it knows, with the same noise. How much better the
right actions are is its headroom share; which actions were done is read off its pictures by
a network that learned that on real ones.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from worldloom.actions import Binary, Categorical
from worldloom.data.store import Store
from worldloom.evaluate import metrics
from worldloom.trust import recorded
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Probe
from worldloom.trust.recorded import CONTEXT, Copy, Environment, Keys, Moment, Recording
from worldloom.trust.rows import Row
from worldloom.trust.task import (
    Answer,
    Budget,
    Fault,
    Item,
    NotApplicable,
    Setting,
    Verdict,
    item_seed,
)
from worldloom.trust.tasks.control import inverse
from worldloom.trust.tasks.control.inverse import Reader
from worldloom.trust.tasks.control.verdict import judge

HORIZONS = (1, 4, 8, 16)
LAGS = 5
"""Frames by which an answer may be late and still be found."""
COUNT: Mapping[Budget, int] = {"smoke": 12, "quick": 48, "full": 400}
"""Moments, one in an episode."""
LESSONS: Mapping[Budget, tuple[int, int]] = {
    "smoke": (40, 50),
    "quick": (250, 600),
    "full": (1000, 4000),
}
"""Training episodes that the reader of actions learns from, and its updates."""


@dataclass(frozen=True)
class Prepared:
    """What is known before the first answer.

    Args:
      store: of the recordings.
      reader: of actions.
    """

    store: Store
    reader: Reader


@dataclass(frozen=True)
class Control:
    """The task.

    Args:
      count: moments; the budget's own number by default.
      lessons: episodes and updates of the reader of actions; the budget's own by default.
      name: of the task.
      version: of the task.
      claim: what passing it says.
      requires: what a probe must be able to do.
      own_data: it works on the world's recordings.
      chunk: moments that are answered together.
    """

    count: int | None = None
    lessons: tuple[int, int] | None = None
    name: str = "control"
    version: int = 1
    claim: str = "it does what it is told, as much and as soon as reality does"
    requires: frozenset[str] = frozenset({"rollout", "render"})
    own_data: bool = False
    chunk: int = 16

    def items(self, setting: Setting) -> Sequence[Item]:
        """Moments of held-out episodes, and whose actions each borrows."""
        count = self.count or COUNT[setting.budget]
        return recorded.draw_items(self.name, setting, count=count, frames=HORIZONS[-1])

    def fingerprint(self, setting: Setting) -> str:
        """Of the moments and of how actions are read."""
        told = [item.key for item in self.items(setting)], self.lessons, LESSONS[setting.budget]
        return hashlib.blake2b(str(told).encode(), digest_size=8).hexdigest()

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """One who shows no change; actions hidden and shuffled are asked of the world itself."""
        return {"copy": Copy()}

    def ceiling(self, setting: Setting) -> Probe:
        """The real environment where the recordings lead back into it."""
        return Environment(recorded.recordings(setting))

    def prepare(self, probe: Probe, setting: Setting) -> Prepared:
        """Teaches the reader of actions, once for all who sit the exam."""
        store = recorded.recordings(setting)
        episodes, updates = self.lessons or LESSONS[setting.budget]
        seed = item_seed(self.name, "reader", 0, setting)
        return Prepared(store, _reader(store, episodes, updates, seed))

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Prepared) -> Sequence[Answer]:
        """The share of actions that are read rightly off what it draws under borrowed ones."""
        own = recorded.moments_of(prepared.store, items, HORIZONS[-1])
        others = recorded.strangers_of(prepared.store, items, HORIZONS[-1])
        films = _films(probe, own, others)
        if films is None:  # nobody can enter the environment: what was recorded must do
            truth = np.stack([moment.after for moment in own])
            films, others = {"true": truth, "other": truth, "blind": None}, own
        third = recorded.strangers_of(prepared.store, items, HORIZONS[-1], which=1)
        read = {
            name: prepared.reader.read(_with_past(own, film))
            for name, film in films.items()
            if film is not None
        }
        return [
            _answer(prepared, row, (own[row], others[row], third[row]), films, read)
            for row in range(len(items))
        ]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing | None:
        """What follows under another's actions, or as recorded where reality cannot be entered."""
        store = recorded.recordings(setting)
        (own,) = recorded.moments_of(store, [item], HORIZONS[-1])
        (other,) = recorded.strangers_of(store, [item], HORIZONS[-1])
        stop = CONTEXT + HORIZONS[-1]
        borrowed = recorded.actions_of([other], CONTEXT, stop)
        words = "under another's actions"
        found = recorded.shown(probe, own, borrowed, Environment(store), words)
        true = recorded.actions_of([own], CONTEXT, stop)
        return found or recorded.shown(probe, own, true, Recording(), "as recorded")

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """As much as reality, read as well as reality, and no later."""
        return judge(rows, HORIZONS, seed=seed)

    def faults(self) -> Mapping[str, Fault]:
        """The real environment, which hears nothing, too late, or left for right."""
        return {
            "deaf": Fault(
                lambda setting: _hearing(setting, "deaf", _deaf(setting)),
                lambda verdict: (
                    verdict.passed is False
                    and abs(verdict.figures["headroom_share_h8"].value or 0) < 0.1
                    and (verdict.figures["answers"].high or 0) < 0.5
                    and (verdict.figures["mistaken"].low or 0) < 0.1
                ),
                "it ignores its actions: no headroom share, nothing to read",
            ),
            "late": Fault(
                lambda setting: _hearing(setting, "two frames late", _late),
                lambda verdict: (
                    verdict.passed is False
                    and verdict.figures["delay"].value == 2
                    and (verdict.figures["headroom_share_h8"].low or 0) > 0
                ),
                "it answers two frames late: only its delay and what follows from it are wrong",
            ),
            "exchanged": Fault(
                lambda setting: _hearing(setting, "left for right", _exchanged(setting)),
                lambda verdict: (
                    verdict.passed is False and (verdict.figures["mistaken"].low or 0) > 0.1
                ),
                "it takes left for right: the one is read where the other was done",
            ),
        }


@lru_cache(maxsize=2)
def _reader(store: Store, episodes: int, updates: int, seed: int) -> Reader:
    known = [row for row in store.episodes if row.split == "train"]
    if not known:
        raise NotApplicable(
            f"`{store.path}` has no training episodes, off which reading actions is learned",
            "record some that are not held out",
        )
    found = inverse.train(store, episodes=episodes, updates=updates, seed=seed)
    if found is None:
        raise NotApplicable(f"nobody knows what was done in `{store.path}`", "record actions too")
    return found


def _films(
    probe: Probe, own: Sequence[Moment], others: Sequence[Moment]
) -> dict[str, np.ndarray | None] | None:
    """What follows under the true actions, another's, and hidden ones, `[B, T, H, W, 3]` each."""
    stop = CONTEXT + HORIZONS[-1]
    true, other = (recorded.actions_of(some, CONTEXT, stop) for some in (own, others))
    state = probe.observe(recorded.begin(own))
    films: dict[str, np.ndarray | None] = {}
    for name, actions in (("true", true), ("other", other), ("blind", true.unknown())):
        frames = probe.rollout(state, actions).frames
        if frames is None:
            return None
        films[name] = frames[0].numpy()
    return films


def _with_past(own: Sequence[Moment], film: np.ndarray) -> np.ndarray:
    """Films with the real frames before them that a reader needs."""
    first = CONTEXT - inverse.FRAMES + 1
    return np.concatenate([np.stack([m.frames[first:CONTEXT] for m in own]), film], 1)


def _answer(
    prepared: Prepared,
    row: int,
    moments: tuple[Moment, Moment, Moment],
    films: Mapping[str, np.ndarray | None],
    read: Mapping[str, np.ndarray],
) -> Answer:
    """Errors of the films, and how well the pressed keys are read off them."""
    spec, asked = prepared.store.info.action, prepared.reader.asked
    own, other, third = moments
    pressed, shuffled = (_right(spec, own, moment) for moment in (other, third))
    said = read["other"][row]
    late = [inverse.tally(_delayed(pressed, lag), said, asked) for lag in range(LAGS + 1)]
    extra: dict[str, Any] = {
        "asked": [[q.label, q.answers] for q in asked],
        "read": [t.tolist() for t in late],
        "shuffled": inverse.tally(shuffled[CONTEXT:], said, asked).tolist(),
        "blind": None,
        "confused": inverse.confusion(pressed[CONTEXT:], said, asked).tolist(),
        "errors": _errors(own, films, row),
    }
    if "blind" in read:
        extra["blind"] = inverse.tally(pressed[CONTEXT:], read["blind"][row], asked).tolist()
    hits, count = late[0].sum(1)
    return Answer(float(hits / count) if count else None, extra)


def _right(spec: Any, own: Moment, other: Moment) -> np.ndarray:
    """Right answers `[C + T, Q]`: the actions of `own` up to the moment, then those of `other`."""
    parts = []
    for moment, part in ((own, slice(0, CONTEXT)), (other, slice(CONTEXT, None))):
        actions = {name: v[part] for name, v in moment.episode.actions.items()}
        known = np.asarray(moment.episode.action_known)[part]
        parts.append(np.where(known[:, None], inverse.answers(spec, actions), -1))
    return np.concatenate(parts)


def _delayed(pressed: np.ndarray, lag: int) -> np.ndarray:
    """What was pressed `lag` frames before each frame after the context."""
    return pressed[CONTEXT - lag : len(pressed) - lag]


def _errors(own: Moment, films: Mapping[str, np.ndarray | None], row: int) -> dict[str, Any]:
    """Sums of `metrics.frame_sums` at each horizon, for true and borrowed actions and no change."""
    at = np.array(HORIZONS) - 1
    still = np.broadcast_to(own.frames[CONTEXT - 1], own.after.shape)
    shown = {"true": films["true"], "other": films["other"]}
    drawn = {name: still if film is None else film[row] for name, film in shown.items()}
    return {
        name: metrics.frame_sums(
            own.after[at], film[at], own.plate, tolerances=(metrics.TOLERANCE,)
        )[:, 0].tolist()
        for name, film in {**drawn, "still": still}.items()
    }


def _hearing(setting: Setting, name: str, hears: recorded.Hears) -> Environment:
    return Environment(recorded.recordings(setting), name, hears=hears)


def _deaf(setting: Setting) -> recorded.Hears:
    spec = recorded.recordings(setting).info.action
    return lambda past, now: spec.null((len(next(iter(now.values()))),))


def _late(past: Keys, now: Keys) -> Keys:
    """What was done two frames before."""
    return {k: np.concatenate([past[k][-2:], v])[: len(v)] for k, v in now.items()}


def _exchanged(setting: Setting) -> recorded.Hears:
    """The first two keys, the first two choices that do something, or the two ends of all axes."""
    components = recorded.recordings(setting).info.action.components

    def hears(past: Keys, now: Keys) -> Keys:
        changed = {}
        for c in components:
            value = now[c.name]
            if isinstance(c, Binary):
                order = np.arange(len(c.keys))
                order[:2] = order[:2][::-1]
                changed[c.name] = value[..., order]
            elif isinstance(c, Categorical):
                one, two = [choice for choice in range(c.n) if choice != c.null][:2]
                swapped = np.where(value == one, two, value)
                changed[c.name] = np.where(value == two, one, swapped)
            else:
                middle = np.add(c.low, c.high).astype(value.dtype)
                changed[c.name] = middle - value
        return changed

    return hears
