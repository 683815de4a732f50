"""One page and its session, from greeting to goodbye.

Tasks share one event loop: they read what the page sends, tick the world on a
server clock, send frames, make films, and report. All of the world's work runs
on the one world thread that the server owns. Everything here belongs to one
socket: two pages share nothing but the world, which keeps no state. What the
page wants is kept by its wishes, and frames on their way by its outbox.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from worldloom.play import protocol
from worldloom.play.branch import Refused, Shown
from worldloom.play.clock import Latency, next_deadline
from worldloom.play.export import Exporter
from worldloom.play.limits import Limits, Rate
from worldloom.play.messages import (
    Ack,
    Drop,
    Fork,
    Future,
    Hello,
    Message,
    Open,
    Reset,
    Rewind,
    RunOn,
    Switch,
    Travel,
    Visit,
)
from worldloom.play.outbox import Outbox, Outgoing
from worldloom.play.player import Player
from worldloom.play.protocol import ProtocolError
from worldloom.play.session import Frame, Session
from worldloom.play.tally import Counts
from worldloom.play.together import Together
from worldloom.play.visitor import Nearby, Visitor
from worldloom.play.wishes import Wishes


class Connection:
    """Plays one session over one socket.

    Args:
      socket: accepted and greeted.
      session: pure; may be shared.
      together: carries out ticks, and whatever else belongs on the world thread.
      exporter: makes films, and keeps the starts that pages were given.
      limits: how long to be patient.
      nearby: what there is beside the world.
    """

    def __init__(
        self,
        socket: WebSocket,
        session: Session,
        *,
        together: Together,
        exporter: Exporter,
        limits: Limits,
        nearby: Nearby,
    ) -> None:
        self.latency = Latency()
        self.counts = Counts()
        self._socket = socket
        self._session = session
        self._together = together
        self._run = together.run
        self._exporter = exporter
        self._limits = limits
        self._player = Player(session, self.latency, limits.history, beside=nearby.beside)
        self._visitor = Visitor(
            self._player,
            session,
            nearby,
            run=together.run,
            tick=together.tick,
            tell=socket.send_json,
        )
        codes = frozenset(c for button in session.keys.buttons for c in button.codes)
        self._wishes = Wishes(codes, exporter.files.starts)
        self._outbox = Outbox(socket, latency=self.latency, counts=self.counts)
        self._wake = asyncio.Event()
        self._active = time.monotonic()
        self._warned = False
        self._over: asyncio.Future[ProtocolError] = asyncio.get_running_loop().create_future()

    def end(self, error: ProtocolError) -> None:
        """Ends the session from outside, with a reason for the page."""
        if not self._over.done():
            self._over.set_result(error)

    async def _ended(self) -> None:
        raise await self._over

    async def play(self, seed: int) -> None:
        """Plays until the page leaves.

        Raises:
          ProtocolError: the page broke the protocol or stopped listening.
          WorldloomError: the world cannot go on.
        """
        self._wishes.order(Reset(seed))
        visitor = self._visitor
        try:
            async with asyncio.TaskGroup() as tasks:
                send = self._outbox.send()
                works = (self._read(), self._tick(self._player), send, self._report())
                for task in (*works, self._export(self._player), visitor.work(), visitor.store()):
                    tasks.create_task(task)
                tasks.create_task(self._ended())
        except ExceptionGroup as group:
            _, others = group.split(lambda error: self._says_gone(error))
            if others is not None:
                raise others.exceptions[0] from group
        finally:
            # After the tick that may still be running: the world thread has one queue.
            await visitor.close()

    def _says_gone(self, error: BaseException) -> bool:
        """Whether an error means only that the page has left.

        Of two who send to a page that has gone the second is told so by a RuntimeError.
        """
        late = isinstance(error, RuntimeError) and "close message" in str(error)
        closed = self._socket.application_state is WebSocketState.DISCONNECTED
        return isinstance(error, WebSocketDisconnect) or (late and closed)

    async def _read(self) -> None:
        rate = Rate(self._limits.messages, 3 * self._limits.messages)
        while True:
            message = await receive(self._socket)
            if not rate.allows(time.monotonic()):
                limit = self._limits.messages
                raise ProtocolError("rate", f"more than {limit:g} messages a second", "say less")
            self._heard(message)

    def _heard(self, message: Message) -> None:
        if isinstance(message, Hello):
            raise ProtocolError("malformed", "`hello` came twice")
        if isinstance(message, Ack):
            self._outbox.ack(message.frame)
        else:
            self._active, self._warned = time.monotonic(), False
            self._wishes.hear(message)
        self._wake.set()

    async def _tick(self, player: Player) -> None:
        """The server clock. Everything but a plain tick makes it start over."""
        wishes = self._wishes
        deadline = self._start_over()
        offered = Outgoing(0, Shown(Frame(np.empty(0), 0, 0, False)), 0)
        while True:
            if await self._outbox.page_listens(self._limits.pause_after):
                deadline = self._start_over()
            if wishes.orders:
                offered = await self._grant(player, wishes.orders.popleft(), offered)
                deadline = self._start_over()
            elif wishes.paused and not wishes.steps:
                if not offered.flags & protocol.PAUSED:
                    offered = self._outbox.offer(offered.shown, self._flags())
                await self._woken()
                deadline = self._start_over()
            else:
                period = 1 / (self._session.fps * wishes.speed)
                deadline = next_deadline(deadline, self._together.now(), period)
                await self._sleep_until(deadline)
                if not wishes.orders and (not wishes.paused or wishes.steps):
                    offered = await self._tick_once(player)
                    if player.others_run:
                        await self._together.tick_another(player)

    async def _grant(
        self, player: Player, order: Reset | Travel | Visit, offered: Outgoing
    ) -> Outgoing:
        """Does what was wished for; what was offered stays where that shows nothing new."""
        self._outbox.rewinds += isinstance(order, Rewind)
        try:
            if isinstance(order, Reset | Travel):
                return await self._obey(player, order)
            return await self._visit(order) or offered
        except Refused as refusal:
            await self._refuse(refusal)
            # A page that went back shows the past already: where it is it has to be told.
            gone = isinstance(order, Rewind)
            return self._outbox.offer(offered.shown, self._flags()) if gone else offered

    async def _visit(self, wish: Visit) -> Outgoing | None:
        """What goes beyond playing. A moment that one came to is looked at first."""
        shown = await self._visitor.obey(
            wish,
            offer=lambda shown: self._outbox.offer(shown, self._flags(protocol.REWOUND)),
            stop=lambda: bool(self._wishes.orders),
        )
        if shown is None:
            return None
        if isinstance(wish, Future | Open):
            self._wishes.pause()
        if self._session.can_rewind:
            await self._socket.send_json(self._player.branches())
        return self._outbox.offer(shown, self._flags(protocol.REWOUND))

    async def _obey(self, player: Player, order: Reset | Travel) -> Outgoing:
        """Goes elsewhere in time."""
        self._visitor.moved_on()
        shown = await self._run(_ORDERS[type(order)], player, order)
        self._visitor.ticked()
        if self._session.can_rewind:
            # Before the frame: the page knows a branch by the time it sees it.
            await self._socket.send_json(player.branches())
        flag = protocol.RESET if isinstance(order, Reset) else protocol.REWOUND
        offered = self._outbox.offer(shown, self._flags(flag))
        await self._send_stats()
        return offered

    def _start_over(self) -> float:
        """Now, as a deadline. Inputs that came while the clock stood are not timed."""
        self._wishes.arrivals = ()
        return self._together.now()

    async def _tick_once(self, player: Player) -> Outgoing:
        """Reads the input, last of all, and steps the world."""
        wishes = self._wishes
        keys, wishes.held = wishes.held.input(), wishes.held.ticked()
        arrivals, wishes.arrivals = wishes.arrivals, ()
        input_time = wishes.input_time
        wishes.steps = max(0, wishes.steps - 1)
        self._visitor.moved_on()
        shown, seconds = await self._together.tick(player, keys)
        self._visitor.ticked()
        self.counts.ticks += 1
        fresh = shown.frame.tick == 0
        flags = self._flags(protocol.RESET if fresh else 0)
        offered = self._outbox.offer(
            shown, flags, seconds, arrivals=arrivals, input_time=input_time
        )
        if fresh:
            await self._send_stats()
        return offered

    async def _woken(self) -> None:
        self._wake.clear()
        await self._wake.wait()

    async def _sleep_until(self, deadline: float) -> None:
        rest = deadline - time.monotonic()
        self.counts.late += rest < 0
        self.latency.add("wait", max(0.0, rest))
        await self._together.sleep_until(deadline)

    def _flags(self, also: int = 0) -> int:
        """Of a frame that is offered now."""
        return also | (protocol.PAUSED if self._wishes.paused else 0)

    async def _export(self, player: Player) -> None:
        """Makes films, one after another."""
        while True:
            wish = await self._wishes.exports.get()
            try:
                moments = await self._run(player.kept)
                await self._exporter.make(moments, wish, self._socket.send_json)
            except Refused as refusal:
                await self._refuse(refusal)

    async def _refuse(self, refusal: Refused) -> None:
        error = ProtocolError("refused", refusal.message, refusal.hint)
        await self._socket.send_json(error.to_json())

    async def _report(self) -> None:
        """Sends `stats` now and then, and gives up on a page that stays silent."""
        while True:
            await asyncio.sleep(self._limits.stats_every)
            if self._outbox.silence() > self._limits.close_after:
                limit = self._limits.close_after
                raise ProtocolError("slow", f"no frame was acknowledged for {limit:g} s")
            await self._mind_idleness()
            await self._send_stats()

    async def _mind_idleness(self) -> None:
        """Tells a page that does nothing that it will have to go, then sends it away."""
        limits = self._limits
        left = self._active + limits.idle_after - time.monotonic()
        if not limits.idle_after or left > limits.idle_notice:
            return
        if left <= 0:
            words = f"nothing was done for {limits.idle_after:g} s, so the place was given up"
            raise ProtocolError("idle", words, "reload the page to come back")
        if not self._warned:
            self._warned = True
            words = f"still there? Press a key, or this world closes in {math.ceil(left)} s"
            notice = {"type": "notice", "code": "idle", "message": words, "seconds": left}
            await self._socket.send_json(notice)

    async def _send_stats(self) -> None:
        await self._socket.send_json({"type": "stats", "seed": self._outbox.seed, **self.summary()})

    def summary(self) -> dict[str, Any]:
        """Percentiles of every stage in ms, and counts."""
        return {
            "stages": self.latency.percentiles(),
            "warmup_ms": round(self.latency.warmup_ms, 2),
            **vars(self.counts),
        }


def _begin(player: Player, order: Reset) -> Shown:
    """Begins at a seed, or at a start that was given to the page."""
    if order.picture and order.clip is None:
        raise Refused("this start is not kept any more", "choose it again")
    return player.start(order.seed, order.clip)


# What each order does, on the world thread, between two ticks; it answers with a frame.
_ORDERS: dict[type, Callable[[Player, Any], Shown]] = {
    Reset: _begin,
    Rewind: lambda player, order: player.rewind(order.ticks, order.moment),
    Fork: lambda player, order: player.branch(),
    Switch: lambda player, order: player.switch(order.branch),
    Drop: lambda player, order: player.drop(order.branch),
    RunOn: lambda player, order: player.run_on(order.branch, order.on),
}


async def receive(socket: WebSocket) -> Message:
    """The next message of the page.

    Raises:
      WebSocketDisconnect: the page has gone.
      ProtocolError: it is not a message of the protocol.
    """
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", 1005))
    if event.get("text") is None:
        raise ProtocolError("malformed", "a binary message came, expected text")
    return protocol.parse(event["text"])
