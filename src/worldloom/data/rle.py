"""QuickTime RLE of small, mostly still pictures, a whole stretch of frames at once.

The packets are those of any encoder of this codec, and any player decodes them.
An encoder in C walks over every pixel of every line that changed; where little
changes, numpy is faster: it finds the few changed pixels of many frames in a
dozen passes. Where much changes it is slower, and `calm` says so.

A frame names the lines it changes. A line is a column to start from, then codes:
n > 0 and n pixels, -n < -1 and one pixel to repeat n times, 0 and a number of
pixels to leave as they are, -1 for its end. (The format adds 1 to columns and skips.)
"""

import struct
from dataclasses import dataclass

import numpy as np

WIDEST = 128  # columns that a single code spans, all but
_CALM = 0.06  # of the pixels: with more of them changed, an encoder in C is faster
_LOOKS = 32  # pairs of frames that `calm` compares
_CHUNK = 256  # frames at once: fewer cost calls, more leave the processor's cache
_BLOCK = 8  # pixels that are compared as three words of 8 bytes

_WHOLE = struct.Struct(">IH")  # length and flags of a packet with every line
_PART = struct.Struct(">I5H")  # of one with some: first line, 0, how many, 0
_SAME = _WHOLE.pack(7, 0) + b"\0"
_END, _SKIP, _AT_START = 255, 0, 1


@dataclass(frozen=True)
class _Lines:
    """Encoded lines, in units: the changed lines of a frame, or single whole lines.

    Args:
      units: `[U]` which units there are, ascending.
      first: `[U]` first line that each changes.
      last: `[U]` last line that each changes.
      ends: `[U]` where in `data` each ends; it begins where the one before ends.
      data: bytes of all units.
    """

    units: list[int]
    first: list[int]
    last: list[int]
    ends: list[int]
    data: bytes


