"""What a server has done so far, and its account of it in Prometheus' words.

Counts only: it knows no socket and no world. The names are part of the guide.
"""

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

QUANTILES = (0.5, 0.95, 0.99)
COUNTED = ("ticks", "sent", "dropped", "late")
EVICTED = ("idle", "slow")
REFUSED = ("busy", "token", "version")
WRONG = ("malformed", "rate", "world", "crash")


class Ticks:
    """How long the world thread took for what was due together: the last few thousand."""

    def __init__(self, window: int = 2000) -> None:
        self._kept = deque[float](maxlen=window)
        self._lock = threading.Lock()
        self.count = 0
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls `function` and keeps how long it took."""
        begin = perf_counter()
        try:
            return function(*args)
        finally:
            took = perf_counter() - begin
            with self._lock:
                self._kept.append(took)
                self.count += 1
                self.seconds += took

    def quantiles(self) -> dict[float, float]:
        """Share to seconds; empty before the first tick."""
        with self._lock:
            kept = list(self._kept)
        return {q: float(np.quantile(kept, q)) for q in QUANTILES} if kept else {}


@dataclass
class Counts:
    """What happened in a session so far: ticks, frames sent and dropped, ticks that began late."""

    ticks: int = 0
    sent: int = 0
    dropped: int = 0
    late: int = 0


@dataclass
class Tally:
    """What happened in all sessions of a server.

    Args:
      opened: sessions that began.
      ended: why sessions ended, and why others never began: an error's code, or "left".
      gone: what sessions that ended had counted.
    """

    opened: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)

    def add(self, counts: dict[str, int]) -> None:
        """Keeps the counts of a session that has ended."""
        self.gone.update({name: counts[name] for name in COUNTED})


def text(tally: Tally, ticks: Ticks, here: Iterable[dict[str, int]], **gauges: float) -> str:
    """All figures in Prometheus' text format.

    Args:
      here: what each session that plays now has counted.
      gauges: figures of this moment, by name.
    """
    sums = Counter(tally.gone)
    for counts in here:
        sums.update({name: counts[name] for name in COUNTED})
    lines: list[str] = []

    def metric(name: str, kind: str, meaning: str, rows: Mapping[str, float]) -> None:
        lines.append(f"# HELP worldloom_{name} {meaning}")
        lines.append(f"# TYPE worldloom_{name} {kind}")
        lines.extend(f"worldloom_{name}{labels} {value:g}" for labels, value in rows.items())

    for name, value in gauges.items():
        metric(name, "gauge", f"{name.replace('_', ' ')} now", {"": value})
    metric("memory_bytes", "gauge", "resident memory of the server", {"": resident()})
    metric("sessions_total", "counter", "sessions that began", {"": tally.opened})
    metric("frames_total", "counter", "frames handed to a socket", {"": sums["sent"]})
    metric("ticks_total", "counter", "ticks of all sessions", {"": sums["ticks"]})
    metric("drops_total", "counter", "frames that a newer one replaced", {"": sums["dropped"]})
    metric("late_total", "counter", "ticks that began late", {"": sums["late"]})
    ended = {f'{{reason="{reason}"}}': n for reason, n in sorted(tally.ended.items())}
    metric("ended_total", "counter", "sockets that ended, by reason", ended)
    metric("evictions_total", "counter", "sessions ended for silence", {"": _of(tally, EVICTED)})
    metric("refusals_total", "counter", "pages that were not let in", {"": _of(tally, REFUSED)})
    metric("errors_total", "counter", "sessions that went wrong", {"": _of(tally, WRONG)})
    rows = {f'{{quantile="{q:g}"}}': seconds for q, seconds in ticks.quantiles().items()}
    metric("tick_seconds", "summary", "one step of the world with all who were due", rows)
    lines.append(f"worldloom_tick_seconds_sum {ticks.seconds:g}")
    lines.append(f"worldloom_tick_seconds_count {ticks.count:g}")
    return "\n".join(lines) + "\n"


def _of(tally: Tally, reasons: Iterable[str]) -> int:
    return sum(tally.ended[reason] for reason in reasons)


def resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
