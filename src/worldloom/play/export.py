"""The past of a branch as a film, made while everybody goes on playing.

Moments are drawn a few at a time on the world thread, encoded beside it. Knows sessions and
reels; no socket.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldloom.play.files import Files, Film
from worldloom.play.messages import Export
from worldloom.play.reel import Reel, scale_for
from worldloom.play.session import Moment, Session

AT_ONCE = 8  # moments that are drawn while others wait for the world


@dataclass(frozen=True)
class Exporter:
    """Makes films of one session's moments.

    Args:
      on_world_thread: runs a function there.
      files: that finished films are put into.
      title: films are named after it.
    """

    session: Session
    files: Files
    on_world_thread: Callable[..., Awaitable[Any]]
    title: str

    async def make(
        self,
        moments: Sequence[Moment],
        wish: Export,
        told: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Makes a film and tells where it is.

        Args:
          moments: oldest first, at least one.
          wish: which of them, and how.
          told: sends a message to the page: progress, then the address.
        """
        moments = moments[-wish.ticks :]
        size, count = self.session.size, len(moments)
        scale = scale_for(wish.kind, size, frames=count, wished=wish.scale)
        async with self.files.making:  # one film at a time: the other core has worlds to run
            reel = Reel(wish.kind, size, fps=self.session.fps, scale=scale)
            for start in range(0, count, AT_ONCE):
                await told({"type": "exporting", "done": start, "of": count})
                few = moments[start : start + AT_ONCE]
                images = await self.on_world_thread(_drawn, self.session, few)
                await asyncio.to_thread(_add, reel, images)
            data = await asyncio.to_thread(reel.finish)
        seconds = count / self.session.fps
        name = f"{_plain(self.title)}-{seconds:.0f}s.{wish.kind}"
        await told(
            {
                "type": "exported",
                "href": self.files.keep(Film(name, wish.kind, data)),
                "name": name,
                "bytes": len(data),
                "frames": count,
                "seconds": seconds,
                "height": reel.size[0],
                "width": reel.size[1],
            }
        )


def _drawn(session: Session, moments: Sequence[Moment]) -> list[np.ndarray]:
    images = []
    for moment in moments:
        state = session.back(moment)
        images.append(session.draw(state).image)
        session.release(state)
    return images


def _add(reel: Reel, images: Sequence[np.ndarray]) -> None:
    for image in images:
        reel.add(image)


def _plain(title: str) -> str:
    """A title as the name of a file, on any system."""
    return re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-") or "worldloom"
