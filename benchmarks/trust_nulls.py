"""Who is exactly as good as is just not enough, drawn at the level of rows.

Begins with rows of a simulator, beside which its nulls stand; knows no world. A verdict that
asks for several things errs most where all but one of them are as good as can be, and the one
is at its bound: no better than a null, or as far off as is just too far. So every function here
spoils one thing and leaves the rest. Noise is drawn anew for the world: whoever copied a null's
answers could never be above it, and no verdict could err.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from worldloom.trust.rows import Row
from worldloom.trust.tasks.craft.games import BEST, CHANCE
from worldloom.trust.tasks.craft.verdict import CLOSE
from worldloom.trust.tasks.gladder.verdict import CAUSAL, LAWFUL, SLACK, STRONG
from worldloom.trust.tasks.reading.ridge import WIDTH
from worldloom.trust.tasks.scenes.physics import FRAME

Rng = np.random.Generator
Draw = Callable[[Sequence[Row], Sequence[Row], Rng], list[Row]]
"""Takes a data set and another one, drawn apart, and makes the rows of who is at a bound."""
RAW = "untrained_0"
OFF = 0.1
"""How far imagined returns of Craft are off by chance, in units of what can be had."""


def as_the_null(null: str) -> Draw:
    """A null's answers to the questions of another data set.

    Raises:
      ValueError: the data sets differ in their splits.
    """

    def draw(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
        if [row.split for row in rows] != [row.split for row in others]:
            raise ValueError(f"two data sets of `{rows[0].task}` have different splits")
        found = []
        for row, given in zip(rows, others, strict=True):
            extra = {**row.extra, **given.extra.get("beside", {}).get(null, {})}
            found.append(replace(row, value=given.null[null], extra=extra))
        return found

    return draw


def level_with(null: str, more: float, noise: float) -> Draw:
    """The world and one null are equally good, and everybody else is far below them.

    Args:
      null: which; networks that were never trained stand beside no simulator, and are added.
      more: what both score more than the ceiling on average.
      noise: standard deviation of both, each its own.
    """

    def draw(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
        found = []
        for row in rows:
            if row.value is not None and row.ceiling is not None:
                own, other = (row.ceiling + more + noise * rng.standard_normal(2)).tolist()
                row = replace(row, value=own, null={**row.null, null: other})
            found.append(row)
        return found

    return draw


def right_as_often(null: str, share: float) -> Draw:
    """The same of answers that are right or wrong: both are right so often, by chance."""

    def draw(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
        coins = (rng.random((len(rows), 2)) < share).astype(float)
        return [
            row if row.value is None else replace(row, value=one, null={**row.null, null: two})
            for row, (one, two) in zip(rows, coins.tolist(), strict=True)
        ]

    return draw


def part_of_the_way(null: str, share: float, split: str = "") -> Draw:
    """In so large a share of the questions as the ceiling, in the rest as a null answers.

    Args:
      null: which.
      share: of the way from the null to the ceiling, on average.
      split: where; elsewhere it is as the ceiling.
    """

    def draw(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
        down = rng.random(len(rows)) >= share
        return [
            replace(row, value=row.null[null])
            if wrong and split in ("", row.split) and row.value is not None
            else row
            for row, wrong in zip(rows, down.tolist(), strict=True)
        ]

    return draw


def tossed(split: str = "") -> Draw:
    """A coin for the world, everywhere or in one split; elsewhere it is as it was."""

    def draw(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
        coins = rng.integers(0, 2, len(rows)).astype(float).tolist()
        return [
            row if row.value is None or split not in ("", row.split) else replace(row, value=coin)
            for row, coin in zip(rows, coins, strict=True)
        ]

    return draw


def with_facts(change: Callable[[Row, Rng], Mapping[str, Any]], split: str = "") -> Draw:
    """Rows whose facts are changed one by one, in one split or everywhere."""

    def draw(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
        return [
            row if split not in ("", row.split) else with_more(row, **change(row, rng))
            for row in rows
        ]

    return draw


def with_more(row: Row, **facts: Any) -> Row:
    """A row with other facts in `extra`."""
    return replace(row, extra={**row.extra, **facts})


def no_gain_with_templates(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *combo*: better than every null, and no better for having seen more."""
    return [replace(row, value=0.2 * float(np.exp(0.3 * rng.standard_normal()))) for row in rows]


