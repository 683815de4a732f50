"""Return: does it remember what it left, and for how long; and what is hidden, does it go on?

Trips (`trips`) leave something and come back to it `gap` steps later. All frames but the
last few are shown; these are imagined under the true keys, and the last is held against
the truth and against a lure, where what was seen has another colour or place.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Clip, Episode
from worldloom.envs.rooms_cast import COLUMNS, ROWS
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.trust.task import (
    Answer,
    Budget,
    Fault,
    Item,
    Setting,
    Verdict,
    item_seed,
    train_seed,
    variant,
)
from worldloom.trust.tasks.returning.rememberers import Rememberer, Repeater
from worldloom.trust.tasks.returning.trips import KINDS, LOOP, SPECS, Trip, make_trip
from worldloom.trust.tasks.returning.verdict import judge

GAPS: Mapping[Budget, tuple[int, ...]] = {
    "smoke": (8, 16, 32),
    "quick": (8, 16, 32, 64, 128),
    "full": (8, 16, 32, 64, 128, 256, 512),
}
COUNT: Mapping[Budget, int] = {"smoke": 5, "quick": 10, "full": 300}
"""Trips of each kind and gap."""
LESSONS: Mapping[Budget, int] = {"smoke": 16, "quick": 400, "full": 2000}
"""Training trips of each world."""
WINDOW = 8  # steps that the null with a window remembers
FORGETS = 16  # and the fault
BEFORE = 8  # frames of a trip that a clip shows before what is imagined


@dataclass(frozen=True)
class Return:
    """The task.

    Args:
      count: trips of each kind and gap; the budget's own number by default.
      gaps: how long a thing is out of sight; the budget's own by default.
      name: of the task.
      version: of the task.
      claim: what passing it says.
      requires: what a probe must be able to do.
      own_data: the family is trained on the task's own recordings.
      chunk: trips that are shown together.
    """

    count: int | None = None
    gaps: tuple[int, ...] | None = None
    name: str = "return"
    version: int = 1
    claim: str = "it remembers what it left, and what it cannot see goes on"
    requires: frozenset[str] = frozenset({"continue", "score"})
    own_data: bool = True
    chunk: int = 20

    def items(self, setting: Setting) -> Sequence[Item]:
        """Every kind, gap by gap; a trip is a cluster of its own."""
        found = []
        for world, kinds in KINDS.items():
            for gap in self.gaps or GAPS[setting.budget]:
                for kind in kinds:
                    for index in range(self.count or COUNT[setting.budget]):
                        if kind == "loop" and gap < LOOP:
                            continue
                        key = f"{kind}, {gap} steps, {index}"
                        seed = item_seed(self.name, f"test {kind} {gap}", index, setting)
                        facts = {"world": world, "gap": gap}
                        found.append(Item(key, key, kind, seed, facts))
        return found

    def fingerprint(self, setting: Setting) -> str:
        """A hash of one trip of every kind."""
        digest = hashlib.blake2b(digest_size=8)
        for item in {item.split: item for item in self.items(setting)}.values():
            trip = _trip(replace(item, facts={**item.facts, "gap": min(item.facts["gap"], LOOP)}))
            digest.update(trip.frames.tobytes() + trip.lure.tobytes())
        return digest.hexdigest()

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """A memory of a few steps, and who shows the first frame again."""
        return {
            "window": Rememberer("window of 8 steps", window=WINDOW),
            "copy_first": Repeater("first frame repeated", 0),
        }

    def ceiling(self, setting: Setting) -> Probe:
        """The simulator."""
        return Rememberer("simulator")

    def prepare(self, probe: Probe, setting: Setting) -> None:
        """Nothing is learned about a probe."""

    def answer(self, probe: Probe, items: Sequence[Item], prepared: None) -> Sequence[Answer]:
        """1 where the truth is chosen, 0 where the lure is; trips of one length together."""
        found: dict[str, Answer] = {}
        cells = {(item.facts["world"], item.facts["gap"]) for item in items}
        for world, gap in sorted(cells):
            some = [i for i in items if (i.facts["world"], i.facts["gap"]) == (world, gap)]
            trips = [_trip(item) for item in some]
            answers = _answers(variant(probe, world), trips)
            for item, answer in zip(some, answers, strict=True):
                facts = {**answer.extra, "gap": gap}
                hidden = item.split == "moving"
                facts |= {"was": facts["was"] if hidden else None}
                found[item.key] = Answer(None if hidden else answer.value, facts)
        return [found[item.key] for item in items]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing | None:
        """The last steps of a trip; None where it draws nothing."""
        if "render" not in probe.capabilities:
            return None
        trip = _trip(item)
        shown = len(trip.frames) - trip.hidden
        world = variant(probe, item.facts["world"])
        state = world.observe(_clip([trip], 0, shown))
        drawn = world.rollout(state, _action(trip.keys[None, shown:])).frames
        assert drawn is not None
        first = max(0, shown - BEFORE)
        seen = np.concatenate([trip.frames[first:shown], drawn[0, 0].numpy()])
        return Showing(trip.frames[first:], seen, f"{item.split}, {item.facts['gap']} steps away")

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """Chooses the truth more often than the lure, and listens to its keys."""
        return judge(rows, seed=seed)

    def faults(self) -> Mapping[str, Fault]:
        """One who forgets, and one for whom the unseen stands still."""
        return {
            "forgets": Fault(
                lambda setting: Rememberer("forgets", window=FORGETS),
                lambda verdict: _between(verdict, 8, 32),
                "forgets after 16 steps: its half-life must lie between 8 and 32",
            ),
            "freezes": Fault(
                lambda setting: Rememberer("freezes", freezes=True),
                lambda verdict: (
                    bool(verdict.passed)
                    and (verdict.figures["evolves"].value or 0) < 0.5
                    and (verdict.figures["freezes"].value or 0) > 0.5
                ),
                "what it does not see stands still: all else is right",
            ),
        }

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """Training trips of both worlds, each a store of its own."""
        stores = {}
        for world, kinds in KINDS.items():
            info = StoreInfo(SPECS[world], {"main": (ROWS, COLUMNS)}, 10.0, heldout=0.0)
            store = Store.open_or_create(path / world, info)
            short = [g for g in self.gaps or GAPS[setting.budget] if g <= 64]
            for index in range(len(store), LESSONS[setting.budget]):
                seed = train_seed(self.name, f"train {world}", index, setting)
                kind = kinds[index % 2]
                trip = make_trip(kind, short[index // 2 % len(short)], seed)
                keys = {"keys": trip.keys.astype(np.uint8)}
                episode = Episode({"main": trip.frames}, keys, seed=index)
                store.append(episode, split="train", number=index)
            stores[world] = store
        return stores


@lru_cache(maxsize=64)
def _made(kind: Any, gap: int, seed: int) -> Trip:
    return make_trip(kind, gap, seed)


def _trip(item: Item) -> Trip:
    return _made(item.split, item.facts["gap"], item.seed)


def _between(verdict: Verdict, low: float, high: float) -> bool:
    found = verdict.figures["half-life"].value
    return found is not None and low <= found <= high


def _answers(probe: Probe, trips: Sequence[Trip]) -> list[Answer]:
    """What a probe makes of trips of one length, all but their ends having been shown."""
    if isinstance(probe, Repeater):
        still = [trip.frames[probe.frame] for trip in trips]
        return [_drawn(t, f, f) for t, f in zip(trips, still, strict=True)]
    shown = len(trips[0].frames) - trips[0].hidden
    state = probe.observe(_clip(trips, 0, shown))
    truth, lure = _stack(trips, "frames")[:, shown:], _stack(trips, "lure")
    keys, others = _stack(trips, "keys")[:, shown:], _stack(trips, "other_keys")
    if "render" in probe.capabilities:
        drawn = [probe.rollout(state, _action(k)).frames for k in (keys, others)]
        assert drawn[0] is not None and drawn[1] is not None
        ends = [frames[0, :, -1].numpy() for frames in drawn if frames is not None]
        return [_drawn(t, a, b) for t, a, b in zip(trips, *ends, strict=True)]
    told = [
        probe.score(state, Clip(frames={"main": torch.from_numpy(frames)}, actions=_action(k)))
        for frames, k in ((truth, keys), (lure, keys), (truth, others))
    ]
    sums = [t.double().sum(1).tolist() for t in told]
    return [_surprised(*three) for three in zip(*sums, strict=True)]


def _drawn(trip: Trip, end: np.ndarray, elsewhere: np.ndarray) -> Answer:
    """The last frame drawn under the true keys, and that under others, held against the truth."""
    truth, lure = trip.frames[-1], trip.lure[-1]
    to_truth, to_lure = _error(end, truth), _error(end, lure)
    fates = {"evolves": truth, "freezes": trip.frozen, "loses": trip.lost}
    nearest = min(fates, key=lambda fate: _error(end, fates[fate]))
    extra = {
        "error": to_truth,
        "other_error": _error(elsewhere, trip.other[-1]),
        "deaf_error": _error(elsewhere, truth),
        "was": nearest,
    }
    return Answer(_choice(to_truth, to_lure), extra)


def _surprised(truth: float, lure: float, deaf: float) -> Answer:
    """The same of a probe that draws nothing: it is less surprised by what it chooses."""
    extra = {"error": truth, "other_error": None, "deaf_error": deaf, "was": None}
    return Answer(_choice(truth, lure), extra)


def _choice(truth: float, lure: float) -> float:
    return 0.5 if truth == lure else float(truth < lure)


def _error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square((a.astype(np.float64) - b) / 255).mean())


def _stack(trips: Sequence[Trip], name: str) -> np.ndarray:
    return np.stack([getattr(trip, name) for trip in trips])


def _action(keys: np.ndarray) -> Action:
    """Known keys `[B, T, n]`."""
    known = torch.ones(keys.shape[:2], dtype=torch.bool)
    return Action({"keys": torch.from_numpy(keys.astype(np.uint8))}, known)


def _clip(trips: Sequence[Trip], first: int, last: int) -> Clip:
    """Frames of trips from `first` up to `last`, and what a simulator is told there."""
    action = _action(_stack(trips, "keys")[:, first:last])
    if first == 0:
        action.known[:, 0] = False
    frames = torch.from_numpy(_stack(trips, "frames")[:, first:last])
    return Clip(frames={"main": frames}, actions=action, snapshots=tuple(t.told for t in trips))
