"""Exams on paper: questions as files, so that who cannot be loaded here can sit them too.

    DIR/questions.json    what is asked of which files, and how; the answers are not in it
    DIR/README.md         the same for a person, or a model that reads
    DIR/example.json      answers in the right form, of somebody who knows nothing
    DIR/TASK/000/         pictures
    DIR/answers.json      to be written by who sits it
    DIR/graded/           report, rows and all, once it was graded

There is no key: what is right follows from the seeds, and is computed anew when answers
are graded, beside the same nulls and ceilings as in any sitting.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
from PIL import Image

from worldloom.data.files import replace_file
from worldloom.errors import WorldloomError
from worldloom.evaluate.report import save
from worldloom.trust.probe import Probe
from worldloom.trust.sitting import Sat, Tell, sit
from worldloom.trust.task import SUITE, Answer, Budget, Item, Setting, Task

FORMAT = 1
LARGEST = 1e100
"""Numbers of answers are smaller, so that no sum of them is infinite."""
README = """# An exam

`questions.json` names the pictures of every question, and says under `how` what is asked and
what an answer looks like. Write `answers.json` beside it, in the form of `example.json`, with
your name under `model`. Every question needs an answer. Then

    worldloom eval --grade {folder}
"""


class Written(Task, Protocol):
    """A task whose questions and answers can be files.

    Attributes:
      how: for who sits it: what the files show, what is asked, what an answer looks like.
    """

    @property
    def how(self) -> str: ...

    def on_paper(self) -> "Written":
        """The task as it is asked on paper; often itself."""
        ...

    def ask(self, item: Item, folder: Path) -> Mapping[str, Any]:
        """Writes the pictures of one question into a folder; returns the rest, plain values.

        Names of files are given as they are within the folder, under names that end in `files`.
        """
        ...

    def blank(self, item: Item) -> Any:
        """The answer of somebody who knows nothing, in the right form."""
        ...

    def mark(self, items: Sequence[Item], answers: Sequence[Any]) -> Sequence[Answer]:
        """What answers are worth, those that are sat together.

        Raises:
          Malformed: an answer is not of the right form.
        """
        ...


class Malformed(ValueError):
    """Says what an answer looks like, and what was found: words for one sentence."""


def can_write(task: Task) -> bool:
    """Whether a task's questions can be files."""
    return hasattr(task, "ask")


def on_paper(tasks: Sequence[Task]) -> list[Written]:
    """Those of some tasks that can be asked on paper, as they are asked there.

    Raises:
      WorldloomError: none can.
    """
    found: list[Any] = [task for task in tasks if can_write(task)]
    if not found:
        names = ", ".join(f"`{task.name}`" for task in tasks)
        raise WorldloomError(
            f"the questions of {names} are no files",
            "leave out --tasks, or name rooms, voe2d or outcomes",
        )
    return [task.on_paper() for task in found]


