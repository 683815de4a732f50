"""When to tick, and what the ticks cost: deadlines and rolling percentiles.

Knows no event loop: times are seconds on a clock that the caller reads.
"""

from collections import deque
from collections.abc import Sequence

WINDOW = 300
WARMUP = 5


def next_deadline(deadline: float, now: float, period: float) -> float:
    """The deadline after `deadline`: one period on, so that lateness does not add up.

    A clock that is late by more than one period starts over from now: what
    was missed stays missed, and no burst of ticks runs to catch up.
    """
    following = deadline + period
    return now if now - following > period else following


class Latency:
    """The last `window` durations of each stage, without the first `warmup` of them.

    Stages, in ms: `wait` (asleep before a tick), `step` and `render` (the
    world's), `keep` (for going back), `encode`, and `input_to_frame`: from the arrival of a `keys`
    message at the server until the first frame that used it has been handed
    to the socket. A message whose frame was dropped waits for the next frame.
    """

    STAGES: tuple[str, ...] = ("wait", "step", "render", "keep", "encode", "input_to_frame")

    def __init__(self, window: int = WINDOW, warmup: int = WARMUP) -> None:
        self._warmup = warmup
        self._seen = dict.fromkeys(self.STAGES, 0)
        self._kept = {stage: deque[float](maxlen=window) for stage in self.STAGES}
        self.warmup_ms = 0.0

    def add(self, stage: str, seconds: float) -> None:
        """Counts one duration; the first few of `step` and `render` are warm-up."""
        self._seen[stage] += 1
        if stage in ("step", "render") and self._seen[stage] <= self._warmup:
            self.warmup_ms = max(self.warmup_ms, 1e3 * seconds)
        else:
            self._kept[stage].append(1e3 * seconds)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Stage to its p50 and p95 in ms; stages that never ran are left out."""
        ordered = {stage: sorted(kept) for stage, kept in self._kept.items() if kept}
        return {
            stage: {
                "p50": round(percentile(durations, 0.50), 2),
                "p95": round(percentile(durations, 0.95), 2),
            }
            for stage, durations in ordered.items()
        }


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the ascending values lies, by linear interpolation.

    Every page is told twelve of them each second. NumPy's own costs twenty times as much for
    so few values, which was a fifth of a server's time with fifty pages.
    """
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
