"""Frames to a video file and back, addressed by integer frame index.

Knows PyAV and numpy; knows nothing of stores or episodes. Small frames are
kept bit-exact with QuickTime RLE: of the lossless codecs measured it is the
fastest both ways and among the smallest on drawn pictures, which is what small
environments show. Where little moves it is encoded by `data/rle.py`, three times
as fast. Float timestamps are never used to find a frame.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Literal

import av
import numpy as np
from av.error import FFmpegError

from worldloom.data import mov, rle
from worldloom.errors import WorldloomError

Codec = Literal["lossless", "h264", "av1"]

# A window of 16 frames then decodes about 24, and key frames stay a small part of the file.
KEYFRAME_EVERY = 16
SMALL = 128

_SETTINGS: dict[str, tuple[str, str, dict[str, str]]] = {
    "lossless": ("qtrle", "rgb24", {}),
    "h264": ("libx264", "yuv420p", {"crf": "18", "preset": "veryfast", "sc_threshold": "0"}),
    "av1": ("libsvtav1", "yuv420p", {"crf": "28", "preset": "10", "svtav1-params": "lp=1"}),
}
_SUFFIX = {"lossless": ".mov", "h264": ".mp4", "av1": ".mp4"}

# Players gain nothing above this rate and AV1 refuses it; frames are found by index anyway.
_FASTEST = 240


def codec_for(size: tuple[int, int], setting: Codec) -> Codec:
    """The codec of a camera: lossless up to 128x128, else what the store's setting says."""
    return "lossless" if max(size) <= SMALL else setting


def suffix(codec: Codec) -> str:
    """The ending of a video file's name."""
    return _SUFFIX[codec]


def encode(target: Path | BinaryIO, frames: np.ndarray, *, fps: float, codec: Codec) -> None:
    """Writes frames as one video.

    Args:
      target: a path or an open binary file that can seek.
      frames: `[T, H, W, 3]` uint8 RGB, T at least 1.
      fps: the rate at which players show it.
      codec: "lossless" is bit-exact; the others are close to what the eye sees.
    """
    rate = min(Fraction(fps).limit_denominator(1000), Fraction(_FASTEST))
    if codec == "lossless" and rle.calm(frames):
        film = _still_film(frames, rate)
        target.write_bytes(film) if isinstance(target, Path) else target.write(film)
    else:
        _encode_each(target, frames, rate, codec)


def _still_film(frames: np.ndarray, rate: Fraction) -> bytes:
    """A file of frames of which little moves."""
    packets = rle.packets(frames, keyframe_every=KEYFRAME_EVERY)
    size = frames.shape[1], frames.shape[2]
    return mov.movie(packets, codec=b"rle ", size=size, rate=rate, keyframe_every=KEYFRAME_EVERY)


def _encode_each(target: Path | BinaryIO, frames: np.ndarray, rate: Fraction, codec: Codec) -> None:
    """Encodes frame by frame through PyAV."""
    name, pixels, options = _SETTINGS[codec]
    if pixels == "yuv420p":
        frames = _pad_to_even(frames)
    to = str(target) if isinstance(target, Path) else target
    with av.open(to, "w", format=_SUFFIX[codec][1:]) as container:
        stream: Any = container.add_stream(name, rate=rate, options=dict(options))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.codec_context.gop_size = KEYFRAME_EVERY
        stream.codec_context.max_b_frames = 0
        tick = 1 / rate
        for index, picture in enumerate(np.ascontiguousarray(frames)):
            frame = av.VideoFrame.from_numpy_buffer(picture, format="rgb24")
            frame = frame if pixels == "rgb24" else frame.reformat(format=pixels)
            frame.pts, frame.time_base = index, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def decode(
    source: Path,
    start: int = 0,
    stop: int | None = None,
    *,
    size: tuple[int, int] | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Reads frames `start` to `stop` of one video, decoding from the key frame before.

    Args:
      source: a file that `encode` wrote.
      start: index of the first frame.
      stop: index after the last frame; None reads to the end.
      size: (height, width) of the frames that were encoded, which differs from
        the file's where a codec needed an even number of pixels.
      out: `[stop - start, H, W, 3]` uint8 to write into, for example a memory map.

    Returns:
      `[stop - start, H, W, 3]` uint8: `out` where given.

    Raises:
      WorldloomError: the file is missing, broken, or ends before `stop`.
    """
    try:
        with av.open(str(source)) as container:
            return _read(container, source, (start, stop), size, out)
    except (FFmpegError, IndexError) as error:
        raise WorldloomError(f"video `{source}` cannot be read: {error}") from error


def count(source: Path) -> tuple[int, int, int]:
    """How many frames a video says it has, and their height and width, without decoding."""
    try:
        with av.open(str(source)) as container:
            stream = container.streams.video[0]
            return stream.frames, stream.height, stream.width
    except (FFmpegError, IndexError) as error:
        raise WorldloomError(f"video `{source}` cannot be read: {error}") from error


def _read(
    container: Any,
    source: Path,
    span: tuple[int, int | None],
    size: tuple[int, int] | None,
    out: np.ndarray | None,
) -> np.ndarray:
    """Decodes a span of frames of an open container."""
    stream = container.streams.video[0]
    start, stop = span[0], stream.frames if span[1] is None else span[1]
    if not 0 <= start <= stop <= stream.frames:
        raise WorldloomError(
            f"video `{source}` has {stream.frames} frames, asked for {start} to {stop}"
        )
    height, width = size or (stream.height, stream.width)
    if height > stream.height or width > stream.width:
        raise WorldloomError(
            f"video `{source}` is {stream.height}x{stream.width}, expected {height}x{width}"
        )
    frames = np.empty((stop - start, height, width, 3), np.uint8) if out is None else out
    if start == stop:
        return frames
    step = stream.time_base * stream.average_rate  # frames a tick
    up, down = step.numerator, step.denominator
    if start:
        container.seek(start * down // up, stream=stream)
    found = 0
    for frame in container.decode(stream):
        index = (2 * frame.pts * up + down) // (2 * down)  # the nearest
        if index >= start:
            frames[index - start] = frame.to_ndarray(format="rgb24")[:height, :width]
            found += 1
        if index >= stop - 1:
            break
    if found != stop - start:
        raise WorldloomError(f"video `{source}` holds {found} of frames {start} to {stop}")
    return frames


def _pad_to_even(frames: np.ndarray) -> np.ndarray:
    """Repeats the last row and column where a height or a width is odd."""
    height, width = frames.shape[1:3]
    if height % 2 == 0 and width % 2 == 0:
        return frames
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
