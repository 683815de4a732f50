"""Where one person is in time: the present, the recent past, and branches of both.

Pure, like the session under it. What a branch holds is said in `branch.py`.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.play.along import Along
from worldloom.play.beside import Beside, RealSide
from worldloom.play.branch import BRANCHES, HISTORY, Branch, Refused, Shown, Ticked
from worldloom.play.clock import Latency
from worldloom.play.futures import Fan, Plan
from worldloom.play.input import Played
from worldloom.play.session import Frame, Moment, Session, SessionState, ended
from worldloom.play.taping import Taping
from worldloom.play.trace import Origin, Trace


class Player:
    """A session's state and its past, touched on the world thread only.

    Args:
      session: pure; may be shared.
      latency: told what every tick takes.
      history: for how many ticks one can go back.
      beside: the real environment, where there is one beside a dream.
    """

    def __init__(
        self,
        session: Session,
        latency: Latency,
        history: int = HISTORY,
        beside: Beside | None = None,
    ) -> None:
        self._session = session
        self._along = None if beside is None else Along(beside, session)
        dreamed = not {"seed", "snapshot"} & session.world.spec.starts
        keep = (lambda _: None) if beside is None else beside.snapshot
        self.taping = Taping(session, dreamed=dreamed, snapshot=keep)
        self._latency = latency
        self._history = history
        self._state: SessionState | None = None
        self._here = Branch(1, 0, 0, -1, self._empty())
        self._branches = {1: self._here}
        self._next_id = 2
        self._turn = 0

    def start(self, seed: int, clip: Clip | None = None) -> Shown:
        """Begins at `seed`, or at a clip of one row. What was played stays in the past."""
        return self.begin(Origin(seed, clip))

    def begin(self, origin: Origin) -> Shown:
        """Begins anywhere. What was played before stays in the past."""
        self._enter(self._session.begin(origin))
        return self._saw(self._session.draw(self._present()))

    def tick(self, keys: Played | Action) -> Ticked:
        """One tick: its frame, and the seconds that the world took for it."""
        begin = time.perf_counter()
        state = self._session.advance(self._present(), keys)
        stepped = time.perf_counter()
        frame = self._session.draw(state)
        return self._ticked(state, frame, stepped - begin, time.perf_counter() - stepped)

    def _ticked(self, state: SessionState, frame: Frame, step: float, render: float) -> Ticked:
        """Takes what a tick gave: every tick ends here, also those done together."""
        self._state = state
        done = time.perf_counter()
        shown = self._saw(frame)
        self._latency.add("step", step)
        self._latency.add("render", render)
        self._latency.add("keep", time.perf_counter() - done)
        return shown, step + render

    def _saw(self, frame: Frame) -> Shown:
        """A new moment is there: whoever follows takes note of it, and it is kept."""
        here, state = self._here, self._present()
        here.moment += 1
        if self._along is not None:
            self._along.tick(state, frame.image, here.moment)
        self.taping.tick(state, frame.image, self._side, here.moment)
        if self._session.can_rewind:
            since = here.past[-1] if here.past else None
            here.past.append(replace(self._session.keep(state, since), side=self._side))
        return self._shown(frame)

    @property
    def _side(self) -> RealSide | None:
        return None if self._along is None else self._along.side

    def _shown(self, frame: Frame) -> Shown:
        return Shown(frame, self._here.id, self._here.moment, self._side)

    def _moving(self, played: Played | None) -> tuple[SessionState, Played, Branch | None] | None:
        """The state that a turn moves, with what is done in it, and its branch if not this one."""
        if played is not None:
            return self._present(), played, None
        branch = self._another()
        return None if branch is None else (self._session.back(branch.past[-1]), (), branch)

    def _present(self) -> SessionState:
        assert self._state is not None, "tick before start"
        return self._state

    def rewind(self, ticks: int, moment: int) -> Shown:
        """Goes back on this branch, which forgets what came after.

        Args:
          ticks: how far back.
          moment: of the frame that `ticks` are counted from: by now there may be newer ones.

        Raises:
          Refused: the moment is not, or no longer, in the past of this branch.
        """
        self._can_rewind()
        here, target = self._here, moment - ticks
        later = here.moment - target
        if not 0 <= later < len(here.past):
            oldest = here.moment - len(here.past) + 1
            raise Refused(
                f"moment {target} is not kept; those from {oldest} to {here.moment} are",
                "go back less far",
            )
        for _ in range(later):
            here.past.pop()
        here.moment = target
        return self._arrive(leap=False)

    def branch(self) -> Shown:
        """Opens a branch at the present moment and goes on in it; the other one stays."""
        self._can_rewind()
        if len(self._branches) >= BRANCHES:
            raise Refused(f"there are {BRANCHES} branches already", "close one of them")
        here = self._here
        past = self._empty()
        past.extend(here.past)
        self._here = Branch(self._next_id, here.id, here.moment, here.moment, past)
        self._branches[self._next_id] = self._here
        self._next_id += 1
        return self._draw()

    def switch(self, branch: int) -> Shown:
        """Goes to where a branch was left."""
        self._here = self._known(branch)
        return self._arrive()

    def drop(self, branch: int) -> Shown:
        """Forgets a branch; whoever is on it goes to the one that it grew from."""
        gone = self._known(branch)
        if len(self._branches) == 1:
            raise Refused("this is the only branch", "reset to begin again")
        del self._branches[branch]
        if gone is not self._here:
            return self._draw()
        self._here = self._branches.get(gone.parent) or next(reversed(self._branches.values()))
        return self._arrive()

    def run_on(self, branch: int, on: bool) -> Shown:
        """A branch that nobody is on stays as it was left, or goes on without keys."""
        self._known(branch).runs = on
        return self._draw()

    @property
    def others_run(self) -> bool:
        """Whether there is anything for `tick_another` to do."""
        return any(branch.runs and branch is not self._here for branch in self._branches.values())

    def tick_another(self) -> None:
        """One tick of one branch that runs on: they take turns, so that you wait for one only."""
        moving = self._moving(None)
        if moving is not None:
            state, played, branch = moving
            self._went_on(branch, self._session.advance(state, played))

    def _another(self) -> Branch | None:
        """Whose turn it is to go on alone."""
        others = [b for b in self._branches.values() if b.runs and b is not self._here]
        self._turn += 1
        return others[self._turn % len(others)] if others else None

    def _went_on(self, branch: Branch | None, state: SessionState) -> None:
        assert branch is not None
        branch.past.append(self._session.keep(state, branch.past[-1]))
        branch.moment += 1
        self._session.release(state)

    def kept(self) -> tuple[Moment, ...]:
        """The past of this branch, oldest first, the present included.

        Raises:
          Refused: this world keeps no past.
        """
        self._can_rewind()
        return tuple(self._here.past)

    def branches(self) -> dict[str, Any]:
        """What the page is told of them."""
        names = ("id", "parent", "root", "moment", "runs")
        rows = [{n: getattr(branch, n) for n in names} for branch in self._branches.values()]
        return {"type": "branches", "here": self._here.id, "history": self._history, "all": rows}

    def compare(self, on: bool) -> Shown:
        """The real environment comes along from here, or leaves."""
        along, here = self._with_beside(), self._here
        frame = self._session.draw(self._present())
        past = here.past or deque([self._session.keep(self._present())])
        try:
            along.turn(on, past, frame.image, here.moment)
        except WorldloomError as error:
            raise Refused(error.message, error.hint) from error
        return self._shown(frame)

    def anchor(self) -> Shown:
        """Begins the dream anew from the latest real frames; the real side goes on."""
        along = self._with_beside()
        try:
            origin = along.origin(self._here.past)
        except WorldloomError as error:
            raise Refused(error.message, error.hint) from error
        return self.begin(origin)

    def fan(self, plan: Plan) -> Fan:
        """Futures of this moment, yet to be worked off; this player does not notice."""
        self._can_rewind()
        try:
            return Fan(self._session, self._here.past[-1], plan)
        except WorldloomError as error:
            raise Refused(error.message, error.hint) from error

    def enter_future(self, noise: int | None) -> Shown:
        """Opens a branch here, with the randomness of one of the futures."""
        shown = self.branch()
        if noise is not None:
            self.reseed(noise)
        return shown

    def reseed(self, noise: int) -> None:
        """What comes next has other randomness."""
        self._enter(self._session.reseed(self._present(), noise))

    def present(self) -> tuple[Trace, Shown]:
        """How the present came about, and what it looks like."""
        return self._present().trace, self._draw()

    def course(self, most: int) -> list[Moment]:
        """The newest kept moments since the start, the oldest first, `most` of them."""
        found: list[Moment] = []
        for moment in reversed(self._here.past):
            if (found and found[-1].trace.before is None) or len(found) == most:
                break
            if not found or moment.trace is not found[-1].trace:
                found.append(moment)
        return found[::-1]

    def pictures(self, moments: Sequence[Moment]) -> list[Frame]:
        """What kept moments look like; the present is not touched."""
        frames = []
        for moment in moments:
            state = self._session.back(moment)
            frames.append(self._session.draw(state))
            self._session.release(state)
        return frames

    def real_snapshot(self, side: RealSide) -> bytes | None:
        """The real environment's exact state, where it can give it."""
        return self._with_beside().snapshot(side)

    def record(self, on: bool) -> None:
        """Tapes what is done from here on, or ends that."""
        if on and not self.taping.on:
            frame = self._session.draw(self._present())
            self.taping.start(self._present(), frame.image, self._side, self._here.moment)
        elif not on:
            self.taping.stop()

    def _with_beside(self) -> Along:
        if self._along is None:
            raise Refused("there is no real environment beside this world", "play its own run")
        return self._along

    def close(self) -> None:
        """Releases the state and forgets all moments, however often it is called."""
        state, self._state = self._state, None
        if state is not None:
            self._session.release(state)
        if self._along is not None:
            self._along.close()
        self.taping.stop()
        self._here = Branch(1, 0, 0, -1, self._empty())
        self._branches = {1: self._here}

    def _empty(self) -> deque[Moment]:
        return deque(maxlen=self._history + 1)

    def _enter(self, state: SessionState) -> None:
        old, self._state = self._state, state
        if old is not None:
            self._session.release(old)

    def _arrive(self, *, leap: bool = True) -> Shown:
        """Goes to the newest moment of this branch; a leap there is no going back in it."""
        here = self._here
        self._enter(self._session.back(here.past[-1]))
        frame = self._session.draw(self._present())
        if self._along is not None:
            self._along.arrive(here.past, frame.image, here.moment)
        went = self.taping.leap if leap else self.taping.back
        went(self._present(), frame.image, self._side, here.moment)
        return self._shown(frame)

    def _draw(self) -> Shown:
        return self._shown(self._session.draw(self._present()))

    def _known(self, branch: int) -> Branch:
        self._can_rewind()
        if branch not in self._branches:
            raise Refused(f"there is no branch {branch}", "choose one that is open")
        return self._branches[branch]

    def _can_rewind(self) -> None:
        if not self._session.can_rewind:
            name = self._session.world.spec.name
            raise Refused(f"`{name}` cannot go back in time", "reset to begin again")
        if self._along is not None and self._along.on and not self._along.can_go_back:
            raise Refused(
                "the real environment beside cannot go back in time", "turn `beside` off first"
            )


