"""The rungs of the gravity ladder: the figures of each, and the gate that says it was reached.

Knows rows; neither films nor probes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure
from worldloom.trust import pooling
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict
from worldloom.trust.tasks.reading import ridge
from worldloom.trust.tasks.scenes.physics import FRAME

STRONG = 0.35
"""Units a second squared: a term of the law that explains less is none."""
SLACK, LEAK, CAUSAL, LAWFUL = 0.1, 0.1, 0.5, 0.1
"""Rung 1: slope 1 to so much. Rung 2: the first frame tells less. Rung 3: slope at least. Rung
4: the constant is right to such a share."""
RUNGS = (
    "its balls fall as hard as the real ones",
    "the pull can be read off its features, and not off the first frame",
    "pushing the features changes the fall",
    "its films obey the law",
)


def judge(rows: Sequence[Row], *, seed: int) -> Verdict:
    """The highest rung that was reached without a gap."""
    inside = [row for row in rows if row.split == "inside"]
    outside = [row for row in rows if row.split == "outside"]
    figures = {
        "predicts": _slope(inside, seed=seed),
        "predicts_outside": _slope(outside, seed=seed),
    }
    figures |= _decodes(inside, outside, seed=seed)
    figures |= _causes(rows, seed=seed)
    figures |= _laws(inside, seed=seed)
    reached = [
        _within(figures["predicts"], 1 - SLACK, 1 + SLACK),
        _decodable(figures, outside, seed=seed),
        _causal(figures),
        _within(figures["law_support"], 0.8, 2.0, ends=False)
        and _within(figures["law_error"], -1.0, LAWFUL, ends=False),
    ]
    rung = reached.index(False) if False in reached else len(reached)
    missing = "" if rung == 4 else f"; the next one: {RUNGS[rung]}"
    return Verdict(figures, rung >= 1, f"it stands on rung {rung} of 4{missing}")


def _extra(name: str, beside: str = "") -> pooling.Column:
    """A number that was kept of the world, or of a null."""

    def column(row: Row) -> float | None:
        kept = row.extra.get("beside", {}).get(beside, {}) if beside else row.extra
        return kept.get(name)

    return column


def _slope(rows: Sequence[Row], *, seed: int) -> Figure:
    """Of the imagined pull on the true one."""
    value = lambda column: float(  # noqa: E731
        pooling.slope(pooling.line_sums(rows, _extra("g"), column).sum(0, keepdims=True))[0]
    )
    sums = pooling.line_sums(rows, _extra("g"), pooling.value)
    near, best = value(pooling.null("nearest")), value(pooling.ceiling)
    return pooling.figure(sums, pooling.slope, seed=seed, null=near, ceiling=best)


def _r2_sums(rows: Sequence[Row], column: pooling.Column) -> np.ndarray:
    """(n, g, gg, squared error) by cluster."""
    g = _extra("g")
    square: pooling.Column = lambda r: None if (x := g(r)) is None else x**2  # noqa: E731

    def wrong(row: Row) -> float | None:
        a, b = g(row), column(row)
        return None if a is None or b is None else (a - b) ** 2

    return pooling.table(rows, [g, square, wrong])


def _r2(sums: np.ndarray) -> np.ndarray:
    n, g, squares, wrong = np.moveaxis(sums, -1, 0)
    spread = squares - g**2 / np.maximum(n, 1)
    return 1 - wrong / np.maximum(spread, 1e-12)


def _decodes(inside: Sequence[Row], outside: Sequence[Row], *, seed: int) -> dict[str, Figure]:
    """R2 of the linear probe in the bands outside, and of the first frame inside."""
    if _extra("decoded")(inside[0]) is None:
        why = "it has no features"
        return {n: Figure.absent("1", why) for n in ("decodes_r2", "first_frame_r2")}
    known = [n for n in pooling.nulls(inside) if _extra("decoded", n)(inside[0]) is not None]
    columns = [_extra("shuffled"), *(_extra("decoded", n) for n in known)]
    total = lambda rows, c: float(_r2(_r2_sums(rows, c).sum(0, keepdims=True))[0])  # noqa: E731
    best = _extra("decoded", "ceiling")
    return {
        "decodes_r2": pooling.figure(
            _r2_sums(outside, _extra("decoded")),
            _r2,
            seed=seed,
            null=max(total(outside, column) for column in columns),
            ceiling=total(outside, best) if best(outside[0]) is not None else None,
        ),
        "first_frame_r2": pooling.figure(
            _r2_sums(inside, _extra("first")), _r2, seed=seed, null=0.0, why="must be about 0"
        ),
    }


def _decodable(figures: Mapping[str, Figure], outside: Sequence[Row], *, seed: int) -> bool:
    """Better than every null after Holm, and the first frame tells nothing."""
    found, first = figures["decodes_r2"], figures["first_frame_r2"]
    if found.value is None or first.low is None or found.null is None:
        return False
    known = [n for n in pooling.nulls(outside) if _extra("decoded", n)(outside[0]) is not None]
    columns = {"shuffled": _extra("shuffled"), **{n: _extra("decoded", n) for n in known}}

    def wrong(column: pooling.Column) -> pooling.Column:
        def error(row: Row) -> float | None:
            a, b = _extra("g")(row), column(row)
            return None if a is None or b is None else (a - b) ** 2

        return error

    own = wrong(_extra("decoded"))
    chances = {n: pooling.chance(outside, own, wrong(c), seed=seed) for n, c in columns.items()}
    sure = all(p < 0.05 for p in statistics.holm(chances).values())
    return sure and found.value > found.null and first.low < LEAK and found.value > 0


def _causes(rows: Sequence[Row], *, seed: int) -> dict[str, Figure]:
    """The slope of the fall over the push, beside pushes in other directions."""
    if _extra("pushed")(rows[0]) is None and "pushed" not in rows[0].extra:
        return {"causes": Figure.absent("1", "it cannot be steered")}
    others = [pooling.mean(rows, _extra(n)) for n in ("pushed_across", "pushed_anywhere")]
    null = max((abs(x) for x in others if x is not None), default=0.0)
    best = pooling.mean(rows, _extra("pushed", "ceiling"))
    sums = pooling.table(rows, [_extra("pushed")])
    return {"causes": pooling.figure(sums, pooling.ratio(1, 0), seed=seed, null=null, ceiling=best)}


def _causal(figures: Mapping[str, Figure]) -> bool:
    found = figures["causes"]
    null = found.null or 0.0
    return _within(found, max(CAUSAL, null), 2 - CAUSAL)


def _laws(inside: Sequence[Row], *, seed: int) -> dict[str, Figure]:
    """The law of each group of pulls: whether it is a constant alone, and which."""
    levels = sorted({float(row.extra["g"]) for row in inside})
    groups = [[row for row in inside if row.extra["g"] == level] for level in levels]
    parts = {"own": "", "nearest": "nearest", "best": "ceiling"}
    found = {key: np.array([_law(g, where) for g in groups]) for key, where in parts.items()}
    figures = {}
    for i, name in enumerate(("law_support", "law_error")):
        sums = np.stack([np.ones(len(groups)), found["own"][:, i]], 1)
        figures[name] = pooling.figure(
            sums,
            pooling.ratio(1, 0),
            seed=seed,
            null=float(found["nearest"][:, i].mean()),
            ceiling=float(found["best"][:, i].mean()),
            why=f"{len(levels)} pulls",
        )
    return figures


def _law(group: Sequence[Row], beside: str) -> tuple[float, float]:
    """(1 where the law has the right terms, relative error of its constant) of one group."""
    tracks = [np.array(_kept(row, beside)).reshape(-1, 2) for row in group]
    terms, kept = ridge.law(tracks, FRAME, STRONG)
    g = float(np.mean([row.extra["g"] for row in group]))
    right = kept[1, 0] and kept.sum() == 1
    down = float(-terms[1, 0]) if kept[1, 0] else 0.0
    return float(right), abs(down - g) / g


def _kept(row: Row, beside: str) -> list[list[float]]:
    kept = row.extra.get("beside", {}).get(beside, {}) if beside else row.extra
    return kept.get("track", [])


def _within(figure: Figure, low: float, high: float, *, ends: bool = True) -> bool:
    """Whether a figure, with its whole interval or alone, lies between two numbers."""
    if figure.value is None or figure.low is None or figure.high is None:
        return False
    return low < (figure.low if ends else figure.value) and (
        (figure.high if ends else figure.value) < high
    )
