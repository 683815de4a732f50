"""What every null of an exam comes to: its own answers, judged as those of the world are.

Knows rows and a task's `judge`. Asks nobody anything, so that a finished exam can show them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from worldloom.errors import WorldloomError
from worldloom.trust.pooling import nulls
from worldloom.trust.rows import Row
from worldloom.trust.task import Task, Verdict

Values = Mapping[str, float | None]
LACKING = (KeyError, IndexError, TypeError, ValueError, AttributeError, WorldloomError)
"""What a judge raises who looks for something that a null was never asked."""


@runtime_checkable
class Plain(Protocol):
    """A task whose intervals take long: it also gives its figures without them."""

    def plain(self, rows: Sequence[Row], *, seed: int) -> Values:
        """By name, the values of the figures of `judge`; those that are not there are left out."""
        ...


def null_values(
    task: Task, rows: Sequence[Row], verdict: Verdict, *, seed: int
) -> dict[str, dict[str, float | None]]:
    """For each figure of a verdict, by name of the null, what the null comes to; None for absent.

    Args:
      task: that was sat.
      rows: of the world, with answers of nulls beside its own.
      verdict: on them.
      seed: of the exam.
    """
    found = {name: _values(task, rows, verdict, name, seed) for name in nulls(rows)}
    return {
        figure: {n: _rounded(values[figure]) for n, values in found.items() if figure in values}
        for figure in verdict.figures
    }


def _rounded(value: float | None) -> float | None:
    """What is 0 but for the last bits is 0, and has no sign."""
    return None if value is None else round(value, 9) + 0.0


def answered_by(name: str, rows: Sequence[Row]) -> list[Row]:
    """The same questions answered by a null, with what was kept of it and nothing of the world."""
    found = []
    for row in rows:
        beside = row.extra.get("beside", {})
        kept = {**beside.get(name, {}), **({"beside": beside} if beside else {})}
        found.append(replace(row, value=row.null.get(name), extra=kept))
    return found


def _values(task: Task, rows: Sequence[Row], verdict: Verdict, name: str, seed: int) -> Values:
    """What a null comes to, as far as its answers say."""
    own = answered_by(name, rows)
    try:
        if isinstance(task, Plain):
            told = task.plain(own, seed=seed)
            return {figure: told.get(figure) for figure in verdict.figures}
        figures = task.judge(own, seed=seed).figures
    except LACKING:
        return _mean(rows, own, verdict)
    return {figure: f.value for figure, f in figures.items() if figure in verdict.figures}


def _mean(rows: Sequence[Row], own: Sequence[Row], verdict: Verdict) -> Values:
    """The first figure alone, where it is nothing but the mean of the rows' values."""
    first, value = next(iter(verdict.figures.items()))
    world, null = ([row.value for row in some if row.value is not None] for some in (rows, own))
    if value.value is None or not world or not null:
        return {}
    plain = abs(float(np.mean(world)) - value.value) < 1e-9
    return {first: float(np.mean(null))} if plain else {}


def untrained(values: Values) -> tuple[dict[str, float | None], list[float]]:
    """The nulls without those that are untrained networks, and the values of these."""
    other = {name: value for name, value in values.items() if not _raw(name)}
    raw = [value for name, value in values.items() if _raw(name) and value is not None]
    return other, raw


def _raw(name: str) -> bool:
    """Whether a null is an untrained network, as `suite` names them."""
    return name.startswith("untrained_")
