"""The rungs of the gravity ladder: the figures of each, and the gate that says it was reached.

"It knows gravity" is said of the top alone: lower rungs are named, and are no pass. Knows
rows; neither films nor probes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from worldloom import seeding
from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure
from worldloom.trust import beaten, pooling
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict
from worldloom.trust.tasks.reading import ridge
from worldloom.trust.tasks.scenes.physics import FRAME

STRONG = 0.35
"""Units a second squared: a term of the law that explains less is none."""
SLACK, LEAK, CAUSAL, LAWFUL = 0.1, 0.1, 0.5, 0.1
"""Rung 1: slope 1 to so much. Rung 2: the first frame tells less. Rung 3: slope at least. Rung
4: the constant is right to such a share. All with their whole intervals."""
RUNGS = (
    "its balls fall as hard as the real ones",
    "the pull can be read off its features, and not off the first frame",
    "pushing the features changes the fall",
    "its films obey the law",
)
UNASKED = {1: "it has no features", 2: "it cannot be steered"}
"""Why the second and the third rung are not asked."""


def judge(rows: Sequence[Row], *, seed: int) -> Verdict:
    """The highest rung that was reached without a gap."""
    inside = [row for row in rows if row.split == "inside"]
    outside = [row for row in rows if row.split == "outside"]
    figures = {
        "predicts": _slope(inside, seed=seed),
        "predicts_outside": _slope(outside, seed=seed),
    }
    figures |= _decodes(inside, outside, seed=seed)
    figures |= _causes(inside, seed=seed)
    figures |= _laws(inside, seed=seed)
    reached = [
        _predicts(figures),
        _decodable(figures, outside, seed=seed) if _asked(rows, "decoded") else None,
        _causal(figures, inside, seed=seed) if _asked(inside, "pushed") else None,
        _lawful(figures),
    ]
    return Verdict(figures, _passed(reached), _sentence(reached))


def _passed(reached: Sequence[bool | None]) -> bool | None:
    """True on the top; False where a rung was missed; None where the rest could not be asked."""
    if False in reached:
        return False
    return None if None in reached else True


def _sentence(reached: Sequence[bool | None]) -> str:
    """The highest rung without a gap, what comes next, and where the fifth is asked."""
    rung = next((i for i, yes in enumerate(reached) if not yes), len(reached))
    words = [f"it stands on rung {rung} of 4"]
    if rung < len(reached):
        why = UNASKED.get(rung) if reached[rung] is None else None
        words.append(f"the next cannot be asked: {why}" if why else f"the next one: {RUNGS[rung]}")
    return "; ".join([*words, "the fifth is asked by blind"])


def _asked(rows: Sequence[Row], name: str) -> bool:
    """Whether a world could be asked for something."""
    return any(name in row.extra for row in rows)


def _extra(name: str, beside: str = "") -> pooling.Column:
    """A number that was kept of the world, or of a null."""

    def column(row: Row) -> float | None:
        kept = row.extra.get("beside", {}).get(beside, {}) if beside else row.extra
        return kept.get(name)

    return column


def _slope(rows: Sequence[Row], *, seed: int) -> Figure:
    """Of the imagined pull on the true one; its null is who comes nearest to 1."""
    value = lambda column: float(  # noqa: E731
        pooling.slope(pooling.line_sums(rows, _extra("g"), column).sum(0, keepdims=True))[0]
    )
    sums = pooling.line_sums(rows, _extra("g"), pooling.value)
    others = [value(pooling.null(name)) for name in pooling.nulls(rows)]
    # A network that was never trained may draw no flight from which a pull can be read.
    near = min((x for x in others if np.isfinite(x)), key=lambda x: abs(x - 1), default=0.0)
    best = value(pooling.ceiling)
    return pooling.figure(sums, pooling.slope, seed=seed, null=near, ceiling=best)


def _predicts(figures: Mapping[str, Figure]) -> bool:
    """A slope of 1, nearer than any null's."""
    found = figures["predicts"]
    if found.value is None or found.null is None:
        return False
    near = abs(found.value - 1) < abs(found.null - 1)
    return near and _within(found, 1 - SLACK, 1 + SLACK)


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
    if not _asked(inside, "decoded"):
        return {n: Figure.absent("1", UNASKED[1]) for n in ("decodes_r2", "first_frame_r2")}
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
    if not _asked(rows, "pushed"):
        return {"causes": Figure.absent("1", UNASKED[2])}
    others = [pooling.mean(rows, _extra(n)) for n in ("pushed_across", "pushed_anywhere")]
    null = max((abs(x) for x in others if x is not None), default=0.0)
    best = pooling.mean(rows, _extra("pushed", "ceiling"))
    sums = pooling.table(rows, [_extra("pushed")])
    why = "" if 2 * len(sums) >= len(rows) else f"read off {len(sums)} of {len(rows)} flights"
    mean = pooling.ratio(1, 0)
    return {"causes": pooling.figure(sums, mean, seed=seed, null=null, ceiling=best, why=why)}


def _causal(figures: Mapping[str, Figure], rows: Sequence[Row], *, seed: int) -> bool:
    """About one unit for one, more than other pushes and in networks that were never trained.

    In at least half of the flights, that is: of others nothing is left to be read.
    """
    found = figures["causes"]
    if 2 * found.n < len(rows) or not _within(found, CAUSAL, 2 - CAUSAL):
        return False
    nulls = {name: _extra(name) for name in ("pushed_across", "pushed_anywhere")}
    nulls |= {name: _extra("pushed", name) for name in pooling.nulls(rows)}
    known = {name: one for name, one in nulls.items() if any(one(row) is not None for row in rows)}
    pairs = beaten.columns(rows, known, own=_extra("pushed"))
    far = lambda sums: np.abs(beaten.mean(sums))  # noqa: E731
    return not beaten.unbeaten(pairs, far, seed=seeding.stream(seed, "swap"))


def _laws(inside: Sequence[Row], *, seed: int) -> dict[str, Figure]:
    """The law of each group of pulls: whether it is a constant alone, and which."""
    levels = sorted({float(row.extra["g"]) for row in inside})
    groups = [[row for row in inside if row.extra["g"] == level] for level in levels]
    found = {
        name: np.array([_law(group, name) for group in groups])
        for name in ("", *pooling.nulls(inside), "ceiling")
    }
    others = np.stack(
        [found[name].mean(0) for name in pooling.nulls(inside)] or [np.array([0.0, 1.0])]
    )
    nulls = {"law_support": others[:, 0].max(), "law_error": others[:, 1].min()}
    figures = {}
    for i, name in enumerate(nulls):
        sums = np.stack([np.ones(len(groups)), found[""][:, i]], 1)
        figures[name] = pooling.figure(
            sums,
            pooling.ratio(1, 0),
            seed=seed,
            null=float(nulls[name]),
            ceiling=float(found["ceiling"][:, i].mean()),
            why=f"{len(levels)} pulls",
        )
    return figures


def _lawful(figures: Mapping[str, Figure]) -> bool:
    """A constant alone, the right one, and nearer to it than any null's.

    Of the terms no null is asked: films that replay others under other pulls may have the
    right ones.
    """
    error, support = figures["law_error"], figures["law_support"]
    if error.value is None or error.null is None:
        return False
    right = support.value == 1 and _within(error, -1.0, LAWFUL)
    return right and error.value < error.null


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


def _within(figure: Figure, low: float, high: float) -> bool:
    """Whether a figure, with its whole interval, lies between two numbers."""
    if figure.low is None or figure.high is None:
        return False
    return low < figure.low and figure.high < high
