"""A QuickTime file around packets that are ready: what every player opens.

Knows the boxes of the format and nothing of pixels. Muxing through PyAV gives
the same, and takes longer a packet than small packets take to encode.
"""

import struct
from collections.abc import Sequence
from fractions import Fraction

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)  # upright
_TYPE = b"qt  \0\0\2\0qt  "
_HERE = 1  # flag of a data reference: in this very file


def movie(
    packets: Sequence[bytes],
    *,
    codec: bytes,
    size: tuple[int, int],
    rate: Fraction,
    keyframe_every: int,
) -> bytes:
    """One video track.

    Args:
      packets: of the frames, in order.
      codec: four letters, for example b"rle ".
      size: (height, width).
      rate: frames a second.
      keyframe_every: a frame whose index divides by this can be decoded by itself.
    """
    head = _box(b"ftyp", _TYPE)
    data = b"".join(packets)
    # The size in 64 bits, as the box may grow beyond 4 GiB.
    data_head = struct.pack(">I4sQ", 1, b"mdat", 16 + len(data))
    table = _samples(packets, len(head) + len(data_head), keyframe_every, rate)
    entry = _entry(codec, size)
    return b"".join((head, data_head, data, _movie_box(len(packets), size, rate, entry + table)))


def _movie_box(count: int, size: tuple[int, int], rate: Fraction, table: bytes) -> bytes:
    """Everything but the packets: clocks, the picture's size, and where each frame is."""
    clock, length = rate.numerator, count * rate.denominator
    height, width = size
    header = struct.pack(">4I2I10x", 0, 0, clock, length, 0x10000, 0x01000000)
    track = struct.pack(">5I8x4H", 0, 0, 1, 0, length, 0, 0, 0, 0)
    track += _MATRIX + struct.pack(">2I", width << 16, height << 16)
    media = _full(b"mdhd", struct.pack(">4I2H", 0, 0, clock, length, 0x7FFF, 0))
    media += _full(b"hdlr", b"mhlrvide" + bytes(13))
    reference = _box(b"dinf", _full(b"dref", struct.pack(">I", 1) + _full(b"url ", b"", _HERE)))
    information = _full(b"vmhd", bytes(8), 1) + reference + _box(b"stbl", table)
    return _box(
        b"moov",
        _full(b"mvhd", header + _MATRIX + bytes(24) + struct.pack(">I", 2)),
        _box(
            b"trak",
            _full(b"tkhd", track, 3),  # enabled, and part of the movie
            _box(b"mdia", media, _box(b"minf", information)),
        ),
    )


def _entry(codec: bytes, size: tuple[int, int]) -> bytes:
    """What kind of frames: 24 bits a pixel, 72 pixels an inch."""
    height, width = size
    entry = struct.pack(">6xH16x2H2I4xH32xHh", 1, width, height, 72 << 16, 72 << 16, 1, 24, -1)
    return _full(b"stsd", struct.pack(">I", 1) + _box(codec, entry))


def _samples(packets: Sequence[bytes], offset: int, keyframe_every: int, rate: Fraction) -> bytes:
    """How long each frame is seen, which are key frames, where they lie and how large they are."""
    count = len(packets)
    keys = range(1, count + 1, keyframe_every)
    sizes = list(map(len, packets))
    return (
        _full(b"stts", struct.pack(">3I", 1, count, rate.denominator))
        + _full(b"stss", struct.pack(f">{1 + len(keys)}I", len(keys), *keys))
        + _full(b"stsc", struct.pack(">4I", 1, 1, count, 1))  # one chunk holds them all
        + _full(b"stsz", struct.pack(f">{2 + count}I", 0, count, *sizes))
        + _full(b"stco", struct.pack(">2I", 1, offset))
    )


def _full(kind: bytes, content: bytes, flags: int = 0) -> bytes:
    """A box with version 0 and flags."""
    return _box(kind, struct.pack(">I", flags), content)


def _box(kind: bytes, *content: bytes) -> bytes:
    """A box: its length, its name, and what is in it."""
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)
