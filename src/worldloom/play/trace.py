"""How a moment came about: where it began, and everything that was done since.

A trace points back at the one of the tick before, so that branches share their past and going
back costs nothing. It is what can be told of a moment in few bytes: the same origin and the
same actions give the same moment again. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worldloom.actions import Action
from worldloom.data.types import Clip


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a course begins.

    Args:
      seed: of its randomness; without a clip also the number of the start.
      clip: a context of one row that was carried in; None where the start is one of the world's.
      real: the real side of the origin, where a clip was taken from it.
    """

    seed: int
    clip: Clip | None = None
    real: Any = None


@dataclass(frozen=True, eq=False, slots=True)
class Trace:
    """One tick, and all before it.

    Args:
      origin: where it began.
      before: the trace of the tick before; None at the origin.
      action: that was done in this tick, numpy values `[1, ...]`; None at the origin.
      noise: the seed that the randomness was changed to just before this tick, if it was.
      length: ticks since the origin.
    """

    origin: Origin
    before: Trace | None = None
    action: Action | None = None
    noise: int | None = None
    length: int = 0

    def then(self, action: Action, noise: int | None = None) -> Trace:
        """The trace of the tick after this one."""
        return Trace(self.origin, self, action, noise, self.length + 1)

    def ticks(self) -> list[Trace]:
        """All ticks since the origin, the oldest first, without the origin itself."""
        found: list[Trace] = []
        tick: Trace | None = self
        while tick is not None and tick.before is not None:
            found.append(tick)
            tick = tick.before
        return found[::-1]
