"""Puts the world of a run into the package.

    python -m recipes.ship runs/hop64 hop --passes 2 --hold 6 --temperature 0.75

The card, src/worldloom/worlds/NAME/CARD.md, is written by hand and stays; its
tables are made by `python -m benchmarks.tables`.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from worldloom import shipped
from worldloom.models.dream import Sampler
from worldloom.pack import pack_world
from worldloom.train.stage import write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--passes", type=int, default=Sampler.passes, help="K when it is played")
    parser.add_argument("--hold", type=int, default=Sampler.hold, help="see Sampler")
    parser.add_argument("--temperature", type=float, default=Sampler.temperature)
    parser.add_argument("--recipe", default="", help="the command that made the run")
    given = parser.parse_args()
    sampler = Sampler(passes=given.passes, hold=given.hold, temperature=given.temperature)
    ship(given.run, given.name, sampler, given.recipe)


def ship(run: Path, name: str, sampler: Sampler, recipe: str) -> None:
    """Packs `run` as worlds/NAME in place of what was there; the card stays.

    Args:
      run: a finished run whose store is at hand.
      name: under which it is played.
      sampler: how it draws its frames.
      recipe: the command that is noted as the one that made it; the run's own where empty.
    """
    folder = shipped.FOLDER / name
    with tempfile.TemporaryDirectory(dir=shipped.FOLDER.parent) as place:
        packed = Path(place) / name
        pack_world(run, packed, sampler=sampler)
        for stage in ("tokenizer", "dynamics"):
            file = packed / stage / "config.json"
            config = json.loads(file.read_text())
            made = {**config["made"], **({"command": recipe} if recipe else {})}
            write_text(file, json.dumps({**config, "made": made}, indent=2) + "\n")
        if (folder / "CARD.md").exists():
            shutil.copy(folder / "CARD.md", packed)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        packed.rename(folder)


if __name__ == "__main__":
    main()
