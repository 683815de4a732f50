"""`worldloom ls`: what is here."""

from typing import Literal


def ls(what: Literal["all", "runs", "stores", "envs", "sizes"] = "all", *, root: str = ".") -> None:
    """Lists runs, stores, environments or sizes.

    Args:
      what: which of them.
      root: folder below which runs and stores are looked for, three levels deep.
    """
    from worldloom import ls as listing

    for kind in ("runs", "stores", "envs", "sizes"):
        if what in ("all", kind):
            print(listing.table(kind, root))
