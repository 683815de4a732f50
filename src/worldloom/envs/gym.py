"""A real environment behind the contract of worlds.

Where the environment gives its exact state, a state of the world is a value
that can be kept, branched and started from again. Elsewhere it is a handle on
running environments, which ends with `release`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv, Snapshot
from worldloom.envs.rows import Local, Processes, Result, Task
from worldloom.errors import WorldloomError
from worldloom.world import Step, WorldSpec, require_start

Rows = Sequence[int] | slice | Tensor


@dataclass(frozen=True)
class ExactState:
    """Moments of an exact environment, as a value.

    Args:
      moments: one for each row.
    """

    moments: tuple[Snapshot, ...]

    def __len__(self) -> int:
        return len(self.moments)

    def __getitem__(self, rows: Rows) -> Self:
        return replace(self, moments=tuple(self.moments[i] for i in _indices(rows, len(self))))

    def copy(self) -> Self:
        return self  # nothing in it is ever written to

    @classmethod
    def stack(cls, states: Sequence[Self]) -> Self:
        return cls(tuple(moment for state in states for moment in state.moments))


@dataclass(frozen=True)
class HandleState:
    """Running environments that only go forward.

    Args:
      slots: which environment each row is.
      clocks: how many steps it had done; a row that has moved on is refused.
      moments: the newest frame and whether the row has ended.
    """

    slots: tuple[int, ...]
    clocks: tuple[int, ...]
    moments: tuple[Snapshot, ...]

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, rows: Rows) -> Self:
        picked = _indices(rows, len(self))
        if len(set(picked)) != len(picked):
            raise WorldloomError(
                "rows of a running environment cannot be repeated: it cannot be copied",
                "use a world that can `fork`",
            )
        choose = lambda values: tuple(values[i] for i in picked)  # noqa: E731
        return type(self)(choose(self.slots), choose(self.clocks), choose(self.moments))

    def copy(self) -> Self:
        raise WorldloomError(
            "a running environment cannot be copied", "use a world that can `fork`"
        )

    @classmethod
    def stack(cls, states: Sequence[Self]) -> Self:
        join = lambda name: tuple(v for state in states for v in getattr(state, name))  # noqa: E731
        return cls(join("slots"), join("clocks"), join("moments"))


State = ExactState | HandleState


class GymWorld:
    """Any gymnasium environment as a world.

    All randomness is the environment's own and comes with its seed or its
    snapshot. An ended row stays ended, with reward 0 and its last frame.

    Args:
      env: gymnasium id, or a `Setup` that also says size, repeat and arguments.
      size: side of the frames, or (height, width); None keeps the environment's own.
      repeat: how many times each action is done.
      workers: processes that share the rows; 0 runs them in this one.
      kwargs: for the environment's constructor.
    """

    def __init__(
        self,
        env: str | Setup,
        *,
        size: int | tuple[int, int] | None = None,
        repeat: int = 1,
        workers: int = 0,
        **kwargs: Any,
    ) -> None:
        if isinstance(env, str):
            env = Setup(env, (size, size) if isinstance(size, int) else size, repeat, kwargs)
        elif size is not None or repeat != 1 or kwargs:
            raise WorldloomError(
                "a Setup already says size, repeat and arguments", "give them there"
            )
        first = PixelEnv(env)
        self.setup = env
        self._exact = first.exact
        kept = {"fork", "snapshot"} if first.exact else set()
        self.spec = WorldSpec(
            name=env.id,
            cameras={"main": first.shape},
            action=first.action,
            fps=first.fps,
            tolerance=0.0,
            capabilities=frozenset({"render"} | kept),
            starts=frozenset({"seed", "snapshot"} if first.exact else {"seed"}),
        )
        if workers:
            first.close()
            self._rows: Local | Processes = Processes(env, workers)
        else:
            self._rows = Local(env, first)
        self._clocks: dict[int, int] = {}  # steps of each running environment
        self._free: list[int] = []

    def start(self, clip: Clip, seeds: Tensor) -> tuple[State, Step]:
        """Starts a row for each environment seed or snapshot of `clip`.

        Args:
          clip: carries `env_seeds` `[B]` or `snapshots`.
          seeds: `[B]`; an environment's randomness comes with its own seed or
            snapshot, so only their number matters.
        """
        kind = require_start(self, clip)
        count = len(seeds)
        given = clip.snapshots if kind == "snapshot" else clip.env_seeds
        if given is None or len(given) != count:
            raise WorldloomError(
                f"{count} seeds for a clip of {0 if given is None else len(given)} rows",
                "give one seed for each row",
            )
        if kind == "snapshot":
            moments = tuple(Snapshot.unpack(bytes(data)) for data in given)
            return ExactState(moments), _step(torch.zeros(count), moments)
        slots = self._take(count)
        tasks = [Task(slot, "reset", int(seed)) for slot, seed in zip(slots, given, strict=True)]
        moments = tuple(_moment(result) for result in self._rows.run(tasks))
        return self._state(slots, moments), _step(torch.zeros(count), moments)

    def step(self, state: State, action: Action) -> tuple[State, Step]:
        """Does one frame's action in every row that has not ended.

        Args:
          state: of B rows, from `start` or `step`.
          action: values `[B, ...]`, known `[B]`; where unknown the null action is done.
        """
        values = self._values(action, len(state))
        slots = self._slots(state)
        live = [i for i, moment in enumerate(state.moments) if not moment.ended]
        tasks = [
            Task(slots[i], "step", values[i], state.moments[i].state if self._exact else None)
            for i in live
        ]
        rewards = torch.zeros(len(state))
        moments = list(state.moments)
        for i, result in zip(live, self._rows.run(tasks), strict=True):
            moments[i], rewards[i] = _moment(result), result.outcome.reward
        return self._state(slots, tuple(moments)), _step(rewards, moments)

    def render(self, state: State, camera: str = "main") -> Tensor:
        """The newest frames, `[B, H, W, 3]` uint8."""
        if camera not in self.spec.cameras:
            raise WorldloomError(
                f"`{self.spec.name}` has no camera `{camera}`", "its camera is `main`"
            )
        return torch.from_numpy(np.stack([moment.frame for moment in state.moments]))

    def snapshot(self, state: State) -> tuple[bytes, ...]:
        """The exact state of every row, to keep or to start from."""
        if not isinstance(state, ExactState):
            raise WorldloomError(
                f"`{self.spec.name}` cannot give its exact state", "start from a seed instead"
            )
        return tuple(moment.pack() for moment in state.moments)

    def release(self, state: State) -> None:
        """Gives the environments of a state back; nothing to do where states are values."""
        if isinstance(state, HandleState):
            for slot in self._slots(state):
                del self._clocks[slot]
                self._free.append(slot)

    def close(self) -> None:
        """Closes every environment and ends the worker processes."""
        self._rows.close()

    def _take(self, count: int) -> list[int]:
        """Environments for new rows: exact ones are shared by all, others belong to one row."""
        if self._exact:
            return list(range(count))
        slots = [self._free.pop() for _ in range(min(count, len(self._free)))]
        used = len(self._clocks) + len(self._free) + len(slots)
        slots += range(used, used + count - len(slots))
        self._clocks.update(dict.fromkeys(slots, 0))
        return slots

    def _slots(self, state: State) -> list[int]:
        """The environment of each row, after a look at whether a handle is still good."""
        if isinstance(state, ExactState):
            return list(range(len(state)))
        for slot, clock in zip(state.slots, state.clocks, strict=True):
            if self._clocks.get(slot) != clock:
                raise WorldloomError(
                    f"a row of `{self.spec.name}` has moved on since this state, or was released",
                    "step the newest state",
                )
        return list(state.slots)

    def _state(self, slots: list[int], moments: tuple[Snapshot, ...]) -> State:
        if self._exact:
            return ExactState(moments)
        for slot in slots:
            self._clocks[slot] += 1
        return HandleState(tuple(slots), tuple(self._clocks[s] for s in slots), moments)

    def _values(self, action: Action, count: int) -> list[dict[str, np.ndarray]]:
        """The action of each row as numpy arrays; null where it is unknown."""
        known = np.asarray(action.known)
        if known.shape != (count,):
            raise WorldloomError(
                f"an action of shape {known.shape} for {count} rows", "give one action for each row"
            )
        null = self.spec.action.null((count,))
        arrays = {name: np.array(np.asarray(value)) for name, value in action.values.items()}
        for name, array in arrays.items():
            if name in null and array.shape == null[name].shape:
                array[~known] = null[name][~known]
        self.spec.action.check(arrays, f"the action for `{self.spec.name}`")
        return [{name: array[i] for name, array in arrays.items()} for i in range(count)]


def _moment(result: Result) -> Snapshot:
    outcome = result.outcome
    return Snapshot(result.saved, outcome.frame, outcome.terminated, outcome.truncated)


def _step(rewards: Tensor, moments: Sequence[Snapshot]) -> Step:
    """Rewards, with the endings of all rows: those of before stay."""
    return Step(
        rewards,
        torch.tensor([moment.terminated for moment in moments]),
        torch.tensor([moment.truncated for moment in moments]),
    )


def _indices(rows: Rows, count: int) -> list[int]:
    """Row numbers from a list, a slice or a tensor."""
    if isinstance(rows, slice):
        return list(range(count))[rows]
    if isinstance(rows, Tensor):
        return torch.arange(count)[rows].tolist()
    return [range(count)[int(i)] for i in rows]
