"""A lie as a film: both sides of every frame, to the byte."""

import io

import numpy as np
from PIL import Image, ImageSequence

from worldloom.data.film import GAP, moving, panes, still
from worldloom.data.types import Episode


def episode(length: int, shade: int) -> Episode:
    rng = np.random.default_rng(shade)
    frames = rng.integers(shade, shade + 50, (length, 6, 9, 3)).astype(np.uint8)
    return Episode(frames={"main": frames}, actions={"keys": np.zeros((length, 1), np.uint8)})


def test_both_sides_are_shown_from_the_last_frame_before_the_lie() -> None:
    dream, real = episode(7, 10), episode(7, 150)
    both = panes(dream, real, 4)
    assert both.shape == (4, 6, 2 * 9 + GAP, 3)
    assert (both[:, :, :9] == real.frames["main"][3:]).all()
    assert (both[:, :, 9 + GAP :] == dream.frames["main"][3:]).all()
    assert (panes(dream, None, 4) == dream.frames["main"][3:]).all()


def test_reality_that_ended_sooner_stays_dimmed() -> None:
    dream, real = episode(7, 10), episode(5, 150)
    left = panes(dream, real, 2)[:, :, :9]
    assert (left[:4] == real.frames["main"][1:]).all()
    assert (left[4:] == real.frames["main"][-1] // 3).all()


def test_of_a_long_lie_the_end_is_shown() -> None:
    dream, real = episode(90, 10), episode(90, 150)
    both = panes(dream, real, 2, most=20)
    assert len(both) == 20 and (both[-1, :, :9] == real.frames["main"][-1]).all()


def test_the_film_is_the_frames_to_the_byte_and_rests_at_both_ends() -> None:
    both = panes(episode(7, 10), episode(7, 150), 2)
    with Image.open(io.BytesIO(moving(both, 10.0))) as film:
        assert film.format == "WEBP" and film.info["loop"] == 0
        pictures = [
            (f.copy().convert("RGB"), f.info["duration"]) for f in ImageSequence.Iterator(film)
        ]
    assert (np.stack([np.asarray(picture) for picture, _ in pictures]) == both).all()
    assert [pace for _, pace in pictures] == [600, 100, 100, 100, 100, 1200]
    with Image.open(io.BytesIO(still(both))) as picture:
        assert (np.asarray(picture.convert("RGB")) == both[-1]).all()
