"""A branch of time, what is shown of a moment on it, and why a wish is refused.

A branch is a list of moments, the newest last; branches that grew from one another hold the
same moments, so that a branch costs what is new in it. Who goes where is the player's.
"""

from collections import deque
from dataclasses import dataclass, field

from worldloom.play.beside import RealSide
from worldloom.play.session import Frame, Moment

HISTORY = 600
BRANCHES = 8


class Refused(Exception):
    """A wish that cannot be granted, and need not end the session.

    Args:
      message: why, for people.
      hint: what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Shown:
    """A frame, and where it stands.

    Args:
      branch: id of its branch.
      moment: its number on that branch: ticks since the session began, resets included.
      side: the same moment for real, where it is asked for.
    """

    frame: Frame
    branch: int = 0
    moment: int = 0
    side: RealSide | None = None


Ticked = tuple[Shown, float]


@dataclass
class Branch:
    """One course of events.

    Args:
      id: counts from 1.
      parent: the branch that it grew from, 0 for the first.
      root: number of the moment that it grew from.
      moment: number of its newest moment.
      past: the newest moments, oldest first; empty where the world cannot go back.
      runs: goes on without keys while nobody is on it.
    """

    id: int
    parent: int
    root: int
    moment: int
    past: deque[Moment] = field(repr=False)
    runs: bool = False
