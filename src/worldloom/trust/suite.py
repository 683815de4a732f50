"""One world sits many tasks; what comes of it is a profile, and never one number.

OUT/
  trust.json      every figure with interval, null, ceiling and n; written last
  trust.txt       the same for a terminal
  trust.html      the same on one page
  rows/           the answers, sample by sample; an interrupted exam goes on from them
  own/            recordings and worlds of tasks that train the family under test
"""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from worldloom import seeding
from worldloom.data.store import Store
from worldloom.evaluate.report import Figure, number, span
from worldloom.trust.probe import Probe, lacking
from worldloom.trust.sitting import Sat, Tell, sit
from worldloom.trust.task import SUITE, Budget, OwnData, Particular, Setting, Task, Variants
from worldloom.trust.worldprobe import WorldProbe, told
from worldloom.world import World

FORMAT = 1
ENDING = "Intervals are 95%, over whole clusters. There is no overall score."
UNTRAINED: Mapping[Budget, int] = {"smoke": 1, "quick": 3, "full": 5}
"""Networks of the same shape that were never trained."""


class Family(Protocol):
    """How worlds like the one under test are made from recordings.

    Attributes:
      name: of the recipe, which the report states.
    """

    @property
    def name(self) -> str: ...

    def train(self, store: Store, folder: Path, setting: Setting, tell: Tell) -> World:
        """The world trained on a store; kept in `folder`, where it is found again."""
        ...

    def untrained(self, folder: Path, *, seed: int) -> World:
        """A world of the shape of the one in `folder`, with weights as they are drawn."""
        ...


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
      header: whose rows these are: generator, weights, seed.
      training_seconds: that own-data worlds were trained for.
    """

    task: str
    version: int
    claim: str
    passed: bool | None
    sentence: str
    why: str
    figures: Mapping[str, Figure]
    header: Mapping[str, Any]
    training_seconds: float = 0.0


@dataclass(frozen=True)
class Profile:
    """What a suite found of one world.

    Args:
      world: name of it.
      identity: tells it from others of its name.
      budget: how many items each task had.
      seed: of the exam.
      entries: one a task.
      run: time and machine, which no comparison reads.
    """

    world: str
    identity: str
    budget: Budget
    seed: int
    entries: tuple[Entry, ...]
    run: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The contents of `trust.json`; equal exams differ under `run` only."""
        tasks, seconds = {}, {}
        for entry in self.entries:
            facts = asdict(entry)
            seconds[entry.task] = facts.pop("training_seconds")
            facts["header"] = {k: v for k, v in entry.header.items() if k != "run"}
            facts["detects"] = {name: detects(f) for name, f in entry.figures.items()}
            tasks[facts.pop("task")] = facts
        return {
            "format": FORMAT,
            "suite": SUITE,
            "world": self.world,
            "weights": self.identity,
            "budget": self.budget,
            "seed": self.seed,
            "tasks": tasks,
            "run": {**self.run, "training_seconds": seconds},
        }

    def to_text(self) -> str:
        """For a terminal of 100 columns."""
        lines = [f"What {self.world} knows ({self.budget}, seed {self.seed})", ""]
        for entry in self.entries:
            lines += _told(entry)
        return "\n".join([*lines, ENDING])


def detects(figure: Figure) -> float | None:
    """The difference that so many clusters would find four times in five, from the interval."""
    if figure.low is None or figure.high is None:
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


def _told(entry: Entry) -> list[str]:
    head = f"  {entry.task:<10}{mark(entry):<16}{entry.why or entry.sentence}"
    lines = [head]
    for name, figure in entry.figures.items():
        extra = detects(figure)
        told = "" if extra is None else f"; n {figure.n}, tells {extra:.2g} apart"
        lines.append(f"    {name:<24}{span(figure):<24}{beside(figure)}{told}".rstrip())
    return [*lines, ""]


