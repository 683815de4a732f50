"""Look: can its pictures be told from recordings, do they last, do they break the rules?

And where somebody is in the world: does that one notice, and behave otherwise there?
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from worldloom.actions import Action
from worldloom.data.store import Store
from worldloom.evaluate.endurance import idle_sums
from worldloom.evaluate.rules import rules_of
from worldloom.evaluate.windows import Window
from worldloom.trust import recorded
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Probe, lacking
from worldloom.trust.recorded import CONTEXT, Copy, Environment, Insider, Moment, Recording
from worldloom.trust.rows import Row
from worldloom.trust.task import Answer, Budget, Fault, Item, Setting, Verdict, item_seed
from worldloom.trust.tasks.look import telling
from worldloom.trust.tasks.look.telling import Teller
from worldloom.trust.tasks.look.verdict import judge
from worldloom.trust.tasks.reading.ridge import Line

SEEN = 16
"""Frames that are dreamed to be told from recorded ones."""
COUNT: Mapping[Budget, int] = {"smoke": 10, "quick": 48, "full": 200}
"""Moments of each of the two parts."""
UPDATES: Mapping[Budget, int] = {"smoke": 40, "quick": 200, "full": 2000}
"""Of who tells dream from recording."""
LONG: Mapping[Budget, int] = {"smoke": 4, "quick": 8, "full": 48}
"""Moments at which it idles and plays for long."""


@dataclass(frozen=True)
class Lengths:
    """How long is long, in frames.

    Args:
      idle: early and late of idling.
      around: frames up to each over which errors are pooled.
      play: under another's actions.
    """

    idle: tuple[int, int]
    around: int
    play: int


LENGTHS: Mapping[Budget, Lengths] = {
    "smoke": Lengths((8, 32), 4, 24),
    "quick": Lengths((60, 240), 20, 120),
    "full": Lengths((100, 1000), 40, 250),
}


class Elsewhere(Insider):
    """Recorded frames of other moments: who tells these from the right ones tells nothing."""

    name = "recordings of elsewhere"

    def film(self, moments: Sequence[Moment], actions: Action) -> np.ndarray | None:
        """What followed the moment before this one in the batch; as much as was recorded."""
        steps = actions.known.shape[1]
        if steps > len(moments[0].after):
            return None
        return np.stack([moments[i - 1].after[:steps] for i in range(len(moments))])


@dataclass(frozen=True)
class Prepared:
    """What was learned on the one part of the episodes.

    Args:
      store: of the recordings.
      lengths: of what takes long.
      teller: of dreamed from recorded frames; None where there are no dreams.
      agent: who lives in the world; None where nobody does.
      inner: what in it tells dream from recording.
    """

    store: Store
    lengths: Lengths
    teller: Teller | None
    agent: Probe | None = None
    inner: Line | None = None


@dataclass(frozen=True)
class Look:
    """The task.

    Args:
      count: moments of each part; the budget's own number by default.
      updates: of who tells dream from recording; the budget's own by default.
      lengths: of what takes long; the budget's own by default.
      name: of the task.
      version: of the task.
      claim: what passing it says.
      requires: what a probe must be able to do.
      own_data: it works on the world's recordings.
      chunk: moments that are answered together.
    """

    count: int | None = None
    updates: int | None = None
    lengths: Lengths | None = None
    name: str = "look"
    version: int = 1
    claim: str = "its pictures cannot be told from recordings, also after long"
    requires: frozenset[str] = frozenset({"rollout", "render"})
    own_data: bool = False
    chunk: int = 8

    def items(self, setting: Setting) -> Sequence[Item]:
        """Moments of the part that is asked about; at the first of them it stays for long."""
        some, long = self._part(setting, 0), LONG[setting.budget]
        return [
            replace(item, facts={**item.facts, "long": index < long})
            for index, item in enumerate(some)
        ]

    def _part(self, setting: Setting, which: int) -> list[Item]:
        """One half of the held-out episodes, in their order for this exam."""
        half = recorded.count_held(setting, SEEN) // 2
        count = min(half, self.count or COUNT[setting.budget])
        skip, split = (0, "test") if which == 0 else (half, "learn")
        return recorded.draw_items(
            self.name, setting, count=count, frames=SEEN, skip=skip, split=split
        )

    def fingerprint(self, setting: Setting) -> str:
        """Of the moments of both parts and of how they are looked at."""
        keys = [item.key for which in (0, 1) for item in self._part(setting, which)]
        how = self.updates or UPDATES[setting.budget], self._lengths(setting), telling.NOISE
        return hashlib.blake2b(str((keys, how)).encode(), digest_size=8).hexdigest()

    def _lengths(self, setting: Setting) -> Lengths:
        return self.lengths or LENGTHS[setting.budget]

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """A blurred last frame, which must be told; and other recordings, which must not."""
        return {"blurred": Copy("blurred last frame", blur=1), "elsewhere": Elsewhere()}

    def ceiling(self, setting: Setting) -> Probe:
        """The real environment where the recordings lead back into it."""
        return Environment(recorded.recordings(setting))

    def prepare(self, probe: Probe, setting: Setting) -> Prepared:
        """Learns to tell this probe's dreams from recordings, on the part that is not asked."""
        store, lengths = recorded.recordings(setting), self._lengths(setting)
        some = self._part(setting, 1)
        moments = recorded.moments_of(store, some, SEEN)
        parts = [moments[i : i + self.chunk] for i in range(0, len(moments), self.chunk)]
        films = [dreamed(probe, part) for part in parts]
        whole = [film for film in films if film is not None]
        if len(whole) < len(films):
            return Prepared(store, lengths, None)
        real = np.stack([moment.after for moment in moments])
        updates = self.updates or UPDATES[setting.budget]
        seed = item_seed(self.name, "teller", 0, setting)
        teller = telling.learn(real, np.concatenate(whole), updates=updates, seed=seed)
        agent = None if isinstance(probe, Insider) else setting.agent
        if agent is None or lacking(agent, frozenset({"continue", "features"})):
            return Prepared(store, lengths, teller)
        inner = telling.learn_inner(telling.lived(agent, moments))
        return Prepared(store, lengths, teller, agent, inner)

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Prepared) -> Sequence[Answer]:
        """The share of frames for which the dreamed one is taken for the dream."""
        if prepared.teller is None:
            return [Answer(None) for _ in items]
        moments = recorded.moments_of(prepared.store, items, SEEN)
        found = [
            {**a, **b}
            for a, b in zip(
                _told(probe, items, moments, prepared.teller),
                _agents(moments, prepared),
                strict=True,
            )
        ]
        some = [i for i, item in enumerate(items) if item.facts["long"]]
        if some:
            long = _long(probe, [items[i] for i in some], [moments[i] for i in some], prepared)
            for i, more in zip(some, long, strict=True):
                found[i] |= more
        shares = [telling.choices(np.array(e["real"]), np.array(e["dream"])) for e in found]
        return [Answer(float(s.mean()), e) for s, e in zip(shares, found, strict=True)]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing | None:
        """A dream that is told from its recording."""
        (moment,) = recorded.moments_of(recorded.recordings(setting), [item], SEEN)
        actions = recorded.actions_of([moment], CONTEXT, CONTEXT + SEEN)
        return recorded.shown(probe, moment, actions, Recording(), "the recording and its dream")

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """Told apart seldom, steady, and by the rules."""
        return judge(rows, seed=seed)

    def faults(self) -> Mapping[str, Fault]:
        """Reality with a tint, growing dark, and without its player."""
        return {
            "tinted": Fault(
                lambda setting: _painted(setting, "tinted", _tinted),
                lambda verdict: verdict.passed is False and _beyond(verdict, "told_apart", 0.9),
                "its pictures have a tint of ten levels: they are told apart",
            ),
            "darkens": Fault(
                lambda setting: _painted(setting, "darkens", _darker),
                lambda verdict: verdict.passed is False and _beyond(verdict, "idling", 3.0),
                "it darkens slowly: idling costs decibels",
            ),
            "vanishing": Fault(
                lambda setting: _painted(setting, "the player vanishes", _emptied),
                lambda verdict: verdict.passed is False and _beyond(verdict, "breaches", 100.0),
                "nobody is there any more after 5 frames: a rule is broken in every frame",
            ),
        }


