"""Draws discs, squares and bars without jagged edges, and finds coloured things in pictures.

Knows pictures and the arena's units; nothing of motion. What is drawn last lies on top.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from worldloom.trust.tasks.scenes.physics import ARENA

BACKGROUND = (16, 16, 20)
RED, BLUE = (225, 60, 50), (60, 110, 235)
Kind = Literal["disc", "square"]


@dataclass(frozen=True)
class Thing:
    """Something that is drawn in T frames.

    Args:
      place: `[T, 2]` its centre; NaN where it is not there.
      radius: of a disc, or half the side of a square.
      colour: red, green, blue in 0..255.
      kind: its shape.
    """

    place: np.ndarray
    radius: float
    colour: tuple[int, int, int]
    kind: Kind = "disc"


@dataclass(frozen=True)
class Bar:
    """An upright rectangle that stands still: from (left, bottom) to (right, top)."""

    left: float
    bottom: float
    right: float
    top: float
    colour: tuple[int, int, int]


def draw(
    frames: int, size: int, things: tuple[Thing, ...], over: tuple[Bar, ...] = ()
) -> np.ndarray:
    """Pictures of things, with bars in front of them.

    Args:
      frames: T.
      size: side of a picture in pixels.
      things: the last one on top.
      over: bars, on top of all things.

    Returns:
      `[T, size, size, 3]` uint8.
    """
    scale = size / ARENA
    rim = max([2, *(int(np.ceil(t.radius * scale)) + 2 for t in things)])
    canvas = np.empty((frames, size + 4 * rim, size + 4 * rim, 3), np.uint8)
    canvas[0] = BACKGROUND
    canvas[1:] = canvas[0]
    for thing in things:
        _stamp(canvas, thing, scale, rim)
    picture = canvas[:, 2 * rim : 2 * rim + size, 2 * rim : 2 * rim + size]
    for bar in over:
        _lay(picture, bar)
    return np.ascontiguousarray(picture)


def _stamp(canvas: np.ndarray, thing: Thing, scale: float, rim: int) -> None:
    """Draws one thing into all frames; only the pixels around it are touched."""
    there = np.isfinite(thing.place).all(1)
    inside = canvas.shape[1] - 2 * rim
    x = thing.place[there, 0] * scale + 2 * rim
    y = (ARENA - thing.place[there, 1]) * scale + 2 * rim
    near = (x > rim) & (x < inside + rim) & (y > rim) & (y < inside + rim)
    frame, x, y = np.flatnonzero(there)[near], x[near], y[near]
    span = np.arange(-rim, rim + 1)
    columns, rows = x.astype(int)[:, None] + span, y.astype(int)[:, None] + span
    cover = _cover(
        thing.kind,
        (columns + 0.5 - x[:, None])[:, None, :],
        (rows + 0.5 - y[:, None])[:, :, None],
        thing.radius * scale,
    )
    where = (frame[:, None, None], rows[:, :, None], columns[:, None, :])
    canvas[where] = _over(canvas[where], thing.colour, cover)


def _over(old: np.ndarray, colour: tuple[int, int, int], cover: np.ndarray) -> np.ndarray:
    """Bytes `[..., 3]` with a colour laid over them, as thick as `cover` `[...]` says."""
    below = old.astype(np.float32)
    mixed = below + cover[..., None].astype(np.float32) * (np.array(colour, np.float32) - below)
    return (mixed + 0.5).astype(np.uint8)


def _cover(kind: Kind, dx: np.ndarray, dy: np.ndarray, radius: float) -> np.ndarray:
    """How much of a pixel at (dx, dy) from the centre is covered, in 0..1."""
    if kind == "square":
        return np.clip(radius - abs(dx) + 0.5, 0, 1) * np.clip(radius - abs(dy) + 0.5, 0, 1)
    return np.clip(radius - np.sqrt(dx**2 + dy**2) + 0.5, 0, 1)


def _lay(picture: np.ndarray, bar: Bar) -> None:
    """Draws a bar into all frames `[T, H, H, 3]`, in place."""
    size = picture.shape[1]
    scale = size / ARENA
    ends = []
    for low, high in ((bar.left, bar.right), (ARENA - bar.top, ARENA - bar.bottom)):
        low, high = max(0.0, low * scale), min(float(size), high * scale)
        pixels = np.arange(int(low), int(np.ceil(high)))
        ends.append((pixels, np.minimum(pixels + 1, high) - np.maximum(pixels, low)))
    (columns, across), (rows, down) = ends
    if not len(columns) or not len(rows):
        return
    part = picture[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part[:] = _over(part, bar.colour, down[:, None] * across)


FAINT = 0.1
"""Less of a colour than this is noise."""
LEAST = 0.3
"""A thing counts as found where the picture holds this share of its area."""


def find(
    frames: np.ndarray, colours: tuple[tuple[int, int, int], ...], radii: np.ndarray
) -> np.ndarray:
    """Where coloured things are, to a fraction of a pixel.

    Each pixel is unmixed into the colours; the thing is where a window of its size holds
    most of its colour, at the centre of what is there.

    Args:
      frames: `[..., H, H, 3]` uint8.
      colours: K of them, none a mixture of the others and the background.
      radii: `[..., K]` how large each thing is, in the arena's units; one for all frames
        where the leading axes are missing.

    Returns:
      `[..., K, 2]` in the arena's units, NaN where a thing was not found.
    """
    lead, size = frames.shape[:-3], frames.shape[-2]
    dark = np.array(BACKGROUND, np.float32)
    unmix = np.linalg.pinv(np.array(colours, np.float32) - dark)
    shares = frames.reshape(-1, 3).astype(np.float32) @ unmix - dark @ unmix
    shares = shares.reshape(-1, size, size, len(colours))
    radii = np.broadcast_to(radii, (*lead, len(colours))).reshape(-1, len(colours))
    found = np.stack(
        [_find_one(shares[..., k], radii[:, k] * size / ARENA) for k in range(len(colours))], 1
    )
    found[..., 1] = size - found[..., 1]
    return (found * ARENA / size).reshape(*lead, len(colours), 2)


ALIKE = 80.0
"""Distance in colour, of 255, at which a pixel is no longer of that colour."""


def find_alike(
    frames: np.ndarray, colours: tuple[tuple[int, int, int], ...], radii: np.ndarray
) -> np.ndarray:
    """Where coloured things are, for more colours than can be unmixed; a little less exactly.

    Args:
      frames: `[F, H, H, 3]` uint8.
      colours: K of them, further than `ALIKE` apart.
      radii: `[K]` in the arena's units.

    Returns:
      `[F, K, 2]`, NaN where a thing was not found.
    """
    size = frames.shape[1]
    found = []
    for colour, radius in zip(colours, radii, strict=True):
        gap = frames.astype(np.float32) - np.array(colour, np.float32)
        share = np.clip(1 - np.sqrt(np.square(gap).sum(-1)) / ALIKE, 0, 1)
        pixels = np.full(len(frames), radius * size / ARENA)
        found.append(_find_one(share, pixels))
    places = np.stack(found, 1)
    places[..., 1] = size - places[..., 1]
    return places * ARENA / size


BLOCK = 4
"""Side of the blocks, in pixels, in which a thing is first looked for."""


def _find_one(share: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """`[F, H, W]` shares of one colour to `[F, 2]` centres (x, y) in pixels."""
    centre = _coarse(share, radius)
    reach = int(np.ceil(radius.max() + 1.5)) + BLOCK
    span = np.arange(-reach, reach + 1)
    padded = np.pad(share, ((0, 0), (reach, reach), (reach, reach)))
    mass = np.zeros(len(share))
    for room in (BLOCK, 2.0, 1.5, 1.5):  # the window closes in on it
        corner = np.clip(centre.astype(int), 0, share.shape[1] - 1)
        columns, rows = corner[:, :1] + span, corner[:, 1:] + span
        seen = padded[
            np.arange(len(share))[:, None, None],
            rows[:, :, None] + reach,
            columns[:, None, :] + reach,
        ]
        across = abs(columns + 0.5 - centre[:, :1]) < (radius + room)[:, None]
        down = abs(rows + 0.5 - centre[:, 1:]) < (radius + room)[:, None]
        weight = np.clip(seen - FAINT, 0, 1 - FAINT)
        weight = weight * across[:, None, :] * down[:, :, None]
        mass = weight.sum((1, 2))
        total = np.maximum(mass, 1e-9)
        x = (weight.sum(1) * (columns + 0.5)).sum(1) / total
        y = (weight.sum(2) * (rows + 0.5)).sum(1) / total
        centre = np.where(mass[:, None] > 0, np.stack([x, y], 1), centre)
    centre[mass < LEAST * np.pi * radius**2] = np.nan
    return centre


def _coarse(share: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """`[F, 2]` the middle of the window of blocks that holds most of a colour.

    A window as wide as the thing: a wider one holds it at many places, and has its middle
    anywhere near.
    """
    size = share.shape[1] // BLOCK
    weight = np.clip(share - FAINT, 0, 1 - FAINT)
    blocks = weight.reshape(-1, size, BLOCK, size, BLOCK).sum((2, 4))
    sides = np.maximum(1, np.round(radius / BLOCK).astype(int))
    peak = np.zeros(len(blocks), int)
    for side in np.unique(sides):
        rows = sides == side
        peak[rows] = _fullest(blocks[rows], int(side))
    return np.stack([peak % size, peak // size], 1) * BLOCK + BLOCK / 2


def _fullest(blocks: np.ndarray, side: int) -> np.ndarray:
    """`[F, S, S]` to `[F]`: which window of `side` blocks to each side of its middle holds most."""
    wide = 2 * side + 1
    total = np.pad(blocks, ((0, 0), (side + 1, side), (side + 1, side))).cumsum(1).cumsum(2)
    held = total[:, wide:, wide:] - total[:, :-wide, wide:]
    held = held - total[:, wide:, :-wide] + total[:, :-wide, :-wide]
    return held.reshape(len(held), -1).argmax(1)
