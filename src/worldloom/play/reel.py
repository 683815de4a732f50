"""Frames to a film that others can watch: MP4 or GIF, enlarged pixel by pixel, bounded in size.

Frames are added one at a time, so that memory stays small. Knows PyAV, Pillow and numpy; no
session and no socket.
"""

import io
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import av
import numpy as np
from PIL import Image

Kind = Literal["mp4", "gif"]
KINDS: tuple[Kind, ...] = ("mp4", "gif")
MEDIA = {"mp4": "video/mp4", "gif": "image/gif"}

# The longer side of a film, and the pixels of all its frames together.
_SIDE = {"mp4": 1280, "gif": 640}
_PIXELS = {"mp4": 500_000_000, "gif": 80_000_000}
# Viewers show a GIF's frames for 1/50 s at least.
_FASTEST_GIF = 50


def scale_for(kind: Kind, size: tuple[int, int], *, frames: int, wished: int) -> int:
    """The largest whole enlargement up to `wished` that keeps the film within bounds.

    Args:
      size: (height, width) of a frame.
      frames: how many there are.
    """
    scale = max(1, min(wished, _SIDE[kind] // max(size)))
    while scale > 1 and frames * size[0] * size[1] * scale**2 > _PIXELS[kind]:
        scale -= 1
    return scale


class Reel:
    """A film in the making.

    Args:
      kind: "mp4" (H.264, plays everywhere) or "gif".
      size: (height, width) of the frames that will be added.
      fps: frames a second at which it is to be shown.
      scale: whole number by which every pixel is enlarged.
    """

    def __init__(self, kind: Kind, size: tuple[int, int], *, fps: float, scale: int = 1) -> None:
        self.kind: Kind = kind
        self.size = (size[0] * scale, size[1] * scale)
        self.frames = 0
        self._film = _Mp4(self.size, fps) if kind == "mp4" else _Gif(self.size, fps)
        self._scale = scale

    def add(self, image: np.ndarray) -> None:
        """The next frame, `[H, W, 3]` uint8."""
        self._film.add(image, self._scale)
        self.frames += 1

    def finish(self) -> bytes:
        """The whole file. At least one frame must have been added, and none may follow."""
        return self._film.finish()


class _Mp4:
    def __init__(self, size: tuple[int, int], fps: float) -> None:
        self._buffer = io.BytesIO()
        self._container = av.open(self._buffer, "w", format="mp4")
        rate = Fraction(fps).limit_denominator(1000)
        choices = {"crf": "16", "preset": "veryfast"}
        self._stream: Any = self._container.add_stream("libx264", rate=rate, options=choices)
        self._stream.height, self._stream.width = (side + side % 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.thread_count = 1  # the other core has a world to run
        self._tick, self._count = 1 / rate, 0

    def add(self, image: np.ndarray, scale: int) -> None:
        large = image.repeat(scale, 0).repeat(scale, 1)
        odd = [(0, side % 2) for side in large.shape[:2]]
        large = np.ascontiguousarray(np.pad(large, (*odd, (0, 0)), mode="edge"))
        frame = av.VideoFrame.from_ndarray(large, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = self._count, self._tick
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._buffer.getvalue()


class _Gif:
    def __init__(self, size: tuple[int, int], fps: float) -> None:
        self._size = (size[1], size[0])
        self._every = max(1, -(-fps // _FASTEST_GIF))
        self._fps = fps
        self._kept: list[Image.Image] = []
        self._count = 0

    def add(self, image: np.ndarray, scale: int) -> None:
        del scale  # kept as it is: 256 colours are found sooner, and it is enlarged when written
        if self._count % self._every == 0:
            picture = Image.fromarray(image)
            self._kept.append(picture.quantize(256, dither=Image.Dither.NONE))
        self._count += 1

    def finish(self) -> bytes:
        """A GIF counts in 1/100 s: every frame begins at the nearest one, so that none drifts."""
        begins = [round(100 * self._every * i / self._fps) for i in range(len(self._kept) + 1)]
        lasts = [10 * (after - begin) for begin, after in pairwise(begins)]
        large = (frame.resize(self._size, Image.Resampling.NEAREST) for frame in self._kept)
        buffer = io.BytesIO()
        next(large).save(
            buffer,
            "GIF",
            save_all=True,
            append_images=large,
            duration=lasts,
            loop=0,
            optimize=False,
        )
        return buffer.getvalue()
