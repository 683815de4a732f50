"""The real side of where one player is: it comes along, goes back and branches with the dream.

Pure, like the player that it goes along with; touched on the world thread only.
"""

from collections.abc import MutableSequence
from dataclasses import replace

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.play.beside import Beside, RealSide
from worldloom.play.session import Moment, Session, SessionState
from worldloom.play.trace import Origin, Trace

MOST_REPLAYED = 3000
"""Ticks that are done again at once to catch up with a dream."""

LOOK_BACK = 8
"""Real frames that a dream is begun from anew."""


class Along:
    """Keeps the real side of a player's moments, from when it is asked for.

    Args:
      beside: the environment; shared by all players where it is exact.
      session: of the dream.
    """

    def __init__(self, beside: Beside, session: Session) -> None:
        self._beside = beside
        self._session = session
        self._side: RealSide | None = None
        self.on = False

    @property
    def side(self) -> RealSide | None:
        """The real side of the present, while it is on and there is one."""
        return self._side if self.on else None

    @property
    def can_go_back(self) -> bool:
        """Whether both sides can go back in time together."""
        return self._beside.exact

    def turn(self, on: bool, past: MutableSequence[Moment], image: np.ndarray, moment: int) -> None:
        """Comes along from now on, or leaves.

        Args:
          on: which of both.
          past: the player's moments, the newest last; those of this course get a real side.
          image: `[H, W, 3]` what the dream shows now.
          moment: number of the present.

        Raises:
          WorldloomError: this course cannot be followed for real.
        """
        if not on:
            self._drop()
            self.on = False
        elif not self.on:
            self._catch_up(past, image, moment)
            self.on = True

    def begin(self, origin: Origin, image: np.ndarray, moment: int) -> None:
        """A new course begins; without a real side where it has none."""
        if not self.on:
            return
        side = origin.real
        try:
            if side is None:
                self._drop()
                side = self._enter(origin)
            self._side = self._beside.judge(side, image, moment)
        except WorldloomError:
            self._side = None

    def tick(self, state: SessionState, image: np.ndarray, moment: int) -> None:
        """The dream did one tick; `state` came of it."""
        if state.trace.before is None:
            self.begin(state.trace.origin, image, moment)
        elif self.on and self._side is not None and not state.ended_for:
            assert state.trace.action is not None
            side = self._beside.step(self._side, state.trace.action)
            self._side = self._beside.judge(side, image, moment)

    def arrive(self, past: MutableSequence[Moment], image: np.ndarray, moment: int) -> None:
        """The player went elsewhere in time: to the newest moment of `past`."""
        if not self.on:
            return
        self._side = past[-1].side
        if self._side is None:
            try:
                self._catch_up(past, image, moment)
            except WorldloomError:
                self._side = None

    def origin(self, past: MutableSequence[Moment]) -> Origin:
        """Where a dream of the latest real frames begins.

        Args:
          past: the player's moments, the newest last.

        Raises:
          WorldloomError: there is no real side, or it has ended.
        """
        side = self.side
        if side is None:
            raise WorldloomError("there is no real side to begin from", "turn `beside` on first")
        if side.ended:
            raise WorldloomError("the real environment has ended here", "reset to begin again")
        spec = self._session.world.spec
        if "frames" not in spec.starts:
            raise WorldloomError(f"`{spec.name}` cannot begin from frames", "reset to begin again")
        frames, actions = self._latest(past, side)
        known = [action is not None for action in actions]
        null = spec.action.null()
        values = {
            name: torch.from_numpy(
                np.stack([nothing if a is None else a.values[name][0] for a in actions])[None]
            )
            for name, nothing in null.items()
        }
        clip = Clip(
            frames={"main": torch.from_numpy(np.stack(frames)[None])},
            actions=Action(values, torch.tensor([known])),
        )
        fresh = replace(side, gap=None, wrong_for=0, parted=None)
        return Origin(past[-1].seed, clip, fresh)

    def snapshot(self, side: RealSide) -> bytes | None:
        """The environment's exact state, packed, where it can give it."""
        return self._beside.snapshot(side)

    def close(self) -> None:
        """Releases the real side, however often it is called."""
        self._drop()
        self.on = False

    def _latest(
        self, past: MutableSequence[Moment], side: RealSide
    ) -> tuple[list[np.ndarray], list[Action | None]]:
        """The newest real frames in a row with the action before each, the oldest first."""
        frames, actions = [side.image], [past[-1].trace.action]
        trace = past[-1].trace
        for moment in reversed(list(past)[:-1]):
            if trace.before is None or len(frames) == LOOK_BACK:
                break
            if moment.trace is trace:  # the world stood still
                continue
            if moment.trace is not trace.before or moment.side is None:
                break
            trace = moment.trace
            frames.append(moment.side.image)
            actions.append(trace.action)
        if trace.before is None:
            more = self._context(trace.origin)
            frames += [frame for frame, _ in more[1:]]
            actions[-1:] = [action for _, action in more] or [None]
        frames, actions = frames[:LOOK_BACK], actions[:LOOK_BACK]
        return frames[::-1], actions[::-1]

    def _context(self, origin: Origin) -> list[tuple[np.ndarray, Action | None]]:
        """The frames that a course began from with the actions before them, the newest first."""
        clip = self._session.make_start(origin.seed) if origin.clip is None else origin.clip
        if "main" not in clip.frames or clip.actions is None:
            return []
        frames = clip.frames["main"][0].cpu().numpy()
        found: list[tuple[np.ndarray, Action | None]] = []
        for t in range(len(frames)):
            action = clip.actions[:, t].map(lambda x: x.cpu().numpy())
            found.append((frames[t], action if bool(action.known[0]) else None))
        return found[::-1]

    def _enter(self, origin: Origin) -> RealSide:
        if origin.real is not None and self._beside.exact:
            return origin.real
        if origin.clip is not None:
            raise WorldloomError(
                "this dream began from a picture, not from the environment",
                "reset to a recorded start",
            )
        return self._beside.enter(origin.seed)

    def _catch_up(self, past: MutableSequence[Moment], image: np.ndarray, moment: int) -> None:
        """Does for real what was done in the dream, and gives kept moments their real side."""
        trace = past[-1].trace
        chain = trace.ticks()
        at: dict[int, list[int]] = {}
        for index, kept in enumerate(past):
            at.setdefault(id(kept.trace), []).append(index)
        root = chain[0].before if chain else trace
        assert root is not None
        side, todo = self._nearest(past, at, root, chain)
        if len(todo) > MOST_REPLAYED:
            raise WorldloomError(
                f"this dream began {len(todo)} ticks ago, {MOST_REPLAYED} can be done again",
                "reset, or go back, first",
            )
        if len(todo) == len(chain):
            self._give(past, at, root, side)
        for tick in todo:
            assert tick.action is not None
            side = self._beside.step(side, tick.action)
            self._give(past, at, tick, side)
        self._side = self._beside.judge(side, image, moment)
        self._give(past, at, trace, self._side)

    def _nearest(
        self,
        past: MutableSequence[Moment],
        at: dict[int, list[int]],
        root: Trace,
        chain: list[Trace],
    ) -> tuple[RealSide, list[Trace]]:
        """The newest real side on the way, and the ticks that are left from there."""
        for place in range(len(chain) - 1, -1, -1) if self._beside.exact else ():
            for index in at.get(id(chain[place]), []):
                if past[index].side is not None:
                    return past[index].side, chain[place + 1 :]
        return self._enter(root.origin), chain

    def _give(
        self, past: MutableSequence[Moment], at: dict[int, list[int]], trace: Trace, side: RealSide
    ) -> None:
        if self._beside.exact:
            for index in at.get(id(trace), []):
                past[index] = replace(past[index], side=side)

    def _drop(self) -> None:
        side, self._side = self._side, None
        if side is not None and not self._beside.exact:
            self._beside.release(side)
