"""The answers of an exam on disk: one JSON line a sample, beside a header of one JSON file.

    OUT/motion.jsonl    task, version, sample, cluster, split, seed, value, null, ceiling, extra
    OUT/motion.json     whose answers they are: generator, world, seed; and how they were made

Lines are appended a whole chunk of items at a time. A chunk that a killed process left
half written is dropped and answered again.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from worldloom.data.files import replace_file
from worldloom.errors import WorldloomError

HINT = "give another folder with --out, or remove it"


@dataclass(frozen=True)
class Row:
    """One sample, with everything that it stands next to.

    Args:
      task: name of the task.
      version: of the task.
      sample: key of the item.
      cluster: what resamples and permutations keep together.
      split: part of the test.
      seed: of the item.
      value: of the world under test; None where the item has none.
      null: name of each null to its value.
      ceiling: of the best possible world; None where there is none.
      extra: what else the task keeps of the world under test; under `beside`, by name, what
        it keeps of nulls and ceiling.
    """

    task: str
    version: int
    sample: str
    cluster: str
    split: str
    seed: int
    value: float | None
    null: Mapping[str, float | None]
    ceiling: float | None
    extra: Mapping[str, Any] = field(default_factory=dict)


class Sheet:
    """The rows of one task in one folder.

    Args:
      folder: is made where it is missing.
      task: names the files.
      header: whose rows they are; rows under another header are refused.

    Raises:
      WorldloomError: the files belong to another exam, or are damaged.
    """

    def __init__(self, folder: Path, task: str, header: Mapping[str, Any]) -> None:
        self.lines, self.head = folder / f"{task}.jsonl", folder / f"{task}.json"
        folder.mkdir(parents=True, exist_ok=True)
        plain = json.loads(json.dumps(dict(header)))
        if self.head.exists():
            self._refuse_other(plain)
            self.rows = self._read()
        else:
            self.rows = []
            self.lines.unlink(missing_ok=True)
            self.note(plain)

    def note(self, header: Mapping[str, Any]) -> None:
        """Writes the header; what is under `run` may differ between two equal exams."""
        self._head = dict(header)
        replace_file(self.head, json.dumps(self._head, indent=1).encode() + b"\n")

    @property
    def header(self) -> dict[str, Any]:
        """What the header file says."""
        return dict(self._head)

    def _refuse_other(self, header: Mapping[str, Any]) -> None:
        there = self._read_head()
        for key, value in header.items():
            other = there.get(key)
            if key != "run" and other != value:
                raise WorldloomError(
                    f"`{self.head}` is of an exam with {key} {other}, this one has {value}", HINT
                )
        self._head = there

    def _refuse_others(self, keys: Sequence[str], asked: Sequence[str]) -> None:
        """Compares rows with what is asked, where an older header does not say what was asked."""
        finished = keys and "finished" in self._head.get("run", {})
        if list(keys) == list(asked if finished else asked[: len(keys)]):
            return
        raise WorldloomError(
            f"`{self.lines}` holds {len(keys)} answers to other questions than the {len(asked)} "
            "of this exam",
            HINT,
        )

    def _read_head(self) -> dict[str, Any]:
        try:
            there = json.loads(self.head.read_text())
        except ValueError as error:
            raise WorldloomError(f"`{self.head}` cannot be read: {error}", HINT) from error
        if not isinstance(there, dict) or not isinstance(there.get("run", {}), dict):
            raise WorldloomError(f"`{self.head}` is no header of rows: {there!r:.60}", HINT)
        return there

    def _read(self) -> list[Row]:
        if not self.lines.exists():
            return []
        *whole, torn = self.lines.read_bytes().split(b"\n")
        rows = []
        for number, line in enumerate(whole, 1):
            try:
                rows.append(row_of(line))
            except (ValueError, TypeError) as error:
                raise WorldloomError(
                    f"`{self.lines}` is damaged in line {number}: {error}",
                    "remove the file: its task is sat again",
                ) from error
        if torn:
            self._rewrite(rows)
        return rows

    def keep_whole(self, chunks: Sequence[Sequence[str]], items: str = "") -> int:
        """Drops rows of a chunk that is not complete; returns how many chunks are.

        Args:
          chunks: keys of the items that are answered together, in order.
          items: what tells these questions from others; rows of others are refused.

        Raises:
          WorldloomError: the rows answer other questions.
        """
        keys = [row.sample for row in self.rows]
        if "items" in self._head:
            self._refuse_other({"items": items})
        else:
            self._refuse_others(keys, [key for chunk in chunks for key in chunk])
            if "finished" not in self._head.get("run", {}):
                self.note({**self._head, "items": items})
        done = place = 0
        for chunk in chunks:
            if keys[place : place + len(chunk)] != list(chunk):
                break
            done, place = done + 1, place + len(chunk)
        if place < len(keys):
            self._rewrite(self.rows[:place])
        return done

    def add(self, rows: Sequence[Row]) -> None:
        """Appends the rows of one chunk, and waits until the disk has them."""
        with open(self.lines, "a") as handle:
            handle.write("".join(_line(row) for row in rows))
            handle.flush()
            os.fsync(handle.fileno())
        self.rows.extend(rows)

    def _rewrite(self, rows: Sequence[Row]) -> None:
        replace_file(self.lines, "".join(_line(row) for row in rows).encode())
        self.rows = list(rows)


def row_of(line: bytes) -> Row:
    """The row of a line, whose fields are of their kinds.

    Raises:
      ValueError: they are not.
      TypeError: so many fields no row has.
    """
    row = Row(**json.loads(line))
    if not isinstance(row.null, dict) or not isinstance(row.extra, dict):
        raise ValueError("`null` and `extra` are not both by name")
    for number in (row.value, row.ceiling, *row.null.values()):
        if number is not None and not math.isfinite(number):
            raise ValueError(f"{number} is no number")
    if not all(isinstance(word, str) for word in (row.task, row.sample, row.cluster, row.split)):
        raise ValueError("task, sample, cluster and split are not all words")
    return row


def _line(row: Row) -> str:
    return json.dumps(asdict(row), allow_nan=False) + "\n"
