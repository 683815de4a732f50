"""One probe sits one task: answers beside those of nulls and ceiling, kept as they come.

Knows probes and tasks; no model, no page. What an exam needs that only a model's family
can give (networks of the same shape that were never trained) comes in as further nulls.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from worldloom.errors import WorldloomError
from worldloom.trust.probe import Probe, lacking
from worldloom.trust.rows import Row, Sheet
from worldloom.trust.task import (
    SUITE,
    Answer,
    Item,
    NotApplicable,
    Setting,
    Task,
    Verdict,
    described,
)

FORMAT = 1

Tell = Callable[[float, str], object]
"""Takes the share that is done and what is being done."""


@dataclass(frozen=True)
class Sat:
    """The outcome of one exam.

    Args:
      task: that was sat.
      verdict: None where the task is not applicable.
      why: the reason, where it is not.
      rows: one a sample.
      header: of the rows, or who was not asked.
      missing: capabilities that the task asks for and the probe has not.
    """

    task: Task
    verdict: Verdict | None
    why: str = ""
    rows: Sequence[Row] = ()
    header: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def sit(
    task: Task,
    probe: Probe,
    setting: Setting,
    *,
    out: Path | None = None,
    identity: str = "",
    nulls: Mapping[str, Probe] | None = None,
    known: Sequence[Row] = (),
    tell: Tell = lambda share, words: None,
) -> Sat:
    """Lets a probe sit a task, or what is left of it.

    Args:
      task: to sit.
      probe: to judge.
      setting: budget and seed.
      out: folder of the rows; None keeps them in memory only.
      identity: a hash of the world's weights; rows of another are refused.
      nulls: beside the task's own, such as untrained networks of the same shape.
      known: rows of the same exam by another world, from which nulls and ceiling are taken; by
        default they are asked.
      tell: progress.
    """
    bare = header_of(task, probe, setting, identity)
    why = lacking(probe, task.requires)
    if why:
        missing = tuple(sorted(task.requires - probe.capabilities))
        return Sat(task, None, why, header=bare, missing=missing)
    began = time.monotonic()
    try:
        beside = {**task.nulls(setting), **(nulls or {})}
        header = {**bare, "generator": task.fingerprint(setting), "nulls": list(beside)}
        sheet = None if out is None else Sheet(out, task.name, header)
        spent = _Spent(sheet, header, began)
        asked = _Asked(task, probe, beside, setting, known)
        rows = asked.rows(sheet, tell, spent)
    except NotApplicable as reason:
        return Sat(task, None, f"{reason.message}: {reason.hint}", header=bare)
    if len(rows):
        spent.note(finished=True)
    verdict = task.judge(rows, seed=setting.seed)
    for name, figure in verdict.figures.items():
        figure.check(f"{task.name}, {name}")
    return Sat(task, verdict, "", rows, sheet.header if sheet else header)


def header_of(task: Task, probe: Probe, setting: Setting, identity: str) -> dict[str, Any]:
    """Who sits what. What makes two exams the same comes in as it is asked: generator and nulls."""
    return {
        "format": FORMAT,
        "suite": SUITE,
        "task": task.name,
        "version": task.version,
        "generator": None,
        "world": probe.name,
        "weights": identity,
        "budget": setting.budget,
        "seed": setting.seed,
        "nulls": [],
        "capabilities": sorted(probe.capabilities),
    }


class _Spent:
    """The seconds that an exam took, added up over interruptions in the header of its rows.

    Args:
      sheet: whose header; None keeps nothing.
      header: of the exam.
      began: when this part of it did.
    """

    def __init__(self, sheet: Sheet | None, header: Mapping[str, Any], began: float) -> None:
        self.sheet, self.header, self.began = sheet, header, began
        run = {} if sheet is None else sheet.header.get("run", {})
        self.before, self.done = float(run.get("seconds", 0.0)), "finished" in run

    def note(self, *, finished: bool = False) -> None:
        """Writes down how long it took until now; a finished exam takes no more time."""
        if self.sheet is None or self.done:
            return
        self.done = finished
        run: dict[str, Any] = {"seconds": round(self.before + time.monotonic() - self.began, 2)}
        if finished:
            run["finished"] = True
        self.sheet.note({**self.header, **self.sheet.header, "run": run})


@dataclass(frozen=True)
class _Asked:
    """Who is asked what.

    Args:
      task: to sit.
      probe: under test.
      beside: nulls by name.
      setting: budget and seed.
      known: rows from which nulls and ceiling are taken; empty where they are asked.
    """

    task: Task
    probe: Probe
    beside: Mapping[str, Probe]
    setting: Setting
    known: Sequence[Row]

    def rows(self, sheet: Sheet | None, tell: Tell, spent: _Spent) -> Sequence[Row]:
        """Every row, those on the sheet included."""
        task, items = self.task, list(self.task.items(self.setting))
        _check_items(task, items)
        chunks = [items[i : i + task.chunk] for i in range(0, len(items), task.chunk)]
        keys = [[item.key for item in chunk] for chunk in chunks]
        done = sheet.keep_whole(keys, described(items)) if sheet else 0
        rows = list(sheet.rows) if sheet else []
        if done == len(chunks):
            return rows
        spent.done = False
        tell(0.0, f"{task.name}: getting ready")
        systems = self._systems()
        prepared = {name: task.prepare(system, self.setting) for name, system in systems.items()}
        for index, chunk in enumerate(chunks[done:], done):
            tell(index / len(chunks), f"{task.name}: {index * task.chunk} of {len(items)} items")
            answers = {n: task.answer(s, chunk, prepared[n]) for n, s in systems.items()}
            fresh = []
            for i, item in enumerate(chunk):
                given = {name: several[i] for name, several in answers.items()}
                place = index * task.chunk + i
                fresh.append(
                    _beside(self.known[place], given[""])
                    if self.known
                    else _row(task, item, given, list(self.beside))
                )
            if sheet:
                sheet.add(fresh)
                spent.note()
            rows.extend(fresh)
        return rows

    def _systems(self) -> dict[str, Probe]:
        """Everybody who is asked; a null only where it can answer: a simulator has no features."""
        if self.known:
            return {"": self.probe}
        best = self.task.ceiling(self.setting)
        every = {"": self.probe, **self.beside, **({} if best is None else {"ceiling": best})}
        return {name: p for name, p in every.items() if not lacking(p, self.task.requires)}


def _check_items(task: Task, items: Sequence[Item]) -> None:
    if len({item.key for item in items}) != len(items):
        raise WorldloomError(f"task `{task.name}` has two items of one name", "name them apart")
    if any(not item.cluster for item in items):
        raise WorldloomError(
            f"task `{task.name}` has items without a cluster",
            "say which world, episode or template every item comes from",
        )


def _beside(known: Row, own: Answer) -> Row:
    """A world's answer in the place of another's, beside the same nulls and ceiling."""
    others = {"beside": known.extra["beside"]} if "beside" in known.extra else {}
    return replace(known, value=own.value, extra={**own.extra, **others})


def _row(task: Task, item: Item, answers: Mapping[str, Answer], nulls: list[str]) -> Row:
    """One line: the world's answer, and beside it those of nulls and ceiling."""
    own = answers[""]
    extra = dict(own.extra)
    others = {n: dict(a.extra) for n, a in answers.items() if n and a.extra}
    if others:
        extra["beside"] = others
    return Row(
        task=task.name,
        version=task.version,
        sample=item.key,
        cluster=item.cluster,
        split=item.split,
        seed=item.seed,
        value=own.value,
        null={name: answers[name].value for name in nulls if name in answers},
        ceiling=answers["ceiling"].value if "ceiling" in answers else None,
        extra=extra,
    )
