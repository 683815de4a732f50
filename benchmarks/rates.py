"""Speeds of several things measured side by side in one process, all of them taking turns.

Knows functions that return a rate; not what they run.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks import results

Figures = dict[str, dict[str, Any]]


def medians(kinds: Mapping[str, Callable[[], float]], rounds: int, unit: str) -> Figures:
    """The median rate of every kind over rounds, as a figure `NAME_UNIT_per_second`; printed too.

    Args:
      kinds: name to a function that runs once and returns how many units a second it made.
      rounds: in each of which every kind runs once.
      unit: for example "steps".
    """
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, rate in kinds.items():
            found[name].append(rate())
    figures = {}
    for name, values in found.items():
        value = float(np.median(values))
        span = f"{min(values):,.0f} to {max(values):,.0f}"
        print(f"{name}: {value:,.0f} {unit}/s ({span})", flush=True)
        figures[f"{name}_{unit}_per_second"] = results.figure(value, unit=f"{unit}/s", n=rounds)
    return figures
