"""Which tasks there are, and how a task of one's own is named."""

import importlib
from typing import Any

from worldloom.errors import WorldloomError
from worldloom.trust.combo import Combo
from worldloom.trust.gladder import Gladder
from worldloom.trust.motion import Motion
from worldloom.trust.returning import Return
from worldloom.trust.rooms import RoomsTask
from worldloom.trust.task import Task
from worldloom.trust.voe2d import Voe2d


def all_tasks() -> list[Task]:
    """The suite, in the order of a profile."""
    return [Motion(), Gladder(), Voe2d(), Combo(), RoomsTask(), Return()]


def named(name: str) -> Task:
    """A task of the suite by its name, or anyone's as `module:Class`.

    Raises:
      WorldloomError: there is no such task.
    """
    found = {task.name: task for task in all_tasks()}
    if name in found:
        return found[name]
    module, colon, kind = name.partition(":")
    if not colon:
        raise WorldloomError(
            f"there is no task `{name}`", f"one of {', '.join(found)}, or module:Class of your own"
        )
    try:
        task: Any = getattr(importlib.import_module(module), kind)()
    except (ModuleNotFoundError, AttributeError) as error:
        raise WorldloomError(
            f"task `{name}` was not found: {error}", "check the names; the class takes no arguments"
        ) from error
    lacks = [part for part in ("name", "claim", "requires", "answer") if not hasattr(task, part)]
    if lacks:
        raise WorldloomError(
            f"`{name}` is no task: it lacks {', '.join(lacks)}", "see worldloom.trust.task.Task"
        )
    return task