def export(
    tasks: Sequence[Written],
    setting: Setting,
    folder: Path,
    tell: Tell = lambda share, words: None,
) -> int:
    """Writes an exam; returns how many questions it has.

    Args:
      tasks: to ask.
      setting: budget and seed.
      folder: is made; one that holds another exam is refused.
      tell: progress.
    """
    head = _head(tasks, setting)
    if (folder / "questions.json").exists() and _plain_head(read_exam(folder)) != head:
        raise WorldloomError(f"`{folder}` holds another exam", "give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    parts, example, count = {}, {}, 0
    for task in tasks:
        items = list(task.items(setting))
        questions = []
        for index, item in enumerate(items):
            tell(index / len(items), f"{task.name}: question {index + 1} of {len(items)}")
            place = folder / task.name / f"{index:03d}"
            place.mkdir(parents=True, exist_ok=True)
            questions.append({"id": item.key, **_placed(task.ask(item, place), folder, place)})
        parts[task.name] = {"claim": task.claim, "how": task.how, "questions": questions}
        example[task.name] = {item.key: task.blank(item) for item in items}
        count += len(items)
    save(folder / "example.json", {"model": "knows nothing", "tasks": example})
    replace_file(folder / "README.md", README.format(folder=folder.name).encode())
    merged = {name: {**head["tasks"][name], **part} for name, part in parts.items()}
    save(folder / "questions.json", {**head, "tasks": merged})
    return count


def _head(tasks: Sequence[Written], setting: Setting) -> dict[str, Any]:
    """What makes two exams the same."""
    return {
        "format": FORMAT,
        "suite": SUITE,
        "budget": setting.budget,
        "seed": setting.seed,
        "tasks": {
            t.name: {"version": t.version, "generator": t.fingerprint(setting)} for t in tasks
        },
    }


def _plain_head(exam: Mapping[str, Any]) -> dict[str, Any]:
    tasks = {
        name: {key: part[key] for key in ("version", "generator")}
        for name, part in exam["tasks"].items()
    }
    return {**exam, "tasks": tasks}


def _placed(question: Mapping[str, Any], folder: Path, place: Path) -> dict[str, Any]:
    """Names of files as they are within the exam."""
    within = place.relative_to(folder)
    return {
        key: [str(within / name) for name in value] if key.endswith("files") else value
        for key, value in question.items()
    }


def read_exam(folder: Path) -> dict[str, Any]:
    """The contents of `questions.json`.

    Raises:
      WorldloomError: there is none, or it is none of this version.
    """
    path = folder / "questions.json"
    hint = f"worldloom eval --export {folder}"
    if not path.exists():
        raise WorldloomError(f"`{folder}` holds no exam: there is no questions.json", hint)
    exam = _json(path, hint)
    wants = {"format": FORMAT, "suite": SUITE}
    found = {key: exam.get(key) for key in wants} if isinstance(exam, dict) else {}
    if found != wants:
        raise WorldloomError(f"`{path}` is no exam of this version: {found}, not {wants}", hint)
    wrong = _wrong(exam)
    if wrong:
        raise WorldloomError(f"`{path}` is damaged: {wrong}", hint)
    return exam


def _wrong(exam: Mapping[str, Any]) -> str:
    """What is wrong with the contents of `questions.json`, in words; empty where nothing is."""
    budget, seed, tasks = (exam.get(key) for key in ("budget", "seed", "tasks"))
    if budget not in get_args(Budget):
        return f"there is no budget {budget!r:.40}"
    if type(seed) is not int:
        return f"{seed!r:.40} is no seed"
    if not isinstance(tasks, dict) or not tasks:
        return "there are no tasks by name"
    for name, part in tasks.items():
        if not isinstance(part, dict) or not {"version", "generator", "questions"} <= set(part):
            return f"`{name}` has no version, generator and questions"
        asked = part["questions"]
        if not isinstance(asked, list) or not all(isinstance(q, dict) and "id" in q for q in asked):
            return f"the questions of `{name}` are no list of questions with ids"
    return ""


def _json(path: Path, hint: str) -> Any:
    """What a file says; a name that stands twice in one place is refused, as one would be lost."""
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise WorldloomError(f"`{path}` is no JSON: {error}", hint) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"`{twice}` stands there twice")
    return found


def is_number(value: Any) -> bool:
    """Whether an answer is a number that can be reckoned with; true and infinity are none."""
    return type(value) in (int, float) and -LARGEST < value < LARGEST


@dataclass(frozen=True)
class Writer:
    """Who sat an exam on paper: a name, answers, and nothing to ask.

    Args:
      name: for people.
      answers: of one task, by question.
      capabilities: those that the task requires.
      layers: none.
    """

    name: str
    answers: Mapping[str, Any]
    capabilities: frozenset[str]
    layers: tuple[str, ...] = ()


class Marked:
    """A task whose examinee's answers are marked, while nulls and ceiling sit it as always."""

    def __init__(self, task: Written) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def prepare(self, probe: Probe, setting: Setting) -> Any:
        """Nothing can be learned about who only writes."""
        return None if isinstance(probe, Writer) else self._task.prepare(probe, setting)

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Any) -> Sequence[Answer]:
        """Marks of what was written, or the answers of anyone else."""
        if isinstance(probe, Writer):
            return self._task.mark(items, [probe.answers[item.key] for item in items])
        return self._task.answer(probe, items, prepared)


