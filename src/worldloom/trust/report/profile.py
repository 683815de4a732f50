"""A profile: what a suite found of one world, task by task, and never one number.

Knows figures and words, and the file `trust.json`; measures nothing.
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from worldloom.errors import WorldloomError
from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure, number, span
from worldloom.trust.clips import Clip
from worldloom.trust.nulls import untrained
from worldloom.trust.task import HELD_OUT, SUITE, Budget

FORMAT = 3
"""3: nulls by name under every figure, what is missing, training, doubt; times under `run`."""
ENDING = "Intervals are 95%, over whole clusters. There is no overall score."
FINE = 0.05
"""Half of the interval that is wanted, of the way from null to ceiling."""


@dataclass(frozen=True)
class Spread:
    """One figure of several worlds that differ in the seed of their training alone.

    Never pooled with items: an interval over items says what other items would give, this one
    what another training would.

    Args:
      values: one a training, the first is that of the figure.
      low: lower end of the 95% t interval of their mean.
      high: upper end.
      deviation: between trainings.
      item_error: standard error over items, of the first training.
    """

    values: tuple[float, ...]
    low: float
    high: float
    deviation: float
    item_error: float


def spread(figures: Sequence[Figure]) -> Spread | None:
    """How one figure differs between trainings; None where one of them lacks it."""
    values = tuple(f.value for f in figures if f.value is not None)
    first = figures[0]
    if len(values) < max(2, len(figures)) or first.low is None or first.high is None:
        return None
    low, high = statistics.t_interval(values)
    error = (first.high - first.low) / 2 / 1.959964
    return Spread(values, low, high, float(np.std(values, ddof=1)), error)


@dataclass(frozen=True)
class Entry:
    """One line of a profile.

    Args:
      task: name of the task.
      version: of the task.
      claim: what passing it says.
      passed: None where it is not applicable, or the task has no gate.
      sentence: what was found.
      why: why it is not applicable; empty where it is.
      figures: the primary one first.
      header: whose rows these are, or who was not asked: generator, weights, seed.
      missing: capabilities that the task asks for and the world has not.
      nulls: of each figure, by name, what the nulls' own answers come to; None for absent.
      training: of tasks with data of their own: recipe, recordings, seeds.
      training_seconds: that own-data worlds were trained for; None where nobody wrote it down.
      seconds: of asking, all interruptions and trainings added up.
      trainings: whether the worlds of each training passed, the first one included; empty where
        there was one.
      spreads: figures by name, over trainings.
      clips: what it did worst, to look at.
    """

    task: str
    version: int
    claim: str
    passed: bool | None
    sentence: str
    why: str
    figures: Mapping[str, Figure]
    header: Mapping[str, Any]
    missing: tuple[str, ...] = ()
    nulls: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    training_seconds: float | None = 0.0
    seconds: float = 0.0
    trainings: tuple[bool | None, ...] = ()
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    clips: tuple[Clip, ...] = ()


@dataclass(frozen=True)
class Profile:
    """What a suite found of one world.

    Args:
      world: name of it.
      identity: tells it from others of its name.
      budget: how many items each task had.
      seed: of the exam.
      entries: one a task.
      run: machine, code and command, which no comparison reads.
    """

    world: str
    identity: str
    budget: Budget
    seed: int
    entries: tuple[Entry, ...]
    run: Mapping[str, Any]

    @property
    def doubt_fitted(self) -> bool:
        """Whether heads that tell doubt were fitted to it, which are no part of its weights."""
        return without_doubt(self.identity) != self.identity

    @property
    def held_out(self) -> bool:
        """Whether the exam is one on which nothing was developed, trained or tested."""
        return self.seed >= HELD_OUT

    def to_json(self) -> dict[str, Any]:
        """The contents of `trust.json`; equal exams differ under `run` only."""
        timed = {e.task: e.training_seconds for e in self.entries}
        asked = {e.task: e.seconds for e in self.entries}
        return {
            "format": FORMAT,
            "suite": SUITE,
            "world": self.world,
            "weights": self.identity,
            "doubt_fitted": self.doubt_fitted,
            "budget": self.budget,
            "seed": self.seed,
            "held_out": self.held_out,
            "tasks": {entry.task: _facts(entry) for entry in self.entries},
            "run": {
                **self.run,
                "seconds": round(sum(asked.values()), 1),
                "task_seconds": asked,
                "training_seconds": timed,
            },
        }

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a `trust.json` back, or that of a report's folder.

        Raises:
          WorldloomError: there is none: an exam that was not finished has none yet.
        """
        path = path / "trust.json" if path.is_dir() else path
        if not path.exists():
            raise WorldloomError(
                f"`{path}` is missing: there is no report, or its exam is not finished",
                "run the exam again with the same --out, it goes on where it was",
            )
        try:
            data = json.loads(path.read_text())
            if (data["format"], data["suite"]) != (FORMAT, SUITE):
                raise ValueError(f"format {data['format']} of suite {data['suite']}")
            run = data["run"]
            entries = tuple(_entry_of(name, facts, run) for name, facts in data["tasks"].items())
            head = (data["world"], data["weights"], data["budget"], data["seed"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorldloomError(
                f"`{path}` is no report of format {FORMAT}: {error}", "let the world sit again"
            ) from error
        return cls(*head, entries, run)

    def to_text(self) -> str:
        """For a terminal of 100 columns."""
        seed = f"seed {self.seed}{', held out' if self.held_out else ''}"
        lines = [f"What {self.world} knows ({self.budget}, {seed})", ""]
        for entry in self.entries:
            lines += _told(entry)
        return "\n".join([*lines, ENDING])


def without_doubt(identity: str) -> str:
    """What tells a world from others, less the doubt that was fitted to it."""
    parts = identity.split(", ")
    return ", ".join(part for part in parts if not part.partition(" ")[0].endswith("doubt"))


def _facts(entry: Entry) -> dict[str, Any]:
    """A line of the profile as plain values, without what differs between equal exams."""
    facts = asdict(entry)
    for name in ("task", "training_seconds", "seconds"):
        del facts[name]
    nulls = facts.pop("nulls")
    for name, figure in facts["figures"].items():
        figure["nulls"] = nulls.get(name, {})
    facts["header"] = {k: v for k, v in entry.header.items() if k != "run"}
    facts["detects"] = {name: detects(f) for name, f in entry.figures.items()}
    facts["n_for_fine"] = {name: needed(f) for name, f in entry.figures.items()}
    return facts


def _entry_of(name: str, facts: Mapping[str, Any], run: Mapping[str, Any]) -> Entry:
    """The entry whose JSON it is, with the times that are kept apart."""
    plain = {k: v for k, v in facts.items() if k not in ("detects", "n_for_fine")}
    bare = {k: dict(f) for k, f in facts["figures"].items()}
    plain["nulls"] = {k: f.pop("nulls") for k, f in bare.items()}
    plain["figures"] = {k: Figure(**f) for k, f in bare.items()}
    spreads = facts["spreads"].items()
    plain["spreads"] = {k: Spread(**{**f, "values": tuple(f["values"])}) for k, f in spreads}
    plain["clips"] = tuple(Clip(**{**c, "sides": tuple(c["sides"])}) for c in facts["clips"])
    for key in ("trainings", "missing"):
        plain[key] = tuple(facts[key])
    times = {
        "training_seconds": run["training_seconds"][name],
        "seconds": run["task_seconds"][name],
    }
    return Entry(task=name, **plain, **times)


def needed(figure: Figure) -> int | None:
    """How many clusters an interval would take that is fine enough; None without a ceiling.

    Fine enough is `FINE` of the way from null to ceiling, to either side. An interval without
    width, as of clusters that are all alike, says nothing of how many it would take.
    """
    if figure.low is None or figure.high is None or figure.ceiling is None or figure.null is None:
        return None
    wanted = FINE * abs(figure.ceiling - figure.null)
    half = (figure.high - figure.low) / 2
    return statistics.clusters_for(half, figure.n, wanted=wanted) if wanted and half else None


def power(figure: Figure) -> str:
    """n, what so many clusters tell apart, and how many a fine interval would take; in words."""
    apart, more = detects(figure), needed(figure)
    if apart is None:
        return f"n {figure.n}" if figure.value is not None else ""
    fine = "" if more is None else f", fine with {more}"
    return f"n {figure.n}, tells {apart:.2g} apart{fine}"


def detects(figure: Figure) -> float | None:
    """The difference that so many clusters would find four times in five, from the interval.

    None where the interval has no width: clusters that are all alike tell nothing of others.
    """
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return None
    return round((1.96 + 0.84) / 1.96 * (figure.high - figure.low) / 2, 6)


def mark(entry: Entry) -> str:
    """A verdict in two words."""
    if entry.why:
        return "not applicable"
    return {True: "passed", False: "not passed", None: "no verdict"}[entry.passed]


def beside(figure: Figure) -> str:
    """Null and ceiling of a figure in a few words."""
    parts = [] if figure.null is None else [f"null {number(figure.null, figure.unit)}"]
    if figure.ceiling is not None:
        parts.append(f"ceiling {number(figure.ceiling, figure.unit)}")
    return ", ".join(parts)


def nulls_told(entry: Entry) -> str:
    """What every null comes to in the first figure, untrained networks as a range; may be empty."""
    figure, values = next(iter(entry.nulls.items()), ("", {}))
    if not values:
        return ""
    unit = entry.figures[figure].unit
    other, raw = untrained(values)
    told = lambda value: "(no value)" if value is None else number(value, unit)  # noqa: E731
    words = [f"{name.replace('_', ' ')} {told(value)}" for name, value in other.items()]
    if count := len(values) - len(other):
        ends = dict.fromkeys(told(end) for end in ((min(raw), max(raw)) if raw else (None,)))
        words.append(f"untrained ({count} seed{'s' * (count > 1)}) {' to '.join(ends)}")
    return ", ".join(words)


def sitter(entry: Entry) -> str:
    """Who sat a task with data of its own, in a sentence; empty where these very weights did."""
    if not entry.training or entry.why:
        return ""
    counts = entry.training["recordings"]
    films = ", ".join(f"{n:,}{f' ({part})' if part else ''}" for part, n in counts.items())
    worlds = "a freshly trained world" if len(counts) == 1 else f"{len(counts)} fresh worlds"
    long = entry.training_seconds
    took = "how long that took was not written down" if long is None else f"in {duration(long)}"
    return (
        f"sat by {worlds} of its family, not by these weights: {entry.training['recipe']}, on "
        f"{films} recordings of {entry.task} version {entry.version}"
        f"{';' if long is None else ','} {took}"
    )


def duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def trained(entry: Entry) -> str:
    """What other trainings of the family came to, in a sentence; empty where there are none."""
    if len(entry.trainings) < 2:
        return ""
    words = f"{sum(p is True for p in entry.trainings)} of {len(entry.trainings)} trainings passed"
    if not entry.spreads:
        return words
    name, found = next(iter(entry.spreads.items()))
    values = ", ".join(f"{value:.2f}" for value in found.values)
    return (
        f"{words}; {name} {values}: deviation {found.deviation:.2g} between trainings, "
        f"standard error {found.item_error:.2g} over items"
    )


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, 100, initial_indent="      ", subsequent_indent="        ")


def _told(entry: Entry) -> list[str]:
    lines = [f"  {entry.task:<14}{mark(entry):<16}{entry.why or entry.sentence}"]
    for name, figure in entry.figures.items():
        told = power(figure)
        told = f"; {told}" if told else ""
        lines.append(f"    {name:<24}{span(figure):<24}{beside(figure)}{told}".rstrip())
        if name == next(iter(entry.figures)) and (nulls := nulls_told(entry)):
            lines += _wrapped(f"nulls: {nulls}")
    more = [words for words in (trained(entry), sitter(entry)) if words]
    return [*lines, *(line for words in more for line in _wrapped(words)), ""]
