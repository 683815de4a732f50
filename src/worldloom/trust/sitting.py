"""One probe sits one task: answers beside those of nulls and ceiling, kept as they come.

Knows probes and tasks; no model, no page. What an exam needs that only a model's family
can give (networks of the same shape that were never trained) comes in as further nulls.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worldloom.errors import WorldloomError
from worldloom.trust.probe import Probe, lacking
from worldloom.trust.rows import Row, Sheet
from worldloom.trust.task import SUITE, Answer, Item, NotApplicable, Setting, Task, Verdict

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
      header: of the rows.
    """

    task: Task
    verdict: Verdict | None
    why: str = ""
    rows: Sequence[Row] = ()
    header: Mapping[str, Any] = field(default_factory=dict)


def sit(
    task: Task,
    probe: Probe,
    setting: Setting,
    *,
    out: Path | None = None,
    identity: str = "",
    nulls: Mapping[str, Probe] | None = None,
    run: Mapping[str, Any] | None = None,
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
      run: facts of this machine and time for the header, which no comparison reads.
      tell: progress.
    """
    why = lacking(probe, task.requires)
    if why:
        return Sat(task, None, why)
    began = time.monotonic()
    try:
        beside = {**task.nulls(setting), **(nulls or {})}
        header = _header(task, probe, setting, identity, list(beside))
        sheet = None if out is None else Sheet(out, task.name, header)
        rows = _rows(task, probe, beside, setting, sheet, tell)
    except NotApplicable as reason:
        return Sat(task, None, f"{reason.message}: {reason.hint}")
    if sheet is not None and len(rows) and "finished" not in sheet.header.get("run", {}):
        facts = {**(run or {}), "seconds": round(time.monotonic() - began, 2), "finished": True}
        sheet.note({**header, "run": facts})
    verdict = task.judge(rows, seed=setting.seed)
    for name, figure in verdict.figures.items():
        figure.check(f"{task.name}, {name}")
    return Sat(task, verdict, "", rows, sheet.header if sheet else header)


def _header(
    task: Task, probe: Probe, setting: Setting, identity: str, nulls: list[str]
) -> dict[str, Any]:
    """What makes two exams the same."""
    return {
        "format": FORMAT,
        "suite": SUITE,
        "task": task.name,
        "version": task.version,
        "generator": task.fingerprint(setting),
        "world": probe.name,
        "weights": identity,
        "budget": setting.budget,
        "seed": setting.seed,
        "nulls": nulls,
        "capabilities": sorted(probe.capabilities),
    }


def _rows(
    task: Task,
    probe: Probe,
    beside: Mapping[str, Probe],
    setting: Setting,
    sheet: Sheet | None,
    tell: Tell,
) -> Sequence[Row]:
    """Every row, those on the sheet included."""
    items = list(task.items(setting))
    _check_items(task, items)
    chunks = [items[i : i + task.chunk] for i in range(0, len(items), task.chunk)]
    done = sheet.keep_whole([[item.key for item in chunk] for chunk in chunks]) if sheet else 0
    rows = list(sheet.rows) if sheet else []
    if done == len(chunks):
        return rows
    ceiling = task.ceiling(setting)
    systems = {"": probe, **beside, **({} if ceiling is None else {"ceiling": ceiling})}
    tell(0.0, f"{task.name}: getting ready")
    # A null is asked only where it can answer: a simulator has no features.
    able = {name: p for name, p in systems.items() if not lacking(p, task.requires)}
    prepared = {name: task.prepare(system, setting) for name, system in able.items()}
    for index, chunk in enumerate(chunks[done:], done):
        tell(index / len(chunks), f"{task.name}: {index * task.chunk} of {len(items)} items")
        answers = {name: task.answer(s, chunk, prepared[name]) for name, s in able.items()}
        fresh = [
            _row(task, item, {name: given[i] for name, given in answers.items()}, list(beside))
            for i, item in enumerate(chunk)
        ]
        if sheet:
            sheet.add(fresh)
        rows.extend(fresh)
    return rows


def _check_items(task: Task, items: Sequence[Item]) -> None:
    if len({item.key for item in items}) != len(items):
        raise WorldloomError(f"task `{task.name}` has two items of one name", "name them apart")
    if any(not item.cluster for item in items):
        raise WorldloomError(
            f"task `{task.name}` has items without a cluster",
            "say which world, episode or template every item comes from",
        )


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
