"""From a plain function to a command: names, types and the docstring say it all.

Parameters before the `*` are arguments, those after it are options.
"""

import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Union, get_args, get_origin

import tyro


def parse(function: Callable[..., None], name: str, arguments: Sequence[str]) -> None:
    """Reads `arguments` by the signature of `function`, and calls it."""
    command = with_words(function)
    config = (tyro.conf.FlagCreatePairsOff,)
    tyro.cli(command, prog=f"worldloom {name}", args=list(arguments), config=config)


def with_words(function: Callable[..., None]) -> Callable[..., None]:
    """The same function, with types that tell the parser what is an argument and its name."""

    def call(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)

    parameters = [_worded(p) for p in inspect.signature(function).parameters.values()]
    call.__doc__ = function.__doc__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call


def _worded(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter whose type carries its word in the help: `STORE`, not `STR`."""
    kind, kinds = parameter.annotation, get_args(parameter.annotation)
    argument = parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    word = None
    if get_origin(kind) in (Union, types.UnionType) and type(None) in kinds:
        given = next(k for k in kinds if k is not type(None))
        # Choices speak for themselves.
        word = given.__name__.upper() if isinstance(given, type) else None
    elif kind is str:
        word = parameter.name.upper()
    if word:
        kind = Annotated[kind, tyro.conf.arg(metavar=word)]
    if argument:
        kind = tyro.conf.Positional[kind]
    return parameter.replace(annotation=kind)


@contextmanager
def on_interrupt(kept: str) -> Iterator[None]:
    """Lets Ctrl-C say what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or kept) from stop
