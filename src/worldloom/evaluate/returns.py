"""How well a policy did in real episodes, and how two compare from the same starts."""

import json
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from worldloom.errors import WorldloomError
from worldloom.evaluate.statistics import (
    Estimate,
    Pool,
    Statistic,
    by_cluster,
    swap_test,
    wilson,
)


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


def mean(
    values: Sequence[float], *, starts: Sequence[int] | None = None, seed: int = 0
) -> Estimate:
    """A mean over episodes, with its 95% interval.

    Args:
      values: one for each episode.
      starts: which start each episode had, where some had the same; these are one cluster.
      seed: of the resamples.
    """
    rows = np.stack([np.asarray(values, np.float64), np.ones(len(values))], 1)
    if starts is not None:
        rows = by_cluster(rows, np.asarray(starts))
    return Pool(rows, seed=seed).estimate(_ratio)


def share(hits: Sequence[bool], *, starts: Sequence[int] | None = None) -> Estimate:
    """How often something happened, with Wilson's 95% interval, which 0 of n has too.

    Where several episodes had the same start, n is the number of starts: the interval is then
    too wide rather than too narrow.
    """
    n, value = len(hits) if starts is None else len(set(starts)), float(np.mean(hits))
    low, high = (min(max(end, 0.0), 1.0) for end in wilson(n * value, n))
    return Estimate(np.array(value), np.array(low), np.array(high), n)


def gain(ours: Sequence[Played], theirs: Sequence[Played], *, seed: int = 0) -> Estimate:
    """The mean difference of returns from the same starts, with its 95% interval over starts."""
    return mean(_differences(ours, theirs), starts=[one.seed for one in ours], seed=seed)


def chance(ours: Sequence[Played], theirs: Sequence[Played], *, seed: int = 0) -> float:
    """How likely so large a `gain` is by chance: the sign-flip permutation test over starts."""
    gained = np.asarray(_differences(ours, theirs))[:, None]
    starts = by_cluster(gained, np.array([one.seed for one in ours]))
    return swap_test(starts, np.zeros_like(starts), lambda sums: sums[:, 0], seed=seed)


def ratio(ours: Sequence[Played], theirs: Sequence[Played], *, seed: int = 0) -> Estimate:
    """A mean return over another, from the same starts, with its 95% interval over starts."""
    _differences(ours, theirs)
    totals = np.array([[a.total, b.total] for a, b in zip(ours, theirs, strict=True)])
    rows = by_cluster(totals, np.array([one.seed for one in ours]))
    return Pool(rows, seed=seed).estimate(_ratio)


def _differences(ours: Sequence[Played], theirs: Sequence[Played]) -> list[float]:
    """Of the returns, or one clear sentence where the starts differ."""
    if [one.seed for one in ours] != [one.seed for one in theirs]:
        raise WorldloomError(
            "these episodes do not begin from the same starts", "play both with the same --seed"
        )
    return [a.total - b.total for a, b in zip(ours, theirs, strict=True)]


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


def to_json(played: Sequence[Played], **facts: Any) -> str:
    """Every episode, as a JSON text; `facts` stand before them."""
    rows: list[dict[str, Any]] = [
        {
            "seed": one.seed,
            "return": one.total,
            "length": one.length,
            "terminated": one.terminated,
        }
        for one in played
    ]
    return json.dumps({**facts, "episodes": rows}, indent=1) + "\n"


_ratio: Statistic = lambda sums: sums[:, 0] / sums[:, 1]  # noqa: E731