def tick_together(
    turns: Sequence[tuple[Player, Played | None]],
) -> list[Ticked | WorldloomError | None]:
    """One tick of each player, in one step of the world.

    Args:
      turns: players of one session, each with what is done, or None for a tick of a branch
        that runs on without its player.

    Returns:
      what each saw; None for a branch; an error where that player alone cannot go on.
    """
    outcomes: list[Ticked | WorldloomError | None] = [None] * len(turns)
    together = []
    for index, (player, played) in enumerate(turns):
        moving = player._moving(played)
        if moving is None or ended(moving[0].step):  # an ending takes no step of the world
            outcomes[index] = _tick_alone(player, played)
        else:
            together.append((index, player, *moving))
    if not together:
        return outcomes
    session = together[0][1]._session
    begin = time.perf_counter()
    states = session.advance_together([(state, done) for _, _, state, done, _ in together])
    stepped = time.perf_counter()
    frames = session.draw_together(states)
    drawn = time.perf_counter()
    for (index, player, _, _, branch), state, frame in zip(together, states, frames, strict=True):
        if branch is None:
            outcomes[index] = player._ticked(state, frame, stepped - begin, drawn - stepped)
        else:
            player._went_on(branch, state)
    return outcomes


def _tick_alone(player: Player, played: Played | None) -> Ticked | WorldloomError | None:
    try:
        return player.tick_another() if played is None else player.tick(played)
    except WorldloomError as error:
        return error
