"""`worldloom ls`: what is here."""

from typing import Literal

from worldloom.errors import WorldloomError


def ls(
    what: Literal["all", "worlds", "runs", "stores", "envs", "sizes", "lies"] = "all",
    run: str | None = None,
    *,
    root: str = ".",
) -> None:
    """Lists worlds of the package, runs, stores, environments, sizes or lies.

    Args:
      what: which of them.
      run: folder of the run whose lies are shown; without it those of all runs are counted.
      root: folder below which runs, stores and lies are looked for, three levels deep.
    """
    from worldloom import ls as tables

    if run is not None and what != "lies":
        raise WorldloomError(
            f"`{run}` is one word too many: `ls {what}` takes none",
            f"worldloom ls lies {run}",
            code=2,
        )
    kinds = {
        "worlds": tables.worlds,
        "runs": lambda: tables.runs(root),
        "stores": lambda: tables.stores(root),
        "envs": tables.envs,
        "sizes": tables.sizes,
        "lies": lambda: tables.all_lies(root) if run is None else tables.lies(run),
    }
    shown = [make() for kind, make in kinds.items() if what in ("all", kind)]
    print("\n\n".join(shown))
