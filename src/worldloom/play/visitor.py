"""What one page asks for beyond playing: comparing, futures, marks, recordings, shared moments.

Knows the event loop and one player; no socket but a way to tell the page something. All work
on the world is done on the world thread in short pieces, so that others are not kept waiting.
"""

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from worldloom.data.ledger import Ledger
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError
from worldloom.play import share
from worldloom.play.beside import Beside
from worldloom.play.branch import Refused, Shown, Ticked
from worldloom.play.futures import Fan, Plan, grid_picture
from worldloom.play.messages import (
    Anchor,
    Compare,
    Future,
    Futures,
    Open,
    Record,
    Share,
    Visit,
    Wrong,
)
from worldloom.play.player import Player
from worldloom.play.session import Session
from worldloom.play.share import Mode, Shared
from worldloom.play.shelf import Kind, Shelf
from worldloom.play.tape import Tape, Taped

Run = Callable[..., Awaitable[Any]]
Tell = Callable[[dict[str, Any]], Awaitable[None]]
Offer = Callable[[Shown], object]

MARKED = 256
"""Ticks up to a wrong moment that are kept."""

_SLICE = 16  # kept moments that are drawn in one go
_REPORT = 10  # ticks between two words on how far a shared moment is


@dataclass(frozen=True)
class Nearby:
    """What a server has beside its world.

    Args:
      beside: the real environment, None where there is none.
      why_not: in words, why there is none.
      shelf: where visitors' recordings go, None where they are not kept.
      ledger: what is known to be wrong with the world, None where nobody keeps it.
    """

    beside: Beside | None = None
    why_not: str = "this world has no recordings of a real environment at hand"
    shelf: Shelf | None = None
    ledger: Ledger | None = None

    def to_json(self) -> dict[str, Any]:
        """What the page is told of it."""
        return {
            "can_compare": self.beside is not None,
            "why_no_compare": "" if self.beside else self.why_not,
            "compare_rewinds": self.beside is not None and self.beside.exact,
            "can_keep": self.shelf is not None,
            "lies": 0 if self.ledger is None else len(self.ledger.lies()),
        }


