"""A user's mistake is one sentence and one hint, never a traceback."""

import importlib
from types import ModuleType


class WorldloomError(Exception):
    """A fact in one line, with the offending values, then one thing to do.

    Args:
      message: what, where, expected, found. Lower case, no final full stop.
      hint: one thing to do next. Empty only where nothing can be done.
      code: the exit status of the command line: 1, or 2 for wrong usage.
    """

    def __init__(self, message: str, hint: str = "", *, code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


def need(package: str, extra: str) -> ModuleType:
    """Imports an optional package, or says how to install it.

    Args:
      package: the module to import, for example `crafter`.
      extra: the extra of `worldloom` that installs it.

    Raises:
      WorldloomError: the package is missing; the hint is the install line.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise WorldloomError(
            f"this needs the package `{error.name}`, which is not installed",
            f"pip install 'worldloom[{extra}]'",
        ) from error
