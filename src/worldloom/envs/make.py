"""From a name to a gymnasium environment, or one sentence saying why not.

Knows which packages bring which names; knows nothing of pixels or worlds.
"""

import difflib
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import gymnasium
from gymnasium.envs import registration
from gymnasium.error import DependencyNotInstalled

from worldloom.envs import register
from worldloom.errors import WorldloomError, need

# How an id begins, the package that brings it, and the extra that installs it.
PACKAGES = (
    ("ALE/", "ale_py", "atari"),
    ("Crafter", "crafter", "crafter"),
    ("MiniGrid-", "minigrid", "minigrid"),
    ("BabyAI-", "minigrid", "minigrid"),
)


@dataclass(frozen=True)
class Setup:
    """Which environment, and how it is seen.

    Args:
      id: for gymnasium, for example `worldloom/Hop-v0` or `ALE/Pong-v5`;
        `module:id` imports a module of your own first.
      size: (height, width) of frames. None keeps the environment's own. Our
        own games draw at that size themselves (`draws_at_size`); frames of all
        others are averaged over areas.
      repeat: how many times each action is done; rewards add up.
      kwargs: for the environment's constructor.
    """

    id: str
    size: tuple[int, int] | None = None
    repeat: int = 1
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.size, int):
            object.__setattr__(self, "size", (self.size, self.size))
        if self.size is not None and min(self.size) < 1:
            raise WorldloomError(
                f"frames of {self.size[0]}x{self.size[1]} have no pixels", "for example 64"
            )
        if self.repeat < 1:
            raise WorldloomError(f"an action cannot be repeated {self.repeat} times")

    def to_json(self) -> dict[str, Any]:
        """Everything but the id, for a store's `env_kwargs`."""
        size = None if self.size is None else list(self.size)
        return {"size": size, "repeat": self.repeat, "kwargs": dict(self.kwargs)}

    @classmethod
    def from_json(cls, env: str, data: Mapping[str, Any]) -> Self:
        """The setup that a store was recorded with, from its `env` and `env_kwargs`."""
        size = data.get("size")
        return cls(
            env,
            size=None if size is None else (size[0], size[1]),
            repeat=data.get("repeat", 1),
            kwargs=data.get("kwargs", {}),
        )


def make(setup: Setup) -> gymnasium.Env:
    """Makes the environment, with `render()` giving pictures where it can.

    Raises:
      WorldloomError: there is no such environment, a package is missing, or
        the environment does not take the arguments.
    """
    spec = find(setup.id)
    maker = _maker(spec)
    takes = _parameters(maker)
    kwargs: dict[str, Any] = dict(setup.kwargs)
    if setup.size is not None and getattr(maker, "draws_at_size", False):
        height, width = setup.size
        kwargs["size"] = height if height == width else setup.size
    if "render_mode" in takes or "kwargs" in takes:
        kwargs.setdefault("render_mode", "rgb_array")
    unknown = [] if "kwargs" in takes else sorted(set(kwargs) - takes)
    if unknown:
        raise WorldloomError(
            f"`{setup.id}` takes no argument `{unknown[0]}`",
            f"it takes {', '.join(sorted(takes - {'self'})) or 'none'}",
        )
    try:
        return gymnasium.make(spec, disable_env_checker=True, **kwargs)
    except (DependencyNotInstalled, ImportError) as error:
        raise WorldloomError(
            f"`{setup.id}` needs a package that is not installed: {error}".splitlines()[0],
            "install what the environment's own documentation names",
        ) from error


def find(name: str) -> registration.EnvSpec:
    """What gymnasium knows of an id, after importing the package that brings it."""
    register()
    module, _, bare = name.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise WorldloomError(
                f"environment `{name}` names the module `{error.name}`, which cannot be imported",
                "check its spelling, or install it",
            ) from error
    for start, package, extra in PACKAGES:
        if bare.startswith(start):
            _bring(package, extra)
    if bare not in registration.registry:
        for _, package, extra in PACKAGES:  # an older name of one of theirs, or a slip
            if importlib.util.find_spec(package):
                _bring(package, extra)
    if bare not in registration.registry:
        raise WorldloomError(f"there is no environment `{name}`", _near(bare))
    return registration.registry[bare]


def _bring(package: str, extra: str) -> None:
    """Imports a package, which makes its environments known to gymnasium."""
    module = need(package, extra)
    if package == "ale_py":  # its banner would be printed by every worker
        module.ALEInterface.setLoggerMode(module.LoggerMode.Error)


def _near(name: str) -> str:
    """The hint for a name that is not known: the nearest names that are."""
    # Names with a package in front come first: they are the ones to use today.
    known = sorted(registration.registry, key=lambda key: ("/" not in key, key))
    small = {key.lower(): key for key in reversed(known)}
    near = difflib.get_close_matches(name.lower(), small, n=3)
    inside = [key for key in known if name.lower() in key.lower()]
    names = dict.fromkeys([*inside, *(small[key] for key in near)])
    if names:
        return f"did you mean {' or '.join(f'`{n}`' for n in list(names)[:3])}?"
    return "`worldloom ls envs` lists those that are tried; any gymnasium id will do"


def _maker(spec: registration.EnvSpec) -> Callable[..., Any]:
    """The class or function that makes the environment."""
    entry = spec.entry_point
    if entry is None:
        raise WorldloomError(f"`{spec.id}` is a name without an environment", "choose another")
    return registration.load_env_creator(entry) if isinstance(entry, str) else entry


def _parameters(maker: Callable[..., Any]) -> frozenset[str]:
    """Names of the arguments; `kwargs` among them where any is taken."""
    return frozenset(
        "kwargs" if p.kind is inspect.Parameter.VAR_KEYWORD else name
        for name, p in inspect.signature(maker).parameters.items()
    )
