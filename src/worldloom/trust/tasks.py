"""Which tasks there are, and how a task of one's own is named."""

from worldloom.errors import WorldloomError
from worldloom.trust.blind import Blind
from worldloom.trust.combo import Combo
from worldloom.trust.control import Control
from worldloom.trust.craft import Craft
from worldloom.trust.doubting import DoubtTask
from worldloom.trust.gladder import Gladder
from worldloom.trust.look import Look
from worldloom.trust.motion import Motion
from worldloom.trust.named import make_named
from worldloom.trust.outcomes import Outcomes
from worldloom.trust.returning import Return
from worldloom.trust.rooms import RoomsTask
from worldloom.trust.task import Task
from worldloom.trust.transfer import Transfer
from worldloom.trust.voe2d import Voe2d


def all_tasks() -> list[Task]:
    """The suite, in the order of a profile."""
    own = [Motion(), Gladder(), Voe2d(), Combo(), RoomsTask(), Return(), Outcomes()]
    return [*own, Transfer(), Craft(), Control(), Look(), DoubtTask(), Blind()]


def named(name: str) -> Task:
    """A task of the suite by its name, or anyone's as `module:Class`.

    Raises:
      WorldloomError: there is no such task.
    """
    found = {task.name: task for task in all_tasks()}
    if name in found:
        return found[name]
    if ":" not in name:
        raise WorldloomError(
            f"there is no task `{name}`", f"one of {', '.join(found)}, or module:Class of your own"
        )
    parts = ("name", "claim", "requires", "answer")
    return make_named(name, "task", parts, "worldloom.trust.task.Task")
