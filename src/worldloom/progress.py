"""One line every few seconds: where a job of several stages is, and how long it will take."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO


def clock_text(seconds: float) -> str:
    """Minutes and seconds, for example `3:07`."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


class Progress:
    """Follows stages that are done in order, and prints at most one line in `every` seconds.

    The time left is what the running stage still needs at its own measured
    speed, and the expected seconds of the later stages times how much slower
    or faster this machine has been so far. A speed is measured from a stage's
    first report on: what an earlier run did of it is in that one, unpaid for.

    Args:
      stages: name to the seconds that it is expected to take, in order; 0 where
        nobody knows, then nothing is forecast before 2% of it are done.
      every: seconds between two lines.
      out: where the lines go; standard error if None.
      clock: seconds, for tests.
    """

    def __init__(
        self,
        stages: Mapping[str, float],
        *,
        every: float = 5.0,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stages = dict(stages)
        self.every = every
        self.out = sys.stderr if out is None else out
        self.clock = clock
        self._done: list[str] = []
        self._now = ""
        self._began = self._printed = clock()
        self._spent = self._expected = 0.0
        self._first: tuple[float, float] | None = None
        self._since = (0.0, 0.0)  # fraction and seconds of the stage that its speed leaves out

    def begin(self, stage: str, text: str = "") -> None:
        """The stage `stage` starts; the one before it is finished."""
        self._finish()
        self._now, self._began = stage, self.clock()
        self._first, self._since = None, (0.0, 0.0)
        self._line(0.0, text)

    def skip(self, stage: str, text: str = "kept from before") -> None:
        """The stage `stage` was done by an earlier run."""
        self._finish()
        self._done.append(stage)
        self._write(f"{stage}: {text}")

    def update(self, fraction: float, text: str = "") -> None:
        """The running stage is `fraction` done; prints where a line is due."""
        if self._first is None:
            self._first = (fraction, self.clock() - self._began)
        else:
            self._since = self._first
        if self.clock() - self._printed >= self.every:
            self._line(fraction, text)

    def say(self, text: str) -> None:
        """A line now, without a forecast."""
        self._write(text)

    def left(self, fraction: float) -> float | None:
        """Seconds that everything still needs, with the running stage `fraction` done."""
        spent, done = self._measured(fraction)
        expected = self.stages.get(self._now, 0.0)
        if not expected and done < 0.02:
            return None
        total = self._expected + done * expected
        speed = (self._spent + spent) / total if total > 0 else 1.0
        later = [v for k, v in self.stages.items() if k not in self._done and k != self._now]
        own = spent / done if done >= 0.02 else expected * speed
        return max(0.0, own * (1 - fraction)) + speed * sum(later)

    def _measured(self, fraction: float) -> tuple[float, float]:
        """Seconds, and the share of the running stage that was done in them."""
        since, before = self._since
        return self.clock() - self._began - before, fraction - since

    def _finish(self) -> None:
        if self._now:
            spent, done = self._measured(1.0)
            self._spent += spent
            self._expected += done * self.stages.get(self._now, 0.0)
            self._done.append(self._now)
            self._now = ""

    def _line(self, fraction: float, text: str) -> None:
        weights = self.stages if any(self.stages.values()) else dict.fromkeys(self.stages, 1.0)
        passed = sum(weights.get(stage, 0.0) for stage in self._done)
        share = (passed + fraction * weights.get(self._now, 0.0)) / sum(weights.values())
        words = f"{self._now}: {text}" if text else self._now
        left = self.left(fraction)
        forecast = "" if left is None else f", about {clock_text(left)} left"
        self._write(f"[{share:4.0%}] {words}{forecast}")

    def _write(self, text: str) -> None:
        self._printed = self.clock()
        print(text, file=self.out, flush=True)
