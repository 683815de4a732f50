"""Processes that each own something and answer messages in order.

Used wherever environments run side by side. Workers are spawned, never forked,
import no torch, ignore Ctrl-C (their parent decides) and end when their parent
does, however it ends, once they have answered what it had sent. Knows nothing of environments.
"""

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import ModuleType, TracebackType
from typing import Any, Self

from worldloom.errors import WorldloomError

Answer = Callable[[Any], Any]

_PATIENCE = 5.0  # seconds a worker has to finish what it is doing when asked to end


class Workers:
    """A fixed number of processes; use as a context, or call `close`.

    Args:
      build: called once in each process; gives the function that answers
        messages. Must be importable by name, as must what it carries.
      count: of processes.
      script: whether they import the script that is running, as they must where
        `build` or a message holds what it defines. Without, they start sooner
        (scripts tend to import torch), and the script needs no guard.
    """

    def __init__(self, build: Callable[[], Answer], count: int, *, script: bool = True) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes = []
        self._pipes: list[Connection] = []
        for index in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, build), daemon=True, name=f"worldloom-{index}"
            )
            with nullcontext() if script else _no_script(), _deaf():
                process.start()
            theirs.close()  # so that a dead worker is an end of file here
            self._processes.append(process)
            self._pipes.append(ours)

    def __len__(self) -> int:
        return len(self._pipes)

    def send(self, worker: int, message: Any) -> None:
        """Gives one worker a message; `receive` fetches its answer."""
        try:
            self._pipes[worker].send(message)
        except BrokenPipeError as error:
            raise self._died(worker) from error

    def receive(self, worker: int) -> Any:
        """The answer to the oldest message of this worker that has none yet.

        Raises:
          WorldloomError: what the worker raised, or that it died.
        """
        try:
            kind, value = self._pipes[worker].recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._died(worker) from error
        if kind == "mistake":
            raise WorldloomError(*value)
        if kind == "crash":
            summary, trace = value
            raise WorldloomError(f"a worker failed: {summary}", f"its traceback:\n{trace}")
        return value

    def ready(self, worker: int) -> bool:
        """Whether an answer of this worker waits to be received."""
        return self._pipes[worker].poll()

    def wait(self, workers: Iterable[int]) -> list[int]:
        """Waits until some of these workers have answered, and says which."""
        pipes = {self._pipes[worker]: worker for worker in workers}
        return [pipes[pipe] for pipe in wait(list(pipes)) if isinstance(pipe, Connection)]

    def each(self, messages: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Hands out messages to whoever is free; yields (message, answer) as answers come."""
        waiting = list(reversed(messages))
        busy: dict[int, Any] = {}
        for worker in range(min(len(self), len(waiting))):
            busy[worker] = waiting.pop()
            self.send(worker, busy[worker])
        while busy:
            for worker in self.wait(busy):
                message, answer = busy.pop(worker), self.receive(worker)
                if waiting:
                    busy[worker] = waiting.pop()
                    self.send(worker, busy[worker])
                yield message, answer

    def close(self) -> None:
        """Ends all workers; calling it again does nothing."""
        for pipe in self._pipes:
            pipe.close()  # a worker that waits for a message ends by itself
        for process in self._processes:
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._pipes, self._processes = [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _died(self, worker: int) -> WorldloomError:
        self._processes[worker].join(_PATIENCE)
        code = self._processes[worker].exitcode
        return WorldloomError(
            f"a worker process ended by itself, with status {code}",
            "if memory ran out, use fewer workers; in a script, start from "
            'under `if __name__ == "__main__":`',
        )


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _deaf() -> Iterator[None]:
    """Lets a process start that keeps Ctrl-C waiting until it can ignore it.

    A terminal sends it to all processes, also to one that is importing what it needs.
    """
    resource_tracker.ensure_running()  # it would lift the block when the first process starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _no_script() -> Iterator[None]:
    """Lets a process start as it does from a prompt, where there is no script to import."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _serve(pipe: Connection, build: Callable[[], Answer]) -> None:
    """The life of a worker: answer until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    kind, answer = _attempt(build)
    # A parent that is killed is noticed at the end of what it had sent: messages that wait
    # are answered all the same, though nobody hears it.
    with suppress(EOFError, OSError):  # the latter in the middle of a message
        while True:
            message = pipe.recv()
            reply = _attempt(partial(answer, message)) if kind == "ok" else (kind, answer)
            with suppress(BrokenPipeError):
                pipe.send(reply)


def _attempt(call: Callable[[], Any]) -> tuple[str, Any]:
    """What a call gives or raises, as something that can be sent."""
    try:
        return "ok", call()
    except WorldloomError as error:
        return "mistake", (error.message, error.hint)
    # Environments and policies are other people's code and may raise anything. Nothing is
    # swallowed: the parent raises it again, with the traceback that would be lost here.
    except Exception as error:
        return "crash", (f"{type(error).__name__}: {error}", traceback.format_exc())
