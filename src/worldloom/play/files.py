"""What goes over plain HTTP beside the page: pictures of starts, pictures in, films out.

Every address asks for the token. Work on the world runs on the world thread, a start at a time,
so that nobody who plays waits for a gallery; decoding and drawing run beside it, one at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from worldloom.data.ledger import Ledger
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.play import gallery
from worldloom.play.guard import admit
from worldloom.play.lies import Lies
from worldloom.play.reel import MEDIA, Kind
from worldloom.play.session import Session
from worldloom.play.tray import Tray
from worldloom.play.upload import MAX_BYTES, check_size, frame_from


@dataclass(frozen=True)
class Film:
    """A finished film.

    Args:
      name: of the file that it is saved as.
      data: the whole file.
    """

    name: str
    kind: Kind
    data: bytes


class Files:
    """The files of one server.

    Args:
      session: whose starts are shown, and whose frames an image is fitted to.
      token: without it nothing is given and nothing taken.
      on_world_thread: runs a function there.
      ledger: of the world, where it has one.
    """

    def __init__(
        self,
        session: Session,
        token: str,
        on_world_thread: Callable[..., Awaitable[Any]],
        ledger: Ledger | None = None,
    ) -> None:
        self.starts: Tray[Clip] = Tray(most=256, most_bytes=64 * 2**20)
        self.films: Tray[Film] = Tray(most=32, most_bytes=256 * 2**20)
        self.count = gallery.count(session)
        self.takes_pictures = "frames" in session.world.spec.starts
        self._session = session
        self._token = token
        self._run = on_world_thread
        self.making = asyncio.Lock()  # held while a film is made
        self._reading = asyncio.Lock()
        self._sheet: asyncio.Task[bytes] | None = None
        self._lies = None if ledger is None else Lies(ledger, session, token, self.starts)

    def routes(self) -> list[Route]:
        """`GET /starts.png`, `POST /picture`, `GET /film/NAME`, and those of lies."""
        return [
            Route("/starts.png", self._starts),
            Route("/picture", self._picture, methods=["POST"]),
            Route("/film/{name}", self._film),
            *([] if self._lies is None else self._lies.routes()),
        ]

    def to_json(self) -> dict[str, Any]:
        """What the page is told of starts."""
        return {"count": self.count, "pictures": self.takes_pictures, "most_bytes": MAX_BYTES}

    def keep(self, film: Film) -> str:
        """Keeps a film for a while; returns its address."""
        return f"/film/{self.films.put(film, len(film.data))}"

    async def _starts(self, request: Request) -> Response:
        admit(request, self._token)
        if self._sheet is None or (self._sheet.done() and self._sheet.exception() is not None):
            self._sheet = asyncio.create_task(self._drawn())
        try:
            data = await asyncio.shield(self._sheet)
        except WorldloomError as error:
            raise HTTPException(503, error.message) from error
        return Response(data, media_type="image/png")

    async def _drawn(self) -> bytes:
        pictures = [
            await self._run(gallery.picture, self._session, seed) for seed in range(self.count)
        ]
        return await asyncio.to_thread(gallery.sheet, pictures)

    async def _picture(self, request: Request) -> Response:
        admit(request, self._token)
        try:
            if not self.takes_pictures:
                name = self._session.world.spec.name
                raise WorldloomError(f"`{name}` cannot start from a picture", "choose a number")
            data = await _body(request)
            async with self._reading:
                frame = await asyncio.to_thread(frame_from, data, self._session.size)
        except WorldloomError as error:
            return JSONResponse({"message": error.message, "hint": error.hint}, 400)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        return JSONResponse({"id": self.starts.put(self._session.clip_of(frame), frame.nbytes)})

    async def _film(self, request: Request) -> Response:
        admit(request, self._token)
        film = self.films.get(request.path_params["name"])
        if film is None:
            raise HTTPException(404, "this film is not kept any more: make it again")
        headers = {"content-disposition": f'attachment; filename="{film.name}"'}
        return Response(film.data, media_type=MEDIA[film.kind], headers=headers)


async def _body(request: Request) -> bytes:
    """The bytes of a request, as far as they are allowed to go."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and len(length) < 16:
        check_size(int(length))
    data = bytearray()
    async for part in request.stream():
        data += part
        check_size(max(1, len(data)))
    check_size(len(data))
    return bytes(data)
