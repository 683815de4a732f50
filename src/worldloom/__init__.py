"""worldloom turns recordings into worlds you can enter, train in, and trust.

The names that one needs most stand here, imported when they are first used:
importing this package imports nothing else.

- Experience: `Episode`, `Clip`, `Store`, `StoreInfo`, `ClipCache`, `ClipSampler`, `record`.
- Actions: `Action`, `ActionSpec`, `Binary`, `Categorical`, `Continuous`.
- Worlds: `World`, `WorldSpec`, `Step`, `GymWorld`, `load_world`, `contexts`.
- Checking and entering: `check_world`, `check_store`, `serve`.
- Judging: the package `worldloom.evaluate`, whose `openloop.evaluate` is the whole of it.
- `WorldloomError`: what a user's mistake raises.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldloom.actions import Action, ActionSpec, Binary, Categorical, Continuous
    from worldloom.check import check_world
    from worldloom.data.check import check_store
    from worldloom.data.clips import ClipCache, ClipSampler
    from worldloom.data.store import Store, StoreInfo
    from worldloom.data.types import Clip, Episode
    from worldloom.envs.gym import GymWorld
    from worldloom.envs.record import record
    from worldloom.errors import WorldloomError
    from worldloom.hub import load_world
    from worldloom.play.server import serve
    from worldloom.starts import contexts
    from worldloom.world import Step, World, WorldSpec

_HOME = {
    "actions": ("Action", "ActionSpec", "Binary", "Categorical", "Continuous"),
    "check": ("check_world",),
    "data.check": ("check_store",),
    "data.clips": ("ClipCache", "ClipSampler"),
    "data.store": ("Store", "StoreInfo"),
    "data.types": ("Clip", "Episode"),
    "envs.gym": ("GymWorld",),
    "envs.record": ("record",),
    "errors": ("WorldloomError",),
    "hub": ("load_world",),
    "play.server": ("serve",),
    "starts": ("contexts",),
    "world": ("Step", "World", "WorldSpec"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [  # noqa: RUF022 in the order of the text above
    "Episode",
    "Clip",
    "Store",
    "StoreInfo",
    "ClipCache",
    "ClipSampler",
    "record",
    "Action",
    "ActionSpec",
    "Binary",
    "Categorical",
    "Continuous",
    "World",
    "WorldSpec",
    "Step",
    "GymWorld",
    "load_world",
    "contexts",
    "check_world",
    "check_store",
    "serve",
    "WorldloomError",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module `worldloom` has no attribute `{name}`")
    return getattr(import_module(f"worldloom.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
