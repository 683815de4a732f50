"""Gymnasium's action spaces as action components, and their values back again."""

from collections.abc import Callable, Mapping
from enum import EnumMeta
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from worldloom.actions import ActionSpec, Binary, Categorical, Component, Continuous
from worldloom.errors import WorldloomError

Values = Mapping[str, np.ndarray]

# Labels of an action that does nothing, in the order in which they are believed.
_NOTHING = ("noop", "no-op", "nothing", "none", "idle", "stay", "done")


def action_spec(env: gymnasium.Env) -> ActionSpec:
    """What can be done in an environment; a dict space gives a component for each key.

    Names: `keys` for binary keys, `action` for all others, the path of keys
    joined by "/" inside a dict. Labels come from the environment where it has any.
    """
    return ActionSpec(tuple(_components(env.action_space, "", env)))


def to_native(space: spaces.Space, path: str = "") -> Callable[[Values], Any]:
    """How one action, component name to `[*component shape]`, becomes the environment's own.

    Args:
      space: the environment's action space.
      path: where in a dict space this is.
    """
    if isinstance(space, spaces.Dict):
        parts = {key: to_native(part, _join(path, key)) for key, part in space.items()}
        return lambda values: {key: part(values) for key, part in parts.items()}
    name = path or _plain_name(space)
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return lambda values: int(values[name]) + start
    if isinstance(space, spaces.MultiDiscrete):
        names = [f"{name}/{i}" for i in range(space.nvec.size)]
        return lambda values: (
            np.array([int(values[n]) for n in names]).reshape(space.nvec.shape) + space.start
        ).astype(space.dtype)
    if isinstance(space, spaces.MultiBinary | spaces.Box):
        shape, dtype = space.shape, space.dtype
        if len(shape) == 1:  # a component is flat already
            return lambda values: np.asarray(values[name], dtype)
        return lambda values: np.asarray(values[name], dtype).reshape(shape)
    raise _unsupported(space, name)


def _components(space: spaces.Space, path: str, env: gymnasium.Env) -> list[Component]:
    """The components of one space, at `path` in the environment's action space."""
    if isinstance(space, spaces.Dict):
        return [c for key, part in space.items() for c in _components(part, _join(path, key), env)]
    name = path or _plain_name(space)
    if isinstance(space, spaces.Discrete):
        labels = () if path else _labels(env, int(space.n))
        return [Categorical(name, int(space.n), _null(labels), labels)]
    if isinstance(space, spaces.MultiBinary):
        count = int(np.prod(space.shape))
        keys = getattr(env.unwrapped, "key_names", ())
        if len(keys) != count:
            keys = tuple(f"key {i}" for i in range(count))
        return [Binary(name, tuple(keys))]
    if isinstance(space, spaces.MultiDiscrete):
        return [Categorical(f"{name}/{i}", int(n)) for i, n in enumerate(space.nvec.flat)]
    if isinstance(space, spaces.Box):
        low, high = space.low.reshape(-1), space.high.reshape(-1)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise WorldloomError(
                f"action `{name}` of `{_id(env)}` has no bounds: {space}",
                "wrap the environment so that its actions are bounded",
            )
        return [Continuous(name, tuple(map(float, low)), tuple(map(float, high)))]
    raise _unsupported(space, name)


def _plain_name(space: spaces.Space) -> str:
    """What the only component of an environment is called."""
    return "keys" if isinstance(space, spaces.MultiBinary) else "action"


def _join(path: str, key: Any) -> str:
    return f"{path}/{key}" if path else str(key)


def _labels(env: gymnasium.Env, n: int) -> tuple[str, ...]:
    """What the environment calls its choices, or nothing."""
    game: Any = env.unwrapped
    if hasattr(game, "get_action_meanings"):
        names = game.get_action_meanings()
    elif hasattr(game, "action_names"):
        names = game.action_names
    elif isinstance(getattr(game, "actions", None), EnumMeta):
        names = [str(action.name) for action in game.actions]  # type: ignore[attr-defined]
    else:
        return ()
    return tuple(map(str, names)) if len(names) == n else ()


def _null(labels: tuple[str, ...]) -> int:
    """The choice that does nothing: by its label, else the first."""
    lower = [label.lower() for label in labels]
    return next((lower.index(word) for word in _NOTHING if word in lower), 0)


def _unsupported(space: spaces.Space, name: str) -> WorldloomError:
    return WorldloomError(
        f"action `{name}` has the space {space}, which worlds do not know",
        "wrap the environment: Discrete, MultiBinary, MultiDiscrete, Box and Dict work",
    )


def _id(env: gymnasium.Env) -> str:
    return env.spec.id if env.spec else type(env.unwrapped).__name__
