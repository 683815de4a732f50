"""Memory for frames that another process reads without a copy."""

import numpy as np
import pytest

from worldloom.data.reel import START, SharedReel, look

SHAPE = (4, 5, 3)


@pytest.mark.parametrize("length", [1, 7, START, START + 1])
@pytest.mark.parametrize("size", [0, 1, 60, 10_000])
def test_frames_and_what_lies_behind_them_are_seen_by_name(length: int, size: int) -> None:
    rng = np.random.default_rng(length)
    frames = rng.integers(0, 256, (length, *SHAPE), dtype=np.uint8)
    data = rng.bytes(size)
    reel = SharedReel()
    for index, frame in enumerate(frames):
        reel.room(index + 1, SHAPE)[index] = frame
    reel.behind(length, data)  # grows where the frames fill the reel
    memory = look(reel.name)
    np.testing.assert_array_equal(memory[: frames.size].reshape(frames.shape), frames)
    assert memory[frames.size : frames.size + size].tobytes() == data
    np.testing.assert_array_equal(reel.frames[:length], frames)
