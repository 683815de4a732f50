"""From a plain function to a command: names, types and the docstring say it all."""

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Union, get_args, get_origin

import tyro

CONFIG = (tyro.conf.PositionalRequiredArgs, tyro.conf.FlagCreatePairsOff)


def parse(function: Callable[..., None], name: str, arguments: Sequence[str]) -> None:
    """Reads `arguments` by the signature of `function`, and calls it."""
    tyro.cli(
        named(function),
        prog=f"worldloom {name}",
        args=list(arguments),
        config=CONFIG,
    )


def named(function: Callable[..., None]) -> Callable[..., None]:
    """The same function with its arguments named in the help (`STORE`, not `STR`)."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)

    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        metavar = _metavar(parameter)
        kind = parameter.annotation
        if metavar:
            kind = Annotated[kind, tyro.conf.arg(metavar=metavar)]
        parameters.append(parameter.replace(annotation=kind))
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    del call.__wrapped__  # type: ignore[attr-defined]
    return call


def _metavar(parameter: inspect.Parameter) -> str | None:
    """The word for a value in the help; None where the type already says it."""
    kinds = get_args(parameter.annotation)
    if get_origin(parameter.annotation) in (Union, types.UnionType) and type(None) in kinds:
        return next(kind for kind in kinds if kind is not type(None)).__name__.upper()
    plain = parameter.annotation in (str, int, float)
    if parameter.default is inspect.Parameter.empty and plain:
        return parameter.name.upper()
    return None


@contextmanager
def on_interrupt(kept: str) -> Iterator[None]:
    """Lets Ctrl-C say what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or kept) from stop