class Visitor:
    """Serves what one page asks for.

    Args:
      player: of the page.
      session: that it plays.
      nearby: what there is beside the world.
      run: runs a function on the world thread.
      tick: does one tick of the player with everybody else's.
      tell: sends a message to the page.
    """

    def __init__(
        self,
        player: Player,
        session: Session,
        nearby: Nearby,
        *,
        run: Run,
        tick: Callable[..., Awaitable[Ticked]],
        tell: Tell,
    ) -> None:
        self._player = player
        self._session = session
        self._shelf = nearby.shelf
        self._run, self._tick, self._tell = run, tick, tell
        self._fan: Fan | None = None
        self._ending: asyncio.Future[None] | None = None  # a fan that is being closed
        self._wanted = asyncio.Event()
        self._taped = asyncio.Event()

    async def obey(self, wish: Visit, *, offer: Offer, stop: Callable[[], bool]) -> Shown | None:
        """Does what was asked for.

        Args:
          wish: what.
          offer: shows a frame on the way.
          stop: whether the page wants something else by now.

        Returns:
          where the player is then, None where nothing moved.

        Raises:
          Refused: it cannot be granted.
        """
        match wish:
            case Compare(on):
                return await self._run(self._player.compare, on)
            case Anchor():
                return await self._run(self._player.anchor)
            case Futures(choices, samples, horizon):
                await self._show_futures(Plan(choices, samples, horizon))
            case Future(choice, sample):
                return await self._enter_future(choice, sample, offer)
            case Record(on):
                await self._record(on)
            case Wrong(note):
                await self._mark(note)
            case Share():
                code, length = await self._code()
                await self._tell({"type": "moment", "code": code, "ticks": length})
            case Open(code):
                return await self._open(code, offer, stop)
        return None

    async def work(self) -> None:
        """Works futures off in slices, for as long as the page is there."""
        while True:
            await self._wanted.wait()
            fan = self._fan
            if fan is None or fan.finished:
                self._wanted.clear()
                continue
            grid = await self._run(self._slice, fan)
            if grid is not None and fan is self._fan:
                words = await asyncio.to_thread(_future, fan, grid)
                await self._tell(words)

    async def store(self) -> None:
        """Stores tapes as they are finished, for as long as the page is there."""
        while True:
            await self._taped.wait()
            self._taped.clear()
            try:
                await self._put_away()
            except Refused as refusal:
                await self._run(self._player.record, False)
                words = {"message": refusal.message, "hint": refusal.hint}
                await self._tell({"type": "error", "code": "refused", **words})
                await self._tell({"type": "recording", "on": False})

    def ticked(self) -> None:
        """A tick was done: there may be something to store."""
        if self._player.taping.has_some:
            self._taped.set()

    def moved_on(self) -> None:
        """The player goes on from where futures were shown: they are no longer of now."""
        if self._fan is not None:
            self._wanted.clear()
            self._ending = asyncio.ensure_future(self._run(self._fan.close))
            self._fan = None

    async def close(self) -> None:
        """Gives everything back and stores what was recorded so far."""
        fan, self._fan = self._fan, None
        if fan is not None:
            await self._run(fan.close)
        await self._run(self._player.close)
        if self._shelf is not None:
            for kind, episode in self._player.taping.take():
                await asyncio.to_thread(self._shelf.put, kind, episode)

    def _slice(self, fan: Fan) -> np.ndarray | None:
        return None if fan is not self._fan else fan.work()

    async def _show_futures(self, plan: Plan) -> None:
        old, self._fan = self._fan, None
        if old is not None:
            await self._run(old.close)
        self._fan = await self._run(self._player.fan, plan)
        self._wanted.set()

    async def _enter_future(self, choice: int, sample: int, offer: Offer) -> Shown:
        fan = self._fan
        if fan is None or choice >= len(fan.plan.choices) or sample >= fan.samples:
            raise Refused("there is no such future", "choose one that is shown")
        self._fan = None
        await self._run(fan.close)
        shown = await self._run(self._player.enter_future, fan.noise(sample))
        for _ in range(fan.plan.horizon):
            shown, _ = await self._tick(self._player, fan.plan.choices[choice])
            offer(shown)
        return shown

    async def _record(self, on: bool) -> None:
        if on and self._shelf is None:
            raise _nowhere()
        await self._run(self._player.record, on)
        await self._tell({"type": "recording", "on": on})
        self.ticked()

    async def _put_away(self) -> None:
        shelf = self._shelf
        for kind, episode in self._player.taping.take():
            if shelf is not None:
                await self._put(shelf, kind, episode)

    async def _put(self, shelf: Shelf, kind: Kind, episode: Episode) -> None:
        try:
            place = await asyncio.to_thread(shelf.put, kind, episode)
        except WorldloomError as error:
            raise Refused(error.message, error.hint) from error
        where = f"{shelf.folder.name}/{place.store.name}/{place.episode}"
        frames = len(episode)
        await self._tell({"type": "kept", "kind": kind, "where": where, "frames": frames})

    async def _mark(self, note: str) -> None:
        """Stores the film up to now, with what should have been, as far as that is known."""
        if self._shelf is None:
            raise _nowhere()
        moments = await self._run(self._player.course, MARKED)
        if len(moments) < 2:
            raise Refused("nothing has happened yet that could be wrong", "play on first")
        _, shown = await self._run(self._player.present)
        taped: list[Taped] = []
        for first in range(0, len(moments), _SLICE):
            part = moments[first : first + _SLICE]
            frames = await self._run(self._player.pictures, part)
            taped += [
                Taped(first + i, frame.image, moment.trace.action)
                for i, (moment, frame) in enumerate(zip(part, frames, strict=True))
            ]
        code, _ = await self._code()
        labels = {"world": self._session.identity or self._session.world.spec.name}
        labels |= {"dreamed": "yes", "wrong": note or "yes", "moment": code}
        labels["should"] = "real" if shown.side else "note" if note else "unknown"
        tape = Tape(self._session.world.spec.action.null(), labels, frames=taped)
        episode = tape.episode()
        assert episode is not None
        last = len(taped) - 1
        if shown.side is not None:
            kept = self._player.real_snapshot(shown.side)
            snapshots = {} if kept is None else {last: kept}
            episode = replace(episode, stills={"real": shown.side.image}, snapshots=snapshots)
        if note:
            episode = replace(episode, texts={last: note})
        await self._put(self._shelf, "wrong", episode)

    def _mode(self) -> Mode:
        world: Any = self._session.world
        return Mode.here(self._session.at_once, getattr(world, "device", "cpu"))

    async def _code(self) -> tuple[str, int]:
        """The present as text, and how far it is from its start."""
        trace, shown = await self._run(self._player.present)
        clip = trace.origin.clip
        try:
            shared = share.shared_of(
                trace,
                self._session.world.spec.action,
                world=self._session.identity or self._session.world.spec.name,
                start=share.fingerprint_of_start(
                    self._session.make_start(trace.origin.seed) if clip is None else clip
                ),
                frame=share.fingerprint(shown.frame.image),
                mode=self._mode(),
            )
            code = await asyncio.to_thread(shared.to_text)
        except WorldloomError as error:
            raise Refused(error.message, error.hint) from error
        if len(code) > share.MOST_CODE:
            raise Refused("this moment is too long to be shared", "begin again, and share sooner")
        return code, trace.length

    async def _open(self, code: str, offer: Offer, stop: Callable[[], bool]) -> Shown:
        shared = await self._read(code)
        try:
            shown = await self._run(self._player.begin, shared.origin)
        except WorldloomError as error:
            raise Refused(error.message, error.hint) from error
        for tick in range(len(shared)):
            if tick in shared.noise:
                await self._run(self._player.reseed, shared.noise[tick])
            shown, _ = await self._tick(self._player, shared.action(tick))
            offer(shown)
            if tick % _REPORT == 0:
                await self._tell({"type": "opening", "tick": tick, "of": len(shared)})
            if stop():
                raise Refused(
                    f"stopped {tick + 1} of {len(shared)} ticks into the shared moment",
                    "open it again",
                )
        exact = share.fingerprint(shown.frame.image) == shared.frame
        differs = shared.mode.differences(self._mode())
        words = {"type": "opened", "ticks": len(shared), "exact": exact, "differs": differs}
        await self._tell(words)
        return shown

    async def _read(self, code: str) -> Shared:
        """The moment that a code tells, if it can be come to here."""
        spec, session = self._session.world.spec, self._session
        try:
            shared = await asyncio.to_thread(Shared.from_text, code, spec.action)
        except WorldloomError as error:
            raise Refused(error.message, error.hint) from error
        own = session.identity or spec.name
        if shared.world != own:
            raise Refused(
                f"this moment is of another world ({shared.world}), this is {own}",
                "open it where that world is played",
            )
        clip = shared.origin.clip
        if clip is None:
            start = share.fingerprint_of_start(session.make_start(shared.origin.seed))
            if start != shared.start:
                raise Refused(
                    f"start {shared.origin.seed} of this moment is another one here",
                    "play the world with the store that it was shared from",
                )
        elif {k: tuple(v.shape[2:4]) for k, v in clip.frames.items()} != spec.cameras:
            raise Refused(
                "this moment begins from pictures of another size", "open it where it came from"
            )
        return shared


def _future(fan: Fan, grid: np.ndarray) -> dict[str, Any]:
    """One frame of all futures, as the page is told of it."""
    buffer = io.BytesIO()
    # Without shrunken colours: these are pictures of few pixels.
    Image.fromarray(grid_picture(grid)).save(buffer, "JPEG", quality=92, subsampling=0)
    return {
        "type": "future",
        "frame": fan.done,
        "horizon": fan.plan.horizon,
        "choices": [list(choice) for choice in fan.plan.choices],
        "samples": fan.samples,
        "image": base64.b64encode(buffer.getvalue()).decode(),
    }


def _nowhere() -> Refused:
    return Refused(
        "there is nowhere to keep what visitors do", "start the server with --keep FOLDER"
    )
