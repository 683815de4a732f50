"""Serves a trained agent on the openpi wire: one socket for each client, `/healthz` beside them.

What is wrong with who knocks is said in HTTP, before there is a socket: openpi's clients take
whatever comes first on it for the metadata.
"""

import hmac
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from worldloom import seeding
from worldloom.agents.trained import Team
from worldloom.errors import WorldloomError, need
from worldloom.listening import listening
from worldloom.serving.client import Client
from worldloom.serving.desk import Desk
from worldloom.serving.line import Latency, Line
from worldloom.serving.messages import describe
from worldloom.serving.wire import pack

PORT = 8000  # openpi's own
_SPARE = 65536  # bytes of a message beside four times the frame, were it sent as float32


@dataclass(frozen=True)
class Offer:
    """What a server offers, and to whom.

    Args:
      name: of the policy.
      host: other than 127.0.0.1 lets other machines in.
      port: 0 takes any free one.
      rows: players of one pass.
      clients: that may be connected at once.
      seed: that the chance of every client follows from.
      key: that a client must bring, as openpi's `api_key`; None for none.
    """

    name: str = "policy"
    host: str = "127.0.0.1"
    port: int = PORT
    rows: int = 4
    clients: int = 16
    seed: int = 0
    key: str | None = None


class Reception:
    """Lets clients in, and keeps account of how fast they were answered."""

    def __init__(self, team: Team, offer: Offer) -> None:
        if offer.clients < 1:
            raise WorldloomError(
                f"a server for {offer.clients} clients serves nobody",
                "pass --max-clients 1 or more",
            )
        need("msgpack", "serve")
        desk = Desk(team, offer.rows)
        desk.warm()
        self.offer, self.latency = offer, Latency()
        self.size = desk.spec.cameras["main"]
        self.line = Line(desk)
        self._facts = describe(desk.spec, policy=offer.name, task=desk.task)
        self._numbered = 0

    async def welcome(self, web_socket: WebSocket) -> None:
        """Metadata first, then frames in and actions out."""
        refusal = self._refusal(web_socket)
        if refusal is not None:
            return await web_socket.send_denial_response(refusal)
        self.line.here += 1
        number = self._numbered = self._numbered + 1
        seed = seeding.stream(self.offer.seed, "serve client", number)
        client = Client(web_socket, self.line, self.size, seed, self.latency)
        try:
            await web_socket.accept()
            await web_socket.send_bytes(
                pack(self._facts | {"server_timing": self.latency.to_json()})
            )
            await client.talk()
        except WebSocketDisconnect:
            pass
        finally:
            self.line.here -= 1
            print(f"client {number} left: {client.latency}", flush=True)

    def report(self) -> str:
        """One line on all clients, for the terminal."""
        clients = f"{self._numbered} client{'' if self._numbered == 1 else 's'}"
        return f"{clients}, {self.latency}"

    def _refusal(self, web_socket: WebSocket) -> Response | None:
        if "origin" in web_socket.headers:  # a page in a browser, from wherever it came
            return PlainTextResponse("this server is for programs, not for pages\n", 403)
        given = web_socket.headers.get("authorization", "").removeprefix("Api-Key ")
        key = self.offer.key
        if key is not None and not hmac.compare_digest(given.encode(), key.encode()):
            return PlainTextResponse("give this server's key, as api_key\n", 401)
        if self.line.here >= self.offer.clients:
            return PlainTextResponse(f"all {self.offer.clients} places are taken\n", 503)
        return None


def build_app(reception: Reception, ready: Callable[[], None]) -> Starlette:
    """The application: the socket `/`, and `GET /healthz`."""

    async def health(_: Request) -> Response:
        return PlainTextResponse("OK\n")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        ready()
        try:
            yield
        finally:
            reception.line.close()

    routes = [Route("/healthz", health), WebSocketRoute("/", reception.welcome)]
    return Starlette(routes=routes, lifespan=lifespan)


def _no_refusal(record: logging.LogRecord) -> bool:
    return "without completing handshake" not in record.getMessage()


def _server(reception: Reception, ready: Callable[[], None]) -> uvicorn.Server:
    height, width = reception.size
    # uvicorn takes every refusal that is said in HTTP for an application that forgot to answer.
    logging.getLogger("uvicorn.error").addFilter(_no_refusal)
    return uvicorn.Server(
        uvicorn.Config(
            build_app(reception, ready),
            log_level="warning",
            ws_max_size=4 * height * width * 3 + _SPARE,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=2,
        )
    )


def serve_policy(team: Team, offer: Offer) -> None:
    """Serves a trained agent until Ctrl-C; prints the address, and on leaving how fast it was.

    Args:
      team: who acts.
      offer: what is offered, and where.

    Raises:
      WorldloomError: the port is in use, or a package is missing.
    """
    with listening(offer.host, offer.port) as listener:
        reception = Reception(team, offer)
        place = _address(offer.host, listener)
        words = f"serving {offer.name} at ws://{place}\nCtrl-C ends it"
        # uvicorn ends cleanly on Ctrl-C, then raises it again for those outside.
        with suppress(KeyboardInterrupt):
            _server(reception, lambda: print(words, flush=True)).run(sockets=[listener])
    print(f"\n{reception.report()}", flush=True)


@contextmanager
def policy_in_thread(team: Team, offer: Offer) -> Iterator[int]:
    """A server beside the caller, for tests and measurements; its port. Stopped on leaving."""
    up = threading.Event()
    with listening(offer.host, offer.port) as listener:
        server = _server(Reception(team, offer), up.set)
        thread = threading.Thread(target=server.run, args=([listener],), name="policy-server")
        thread.start()
        try:
            up.wait(30)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _address(host: str, listener: socket.socket) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