def grade(
    tasks: Sequence[Written],
    folder: Path,
    tell: Tell = lambda share, words: None,
    *,
    out: Path | None = None,
) -> tuple[str, Setting, list[Sat]]:
    """Marks `answers.json` of an exam.

    Args:
      tasks: that the exam may be of.
      folder: of the exam.
      tell: progress.
      out: folder for the rows, written anew; None keeps them in memory only.

    Returns:
      The name of who sat it, the circumstances of the exam, and the outcome of each task.

    Raises:
      WorldloomError: something is missing or malformed: which, and what was expected.
    """
    exam = read_exam(folder)
    setting = Setting(exam["budget"], exam["seed"])
    known = {task.name: task for task in tasks}
    for name, part in exam["tasks"].items():
        if name not in known:
            raise WorldloomError(
                f"`{folder}` asks of a task `{name}`, known are {', '.join(known)}",
                "name all of its tasks with --tasks, or none",
            )
        _check_same(folder, known[name], part, setting)
    model, answers = _answers(folder, exam)
    for name, part in exam["tasks"].items():
        _check_complete(folder, name, [q["id"] for q in part["questions"]], answers[name])
    sat = []
    for name in exam["tasks"]:
        given = answers[name]
        identity = hashlib.blake2b(json.dumps(given).encode(), digest_size=6).hexdigest()
        writer: Any = Writer(model, given, known[name].requires)
        marked: Any = Marked(known[name])
        if out is not None:  # whoever mends an answer is marked again
            (out / f"{name}.json").unlink(missing_ok=True)
        try:
            sat.append(sit(marked, writer, setting, out=out, identity=identity, tell=tell))
        except Malformed as error:
            raise WorldloomError(
                f"`{folder / 'answers.json'}`, {name}: {error}",
                f"compare {folder / 'example.json'}",
            ) from error
    return model, setting, sat


def _check_same(folder: Path, task: Written, part: Mapping[str, Any], setting: Setting) -> None:
    """Raises where an exam asks other questions than the task does now."""
    same = part["generator"] == task.fingerprint(setting) and part["version"] == task.version
    if not same or [q["id"] for q in part["questions"]] != [i.key for i in task.items(setting)]:
        raise WorldloomError(
            f"the questions of `{task.name}` in `{folder}` are of another version of it",
            f"worldloom eval --export {folder}.new",
        )


def _answers(folder: Path, exam: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Who sat it, and answers by task and question."""
    path, hint = folder / "answers.json", f"write it in the form of {folder / 'example.json'}"
    if not path.exists():
        raise WorldloomError(f"`{folder}` holds no answers: there is no answers.json", hint)
    found = _json(path, hint)
    tasks = found.get("tasks") if isinstance(found, dict) else None
    if not isinstance(tasks, dict) or not all(isinstance(t, dict) for t in tasks.values()):
        raise WorldloomError(f'`{path}` has no answers under "tasks", by task and question', hint)
    lost = [name for name in exam["tasks"] if name not in tasks]
    if lost:
        raise WorldloomError(f"`{path}` has no answers of the task `{lost[0]}`", hint)
    model = found.get("model", folder.resolve().name)
    if not isinstance(model, str) or not model.strip() or not model.isprintable():
        raise WorldloomError(f'`{path}` names {model!r:.40} under "model", and no one', hint)
    return model, tasks


def _check_complete(folder: Path, task: str, asked: Sequence[str], given: Mapping) -> None:
    lost = [key for key in asked if key not in given]
    more = [key for key in given if key not in set(asked)]
    path = folder / "answers.json"
    if lost:
        raise WorldloomError(
            f"`{path}` lacks {len(lost)} of {len(asked)} answers of `{task}`, the first is "
            f"`{lost[0]}`",
            "answer every question; who does not know answers as in example.json",
        )
    if more:
        raise WorldloomError(
            f"`{path}` answers `{more[0]}`, which `{task}` does not ask", "see questions.json"
        )


def picture(frame: np.ndarray, path: Path, times: int) -> str:
    """Saves a frame `[H, W, 3]` uint8 as PNG, enlarged by a whole factor; returns its name."""
    Image.fromarray(frame.repeat(times, 0).repeat(times, 1)).save(path)
    return path.name


def sheet(frames: np.ndarray, columns: int) -> np.ndarray:
    """Frames `[T, H, W, 3]` on one picture, in the order in which one reads."""
    rows = -(-len(frames) // columns)
    empty = np.zeros((rows * columns - len(frames), *frames.shape[1:]), frames.dtype)
    grid = np.concatenate([frames, empty]).reshape(rows, columns, *frames.shape[1:])
    return grid.swapaxes(1, 2).reshape(rows * frames.shape[1], columns * frames.shape[2], 3)
