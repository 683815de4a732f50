"""Trains a world's doubt: heads on recordings it knows, tables on recordings it does not."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from worldloom.data.clips import ClipCache
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.evaluate.doubt import Doubted, auroc, rank_sums
from worldloom.hub import doubt_folder, load_trunk, new_doubt, weights_hash
from worldloom.models.doubt import CHEAP, KINDS, Doubt, Heads, Near
from worldloom.models.dream import DreamWorld
from worldloom.seeding import generator, rng, stream
from worldloom.train.dist import Ranks, ranks
from worldloom.train.learner import Learner
from worldloom.train.log import tracking
from worldloom.train.loop import fit
from worldloom.train.optim import Schedule
from worldloom.train.replay import Windows, replay
from worldloom.train.setup import Options, describe, open_cache, open_stage
from worldloom.train.stage import Stage, write_text


@dataclass(frozen=True)
class Doubting:
    """How a doubt is learned.

    Args:
      schedule: of the heads.
      windows: dreams beside recordings, and the tolerance.
      learned: steps of dreams that the heads learn from.
      judged: steps of dreams in held-out episodes that the tables are fitted on.
      batch: steps of an update.
    """

    schedule: Schedule = field(default_factory=lambda: Schedule(1000, 3e-3, warmup=50, ema=0.99))
    windows: Windows = field(default_factory=Windows)
    learned: int = 8192
    judged: int = 4096
    batch: int = 128


@dataclass(frozen=True)
class Lesson:
    """Steps of dreams.

    Args:
      read: `[S, N, W]` float16, what the heads read.
      off: `[S, N]` squared error of the world's first guess, of each token.
      key: `[S, P]` the transitions, as `Near` compares them.
      episode: `[S]` int64.
    """

    read: Tensor
    off: Tensor
    key: Tensor
    episode: Tensor


class DoubtObjective(nn.Module):
    """How unlikely the errors are under the size that the heads expect of them.

    The loss of a head is least where it gives the mean squared error (gamma deviance).
    """

    terms = ("deviance",)
    weights = (1.0,)
    unscaled = ("deviance",)  # may be below 0

    def __init__(self, model: Heads) -> None:
        super().__init__()
        self.model = model

    def forward(self, read: Tensor, off: Tensor, weight: Tensor) -> Tensor:
        """Loss `[1]`.

        Args:
          read: `[S, N, W]`.
          off: `[S, N]` squared errors.
          weight: `[S, M]` how often each head has the step's episode.
        """
        expected = self.model(read)
        deviance = off[..., None] * (-expected).exp() + expected
        return (deviance * weight[:, None]).mean()[None]


def train_doubt(
    store: Store,
    run: Path,
    doubting: Doubting,
    options: Options,
    *,
    of: str = "dynamics",
    resume: bool = False,
) -> bool:
    """Trains RUN/doubt, or RUN/agent-doubt for the world of an agent.

    Args:
      store: the recordings that the world was trained on.
      run: the run folder.
      doubting: how; a resumed stage keeps what it began with.
      options: how the run behaves.
      of: "dynamics", or the stage of an agent, whose world has learned on.
      resume: go on with what was begun.

    Returns:
      Whether it was finished.

    Raises:
      WorldloomError: the world is not trained, or the store has nothing held out.
    """
    path = doubt_folder(run, of)
    with ranks() as group:
        if group.world_size > 1:
            raise WorldloomError("doubt is learned in one process", "run it without torchrun")
        world = load_trunk(run, of).to(group.device)
        stage = open_stage(path, resume)
        cache = open_cache(store, run, stage, options)
        stage = stage or Stage.create(
            path, _facts(store, cache, world, doubting, run / of, options)
        )
        if stage.config["world"] != weights_hash(run / of):
            raise WorldloomError(
                f"`{path}` began with other weights than `{run / of}` has now",
                "put them back, or remove the folder and begin anew",
            )
        return stage.done or _fit(stage, cache, world, options, group)


def _facts(
    store: Store,
    cache: ClipCache,
    world: DreamWorld,
    doubting: Doubting,
    of: Path,
    options: Options,
) -> dict[str, Any]:
    """What the stage keeps of its beginning."""
    heldout = store.split("heldout")
    if not heldout:
        raise WorldloomError(
            f"store `{store.path}` has no held-out episodes to measure doubt on",
            "record more of them",
        )
    return describe(
        "doubt",
        store,
        cache,
        size=Stage.open(of).config["size"],
        of=of.name,
        world=weights_hash(of),
        sampler=asdict(world.sampler),
        doubting=doubting,
        heldout=heldout,
        seed=options.seed,
    )


def _fit(stage: Stage, cache: ClipCache, world: DreamWorld, options: Options, group: Ranks) -> bool:
    doubting, seed = doubting_of(stage.config), stage.config["seed"]
    doubt = new_doubt(world.dynamics, doubting.windows.tolerance).to(group.device)
    lesson = gather(world, cache, doubt.near, doubting, seed)
    torch.manual_seed(stream(seed, "doubt weights"))
    heads = _begun(Heads(lesson.read.shape[-1]), lesson)
    learner = Learner(DoubtObjective(heads), doubting.schedule, group)
    finished = fit(
        learner,
        _inputs(lesson, doubting, seed, heads.count),
        stage,
        save_minutes=options.save_minutes,
        until=options.until,
        report=options.report,
        track=tracking(options, stage, group),
    )
    if finished:
        doubt.heads.load_state_dict(learner.average.state_dict())
        _finish(stage, world, doubt, lesson, cache.store)
    return finished


def doubting_of(config: Mapping[str, Any]) -> Doubting:
    """That which a stage began with."""
    data = dict(config["doubting"])
    schedule, windows = Schedule(**data.pop("schedule")), Windows(**data.pop("windows"))
    return Doubting(schedule, windows, **data)


def gather(
    world: DreamWorld, cache: ClipCache, near: Near, doubting: Doubting, seed: int
) -> Lesson:
    """Dreams beside what the world has learned from; a function of the seed."""
    parts: list[Lesson] = []
    seed = stream(seed, "learned")
    for step in replay(world, cache, doubting.windows, steps=doubting.learned, seed=seed):
        off = (step.real - step.made.first).square().mean(-1)
        read = step.made.read.to(torch.float16)
        parts.append(Lesson(read, off, near.key(step.made), step.episode))
    names = Lesson.__dataclass_fields__
    joined = {name: torch.cat([getattr(part, name) for part in parts]).clone() for name in names}
    return Lesson(**joined)


def measure(
    doubt: Doubt, world: DreamWorld, cache: ClipCache, windows: Windows, *, steps: int, seed: int
) -> dict[str, np.ndarray]:
    """Scores of every kind, `error` and `episode`, `[S]` each, of dreams beside recordings."""
    parts: dict[str, list[Tensor]] = {name: [] for name in (*KINDS, "error", "episode")}
    for step in replay(world, cache, windows, steps=steps, seed=seed):
        for kind in KINDS:
            parts[kind].append(doubt.score(step.made, kind))
        parts["error"].append(step.error)
        parts["episode"].append(step.episode)
    return {name: torch.cat(values).cpu().numpy() for name, values in parts.items()}


def told(doubt: Doubt, found: Mapping[str, np.ndarray], kind: str) -> Doubted:
    """What one kind of score would have told of measured steps."""
    table = doubt.table(kind)
    score = torch.from_numpy(found[kind]).to(table.at.device)
    parts = (table(score), *table.interval(score))
    probability, low, high = (part.cpu().numpy() for part in parts)
    return Doubted(
        found[kind], probability, low, high, found["error"], found["episode"], doubt.tolerance
    )


def _begun(heads: Heads, lesson: Lesson) -> Heads:
    """Heads that know the scale of what they read and of what they are to tell."""
    read = lesson.read.float().flatten(0, 1)
    heads.mean.copy_(read.mean(0))
    heads.spread.copy_(read.std(0).clamp(min=1e-3))
    heads.level.data.fill_(float(lesson.off.mean().clamp(min=1e-8).log()))
    return heads


def _inputs(
    lesson: Lesson, doubting: Doubting, seed: int, heads: int
) -> Callable[[int], tuple[Tensor, ...]]:
    """What step n learns from, as a function of n."""
    episodes = int(lesson.episode.max()) + 1
    times = torch.poisson(torch.ones(episodes, heads), generator=generator(seed, "bootstrap"))

    def inputs(step: int) -> tuple[Tensor, ...]:
        rows = torch.from_numpy(
            rng(seed, "doubt data", step).integers(len(lesson.off), size=doubting.batch)
        )
        weight = times[lesson.episode[rows]].to(lesson.off.device)
        rows = rows.to(lesson.off.device)
        return lesson.read[rows].float(), lesson.off[rows], weight

    return inputs


def _finish(stage: Stage, world: DreamWorld, doubt: Doubt, lesson: Lesson, store: Store) -> None:
    """Fills the memory, fits the tables, says which score speaks, and writes the weights."""
    doubting, seed = doubting_of(stage.config), stage.config["seed"]
    bank, size = doubt.near.bank, len(lesson.key)
    kept = rng(seed, "bank").choice(size, len(bank), replace=size < len(bank))
    bank.copy_(lesson.key[torch.from_numpy(kept).to(bank.device)])
    held = ClipCache.open(store, stage.path.parent / "cache", names=stage.config["heldout"])
    seed = stream(seed, "judged")
    found = measure(doubt, world, held, doubting.windows, steps=doubting.judged, seed=seed)
    error = torch.from_numpy(found["error"])
    ranked: dict[str, float] = {}
    for kind in KINDS:
        doubt.table(kind).fit(torch.from_numpy(found[kind]), error, doubt.tolerance)
        value = float(auroc(rank_sums(told(doubt, found, kind)).sum(0)))
        ranked[kind] = 0.5 if np.isnan(value) else round(value, 4)  # where all steps are alike
    facts = {
        "speaks": max(CHEAP, key=lambda kind: ranked[kind]),
        "auroc": ranked,
        "wrong": round(float((error > doubt.tolerance).float().mean()), 4),
    }
    write_text(stage.path / "scores.json", json.dumps(facts, indent=2) + "\n")
    stage.finish(doubt)
