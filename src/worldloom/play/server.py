"""Serves a page on which a person plays a world.

A random token is part of the address that is printed; whoever does not have it
gets neither page nor session.
"""

import socket
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from worldloom.listening import listening
from worldloom.play import protocol
from worldloom.play.guard import Guard, read_token, same_token
from worldloom.play.limits import Limits, limits_for
from worldloom.play.pool import pooled
from worldloom.play.room import Room
from worldloom.play.session import MakeStart, Session
from worldloom.play.visitor import Nearby
from worldloom.world import World

PAGE = Path(__file__).parent / "page"
PORT = 8787


@dataclass(frozen=True)
class Address:
    """Where a server is found, and who finds it.

    Args:
      host: other than 127.0.0.1 lets other machines in, token in hand.
      port: 0 takes any free one.
      token_file: keeps the access token, so that pages come back after a restart.
      open_browser: opens the page in the default browser.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    token_file: str | None = None
    open_browser: bool = True


@dataclass(frozen=True)
class Served:
    """A server that is running."""

    url: str
    host: str
    port: int
    token: str
    room: Room


def build_app(room: Room, host: str, ready: Callable[[], None]) -> ASGIApp:
    """The application: `GET /`, `/page/...`, `/health`, and the socket `/play`."""

    async def index(request: Request) -> Response:
        if not same_token(request.query_params.get("token", ""), room.token):
            words = "the access token is missing or old: open the address that worldloom printed\n"
            return PlainTextResponse(words, 403)
        return FileResponse(PAGE / "index.html")

    async def health(request: Request) -> Response:
        facts = {"status": "ok", "version": protocol.VERSION, "pages": len(room.here)}
        return JSONResponse({**facts, "places": room.limits.pages})

    async def metrics(request: Request) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not same_token(given or request.query_params.get("token", ""), room.token):
            return PlainTextResponse("give the access token, as `?token=` or as a bearer\n", 403)
        return PlainTextResponse(room.metrics(), media_type="text/plain; version=0.0.4")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        ready()
        try:
            yield
        finally:
            room.close()

    routes = [
        Route("/", index),
        Route("/health", health),
        Route("/metrics", metrics),
        WebSocketRoute("/play", room.welcome),
        *room.files.routes(),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan), host)


class _Server(uvicorn.Server):
    """Says goodbye before it stops."""

    def __init__(self, config: uvicorn.Config, room: Room) -> None:
        super().__init__(config)
        self._room = room

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._room.farewell()
        await super().shutdown(sockets)


def _server(
    session: Session,
    address: Address,
    *,
    title: str,
    limits: Limits,
    nearby: Nearby,
    ready: Callable[[Served], None],
) -> tuple[uvicorn.Server, socket.socket, Served]:
    """A server that is bound but does not run yet."""
    host, token = address.host, read_token(address.token_file)
    listener = listening(host, address.port)
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    room = Room(session, title=title, token=token, limits=limits, nearby=nearby)
    served = Served(f"http://{shown}:{port}/?token={token}", host, port, token, room)
    config = uvicorn.Config(
        build_app(room, host, lambda: ready(served)),
        log_level="warning",
        ws_max_size=4 * protocol.MAX_BYTES,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    return _Server(config, room), listener, served


def serve(
    world: World,
    make_start: MakeStart,
    *,
    address: Address | None = None,
    limits: Limits | None = None,
    fps: float | None = None,
    title: str = "",
    identity: str = "",
    nearby: Nearby | None = None,
) -> None:
    """Serves `world` until Ctrl-C; prints the address, and on leaving what it cost.

    Args:
      world: must be able to `render`.
      make_start: seed to a clip of one row that the world starts from.
      address: where it is found; by default on this machine alone.
      limits: how many pages may play and how long they may be silent; by default two pages.
        Above two they share steps of the world.
      fps: ticks a second; by default the world's own.
      title: shown on the page; by default the world's name.
      identity: tells this world from others of its name, see `Session`.
      nearby: what there is beside the world; by default nothing.

    Raises:
      WorldloomError: the world cannot render, or the port is in use.
    """
    address, limits = address or Address(), limits or limits_for(2)

    def up(served: Served) -> None:
        print(f"playing {served.room.title} at {served.url}\nCtrl-C ends it", flush=True)
        if address.open_browser:
            threading.Thread(target=webbrowser.open, args=(served.url,), daemon=True).start()

    session = Session(pooled(world, limits.pages), make_start, fps=fps, identity=identity)
    server, listener, served = _server(
        session, address, title=title, limits=limits, nearby=nearby or Nearby(), ready=up
    )
    # uvicorn ends cleanly on Ctrl-C, then raises it again for those outside.
    with listener, suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    print("\n" + served.room.report(), flush=True)


@contextmanager
def served_in_thread(
    session: Session,
    *,
    title: str = "",
    port: int = 0,
    limits: Limits | None = None,
    nearby: Nearby | None = None,
) -> Iterator[Served]:
    """A server beside the caller, for tests and measurements; stopped on leaving."""
    up = threading.Event()
    server, listener, served = _server(
        session,
        Address(port=port),
        title=title,
        limits=limits or Limits(),
        nearby=nearby or Nearby(),
        ready=lambda _: up.set(),
    )
    with listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="play-server")
        thread.start()
        try:
            up.wait(30)
            yield served
        finally:
            server.should_exit = True
            thread.join()
