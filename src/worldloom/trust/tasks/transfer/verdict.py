"""What the answers of `transfer` come to: returns beside those of others, on shared starts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from worldloom import seeding
from worldloom.evaluate.report import Figure
from worldloom.trust import beaten, pooling
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict
from worldloom.trust.tasks.transfer.hopping import VIEWS

PROBED = {view: f"probed {view}" for view in VIEWS}
"""Splits of the items from which action and state are read."""
WORDS = {
    "stack": "a frame-stack autoencoder",
    "image": "an image autoencoder",
    "random": "random features",
    "pixels": "pixels end to end",
    "blind": "who sees nothing",
}


def judge(rows: Sequence[Row], *, seed: int) -> Verdict:
    """More than everybody it stands beside earns, over shared starts."""
    played = [row for row in rows if row.split in VIEWS]
    probed = [row for row in rows if row.split in PROBED.values()]
    gain = _gain(played, pooling.null("stack"), seed=seed)
    figures = {"gain": gain}
    for view in VIEWS:
        some = [row for row in played if row.split == view]
        figures[f"gain_{view}"] = _gain(some, pooling.null("stack"), seed=seed)
    names = pooling.nulls(rows)
    raw = [name for name in names if name.startswith("untrained")]
    for name in (name for name in names if name not in ("stack", *raw)):
        figures[f"gain_over_{name}"] = _gain(played, pooling.null(name), seed=seed)
    if raw:
        figures["gain_over_untrained"] = _gain(played, _average(raw), seed=seed)
    chance = pooling.mean(played, pooling.null("blind")) or 0.0
    figures["area"] = pooling.mean_figure(played, seed=seed, null=chance)
    for share in sorted(played[0].extra["returns"], key=float):
        figures[f"return_{float(share):.0%}"] = _kept(
            played, lambda extra, s=share: extra["returns"][s], "blind", seed=seed
        )
    for name in ("inverse", "place_error", "speed_error"):
        unit = "px" if "error" in name else "1"
        figures[name] = _kept(
            probed, lambda extra, n=name: extra.get(n), "image", seed=seed, unit=unit
        )
    left = beaten.stands(played, beaten.every(rows), seed=seed)
    if not left:
        words = "who imitates with its features earns more than everybody beside it"
        return Verdict(figures, True, words)
    words = f"who imitates with its features earns no more than {beaten.told(left, WORDS)}"
    if _beyond_all(played, left, seed):
        return Verdict(figures, None, f"{words}; nor does the true state from so few games")
    return Verdict(figures, False, words)


def _beyond_all(rows: Sequence[Row], names: Sequence[str], seed: int) -> bool:
    """Whether not even the true state is above any of these nulls: then nobody can be."""
    nulls = {name: pooling.null(name) for name in names}
    tests = beaten.columns(rows, nulls, own=pooling.ceiling)
    seed = seeding.stream(seed, "swap")
    return bool(tests) and beaten.unbeaten(tests, beaten.mean, seed=seed) == tuple(tests)


def _gain(rows: Sequence[Row], other: pooling.Column, *, seed: int) -> Figure:
    """What is earned more than by another, on the same starts."""
    best = pooling.table(rows, [pooling.ceiling, other])
    return pooling.figure(
        pooling.table(rows, [pooling.value, other]),
        pooling.gap,
        seed=seed,
        null=0.0,
        ceiling=float(pooling.gap(best.sum(0, keepdims=True))[0]) if len(best) else None,
    )


def _average(names: Sequence[str]) -> pooling.Column:
    return lambda row: float(np.mean([row.null[name] or 0.0 for name in names]))


def _kept(rows: Sequence[Row], of: Any, null: str, *, seed: int, unit: str = "1") -> Figure:
    """The mean of a number that was kept beside answers, with a null's and the ceiling's."""
    beside = lambda name: lambda row: of(row.extra["beside"][name])  # noqa: E731
    own = pooling.table(rows, [lambda row: of(row.extra)])
    return pooling.figure(
        own,
        pooling.ratio(1, 0),
        seed=seed,
        null=pooling.mean(rows, beside(null)) or 0.0,
        ceiling=pooling.mean(rows, beside("ceiling")),
        unit=unit,
    )
