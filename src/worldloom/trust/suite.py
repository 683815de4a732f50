"""One world sits many tasks; what comes of it is a profile, and never one number.

OUT/
  trust.json      every figure with interval, null, ceiling and n; written last
  trust.txt       the same for a terminal
  trust.html      the same on one page
  rows/           the answers, sample by sample; an interrupted exam goes on from them
  rows-1/ ...     those of the second training and further ones, where there are several
  clips/          what it did worst, beside the truth
  own/            recordings and worlds of tasks that train the family under test
"""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from worldloom import seeding
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.trust.clips import film_worst
from worldloom.trust.probe import Probe, lacking
from worldloom.trust.report.profile import Entry, Profile, spread
from worldloom.trust.sitting import Sat, Tell, sit
from worldloom.trust.task import (
    Budget,
    NotApplicable,
    OwnData,
    Particular,
    Portable,
    Setting,
    Task,
    Variants,
)
from worldloom.trust.worldprobe import WorldProbe, told
from worldloom.world import World

UNTRAINED: Mapping[Budget, int] = {"smoke": 1, "quick": 2, "full": 5}
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


def run_suite(
    world: World,
    tasks: Sequence[Task],
    setting: Setting,
    *,
    out: Path,
    identity: str = "",
    family: Family | str = "",
    trainings: int = 1,
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
      trainings: seeds with which the family is trained for tasks with data of their own.
      tell: progress.
    """
    began = time.monotonic()
    entries = []
    for index, task in enumerate(tasks):

        def said(share: float, words: str, index: int = index) -> object:
            return tell((index + share) / len(tasks), words)

        exam = _Exam(task, world, setting, out, identity, said)
        entries.append(exam.sit(family, trainings))
    run = _run(time.monotonic() - began)
    name = world.spec.name
    return Profile(name, identity, setting.budget, setting.seed, tuple(entries), run)


@dataclass(frozen=True)
class _Exam:
    """One world and one task, and where it is sat.

    Args:
      task: to sit.
      world: under test.
      setting: budget and seed.
      out: folder of the suite.
      identity: of the world's weights.
      tell: progress.
    """

    task: Task
    world: World
    setting: Setting
    out: Path
    identity: str
    tell: Tell

    def sit(self, family: Family | str, trainings: int) -> Entry:
        """The task, for which the family is trained first where it wants that."""
        why = _misfit(self.task, self.world)
        if why and isinstance(self.task, Portable) and not isinstance(family, str):
            return replace(self, task=self.task.elsewhere()).sit(family, trainings)
        own = _sitter(self.task, WorldProbe(self.world, tells=told(self.world)), self.setting)
        why = why or lacking(own, self.task.requires)
        if why:  # the family can no more than the world: nothing is trained in vain
            return self._none(why)
        if not self.task.own_data:
            where = {"out": self.out / "rows", "identity": self.identity}
            found = sit(self.task, own, self.setting, **where, tell=self.tell)
            return self._with_clips(_of(found, 0.0), own, found)
        if isinstance(family, str):
            name = self.world.spec.name
            return self._none(family or f"`{name}` has no recipe by which its family is trained")
        try:
            self.task.fingerprint(self.setting)
        except NotApplicable as reason:  # before anything is trained for it
            return self._none(f"{reason.message}: {reason.hint}")
        return self._trained(family, trainings)

    def _none(self, why: str) -> Entry:
        task = self.task
        return Entry(task.name, task.version, task.claim, None, "", why, {}, {})

    def _trained(self, family: Family, trainings: int) -> Entry:
        """The family sits it, once for each seed of its training; nulls and ceiling only once."""
        found: list[Sat] = []
        probes: list[Probe] = []
        seconds = 0.0
        for number in range(trainings):
            setting = replace(self.setting, training=number)
            began = time.monotonic()
            probe, nulls = self._own(family, setting)
            seconds += time.monotonic() - began
            probes.append(probe)
            words = f"{self.identity} by {family.name}"
            found.append(
                sit(
                    self.task,
                    probe,
                    setting,
                    out=self.out / (f"rows-{number}" if number else "rows"),
                    identity=f"{words}, training {number}" if number else words,
                    nulls=nulls,
                    known=found[0].rows if found else (),
                    tell=self.tell,
                )
            )
        return self._with_clips(_of_all(found, round(seconds, 1)), probes[0], found[0])

    def _with_clips(self, entry: Entry, probe: Probe, sat: Sat) -> Entry:
        """The entry with films of what went worst."""
        if sat.verdict is None:
            return entry
        return replace(entry, clips=film_worst(self.task, probe, sat.rows, self.setting, self.out))

    def _own(self, family: Family, setting: Setting) -> tuple[Probe, Mapping[str, Probe]]:
        """The family trained on a task's recordings, and networks of its shape that never were."""
        task: OwnData = self.task  # type: ignore[assignment]
        part_of = f"{setting.budget}-{setting.seed}-{task.fingerprint(setting)}"
        place = self.out / "own" / task.name / part_of
        self.tell(0.0, f"{task.name}: drawing recordings")
        trained: dict[str, Probe] = {}
        raw: dict[str, dict[str, Probe]] = {}
        for part, store in task.recordings(place, setting).items():
            home = place / "-".join(filter(None, ("world", part)))
            if setting.training:
                home = home.with_name(f"{home.name}-training-{setting.training}")
            grown = _trained(family, store, home, setting, self.tell)
            name = f"{self.world.spec.name}'s family on {task.name} {part}".rstrip()
            trained[part] = WorldProbe(grown, name)
            for number in range(UNTRAINED[setting.budget]):
                seed = seeding.stream(setting.seed, "untrained", number)
                bare = WorldProbe(family.untrained(home, seed=seed), f"untrained {number}")
                raw.setdefault(f"untrained_{number}", {})[part] = bare
        return _joined(trained), {key: _joined(worlds) for key, worlds in raw.items()}


def _misfit(task: Task, world: World) -> str:
    """Why a task is not for worlds of this kind, where it has `fits` to say so."""
    return task.fits(world.spec) if isinstance(task, Particular) else ""


def _sitter(task: Task, own: Probe, setting: Setting) -> Probe:
    """The world; or that of its agent, which may know what the task asks for, such as rewards."""
    agent = setting.agent
    if agent is None or task.own_data or not lacking(own, task.requires):
        return own
    return own if lacking(agent, task.requires) else agent


def _trained(family: Family, store: Store, home: Path, setting: Setting, tell: Tell) -> World:
    """The world trained in a folder, or found there; one that is damaged is named."""
    found = home.exists()
    try:
        return family.train(store, home, setting, tell)
    except WorldloomError as error:
        if not found:
            raise
        hint = f"remove `{home}`: the family is trained again"
        raise WorldloomError(
            f"what was kept in `{home}` is of no use: {error.message}", hint
        ) from (error)


def _of(sat: Sat, seconds: float) -> Entry:
    task, verdict = sat.task, sat.verdict
    facts = (task.name, task.version, task.claim)
    if verdict is None:
        return Entry(*facts, None, "", sat.why, {}, {}, seconds)
    said = (verdict.passed, verdict.sentence, "", verdict.figures)
    return Entry(*facts, *said, sat.header, seconds)


def _of_all(found: Sequence[Sat], seconds: float) -> Entry:
    """What the first training came to, and beside it how much the others differ."""
    entry = _of(found[0], seconds)
    verdicts = [sat.verdict for sat in found if sat.verdict is not None]
    if len(verdicts) < max(2, len(found)):
        return entry
    spreads = {
        name: one
        for name in entry.figures
        if (one := spread([verdict.figures[name] for verdict in verdicts]))
    }
    passed = tuple(verdict.passed for verdict in verdicts)
    return replace(entry, trainings=passed, spreads=spreads)


def graded(model: str, setting: Setting, found: Sequence[Sat]) -> Profile:
    """The profile of who sat an exam on paper."""
    weights = "-".join(str(sat.header["weights"]) for sat in found)
    entries = tuple(_of(sat, 0.0) for sat in found)
    return Profile(model, f"on paper, {weights}", setting.budget, setting.seed, entries, _run(0.0))


def _run(seconds: float) -> dict[str, float | str]:
    """Time and machine."""
    return {
        "seconds": round(seconds, 1),
        "machine": platform.platform(),
        "python": platform.python_version(),
    }


def _joined(worlds: Mapping[str, Probe]) -> Probe:
    return worlds[""] if set(worlds) == {""} else Variants(worlds)  # type: ignore[return-value]
