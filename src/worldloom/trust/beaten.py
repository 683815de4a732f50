"""Which nulls a world does not beat: whole clusters are swapped, Holm over all that is asked.

A gate that names one null lets those pass who are no better than another one, such as a network
that was never trained. So a gate asks about every null of its task, and its sentence names
those that stand.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from worldloom import seeding
from worldloom.evaluate import statistics
from worldloom.trust import pooling
from worldloom.trust.pooling import Column
from worldloom.trust.rows import Row

CHANCE = 0.05
"""How often one of a family of tests may err."""
UNTRAINED = "untrained networks"

Pair = tuple[np.ndarray, np.ndarray]
"""Sums by cluster of two systems, `[C, ...]` each, of the same clusters."""


def unbeaten(
    tests: Mapping[str, Pair], statistic: statistics.Statistic, *, seed: int, less: bool = False
) -> tuple[str, ...]:
    """Names of the tests in which the first system is not above the second.

    Args:
      tests: one for each null, by name.
      statistic: of sums `[R, ...]`, one number each `[R]`.
      seed: draws the swaps.
      less: where less is better, as of errors.
    """
    chances = {name: _chance(*pair, statistic, seed) for name, pair in tests.items()}
    holds = statistics.holm(chances)
    sign = -1 if less else 1

    def won(name: str) -> bool:
        own, other = (statistic(sums.sum(0)[None])[0] for sums in tests[name])
        return bool(sign * (own - other) > 0 and holds[name] < CHANCE)

    return tuple(name for name in tests if not won(name))


def _chance(own: np.ndarray, other: np.ndarray, of: statistics.Statistic, seed: int) -> float:
    """One cluster tells nothing."""
    return statistics.swap_test(own, other, of, seed=seed) if len(own) > 1 else 1.0


def columns(
    rows: Sequence[Row], nulls: Mapping[str, Column], *, own: Column = pooling.value
) -> dict[str, Pair]:
    """Tests of a world's mean against that of each null, for `unbeaten` with `mean`.

    Nulls that answered nothing are left out: nobody can be held against them.
    """
    tables = {name: pooling.table(rows, [own, null]) for name, null in nulls.items()}
    return {name: (t[:, [0, 1]], t[:, [0, 2]]) for name, t in tables.items() if len(t)}


mean = pooling.ratio(1, 0)
"""Of sums of `columns`."""


def every(rows: Sequence[Row]) -> dict[str, Column]:
    """All nulls that the rows stand next to, each network that was never trained by itself."""
    return {name: pooling.null(name) for name in pooling.nulls(rows)}


def stands(
    rows: Sequence[Row], nulls: Mapping[str, Column], *, seed: int, less: bool = False
) -> tuple[str, ...]:
    """Names of the nulls whose mean the world's is not above; of the rows with both numbers."""
    seed = seeding.stream(seed, "swap")
    return unbeaten(columns(rows, nulls), mean, seed=seed, less=less)


def told(names: Iterable[str], words: Mapping[str, str] | None = None) -> str:
    """Nulls in words, each once; all networks that were never trained are one."""
    known = words or {}
    some = (UNTRAINED if name.startswith("untrained") else name for name in names)
    return ", ".join(dict.fromkeys(known.get(name, name.replace("_", " ")) for name in some))
