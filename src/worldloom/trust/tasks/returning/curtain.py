"""A small world behind a curtain: two discs, one of which may move while nobody sees it.

The curtain hides half of the picture and is moved from one side to the other. Places are
whole pixels, so everything is exact. Knows no task.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

ROWS, COLUMNS = 48, 64
KEYS = ("left", "right")
PULL = 4  # pixels that the curtain moves in a frame
WIDE = COLUMNS // 2  # of the curtain, in pixels
RADIUS = 4
LOW, HIGH = 7, ROWS - 8  # between which a disc moves up and down
COLOURS = np.array(
    [(224, 64, 56), (246, 150, 40), (240, 216, 60), (60, 180, 75), (80, 196, 246), (190, 80, 214)],
    np.uint8,
)
GROUND, CURTAIN = (40, 44, 52), (118, 118, 118)


@dataclass(frozen=True)
class Disc:
    """One disc.

    Args:
      colour: of `COLOURS`.
      x: of its centre.
      y: of its centre at frame 0.
      speed: pixels a frame, down where positive; it turns round at `LOW` and `HIGH`.
    """

    colour: int
    x: int
    y: int
    speed: int = 0

    def height(self, time: np.ndarray) -> np.ndarray:
        """Its y at frames `[T]`."""
        span = HIGH - LOW
        run = (self.y - LOW + self.speed * time) % (2 * span)
        return LOW + np.where(run > span, 2 * span - run, run)


@dataclass(frozen=True)
class Scene:
    """The disc that is asked for, and another one on the other side; None where it is gone."""

    asked: Disc | None
    other: Disc

    def draw(self, time: np.ndarray, curtain: np.ndarray) -> np.ndarray:
        """`[T, 48, 64, 3]` uint8 at frames `[T]`, the curtain's left side being at `[T]`."""
        rows, columns = np.arange(ROWS)[:, None], np.arange(COLUMNS)
        frames = np.empty((len(time), ROWS, COLUMNS, 3), np.uint8)
        frames[:] = GROUND
        for disc in (self.other, self.asked):
            if disc is not None:
                y = disc.height(time)[:, None, None]
                frames[(rows - y) ** 2 + (columns - disc.x) ** 2 <= RADIUS**2] = COLOURS[
                    disc.colour
                ]
        left = curtain[:, None]
        covered = (columns >= left) & (columns < left + WIDE)
        frames[np.broadcast_to(covered[:, None], frames.shape[:3])] = CURTAIN
        return frames

    def play(self, keys: np.ndarray) -> np.ndarray:
        """`[T, 48, 64, 3]` under keys `[T, 2]`, the first of which led to frame 0."""
        curtain = np.array([after(keys[: t + 1]) for t in range(len(keys))])
        return self.draw(np.arange(len(keys)), curtain)

    def visible(self, curtain: int) -> bool:
        """Whether any of the disc that is asked for can be seen."""
        assert self.asked is not None
        return self.asked.x - RADIUS < curtain or self.asked.x + RADIUS >= curtain + WIDE

    def without(self) -> "Scene":
        """The scene without what is asked for."""
        return replace(self, asked=None)

    def frozen(self, since: int) -> "Scene":
        """The scene with the asked disc standing where it was at a frame."""
        assert self.asked is not None
        y = int(self.asked.height(np.array([since]))[0])
        return replace(self, asked=replace(self.asked, y=y, speed=0))

    def lure(self, rng: np.random.Generator) -> "Scene":
        """The scene with the asked disc in another colour, or at another height."""
        assert self.asked is not None
        if rng.random() < 0.5:
            taken = {self.asked.colour, self.other.colour}
            free = [c for c in range(len(COLOURS)) if c not in taken]
            return replace(self, asked=replace(self.asked, colour=int(rng.choice(free))))
        span = HIGH - LOW
        moved = LOW + (self.asked.y - LOW + span // 2) % span
        return replace(self, asked=replace(self.asked, y=moved))

    def pack(self, time: int, curtain: int, seen: int) -> bytes:
        """What a simulator is told: the scene, the frame, the curtain, when the disc was seen."""
        assert self.asked is not None
        numbers = (*astuple(self.asked), *astuple(self.other), time, curtain, seen)
        return b"curtain" + np.array(numbers, np.int64).tobytes()


def unpack(told: bytes) -> tuple[Scene, int, int, int]:
    """The scene, the frame, the curtain and when the disc was seen, of `Scene.pack`."""
    numbers: Sequence[int] = np.frombuffer(told[len(b"curtain") :], np.int64).tolist()
    return Scene(Disc(*numbers[:4]), Disc(*numbers[4:8])), *numbers[8:]  # type: ignore[return-value]


def after(keys: np.ndarray, start: int = 0) -> int:
    """Where the left side of the curtain is after keys `[T, 2]`."""
    for left, right in keys.tolist():
        start = min(COLUMNS - WIDE, max(0, start + PULL * (right - left)))
    return start


def draw_scene(rng: np.random.Generator, *, moving: bool) -> Scene:
    """A scene whose asked disc is on the left, where half a curtain covers it too."""
    colours = rng.choice(len(COLOURS), 2, replace=False).tolist()
    x = int(rng.integers(WIDE // 2 + RADIUS, WIDE - RADIUS))
    speed = int(rng.choice((-2, -1, 1, 2))) if moving else 0
    asked = Disc(colours[0], x, int(rng.integers(LOW, HIGH + 1)), speed)
    other = Disc(colours[1], int(rng.integers(WIDE + RADIUS, COLUMNS - RADIUS)), 24)
    return Scene(asked, other)
