"""From recordings alone to players that are compared: the way that the recipes of agents share.

RUN/store        the recordings
RUN/tokenizer    RUN/dynamics
RUN/agent        the world with an agent cloned in it
RUN/clone        cloning from scratch            RUN/filtered   that, of the best tenth
RUN/iql          a baseline without a world
RUN/dream        the agent, learned on in imagination
RUN/act          how each of them played for real, from the same starts

What is done is kept: run it again to go on. Knows no game.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recipes import iql, steps
from worldloom.configs import Size
from worldloom.data.store import Store
from worldloom.envs.make import Setup
from worldloom.models.dream import Sampler
from worldloom.progress import Progress
from worldloom.train.agent import train_agent
from worldloom.train.dream import train_dream
from worldloom.train.imagination import Dreaming
from worldloom.train.lessons import Lessons
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options

RECORDINGS = 0  # their seed, whatever the seed of a training
BEST = 0.1  # of the episodes, for filtered cloning
RIVALS = ("clone", "filtered", "iql")


@dataclass(frozen=True)
class Game:
    """What is played, and what can be achieved in it.

    Args:
      setup: the environment.
      players: who is recorded, by turns; see `worldloom.agents.choose`.
      items: what can be achieved, the easiest first, the diamond last.
      reached: ground truth of an episode's end to `[items]` bool.
    """

    setup: Setup
    players: Sequence[Any]
    items: tuple[str, ...]
    reached: Callable[[Mapping[str, Any]], np.ndarray]


@dataclass(frozen=True)
class Training:
    """What is trained, and how long.

    Args:
      size: of world and agent.
      lessons: of every agent that clones.
      dreams: how long and how fast the dreamer learns.
      dreaming: what it learns from its dreams.
      baseline: how long and how fast the baseline without a world learns.
      how: what it is.
      sampler: how dreams are drawn; the world's own way by default.
    """

    size: Size
    lessons: Lessons
    dreams: Schedule
    dreaming: Dreaming
    baseline: Schedule
    how: iql.How
    sampler: Sampler | None = None


def train(
    plan: steps.Plan, game: Game, training: Training, rivals: Sequence[str], progress: Progress
) -> Store:
    """Records and trains everything; returns the recordings.

    Fewer episodes are the first of more, so that runs of fewer tell what data is worth.

    Args:
      plan: what was asked for.
      game: to record.
      training: what is trained.
      rivals: some of `RIVALS`, trained for comparison.
      progress: has the stages `record`, `tokenizer`, `dynamics`, `agent`, the rivals and `dream`.
    """
    progress.begin("record")
    store = steps.record_missing(replace(plan, seed=RECORDINGS), game.setup, game.players, progress)
    steps.train(plan, store, progress, training.size)
    for name in ("agent", *rivals):
        progress.begin(name)
        options, resume = _options(plan, progress), begun(plan, name)
        if name == "iql":
            iql.train(store, plan.out, training.baseline, training.how, options, resume=resume)
            continue
        lessons = replace(
            training.lessons,
            alone=name != "agent",
            **({"best": BEST, "well": 1.0} if name == "filtered" else {}),
        )
        train_agent(store, plan.out, lessons, options, name=name, resume=resume)
    progress.begin("dream")
    train_dream(
        store,
        plan.out,
        training.dreams,
        training.dreaming,
        _options(plan, progress),
        sampler=training.sampler,
        resume=begun(plan, "dream"),
    )
    return store


def stages(rivals: Sequence[str]) -> list[str]:
    """Those of `train`, and `act`."""
    return ["record", "tokenizer", "dynamics", "agent", *rivals, "dream", "act"]


def begun(plan: steps.Plan, name: str) -> bool:
    """Whether a stage is there, done or not."""
    return (plan.out / name / "config.json").exists()


def _options(plan: steps.Plan, progress: Progress) -> Options:
    def tell(step: int, of: int, loss: float) -> None:
        progress.update(step / of, f"step {step:,} of {of:,}, loss {loss:.4g}")

    return Options(seed=plan.seed, save_minutes=2.0, report=tell)
