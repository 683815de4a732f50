"""An exam as somebody asks for it, sat by processes that each take one task at a time."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from worldloom.data.store import Store
from worldloom.entered import simulator
from worldloom.evaluate.windows import check_fit
from worldloom.families import WORDS, agent_of, family_of, grown, identity_of
from worldloom.hub import load_world
from worldloom.models.inside import Opened
from worldloom.progress import Progress
from worldloom.shipped import find_run
from worldloom.trust.listed import named
from worldloom.trust.report.profile import Profile
from worldloom.trust.sitting import Tell
from worldloom.trust.suite import run_suite
from worldloom.trust.task import Budget, Setting
from worldloom.workers import Workers


@dataclass(frozen=True)
class Exam:
    """Who sits what; plain enough to be sent to a process.

    Args:
      run: folder of the world, or its name.
      store: folder of the recordings, if any.
      budget: of every task.
      seed: of the exam.
      trainings: of the family, for tasks with data of their own.
      folder: of the report.
    """

    run: str
    store: str | None
    budget: Budget
    seed: int
    trainings: int
    folder: Path

    def sit(self, tasks: Sequence[str], workers: int, progress: Progress) -> Profile:
        """What the world knows, task by task.

        Each process works on one core, however many there are: what it computes then does not
        depend on their number, and torch's threads never wait for each other.
        """
        if _is_family(self.run):
            self.open(progress.update)  # so that it is trained once
        with Workers(partial(_sitter, self), workers, script=False) as sitters:
            found = dict(sitters.each(tasks[::-1]))  # the long ones are at the end of the suite
        profiles = [found[name] for name in tasks]
        entries = tuple(entry for profile in profiles for entry in profile.entries)
        run = {
            **profiles[0].run,
            "command": self._command(tasks),
            "commands": {e.task: self._command([w]) for e, w in zip(entries, tasks, strict=True)},
        }
        return replace(profiles[0], entries=entries, run=run)

    def open(self, tell: Tell) -> Callable[[str, Tell], Profile]:
        """What sits a task, and gives the profile of that task alone."""
        store = None if self.store is None else Store.open(self.store)
        setting = Setting(self.budget, self.seed, self.folder, store)
        world, identity, family, agent = _under_test(self.run, setting, tell)
        sit = partial(
            run_suite,
            world,
            setting=replace(setting, agent=agent),
            out=self.folder,
            identity=identity,
            family=family,
            trainings=self.trainings,
        )
        return lambda name, tell: sit([named(name)], tell=tell)

    def _command(self, tasks: Sequence[str]) -> str:
        words = " ".join(filter(None, (self.run, self.store)))
        return (
            f"worldloom eval {words} --suite trust --budget {self.budget} --seed {self.seed} "
            f"--training-seeds {self.trainings} --tasks {' '.join(tasks)}"
        )


def _is_family(run: str) -> bool:
    """Whether a family is named, `module:Class` or by its short name, and no world."""
    return (":" in run or run in WORDS) and find_run(run) is None


def _under_test(run: str, setting: Setting, tell: Tell) -> tuple[Any, str, Any, Any]:
    """A world, a name that tells it from others, its family, and the agent in it if any."""
    if _is_family(run):
        return *grown(run, setting, tell), None
    if run == "simulator" and find_run(run) is None:
        return *simulator(setting), None
    folder = find_run(run) or Path(run)
    world = load_world(folder)
    if setting.store is not None:
        check_fit(world, setting.store)
    return Opened(world), identity_of(folder, world), family_of(world), agent_of(folder)


def _sitter(exam: Exam) -> Callable[[str], Profile]:
    """A process that sits one task after the other on one core, and says where it is."""
    torch.set_num_threads(1)
    ask = exam.open(Progress({"eval": 0.0}).update)

    def sat(name: str) -> Profile:
        progress = Progress({"eval": 0.0})
        progress.begin("eval", name)
        return ask(name, partial(_say, progress))

    return sat


def _say(progress: Progress, share: float, words: str) -> None:
    """Where a process is; it ends where nobody waits for it: another may go on with its rows."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise SystemExit
    progress.update(share, words)
