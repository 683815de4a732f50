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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from worldloom.machine import commit, machine
from worldloom.trust.clips import film_worst
from worldloom.trust.nulls import null_values
from worldloom.trust.probe import Probe, lacking
from worldloom.trust.report.profile import Entry, Profile, spread, without_doubt
from worldloom.trust.sitting import Sat, Tell, header_of, sit
from worldloom.trust.task import NotApplicable, OwnData, Particular, Portable, Setting, Task
from worldloom.trust.training import Family, Trained, train_family
from worldloom.trust.worldprobe import WorldProbe, told
from worldloom.world import World


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
    entries = []
    for index, task in enumerate(tasks):

        def said(share: float, words: str, index: int = index) -> object:
            return tell((index + share) / len(tasks), words)

        exam = _Exam(task, world, setting, out, identity, said)
        entries.append(exam.sit(family, trainings))
    name = world.spec.name
    return Profile(name, identity, setting.budget, setting.seed, tuple(entries), run_facts())


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
            return self._none(own, why)
        if not self.task.own_data:
            where = {"out": self.out / "rows", "identity": self.identity}
            found = sit(self.task, own, self.setting, **where, tell=self.tell)
            return self._with_clips(_of(found), own, found)
        if isinstance(family, str):
            name = self.world.spec.name
            why = family or f"`{name}` has no recipe by which its family is trained"
            return self._none(own, why)
        try:
            self.task.fingerprint(self.setting)
        except NotApplicable as reason:  # before anything is trained for it
            return self._none(own, f"{reason.message}: {reason.hint}")
        return self._trained(family, trainings)

    def _none(self, own: Probe, why: str) -> Entry:
        """Not applicable, for a reason, and to whom."""
        header = header_of(self.task, own, self.setting, self.identity)
        missing = tuple(sorted(self.task.requires - own.capabilities))
        return _of(Sat(self.task, None, why, header=header, missing=missing))

    def _trained(self, family: Family, trainings: int) -> Entry:
        """The family sits it, once for each seed of its training; nulls and ceiling only once."""
        found: list[Sat] = []
        grown: list[Trained] = []
        # Doubt was fitted to the world under test: its family has none, and sits without.
        words = f"{without_doubt(self.identity)} by {family.name}"
        for number in range(trainings):
            setting = replace(self.setting, training=number)
            grown.append(self._grown(family, setting))
            found.append(
                sit(
                    self.task,
                    grown[-1].probe,
                    setting,
                    out=self.out / (f"rows-{number}" if number else "rows"),
                    identity=f"{words}, training {number}" if number else words,
                    nulls=grown[-1].untrained,
                    known=found[0].rows if found else (),
                    tell=self.tell,
                )
            )
        entry = self._with_clips(_of_all(found), grown[0].probe, found[0])
        return replace(entry, training=_training(grown), training_seconds=_all_seconds(grown))

    def _grown(self, family: Family, setting: Setting) -> Trained:
        task: OwnData = self.task  # type: ignore[assignment]
        name = self.world.spec.name
        return train_family(task, family, setting, self.out, name=name, tell=self.tell)

    def _with_clips(self, entry: Entry, probe: Probe, sat: Sat) -> Entry:
        """The entry with films of what went worst."""
        if sat.verdict is None:
            return entry
        return replace(entry, clips=film_worst(self.task, probe, sat.rows, self.setting, self.out))


def _misfit(task: Task, world: World) -> str:
    """Why a task is not for worlds of this kind, where it has `fits` to say so."""
    return task.fits(world.spec) if isinstance(task, Particular) else ""


def _sitter(task: Task, own: Probe, setting: Setting) -> Probe:
    """The world; or that of its agent, which may know what the task asks for, such as rewards."""
    agent = setting.agent
    if agent is None or task.own_data or not lacking(own, task.requires):
        return own
    return own if lacking(agent, task.requires) else agent


def _training(grown: Sequence[Trained]) -> dict[str, Any]:
    """By which recipe, on which recordings, and with which seeds a family was trained."""
    first = grown[0]
    return {
        "recipe": first.recipe,
        "recordings": first.recordings,
        "seeds": [one.seed for one in grown],
        "untrained_seeds": list(first.untrained_seeds),
    }


def _all_seconds(grown: Sequence[Trained]) -> float | None:
    """For which all of them were trained; None where it is not known of one."""
    known = [one.seconds for one in grown if one.seconds is not None]
    return round(sum(known), 1) if len(known) == len(grown) else None


def _of(sat: Sat) -> Entry:
    task, verdict = sat.task, sat.verdict
    facts = (task.name, task.version, task.claim)
    more = {"seconds": _seconds(sat), "missing": sat.missing}
    if verdict is None:
        return Entry(*facts, None, "", sat.why, {}, sat.header, **more)
    said = (verdict.passed, verdict.sentence, "", verdict.figures)
    nulls = null_values(task, sat.rows, verdict, seed=int(sat.header["seed"]))
    return Entry(*facts, *said, sat.header, nulls=nulls, **more)


def _seconds(sat: Sat) -> float:
    """For which it was asked, before and after interruptions."""
    return float(sat.header.get("run", {}).get("seconds", 0.0))


def _of_all(found: Sequence[Sat]) -> Entry:
    """What the first training came to, and beside it how much the others differ."""
    entry = replace(_of(found[0]), seconds=round(sum(map(_seconds, found)), 2))
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
    entries = tuple(_of(sat) for sat in found)
    name = f"on paper, {weights}"
    return Profile(model, name, setting.budget, setting.seed, entries, run_facts())


def run_facts() -> dict[str, Any]:
    """Machine and code."""
    return {
        "machine": machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": commit(),
    }
