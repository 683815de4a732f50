"""Writes one benchmark's figures to `benchmarks/results/NAME.json`.

Every figure that the project states is such a file, so it says how it was made:
command, commit, machine, date, seeds. Knows no benchmark.
"""

import datetime
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from worldloom.machine import commit as made_by
from worldloom.machine import machine

ROOT = Path(__file__).resolve().parent.parent


def figure(
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    unit: str = "1",
    n: int = 1,
    **more: Any,
) -> dict[str, Any]:
    """One figure.

    Args:
      value: what was measured.
      low: lower end of the 95% interval, None where there is none.
      high: upper end.
      unit: "1" for a ratio, else for example "clips/s", "dB", "s".
      n: independent episodes, worlds, runs or rounds.
      more: anything else worth keeping, for example `peer="dreamer4 0.1"`.
    """
    return {"value": value, "low": low, "high": high, "unit": unit, "n": n, **more}


def write(
    name: str,
    *,
    command: str,
    seeds: Sequence[int],
    figures: Mapping[str, Mapping[str, Any]],
    folder: Path | None = None,
    **more: Any,
) -> Path:
    """Writes the file and returns its path.

    Args:
      name: of the file, without its ending.
      command: that makes the figures again.
      seeds: that were used; empty where chance plays no part.
      figures: figure name to what `figure` returns.
      folder: where to write. Default: `benchmarks/results`.
      more: further facts about the whole run, for example peers and versions.
    """
    for key, entry in figures.items():
        missing = {"value", "low", "high", "unit", "n"} - set(entry)
        if missing:
            raise ValueError(f"figure `{key}` of `{name}` lacks {sorted(missing)}")
    content = {
        "name": name,
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seeds": list(seeds),
        "figures": {key: _plain(entry) for key, entry in figures.items()},
        **_plain(more),
    }
    folder = folder or ROOT / "benchmarks" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    os.replace(part, path)
    return path


def commit() -> str:
    """The commit of the working tree, with "+" where files of it have changed."""
    return made_by("src", "benchmarks/*.py") or "unknown"


def bootstrap(
    values: Sequence[float], *, seed: int = 0, draws: int = 10_000
) -> tuple[float, float]:
    """A 95% interval of the mean of independent values, by resampling them."""
    array = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(len(array), size=(draws, len(array)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def median_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """A 95% interval of the median of independent values, by resampling them."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.percentile(np.median(draws, 1), [2.5, 97.5])
    return float(low), float(high)


def _plain(value: Any) -> Any:
    """Numpy numbers as Python's own, to six digits; not-a-number is None."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
