"""A visitor's own image as a start: bytes from anywhere in, one frame of the world out.

Nothing about the bytes is believed: the type is found from their content, their number and
the number of pixels are bounded before anything is decoded, and every way in which a decoder
can fail becomes one sentence. Knows Pillow and numpy; no socket and no world.
"""

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

from worldloom.errors import WorldloomError

MAX_BYTES = 12 * 2**20
MAX_PIXELS = 40_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")

_HINT = "choose a PNG, JPEG, WebP, GIF or BMP picture"
# What Pillow's decoders raise on bytes that are broken or meant to break them.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def frame_from(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """The picture in `data`, cropped around its middle and scaled to a frame.

    Of an animation the first picture is taken; transparent parts become white; a camera's
    orientation is obeyed.

    Args:
      data: a whole file.
      size: (height, width) of the world's frames.

    Returns:
      `[H, W, 3]` uint8.

    Raises:
      WorldloomError: too large, of no known type, or broken.
    """
    check_size(len(data))
    try:
        with _opened(data) as image:
            return _fit(_flat(_decoded(image, size)), size)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_many_pixels() from error
    except Image.UnidentifiedImageError as error:
        raise WorldloomError("this file is no picture that can be read here", _HINT) from error
    except _BROKEN as error:
        raise WorldloomError("this picture is damaged or cut off", "choose another") from error


def check_size(count: int) -> None:
    """Raises one sentence where so many bytes are none, or too many."""
    if count == 0:
        raise WorldloomError("the file is empty", _HINT)
    if count > MAX_BYTES:
        raise WorldloomError(
            f"the picture is larger than {MAX_BYTES >> 20} MB", "make it smaller, then try again"
        )


def _opened(data: bytes) -> Image.Image:
    """The picture with its header read and nothing decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels()
    return image


def _decoded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The first picture, upright."""
    # A JPEG can be decoded at a half, a quarter or an eighth: no smaller than twice what is needed.
    image.draft("RGB", (2 * max(size), 2 * max(size)))
    image.load()
    return ImageOps.exif_transpose(image)


def _flat(image: Image.Image) -> Image.Image:
    """The picture as RGB, over white where it is transparent."""
    if image.mode.startswith("I"):  # 16 bits of grey: `convert` would cut them off at 255
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)).convert(
            "RGB"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _fit(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    whole = image.width % width == 0 == image.height % height
    if whole and image.width * height == image.height * width:
        method = Image.Resampling.BOX  # exact for a frame that was enlarged pixel by pixel
    else:
        larger = image.width > width and image.height > height
        method = Image.Resampling.LANCZOS if larger else Image.Resampling.BICUBIC
    return np.asarray(ImageOps.fit(image, (width, height), method), np.uint8).copy()


def _too_many_pixels() -> WorldloomError:
    return WorldloomError(
        f"the picture has more than {MAX_PIXELS // 10**6} million pixels",
        "make it smaller, then try again",
    )
