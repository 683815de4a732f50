"""Tapes what one visitor does: the world that is played, and the real side where it comes along.

Pure; touched on the world thread only. Finished episodes wait here until somebody stores them.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from worldloom.data.types import Episode
from worldloom.play.beside import RealSide
from worldloom.play.session import Session, SessionState, ended
from worldloom.play.shelf import Kind
from worldloom.play.tape import Tape, Taped


class Taping:
    """Follows a player, tick by tick, while it is on.

    Args:
      session: that is played.
      dreamed: whether it is a dream, of which a tape is no demonstration.
      snapshot: gives the exact state of a real side, None where it cannot.
    """

    def __init__(
        self,
        session: Session,
        *,
        dreamed: bool,
        snapshot: Callable[[RealSide], bytes | None] = lambda _: None,
    ) -> None:
        self.on = False
        self._session = session
        self._dreamed = dreamed
        self._snapshot = snapshot
        self._null = session.world.spec.action.null()
        self._tapes: dict[Kind, Tape] = {}
        self._done: deque[tuple[Kind, Episode]] = deque()

    def start(
        self, state: SessionState, image: np.ndarray, side: RealSide | None, moment: int
    ) -> None:
        """Tapes from this moment on."""
        self.on = True
        self._begin(state, image, side, moment)

    def stop(self) -> None:
        """Ends the tapes; what is on them is handed over by `take`."""
        self.on = False
        for kind in list(self._tapes):
            self._finish(kind)

    def tick(
        self, state: SessionState, image: np.ndarray, side: RealSide | None, moment: int
    ) -> None:
        """A tick was done, and this came of it."""
        if not self.on or state.ended_for:  # an ending that is shown is not done twice
            return
        if state.trace.before is None or not self._tapes:
            self.stop()
            self.start(state, image, side, moment)
            return
        own: Kind = "dreamed" if self._dreamed else "real"
        self._add(own, _taped(state, image, moment))
        if self._dreamed:
            self._add_real(state, side, moment)

    def back(
        self, state: SessionState, image: np.ndarray, side: RealSide | None, moment: int
    ) -> None:
        """The player went to this moment of this branch: what came after it was not done."""
        if not self.on:
            return
        for kind, tape in list(self._tapes.items()):
            if not tape.cut(moment):
                del self._tapes[kind]
        if not self._tapes:
            self._begin(state, image, side, moment)

    def leap(
        self, state: SessionState, image: np.ndarray, side: RealSide | None, moment: int
    ) -> None:
        """The player went somewhere that does not follow from what was taped."""
        if self.on:
            self.stop()
            self.start(state, image, side, moment)

    @property
    def has_some(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._done)

    def take(self) -> list[tuple[Kind, Episode]]:
        """Finished episodes, each handed over once."""
        done = []
        while self._done:  # the world thread may put more in meanwhile
            done.append(self._done.popleft())
        return done

    def _begin(
        self, state: SessionState, image: np.ndarray, side: RealSide | None, moment: int
    ) -> None:
        if ended(state.step):
            return
        first, world = Taped(moment, image), self._session.world.spec.name
        labels = {"world": self._session.identity or world}
        if self._dreamed:
            labels["dreamed"] = "yes"
            self._tapes["dreamed"] = Tape(self._null, labels, frames=[first])
            if side is not None and not side.ended:
                self._begin_real(side, moment)
            return
        fresh = state.trace.before is None and state.trace.origin.clip is None
        seed = state.trace.origin.seed if fresh else None
        tape = Tape(self._null, {}, seed, self._own_snapshot(state), [first])
        self._tapes["real"] = tape

    def _begin_real(self, side: RealSide, moment: int) -> None:
        beside = {"beside": self._session.identity or self._session.world.spec.name}
        first = Taped(moment, side.image)
        tape = Tape(self._null, beside, snapshot=self._snapshot(side), frames=[first])
        self._tapes["real"] = tape

    def _add_real(self, state: SessionState, side: RealSide | None, moment: int) -> None:
        tape = self._tapes.get("real")
        if side is None:
            self._finish("real")
        elif tape is None:
            if not side.ended:
                self._begin_real(side, moment)
        else:
            self._add(
                "real",
                Taped(
                    moment,
                    side.image,
                    state.trace.action,
                    side.reward,
                    side.terminated,
                    side.ended and not side.terminated,
                ),
            )

    def _add(self, kind: Kind, taped: Taped) -> None:
        """The next frame of a tape; one that is full goes on in another."""
        tape = self._tapes.get(kind)
        if tape is None or not tape.follows(taped.moment):
            return
        tape.frames.append(taped)
        if tape.ended:
            self._finish(kind)
        elif tape.full:
            self._finish(kind)
            first = Taped(taped.moment, taped.image)
            self._tapes[kind] = Tape(self._null, tape.labels, frames=[first])

    def _finish(self, kind: Kind) -> None:
        tape = self._tapes.pop(kind, None)
        episode = None if tape is None else tape.episode()
        if episode is not None:
            self._done.append((kind, episode))

    def _own_snapshot(self, state: SessionState) -> bytes | None:
        world: Any = self._session.world
        able = "snapshot" in world.spec.capabilities
        return world.snapshot(state.world)[0] if able else None


def _taped(state: SessionState, image: np.ndarray, moment: int) -> Taped:
    step = state.step
    flag = lambda value: value is not None and bool(value[0])  # noqa: E731
    reward = None if step.reward is None else float(step.reward[0])
    ending = flag(step.terminated), flag(step.truncated)
    return Taped(moment, image, state.trace.action, reward, *ending)
