"""The family of a world under test, trained on the recordings that a task brings.

OUT/own/TASK/BUDGET-SEED-GENERATOR/
  world/               what the family keeps: weights, configuration
  world-seconds.json   for how long it was trained, interruptions apart

Knows tasks and recipes by their contract; no model.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from worldloom import seeding
from worldloom.data.files import replace_file
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.trust.probe import Probe
from worldloom.trust.sitting import Tell
from worldloom.trust.task import Budget, OwnData, Setting, Variants, training_seed
from worldloom.trust.worldprobe import WorldProbe
from worldloom.world import World

UNTRAINED: Mapping[Budget, int] = {"smoke": 1, "quick": 2, "full": 5}
"""Networks of the same shape that were never trained."""
OFTEN = 10.0
"""Seconds after which the time of a training is written down: so much is lost with a process."""


class Family(Protocol):
    """How worlds like the one under test are made from recordings.

    Attributes:
      name: of the recipe, which the report states.
    """

    @property
    def name(self) -> str: ...

    def train(self, store: Store, folder: Path, setting: Setting, tell: Tell) -> World:
        """The world trained on a store; kept in `folder`, where it is found again."""
        ...

    def untrained(self, folder: Path, *, seed: int) -> World:
        """A world of the shape of the one in `folder`, with weights as they are drawn."""
        ...


@runtime_checkable
class Described(Protocol):
    """A family that also says how long its recipe trains."""

    def words(self, setting: Setting) -> str:
        """The recipe in a few words, such as "nano, 1,500 updates"."""
        ...


@dataclass(frozen=True)
class Trained:
    """A family trained once for one task.

    Args:
      probe: the world, or several for a task that compares them.
      untrained: networks of its shape that never were, by name.
      recipe: in words.
      recordings: how many episodes it learned from, by the name that the task gives them.
      seed: of the training.
      untrained_seeds: of the networks that never were.
      seconds: of training; None where nobody wrote them down.
    """

    probe: Probe
    untrained: Mapping[str, Probe]
    recipe: str
    recordings: Mapping[str, int]
    seed: int
    untrained_seeds: tuple[int, ...]
    seconds: float | None


def train_family(
    task: OwnData, family: Family, setting: Setting, out: Path, *, name: str, tell: Tell
) -> Trained:
    """Trains a family on a task's recordings, or opens what was trained before.

    Args:
      task: that brings them.
      family: the recipe.
      setting: whose `training` says which one it is.
      out: folder of the suite.
      name: of the world under test.
      tell: progress.
    """
    part_of = f"{setting.budget}-{setting.seed}-{task.fingerprint(setting)}"
    place = out / "own" / task.name / part_of
    tell(0.0, f"{task.name}: drawing recordings")
    seeds = untrained_seeds(setting)
    worlds: dict[str, Probe] = {}
    raw: dict[str, dict[str, Probe]] = {}
    counts: dict[str, int] = {}
    seconds: list[float | None] = []
    for part, store in task.recordings(place, setting).items():
        home = place / "-".join(filter(None, ("world", part)))
        if setting.training:
            home = home.with_name(f"{home.name}-training-{setting.training}")
        grown, took = _timed(family, store, home, setting, tell)
        seconds.append(took)
        counts[part] = len(store)
        worlds[part] = WorldProbe(grown, f"{name}'s family on {task.name} {part}".rstrip())
        for number, seed in enumerate(seeds):
            bare = WorldProbe(family.untrained(home, seed=seed), f"untrained {number}")
            raw.setdefault(f"untrained_{number}", {})[part] = bare
    return Trained(
        _joined(worlds),
        {key: _joined(some) for key, some in raw.items()},
        family.words(setting) if isinstance(family, Described) else family.name,
        counts,
        training_seed(setting),
        seeds,
        None if None in seconds else sum(s for s in seconds if s is not None),
    )


def untrained_seeds(setting: Setting) -> tuple[int, ...]:
    """The seeds of the networks that are never trained."""
    count = UNTRAINED[setting.budget]
    return tuple(seeding.stream(setting.seed, "untrained", i) for i in range(count))


def _timed(
    family: Family, store: Store, home: Path, setting: Setting, tell: Tell
) -> tuple[World, float | None]:
    """The world trained in a folder, and for how long it was in all, over interruptions."""
    clock = Clock.of(home)
    clock.begin()

    def told(share: float, words: str) -> object:
        clock.tick()
        return tell(share, words)

    world = _trained(family, store, home, setting, told)
    return world, clock.stop()


class Clock:
    """Adds up the seconds of a training that may be interrupted, in a file beside its weights.

    Args:
      file: where they are kept.
      before: seconds of earlier processes; None where there were some that kept no count.
      done: whether the training is over, and loading it takes none of its time.
    """

    def __init__(self, file: Path, before: float | None, done: bool) -> None:
        self.file, self.before, self.done = file, before, done
        self.kept = time.monotonic()

    @classmethod
    def of(cls, home: Path) -> "Clock":
        """The clock of what is trained in a folder."""
        file = home.with_name(f"{home.name}-seconds.json")
        if not home.exists():
            return cls(file, 0.0, False)
        if not file.exists():
            return cls(file, None, False)
        try:
            found = json.loads(file.read_text())
            return cls(file, found["seconds"], bool(found["finished"]))
        except (ValueError, KeyError, TypeError) as error:
            raise WorldloomError(
                f"`{file}` cannot be read: {error}", "remove it: it only says how long it took"
            ) from error

    def begin(self) -> None:
        """From now on time is told from time that nobody counted."""
        if not self.done:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._keep(False)

    def tick(self) -> None:
        """Writes the time down now and then."""
        if not self.done and time.monotonic() - self.kept > OFTEN:
            self._keep(False)

    def stop(self) -> float | None:
        """The training is over; returns its seconds."""
        if not self.done:
            self._keep(True)
        return self.before

    def _keep(self, finished: bool) -> None:
        now = time.monotonic()
        if self.before is not None:
            self.before = round(self.before + now - self.kept, 2)
        self.kept = now
        facts = {"seconds": self.before, "finished": finished}
        replace_file(self.file, json.dumps(facts).encode() + b"\n")


def _trained(family: Family, store: Store, home: Path, setting: Setting, tell: Tell) -> World:
    """The world trained in a folder, or found there; one that is damaged is named."""
    found = home.exists()
    try:
        return family.train(store, home, setting, tell)
    except WorldloomError as error:
        if not found:
            raise
        hint = f"remove `{home}`: the family is trained again"
        raise WorldloomError(
            f"what was kept in `{home}` is of no use: {error.message}", hint
        ) from (error)


def _joined(worlds: Mapping[str, Probe]) -> Probe:
    return worlds[""] if set(worlds) == {""} else Variants(worlds)  # type: ignore[return-value]
