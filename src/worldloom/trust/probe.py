"""All that a task sees of a world: observe, features, rollout, score, doubt.

Nothing that a probe is given is changed by it, and a state may be used again. The
action at index t led from frame t - 1 to frame t. A task says which capabilities it
needs; a probe that lacks one is not tried, and never scored 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from worldloom.actions import Action
from worldloom.data.types import Clip

CAPABILITIES = ("continue", "features", "rollout", "render", "reward", "score", "doubt", "steer")
"""`continue` is `observe` with a state; the others are the methods of `Probe` and its results."""


@dataclass(frozen=True)
class Edit:
    """A push given to a model's own activations while it rolls out.

    Args:
      layer: one of the probe's `layers`.
      vector: `[B, D]` or `[D]`, added to what `features` reads there.
    """

    layer: str
    vector: Tensor


@dataclass(frozen=True)
class Rollout:
    """What a probe imagines, S samples of each of B rows.

    Args:
      frames: `[S, B, T, H, W, 3]` uint8; None without `render`.
      reward: `[S, B, T]` float32; None without `reward`.
      states: S of them, what is known after the last step; empty where a probe keeps none.
    """

    frames: Tensor | None = None
    reward: Tensor | None = None
    states: tuple[Any, ...] = ()


class Probe(Protocol):
    """A world as tasks see it.

    Attributes:
      name: for people.
      capabilities: of `CAPABILITIES`.
      layers: that `features` and `Edit` may name, from first to last.
    """

    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> frozenset[str]: ...
    @property
    def layers(self) -> tuple[str, ...]: ...

    def observe(self, clip: Clip, state: Any = None) -> Any:
        """What is known after a clip `[B, T, ...]`, begun afresh or after `state`."""
        ...

    def features(self, state: Any, layer: str | None = None) -> Tensor:
        """`[B, D]` what the model holds of each row's past, by default in its last layer."""
        ...

    def rollout(
        self, state: Any, actions: Action, *, seeds: Sequence[int] = (0,), edit: Edit | None = None
    ) -> Rollout:
        """Imagines what follows under `actions` `[B, T, ...]`, one sample a seed."""
        ...

    def score(self, state: Any, clip: Clip) -> Tensor:
        """`[B, T]` how much less expected each frame of `clip` is, given those before it."""
        ...

    def doubt(self, state: Any, actions: Action) -> Tensor:
        """`[B, T]` in [0, 1], the chance that each step of `rollout`'s own sample is wrong."""
        ...


def lacking(probe: Probe, needs: frozenset[str]) -> str:
    """Why a probe cannot sit a task that needs these capabilities; empty where it can."""
    missing = [name for name in CAPABILITIES if name in needs - probe.capabilities]
    return f"`{probe.name}` cannot {' or '.join(f'`{m}`' for m in missing)}" if missing else ""
