"""A lie to look at: what reality said beside what the world said, as a moving picture.

Lossless WebP: exact where pictures are small, and every browser shows it without a script.
Knows episodes and Pillow; knows neither page nor report.
"""

import io

import numpy as np
from PIL import Image

from worldloom.data.types import Episode

MOST = 64
"""Frames of a film; of a longer lie its end is shown."""

GAP = 2
"""Pixels between the two sides."""

FIRST, LAST = 600, 1200
"""Milliseconds for which the frame before the lie, and the last one, are held."""


def panes(dream: Episode, real: Episode | None, start: int, most: int = MOST) -> np.ndarray:
    """Both sides of a lie from the last frame before it on, reality on the left.

    Where reality ended sooner its last frame stays, dimmed; where it is unknown there is the
    dream alone.

    Args:
      dream: what the world said.
      real: what reality said, from the same frame on.
      start: index of the first frame that the world made up.
      most: at most so many frames, the last ones.

    Returns:
      `[T, H, W or 2 W + GAP, 3]` uint8.
    """
    first = max(start - 1, len(dream) - most)
    shown = _frames(dream)[first:]
    if real is None:
        return shown
    frames = _frames(real)
    rows = np.arange(first, len(dream))
    beside = frames[np.minimum(rows, len(frames) - 1)].copy()
    beside[rows >= len(frames)] //= 3
    between = np.full((*shown.shape[:2], GAP, 3), 128, np.uint8)
    return np.concatenate([beside, between, shown], axis=2)


def moving(frames: np.ndarray, fps: float) -> bytes:
    """Frames `[T, H, W, 3]` as a WebP that repeats for ever and rests at both ends."""
    pictures = [Image.fromarray(frame) for frame in frames]
    pace = [round(1000 / fps)] * len(pictures)
    pace[0], pace[-1] = max(pace[0], FIRST), max(pace[-1], LAST)
    buffer = io.BytesIO()
    kind = {"lossless": True, "method": 0, "loop": 0, "save_all": True}
    pictures[0].save(buffer, "WEBP", append_images=pictures[1:], duration=pace, **kind)
    return buffer.getvalue()


def still(frames: np.ndarray) -> bytes:
    """The last of frames `[T, H, W, 3]`, as a WebP that does not move."""
    buffer = io.BytesIO()
    Image.fromarray(frames[-1]).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def _frames(episode: Episode) -> np.ndarray:
    """The main camera's, or the only one's."""
    cameras = episode.frames
    return cameras["main"] if "main" in cameras else next(iter(cameras.values()))
