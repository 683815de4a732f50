"""Doubt: does it know when it does not know, also where everything is strange?

From moments of held-out recordings it dreams on and says how likely each step is wrong.
Steps count up to the first one that is: from there on the dream stands in what was wrong.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from worldloom import seeding
from worldloom.actions import Action
from worldloom.data.store import Store
from worldloom.trust import recorded
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Probe
from worldloom.trust.recorded import CONTEXT, Environment, Moment, Recording
from worldloom.trust.rows import Row
from worldloom.trust.task import (
    Answer,
    Budget,
    Fault,
    Item,
    Setting,
    Verdict,
    item_seed,
)
from worldloom.trust.tasks.doubt import nearest
from worldloom.trust.tasks.doubt.nearest import Bank
from worldloom.trust.tasks.doubt.verdict import judge

STEPS = 24
SPLITS = ("dev", "same", "colours", "actions")
"""Where abstention is set; as recorded; colours exchanged; another's actions."""
WORDS = {
    "dev": "as recorded",
    "same": "as recorded",
    "colours": "in exchanged colours",
    "actions": "under another's actions",
}
COUNT: Mapping[Budget, int] = {"smoke": 8, "quick": 40, "full": 300}
"""Moments of each half of the episodes."""
BANK: Mapping[Budget, int] = {"smoke": 400, "quick": 2000, "full": 8000}
"""Transitions of training episodes among which the nearest is looked for."""
OFF = 24  # levels by which a planted error is off
SAMPLES = (0, 1)
"""Of the same future; the first is the one that is doubted."""


@dataclass(frozen=True)
class Prepared:
    """What is known before the first answer.

    Args:
      store: of the recordings.
      seen: transitions of training episodes, as pictures.
      held: the same as the world holds them; None where it has no features.
    """

    store: Store
    seen: Bank
    held: Bank | None


@dataclass(frozen=True)
class DoubtTask:
    """The task.

    Args:
      count: moments of each half; the budget's own number by default.
      name: of the task.
      version: of the task.
      claim: what passing it says.
      requires: what a probe must be able to do.
      own_data: it works on the world's recordings.
      chunk: moments that are answered together.
    """

    count: int | None = None
    name: str = "doubt"
    version: int = 3
    claim: str = "it knows when it does not know"
    requires: frozenset[str] = frozenset({"rollout", "render", "doubt"})
    own_data: bool = False
    chunk: int = 12

    def items(self, setting: Setting) -> Sequence[Item]:
        """Moments of one half to set abstention by, and those of the other in three ways."""
        half = recorded.count_held(setting, STEPS) // 2
        count = min(half, self.count or COUNT[setting.budget])
        found: list[Item] = []
        for split in SPLITS:
            skip = half if split == "dev" else 0
            part = "dev" if split == "dev" else "test"  # the same moments in all three ways
            some = recorded.draw_items(
                self.name, setting, count=count, frames=STEPS, skip=skip, split=part
            )
            found += [replace(i, key=f"{split}, {i.key}", split=split) for i in some]
        return found

    def fingerprint(self, setting: Setting) -> str:
        """Of the moments, and of how many transitions they are held against."""
        told = [item.key for item in self.items(setting)], BANK[setting.budget]
        return hashlib.blake2b(str(told).encode(), digest_size=8).hexdigest()

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """None that answers by itself: other doubts are held against the same dreams."""
        return {}

    def ceiling(self, setting: Setting) -> None:
        """The true error, which every answer has beside it."""

    def prepare(self, probe: Probe, setting: Setting) -> Prepared:
        """Gathers transitions of training episodes."""
        store = recorded.recordings(setting)
        seed = item_seed(self.name, "bank", 0, setting)
        size = BANK[setting.budget]
        known = nearest.held(probe, store, size, seed)
        return Prepared(store, nearest.seen(store, size, seed), known)

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Prepared) -> Sequence[Answer]:
        """The share of wrong steps up to the first; beside it doubts and errors of all of them."""
        found: dict[str, Answer] = {}
        for split in SPLITS:
            some = [item for item in items if item.split == split]
            if some:
                answers = _answers(probe, some, split, prepared)
                found |= {item.key: a for item, a in zip(some, answers, strict=True)}
        return [found[item.key] for item in items]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing | None:
        """A dream that goes wrong, as it was doubted: as recorded, or in what is strange to it."""
        store = recorded.recordings(setting)
        moments, actions = _asked(store, [item], item.split)
        real = Environment(store) if item.split == "actions" else Recording()
        state = probe.observe(recorded.begin(moments))
        doubt = probe.doubt(state, actions)[0]
        words = f"{WORDS[item.split]}; of its {len(doubt)} steps it doubts {doubt.mean():.0%}"
        return recorded.shown(probe, moments[0], actions, real, words)

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """Ranks errors better than what is merely unseen, may be believed, and notices."""
        return judge(rows, seed=seed)

    def faults(self) -> Mapping[str, Fault]:
        """Reality that goes wrong by a chance it knows, and says something else."""
        return {
            "constant": Fault(
                lambda setting: Doubter(setting, "constant doubt", lambda p: 0.2 + 0 * p),
                lambda verdict: verdict.passed is False and verdict.figures["auroc"].value == 0.5,
                "it doubts all steps alike",
            ),
            "negated": Fault(
                lambda setting: Doubter(setting, "negated doubt", lambda p: 1 - p),
                lambda verdict: (
                    verdict.passed is False and (verdict.figures["auroc"].high or 1) < 0.5
                ),
                "it doubts what is right",
            ),
            "overconfident": Fault(
                lambda setting: Doubter(setting, "too sure", lambda p: p / 10),
                lambda verdict: (
                    verdict.passed is False
                    and (verdict.figures["auroc"].low or 0) > 0.6
                    and (verdict.figures["ece"].low or 0) > 0.05
                ),
                "it ranks its errors rightly, and is surer than it may be",
            ),
        }


