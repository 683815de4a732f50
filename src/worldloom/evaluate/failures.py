"""The three things a world gets most wrong, each named and placed by one sentence.

Where the environment has an exact reader, things go wrong by name: misplaced,
gone, or there though they should not be. Elsewhere, and where fewer than three
such faults occur, pixels speak: foreground that is missing, invented or
changed. Kinds are ranked by how much of all rollouts they spoil, and each is
shown by the rollout which it spoils most, a different one for each kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from worldloom.evaluate import metrics
from worldloom.evaluate.states import StateReader, Things, faults
from worldloom.evaluate.windows import Window

MOST = 3
SPECK = 0.02
"""Squared error of a pixel, its channels added up, in units of [0, 1]: less is no fault."""
SPOILED = 1.0
"""Squared error of a frame from which a pixel fault counts: a few pixels of another colour."""


@dataclass(frozen=True)
class Failure:
    """One kind of mistake, and the rollout that shows it best.

    Args:
      what: a sentence without its full stop, "the player is in the wrong place".
      sentence: what, where, when and how often, for people.
      affected: rollouts in which it happens at all.
      rollouts: rollouts that were looked at.
      share: mean share of the rollouts' frames that it spoils.
      window: index of the rollout that shows it.
      frame: first frame of it there, 1 is the first predicted one.
      places: (frame, x, y) of each frame there that has it, in pixels of the picture.
    """

    what: str
    sentence: str
    affected: int
    rollouts: int
    share: float
    window: int
    frame: int
    places: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class Trace:
    """Where and when one kind of mistake happens in all rollouts.

    Args:
      what: names it.
      weight: `[N, T]` 0 where it does not happen; how bad it is elsewhere.
      xy: `[N, T, 2]` where in the picture, in pixels.
      detail: `[N, T]` words to add, empty where there is nothing to add.
    """

    what: str
    weight: np.ndarray
    xy: np.ndarray
    detail: np.ndarray


def worst(
    groups: Sequence[Sequence[Trace]],
    windows: Sequence[Window],
    *,
    size: tuple[int, int],
    fps: float,
) -> list[Failure]:
    """The kinds of mistake that spoil most, at most three.

    Args:
      groups: of kinds that can be compared; a later group only fills what the
        ones before it leave.
      windows: the rollouts' windows.
      size: (height, width) of a picture.
      fps: frames a second.
    """
    damaging = lambda trace: -float(trace.weight.sum())  # noqa: E731
    kinds = [t for group in groups for t in sorted(group, key=damaging) if t.weight.any()]
    found: list[Failure] = []
    for trace in kinds[:MOST]:
        spoiled = (trace.weight > 0).sum(1)
        damage = trace.weight.sum(1)
        taken = [failure.window for failure in found]
        if (np.delete(damage, taken) > 0).any():
            damage[taken] = -1
        index = int(damage.argmax())
        first = longest_run(trace.weight[index] > 0)
        bad = np.flatnonzero(trace.weight[index] > 0)
        x, y = (axis.tolist() for axis in trace.xy[index, bad].T)
        found.append(
            Failure(
                what=trace.what,
                sentence=_sentence(trace, windows[index], index, first, size=size, fps=fps),
                affected=int((spoiled > 0).sum()),
                rollouts=len(windows),
                share=float((trace.weight > 0).mean()),
                window=index,
                frame=first + 1,
                places=tuple(zip((bad + 1).tolist(), x, y, strict=True)),
            )
        )
    return found


def _sentence(
    trace: Trace, window: Window, index: int, first: int, *, size: tuple[int, int], fps: float
) -> str:
    x, y = trace.xy[index, first]
    detail = str(trace.detail[index, first])
    affected = int((trace.weight > 0).any(1).sum())
    frames, total = trace.weight.shape[1], len(trace.weight)
    what = trace.what[0].upper() + trace.what[1:] + (f", {detail}" if detail else "")
    where = region(float(x), float(y), size)
    return (
        f"{what}: {where}, from frame {first + 1} ({(first + 1) / fps:.2f} s) of the dream of "
        f"episode {window.episode}; so in {affected} of {total} dreams within {frames} frames."
    )


def region(x: float, y: float, size: tuple[int, int]) -> str:
    """The ninth of the picture in which a place lies, in words."""
    row = ("at the top", "in the middle", "at the bottom")[min(2, max(0, int(3 * y / size[0])))]
    column = ("left", "centre", "right")[min(2, max(0, int(3 * x / size[1])))]
    return row if column == "centre" else f"{row} {column}"


def longest_run(bad: np.ndarray) -> int:
    """Where the longest unbroken stretch of True in `[T]` begins, the first among equals."""
    edges = np.diff(np.concatenate([[False], bad, [False]]).astype(int))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return int(begins[(ends - begins).argmax()])


def thing_traces(
    truth: Sequence[Things],
    dream: Sequence[Things],
    real: Sequence[Things],
    reader: StateReader,
    *,
    frames: int,
    width: int,
) -> list[Trace]:
    """The faults of named things in N rollouts, one trace for each name and kind of fault.

    Where the reader misreads the real frame, the dream is not blamed.

    Args:
      truth: of each rollout.
      dream: read off the dreamed frames.
      real: read off the real frames.
      reader: whose words name the faults.
      frames: T, how far each rollout is looked at.
      width: of a picture; places are given in its pixels.
    """
    count = len(truth)
    weight = {kind: np.zeros((count, frames)) for kind in reader.words}
    place = {kind: np.zeros((count, frames, 2)) for kind in reader.words}
    detail = {kind: np.full((count, frames), "", object) for kind in reader.words}
    for i, (true, seen, check) in enumerate(zip(truth, dream, real, strict=True)):
        misread = np.any(list(faults(true, check).values()), axis=0)
        for how, wrong in faults(true, seen).items():
            for t, k in np.argwhere((wrong & ~misread)[:frames]):
                kind = (true.names[k], how)
                if weight[kind][i, t]:
                    continue  # one coin is enough
                weight[kind][i, t] = 1
                at = seen.xy[t, k] if how == "ghost" else true.xy[t, k]
                place[kind][i, t] = at * width / 64
                if how == "moved":
                    detail[kind][i, t] = _displacement(seen.xy[t, k] - true.xy[t, k])
    return [Trace(reader.words[k], weight[k], place[k], detail[k]) for k in reader.words]


def _displacement(offset: np.ndarray) -> str:
    """How far a thing is off, for example `9 px too far left and 5 px too high`."""
    x, y = (round(float(v)) for v in offset)
    parts = []
    if x:
        parts.append(f"{abs(x)} px too far {'left' if x < 0 else 'right'}")
    if y:
        parts.append(f"{abs(y)} px too {'high' if y < 0 else 'low'}")
    return " and ".join(parts)


def pixel_traces(
    real: Sequence[np.ndarray],
    dream: Sequence[np.ndarray],
    plates: Sequence[np.ndarray],
    *,
    tolerance: int,
) -> list[Trace]:
    """The faults of foreground pixels in N rollouts: missing, invented, changed.

    Args:
      real: `[T, H, W, 3]` uint8 of each rollout.
      dream: the same.
      plates: `[H, W, 3]` of each rollout.
      tolerance: above which a pixel is foreground.
    """
    found = [_pixel_faults(r, d, p, tolerance) for r, d, p in zip(real, dream, plates, strict=True)]
    words: Mapping[str, str] = {
        "missing": "something that moves is missing",
        "invented": "something is there that should not be",
        "changed": "something looks wrong",
    }
    return [
        Trace(
            text,
            np.stack([rollout[how][0] for rollout in found]),
            np.stack([rollout[how][1] for rollout in found]),
            np.full((len(found), len(found[0][how][0])), "", object),
        )
        for how, text in words.items()
    ]


def _pixel_faults(
    real: np.ndarray, dream: np.ndarray, plate: np.ndarray, tolerance: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By kind of fault: its error in each frame `[T]`, and its centre `[T, 2]`."""
    error = ((real.astype(np.float32) - dream.astype(np.float32)) ** 2).sum(-1) / 255**2
    error = np.where(error > SPECK, error, 0)
    in_real = metrics.foreground(real, plate, tolerance)
    in_dream = metrics.foreground(dream, plate, tolerance)
    masks = {
        "missing": in_real & ~in_dream,
        "invented": ~in_real & in_dream,
        "changed": in_real & in_dream,
    }
    result = {}
    for how, mask in masks.items():
        part = error * mask
        total = part.sum((1, 2))
        result[how] = np.where(total >= SPOILED, total, 0), densest(part)
    return result


def densest(error: np.ndarray) -> np.ndarray:
    """The centre `[T, 2]` (x, y) of the square, an eighth of the picture, that holds most error.

    Not the mean place, which lies between two faults where nothing is wrong.

    Args:
      error: `[T, H, W]`, not negative.
    """
    side = max(1, error.shape[1] // 8)
    total = np.pad(error, ((0, 0), (side, side - 1), (side, side - 1))).cumsum(1).cumsum(2)
    box = total[:, side:, side:] - total[:, :-side, side:]
    box = box - total[:, side:, :-side] + total[:, :-side, :-side]
    y, x = np.divmod(box.reshape(len(box), -1).argmax(1), box.shape[2])
    return np.stack([x, y], -1) - (side - 1) / 2
