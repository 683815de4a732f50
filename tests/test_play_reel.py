"""Films for others: what goes in comes out, in time, and no larger than allowed."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from worldloom.play.reel import Reel, scale_for


def _frames(count, height=12, width=16):
    """A white dot that moves one pixel a frame, on a colour that changes."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 0] = (np.arange(count) * 10 % 200)[:, None, None]
    for i in range(count):
        frames[i, 4:8, i % (width - 4) : i % (width - 4) + 4] = 255
    return frames


def _film(kind, frames, *, fps, scale):
    reel = Reel(kind, frames.shape[1:3], fps=fps, scale=scale)
    for frame in frames:
        reel.add(frame)
    assert reel.frames == len(frames)
    return reel.finish()


def _read_gif(data):
    with Image.open(io.BytesIO(data)) as film:
        frames, lasts = [], []
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB")))
            lasts.append(film.info["duration"])
        assert film.info["loop"] == 0
    return np.stack(frames), lasts


@pytest.mark.parametrize(("height", "width", "scale"), [(12, 16, 4), (13, 15, 1), (13, 15, 3)])
def test_an_mp4_shows_the_frames(height, width, scale):
    frames = _frames(20, height, width)
    with av.open(io.BytesIO(_film("mp4", frames, fps=20, scale=scale))) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
        assert stream.average_rate == 20
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert len(shown) == 20
    even = (height * scale + height * scale % 2, width * scale + width * scale % 2)
    for frame, picture in zip(frames, shown, strict=True):
        assert picture.shape == (*even, 3)
        inner = picture[: height * scale, : width * scale][scale // 2 :: scale, scale // 2 :: scale]
        # Colours are kept at half the resolution, so an enlarged film is the truer one.
        off = np.abs(inner.astype(int) - frame).mean()
        assert off < (4 if scale > 1 else 20)


def test_a_gif_shows_the_frames_exactly():
    frames = _frames(15)
    shown, lasts = _read_gif(_film("gif", frames, fps=20, scale=3))
    np.testing.assert_array_equal(shown, frames.repeat(3, 1).repeat(3, 2))
    assert lasts == [50] * 15


@pytest.mark.parametrize(("fps", "count", "kept"), [(30, 60, 60), (60, 60, 30), (7, 14, 14)])
def test_a_gif_keeps_time(fps, count, kept):
    shown, lasts = _read_gif(_film("gif", _frames(count), fps=fps, scale=1))
    assert len(shown) == kept
    assert sum(lasts) == pytest.approx(1000 * count / fps, abs=10)
    assert min(lasts) >= 20


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_one_frame_is_a_film(kind):
    assert len(_film(kind, _frames(1), fps=20, scale=1)) > 80


def test_a_film_is_enlarged_no_more_than_it_may_be():
    assert scale_for("mp4", (64, 64), frames=600, wished=8) == 8
    assert scale_for("mp4", (64, 64), frames=600, wished=100) == 14
    assert scale_for("gif", (64, 64), frames=10, wished=100) == 10
    assert scale_for("gif", (64, 64), frames=600, wished=100) == 5
    assert scale_for("gif", (480, 640), frames=600, wished=4) == 1
