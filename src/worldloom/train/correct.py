"""One round of repair: tokenizer, world, heads and policy learn on, on old and new recordings."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from worldloom.configs import Batches, named
from worldloom.data.store import Store
from worldloom.hub import doubt_folder, finished
from worldloom.models.dream import Sampler
from worldloom.models.tokenizer import TokenizerShape
from worldloom.train.agent import train_agent
from worldloom.train.doubt import doubting_of, train_doubt
from worldloom.train.dream import train_dream
from worldloom.train.imagination import Dreaming
from worldloom.train.lessons import lessons_of
from worldloom.train.onward import Onward
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options
from worldloom.train.stage import Stage
from worldloom.train.tokenizer import train_tokenizer

DREAM = Schedule(1000, 1e-4, warmup=50, ema=0.99)  # of a run whose agent never dreamed
SLOWER = 0.5  # the rate of learning on, over that of learning


@dataclass(frozen=True)
class Repair:
    """How a round learns.

    Args:
      share: of the windows, those from the new recordings of all rounds.
      updates: of the world and the agent's heads, and of a tokenizer that is learned.
      dreams: updates of the policy in imagination.
      fresh: names of the new episodes.
    """

    share: float
    updates: int
    dreams: int
    fresh: tuple[str, ...]

    def onward(self, begin: Path) -> Onward:
        """What a stage learns on from, where there is such a stage."""
        there = str(begin.resolve()) if begin.exists() else ""
        return Onward(there, self.share, self.fresh)


def acting_stage(folder: Path) -> str:
    """The stage of a run that acts: its dream, or its agent where it never dreamed."""
    return "dream" if (folder / "dream" / "weights.safetensors").exists() else "agent"


def keep_tokenizer(before: Path, here: Path) -> bool:
    """Whether the tokenizer stays as it is, since it has nothing to learn; copies it then."""
    stage = finished(before / "tokenizer")
    if stage.config["kind"] == "learned":
        return False
    if not (here / "tokenizer").exists():
        part = here / f"tokenizer.{os.getpid()}.part"
        here.mkdir(parents=True, exist_ok=True)
        shutil.copytree(stage.path, part, dirs_exist_ok=True)
        part.rename(here / "tokenizer")
    return True


def learn_tokenizer(
    store: Store, before: Path, here: Path, repair: Repair, options: Options
) -> bool:
    """Trains HERE/tokenizer on from BEFORE/tokenizer; whether it was finished."""
    stage = finished(before / "tokenizer")
    config = stage.config
    shape, schedule = stage.part("shape", TokenizerShape), stage.part("schedule", Schedule)
    if config.get("onward") is None:
        schedule = _slower(schedule, repair.updates)
    size = replace(
        named(config["size"], shape.frame),
        tokenizer=shape,
        tokenizer_schedule=replace(schedule, steps=repair.updates),
        tokenizer_batches=stage.part("batches", Batches),
    )
    weights = None if config["perceptual"] is None else Path(config["perceptual"])
    return train_tokenizer(
        store,
        here,
        size,
        options,
        resume=begun(here / "tokenizer"),
        perceptual=weights,
        onward=repair.onward(before / "tokenizer"),
    )


def learn_agent(store: Store, before: Path, here: Path, repair: Repair, options: Options) -> bool:
    """Trains HERE/agent, world and heads, on from BEFORE/agent; whether it was finished."""
    lessons = lessons_of(finished(before / "agent").config)
    schedule = replace(lessons.schedule, steps=repair.updates)
    if lessons.onward is None:  # an agent that learned on did so at the lower rate already
        schedule = _slower(schedule, repair.updates)
    lessons = replace(lessons, schedule=schedule, onward=repair.onward(before / "agent"))
    return train_agent(store, here, lessons, options, resume=begun(here / "agent"))


def learn_doubt(store: Store, before: Path, here: Path, options: Options) -> bool:
    """Trains HERE/agent-doubt anew as BEFORE/agent-doubt was; whether there was any."""
    earlier, now = doubt_folder(before, "agent"), doubt_folder(here, "agent")
    if not begun(earlier):
        return False
    how = doubting_of(finished(earlier).config)
    return train_doubt(store, here, how, options, of="agent", resume=begun(now))


def learn_policy(store: Store, before: Path, here: Path, repair: Repair, options: Options) -> bool:
    """Trains HERE/dream on from BEFORE/dream; whether it was finished."""
    schedule, dreaming, sampler = DREAM, Dreaming(), None
    if begun(before / "dream"):
        config = finished(before / "dream").config
        schedule, dreaming = Schedule(**config["schedule"]), Dreaming.of(config["dreaming"])
        sampler = Sampler(**config["sampler"])
    return train_dream(
        store,
        here,
        replace(schedule, steps=repair.dreams),
        replace(dreaming, onward=repair.onward(before / "dream")),
        options,
        sampler=sampler,
        resume=begun(here / "dream"),
    )


def begun(stage: Path) -> bool:
    """Whether a stage was begun."""
    return (stage / "config.json").exists()


def drawn(folder: Path) -> Sampler | None:
    """How the dreams of a run were drawn in which its policy learned; None: by default."""
    if acting_stage(folder) == "agent":
        return None
    return Sampler(**Stage.open(folder / "dream").config["sampler"])


def _slower(schedule: Schedule, steps: int) -> Schedule:
    """The same, for learning on: so many updates at a lower rate."""
    rate, muon = SLOWER * schedule.rate, schedule.muon_rate
    return replace(
        schedule, steps=steps, rate=rate, muon_rate=None if muon is None else SLOWER * muon
    )
