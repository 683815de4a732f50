"""Failures to look at: what a world did worst, beside the truth, as moving pictures.

Knows rows and tasks that can show an answer; no page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from worldloom.data import film
from worldloom.data.files import replace_file
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.trust.task import Budget, Item, Setting, Task

COUNT: Mapping[Budget, int] = {"smoke": 1, "quick": 3, "full": 3}
"""Clips of one task."""
PACE = 8.0
"""Frames a second: slow enough to see what happens."""
GAP = 2


@dataclass(frozen=True)
class Showing:
    """One question and what a world made of it.

    Args:
      truth: `[T, H, W, 3]` uint8.
      seen: the same, of the world.
      words: what is shown, in a few words.
      sides: what the left and the right one are.
    """

    truth: np.ndarray
    seen: np.ndarray
    words: str
    sides: tuple[str, str] = ("the truth", "the world")


@dataclass(frozen=True)
class Clip:
    """A moving picture beside a report.

    Args:
      file: its name within the report's folder.
      sample: the question.
      words: what is shown.
      sides: what the left and the right one are.
    """

    file: str
    sample: str
    words: str
    sides: tuple[str, str]


@runtime_checkable
class Visible(Protocol):
    """A task whose questions can be answered once more, to be looked at."""

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing | None:
        """One answer beside the truth; None where this world's cannot be seen."""
        ...


@runtime_checkable
class Drawable(Protocol):
    """A task whose rows say enough to draw an answer; to ask again would be to learn again."""

    def draw(self, item: Item, row: Row) -> Showing | None:
        """One answer beside the truth; None where the row does not say it."""
        ...


def worst(rows: Sequence[Row], count: int) -> list[Row]:
    """The rows in which a world is furthest from the best one, at first one of each split.

    Where no best one was asked a row's value is how wrong it is, and 0 is right.
    """
    best = {row.sample: row.ceiling for row in rows if row.ceiling is not None}
    if not best:
        best = {row.sample: 0.0 for row in rows}
    far = {
        row.sample: abs(row.value - best[row.sample])
        for row in rows
        if row.value is not None and row.sample in best
    }
    wrong = [row for row in rows if far.get(row.sample)]
    order = sorted(wrong, key=lambda row: -far[row.sample])
    first: dict[str, Row] = {}
    for row in order:
        first.setdefault(row.split, row)
    rest = [row for row in order if first[row.split] is not row]
    return [*first.values(), *rest][:count]


def film_worst(
    task: Task, probe: Probe, rows: Sequence[Row], setting: Setting, out: Path
) -> tuple[Clip, ...]:
    """Writes the clips of what a world did worst.

    Args:
      task: that may be `Visible` or `Drawable`; there are no clips of others.
      probe: that was judged.
      rows: of it.
      setting: of the exam.
      out: folder of the report.
    """
    if not isinstance(task, Visible | Drawable):
        return ()
    items = {item.key: item for item in task.items(setting)}
    clips = []
    for rank, row in enumerate(worst(rows, COUNT[setting.budget]), 1):
        item = items[row.sample]
        drawable = isinstance(task, Drawable)
        shown = task.draw(item, row) if drawable else task.show(probe, item, setting)
        if shown is None:
            continue
        name = f"clips/{task.name}-{rank}.webp"
        (out / "clips").mkdir(parents=True, exist_ok=True)
        replace_file(out / name, film.moving(side_by_side(shown), PACE))
        clips.append(Clip(name, row.sample, shown.words, shown.sides))
    return tuple(clips)


def side_by_side(shown: Showing) -> np.ndarray:
    """`[T, H, 2 W + GAP, 3]` uint8, the truth on the left."""
    between = np.full((*shown.truth.shape[:2], GAP, 3), 128, np.uint8)
    return np.concatenate([shown.truth, between, shown.seen], axis=2)
