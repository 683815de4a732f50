"""From what a person types to who acts: a player by name, a trained agent, or several.

An environment may bring players of its own, so a name is looked up where the
player is to act; only `random` plays everywhere.
"""

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
    """A player that the environment brings, or `random`; its own `random` goes first."""

    name: str

    def __call__(self, stage: Stage) -> Policy:
        if self.name in stage.players:
            return stage.players[self.name]()
        if self.name == "random":
            return StickyRandom(stage.action)
        names = sorted({"random", *stage.players})
        raise WorldloomError(
            f"there is no policy `{self.name}`: no such file or folder, "
            f"and this environment has no {self.name} player",
            f"choose {' or '.join(names)}, or give the folder of a trained agent",
        )


def planning(name: str) -> tuple[Path, bool]:
    """The folder of a trained agent, and whether it is to search before it acts: `plan:RUN`."""
    return Path(name.removeprefix("plan:")), name.startswith("plan:")


def choose(
    text: str, *, load: Callable[[Path, bool], PolicyMaker] | None = None
) -> tuple[PolicyMaker, ...]:
    """The policies that `text` names, separated by commas; recordings take turns with them.

    Args:
      text: for example `random`, `random,random,scripted`, `runs/agent`, or `plan:runs/agent`
        for an agent that searches before it acts. What is neither a file nor a folder and looks
        like a name is the name of a player.
      load: makes a trained agent from its folder or file, and whether it searches.
    """
    return tuple(_one(part.strip(), load) for part in text.split(","))


def _one(name: str, load: Callable[[Path, bool], PolicyMaker] | None) -> PolicyMaker:
    path, plans = planning(name)
    if name in NAMES or (name.isidentifier() and not path.exists()):
        return Named(name)
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
    return load(path, plans)
