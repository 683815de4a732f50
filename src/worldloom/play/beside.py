"""The real environment beside a dream: the same keys, from the same recorded moment.

Knows the World contract and how a recording is re-entered; no network, no page. Both sides
of a moment are values where the environment gives its exact state; elsewhere the real side
only goes forward.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.envs.reenter import Moment as Way
from worldloom.errors import WorldloomError
from worldloom.world import World, require_start

PATIENCE = 3
"""Moments in a row that must be wrong before the two count as parted."""

FAR = 4.0
"""Pixels of a picture 64 wide by which the player may be misplaced and still count as right."""

Reader = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Frames `[T, H, W, 3]` and a plate `[H, W, 3]` to where the player is, `[T, 2]` in pixels of
a picture 64 wide, NaN where there is none."""


@dataclass(frozen=True)
class Start:
    """How the real side of one start is entered.

    Args:
      way: to the moment that the dream begins after.
      plate: `[H, W, 3]` the level without anything that moves, where it is known.
    """

    way: Way
    plate: np.ndarray | None = None


@dataclass(frozen=True)
class Gap:
    """How far dream and reality are apart in one moment.

    Args:
      error: root mean square pixel error, in [0, 1].
      apart: distance of the two players in pixels of a picture 64 wide; infinite where only
        one side has a player; None where nobody can tell.
      wrong: more than is tolerable.
    """

    error: float
    apart: float | None
    wrong: bool


@dataclass(frozen=True)
class RealSide:
    """The real side of a moment.

    Args:
      state: the environment's, of one row.
      image: `[H, W, 3]` uint8 what it shows.
      start: seed of the start that it grew from.
      ended: the environment has ended.
      terminated: the task ended with this moment, or before.
      reward: that arrived with this moment, None where the environment tells none.
      gap: to the dream; None where nobody has looked yet.
      wrong_for: moments in a row that were wrong, this one included.
      parted: the number of the moment at which the two parted, None while they are together.
    """

    state: Any
    image: np.ndarray
    start: int
    ended: bool = False
    terminated: bool = False
    reward: float | None = None
    gap: Gap | None = None
    wrong_for: int = 0
    parted: int | None = None


class Beside:
    """Plays the environment that a dream was learned from along with it.

    Args:
      world: the real environment, of the dream's frame size and actions.
      starts: seed to its start, as the dream's own clips are chosen; None where a start has
        no real counterpart.
      tolerance: pixel error above which a moment is wrong; not asked where a reader can tell.
      reader: finds the player in pictures, where there is one.
    """

    def __init__(
        self,
        world: World,
        starts: Callable[[int], Start | None],
        *,
        tolerance: float = 0.05,
        reader: Reader | None = None,
    ) -> None:
        self.world = world
        self.exact = "fork" in world.spec.capabilities
        self._starts = starts
        self._tolerance = tolerance
        self._reader = reader

    @torch.no_grad()
    def enter(self, seed: int) -> RealSide:
        """The real side of the moment in which the dream of `seed` begins.

        Raises:
          WorldloomError: this start has no real counterpart, or another frame comes out.
        """
        start = self._starts(seed)
        if start is None:
            raise WorldloomError(
                "this start was not recorded from the environment", "choose a recorded start"
            )
        way, name = start.way, self.world.spec.name
        if way.snapshot is not None and "snapshot" in self.world.spec.starts:
            clip = Clip(snapshots=(way.snapshot,))
        elif way.snapshot is None and way.seed is not None:
            clip = Clip(env_seeds=torch.tensor([way.seed]))
        else:
            raise WorldloomError(
                f"the recording keeps neither seed nor snapshot of `{name}`", "record it again"
            )
        require_start(self.world, clip)
        state, _ = self.world.start(clip, torch.zeros(1, dtype=torch.int64))
        for t in range(len(way)):
            values = {k: torch.from_numpy(v[t : t + 1]) for k, v in way.actions.items()}
            state, _ = self.world.step(state, Action(values, torch.ones(1, dtype=torch.bool)))
        side = RealSide(state, self._image(state), seed)
        if not (side.image == way.frame).all():
            self.release(side)
            raise WorldloomError(
                f"`{name}` does not repeat its recording: another frame comes out",
                "use the version that it was recorded with",
            )
        return side

    @torch.no_grad()
    def step(self, side: RealSide, action: Action) -> RealSide:
        """What the same action does for real.

        Args:
          action: numpy values `[1, ...]`.
        """
        state, step = self.world.step(side.state, action.map(torch.from_numpy))
        over = step.terminated is not None and bool(step.terminated[0])
        return replace(
            side,
            state=state,
            image=self._image(state),
            ended=over or (step.truncated is not None and bool(step.truncated[0])),
            terminated=over,
            reward=None if step.reward is None else float(step.reward[0]),
            gap=None,
        )

    def snapshot(self, side: RealSide) -> bytes | None:
        """The environment's exact state, packed, where it can give it."""
        world: Any = self.world
        able = "snapshot" in world.spec.capabilities
        return world.snapshot(side.state)[0] if able else None

    def judge(self, side: RealSide, dream: np.ndarray, moment: int) -> RealSide:
        """Looks at both sides of a moment.

        Args:
          side: which comes straight after a moment that was judged, or begins.
          dream: `[H, W, 3]` what the dream shows.
          moment: its number.
        """
        gap = self.gap(side, dream)
        wrong_for = side.wrong_for + 1 if gap.wrong else 0
        parted = side.parted
        if parted is None and wrong_for >= PATIENCE:
            parted = moment - PATIENCE + 1
        return replace(side, gap=gap, wrong_for=wrong_for, parted=parted)

    def gap(self, side: RealSide, dream: np.ndarray) -> Gap:
        """How far a dreamed frame `[H, W, 3]` is from the real one."""
        error = pixel_error(side.image, dream)
        start = self._starts(side.start)
        plate = start.plate if start else None
        if self._reader is None or plate is None:
            return Gap(error, None, error > self._tolerance)
        apart = distance(*self._reader(np.stack([side.image, dream]), plate))
        return Gap(error, apart, apart > FAR)

    def release(self, side: RealSide) -> None:
        """Gives the environment back, where its state is a handle."""
        release = getattr(self.world, "release", None)
        if release is not None:
            release(side.state)

    def close(self) -> None:
        """Closes the environment."""
        close = getattr(self.world, "close", None)
        if close is not None:
            close()

    def _image(self, state: Any) -> np.ndarray:
        render: Any = self.world
        return np.array(torch.as_tensor(render.render(state))[0].cpu().numpy(), order="C")


def pixel_error(real: np.ndarray, dream: np.ndarray) -> float:
    """Root mean square difference of two uint8 pictures `[H, W, 3]`, in [0, 1]."""
    return float(np.sqrt(np.square(real.astype(np.float32) - dream).mean())) / 255


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between two places `[2]`; 0 where both are absent, infinite where one is."""
    absent = [bool(np.isnan(place).any()) for place in (one, other)]
    if any(absent):
        return 0.0 if all(absent) else float("inf")
    return float(np.hypot(*(one - other)))


def joined(panes: Sequence[np.ndarray]) -> np.ndarray:
    """Panes `[H, W, 3]` side by side in one picture, so that they cannot fall out of step."""
    return np.concatenate(panes, axis=1)
