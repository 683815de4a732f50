"""A trained world made small enough to carry: weights, how frames are drawn, a few starts."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.hub import load_world, save_world
from worldloom.models.dream import Sampler
from worldloom.starts import run_store
from worldloom.train.stage import write_text

STARTS, FRAMES = 16, 64


def pack_world(run: str | Path, folder: str | Path, *, sampler: Sampler | None = None) -> None:
    """Copies a run's world with the beginnings of some held-out episodes as its store.

    What was packed is itself a run folder, can be moved, and needs nothing else.

    Args:
      run: with a finished tokenizer and dynamics, whose store is at hand.
      folder: must not exist; appears whole or not at all.
      sampler: how the packed world draws its frames; as the run does where None.

    Raises:
      WorldloomError: the folder exists, the run is unfinished, or its store is missing.
    """
    run, folder = Path(run), Path(folder)
    if folder.exists():
        raise WorldloomError(f"`{folder}` exists already", "choose another folder")
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        save_world(load_world(run, sampler), run, part)
        _beginnings(run_store(run, None), part / "store")
        for file in part.glob("*/config.json"):
            config = {**json.loads(file.read_text()), "store": "store", "episodes": []}
            config.pop("begin", None)  # a folder of this machine
            write_text(file, json.dumps(config, indent=2) + "\n")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _beginnings(source: Store, path: Path) -> None:
    """A store of the first frames of held-out episodes, all of it held out."""
    names = [name for name in source.split("heldout") if source.row(name).length >= FRAMES]
    if not names:
        raise WorldloomError(
            f"store `{source.path}` has no held-out episode of {FRAMES} frames or more",
            "record longer episodes",
        )
    starts = Store.create(path, replace(source.info, heldout=1.0))
    for name in names[:STARTS]:
        episode = source.read(name, 0, FRAMES)
        cut = source.row(name).length > FRAMES
        starts.append(replace(episode, terminated=False, truncated=True) if cut else episode)
    starts.refresh()  # writes its index: where a package lies, nobody may write later
