"""Many pages, one world thread: ticks that are due at the same moment are carried out together.

Knows the event loop and players; not what a page wants, and no socket.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from worldloom.play.branch import Ticked
from worldloom.play.input import Played
from worldloom.play.player import Player, tick_together
from worldloom.play.tally import Ticks

REJOIN = 4  # rounds of the event loop from the end of one tick to the next one's beginning
OnWorldThread = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class _Turn:
    player: Player
    played: Played | None
    done: asyncio.Future[Ticked]


class Together:
    """Gathers ticks and runs them on the world thread, `at_once` of them in one step.

    While a step runs, turns wait for the next one: the busier the server, the fuller its steps.

    Args:
      on_world_thread: runs a function there.
      at_once: how many turns a step takes; with 1 a turn goes straight to the thread.
      period: seconds between two ticks. Pages that share steps also share the clock.
    """

    def __init__(self, on_world_thread: OnWorldThread, *, at_once: int, period: float) -> None:
        self.run = on_world_thread
        self.ticks = Ticks()
        self._at_once = at_once
        self._period = period
        self._epoch = time.monotonic()
        self._due: deque[_Turn] = deque()
        self._work: asyncio.Task[None] | None = None
        self._alarms: dict[int, asyncio.Event] = {}

    def now(self) -> float:
        """Now as a deadline: the last one of the shared clock, if there is one."""
        now = time.monotonic()
        if self._at_once == 1:
            return now
        return now - (now - self._epoch) % self._period

    async def sleep_until(self, deadline: float) -> None:
        """Sleeps; all who share a deadline wake at the same moment."""
        rest = deadline - time.monotonic()
        if self._at_once == 1 or rest <= 0:
            return await asyncio.sleep(max(0.0, rest))
        beat = round((deadline - self._epoch) / self._period)
        if abs(self._epoch + beat * self._period - deadline) > 1e-4:  # at a pace of its own
            return await asyncio.sleep(rest)
        if beat not in self._alarms:
            self._alarms[beat] = asyncio.Event()
            asyncio.get_running_loop().call_later(rest, self._ring, beat)
        await self._alarms[beat].wait()

    def _ring(self, beat: int) -> None:
        self._alarms.pop(beat).set()

    async def tick(self, player: Player, played: Played) -> Ticked:
        """One tick of where a player is: what it shows, and the seconds the world took."""
        if self._at_once == 1:
            return await self.run(self.ticks.timed, player.tick, played)
        return await self._queued(player, played)

    async def tick_another(self, player: Player) -> None:
        """One tick of a branch that runs on without the player."""
        if self._at_once == 1:
            await self.run(player.tick_another)
        else:
            await self._queued(player, None)

    async def _queued(self, player: Player, played: Played | None) -> Ticked:
        turn = _Turn(player, played, asyncio.get_running_loop().create_future())
        self._due.append(turn)
        if self._work is None:
            self._work = asyncio.create_task(self._carry_out())
        return await turn.done

    async def _carry_out(self) -> None:
        await asyncio.sleep(0)  # whoever woke at the same moment joins
        while self._due:
            turns = [self._due.popleft() for _ in range(min(self._at_once, len(self._due)))]
            turns = [turn for turn in turns if not turn.done.cancelled()]
            if not turns:
                continue
            work = asyncio.ensure_future(
                self.run(
                    self.ticks.timed, tick_together, [(turn.player, turn.played) for turn in turns]
                )
            )
            await asyncio.wait({work})
            failure = asyncio.CancelledError() if work.cancelled() else work.exception()
            outcomes = [failure] * len(turns) if failure is not None else work.result()
            for turn, outcome in zip(turns, outcomes, strict=True):
                if turn.done.cancelled():
                    continue
                if isinstance(outcome, BaseException):
                    turn.done.set_exception(outcome)
                else:
                    turn.done.set_result(outcome)
            # Who has just been served and is late already comes along in the next step. Without
            # this two halves of a crowd would take turns for ever, each at the price of all.
            for _ in range(REJOIN):
                await asyncio.sleep(0)
        self._work = None
