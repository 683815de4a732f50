"""Worker processes answer in order, tell what went wrong, and leave nothing behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from worldloom.errors import WorldloomError
from worldloom.workers import Workers


def doubler() -> Callable[[Any], Any]:
    return double


def double(message: Any) -> Any:
    if message == "mistake":
        raise WorldloomError("that was wrong", "do it right")
    if message == "crash":
        raise ValueError("boom")
    if message == "die":
        os._exit(3)
    return 2 * message


def refuses() -> Callable[[Any], Any]:
    raise WorldloomError("cannot start")


@pytest.mark.slow
def test_answers_and_failures() -> None:
    with Workers(doubler, 2) as workers:
        assert sorted(workers.each(range(7))) == [(i, 2 * i) for i in range(7)]
        for message, sentence in (("mistake", "that was wrong"), ("crash", "ValueError: boom")):
            workers.send(0, message)
            with pytest.raises(WorldloomError, match=sentence):
                workers.receive(0)
        workers.send(0, 21)
        assert workers.receive(0) == 42
        pids = [process.pid for process in multiprocessing.active_children()]
        os.kill(pids[0], signal.SIGINT)  # Ctrl-C is the parent's to answer
        workers.send(1, 1)
        assert workers.receive(1) == 2
        workers.send(1, "die")
        with pytest.raises(WorldloomError, match="ended by itself, with status 3"):
            workers.receive(1)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_worker_that_cannot_start_says_why() -> None:
    with Workers(refuses, 1) as workers:
        workers.send(0, 1)
        with pytest.raises(WorldloomError, match="cannot start"):
            workers.receive(0)


class Interrupted:
    """Ctrl-C reaches whoever unpickles it: a process that has just begun."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return interrupt_me, ()


def interrupt_me() -> Callable[[], Callable[[Any], Any]]:
    os.kill(os.getpid(), signal.SIGINT)
    return doubler


@pytest.mark.slow
def test_ctrl_c_does_not_reach_a_worker_that_is_still_starting() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Workers(Interrupted(), 2) as workers:  # type: ignore[arg-type]
        assert sorted(workers.each(range(3))) == [(i, 2 * i) for i in range(3)]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


# Counts how often it is run.
SCRIPT = """
import os, sys
with open(sys.argv[1], "a") as file:
    file.write("run ")
from functools import partial
from worldloom.workers import Workers
def build():
    return str
if __name__ == "__main__":
    with Workers({build}, 1{more}) as workers:
        workers.send(0, 5)
        print(workers.receive(0) * 2)
"""


@pytest.mark.slow
def test_a_script_is_imported_only_where_it_is_needed(tmp_path: Path) -> None:
    for build, more, runs in (("build", "", 2), ("partial(partial, int)", ", script=False", 1)):
        script, marks = tmp_path / "script.py", tmp_path / f"marks{runs}"
        script.write_text(SCRIPT.format(build=build, more=more))
        command = [sys.executable, str(script), str(marks)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == ("55\n" if runs == 2 else "10\n"), done.stderr
        assert marks.read_text().split() == ["run"] * runs
