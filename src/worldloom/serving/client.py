"""One client of a policy server: its newest frame, its memory, its answers.

Reading goes on while a frame is being answered, so that of several frames only the newest
waits. Knows a socket that was accepted; no address and no other client.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from worldloom import seeding
from worldloom.errors import WorldloomError
from worldloom.serving.desk import Ask, Memory
from worldloom.serving.line import Latency, Line
from worldloom.serving.messages import Request, answer, read_request
from worldloom.serving.wire import pack

BROKEN = 1011  # the code that openpi closes with after it sent what went wrong


@dataclass(frozen=True)
class _Waiting:
    """A frame that is not being answered yet.

    Args:
      request: the frame.
      number: of the message.
      since: when it arrived.
    """

    request: Request
    number: int
    since: float


class Client:
    """Talks to one client until it leaves.

    Args:
      socket: that was accepted.
      line: where its frames are answered.
      size: (height, width) of frames.
      seed: that those of its episodes follow from.
      everyone: the latency of the whole server, which its own is added to.
    """

    def __init__(
        self, socket: WebSocket, line: Line, size: tuple[int, int], seed: int, everyone: Latency
    ) -> None:
        self._socket, self._line, self._size, self._seed = socket, line, size, seed
        self._memory = Memory()
        self._episodes = 0
        self._waiting: _Waiting | None = None
        self._came = asyncio.Event()
        self._everyone = everyone
        self.latency = Latency()

    async def talk(self) -> None:
        """Reads and answers."""
        answering = asyncio.create_task(self._answer())
        try:
            with suppress(WebSocketDisconnect):
                await self._read()
        finally:
            answering.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect):
                await answering
            self._memory.gone = True

    async def _read(self) -> None:
        number = 0
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            since, data = time.perf_counter(), message.get("bytes")
            try:
                request = read_request(message["text"] if data is None else data, self._size)
            except WorldloomError as error:
                await self._socket.send_text(str(error))
            else:
                if self._waiting is not None:
                    request = request.instead_of(self._waiting.request)
                self._waiting = _Waiting(request, number, since)
                self._came.set()
            number += 1

    async def _answer(self) -> None:
        timing: dict[str, float] = {}
        try:
            while True:
                await self._came.wait()
                self._came.clear()
                waiting, self._waiting = self._waiting, None
                assert waiting is not None
                timing = await self._one(waiting, timing.get("total"))
        except (WebSocketDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:
            await self._part(error)
            raise

    async def _one(self, waiting: _Waiting, before: float | None) -> dict[str, float]:
        """Answers one frame; returns how many milliseconds it took in all."""
        chance = seeding.stream(self._seed, "serve episode", self._episodes)
        chance = chance if waiting.request.seed is None else waiting.request.seed
        ask = Ask(self._memory, waiting.request, chance)
        begins = ask.begins
        try:
            acted = await self._line.act(ask)
        except WorldloomError as error:
            await self._socket.send_text(str(error))
            return {}
        self._episodes += begins
        timing = {"infer_ms": 1e3 * acted.took, "wait_ms": 1e3 * acted.waited}
        if before is not None:
            timing["prev_total_ms"] = before
        timing |= self.latency.to_json()
        await self._socket.send_bytes(pack(answer(acted.values, waiting.number, timing)))
        took = time.perf_counter() - waiting.since
        self.latency.add(took)
        self._everyone.add(took)
        return {"total": 1e3 * took}

    async def _part(self, error: Exception) -> None:
        """Says that the policy broke, in one sentence, and closes as openpi does."""
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect, RuntimeError):
                words = " ".join(f"{type(error).__name__}: {error}".split())
                await self._socket.send_text(f"the policy broke ({words[:300]})")
                await self._socket.close(BROKEN, "the policy broke, see the text before")
