"""Do two worlds differ? Their answers to the same questions, question by question.

Reads the rows that lie beside reports. The number of a row is what its task pools, which may
or may not be a figure of the report: which one it is, is found out and said. Says nothing of
other trainings of the same worlds: these would have to be rows of their own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from worldloom.errors import WorldloomError
from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure
from worldloom.trust import pooling
from worldloom.trust.report.profile import Entry, Profile
from worldloom.trust.rows import Row, row_of

SAME = ("version", "generator", "budget", "seed")
"""What two exams have to share for their questions to be the same."""
OTHER = "the other world"


@dataclass(frozen=True)
class Difference:
    """What two worlds differ by in one task.

    Args:
      task: name of it.
      first: label of a world.
      second: that of the other one.
      what: the number that is compared.
      figure: mean of the first less that of the second, over pairs; None where there are none.
      p: that they differ, by sign flips of whole clusters; None without figure.
      adjusted: p after Holm, over all tasks and pairs of worlds of the comparison.
      same: whether both gave the very same answers, as worlds of one family do that learned the
        same recordings.
      why: why nothing is paired; empty where it is.
    """

    task: str
    first: str
    second: str
    what: str = ""
    figure: Figure | None = None
    p: float | None = None
    adjusted: float | None = None
    same: bool = False
    why: str = ""


@dataclass(frozen=True)
class Answers:
    """The rows of one world in one task, with the header that says of which exam they are."""

    header: Mapping[str, Any]
    rows: Sequence[Row]


def differences(
    profiles: Sequence[Profile], names: Sequence[str], folders: Sequence[Path]
) -> tuple[Difference, ...]:
    """Every two worlds in every task that both of them sat.

    Args:
      profiles: of the worlds.
      names: their labels.
      folders: of their reports, whose `rows/` are read.
    """
    found = []
    tasks = dict.fromkeys(entry.task for p in profiles for entry in p.entries if not entry.why)
    for task in tasks:
        worlds = [
            (name, entry, folder / "rows")
            for profile, name, folder in zip(profiles, names, folders, strict=True)
            for entry in profile.entries
            if entry.task == task and not entry.why
        ]
        for (one, first, here), (two, second, there) in combinations(worlds, 2):
            found.append(_difference(Difference(task, one, two), (first, second), (here, there)))
    chances = {str(i): each.p for i, each in enumerate(found) if each.p is not None}
    adjusted = statistics.holm(chances)
    return tuple(replace(each, adjusted=adjusted.get(str(i))) for i, each in enumerate(found))


def _difference(
    blank: Difference, entries: tuple[Entry, Entry], folders: tuple[Path, Path]
) -> Difference:
    """The difference between two worlds, or why nothing can be paired."""
    found = [read(folder, blank.task) for folder in folders]
    for name, answers in zip((blank.first, blank.second), found, strict=True):
        if answers is None:
            return replace(blank, why=f"no finished rows lie beside the report of {name}")
    one, two = (answers for answers in found if answers is not None)
    other = [k for k in SAME if one.header.get(k) != two.header.get(k)]
    if other:
        return replace(blank, why=f"their rows are of exams with another {other[0]}")
    pairs = _pairs(one.rows, two.rows)
    if not pairs:
        return replace(blank, why="no question has a number in both: nothing can be paired")
    split, what = _named(pairs, entries)
    return _tested(
        replace(blank, what=what),
        [row for row in pairs if split in (None, row.split)],
        int(one.header["seed"]),
    )


def read(folder: Path, task: str) -> Answers | None:
    """The rows of a task; None where there are none, or the exam is not finished.

    Raises:
      WorldloomError: they are damaged.
    """
    head, lines = folder / f"{task}.json", folder / f"{task}.jsonl"
    if not head.exists() or not lines.exists():
        return None
    try:
        header = json.loads(head.read_text())
        if not header.get("run", {}).get("finished"):
            return None
        return Answers(header, [row_of(line) for line in lines.read_bytes().splitlines()])
    except (ValueError, TypeError, AttributeError) as error:
        raise WorldloomError(
            f"the rows `{lines}` are damaged: {error}", "let the world sit the task again"
        ) from error


def _pairs(first: Sequence[Row], second: Sequence[Row]) -> list[Row]:
    """Rows of the first world, each with the other's number beside its own."""
    others = {row.sample: row for row in second}
    pairs = []
    for row in first:
        other = others.get(row.sample)
        if other is None or row.value is None or other.value is None:
            continue
        if (other.cluster, other.split, other.seed) == (row.cluster, row.split, row.seed):
            pairs.append(replace(row, null={OTHER: other.value}, extra={}))
    return pairs


def _named(pairs: Sequence[Row], entries: tuple[Entry, Entry]) -> tuple[str | None, str]:
    """The split that is compared, None for all rows, and in words what its numbers are.

    They are the first figure where that is the mean of all rows or of one split; else all rows
    are compared, and the figures that are means of theirs say what they hold.
    """
    splits = (None, *dict.fromkeys(row.split for row in pairs))
    known = {name: _split_of(pairs, entries, name, splits) for name in entries[0].figures}
    first = next(iter(known), "")
    if known.get(first, "") != "":
        return known[first], first
    whole = [name for name, split in known.items() if split is None]
    if whole:
        return None, f"{whole[0]} ({first} is no mean of answers)"
    parts = [name for name, split in known.items() if split]
    what = f"the answers behind {', '.join(parts)}" if parts else "the numbers of its rows"
    return None, f"{what} ({first} is no mean of them)"


def _split_of(
    pairs: Sequence[Row], entries: tuple[Entry, Entry], name: str, splits: Sequence[str | None]
) -> str | None:
    """The split of which a figure of both worlds is the mean; an empty word where there is none."""
    told = [entry.figures[name].value for entry in entries if name in entry.figures]
    for split in splits:
        some = [row for row in pairs if split in (None, row.split)]
        means = [pooling.mean(some, c) for c in (pooling.value, pooling.null(OTHER))]
        if len(told) == 2 and all(_equal(a, b) for a, b in zip(told, means, strict=True)):
            return split
    return ""


def _equal(one: float | None, two: float | None) -> bool:
    return one is not None and two is not None and bool(np.isclose(one, two, rtol=1e-9, atol=1e-9))


def _tested(blank: Difference, pairs: Sequence[Row], seed: int) -> Difference:
    """Mean difference with its interval, and the chance of one as large by flips of signs."""
    columns = (pooling.value, pooling.null(OTHER))
    found = pooling.figure(pooling.table(pairs, columns), pooling.gap, seed=seed, null=0.0)
    if found.value is None:
        return replace(blank, why=found.why)
    p = pooling.chance(pairs, *columns, seed=seed)
    same = all(row.value == row.null[OTHER] for row in pairs)
    return replace(blank, figure=found, p=p, same=same)
