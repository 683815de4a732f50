"""From what a person types to who acts: `random`, `scripted`, a trained agent, or several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from worldloom.actions import ActionSpec
from worldloom.agents.policy import Policy, StickyRandom
from worldloom.errors import WorldloomError

NAMES = ("random", "scripted")


class Stage(Protocol):
    """Where a policy will act: what can be done there, and the players it brings."""

    action: ActionSpec
    players: Mapping[str, Any]


class PolicyMaker(Protocol):
    """Makes a policy for a stage. It is sent to worker processes, so it must be picklable."""

    @property
    def name(self) -> str: ...
    def __call__(self, stage: Stage) -> Policy: ...


@dataclass(frozen=True)
class Named:
    """`random` or `scripted`; an environment's own player of that name goes first."""

    name: str

    def __call__(self, stage: Stage) -> Policy:
        if self.name in stage.players:
            return stage.players[self.name]()
        if self.name == "random":
            return StickyRandom(stage.action)
        raise WorldloomError(
            f"this environment has no {self.name} player",
            "use --policy random",
        )


def choose(
    text: str, *, load: Callable[[Path], PolicyMaker] | None = None
) -> tuple[PolicyMaker, ...]:
    """The policies that `text` names, separated by commas; recordings take turns with them.

    Args:
      text: for example `random`, `random,random,scripted` or `runs/agent`.
      load: reads a trained agent from its folder or file.
    """
    return tuple(_one(part.strip(), load) for part in text.split(","))


def _one(name: str, load: Callable[[Path], PolicyMaker] | None) -> PolicyMaker:
    if name in NAMES:
        return Named(name)
    path = Path(name)
    if not path.exists():
        raise WorldloomError(
            f"there is no policy `{name}`",
            f"choose {' or '.join(NAMES)}, or give the folder of a trained agent",
        )
    if load is None:
        raise WorldloomError(
            f"`{path}` is not a policy: this version cannot read trained agents yet",
            f"choose {' or '.join(NAMES)}",
        )
    return load(path)
