"""What could come next: several futures of one moment, under each of several held actions.

Nobody who plays notices: a fan begins at a kept moment, in states of its own. It is worked off
in slices of one step, each of as many rows as any step of the session has, so that a future
which is chosen comes out to the byte when it is played. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldloom import seeding
from worldloom.errors import WorldloomError
from worldloom.play.session import Moment, Session, SessionState, ended

MOST_ROWS = 40
MOST_FRAMES = 640
"""Rows times frames of one fan: what it may cost."""
SIDE = 96
"""Longer side of a small picture; larger frames are shrunk to it."""


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Args:
      choices: for each action the keys that are held, none for doing nothing.
      samples: futures of each.
      horizon: frames of each.
    """

    choices: tuple[tuple[str, ...], ...]
    samples: int
    horizon: int

    def check(self) -> "Plan":
        """Itself, or one sentence on what is too much."""
        rows = len(self.choices) * self.samples
        if not rows or not self.horizon or rows > MOST_ROWS or rows * self.horizon > MOST_FRAMES:
            raise WorldloomError(
                f"{rows} futures of {self.horizon} frames were asked for; at most {MOST_ROWS}, "
                f"and {MOST_FRAMES} frames in all",
                "try fewer actions, samples or frames",
            )
        return self


class Fan:
    """Futures of one moment, in the making.

    The first sample of each action has the session's own randomness: it is what happens if
    these keys are held. The others have randomness of their own, the same for every action.

    Args:
      session: that the moment is of.
      moment: where they begin.
      plan: which are wanted.
    """

    def __init__(self, session: Session, moment: Moment, plan: Plan) -> None:
        self.plan = plan.check()
        self.moment = moment
        self.done = 0
        can_reseed = "reseed" in session.world.spec.capabilities
        self.samples = plan.samples if can_reseed else 1
        self._session = session
        self._rows: list[SessionState] = []
        self._images: list[np.ndarray] = []
        self._next: list[SessionState] = []

    def noise(self, sample: int) -> int | None:
        """The seed of a sample's randomness, None for the session's own."""
        place = self.moment.tick
        return seeding.stream(self.moment.seed, f"future {place}", sample) if sample else None

    def work(self) -> np.ndarray | None:
        """One slice; once a frame of all futures is done, their pictures.

        Returns:
          None, or `[A, N, h, w, 3]` uint8, for A choices and N samples.
        """
        session = self._session
        if not self._rows:
            self._begin()
        first = len(self._next)
        chunk = self._rows[first : first + session.at_once]
        keys = [self.plan.choices[(first + i) // self.samples] for i in range(len(chunk))]
        live = [turn for turn in zip(chunk, keys, strict=True) if not ended(turn[0].step)]
        went = iter(session.advance_together(live))
        stepped = [state if ended(state.step) else next(went) for state in chunk]
        self._images += [shrunk(f.image) for f in session.draw_together(stepped)]
        self._next += stepped
        if len(self._next) < len(self._rows):
            return None
        grid = np.stack(self._images).reshape(
            len(self.plan.choices), self.samples, *self._images[0].shape
        )
        self._rows, self._next, self._images = self._next, [], []
        self.done += 1
        return grid

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.done >= self.plan.horizon

    def close(self) -> None:
        """Releases the states."""
        for state in {id(s): s for s in (*self._rows, *self._next)}.values():
            self._session.release(state)
        self._rows, self._next = [], []

    def _begin(self) -> None:
        for _ in self.plan.choices:
            for sample in range(self.samples):
                state = self._session.back(self.moment)
                seed = self.noise(sample)
                self._rows.append(state if seed is None else self._session.reseed(state, seed))


def shrunk(image: np.ndarray) -> np.ndarray:
    """A frame `[H, W, 3]` with its longer side at most `SIDE`, by averaging whole blocks."""
    block = -(-max(image.shape[:2]) // SIDE)
    if block == 1:
        return image
    height, width = (side // block for side in image.shape[:2])
    cut = image[: height * block, : width * block].reshape(height, block, width, block, 3)
    return cut.mean((1, 3)).astype(np.uint8)


def grid_picture(grid: np.ndarray) -> np.ndarray:
    """Pictures `[A, N, h, w, 3]` as one, a row for each choice, `[A * h, N * w, 3]`."""
    choices, samples, height, width, _ = grid.shape
    return grid.swapaxes(1, 2).reshape(choices * height, samples * width, 3)


def choices_of(buttons: Sequence[tuple[str, ...]], most: int = 7) -> tuple[tuple[str, ...], ...]:
    """Doing nothing, then each button alone, `most` of them."""
    return ((), *(codes[:1] for codes in buttons[:most]))
