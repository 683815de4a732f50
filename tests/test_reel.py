"""Memory for frames that another process reads without a copy, and what is left of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from worldloom.data import reel
from worldloom.data.reel import START, SharedReel, look, sweep

SHAPE = (4, 5, 3)

ABANDON = """
import sys, time
from pathlib import Path
from worldloom.data import reel
reel._IN_MEMORY = Path(sys.argv[1])
held = reel.SharedReel()
held.room(1, (4, 4, 3))
print(held.name, flush=True)
time.sleep(60)
"""


@pytest.fixture
def own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reel, "_IN_MEMORY", tmp_path)
    return tmp_path


@pytest.mark.parametrize("length", [1, 7, START, START + 1])
@pytest.mark.parametrize("size", [0, 1, 60, 10_000])
def test_frames_and_what_lies_behind_them_are_seen_by_name(length: int, size: int) -> None:
    rng = np.random.default_rng(length)
    frames = rng.integers(0, 256, (length, *SHAPE), dtype=np.uint8)
    data = rng.bytes(size)
    held = SharedReel()
    for index, frame in enumerate(frames):
        held.room(index + 1, SHAPE)[index] = frame
    held.behind(length, data)  # grows where the frames fill the reel
    memory = look(held.name)
    np.testing.assert_array_equal(memory[: frames.size].reshape(frames.shape), frames)
    assert memory[frames.size : frames.size + size].tobytes() == data
    np.testing.assert_array_equal(held.frames[:length], frames)
    assert not Path(held.name).exists(), "who looked took the name away"
    held.hide()


def test_a_killed_recorders_memory_is_swept(own_memory: Path) -> None:
    command = [sys.executable, "-c", ABANDON, str(own_memory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    left, mine = Path(process.stdout.readline().strip()), SharedReel()
    mine.room(1, (4, 4, 3))
    sweep(older=-1.0)
    assert left.exists() and Path(mine.name).exists(), "both are in use"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    sweep()
    assert left.exists(), "its other process may still have to look at it"
    sweep(older=-1.0)
    assert not left.exists() and Path(mine.name).exists()
    mine.hide()
    assert not list(own_memory.glob("worldloom-*"))
