"""Frames on their way to one page: one in flight, one that waits.

A page that is slow misses frames and collects no delay. Knows the socket and finished frames;
neither the world nor what the page wants.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any

from starlette.websockets import WebSocket

from worldloom.play import protocol
from worldloom.play.beside import RealSide, joined
from worldloom.play.branch import Shown
from worldloom.play.clock import Latency
from worldloom.play.protocol import Header
from worldloom.play.tally import Counts


@dataclass(frozen=True)
class Outgoing:
    """A finished frame that waits for the page.

    Args:
      arrivals: when the inputs that no page has seen the effect of arrived.
      input_time: the page's own time of the newest input.
      rewinds: that were answered before it.
    """

    id: int
    shown: Shown
    flags: int
    model_seconds: float = 0.0
    arrivals: tuple[float, ...] = ()
    input_time: int = 0
    rewinds: int = 0


class Outbox:
    """Sends one page the newest frame as soon as it has the one before.

    Args:
      socket: of the page.
      latency: told what encoding takes, and when the effect of an input was sent.
      counts: frames sent and dropped are added here.

    `seed` is of the start that the newest frame belongs to; `rewinds` counts those answered.
    """

    def __init__(self, socket: WebSocket, *, latency: Latency, counts: Counts) -> None:
        self._socket = socket
        self._latency = latency
        self._counts = counts
        self._sendable = asyncio.Event()
        self._acked = asyncio.Event()
        self.seed = 0
        self.rewinds = 0
        self._waiting: Outgoing | None = None
        self._in_flight: int | None = None
        self._sent_at = 0.0
        self._frame_id = 0
        self._began = time.monotonic()

    def offer(
        self,
        shown: Shown,
        flags: int,
        seconds: float = 0.0,
        *,
        arrivals: tuple[float, ...] = (),
        input_time: int = 0,
    ) -> Outgoing:
        """Puts a frame in the one waiting place; an older one there is dropped.

        Args:
          flags: of the header, as far as the frame itself does not tell them.
          seconds: that the world took for it.
          arrivals: as in `Outgoing`.
          input_time: as in `Outgoing`.
        """
        self._frame_id += 1
        self.seed = shown.frame.seed
        flags |= protocol.ENDED if shown.frame.ended else 0
        flags |= protocol.BESIDE if shown.side is not None else 0
        offered = Outgoing(
            self._frame_id, shown, flags, seconds, arrivals, input_time, self.rewinds
        )
        if self._waiting is not None:
            self._counts.dropped += 1
            offered = replace(
                offered,
                flags=flags | (self._waiting.flags & (protocol.RESET | protocol.REWOUND)),
                arrivals=self._waiting.arrivals + arrivals,
                input_time=input_time or self._waiting.input_time,
            )
        self._waiting = offered
        self._sendable.set()
        return offered

    def ack(self, frame: int) -> None:
        """The page has this frame; an answer to any but the one in flight says nothing."""
        if frame == self._in_flight:
            self._in_flight = None
            self._acked.set()
            self._sendable.set()

    def silence(self) -> float:
        """For how long the frame in flight has been unacknowledged."""
        return 0.0 if self._in_flight is None else time.monotonic() - self._sent_at

    async def page_listens(self, patience: float) -> bool:
        """Waits while a frame has been unacknowledged for longer than that; True if it did."""
        stood = False
        while self.silence() > patience:
            stood = True
            self._acked.clear()
            await self._acked.wait()
        return stood

    async def send(self) -> None:
        """Sends frames, for as long as the page is there."""
        while True:
            self._sendable.clear()
            if self._waiting is not None and self._in_flight is None:
                outgoing, self._waiting = self._waiting, None
                await self._send_frame(outgoing)
            else:
                await self._sendable.wait()

    async def _send_frame(self, outgoing: Outgoing) -> None:
        begin = time.monotonic()
        self._in_flight, self._sent_at = outgoing.id, begin
        image, side = outgoing.shown.frame.image, outgoing.shown.side
        if side is not None:
            image = joined([side.image, image])
            await self._socket.send_json(_gap(side, outgoing.shown))
        if max(image.shape[:2]) <= protocol.RAW_SIDE:
            kind, body = protocol.encode(image)
        else:  # JPEG takes its time: beside the next step, not before it
            kind, body = await asyncio.to_thread(protocol.encode, image)
        self._latency.add("encode", time.monotonic() - begin)
        doubt = outgoing.shown.frame.doubt
        header = Header(
            outgoing.id,
            outgoing.input_time,
            round(1e3 * (time.monotonic() - self._began)),
            round(1e4 * outgoing.model_seconds),
            kind,
            outgoing.flags,
            outgoing.shown.moment,
            outgoing.shown.branch,
            protocol.NO_DOUBT if doubt is None else round(254 * min(1.0, max(0.0, doubt))),
            outgoing.rewinds,
        )
        await self._socket.send_bytes(b"".join((header.pack(), body)))
        self._counts.sent += 1
        for arrival in outgoing.arrivals:
            self._latency.add("input_to_frame", time.monotonic() - arrival)


def _gap(side: RealSide, shown: Shown) -> dict[str, Any]:
    """How far the two panes of the frame that follows are apart."""
    gap = side.gap
    apart = None if gap is None or gap.apart is None else min(gap.apart, 99.0)
    return {
        "type": "beside",
        "branch": shown.branch,
        "moment": shown.moment,
        "error": None if gap is None else round(gap.error, 4),
        "apart": None if apart is None else round(apart, 1),
        "wrong": gap is not None and gap.wrong,
        "parted": side.parted,
        "ended": side.ended,
    }