def dreamed(probe: Probe, moments: Sequence[Moment]) -> np.ndarray | None:
    """`[N, SEEN, H, W, 3]` what follows moments under the recorded actions."""
    state = probe.observe(recorded.begin(moments))
    actions = recorded.actions_of(moments, CONTEXT, CONTEXT + SEEN)
    return _film(probe, state, actions)


def _film(probe: Probe, state: Any, actions: Action) -> np.ndarray | None:
    frames = probe.rollout(state, actions).frames
    return None if frames is None else frames[0].numpy()


def _told(
    probe: Probe, items: Sequence[Item], moments: Sequence[Moment], teller: Teller
) -> list[dict[str, Any]]:
    """What is said of dreamed and recorded frames."""
    film = dreamed(probe, moments)
    assert film is not None, "it drew these moments' like before"
    rows = []
    for item, moment, dream in zip(items, moments, film, strict=True):
        real, fake = (
            teller.says(frames[None], seed=item.seed)[0] for frames in (moment.after, dream)
        )
        rows.append({"real": _rounded(real), "dream": _rounded(fake)})
    return rows


def _agents(moments: Sequence[Moment], prepared: Prepared) -> list[dict[str, Any]]:
    """What the agent makes of recording and dream, and what it would do there."""
    if prepared.agent is None or prepared.inner is None:
        return [{} for _ in moments]
    told = telling.lived(prepared.agent, moments)
    says = {name: prepared.inner(part["heard"]) for name, part in told.items()}
    return [
        {
            "agent": {
                name: {
                    "says": _rounded(says[name][i]),
                    "would": _rounded(told[name]["would"][i].mean(0)),
                }
                for name in told
            }
        }
        for i in range(len(moments))
    ]


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 5) for v in values]


