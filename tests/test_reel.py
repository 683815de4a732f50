"""Memory that two processes share, and what is left of it when one is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from worldloom.data import reel
from worldloom.data.reel import SharedReel, look, sweep

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


@pytest.fixture(autouse=True)
def own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reel, "_IN_MEMORY", tmp_path)


def test_what_one_writes_the_other_sees() -> None:
    ours = SharedReel()
    frames = ours.room(2, (4, 4, 3))
    frames[1] = 7
    theirs = look(ours.name)
    assert theirs[: 2 * 48].reshape(2, 4, 4, 3)[1].tolist() == np.full((4, 4, 3), 7).tolist()
    assert not Path(ours.name).exists()
    ours.room(3 * reel.START, (4, 4, 3))  # a new name, and what was written is there
    assert look(ours.name)[48:96].tolist() == [7] * 48
    ours.hide()


def test_a_killed_recorders_memory_is_swept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ABANDON, str(tmp_path)]
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
    assert not list(tmp_path.glob("worldloom-*"))