def falls_to_the_nearest(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *combo*: its error falls, down to that of the nearest film."""
    found = []
    for row in rows:
        own, other = (0.3 * np.exp(0.2 * rng.standard_normal(2))).tolist()
        value = own * 60 / float(row.split)
        found.append(replace(row, value=value, null={**row.null, "nearest": other}))
    return found


def too_light(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *gladder*: balls that fall by as much too slowly as is just too much."""
    return [
        replace(row, value=(1 - SLACK) * row.extra["g"] + 0.1 * float(rng.standard_normal()))
        for row in rows
    ]


def read_as_well(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *gladder*: the pull can be read off untrained networks too, and as well."""
    found = []
    for row in rows:
        own, other = (row.extra["g"] + rng.standard_normal(2)).tolist()
        beside = {**row.extra["beside"], RAW: {"decoded": other}}
        row = with_more(row, decoded=own, beside=beside)
        found.append(replace(row, null={**row.null, RAW: None}))
    return found


def pushed_anywhere(row: Row, rng: Rng) -> Mapping[str, float]:
    """Of *gladder*: a push in any direction does as much."""
    own, other = (1 + 0.3 * rng.standard_normal(2)).tolist()
    return {"pushed": own, "pushed_anywhere": other}


def pushed_too_little(row: Row, rng: Rng) -> Mapping[str, float]:
    """Of *gladder*: a push does as little as is just too little."""
    return {"pushed": CAUSAL + 0.3 * float(rng.standard_normal())}


def obeys_a_wrong_pull(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *gladder*: its films have the right law, with a constant that is off by the bound."""
    levels = sorted({row.extra["g"] for row in rows if row.split == "inside"})
    off = dict(zip(levels, LAWFUL + 0.03 * rng.standard_normal(len(levels)), strict=True))
    return [
        bent(row, np.full(len(row.extra["track"]), -off[row.extra["g"]] * row.extra["g"]))
        if row.split == "inside"
        else row
        for row in rows
    ]


def obeys_another_law(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *gladder*: its balls are also drawn to one side, by what just counts as a term."""
    levels = sorted({row.extra["g"] for row in rows if row.split == "inside"})
    found = {id(row): row for row in rows}
    for level in levels:
        some = [row for row in rows if row.split == "inside" and row.extra["g"] == level]
        across = [np.array(row.extra["track"]).reshape(-1, 2)[:, 0] for row in some]
        middle = np.concatenate(across).mean()
        seen = np.concatenate([_windows(x - middle) for x in across])
        pull = STRONG * (1 + OFF * rng.standard_normal()) / max(seen.std(), 1e-9)
        found |= {id(r): bent(r, pull * (x - middle)) for r, x in zip(some, across, strict=True)}
    return list(found.values())


def _windows(values: np.ndarray) -> np.ndarray:
    """`[T]` as means over windows of a flight, as the law is read; none of a short one."""
    weight = (1 - np.linspace(-1, 1, WIDTH) ** 2) ** 2
    short = len(values) < WIDTH
    return values[:0] if short else np.convolve(values, weight / weight.sum(), "valid")


def bent(row: Row, upward: np.ndarray) -> Row:
    """A flight with more acceleration upward `[T]`, in units a second squared."""
    track = np.array(row.extra["track"]).reshape(-1, 2)
    speed = (np.cumsum(upward) - upward) * FRAME  # before each step
    track[1:, 1] += np.cumsum((speed + upward * FRAME / 2) * FRAME)[:-1]
    return with_more(row, track=track.tolist())


def sees_together_as_the_rule(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *rooms*: all pairs as by the rule of one view; hidden ones as well as can be."""
    return [
        with_more(row, all=given.extra["beside"]["covisible"]["all"])
        for row, given in zip(rows, others, strict=True)
    ]


def rarely_enough(row: Row, rng: Rng) -> Mapping[str, float]:
    """Of *outcomes*: what is rare occurs half as often as it should."""
    return {"rare_hit": row.extra["rare_hit"] * float(rng.integers(0, 2))}


def wrong_as_often(own: float, untrained: float | None = None) -> Draw:
    """Of deeds: the world is wrong about such a share, and so are untrained networks."""

    def draw(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
        found = []
        for row, (one, two) in zip(rows, rng.random((len(rows), 2)).tolist(), strict=True):
            more = {} if untrained is None else {RAW: float(two < untrained)}
            found.append(replace(row, value=float(one < own), null={**row.null, **more}))
        return found

    return draw


def promises_at_the_bound(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
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
            row = with_more(row, returns=returns)
        found.append(row)
    return found


def unrelated(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *blind*: concepts that lie to each other as nothing in language does."""
    return _placed(rows, _concepts(rows, rng), rng)


def as_understood(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *blind*: a world and an untrained network in which concepts lie alike, halfway as words.

    Their films are spread apart, so that both are matched as well and not the same.
    """
    kept = {name: np.array(place) for name, place in _concepts_of(rows).items()}
    spread = np.std(list(kept.values()))
    kept = {k: v + 0.6 * spread * rng.standard_normal(v.shape) for k, v in kept.items()}
    raw = _placed(rows, kept, rng)
    beside = lambda row: {**row.extra.get("beside", {}), RAW: {"place": row.extra["place"]}}  # noqa: E731
    return [
        replace(with_more(own, beside=beside(other)), null={**own.null, RAW: None})
        for own, other in zip(_placed(rows, kept, rng), raw, strict=True)
    ]


def _concepts_of(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Where the films of each concept lie on average."""
    names = dict.fromkeys(row.cluster for row in rows)
    return {n: np.mean([row.extra["place"] for row in rows if row.cluster == n], 0) for n in names}


def _concepts(rows: Sequence[Row], rng: Rng) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(len(p)) for name, p in _concepts_of(rows).items()}


def _placed(rows: Sequence[Row], kept: Mapping[str, np.ndarray], rng: Rng) -> list[Row]:
    """Films about where their concepts lie, half as far apart as these are."""
    noise = np.std(list(kept.values())) / 2
    found = []
    for row in rows:
        middle = kept[row.cluster]
        found.append(
            with_more(row, place=(middle + noise * rng.standard_normal(len(middle))).tolist())
        )
    return found
