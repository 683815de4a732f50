"""Many environments stepped as rows of a batch, in this process or in several.

A row's environment may be anywhere in time: where it is exact, each task brings
the state to step from, and nothing is loaded where the environment is there already.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

from worldloom.envs.make import Setup
from worldloom.envs.pixel import Outcome, PixelEnv
from worldloom.errors import WorldloomError
from worldloom.workers import Workers

# More rows than this share exact environments, one process's memory being finite.
MOST_EXACT = 16


@dataclass(frozen=True)
class Task:
    """What one row does.

    Args:
      slot: which environment.
      do: "reset" or "step".
      value: the seed, or the action's component values.
      saved: for a step of an exact environment, the state to step from.
    """

    slot: int
    do: Literal["reset", "step"]
    value: Any
    saved: bytes | None = None


@dataclass(frozen=True)
class Result:
    """What came of a task: the outcome without its info, and the new exact state or b""."""

    outcome: Outcome
    saved: bytes


class Rows(Protocol):
    """Runs tasks, each in its environment, and gives the results in their order."""

    def run(self, tasks: Sequence[Task]) -> list[Result]: ...
    def close(self) -> None: ...


class Local:
    """Rows in this process.

    Args:
      setup: of the environments.
      first: one that is made already.
    """

    def __init__(self, setup: Setup, first: PixelEnv) -> None:
        self._setup = setup
        self._exact = first.exact
        self._envs: dict[int, PixelEnv] = {}
        self._spare = [first]
        self._at: dict[int, bytes] = {}

    def run(self, tasks: Sequence[Task]) -> list[Result]:
        return [self._do(task) for task in tasks]

    def close(self) -> None:
        for env in [*self._envs.values(), *self._spare]:
            env.close()
        self._envs, self._spare = {}, []

    def _do(self, task: Task) -> Result:
        key = task.slot % MOST_EXACT if self._exact else task.slot
        if key not in self._envs:
            self._envs[key] = self._spare.pop() if self._spare else PixelEnv(self._setup)
        env = self._envs[key]
        if task.do == "reset":
            outcome = env.reset(task.value)
        else:
            if task.saved is not None and self._at.get(key) != task.saved:
                if key not in self._at:
                    env.reset(0)  # wrappers refuse to step an environment that was never reset
                env.load(task.saved)
            outcome = env.step(task.value)
            if outcome.reward != outcome.reward or abs(outcome.reward) == float("inf"):
                raise WorldloomError(
                    f"`{self._setup.id}` gave reward {outcome.reward}", "repair the environment"
                )
        saved = self._at[key] = env.save() if self._exact else b""
        return Result(outcome._replace(info={}), saved)


class Processes:
    """Rows shared out over worker processes, slot by slot.

    Args:
      setup: of the environments.
      count: of processes.
    """

    def __init__(self, setup: Setup, count: int) -> None:
        self._workers = Workers(partial(_answer, setup), count)

    def run(self, tasks: Sequence[Task]) -> list[Result]:
        count = len(self._workers)
        shares = [[i for i, t in enumerate(tasks) if t.slot % count == w] for w in range(count)]
        for worker, share in enumerate(shares):
            if share:
                # Slots are renumbered, so that every worker uses all of its own.
                mine = [replace(tasks[i], slot=tasks[i].slot // count) for i in share]
                self._workers.send(worker, mine)
        results: dict[int, Result] = {}
        mistakes: list[WorldloomError] = []
        for worker, share in enumerate(shares):
            if share:
                try:
                    results.update(zip(share, self._workers.receive(worker), strict=True))
                except WorldloomError as error:
                    mistakes.append(error)  # the others' answers are still to be fetched
        if mistakes:
            raise mistakes[0]
        return [results[i] for i in range(len(tasks))]

    def close(self) -> None:
        self._workers.close()


def _answer(setup: Setup) -> Any:
    """What a worker process does with a list of tasks."""
    return Local(setup, PixelEnv(setup)).run
