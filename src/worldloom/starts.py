"""From a word of the command line to a world, and to where it can start."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from worldloom.errors import WorldloomError

if TYPE_CHECKING:
    from worldloom.data.store import Store
    from worldloom.data.types import Clip, Episode
    from worldloom.models.dream import DreamWorld
    from worldloom.play.beside import Beside
from worldloom.world import WorldSpec

COUNT = 32
LENGTH = 8


def contexts(store: "Store", *, count: int = COUNT, length: int = LENGTH) -> "list[Clip]":
    """The first frames of held-out episodes, as contexts of one row each.

    Args:
      store: whose held-out episodes are used; those of training where none is held out.
      count: at most so many.
      length: frames of each.
    """
    return [clip_of(store.read(name, 0, length)) for name in chosen(store, count, length)]


def clip_of(episode: "Episode") -> "Clip":
    """A stretch of recording as a context of one row."""
    import torch

    from worldloom.actions import Action
    from worldloom.data.types import Clip

    actions = Action(dict(episode.actions), episode.action_known)
    return Clip(
        frames={k: torch.from_numpy(v)[None] for k, v in episode.frames.items()},
        actions=actions.map(lambda array: torch.from_numpy(array)[None]),
    )


def chosen(store: "Store", count: int = COUNT, length: int = LENGTH) -> list[str]:
    """The episodes that the starts of `contexts` come from, in the order of their seeds."""
    names = store.split("heldout") or store.split("train")
    names = [name for name in names if store.row(name).length > length][:count]
    if not names:
        raise WorldloomError(
            f"store `{store.path}` has no episode of more than {length} frames",
            f"worldloom record ENV {store.path}",
        )
    return names


def beside(
    store: "Store", spec: "WorldSpec", *, count: int = COUNT, length: int = LENGTH
) -> "Beside | str":
    """The real environment at the very moments that the dreams of `contexts` begin after.

    Args:
      store: that names the environment.
      spec: of the dream.
      count: as for `contexts`.
      length: as for `contexts`.

    Returns:
      the environment, or in words why there is none.
    """
    from functools import lru_cache

    from worldloom.envs import HOP, hop_reader
    from worldloom.envs.gym import GymWorld
    from worldloom.envs.make import Setup
    from worldloom.envs.reenter import moment_at
    from worldloom.play.beside import Beside, Start

    if not store.info.env:
        return "the recordings name no environment"
    names = chosen(store, count, length)

    @lru_cache(maxsize=count)
    def start(place: int) -> Start:
        plate = store.read(names[place], 0, 1).stills.get("background")
        return Start(moment_at(store, names[place], length - 1), plate)

    try:
        world = GymWorld(Setup.from_json(store.info.env, store.info.env_kwargs))
        if (world.spec.cameras, world.spec.action) != (spec.cameras, spec.action):
            world.close()
            return f"`{store.info.env}` has other frames or actions by now than its recordings"
        found = Beside(
            world,
            lambda seed: start(seed % len(names)),
            tolerance=spec.tolerance,
            reader=hop_reader.player if store.info.env == HOP else None,
        )
        found.release(found.enter(0))
    except WorldloomError as error:
        return error.message
    return found


def run_store(run: str | Path, store: str | None) -> "Store":
    """The store that a run was trained on, or the one that is named instead."""
    from worldloom.data.store import Store
    from worldloom.train.stage import Stage

    if store is not None:
        return Store.open(store)
    # A world that was packed brings its store along and names it from its own folder.
    recorded = Path(run) / Stage.open(Path(run) / "dynamics").config["store"]
    if not recorded.exists():
        raise WorldloomError(
            f"run `{run}` was trained on `{recorded}`, which is not there any more",
            "name a store of the same kind with --store",
        )
    return Store.open(recorded)


def use_gpu(world: "DreamWorld") -> None:
    """Moves a dream to the GPU, if there is one, and has its steps captured as graphs there."""
    import torch

    from worldloom.models.engine import Engine, graphed

    if torch.cuda.is_available():
        world.to("cuda").advance_by(Engine(world, graphed, partial(print, file=sys.stderr)))


def spare_a_core() -> None:
    """Leaves one core to the page that shows a dream, and to the browser.

    torch's threads wait for each other at every product: where as many run as there are
    cores and one of them is wanted elsewhere, a step of 20 ms takes seconds.
    """
    import torch

    from worldloom.workers import cores

    torch.set_num_threads(min(torch.get_num_threads(), max(1, cores() - 1)))
