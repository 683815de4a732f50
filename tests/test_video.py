"""Video: small frames come back exactly, and every frame is found by its index."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.data import video
from worldloom.errors import WorldloomError


def drawing(length: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """A still background of tiles with a few things that move over it."""
    rng = np.random.default_rng(seed)
    tile = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    plate = np.tile(tile, (height // 8 + 1, width // 8 + 1, 1))[:height, :width]
    frames = np.repeat(plate[None], length, 0)
    for t in range(length):
        y, x = (3 * t) % height, (5 * t) % width
        frames[t, y : y + 4, x : x + 4] = (255, t % 256, 0)
    return frames


def smooth(length: int, height: int, width: int) -> np.ndarray:
    """A gradient that moves; the brightness of a frame tells its index."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [40 * np.sin((y + x + 2 * t) / 25) + 2.0 * t + 60 for t in range(length)]
    return np.repeat(np.stack(waves)[..., None], 3, -1).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([1, 7.3, 20, 59.94, 1000]),
    st.booleans(),
    st.data(),
)
def test_lossless_is_exact_at_any_size_rate_and_window(
    tmp_path_factory, length, height, width, fps, noise, data
):
    rng = np.random.default_rng(length)
    shape = (length, height, width, 3)
    frames = rng.integers(0, 256, shape, dtype=np.uint8) if noise else drawing(*shape[:3])
    frames.flags.writeable = False
    path = tmp_path_factory.mktemp("video") / "x.mov"
    video.encode(path, frames, fps=fps, codec="lossless")
    assert video.count(path) == (length, height, width)
    np.testing.assert_array_equal(video.decode(path), frames)
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start, length))
    np.testing.assert_array_equal(video.decode(path, start, stop), frames[start:stop])


@pytest.mark.parametrize("codec", ["h264", "av1"])
@pytest.mark.parametrize("size", [(144, 160), (131, 145)])
def test_large_frames_come_back_close_and_by_index(tmp_path, codec, size):
    frames = smooth(50, *size)
    path = tmp_path / "x.mp4"
    video.encode(path, frames, fps=20, codec=codec)
    back = video.decode(path, size=size)
    assert back.shape == frames.shape
    error = np.abs(back.astype(int) - frames).mean((1, 2, 3))
    assert error.max() < 3, error
    for start, stop in [(0, 1), (15, 17), (16, 17), (33, 49), (49, 50)]:
        part = video.decode(path, start, stop, size=size)
        np.testing.assert_array_equal(part, back[start:stop])


def test_decode_writes_into_a_given_array_and_to_open_files(tmp_path):
    frames = drawing(20, 16, 16)
    sink = io.BytesIO()
    video.encode(sink, frames, fps=20, codec="lossless")
    (tmp_path / "x.mov").write_bytes(sink.getvalue())
    out = np.zeros((5, 16, 16, 3), np.uint8)
    assert video.decode(tmp_path / "x.mov", 10, 15, out=out) is out
    np.testing.assert_array_equal(out, frames[10:15])


def test_a_window_decodes_from_the_key_frame_before_it(tmp_path, monkeypatch):
    path = tmp_path / "x.mov"
    video.encode(path, drawing(200, 16, 16), fps=20, codec="lossless")
    decoded = []
    real = video.av.open

    class Counting:
        def __init__(self, container):
            self.container = container
            self.streams = container.streams
            self.seek = container.seek

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.container.close()

        def decode(self, stream):
            for frame in self.container.decode(stream):
                decoded.append(frame)
                yield frame

    monkeypatch.setattr(video.av, "open", lambda *args, **kwargs: Counting(real(*args, **kwargs)))
    video.decode(path, 150, 160)
    assert 10 <= len(decoded) <= 10 + video.KEYFRAME_EVERY


def test_small_frames_are_lossless_whatever_the_setting():
    assert video.codec_for((64, 64), "h264") == "lossless"
    assert video.codec_for((128, 128), "av1") == "lossless"
    assert video.codec_for((129, 128), "h264") == "h264"
    assert video.codec_for((720, 1280), "lossless") == "lossless"


def test_broken_videos_are_one_sentence(tmp_path):
    path = tmp_path / "x.mov"
    video.encode(path, drawing(20, 16, 16), fps=20, codec="lossless")
    with pytest.raises(WorldloomError, match="has 20 frames, asked for 15 to 21"):
        video.decode(path, 15, 21)
    with pytest.raises(WorldloomError, match="is 16x16, expected 32x16"):
        video.decode(path, size=(32, 16))
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(WorldloomError, match=r"x\.mov"):
            video.decode(path)
    with pytest.raises(WorldloomError, match=r"none\.mov` cannot be read"):
        video.count(tmp_path / "none.mov")
