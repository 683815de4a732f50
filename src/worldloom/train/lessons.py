"""What an agent learns, and for how long; and what recordings are about."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from worldloom.configs import Batches, Size
from worldloom.data.cache import ClipCache
from worldloom.train.onward import Onward, onward_of
from worldloom.train.optim import Schedule

ANY_TASK = "reward"  # of recordings whose labels name no task


@dataclass(frozen=True)
class Lessons:
    """What an agent learns, and how long.

    Args:
      schedule: how long and how fast.
      batches: windows of an update that show how something is done, which is imitated.
      hidden: inner width of the heads.
      eye: inner width of the agent's own eye on each frame; 0 for none.
      witness: inner width of who says what pays in dreams, where there is a world; 0 for none.
      beside: windows of any kind, for the world, to each that is imitated.
      past: whether the policy reads its past as well as what it sees now. Who imitates learns to
        copy what was done last, where that is shown; who cannot see all at once needs it.
      urge: how far the policy goes beyond what was done where things went well.
      glances: single frames of an update whose next action the eye learns by itself, half of them
        such after which things went well; they cost next to nothing. 0 without an eye.
      alone: from chance and by cloning only, without a world model: for comparison, or where
        a policy is all that is wanted.
      well: share of the frames after which things went well, see `worldloom.data.relevant`: the
        policy learns what was done there apart from all else, and acts like it. 1: all alike.
      best: of the episodes, the share with the highest returns that is imitated at all.
      onward: an earlier agent, whose world and heads are learned on with. What is imitated
        stays the old recordings: of the fresh ones the world, rewards and endings are learned.
    """

    schedule: Schedule
    batches: Batches
    hidden: int = 256
    alone: bool = False
    well: float = 0.125
    best: float = 1.0
    onward: Onward | None = None
    eye: int = 96
    witness: int = 48
    beside: float = 1.0
    glances: int = 0
    past: bool = True
    urge: float = 0.5


def standard(size: Size, *, alone: bool = False) -> Lessons:
    """Lessons for a world of this size: half as long as its dynamics learned, at half the rate."""
    schedule = replace(
        size.schedule,
        steps=max(1, size.schedule.steps // 2),
        rate=size.schedule.rate / 2,
        muon_rate=None if size.schedule.muon_rate is None else size.schedule.muon_rate / 2,
    )
    rows = size.batches.rows * (2 if alone else 1)  # of a world's lessons as many are beside
    return Lessons(schedule, replace(size.batches, rows=rows), alone=alone)


def at_sight(lessons: Lessons) -> Lessons:
    """The same for a policy that acts on what it sees now, and learns it from many glances."""
    return replace(lessons, past=False, eye=192, glances=512)


def lessons_of(config: Mapping[str, Any]) -> Lessons:
    """Those that a stage began with."""
    data = config["lessons"]
    return Lessons(
        Schedule(**data["schedule"]),
        Batches(**data["batches"]),
        data["hidden"],
        data["alone"],
        data.get("well", 1.0),
        data.get("best", 1.0),
        onward_of(data.get("onward")),
        data.get("eye", 0),
        data.get("witness", 0),
        data.get("beside", 1.0),
        data.get("glances", 0),
        data.get("past", True),
        data.get("urge", 0.0),
    )


def tasks_of(cache: ClipCache) -> list[str]:
    """What each episode of the cache is about."""
    rows = (cache.store.row(name) for name in cache.names)
    return [str(row.labels.get("task", ANY_TASK)) for row in rows]
