"""worldloom turns recordings into worlds you can enter, train in, and trust.

The names that one needs most stand here, imported when they are first used:
importing this package imports nothing else.

- Experience: `Episode`, `Clip`, `Store`, `StoreInfo`, `ClipCache`, `ClipSampler`, `record`.
- Actions: `Action`, `ActionSpec`, `Binary`, `Categorical`, `Continuous`.
- Worlds: `World`, `WorldSpec`, `Step`, `GymWorld`, `load_world`, `contexts`.
- Training inside: `Imagined`, `ImaginedOne`; the module `worldloom.imagine` has the rest.
- Checking and entering: `check_world`, `check_store`, `check_env`, `serve`.
- Judging: the package `worldloom.evaluate`, whose `openloop.evaluate` is the whole of it.
- `WorldloomError`: what a user's mistake raises.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldloom.actions import Action as Action
    from worldloom.actions import ActionSpec as ActionSpec
    from worldloom.actions import Binary as Binary
    from worldloom.actions import Categorical as Categorical
    from worldloom.actions import Continuous as Continuous
    from worldloom.check import check_env as check_env
    from worldloom.check import check_world as check_world
    from worldloom.data.check import check_store as check_store
    from worldloom.data.clips import ClipCache as ClipCache
    from worldloom.data.clips import ClipSampler as ClipSampler
    from worldloom.data.record import record as record
    from worldloom.data.store import Store as Store
    from worldloom.data.store import StoreInfo as StoreInfo
    from worldloom.data.types import Clip as Clip
    from worldloom.data.types import Episode as Episode
    from worldloom.envs.gym import GymWorld as GymWorld
    from worldloom.errors import WorldloomError as WorldloomError
    from worldloom.hub import load_world as load_world
    from worldloom.imagine import Imagined as Imagined
    from worldloom.imagine import ImaginedOne as ImaginedOne
    from worldloom.play.server import serve as serve
    from worldloom.starts import contexts as contexts
    from worldloom.world import Step as Step
    from worldloom.world import World as World
    from worldloom.world import WorldSpec as WorldSpec

_HOME = {
    "actions": ("Action", "ActionSpec", "Binary", "Categorical", "Continuous"),
    "check": ("check_env", "check_world"),
    "data.check": ("check_store",),
    "data.clips": ("ClipCache", "ClipSampler"),
    "data.record": ("record",),
    "data.store": ("Store", "StoreInfo"),
    "data.types": ("Clip", "Episode"),
    "envs.gym": ("GymWorld",),
    "errors": ("WorldloomError",),
    "hub": ("load_world",),
    "imagine": ("Imagined", "ImaginedOne"),
    "play.server": ("serve",),
    "starts": ("contexts",),
    "world": ("Step", "World", "WorldSpec"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module `worldloom` has no attribute `{name}`")
    return getattr(import_module(f"worldloom.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
