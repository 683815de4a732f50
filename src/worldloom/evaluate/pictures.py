"""Pictures of dreams beside the truth: the contact sheet, and a clip for each failure.

Knows frames and where to point; not why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT, POINTER = (255, 255, 255), (28, 28, 32), (120, 120, 128), (255, 220, 40)
GAP = 4
SIDE = 128
"""Small frames are enlarged by whole factors to about this many pixels a side."""


@dataclass(frozen=True)
class Pair:
    """A stretch of the truth and the dream of it.

    Args:
      name: of the episode.
      context: `[C, H, W, 3]` uint8, what the world was shown.
      real: `[T, H, W, 3]` what came after.
      dream: `[T, H, W, 3]` what the world thought would come.
    """

    name: str
    context: np.ndarray
    real: np.ndarray
    dream: np.ndarray


def enlarge(frame: np.ndarray, side: int = SIDE) -> Image.Image:
    """A frame `[H, W, 3]` uint8 enlarged by a whole factor, or a large one made smaller."""
    longest = max(frame.shape[:2])
    if longest > 2 * side:
        return Image.fromarray(frame).reduce(-(-longest // (2 * side)))
    factor = max(1, side // longest)
    return Image.fromarray(frame.repeat(factor, 0).repeat(factor, 1))


def contact_sheet(pairs: Sequence[Pair], horizons: Sequence[int]) -> Image.Image:
    """Several episodes, for each the real frames above the dreamed ones.

    Args:
      pairs: one block of two rows each.
      horizons: one column each, after a column with the last context frame.
    """
    cell = enlarge(pairs[0].real[0])
    width, height = cell.width + GAP, cell.height + GAP
    left, top, between = 64, 30, 14
    block = 2 * height + between
    size = left + width * (1 + len(horizons)) + GAP, top + block * len(pairs)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    titles = ["context", *(f"+{h}" for h in horizons)]
    for column, title in enumerate(titles):
        draw.text((left + column * width + 2, 8), title, INK, font=_font(14))
    for index, pair in enumerate(pairs):
        y = top + index * block
        for row, (word, frames) in enumerate((("real", pair.real), ("dream", pair.dream))):
            at = y + row * height
            draw.text((8, at + cell.height // 2 - 14), word, INK, font=_font(14))
            shown = [pair.context[-1], *(frames[h - 1] for h in horizons)]
            for column, frame in enumerate(shown):
                sheet.paste(enlarge(frame), (left + column * width, at))
        draw.text((8, y + cell.height // 2 + 4), pair.name.split("-")[0], FAINT, font=_font(11))
    return sheet


Places = Mapping[int, tuple[float, float]]
"""Where a mistake is in each frame that has it: frame to (x, y) in pixels of the picture."""


def clip_frames(pair: Pair, *, first: int, last: int, at: Places) -> list[Image.Image]:
    """Real beside dream, one picture a frame, with a box where the mistake is.

    Args:
      pair: the rollout.
      first: first frame shown, 1 is the first predicted one; below 1 is context.
      last: last frame shown.
      at: where the box is drawn.
    """
    pictures = []
    for frame in range(first, last + 1):
        shown = frame < 1
        real = pair.context[frame - 1] if shown else pair.real[frame - 1]
        dream = real if shown else pair.dream[frame - 1]
        label = "context" if shown else f"dream +{frame}"
        pictures.append(_side_by_side(real, dream, label, at.get(frame)))
    return pictures


def strip(pair: Pair, frames: Sequence[int], *, at: Places) -> Image.Image:
    """The same as `clip_frames` for some frames, laid out from left to right on one picture."""
    cell = enlarge(pair.real[0])
    width, height, left, top = cell.width + GAP, cell.height + GAP, 64, 26
    sheet = Image.new("RGB", (left + width * len(frames), top + 2 * height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, (word, source) in enumerate((("real", pair.real), ("dream", pair.dream))):
        draw.text((8, top + row * height + cell.height // 2 - 9), word, INK, font=_font(14))
        for column, frame in enumerate(frames):
            picture = enlarge(source[frame - 1])
            if frame in at:
                _point(picture, source.shape[2], at[frame])
            sheet.paste(picture, (left + column * width, top + row * height))
            if row == 0:
                draw.text((left + column * width + 2, 6), f"+{frame}", INK, font=_font(14))
    return sheet


def save_gif(pictures: Sequence[Image.Image], path: str, *, fps: float) -> None:
    """An animated picture that repeats for ever and rests on its last frame."""
    # GIF counts in hundredths of a second, and viewers slow down what is below two.
    step = max(20, round(1000 / fps / 10) * 10)
    pace = [step] * (len(pictures) - 1) + [max(step, 1000)]
    head, *tail = [p.quantize(255, dither=Image.Dither.NONE) for p in pictures]
    head.save(path, format="GIF", save_all=True, append_images=tail, duration=pace, loop=0)


def _side_by_side(
    real: np.ndarray, dream: np.ndarray, label: str, at: tuple[float, float] | None
) -> Image.Image:
    pair = [enlarge(frame, 2 * SIDE) for frame in (real, dream)]
    width, height, top = pair[0].width, pair[0].height, 26
    sheet = Image.new("RGB", (2 * width + 3 * GAP, top + height + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, (word, picture) in enumerate(zip(("real", label), pair, strict=True)):
        x = GAP + column * (width + GAP)
        if at is not None:
            _point(picture, real.shape[1], at)
        sheet.paste(picture, (x, top))
        draw.text((x + 2, 5), word, INK, font=_font(15))
    return sheet


def _point(picture: Image.Image, width: int, at: tuple[float, float]) -> None:
    """Draws a box around a place that is given in pixels of the frame before it was enlarged."""
    factor = picture.width / width
    half = factor * width / 10
    x, y = (factor * v for v in at)
    box = (x - half, y - half, x + half, y + half)
    draw = ImageDraw.Draw(picture)
    draw.rectangle(box, outline=INK, width=4)
    draw.rectangle(box, outline=POINTER, width=2)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
