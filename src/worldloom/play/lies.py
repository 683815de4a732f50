"""The ledger of the world that is played, for its page: entries, films of them, and their starts.

Every address asks for the token. Clips are read and drawn beside the world thread, one at a time.
"""

import asyncio
from typing import Any

import torch
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from worldloom.actions import Action
from worldloom.data import film
from worldloom.data.ledger import Ledger, Lie, facts_text, open_first, when
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.play.guard import admit
from worldloom.play.session import Session
from worldloom.play.tray import Tray

MOST = 200
"""Entries that a page is told of."""

CONTEXT = 8
"""Frames before a lie that the world is shown again."""


class Lies:
    """What a page may ask of a ledger.

    Args:
      ledger: of the world that is played.
      session: that plays it.
      token: without it nothing is given.
      starts: takes the starts of lies, to be begun with by name.
    """

    def __init__(self, ledger: Ledger, session: Session, token: str, starts: Tray[Clip]) -> None:
        self._ledger = ledger
        self._session = session
        self._token = token
        self._starts = starts
        self._looking = asyncio.Lock()

    def routes(self) -> list[Route]:
        """`GET /lies`, `GET /lies/7.webp` (or `7-still.webp`), `POST /lies/7` for its start."""
        return [
            Route("/lies", self._list),
            Route("/lies/{id:int}.webp", self._film),
            Route("/lies/{id:int}-still.webp", self._still),
            Route("/lies/{id:int}", self._start, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        admit(request, self._token)
        found = open_first(self._ledger.lies())
        return JSONResponse({"all": len(found), "lies": [_told(lie) for lie in found[:MOST]]})

    async def _film(self, request: Request) -> Response:
        fps = min(self._session.fps, 10.0)  # slow enough to see what happens
        return await self._drawn(request, lambda both: film.moving(both, fps))

    async def _still(self, request: Request) -> Response:
        return await self._drawn(request, film.still)

    async def _drawn(self, request: Request, draw: Any) -> Response:
        try:
            data = await self._looked(request, lambda lie: draw(self._panes(lie)))
        except WorldloomError as error:
            raise HTTPException(503, error.message) from error
        return Response(data, media_type="image/webp")

    async def _start(self, request: Request) -> Response:
        try:
            clip = await self._looked(request, self._clip)
        except WorldloomError as error:
            return JSONResponse({"message": error.message, "hint": error.hint}, 400)
        size = sum(frames.nbytes for frames in clip.frames.values())
        return JSONResponse({"id": self._starts.put(clip, size)})

    async def _looked(self, request: Request, look: Any) -> Any:
        """What `look` makes of the lie that was asked for."""
        admit(request, self._token)
        try:
            lie = self._ledger.lie(request.path_params["id"])
        except WorldloomError as error:
            raise HTTPException(404, error.message) from error
        async with self._looking:
            return await asyncio.to_thread(look, lie)

    def _panes(self, lie: Lie) -> Any:
        return film.panes(self._ledger.dream(lie), self._ledger.real(lie), lie.start)

    def _clip(self, lie: Lie) -> Clip:
        """The last frames that the world was shown before it lied, with their actions."""
        dream, spec = self._ledger.dream(lie), self._session.world.spec
        dream.check(spec.action, f"lie {lie.id}")
        if {k: v.shape[1:3] for k, v in dream.frames.items()} != spec.cameras:
            raise WorldloomError(
                f"lie {lie.id} is of frames of another size", "choose another, or another world"
            )
        if "frames" not in spec.starts:
            raise WorldloomError(f"`{spec.name}` cannot begin from frames", "choose a number")
        part = slice(max(0, lie.start - CONTEXT), lie.start)
        actions = Action(dict(dream.actions), dream.action_known)
        return Clip(
            frames={k: torch.from_numpy(v[part])[None] for k, v in dream.frames.items()},
            actions=actions.map(lambda array: torch.from_numpy(array[part])[None]),
        )


def _told(lie: Lie) -> dict[str, Any]:
    """An entry as the page is told of it."""
    closed = lie.closed
    return {
        "id": lie.id,
        "kind": lie.kind,
        "what": lie.what,
        "facts": facts_text(lie),
        "often": f"wrong {lie.wrong} of {lie.tried}",
        "found": when(lie.round, lie.date),
        "closed": "" if closed is None else when(closed.round, closed.date),
        "known": bool(lie.real),
    }
