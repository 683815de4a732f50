"""A world's action components as gymnasium's action space, and batches of its actions back again.

The other way round from `spaces`, which reads components out of an
environment. Knows numpy and gymnasium; no world.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from worldloom.actions import ActionSpec, Binary, Categorical, Component
from worldloom.errors import WorldloomError


def action_space(spec: ActionSpec) -> spaces.Space:
    """The space of one action.

    One component is a space of its own: Discrete, MultiBinary or Box. Several choices are
    one MultiDiscrete, which most algorithms know. All else is a Dict of components by name.
    Above one action a frame, every component's space begins with an axis of that length.
    """
    parts = {c.name: _space(spec, c) for c in spec.components}
    if len(parts) == 1:
        return next(iter(parts.values()))
    if _choices(spec):
        return spaces.MultiDiscrete([c.n for c in spec.components if isinstance(c, Categorical)])
    return spaces.Dict(parts)


def from_native(spec: ActionSpec, actions: Any, rows: int) -> dict[str, np.ndarray]:
    """A batch of actions of `action_space(spec)`, as new arrays by component.

    Args:
      spec: of the world.
      actions: `rows` of them, as gymnasium batches them: an array, or a dict of arrays.
      rows: how many are expected.

    Returns:
      Component name to `[rows, *component shape]`.

    Raises:
      WorldloomError: they are no actions of `spec`.
    """
    if len(spec.components) == 1:
        actions = {spec.components[0].name: actions}
    elif _choices(spec):
        columns = np.asarray(actions)
        _check_shape("the actions", columns, (rows, len(spec.components)))
        actions = {c.name: columns[:, i] for i, c in enumerate(spec.components)}
    elif not isinstance(actions, Mapping):
        raise WorldloomError(
            f"the actions are a {type(actions).__name__}, expected a dict of {spec.describe()}",
            "give every component by name, `rows` values each",
        )
    known = {c.name: c for c in spec.components}
    values = {
        name: _cast(known[name], value) if name in known else value
        for name, value in actions.items()
    }
    spec.check(values, "the step")
    for c in spec.components:
        _check_shape(f"action `{c.name}`", values[c.name], (rows, *spec.shape(c)))
    return values


def _space(spec: ActionSpec, component: Component) -> spaces.Space:
    shape = spec.shape(component)
    if isinstance(component, Categorical):
        return spaces.MultiDiscrete(np.full(shape, component.n)) if shape else _discrete(component)
    if isinstance(component, Binary):
        return spaces.MultiBinary(shape[0] if len(shape) == 1 else list(shape))
    low, high = (
        np.broadcast_to(np.asarray(bound, np.float32), shape).copy()
        for bound in (component.low, component.high)
    )
    return spaces.Box(low, high, dtype=np.float32)


def _discrete(component: Categorical) -> spaces.Discrete:
    return spaces.Discrete(component.n)


def _choices(spec: ActionSpec) -> bool:
    """Whether there are several components and each is one choice."""
    return (
        spec.per_frame == 1
        and len(spec.components) > 1
        and all(isinstance(c, Categorical) for c in spec.components)
    )


def _cast(component: Component, value: Any) -> np.ndarray:
    """A copy in the component's own type, which whole numbers must not change by."""
    value = np.asarray(value)
    cast = value.astype(component.dtype)
    if np.issubdtype(component.dtype, np.integer) and not np.array_equal(cast, value):
        raise WorldloomError(
            f"action `{component.name}` is no {component.dtype.__name__}: {value.flat[:8]}",
            "give whole numbers within the bounds of the action space",
        )
    return cast


def _check_shape(what: str, value: np.ndarray, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise WorldloomError(
            f"{what} have shape {value.shape}, expected {shape}", "give one action for each row"
        )
