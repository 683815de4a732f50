"""The contract: a world is state in, state out.

A real environment, a learned model, a recording and a world on another machine
all look the same to whoever plays, trains or judges. This module knows shapes
and names; it knows no model, no environment and no file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor

from worldloom.actions import Action, ActionSpec
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError

CAPABILITIES = (
    *("render", "observe", "score", "features", "steer"),
    *("fork", "rows", "recall", "reseed", "snapshot"),
)


@dataclass(frozen=True)
class WorldSpec:
    """What a world is made of.

    Args:
      name: for people.
      cameras: camera name to (height, width) in pixels.
      action: what can be done.
      fps: frames a second at which it is meant to run.
      sensors: sensor name to its length.
      tolerance: root mean square pixel error, in [0, 1], above which a step
        counts as wrong; `Step.doubt` is the probability of that.
      capabilities: which of `CAPABILITIES` it has beyond `start` and `step`.
      starts: what it can start from: of "frames", "latents", "snapshot", "seed".
    """

    name: str
    cameras: dict[str, tuple[int, int]]
    action: ActionSpec
    fps: float
    sensors: dict[str, int] = field(default_factory=dict)
    tolerance: float = 0.05
    capabilities: frozenset[str] = frozenset()
    starts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Step:
    """What one step returns beside the state. None where the world does not declare it.

    A step carries no pixels: planning never decodes. Ask `render` for them.

    Args:
      reward: `[B]` float32.
      terminated: `[B]` bool: the task ended.
      truncated: `[B]` bool: somebody stopped looking.
      doubt: `[B]` in [0, 1]: probability that this step's error exceeds `spec.tolerance`.
    """

    reward: Tensor | None = None
    terminated: Tensor | None = None
    truncated: Tensor | None = None
    doubt: Tensor | None = None


class State(Protocol):
    """A batch of moments, as a value: nothing is hidden in the world.

    `state[rows]` picks rows (a list of int, a slice or an int64 tensor; a row may
    be picked more than once), `copy` keeps one that a later step may not
    overwrite, `stack` joins batches. `step` may reuse the memory of the state
    it is given.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Self: ...
    def copy(self) -> Self: ...
    @classmethod
    def stack(cls, states: Sequence[Self]) -> Self: ...


@runtime_checkable
class World(Protocol):
    """Anything with `start` and `step`.

    The noise of frame n is a function of (seed, n), both in the state, so a
    step is a pure function: the same state and action give the same bytes, on
    one device and at one batch shape. An ended row stays ended, with reward 0,
    until it is replaced by a row of `start`.

    Capabilities, each declared in `spec.capabilities`:
      render: `render(state, camera="main") -> [B, H, W, 3]` uint8.
      observe: `observe(state, action, clip) -> (state, Step)`: a real step of
        one frame enters a running state; the Step is the model's own estimate.
      score: `score(state, clip) -> [B, T]` surprise of what comes, higher is less expected.
      features: `features(state, layer=None) -> [B, D]`.
      steer: `steer(state, vector, layer) -> state`.
      fork: states are values; `state[rows]` and `copy` give independent branches.
      rows: `state.put(row, other)` overwrites one row in place with the only row of `other`;
        the others keep every bit, and so does what they become. `state.view(row)` is one row
        in the same memory, to `mark` or `copy` before the next step. A row's future does not
        depend on its place among the rows.
      recall: `mark(state, since=None) -> mark` keeps a moment in little room, and
        `recall(mark) -> state` gives it back exactly, as often as is wished. `since` is the
        mark of the step just before, if there is one: what both hold is kept once.
      reseed: `reseed(state, seeds) -> state`: another of the possible futures.
      snapshot: `snapshot(state) -> tuple[bytes, ...]`, and starts from "snapshot".
    A world whose state is a handle has `release(state)` and lacks `fork`.
    """

    @property
    def spec(self) -> WorldSpec: ...

    def start(self, clip: Clip, seeds: Tensor) -> tuple[Any, Step]:
        """Turns a context into a state.

        Args:
          clip: a batch of B contexts, of a kind that `spec.starts` names.
          seeds: `[B]` int64, one for each row's own randomness.
        """
        ...

    def step(self, state: Any, action: Action) -> tuple[Any, Step]:
        """Imagines, or does, one step.

        Args:
          state: of B rows; its memory may be reused.
          action: values `[B, ...]`, known `[B]`.
        """
        ...


def require(world: World, capability: str, who: str) -> None:
    """Raises one line where `world` lacks a capability that `who` needs."""
    if capability not in world.spec.capabilities:
        has = ", ".join(sorted(world.spec.capabilities)) or "none"
        raise WorldloomError(
            f"{who} needs a world that can `{capability}`; `{world.spec.name}` has: {has}",
            "choose another world, or another use of this one",
        )


def require_start(world: World, clip: Clip) -> str:
    """The kind of start that `clip` gives and `world` takes, or one clear sentence."""
    for kind in ("snapshot", "latents", "frames", "seed"):
        if kind in clip.carries() and kind in world.spec.starts:
            return kind
    raise WorldloomError(
        f"`{world.spec.name}` starts from {sorted(world.spec.starts)}, "
        f"the clip carries {sorted(clip.carries())}",
        "give a clip that carries one of them",
    )
