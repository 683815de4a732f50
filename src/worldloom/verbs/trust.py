"""`worldloom eval --suite trust`, `compare`: what worlds know, and which knows what."""

import shlex
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from worldloom.errors import WorldloomError
from worldloom.verbs.parse import on_interrupt
from worldloom.workers import cores

if TYPE_CHECKING:
    from worldloom.progress import Progress
    from worldloom.trust.report.profile import Profile
    from worldloom.trust.task import Task

FAILED = 3
"""Exit status where a task that was named with --fail-on was not passed."""
LEFT_OUT = {
    "--export": (
        ("--training-seeds", "--workers", "--out", "--fail-on", "--json"),
        "an exam is written and nobody sits it yet",
    ),
    "--grade": (
        ("--budget", "--seed", "--training-seeds", "--workers"),
        "the exam says itself what was asked, and nothing is trained",
    ),
}
"""Options that mean nothing on paper, and why."""


def trust(
    run: str | None = None,
    store: str | None = None,
    *,
    tasks: tuple[str, ...] = (),
    budget: Literal["smoke", "quick", "full"] | None = None,
    seed: int | None = None,
    training_seeds: int = 1,
    workers: int | None = None,
    out: str | None = None,
    fail_on: tuple[str, ...] = (),
    export: str | None = None,
    grade: str | None = None,
    json: bool = False,
) -> None:
    """Asks what a world knows, task by task, beside nulls and ceilings.

    Args:
      run: folder of the run, or name of a world that comes with the package; also a family of
        worlds as module:Class, which is trained first; persistence, nearest and simulator are
        who knows nothing and who knows all. None with export and grade.
      store: folder of the recordings; most tasks need none.
      tasks: by name or as module:Class; all by default.
      budget: smoke proves the way, quick is the default, full takes hours.
      seed: 0, the default, is the suite's own exam, others draw another one of the same kind;
        from 1,000,000 on they are held out.
      training_seeds: how many times the family is trained for tasks with data of their own.
      workers: tasks that are sat at a time, each in a process and on a core of its own; one for
        every core by default.
      out: folder for the report; RUN/trust-BUDGET by default, without RUN for a world of the
        package, DIR/graded with grade.
      fail_on: tasks that must be passed, or the exit status is 3.
      export: folder into which the exam is written as files; no world sits it.
      grade: folder of an exam whose answers.json is marked.
      json: prints the report as JSON in place of the table.
    """
    import json as encoder

    from worldloom.progress import Progress
    from worldloom.trust.listed import all_tasks, more_tasks, named
    from worldloom.trust.report.card import publish
    from worldloom.verbs.exam import Exam

    _check_words(run, export, grade)
    given = {"--budget": budget, "--seed": seed, "--workers": workers, "--out": out}
    given |= {"--training-seeds": training_seeds if training_seeds != 1 else None}
    _check_options(export, grade, given | {"--fail-on": fail_on or None, "--json": json or None})
    _check_counts(training_seeds, workers)
    budget, seed = budget or "quick", seed or 0
    chosen = [named(name) for name in tasks] or all_tasks()
    if grade is not None and not tasks:
        chosen += more_tasks()
    words = tuple(dict.fromkeys(tasks)) or tuple(task.name for task in chosen)
    wanted = [named(name).name for name in fail_on]
    _check_wanted(wanted, [task.name for task in chosen])
    progress = Progress({"eval": 0.0})
    if export is not None:
        return _export(chosen, budget, seed, Path(export), progress)
    folder = Path(out) if out else _folder(run, grade, budget)
    with _told(folder, progress):
        if grade is not None:
            command = _command(Path(grade), folder, tasks)
            profile = _graded(chosen, Path(grade), folder / "rows", wanted, progress)
            profile = replace(profile, run={**profile.run, "command": command})
        else:
            assert run is not None
            exam = Exam(run, store, budget, seed, training_seeds, folder)
            profile = exam.sit(words, _count(workers, len(words)), progress)
        publish(profile, folder)
    print(encoder.dumps(profile.to_json(), indent=1) if json else profile.to_text())
    progress.say(f"eval: written to {folder}, look at {folder / 'trust.html'}")
    _fail(profile, wanted, folder)


def compare(reports: tuple[str, ...], *, every: bool = False, json: bool = False) -> None:
    """Lines up the trust reports of several worlds, and tests whether their answers differ.

    Args:
      reports: trust.json files, or the folders that hold them; two or more.
      every: all figures of every task in place of the first.
      json: prints them as JSON in place of the table.
    """
    import json as encoder

    from worldloom.trust.report.compare import check, labels, line_up, to_text
    from worldloom.trust.report.paired import differences
    from worldloom.trust.report.profile import Profile

    paths = [Path(report) for report in reports]
    found = [Profile.load(path) for path in paths]
    check(found)
    folders = [path if path.is_dir() else path.parent for path in paths]
    apart = differences(found, labels(found), folders)
    told = encoder.dumps(line_up(found, apart), indent=1) if json else ""
    print(told or to_text(found, apart, every=every))


