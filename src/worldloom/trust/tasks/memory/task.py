"""Memory by view: does it know again what it left, in recordings of which nothing else is known?

Where a view comes back, the world is shown once a long past, in which it saw that view, and
once only the end of it, in which it did not. It imagines the way back under the recorded
actions; who remembers comes nearer with the long past. A longer past may help for other
reasons, so the same is asked where a view is new, and taken off.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from worldloom import seeding
from worldloom.data.store import Store
from worldloom.evaluate.report import Figure
from worldloom.evaluate.windows import Window
from worldloom.trust import pooling, recorded
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Probe
from worldloom.trust.recorded import LEAST, Copy, Moment, Recording
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
from worldloom.trust.tasks.memory.views import AHEAD, SHORT, Reminded, places_of

PAST: Mapping[Budget, int] = {"smoke": 32, "quick": 48, "full": 48}
"""Frames of the long past."""
COUNT: Mapping[Budget, int] = {"smoke": 12, "quick": 48, "full": 400}
"""Episodes; one view of each comes back, and one is new."""


@dataclass(frozen=True)
class Memory:
    """The task.

    Args:
      count: episodes; the budget's own number by default.
      past: frames of the long past; the budget's own by default.
      name: of the task.
      version: of the task.
      claim: what passing it says.
      requires: what a probe must be able to do.
      own_data: it works on the world's recordings.
      chunk: questions that are answered together.
    """

    count: int | None = None
    past: int | None = None
    name: str = "memory"
    version: int = 1
    claim: str = "it knows a view again that it left"
    requires: frozenset[str] = frozenset({"rollout", "render"})
    own_data: bool = False
    chunk: int = 16

    def items(self, setting: Setting) -> Sequence[Item]:
        """In each episode a view that comes back and one that is new."""
        store, past = recorded.recordings(setting), self.past or PAST[setting.budget]
        names = [
            name for name in store.split("heldout") if all(places_of(store, name, past).values())
        ]
        count = min(len(names), self.count or COUNT[setting.budget])
        if count < LEAST:
            raise NotApplicable(
                f"in {len(names)} held-out episodes of `{store.path}` a view is left for "
                f"{SHORT} frames and comes back, and another one is new after {past}",
                "record longer episodes, in which one comes back to where one was",
            )
        dice = seeding.rng(item_seed(self.name, "order", 0, setting), "episodes")
        items = []
        for index, name in enumerate(names[i] for i in dice.permutation(len(names))[:count]):
            seed = item_seed(self.name, "test", index, setting)
            for split, places in places_of(store, name, past).items():
                last = int(seeding.rng(seed, split).choice(places))
                facts = {"episode": name, "last": last, "past": past}
                items.append(Item(f"{split}, {name} at {last}", name, split, seed, facts))
        return items

    def fingerprint(self, setting: Setting) -> str:
        """Of the questions."""
        keys = [item.key for item in self.items(setting)]
        return hashlib.blake2b(str(keys).encode(), digest_size=8).hexdigest()

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """One who shows no change."""
        return {"copy": Copy()}

    def ceiling(self, setting: Setting) -> Probe:
        """Who draws what it saw as it was."""
        return Reminded("remembers everything")

    def prepare(self, probe: Probe, setting: Setting) -> Store:
        """The recordings; nothing is learned about a probe."""
        return recorded.recordings(setting)

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Store) -> Sequence[Answer]:
        """1 where the long past brings it nearer to the view, 0 where it does not, a half if alike.

        An answer keeps both errors, mean squared over pixels in [0, 1].
        """
        both = []
        for past in (items[0].facts["past"], SHORT):
            moments = [_moment(prepared, item, past) for item in items]
            actions = recorded.actions_of(moments, past, past + AHEAD)
            state = probe.observe(recorded.begin(moments, frames=past))
            frames = probe.rollout(state, actions).frames
            assert frames is not None, "who can `render` draws"
            truth = np.stack([moment.after[-1] for moment in moments])
            both.append(_errors(frames[0, :, -1].cpu().numpy(), truth))
        return [
            Answer(0.5 if long == short else float(long < short), {"long": long, "short": short})
            for long, short in zip(*both, strict=True)
        ]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing | None:
        """The way back, beside what was recorded."""
        past = item.facts["past"]
        moment = _moment(recorded.recordings(setting), item, past)
        actions = recorded.actions_of([moment], past, past + AHEAD)
        words = {"back": "a view that comes back", "new": "a view that is new"}[item.split]
        return recorded.shown(probe, moment, actions, Recording(), words)

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """Nearer with the long past where a view comes back, and more so than where it is new."""
        by = {split: [row for row in rows if row.split == split] for split in ("back", "new")}
        figures = {
            "remembers": pooling.mean_figure(by["back"], seed=seed, null=0.5),
            "gain": _gain(rows, seed=seed),
            "where it is new": pooling.mean_figure(by["new"], seed=seed, null=0.5),
        }
        often, more = (figures[name].low for name in ("remembers", "gain"))
        passed = often is not None and often > 0.5 and more is not None and more > 0
        share = figures["remembers"].value
        words = "it remembers nothing" if not passed else "it remembers"
        return Verdict(
            figures, passed, f"{words}: with what it saw it comes nearer {share:.0%} of the time"
        )

    def faults(self) -> Mapping[str, Fault]:
        """Who forgets what it left, and who mistakes it."""
        return {
            "forgets": Fault(
                lambda setting: Reminded("forgets what it left", window=SHORT),
                lambda v: v.passed is False and v.figures["remembers"].value == 0.5,
                "it has no more than the short past: a half, exactly",
            ),
            "mistakes": Fault(
                lambda setting: Reminded("mistakes one for another", wrong=True),
                lambda v: v.passed is False and (v.figures["gain"].low or 0.0) <= 0,
                "it draws another view in place of the one that it saw: nothing is gained",
            ),
        }


def _moment(store: Store, item: Item, past: int) -> Moment:
    """What is asked, after a past of so many frames."""
    first = item.facts["last"] - AHEAD + 1 - past
    return recorded.moment_at(store, Window(item.facts["episode"], first, past, AHEAD))


def _errors(drawn: np.ndarray, truth: np.ndarray) -> list[float]:
    """`[B]` mean squared errors of frames `[B, H, W, 3]`."""
    gap = (drawn.astype(np.float64) - truth) / 255
    return np.square(gap).mean((1, 2, 3)).tolist()


def _gain(rows: Sequence[Row], *, seed: int) -> Figure:
    """How much nearer the long past brings it where a view comes back, less where it is new."""

    def columns(who: str) -> list[pooling.Column]:
        return [lambda row, split=split: _nearer(row, split, who) for split in ("back", "new")]

    best = pooling.table(rows, columns("ceiling"))
    return pooling.figure(
        pooling.table(rows, columns("")),
        _between,
        seed=seed,
        null=0.0,
        ceiling=float(_between(best.sum(0))) if len(best) else None,
        unit="squared error",
    )


def _between(sums: np.ndarray) -> np.ndarray:
    """Mean of the first column less that of the second, of rows half of which are of each."""
    return 2 * (sums[..., 1] - sums[..., 2]) / sums[..., 0]


def _nearer(row: Row, split: str, who: str) -> float | None:
    """The error with the short past less that with the long one; 0 for rows of another split."""
    facts = row.extra.get("beside", {}).get(who) if who else row.extra
    if facts is None:
        return None
    return facts["short"] - facts["long"] if row.split == split else 0.0