def _long(
    probe: Probe, items: Sequence[Item], moments: Sequence[Moment], prepared: Prepared
) -> list[dict[str, Any]]:
    """Sums of idling, and breaches of rules in free play; nothing where it draws no further."""
    store, lengths = prepared.store, prepared.lengths
    state = probe.observe(recorded.begin(moments))
    late = lengths.idle[1]
    idle = _film(probe, state, recorded.null_actions(store.info.action, len(items), late))
    if idle is None:
        return [{} for _ in items]
    real = _real_idle(store, tuple(m.window for m in moments), late)
    found: list[dict[str, Any]] = []
    for i, moment in enumerate(moments):
        start = moment.frames[CONTEXT - 1]
        shown = start[None] if real is None else real[i]
        sums = idle_sums(start, idle[i], shown, upto=lengths.idle, around=lengths.around)
        found.append({"idle": sums.tolist(), "entered": real is not None})
    rules = rules_of(store.info.env)
    if rules is None or not all(rules.info <= set(m.episode.info) for m in moments):
        return found
    played = _film(probe, state, recorded.long_actions(store, items, lengths.play))
    assert played is not None, "who idles can play"
    for i, moment in enumerate(moments):
        lasts = rules.over(played[i], moment.plate, moment.episode)
        broken = rules.broken(played[i, :lasts], moment.plate, moment.episode).sum()
        found[i] |= {"broken": int(broken), "lasts": int(lasts)}
    return found


@lru_cache(maxsize=8)
def _real_idle(store: Store, chosen: tuple[Window, ...], steps: int) -> np.ndarray | None:
    """What the real environment shows while nothing is done; None where it cannot be entered."""
    moments = [recorded.moment_at(store, w) for w in chosen]
    null = recorded.null_actions(store.info.action, len(moments), steps)
    return Environment(store).film(moments, null)


def _beyond(verdict: Verdict, name: str, bound: float) -> bool:
    low = verdict.figures[name].low
    return low is not None and low > bound


def _painted(setting: Setting, name: str, paints: recorded.Paints) -> Environment:
    return Environment(recorded.recordings(setting), name, paints=paints)


def _shifted(frames: np.ndarray, levels: np.ndarray) -> np.ndarray:
    return (frames + levels).clip(0, 255).astype(np.uint8)


def _tinted(frames: np.ndarray, moment: Moment) -> np.ndarray:
    """Ten levels more red."""
    return _shifted(frames.astype(int), np.array([10, 0, 0]))


def _darker(frames: np.ndarray, moment: Moment) -> np.ndarray:
    """Half a level less in every frame."""
    return _shifted(frames.astype(int), -(np.arange(len(frames)) // 2)[:, None, None, None])


def _emptied(frames: np.ndarray, moment: Moment) -> np.ndarray:
    """Nothing but the background after 5 frames."""
    return np.concatenate([frames[:5], np.broadcast_to(moment.plate, frames[5:].shape)])
