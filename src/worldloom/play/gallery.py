"""The starts that one can choose from, as one sheet of small pictures.

A dream's starts are pictures already; a real world is entered once for each. Knows the
session; no socket.
"""

import io
from collections.abc import Sized

import numpy as np
from PIL import Image

from worldloom.play.session import Session

MOST = 24  # starts in a gallery; any further one is reached by its number
SEEDS = 12  # so many where they never end: each has to be entered once
SIDE = 96  # the longer side of a small picture, where frames are larger


def count(session: Session) -> int:
    """How many starts the gallery shows: seeds 0 and up."""
    starts = session.make_start
    return min(MOST, len(starts)) if isinstance(starts, Sized) else SEEDS


def picture(session: Session, seed: int) -> np.ndarray:
    """What the start of `seed` looks like, `[h, w, 3]` uint8, small. A real world is entered."""
    clip = session.make_start(seed)
    frames = clip.frames.get(session.camera)
    if frames is None:
        state = session.start(seed)
        image = session.draw(state).image
        session.release(state)
    else:
        image = np.asarray(frames[0, -1].cpu().numpy(), np.uint8)
    return _small(image)


def sheet(pictures: list[np.ndarray]) -> bytes:
    """Pictures of one size beside each other, in one PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(pictures, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def _small(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    if scale == 1.0:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
