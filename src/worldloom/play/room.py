"""What the pages of one server share: a world, its thread, and who is here.

Lets pages in, plays with each until it leaves, and says why that ended. Knows sockets that have
been accepted; neither addresses nor ports.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import torch
from starlette.websockets import WebSocket, WebSocketDisconnect

from worldloom.errors import WorldloomError
from worldloom.play import protocol
from worldloom.play.connection import Connection, receive
from worldloom.play.export import Exporter
from worldloom.play.files import Files
from worldloom.play.limits import Limits
from worldloom.play.messages import Hello
from worldloom.play.pool import Pool
from worldloom.play.protocol import ProtocolError
from worldloom.play.session import Session
from worldloom.play.tally import Tally, text
from worldloom.play.together import Together
from worldloom.play.visitor import Nearby

STRANGERS = 64  # sockets that have not said yet who they are
_CLOSE = {"version": 1002, "malformed": 1002, "busy": 1013, "world": 1011, "closing": 1012}


class Room:
    """What the pages of one server share: a world, its thread, and who is here.

    All sessions take turns on one world thread: a world is never entered by
    two threads at once, and a model gains nothing from a second one.
    """

    def __init__(
        self, session: Session, *, title: str, token: str, limits: Limits, nearby: Nearby
    ) -> None:
        self.session = session
        self.nearby = nearby
        self.title = title or session.world.spec.name
        self.token = token
        self.limits = limits
        self.here: set[Connection] = set()
        self.left: deque[dict[str, Any]] = deque(maxlen=8)
        self.tally = Tally()
        self._strangers = 0
        self._thread = ThreadPoolExecutor(1, "world")
        self._together = Together(
            self.on_world_thread, at_once=session.at_once, period=1 / session.fps
        )
        self.files = Files(session, token, self.on_world_thread, nearby.ledger)
        self._exporter = Exporter(session, self.files, self.on_world_thread, self.title)

    async def on_world_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def close(self) -> None:
        self._thread.shutdown()
        if self.nearby.beside is not None:
            self.nearby.beside.close()

    async def welcome(self, web_socket: WebSocket) -> None:
        """Greets a page, plays with it, and says why it ended."""
        await web_socket.accept()
        reason = "crash"
        try:
            await self._play(web_socket, await self._greeted(web_socket))
            reason = "left"
        except WebSocketDisconnect:
            reason = "left"
        except ProtocolError as error:
            reason = error.code
            await _part(web_socket, error)
        except WorldloomError as error:
            reason = "world"
            await _part(web_socket, ProtocolError("world", error.message, error.hint))
        finally:
            self.tally.ended[reason] += 1

    async def farewell(self) -> None:
        """Tells all who are here that the server stops, and waits until their sessions are over."""
        words = "the server is stopping"
        for connection in list(self.here):
            connection.end(ProtocolError("closing", words, "the page comes back when it does"))
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                while self.here:
                    await asyncio.sleep(0.02)

    async def _greeted(self, web_socket: WebSocket) -> Hello:
        """The greeting of a page that may stay."""
        if self._strangers >= STRANGERS:
            raise ProtocolError("busy", "too many pages are at the door", "try again")
        self._strangers += 1
        try:
            first = await asyncio.wait_for(receive(web_socket), self.limits.hello_within)
        except TimeoutError as error:
            raise ProtocolError("malformed", "no `hello` came") from error
        finally:
            self._strangers -= 1
        hello = protocol.check_hello(first, self.token)
        if len(self.here) >= self.limits.pages:
            words = f"all {self.limits.pages} places of this server are taken"
            raise ProtocolError("busy", words, "it lets you in when somebody leaves")
        return hello

    async def _play(self, web_socket: WebSocket, hello: Hello) -> None:
        connection = Connection(
            web_socket,
            self.session,
            together=self._together,
            exporter=self._exporter,
            limits=self.limits,
            nearby=self.nearby,
        )
        self.here.add(connection)
        self.tally.opened += 1
        try:
            await web_socket.send_json(self._ready(hello.seed))
            await connection.play(hello.seed)
        finally:
            self.here.discard(connection)
            self.left.append(connection.summary())
            self.tally.add(vars(connection.counts))

    def metrics(self) -> str:
        """The server's account of itself, in Prometheus' text format."""
        world = self.session.world
        return text(
            self.tally,
            self._together.ticks,
            (vars(connection.counts) for connection in list(self.here)),
            sessions=len(self.here),
            places=self.limits.pages,
            rows_taken=world.taken if isinstance(world, Pool) else len(self.here),
        )

    def _ready(self, seed: int) -> dict[str, Any]:
        height, width = self.session.size
        dream = not {"seed", "snapshot"} & self.session.world.spec.starts
        return {
            "type": "ready",
            "version": protocol.VERSION,
            "title": self.title,
            "kind": "dream" if dream else "real",
            "width": width,
            "height": height,
            "panes": 1,
            "fps": self.session.fps,
            "keys": self.session.keys.to_json(),
            "axes": [axis.to_json() for axis in self.session.keys.axes],
            "seed": seed,
            "starts": self.files.to_json(),
            "can_rewind": self.session.can_rewind,
            **self.nearby.to_json(),
        }

    def report(self) -> str:
        """One readable paragraph on the last page that left, for the terminal."""
        if not self.left:
            return "nobody played"
        last = self.left[-1]
        height, width = self.session.size
        device = getattr(self.session.world, "device", "cpu")
        about = getattr(self.session.world, "about", "")
        lines = [
            f"{last['ticks']} ticks at {self.session.fps:g} a second, {width}x{height}, "
            f"on {device} with {torch.get_num_threads()} threads"
            f"{', ' if about else ''}{about}; {last['sent']} frames sent, "
            f"{last['dropped']} dropped; warm-up {last['warmup_ms']:.1f} ms"
        ]
        for stage, row in last["stages"].items():
            name = stage.replace("_", " ")
            lines.append(f"  {name:<15} p50 {row['p50']:7.2f} ms   p95 {row['p95']:7.2f} ms")
        return "\n".join(lines)


async def _part(web_socket: WebSocket, error: ProtocolError) -> None:
    """Says what went wrong, then closes. The page may have gone meanwhile."""
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(2):  # a page that does not read is not waited for
            await web_socket.send_json(error.to_json())
            await web_socket.close(_CLOSE.get(error.code, 1008), error.code)
