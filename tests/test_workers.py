"""Worker processes answer in order, tell what went wrong, and leave nothing behind."""

import multiprocessing
import os
import signal
from collections.abc import Callable
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
