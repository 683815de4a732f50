"""QuickTime RLE in numpy: ffmpeg decodes it to the same bytes, from every key frame."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.data import mov, rle, video


def film(frames: np.ndarray, rate: Fraction = Fraction(20)) -> bytes:
    """A file of frames, however much moves in them."""
    packets = rle.packets(frames, keyframe_every=16)
    size = frames.shape[1], frames.shape[2]
    return mov.movie(packets, codec=b"rle ", size=size, rate=rate, keyframe_every=16)


def pictures(kind: str, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Frames `[*shape, 3]` in which a little, much or nothing changes."""
    rng = np.random.default_rng(seed)
    count, height, width = shape
    frames = np.repeat(rng.integers(0, 3, (1, height, width, 3), dtype=np.uint8), count, 0)
    if kind == "noise":
        frames = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    elif kind == "coarse":  # runs, skips and single pixels in every order
        frames = np.where(rng.random((*shape, 1)) < 0.3, rng.integers(0, 2, (*shape, 3)), 9)
        frames = frames.astype(np.uint8)
    elif kind == "flat":  # a run over the whole line, and now and then another colour
        frames = np.repeat(np.repeat(rng.integers(0, 2, (count, 1, 1, 3)), height, 1), width, 2)
        frames = (frames * 255).astype(np.uint8)
    elif kind == "moving":
        for t in range(count):
            frames[t, (2 * t) % height :: 9, (3 * t) % width : (3 * t) % width + 5] = t % 256
    elif kind == "sparse":
        for t in range(1, count):
            frames[t] = frames[t - 1]
            for _ in range(rng.integers(0, 4)):
                y, x = rng.integers(0, height), rng.integers(0, width)
                frames[t, y, x] = rng.integers(0, 256, 3)
    return frames


KINDS = ["noise", "coarse", "flat", "moving", "sparse", "still"]


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 128)),
    st.data(),
)
def test_ffmpeg_decodes_the_same_bytes(tmp_path_factory, kind, shape, data):
    frames = pictures(kind, shape, data.draw(st.integers(0, 9)))
    path = tmp_path_factory.mktemp("rle") / "x.mov"
    path.write_bytes(film(frames))
    np.testing.assert_array_equal(video.decode(path), frames)
    start = data.draw(st.integers(0, shape[0] - 1))
    stop = data.draw(st.integers(start, shape[0]))
    np.testing.assert_array_equal(video.decode(path, start, stop), frames[start:stop])


@pytest.mark.parametrize("width", [127, 128])
@pytest.mark.parametrize("kind", ["noise", "flat", "coarse"])
def test_the_widest_lines(tmp_path: Path, kind: str, width: int) -> None:
    frames = pictures(kind, (20, 3, width), 1)
    (tmp_path / "x.mov").write_bytes(film(frames))
    np.testing.assert_array_equal(video.decode(tmp_path / "x.mov"), frames)


@pytest.mark.parametrize("kind", KINDS)
def test_long_episodes_go_on_where_a_stretch_ends(tmp_path: Path, kind: str) -> None:
    frames = pictures(kind, (600, 6, 24), 2)
    (tmp_path / "x.mov").write_bytes(film(frames))
    np.testing.assert_array_equal(video.decode(tmp_path / "x.mov"), frames)
    for start in (255, 256, 257, 511, 512, 513):
        window = video.decode(tmp_path / "x.mov", start, start + 20)
        np.testing.assert_array_equal(window, frames[start : start + 20])


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_ffmpeg_would_have_written(tmp_path: Path, kind: str, monkeypatch) -> None:
    """Nearly as small, with the same key frames, clock and pixels: players see no difference."""
    frames = pictures(kind, (50, 40, 37), 3)
    (tmp_path / "ours.mov").write_bytes(film(frames))
    monkeypatch.setattr(video.rle, "calm", lambda frames: False)
    video.encode(tmp_path / "theirs.mov", frames, fps=20, codec="lossless")
    found = []
    for name in ("ours.mov", "theirs.mov"):
        with av.open(str(tmp_path / name)) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            facts = (stream.frames, stream.average_rate, context.name, context.pix_fmt)
            seconds = [
                (float(p.pts * p.time_base), p.is_keyframe)
                for p in container.demux(stream)
                if p.size
            ]
            found.append((facts, container.duration, seconds))
    assert found[0] == found[1]
    assert [key for _, key in found[0][2]] == [t % 16 == 0 for t in range(50)]
    ours, theirs = ((tmp_path / name).stat().st_size for name in ("ours.mov", "theirs.mov"))
    assert ours < 1.25 * theirs + 500  # theirs weighs every code, ours does the obvious


def test_frames_of_which_little_moves_are_told_from_others() -> None:
    assert rle.calm(pictures("still", (40, 64, 64), 0))
    assert rle.calm(pictures("sparse", (40, 64, 64), 0))
    assert not rle.calm(pictures("noise", (40, 64, 64), 0))
    assert rle.calm(pictures("noise", (1, 64, 64), 0))  # nothing moves in one frame
    assert not rle.calm(pictures("still", (4, 16, 129), 0))  # a code spans 128 columns


@pytest.mark.parametrize(("kind", "calm"), [("sparse", True), ("noise", False)])
def test_either_encoder_is_used(tmp_path: Path, kind: str, calm: bool, monkeypatch) -> None:
    used = []
    real = rle.packets
    monkeypatch.setattr(
        video.rle, "packets", lambda *args, **kwargs: used.append(1) or real(*args, **kwargs)
    )
    frames = pictures(kind, (20, 64, 64), 4)
    video.encode(tmp_path / "x.mov", frames, fps=20, codec="lossless")
    assert bool(used) == calm
    np.testing.assert_array_equal(video.decode(tmp_path / "x.mov"), frames)


def test_the_first_line_changes_in_every_frame(tmp_path):
    """A key frame's delta is left out, and nothing of any other frame with it."""
    frames = np.zeros((40, 4, 8, 3), np.uint8)
    frames[:, 0] = np.arange(40, dtype=np.uint8)[:, None, None]
    path = tmp_path / "x.mov"
    path.write_bytes(film(frames))
    np.testing.assert_array_equal(video.decode(path), frames)
