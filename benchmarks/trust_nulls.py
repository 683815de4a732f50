"""Answers of worlds that know nothing, drawn at the level of rows, for each task of the suite.

Begins with rows of a simulator, beside which its nulls stand; knows no world. Who knows
nothing is as good as the main null and no better, or, where a task asks whether something
is small enough, exactly at its bound.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from worldloom.trust.rows import Row
from worldloom.trust.tasks.craft.games import BEST, CHANCE
from worldloom.trust.tasks.craft.verdict import CLOSE
from worldloom.trust.tasks.look.verdict import TOLD

Draw = Callable[[Sequence[Row], np.random.Generator], list[Row]]
MAIN = {"rooms": "touching", "transfer": "stack"}
"""The null to be as good as, where it is not the first: the strongest."""
OFF = 0.1
"""How far imagined returns of Craft are off by chance, in units of what can be had."""


def knows_nothing(
    task: str, rows: Sequence[Row], others: Sequence[Row], rng: np.random.Generator
) -> list[Row]:
    """The same questions of a task, answered by who knows nothing of its claim.

    Args:
      task: its name.
      rows: a data set, whose questions, nulls and ceiling stay.
      others: another one, drawn apart, with questions of the same splits in the same order.
      rng: tosses coins.
    """
    return NOTHING[task](rows, rng) if task in NOTHING else as_the_null(rows, others)


def as_the_null(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """The main null's answers to the questions of another data set.

    Not to other questions of this one: the world's mean would be the null's own, to the last
    digit, and no verdict could err.

    Raises:
      ValueError: the data sets differ in their splits.
    """
    null = MAIN.get(rows[0].task, next(iter(rows[0].null)))
    if [row.split for row in rows] != [row.split for row in others]:
        raise ValueError(f"two data sets of `{rows[0].task}` have different splits")
    found = []
    for row, given in zip(rows, others, strict=True):
        extra = {**row.extra, **given.extra.get("beside", {}).get(null, {})}
        extra = {k: row.extra[k] if k == "g" else v for k, v in extra.items()}
        found.append(replace(row, value=given.null[null], extra=extra))
    return found


def tossed(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """A coin for the world, and another one for what was never trained."""
    coins = rng.integers(0, 2, (len(rows), 2)).astype(float)
    return [
        replace(
            row,
            value=None if row.value is None else float(one),
            null={**row.null, "untrained_0": float(two)},
        )
        for row, (one, two) in zip(rows, coins, strict=True)
    ]


def deaf(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """Of *control*: a coin says which film was drawn under the true actions; what is read is
    what was done elsewhere."""
    found = []
    for row in rows:
        errors = dict(row.extra["errors"])
        if rng.random() < 0.5:
            errors["true"], errors["other"] = errors["other"], errors["true"]
        lags = rng.integers(0, len(rows), len(row.extra["read"]))
        read = [rows[i].extra["shuffled"] for i in lags]
        found.append(_with(row, errors=errors, read=read))
    return found


def remembers_by_chance(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """Of *memory*: a coin says which past brought it nearer."""
    found = []
    for row in rows:
        long, short = rng.permutation([row.extra["long"], row.extra["short"]]).tolist()
        value = 0.5 if long == short else float(long < short)
        found.append(replace(_with(row, long=long, short=short), value=value))
    return found


def told_at_the_bound(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """Of *look*: dreams that are picked exactly as often as is just too often."""
    found = []
    for row in rows:
        picked = rng.random(len(row.extra["real"])) < TOLD
        found.append(_with(row, real=[0.0] * len(picked), dream=(2.0 * picked - 1).tolist()))
    return found


def doubts_anything(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """Of *doubt*: every step is doubted as another one should be."""
    found = []
    for split in dict.fromkeys(row.split for row in rows):
        some = [row for row in rows if row.split == split]
        mixed = rng.permutation(np.concatenate([row.extra["doubt"] for row in some]))
        ends = np.cumsum([len(row.extra["doubt"]) for row in some])[:-1]
        parts = np.split(mixed, ends)
        found += [_with(row, doubt=part.tolist()) for row, part in zip(some, parts, strict=True)]
    return found


def promises_at_the_bound(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """Of *craft*: imagined returns that are off by the bound, and more or less by chance."""
    starts = [row.extra["returns"] for row in rows if row.split == "start"]
    unit = float(np.mean([r[BEST][2] - r[CHANCE][2] for r in starts]))
    found = []
    for row in rows:
        if row.split == "start":
            off = unit * (CLOSE + OFF * rng.standard_normal())
            returns = {
                k: [real + off, real, real] for k, (*_, real) in row.extra["returns"].items()
            }
            row = _with(row, returns=returns)
        found.append(row)
    return found


def _with(row: Row, **facts: Any) -> Row:
    return replace(row, extra={**row.extra, **facts})


NOTHING: Mapping[str, Draw] = {
    "voe2d": tossed,
    "return": tossed,
    "control": deaf,
    "look": told_at_the_bound,
    "doubt": doubts_anything,
    "memory": remembers_by_chance,
    "craft": promises_at_the_bound,
}
"""Where the main null's own answers would not do, or there is none."""
