"""What one page wants by now: the keys it holds, its pace, and what it has asked for.

Takes what the page says as soon as it is said; whatever needs the world waits here until the
next tick. Knows no socket and no world.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from worldloom.data.types import Clip
from worldloom.play.input import Held
from worldloom.play.messages import (
    Anchor,
    Compare,
    Drop,
    Export,
    Fork,
    Future,
    Futures,
    Keys,
    Message,
    Open,
    Pause,
    Record,
    Reset,
    Rewind,
    RunOn,
    Share,
    Speed,
    StepOnce,
    Switch,
    Travel,
    Visit,
    Wrong,
)
from worldloom.play.protocol import ProtocolError
from worldloom.play.tray import Tray

MAX_ARRIVALS = 64
MAX_ORDERS = 32
MAX_EXPORTS = 4
MAX_PARTS = 64


def _queue() -> asyncio.Queue[Export]:
    return asyncio.Queue(MAX_EXPORTS)


@dataclass
class Wishes:
    """What the page wants, as the ticking task finds it.

    Args:
      codes: of all keys that have a button.
      starts: that were given to pages, by name.
      held: what the next tick acts on.
      arrivals: when the inputs that no tick has used yet arrived.
      input_time: the page's own time of the newest input.
      paused: the clock stands still.
      speed: 1 is the world's own pace.
      steps: ticks that are still to be done while the clock stands.
      orders: what is to be done between two ticks, the oldest first.
      exports: films that are to be made.
      parts: of a shared moment that is not there as a whole.
    """

    codes: frozenset[str]
    starts: Tray[Clip]
    held: Held = field(default_factory=Held)
    arrivals: tuple[float, ...] = ()
    input_time: int = 0
    paused: bool = False
    speed: float = 1.0
    steps: int = 0
    orders: deque[Reset | Travel | Visit] = field(default_factory=deque)
    exports: asyncio.Queue[Export] = field(default_factory=_queue)
    parts: list[str] = field(default_factory=list)

    def hear(self, message: Message) -> None:
        """Takes what the page says.

        Args:
          message: any but a greeting or an acknowledgement, which wish for nothing.

        Raises:
          ProtocolError: it asks for too much at once.
        """
        _HEARD[type(message)](self, message)

    def order(self, wish: Reset | Travel | Visit) -> None:
        """Puts a wish in the queue; a reset takes the place of one just before it."""
        if isinstance(wish, Reset) and self.orders and isinstance(self.orders[-1], Reset):
            self.orders.pop()
        if len(self.orders) >= MAX_ORDERS:
            raise ProtocolError("malformed", f"more than {MAX_ORDERS} wishes at once", "ask slower")
        self.orders.append(wish)

    def pause(self, on: bool = True) -> None:
        """The clock stands still from now on, or goes again; steps still to be done are not."""
        self.paused, self.steps = on, 0

    def _hear_keys(self, message: Keys) -> None:
        held, tapped = self._known(message.held), self._known(message.tapped)
        self.held = self.held.changed(held, tapped, axes=message.axes, mouse=message.mouse)
        self.arrivals = (*self.arrivals, time.monotonic())[-MAX_ARRIVALS:]
        self.input_time = message.time

    def _known(self, codes: tuple[str, ...]) -> tuple[str, ...]:
        """Keys of no button are dropped here, so that nothing can pile up."""
        return tuple(code for code in codes if code in self.codes)

    def _hear_pause(self, message: Pause) -> None:
        self.pause(message.on)

    def _hear_step(self, _: StepOnce) -> None:
        self.steps = min(self.steps + 1, 8) if self.paused else 1
        self.paused = True

    def _hear_speed(self, message: Speed) -> None:
        self.speed = message.factor

    def _hear_export(self, message: Export) -> None:
        if self.exports.full():
            raise ProtocolError("malformed", f"more than {MAX_EXPORTS} films at once", "ask slower")
        self.exports.put_nowait(message)

    def _hear_reset(self, message: Reset) -> None:
        self.order(replace(message, clip=self.starts.get(message.picture)))

    def _hear_visit(self, message: Visit) -> None:
        if isinstance(message, Futures):
            self.pause()
        self.order(message)

    def _hear_open(self, message: Open) -> None:
        """Keeps the parts of a shared moment until all of them are there."""
        self.parts.append(message.code)
        if len(self.parts) > MAX_PARTS:
            raise ProtocolError("malformed", f"a moment in more than {MAX_PARTS} parts")
        if not message.more:
            self.order(Open("".join(self.parts)))
            self.parts.clear()


# What each message does, on the event loop. A message of its own effect gets a line here.
_HEARD: dict[type, Callable[[Wishes, Any], None]] = {
    Keys: Wishes._hear_keys,
    Pause: Wishes._hear_pause,
    StepOnce: Wishes._hear_step,
    Speed: Wishes._hear_speed,
    Export: Wishes._hear_export,
    Reset: Wishes._hear_reset,
    **dict.fromkeys((Rewind, Fork, Switch, Drop, RunOn), Wishes.order),
    **dict.fromkeys((Compare, Anchor, Futures, Future, Record, Wrong, Share), Wishes._hear_visit),
    Open: Wishes._hear_open,
}
