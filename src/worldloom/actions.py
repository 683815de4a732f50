"""What can be done in a world: action components, their bounds and their null.

Knows numpy only, so that environment workers start without torch. The same
`Action` holds numpy arrays beside an environment and tensors beside a model.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from worldloom.errors import WorldloomError


@dataclass(frozen=True)
class Categorical:
    """One choice of `n`, stored as int64 `[...]`."""

    name: str
    n: int
    null: int = 0
    labels: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> type[np.generic]:
        return np.int64

    def null_value(self) -> np.ndarray:
        return np.asarray(self.null, np.int64)

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(rng.integers(self.n), np.int64)

    def valid(self, value: np.ndarray) -> bool:
        return bool(((value >= 0) & (value < self.n)).all())


@dataclass(frozen=True)
class Binary:
    """Keys that are up (0) or down (1), stored as uint8 `[..., len(keys)]`."""

    name: str
    keys: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.keys),)

    @property
    def dtype(self) -> type[np.generic]:
        return np.uint8

    def null_value(self) -> np.ndarray:
        return np.zeros(self.shape, np.uint8)

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, 2, self.shape, dtype=np.uint8)

    def valid(self, value: np.ndarray) -> bool:
        return bool((value <= 1).all())


@dataclass(frozen=True)
class Continuous:
    """Numbers between `low` and `high`, stored as float32 `[..., len(low)]`.

    The null action is 0, moved to the nearest bound where 0 lies outside.
    """

    name: str
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.low),)

    @property
    def dtype(self) -> type[np.generic]:
        return np.float32

    def null_value(self) -> np.ndarray:
        return np.clip(np.zeros(self.shape), self.low, self.high).astype(np.float32)

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(self.low, self.high).astype(np.float32)

    def valid(self, value: np.ndarray) -> bool:
        slack = 1e-5 * (1 + np.maximum(np.abs(self.low), np.abs(self.high)))
        low, high = np.asarray(self.low) - slack, np.asarray(self.high) + slack
        return bool(np.isfinite(value).all() and (value >= low).all() and (value <= high).all())


Component = Categorical | Binary | Continuous
_KINDS = {"categorical": Categorical, "binary": Binary, "continuous": Continuous}


@dataclass(frozen=True)
class ActionSpec:
    """The components of an action, by name, and how many actions make a frame.

    Args:
      components: in the order in which they are shown and encoded.
      per_frame: actions between two frames. Above 1 every array of an action
        has an axis of this length in front of the component's own shape.
    """

    components: tuple[Component, ...]
    per_frame: int = 1

    def __post_init__(self) -> None:
        names = [component.name for component in self.components]
        if len(set(names)) != len(names):
            raise WorldloomError(f"action components share a name: {names}", "rename one of them")

    def shape(self, component: Component) -> tuple[int, ...]:
        """The shape of one frame's action in this component, without batch axes."""
        return component.shape if self.per_frame == 1 else (self.per_frame, *component.shape)

    def null(self, lead: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
        """The action that does nothing, repeated over the leading axes."""
        return {
            c.name: np.broadcast_to(c.null_value(), (*lead, *self.shape(c))).copy()
            for c in self.components
        }

    def sample(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One action drawn uniformly, without batch axes."""
        draws = {c.name: [c.sample(rng) for _ in range(self.per_frame)] for c in self.components}
        return {
            name: np.stack(values) if self.per_frame > 1 else values[0]
            for name, values in draws.items()
        }

    def check(self, values: dict[str, Any], where: str) -> None:
        """Raises one clear sentence where `values` are not actions of this spec."""
        names = {c.name for c in self.components}
        if set(values) != names:
            raise WorldloomError(
                f"{where} has action components {sorted(values)}, expected {sorted(names)}",
                "give every component of the action spec by name",
            )
        for component in self.components:
            value = np.asarray(values[component.name])
            tail = value.shape[value.ndim - len(self.shape(component)) :]
            if tail != self.shape(component):
                raise WorldloomError(
                    f"{where} has `{component.name}` of shape {value.shape}, "
                    f"expected it to end with {self.shape(component)}",
                    "check the action spec",
                )
            if not component.valid(value):
                raise WorldloomError(
                    f"{where} has values of `{component.name}` outside its bounds ({component})",
                    "check the action spec",
                )

    def to_json(self) -> dict[str, Any]:
        kinds = {kind: name for name, kind in _KINDS.items()}
        return {
            "per_frame": self.per_frame,
            "components": [{"kind": kinds[type(c)], **asdict(c)} for c in self.components],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ActionSpec":
        components = []
        for row in data["components"]:
            fields = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
            del fields["kind"]
            components.append(_KINDS[row["kind"]](**fields))
        return cls(tuple(components), data["per_frame"])

    def describe(self) -> str:
        """A few words for messages, for example `keys[left right jump]`."""
        parts = []
        for c in self.components:
            if isinstance(c, Categorical):
                parts.append(f"{c.name}[{c.n}]")
            elif isinstance(c, Binary):
                parts.append(f"{c.name}[{' '.join(c.keys)}]")
            else:
                parts.append(f"{c.name}[{len(c.low)} continuous]")
        return " + ".join(parts) + ("" if self.per_frame == 1 else f" x {self.per_frame} a frame")


@dataclass(frozen=True)
class Action:
    """Actions of a batch, and where they are known.

    Args:
      values: component name to array or tensor `[*lead, *component shape]`.
      known: `[*lead]` bool; where False the values mean nothing and a model
        sees its learned "unknown action" instead.
    """

    values: dict[str, Any]
    known: Any

    def map(self, function: Any) -> "Action":
        """Applies `function` to every array, `known` included."""
        return Action({k: function(v) for k, v in self.values.items()}, function(self.known))

    def __getitem__(self, index: Any) -> "Action":
        return self.map(lambda array: array[index])

    def unknown(self) -> "Action":
        """The same action with every label hidden (the action-blind reference row)."""
        return Action(self.values, self.known & False)
