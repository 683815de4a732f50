"""Which tasks there are, and how a task of one's own is named."""

from worldloom.errors import WorldloomError
from worldloom.trust.named import make_named
from worldloom.trust.task import Task
from worldloom.trust.tasks.blind.task import Blind
from worldloom.trust.tasks.combo import Combo
from worldloom.trust.tasks.control.task import Control
from worldloom.trust.tasks.craft.task import Craft
from worldloom.trust.tasks.doubt.task import DoubtTask
from worldloom.trust.tasks.gladder.task import Gladder
from worldloom.trust.tasks.look.task import Look
from worldloom.trust.tasks.memory.task import Memory
from worldloom.trust.tasks.motion import Motion
from worldloom.trust.tasks.outcomes.task import Outcomes
from worldloom.trust.tasks.returning.task import Return
from worldloom.trust.tasks.rooms.task import RoomsTask, by_moves
from worldloom.trust.tasks.transfer.task import Transfer
from worldloom.trust.tasks.voe2d.task import Voe2d

PARTS = (
    *("name", "version", "claim", "requires", "own_data", "chunk", "items", "fingerprint"),
    *("nulls", "ceiling", "prepare", "answer", "judge", "faults"),
)
"""What every task has."""


def all_tasks() -> list[Task]:
    """The suite, in the order of a profile."""
    own = [Motion(), Gladder(), Voe2d(), Combo(), RoomsTask(), Return(), Outcomes()]
    return [*own, Transfer(), Craft(), Control(), Look(), DoubtTask(), Memory(), Blind()]


def more_tasks() -> list[Task]:
    """What is sat only where it is named: harder tracks of tasks of the suite."""
    return [by_moves()]


def named(name: str) -> Task:
    """A task by its name, or anyone's as `module:Class`.

    Raises:
      WorldloomError: there is no such task.
    """
    found = {task.name: task for task in [*all_tasks(), *more_tasks()]}
    if name in found:
        return found[name]
    if ":" not in name:
        raise WorldloomError(
            f"there is no task `{name}`", f"one of {', '.join(found)}, or module:Class of your own"
        )
    return make_named(name, "task", PARTS, "worldloom.trust.task.Task")
