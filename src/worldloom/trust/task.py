"""What a task is: a claim, questions with known answers, and what its score stands next to.

Nulls, ceilings and planted faults are probes like the one that is judged: they sit the
same task, item by item. A task knows no model and writes no file.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from worldloom import seeding
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.evaluate.report import Figure
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.world import WorldSpec


class NotApplicable(WorldloomError):
    """A task cannot be sat under these circumstances, for a reason that is no failure.

    Raised by what a task does before its first answer: `fingerprint`, `items`, `prepare`.
    """


SUITE = 1
"""Version of the suite: seeds and thresholds belong to it."""
HELD_OUT = 1_000_000
"""Seeds of exams from here on are held out: nothing is developed, trained or tested on them."""
Budget = Literal["smoke", "quick", "full"]


@dataclass(frozen=True)
class Item:
    """One question.

    Args:
      key: its name within the task.
      cluster: the world, episode, quad or template that it comes from.
      split: the part of the test that it belongs to.
      seed: makes it.
      facts: what the task wants to know of it.
    """

    key: str
    cluster: str
    split: str
    seed: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What one probe made of one item.

    Args:
      value: the number that the task pools; None where there is none for this item.
      extra: what else is to be kept, numbers and words.
    """

    value: float | None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """The circumstances of an exam.

    Args:
      budget: how many items.
      seed: 0 is the suite's own; others draw another exam of the same kind. From `HELD_OUT` on
        nobody has seen it.
      folder: where a task may keep what takes long to make; None for nowhere.
      store: recordings of the world under test, for tasks that work on the world's data.
      agent: a world with somebody in it, whose layer `agent` is what that one makes of what it
        sees, and `policy` what it would do; None where there is nobody.
      training: which training of the family, for tasks with data of their own: 0 is the first,
        others differ from it in the seed of the training alone.
    """

    budget: Budget = "quick"
    seed: int = 0
    folder: Path | None = None
    store: Store | None = None
    agent: Probe | None = None
    training: int = 0


@dataclass(frozen=True)
class Verdict:
    """What an exam found.

    Args:
      figures: by name; the primary one first.
      passed: whether the task's gate was passed; None where it has no answer.
      sentence: the same in words.
    """

    figures: Mapping[str, Figure]
    passed: bool | None
    sentence: str

    @property
    def primary(self) -> Figure:
        """The figure that a profile shows."""
        return next(iter(self.figures.values()))


@dataclass(frozen=True)
class Fault:
    """A probe that is wrong in one way, which the task must notice.

    Args:
      probe: makes it, under the circumstances of the exam.
      caught: whether a verdict on it shows the fault, and nothing else.
      words: what is wrong with it, and how it must show.
    """

    probe: Callable[[Setting], Probe]
    caught: Callable[[Verdict], bool]
    words: str


class Task(Protocol):
    """One exam.

    Attributes:
      name: a word, the name of its file of rows.
      version: raised with every change that changes a score.
      claim: what passing it says, in a sentence.
      requires: capabilities without which it is not applicable.
      own_data: True where the family under test is trained on the task's own recordings;
        `recordings` then makes them.
      chunk: items that are answered together, always the same ones.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def claim(self) -> str: ...
    @property
    def requires(self) -> frozenset[str]: ...
    @property
    def own_data(self) -> bool: ...
    @property
    def chunk(self) -> int: ...

    def items(self, setting: Setting) -> Sequence[Item]:
        """All questions, always in the same order."""
        ...

    def fingerprint(self, setting: Setting) -> str:
        """A hash of what the generator makes: another one means another exam."""
        ...

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """What a world that has learned nothing of the claim would answer, the main one first."""
        ...

    def ceiling(self, setting: Setting) -> Probe | None:
        """The simulator, or the best that the read-out allows."""
        ...

    def prepare(self, probe: Probe, setting: Setting) -> Any:
        """What is learned about a probe before it answers, from a split of its own; often None."""
        ...

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Any) -> Sequence[Answer]:
        """One answer for each item, by nothing but the probe's methods."""
        ...

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """The verdict on all rows."""
        ...

    def faults(self) -> Mapping[str, Fault]:
        """Probes that must be caught."""
        ...


class OwnData(Task, Protocol):
    """A task on whose own recordings the family under test is trained."""

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """Makes what the family is trained on, or opens what is there.

        One store under the name `""`; or several, one for each of the worlds that a task
        compares, which then come as one `Variants`.
        """
        ...


@runtime_checkable
class Particular(Protocol):
    """A task that is about one game, and says for which worlds it is not."""

    def fits(self, spec: WorldSpec) -> str:
        """Why it is not for a world of these frames and actions; empty where it is."""
        ...


@runtime_checkable
class Portable(Particular, Protocol):
    """One that can be asked of worlds of other games as well: their family learns its game."""

    def elsewhere(self) -> "Task":
        """The same task with data of its own, for whom it does not fit."""
        ...


@dataclass(frozen=True)
class Variants:
    """Several worlds of one family, trained on different recordings, as one probe.

    A task that asked for them takes each out with `variant`; who asks nothing gets the last.

    Args:
      worlds: name of the recordings to the probe of the world trained on them.
    """

    worlds: Mapping[str, Probe]

    def __getattr__(self, name: str) -> Any:
        return getattr(list(self.worlds.values())[-1], name)


def variant(probe: Probe, name: str) -> Probe:
    """The world trained on the recordings `name`; a probe that was not trained is itself."""
    return probe.worlds[name] if isinstance(probe, Variants) else probe


def training_seed(setting: Setting) -> int:
    """The seed of a training: that of the exam itself for the first one."""
    if not setting.training:
        return setting.seed
    return seeding.stream(setting.seed, "training", setting.training) % 2**31


def described(items: Sequence[Item]) -> str:
    """How many items there are, and a hash of all that is known of them."""
    told = str([_plain((i.key, i.cluster, i.split, i.seed, i.facts)) for i in items])
    return f"{len(items)} ({hashlib.blake2b(told.encode(), digest_size=6).hexdigest()})"


def _plain(value: Any) -> Any:
    """The same in words that do not depend on the process."""
    if isinstance(value, Mapping):
        return sorted((repr(name), _plain(part)) for name, part in value.items())
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))


def item_seed(task: str, split: str, index: int, setting: Setting) -> int:
    """The seed of one item: a function of suite, task, split, index and the exam's seed."""
    return seeding.stream(setting.seed, f"suite {SUITE}, {task}, {split}", index)


def train_seed(task: str, split: str, index: int, setting: Setting) -> int:
    """The seed of one thing to learn from: never one of an exam that is held out.

    Under a held-out seed one learns what one would learn under that seed less `HELD_OUT`.
    """
    return item_seed(task, split, index, replace(setting, seed=setting.seed % HELD_OUT))
