"""How well a policy did in real episodes, and how two compare from the same starts."""

import json
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from worldloom.errors import WorldloomError
from worldloom.evaluate.statistics import Estimate, Pool, Statistic


class Played(Protocol):
    """An episode: `agents.acting.Played` is one."""

    @property
    def seed(self) -> int: ...
    @property
    def total(self) -> float: ...
    @property
    def length(self) -> int: ...
    @property
    def terminated(self) -> bool: ...


def mean(values: Sequence[float], *, seed: int = 0) -> Estimate:
    """A mean over episodes, with its 95% interval."""
    rows = np.stack([np.asarray(values, np.float64), np.ones(len(values))], 1)
    return Pool(rows, seed=seed).estimate(_ratio)


def gain(ours: Sequence[Played], theirs: Sequence[Played], *, seed: int = 0) -> Estimate:
    """The mean difference of returns from the same starts, with its 95% interval."""
    if [one.seed for one in ours] != [one.seed for one in theirs]:
        raise WorldloomError(
            "these episodes do not begin from the same starts", "play both with the same --seed"
        )
    return mean([a.total - b.total for a, b in zip(ours, theirs, strict=True)], seed=seed)


def ratio(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> Estimate:
    """A mean over another mean, over the same starts, with its 95% interval."""
    rows = np.stack([np.asarray(ours, np.float64), np.asarray(theirs, np.float64)], 1)
    return Pool(rows, seed=seed).estimate(_ratio)


def summary(played: Sequence[Played], *, seed: int = 0) -> str:
    """A line for people."""
    total = mean([one.total for one in played], seed=seed)
    lengths = np.array([one.length for one in played])
    ended = float(np.mean([one.terminated for one in played]))
    interval = "" if np.isnan(total.low) else f" [{float(total.low):.2f}, {float(total.high):.2f}]"
    return (
        f"return {float(total.value):.2f}{interval} over {len(played)} episodes, "
        f"median length {int(np.median(lengths))} frames, {ended:.0%} ended by the game itself"
    )


def to_json(played: Sequence[Played]) -> str:
    """Every episode, as a JSON text."""
    rows: list[dict[str, Any]] = [
        {
            "seed": one.seed,
            "return": one.total,
            "length": one.length,
            "terminated": one.terminated,
        }
        for one in played
    ]
    return json.dumps({"episodes": rows}, indent=1) + "\n"


_ratio: Statistic = lambda sums: sums[:, 0] / sums[:, 1]  # noqa: E731