def run_suite(
    world: World,
    tasks: Sequence[Task],
    setting: Setting,
    *,
    out: Path,
    identity: str = "",
    family: Family | str = "",
    tell: Tell = lambda share, words: None,
) -> Profile:
    """Lets a world sit tasks, each resumed where it was interrupted.

    Args:
      world: under test.
      tasks: to sit, in order.
      setting: budget and seed.
      out: folder for the answers and what is trained.
      identity: tells the world's weights from others.
      family: how worlds like it are trained; a string says why there is no recipe.
      tell: progress.
    """
    began = time.monotonic()
    entries = []
    for index, task in enumerate(tasks):

        def said(share: float, words: str, index: int = index) -> object:
            return tell((index + share) / len(tasks), words)

        entries.append(_entry(task, world, setting, out, identity, family, said))
    run = {
        "seconds": round(time.monotonic() - began, 1),
        "machine": platform.platform(),
        "python": platform.python_version(),
    }
    name = world.spec.name
    return Profile(name, identity, setting.budget, setting.seed, tuple(entries), run)


def _entry(
    task: Task,
    world: World,
    setting: Setting,
    out: Path,
    identity: str,
    family: Family | str,
    tell: Tell,
) -> Entry:
    """One task, for which the family is trained first where the task wants that."""
    nulls: Mapping[str, Probe] = {}
    seconds = 0.0
    own = _sitter(task, WorldProbe(world, tells=told(world)), setting)
    why = _misfit(task, world) or lacking(own, task.requires)
    if why:  # the family can no more than the world: nothing is trained in vain
        return Entry(task.name, task.version, task.claim, None, "", why, {}, {})
    if task.own_data:
        if isinstance(family, str):
            why = family or f"`{world.spec.name}` has no recipe by which its family is trained"
            return Entry(task.name, task.version, task.claim, None, "", why, {}, {})
        began = time.monotonic()
        probe, nulls = _own(task, family, world.spec.name, setting, out / "own" / task.name, tell)  # type: ignore[arg-type]
        seconds = time.monotonic() - began
        identity = f"{identity} by {family.name}"
    else:
        probe = own
    sat = sit(task, probe, setting, out=out / "rows", identity=identity, nulls=nulls, tell=tell)
    return _of(sat, round(seconds, 1))


def _misfit(task: Task, world: World) -> str:
    """Why a task is not for worlds of this kind, where it has `fits` to say so."""
    return task.fits(world.spec) if isinstance(task, Particular) else ""


def _sitter(task: Task, own: Probe, setting: Setting) -> Probe:
    """The world; or that of its agent, which may know what the task asks for, such as rewards."""
    agent = setting.agent
    if agent is None or task.own_data or not lacking(own, task.requires):
        return own
    return own if lacking(agent, task.requires) else agent


def _of(sat: Sat, seconds: float) -> Entry:
    task, verdict = sat.task, sat.verdict
    if verdict is None:
        return Entry(task.name, task.version, task.claim, None, "", sat.why, {}, {}, seconds)
    return Entry(
        task.name,
        task.version,
        task.claim,
        verdict.passed,
        verdict.sentence,
        "",
        verdict.figures,
        sat.header,
        seconds,
    )


def _own(
    task: OwnData, family: Family, name: str, setting: Setting, folder: Path, tell: Tell
) -> tuple[Probe, Mapping[str, Probe]]:
    """The family trained on a task's recordings, and networks of its shape that never were."""
    place = folder / f"{setting.budget}-{setting.seed}-{task.fingerprint(setting)}"
    tell(0.0, f"{task.name}: drawing recordings")
    trained: dict[str, Probe] = {}
    raw: dict[str, dict[str, Probe]] = {}
    for part, store in task.recordings(place, setting).items():
        home = place / f"world-{part}" if part else place / "world"
        grown = family.train(store, home, setting, tell)
        trained[part] = WorldProbe(grown, f"{name}'s family on {task.name} {part}".rstrip())
        for number_ in range(UNTRAINED[setting.budget]):
            seed = seeding.stream(setting.seed, "untrained", number_)
            bare = WorldProbe(family.untrained(home, seed=seed), f"untrained {number_}")
            raw.setdefault(f"untrained_{number_}", {})[part] = bare
    nulls = {key: _joined(worlds) for key, worlds in raw.items()}
    return _joined(trained), nulls


def _joined(worlds: Mapping[str, Probe]) -> Probe:
    return worlds[""] if set(worlds) == {""} else Variants(worlds)  # type: ignore[return-value]
