"""`worldloom ls`: what is here."""

from typing import Literal


def ls(
    what: Literal["all", "worlds", "runs", "stores", "envs", "sizes"] = "all", *, root: str = "."
) -> None:
    """Lists worlds of the package, runs, stores, environments or sizes.

    Args:
      what: which of them.
      root: folder below which runs and stores are looked for, three levels deep.
    """
    from worldloom import ls as tables

    kinds = {
        "worlds": tables.worlds,
        "runs": lambda: tables.runs(root),
        "stores": lambda: tables.stores(root),
        "envs": tables.envs,
        "sizes": tables.sizes,
    }
    shown = [make() for kind, make in kinds.items() if what in ("all", kind)]
    print("\n\n".join(shown))
