"""What somebody names on the command line as `module:Class`: a task, a family of worlds."""

import importlib
from typing import Any

from worldloom.errors import WorldloomError


def make_named(name: str, what: str, parts: tuple[str, ...], see: str) -> Any:
    """Makes the object of a class that takes no arguments.

    Args:
      name: `module:Class`.
      what: it should be, in a word.
      parts: attributes that it must have.
      see: where its contract is written.

    Raises:
      WorldloomError: there is no such class, or its objects lack a part.
    """
    module, _, kind = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), kind)()
    except (ModuleNotFoundError, AttributeError) as error:
        raise WorldloomError(
            f"{what} `{name}` was not found: {error}",
            "check the names; the class takes no arguments",
        ) from error
    lacks = [part for part in parts if not hasattr(made, part)]
    if lacks:
        raise WorldloomError(f"`{name}` is no {what}: it lacks {', '.join(lacks)}", f"see {see}")
    return made