def calm(frames: np.ndarray) -> bool:
    """Whether so little moves in `[T, H, W, 3]` that this encoder is the faster one."""
    if frames.shape[2] > WIDEST:
        return False
    step = max(1, (len(frames) - 1) // _LOOKS)
    moved = frames[1::step] != frames[: len(frames) - 1 : step]
    return np.count_nonzero(moved) <= _CALM * moved.size


def packets(frames: np.ndarray, *, keyframe_every: int) -> list[bytes]:
    """One packet for each frame.

    Args:
      frames: `[T, H, W, 3]` uint8 RGB, W at most 128.
      keyframe_every: a frame whose index divides by this can be decoded by itself.
    """
    count, height, width, _ = frames.shape
    padded = -width % _BLOCK
    if padded:  # columns that never change, and so are never written
        frames = np.pad(frames, ((0, 0), (0, 0), (0, padded), (0, 0)))
    frames = np.ascontiguousarray(frames)
    lines = [b""] * height  # of the newest key frame: few of them differ in the next one
    found: list[bytes] = []
    for begin in range(0, count, _CHUNK):
        end = min(begin + _CHUNK, count)
        keys = range(-(-begin // keyframe_every) * keyframe_every, end, keyframe_every)
        delta = _delta_lines(frames, begin, end, keys)
        whole = _whole_lines(frames, keys, width)
        chunk = [_SAME] * (end - begin)
        _put_parts(chunk, delta)
        _put_keys(chunk, whole, [key - begin for key in keys], lines)
        found += chunk
    return found


def _put_parts(chunk: list[bytes], lines: _Lines) -> None:
    """Makes packets of the lines that changed."""
    at = 0
    for frame, first, last, end in zip(
        lines.units, lines.first, lines.last, lines.ends, strict=True
    ):
        head = _PART.pack(_PART.size + end - at + 1, 8, first, 0, last - first + 1, 0)
        chunk[frame] = head + lines.data[at:end] + b"\0"
        at = end


def _put_keys(chunk: list[bytes], fresh: _Lines, keys: list[int], lines: list[bytes]) -> None:
    """Makes packets of key frames: the lines of the one before, but for the fresh ones."""
    at, height = 0, len(lines)
    rest = iter(zip(fresh.units, fresh.ends, strict=True))
    unit, end = next(rest, (-1, 0))
    for place, key in enumerate(keys):
        while unit // height == place:
            lines[unit % height] = fresh.data[at:end]
            at = end
            unit, end = next(rest, (-1, 0))
        body = b"".join(lines)
        chunk[key] = _WHOLE.pack(_WHOLE.size + len(body) + 1, 0) + body + b"\0"


def _delta_lines(frames: np.ndarray, begin: int, end: int, keys: range) -> _Lines:
    """What frames `begin` to `end` change; units are frames from `begin`, without key frames."""
    height, blocks = frames.shape[1], frames.shape[2] // _BLOCK
    begin_at = max(begin, 1)
    now, before = frames[begin_at:end], frames[begin_at - 1 : end - 1]
    moved = _words(now) != _words(before)
    by_frame = moved.reshape(len(now), 3 * blocks * height)
    for key in keys:
        if key >= begin_at:
            by_frame[key - begin_at] = False
    block = np.flatnonzero(moved) // 3
    block = block[np.flatnonzero(np.diff(block, prepend=-1))]
    pixels = now.reshape(-1, 3 * _BLOCK)[block]
    changed = (pixels != before.reshape(-1, 3 * _BLOCK)[block]).reshape(-1, 3)
    which = np.flatnonzero(changed[:, 0] | changed[:, 1] | changed[:, 2])
    # A place is line * stride + column, with a column more than there are: the last pixel
    # of a line and the first of the next are no neighbours.
    corner = block * _BLOCK + block // blocks
    place = corner[which // _BLOCK] + which % _BLOCK
    stride = blocks * _BLOCK + 1
    coded = _encode(pixels.reshape(-1, 3)[which], place, stride=stride, height=height)
    shift = begin_at - begin
    units = [unit + shift for unit in coded.units]
    return _Lines(units, coded.first, coded.last, coded.ends, coded.data)


def _whole_lines(frames: np.ndarray, keys: range, width: int) -> _Lines:
    """Lines of key frames that the key frame before has not; unit = key * height + line."""
    height, padded = frames.shape[1:3]
    shape = len(keys), height, padded * 3
    now = frames[keys.start : keys.stop : keys.step].reshape(shape)
    fresh = np.ones((len(keys), height), bool)
    if len(keys) and keys.start:
        before = frames[keys.start - keys.step : keys.stop - keys.step : keys.step]
        fresh = (now != before.reshape(shape)).any(2)
    elif len(keys):
        fresh[1:] = (now[1:] != now[:-1]).any(2)
    unit = np.flatnonzero(fresh)
    pixels = now.reshape(len(keys) * height, padded, 3)[unit, :width].reshape(-1, 3)
    stride = width + 1
    place = (unit[:, None] * stride + np.arange(width)).reshape(-1)
    return _encode(pixels, place, stride=stride, height=1)


def _words(frames: np.ndarray) -> np.ndarray:
    """Pixels as flat words of 8 bytes."""
    return frames.reshape(-1, 8).view(np.uint64)[:, 0]


def _encode(pixels: np.ndarray, place: np.ndarray, *, stride: int, height: int) -> _Lines:
    """Encodes pixels that are to be written, and leaves all others as they are.

    Args:
      pixels: `[N, 3]` uint8.
      place: `[N]` ascending, line * stride + column, with columns below stride - 1.
      stride: see `place`.
      height: lines of a unit.
    """
    count = len(place)
    if count == 0:
        return _Lines([], [], [], [], b"")
    colour = np.zeros((count, 4), np.uint8)
    colour[:, :3] = pixels
    value = colour.view(np.uint32)[:, 0]
    # Groups: neighbours of one colour. Each writes its colour once.
    apart = np.ones(count, bool)
    np.not_equal(np.diff(place), 1, out=apart[1:])
    start = apart.copy()
    start[1:] |= value[1:] != value[:-1]
    group = np.flatnonzero(start)
    length = np.diff(group, append=count)
    line, column = np.divmod(place[group], stride)
    single = length == 1
    # Codes: a group of several pixels, or single pixels side by side, at most 127.
    first = apart[group] | ~single
    first[1:] |= ~single[:-1]
    if stride > WIDEST:
        first |= column == WIDEST - 1
    code = np.flatnonzero(first)
    last = np.append(code[1:], len(group)) - 1
    many = np.where(single[code], last - code + 1, 256 - length[code])
    return _write(
        colour[group],
        _Codes(code, last, many.astype(np.uint8), line[code], column[code]),
        column[last] + length[last],
        height,
    )


@dataclass(frozen=True)
class _Codes:
    """Codes that write pixels, all `[C]`.

    Args:
      first: index of the first group of each.
      last: index of its last group.
      many: the code itself.
      line: that it is in.
      column: of its first pixel.
    """

    first: np.ndarray
    last: np.ndarray
    many: np.ndarray
    line: np.ndarray
    column: np.ndarray


def _write(colour: np.ndarray, codes: _Codes, behind: np.ndarray, height: int) -> _Lines:
    """Lays codes and colours out as bytes.

    Args:
      colour: `[G, >= 3]` of each group.
      codes: that write them.
      behind: `[C]` column after the last pixel of each code.
      height: lines of a unit.
    """
    down = np.diff(codes.line, prepend=-1)
    unit = codes.line // height if height > 1 else codes.line
    opens = np.diff(unit, prepend=-1) != 0
    closes = np.append(opens[1:], True)
    leads = (down != 0) | opens
    gap = codes.column.copy()
    gap[1:] -= np.where(leads[1:], 0, behind[:-1])
    # Before a code: its line's column, after the end of the line before and of lines that
    # stay (a column and an end each); or pixels to skip.
    before = np.where(leads, 2 * down, 2 * (gap > 0))
    before[opens] = 1
    size = np.full(len(colour), 3)
    size[codes.first] += before + 1
    size[codes.last[closes]] += 1
    stop = np.cumsum(size)
    data = np.full(stop[-1], _AT_START, np.uint8)
    pixel = stop - size
    begin = pixel[codes.first]
    at = begin + before
    pixel[codes.first] = at + 1
    for channel in range(3):
        data[pixel + channel] = colour[:, channel]
    data[at] = codes.many
    data[at[leads] - 1] = codes.column[leads] + 1
    skips = np.flatnonzero(~leads & (gap > 0))
    data[begin[skips]] = _SKIP
    data[begin[skips] + 1] = gap[skips] + 1
    inner = np.flatnonzero(leads & ~opens)
    ends = np.repeat(begin[inner], down[inner])
    data[ends + 2 * _steps(down[inner])] = _END
    stops = stop[codes.last[closes]]
    data[stops - 1] = _END
    return _Lines(
        unit[opens].tolist(),
        (codes.line[opens] % height).tolist(),
        (codes.line[closes] % height).tolist(),
        stops.tolist(),
        data.tobytes(),
    )


def _steps(counts: np.ndarray) -> np.ndarray:
    """0 to n - 1 for each n of `[K]` counts, one after another."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