def _check_words(run: str | None, export: str | None, grade: str | None) -> None:
    given = [name for name in (run, export, grade) if name is not None]
    if len(given) != 1:
        found = " and ".join(f"`{name}`" for name in given) or "nothing"
        raise WorldloomError(
            f"one of a world, --export DIR and --grade DIR is wanted, {found} was named",
            "worldloom eval RUN --suite trust, or worldloom eval --export DIR",
            code=2,
        )


def _check_options(export: str | None, grade: str | None, given: dict[str, Any]) -> None:
    """Refuses what would be ignored."""
    for word, named in (("--export", export), ("--grade", grade)):
        options, why = LEFT_OUT[word]
        lost = [option for option in options if given[option] is not None]
        if named is not None and lost:
            raise WorldloomError(
                f"{word} has no use for {' and '.join(lost)}: {why}",
                f"leave out {' and '.join(lost)}",
                code=2,
            )


def _check_counts(trainings: int, workers: int | None) -> None:
    if workers is not None and workers < 1:
        raise WorldloomError(f"there are no {workers} workers", "give 1 or more", code=2)
    if trainings < 1:
        raise WorldloomError(f"there are no {trainings} trainings", "give 1 or more", code=2)


def _check_wanted(wanted: list[str], chosen: list[str]) -> None:
    lost = [name for name in wanted if name not in chosen]
    if lost:
        raise WorldloomError(
            f"`{lost[0]}` is to be passed, and is not among the tasks {', '.join(chosen)}",
            f"add {lost[0]} to the tasks of the exam, or leave it out",
            code=2,
        )


def _folder(run: str | None, grade: str | None, budget: str) -> Path:
    """Beside the run where it has a folder of its own, within an exam on paper, else here."""
    if grade is not None:
        return Path(grade) / "graded"
    name = f"trust-{budget}"
    return Path(run) / name if run is not None and Path(run).is_dir() else Path(name)


def _told(folder: Path, progress: "Progress") -> AbstractContextManager[None]:
    progress.begin("eval", f"into {folder}")
    return on_interrupt(f"what {folder} holds is whole; run the same command again")


def _export(
    chosen: "list[Task]", budget: Any, seed: int, folder: Path, progress: "Progress"
) -> None:
    """An exam as files."""
    from worldloom.trust import paper
    from worldloom.trust.task import Setting

    written = [task for task in chosen if paper.can_write(task)] or chosen
    with _told(folder, progress):
        count = paper.export(
            paper.on_paper(written), Setting(budget, seed), folder, progress.update
        )
    print(f"{count} questions are in {folder}: see {folder / 'README.md'}")


def _graded(
    chosen: "list[Task]", folder: Path, rows: Path, wanted: list[str], progress: "Progress"
) -> "Profile":
    """The profile of who wrote the answers of an exam."""
    from worldloom.trust import paper
    from worldloom.trust.suite import graded

    asked = list(paper.read_exam(folder)["tasks"])
    _check_wanted(wanted, asked)
    known = paper.on_paper([task for task in chosen if task.name in asked] or chosen)
    began = time.monotonic()
    profile = graded(*paper.grade(known, folder, progress.update, out=rows))
    return replace(profile, run={**profile.run, "seconds": round(time.monotonic() - began, 1)})


def _command(folder: Path, out: Path, tasks: tuple[str, ...]) -> str:
    """How an exam on paper is graded again."""
    words = ["worldloom", "eval", "--grade", str(folder)]
    words += ["--tasks", *tasks] if tasks else []
    return shlex.join(words if out == folder / "graded" else [*words, "--out", str(out)])


def _count(workers: int | None, tasks: int) -> int:
    """How many processes sit the tasks."""
    return min(workers or cores(), tasks)


def _fail(profile: "Profile", wanted: list[str], folder: Path) -> None:
    """Raises where a task was not passed that had to be; one without a verdict was not."""
    from worldloom.trust.report.profile import mark

    lost = [entry for entry in profile.entries if entry.task in wanted and entry.passed is not True]
    if lost:
        words = ", ".join(f"{entry.task} ({mark(entry)})" for entry in lost)
        raise WorldloomError(
            f"`{profile.world}` has to pass: {words}", f"see {folder / 'trust.html'}", code=FAILED
        )
