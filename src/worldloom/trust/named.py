"""What somebody names on the command line as `module:Class`: a task, a family of worlds."""

import importlib
import inspect
import os
import sys
from typing import Any

from worldloom.errors import WorldloomError


def make_named(name: str, what: str, parts: tuple[str, ...], see: str) -> Any:
    """Makes the object of a class that takes no arguments.

    Args:
      name: `module:Class`; the module is installed, or a file of the working directory.
      what: it should be, in a word.
      parts: attributes that it must have.
      see: where its contract is written.

    Raises:
      WorldloomError: there is no such class, or its objects lack a part.
    """
    kind = _class(name, what)
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise WorldloomError(
            f"{what} `{name}` cannot be made: {error}", "name a class that takes no arguments"
        ) from error
    made = kind()
    lacks = [part for part in parts if not hasattr(made, part)]
    if lacks:
        raise WorldloomError(f"`{name}` is no {what}: it lacks {', '.join(lacks)}", f"see {see}")
    return made


def _class(name: str, what: str) -> Any:
    module, _, kind = name.partition(":")
    if not module or module.startswith(".") or not kind.isidentifier():
        raise WorldloomError(
            f"{what} `{name}` is not written as module:Class", "such as mytask:Mine for mytask.py"
        )
    _look_here()
    try:
        return getattr(importlib.import_module(module), kind)
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}"
        raise WorldloomError(
            f"{what} `{name}` cannot be read: {error.msg} in {where}", "mend that line"
        ) from error
    except (ImportError, AttributeError) as error:
        raise WorldloomError(
            f"{what} `{name}` was not found: {error}",
            f"check the names; modules are looked for in {os.getcwd()} and among those installed",
        ) from error


def _look_here() -> None:
    """Lets modules of the working directory be found, as `python -m worldloom` finds them.

    The console script does not: its first place is the folder that it lies in.
    """
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
