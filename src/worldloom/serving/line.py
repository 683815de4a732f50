"""Many clients, one desk: whoever waits is served in one pass, on a thread of its own.

While a pass runs, others wait for the next one: the busier the server, the fuller its passes.
Knows the event loop and the desk; not what a client wants, and no socket.
"""

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from worldloom.agents.policy import Values
from worldloom.serving.desk import Ask, Desk

LINGER = 0.003  # seconds that a pass waits for clients who are here and have not asked yet
LATELY = 1000  # answers that percentiles are taken of


@dataclass(frozen=True)
class Acted:
    """What a player does next.

    Args:
      values: component name to `[*component shape]`.
      waited: seconds until the pass began.
      took: seconds of the pass.
    """

    values: Values
    waited: float
    took: float


@dataclass(frozen=True)
class _Turn:
    ask: Ask
    since: float
    done: asyncio.Future[Acted]


class Line:
    """Gathers who asks, and serves them in the order in which they came.

    Args:
      desk: that is entered by one thread only.

    Attributes:
      here: how many clients there are.
    """

    def __init__(self, desk: Desk) -> None:
        self.here = 0
        self._desk = desk
        self._full = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "policy")
        self._due: deque[_Turn] = deque()
        self._work: asyncio.Task[None] | None = None

    async def act(self, ask: Ask) -> Acted:
        """What this player does next.

        Raises:
          WorldloomError: it asked for something that there is not.
          Exception: the pass broke, and the memory with it.
        """
        turn = _Turn(ask, time.perf_counter(), asyncio.get_running_loop().create_future())
        self._due.append(turn)
        if self._all_came():
            self._full.set()
        if self._work is None:
            self._work = asyncio.create_task(self._carry_out())
        return await turn.done

    def close(self) -> None:
        """Waits for the pass that is running."""
        self._thread.shutdown()

    def _all_came(self) -> bool:
        return len(self._due) >= min(self._desk.rows, self.here)

    async def _gather(self) -> None:
        """Waits a moment for others to come along.

        Without it two halves of a crowd would take turns for ever, each at the price of all.
        """
        if not self._all_came():
            self._full.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), LINGER)

    def _next(self) -> list[_Turn]:
        """Those of the next pass, without who has left."""
        turns = []
        while self._due and len(turns) < self._desk.rows:
            turn = self._due.popleft()
            if not turn.done.cancelled():
                turns.append(turn)
        return turns

    async def _carry_out(self) -> None:
        loop = asyncio.get_running_loop()
        while self._due:
            await self._gather()
            turns = self._next()
            if not turns:
                continue
            begin = time.perf_counter()
            try:
                outcomes = await loop.run_in_executor(
                    self._thread, self._desk.act, [turn.ask for turn in turns]
                )
            except Exception as error:  # theirs to hear, all who took part
                outcomes = [error] * len(turns)
            took = time.perf_counter() - begin
            for turn, outcome in zip(turns, outcomes, strict=True):
                _settle(turn, outcome, begin, took)
        self._work = None


def _settle(turn: _Turn, outcome: Values | Exception, begin: float, took: float) -> None:
    if turn.done.cancelled():
        return
    if isinstance(outcome, Exception):
        turn.done.set_exception(outcome)
    else:
        turn.done.set_result(Acted(outcome, begin - turn.since, took))


class Latency:
    """How long frames took from their arrival until they were answered, lately."""

    def __init__(self) -> None:
        self._lately: deque[float] = deque(maxlen=LATELY)
        self.count = 0

    def add(self, seconds: float) -> None:
        self._lately.append(1e3 * seconds)
        self.count += 1

    def to_json(self) -> dict[str, float]:
        """`p50_ms` and `p95_ms`; nothing before the first answer."""
        if not self._lately:
            return {}
        p50, p95 = np.percentile(self._lately, [50, 95])
        return {"p50_ms": float(p50), "p95_ms": float(p95)}

    def __str__(self) -> str:
        if not self._lately:
            return "no frames"
        found = self.to_json()
        frames = f"{self.count} frame{'' if self.count == 1 else 's'}"
        return f"{frames}, answered in {found['p50_ms']:.1f} ms, p95 {found['p95_ms']:.1f} ms"