class Doubter(Environment):
    """The real environment, some steps of which are wrong by a chance that is known.

    Args:
      setting: of the exam.
      name: for people.
      says: from the chance to the doubt that is told; the truth by default.
    """

    tolerance = 0.05

    def __init__(
        self,
        setting: Setting,
        name: str = "who knows its chances",
        says: Callable[[np.ndarray], np.ndarray] = lambda p: p,
    ) -> None:
        super().__init__(recorded.recordings(setting), name)
        self._says = says

    @property
    def capabilities(self) -> frozenset[str]:
        """It draws and doubts."""
        return super().capabilities | {"doubt"}

    def film(self, moments: Sequence[Moment], actions: Action) -> np.ndarray | None:
        """The truth; chequered where it is wrong, which no small picture of it shows."""
        steps = actions.known.shape[1]
        truth = super().film(moments, actions)
        if truth is None:
            return None
        for row, moment in enumerate(moments):
            if not np.array_equal(moment.frames, _recorded(self.store, moment)):
                truth[row] = exchanged(truth[row])
        chance = self._chances(moments, steps)
        dice = [seeding.rng(_seed(m), "dice").random(steps) for m in moments]
        wrong = (np.stack(dice) < chance)[..., None, None, None]
        squares = 2 * (np.indices(truth.shape[2:4]).sum(0) % 2) - 1
        off = truth + OFF * squares[..., None]
        return np.where(wrong, off.clip(0, 255), truth).astype(np.uint8)

    def doubt(self, state: tuple[Moment, ...], actions: Action) -> torch.Tensor:
        """What it says of its chances."""
        chance = self._chances(state, actions.known.shape[1])
        return torch.from_numpy(self._says(chance)).float()

    def _chances(self, moments: Sequence[Moment], steps: int) -> np.ndarray:
        """`[B, T]`, mostly small."""
        draws = [seeding.rng(_seed(m), "chance").random(steps) for m in moments]
        return np.stack(draws) ** 4


def _seed(moment: Moment) -> int:
    return seeding.stream(moment.window.start, moment.window.episode)


def _recorded(store: Store, moment: Moment) -> np.ndarray:
    return recorded.moment_at(store, moment.window).frames


def exchanged(frames: np.ndarray) -> np.ndarray:
    """`[..., 3]` red is shown as green, green as blue, blue as red."""
    return np.roll(frames, 1, -1)


def _strange(moment: Moment) -> Moment:
    """The same moment in exchanged colours."""
    frames = {name: exchanged(f) for name, f in moment.episode.frames.items()}
    return replace(moment, episode=replace(moment.episode, frames=frames))


def _asked(store: Store, items: Sequence[Item], split: str) -> tuple[list[Moment], Action]:
    """Moments of one kind, and what is done there."""
    moments = recorded.moments_of(store, items, STEPS)
    doers = recorded.strangers_of(store, items, STEPS) if split == "actions" else moments
    if split == "colours":
        moments = [_strange(moment) for moment in moments]
    return moments, recorded.actions_of(doers, CONTEXT, CONTEXT + STEPS)


def _answers(
    probe: Probe, items: Sequence[Item], split: str, prepared: Prepared
) -> Sequence[Answer]:
    """Doubts, errors and what else would have told them, of dreams of one kind."""
    moments, actions = _asked(prepared.store, items, split)
    truth = np.stack([moment.after for moment in moments])
    if split == "actions":
        other = Environment(prepared.store).film(moments, actions)
        if other is None:
            return [Answer(None) for _ in items]
        truth = other
    state = probe.observe(recorded.begin(moments))
    frames = probe.rollout(state, actions, seeds=SAMPLES).frames
    assert frames is not None, "it says that it can draw"
    drawn = frames.numpy()
    before = np.stack([moment.frames[CONTEXT - 1] for moment in moments])
    told = {
        "doubt": probe.doubt(state, actions).numpy(),
        "error": _apart(drawn[0], truth),
        "near": prepared.seen.far(nearest.pictures(before, drawn[0])),
        "spread": np.mean([_apart(drawn[0], other) for other in drawn[1:]], 0),
    }
    if prepared.held is not None:
        camera = moments[0].camera
        own = nearest.features(probe, state, drawn[0], actions, camera)
        told["near_features"] = prepared.held.far(own)
    tolerance = float(getattr(probe, "tolerance", Doubter.tolerance))
    return [_answer({n: v[row] for n, v in told.items()}, tolerance) for row in range(len(items))]


def _answer(told: Mapping[str, np.ndarray], tolerance: float) -> Answer:
    """All steps up to the first wrong one."""
    wrong = told["error"] > tolerance
    upto = int(wrong.argmax()) + 1 if wrong.any() else len(wrong)
    extra = {name: [round(float(v), 6) for v in value[:upto]] for name, value in told.items()}
    extra["wrong"] = [bool(w) for w in wrong[:upto]]  # type: ignore[assignment]
    return Answer(float(wrong[:upto].mean()), extra)


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`[...]` root mean square difference of frames `[..., H, W, 3]`, in [0, 1]."""
    gap = (one.astype(np.float32) - other) / 255
    return np.sqrt(np.square(gap).mean((-3, -2, -1)))
