"""The worlds that come with the package, each a run folder with a small store of starts.

worlds/NAME/
  CARD.md      what it was made of and how, its scores, its known failures
  world.json   how its frames are drawn
  tokenizer/ dynamics/
  store/       held-out episodes to begin with
"""

from pathlib import Path

FOLDER = Path(__file__).parent / "worlds"
FIRST = "hop"
"""What `worldloom play` enters when nothing is named."""


def names() -> list[str]:
    """The shipped worlds, the first one first."""
    found = {path.parent.name for path in FOLDER.glob("*/CARD.md")}
    return sorted(found, key=lambda name: (name != FIRST, name))


def find_run(world: str) -> Path | None:
    """The run folder that a person means: one of their own, or else a shipped world's.

    Args:
      world: a path, or the name of a shipped world.

    Returns:
      None where it is neither, and so names an environment.
    """
    if Path(world).is_dir():
        return Path(world)
    return FOLDER / world if world in names() else None


def summary(name: str) -> str:
    """The first line of a world's card, without its markup."""
    return (FOLDER / name / "CARD.md").read_text().split("\n")[0].lstrip("# ")


def folder_bytes(name: str) -> int:
    """How much of the package a world is."""
    return sum(path.stat().st_size for path in (FOLDER / name).rglob("*") if path.is_file())
