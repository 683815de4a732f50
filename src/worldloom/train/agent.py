"""Trains an agent on recordings: finetunes the world with the agent in it, or clones alone."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from worldloom.actions import ActionSpec
from worldloom.configs import Batches, Forcing, Size
from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.data.relevant import RelevantSampler, went_well
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.hub import finished, load_dynamics, load_tokenizer, weights_hash
from worldloom.models.agent import Agent, AgentShape, WorldAgent
from worldloom.models.dynamics import Dynamics, DynamicsShape
from worldloom.models.patches import PatchTokenizer
from worldloom.models.tokenizer import Tokenizer
from worldloom.seeding import generator, rng, stream
from worldloom.train.checkpoint import load_strictly, read_tensors
from worldloom.train.cloning import AgentObjective, Lesson
from worldloom.train.dist import Ranks, ranks
from worldloom.train.dynamics import draw, latents_of, with_latents
from worldloom.train.learner import Learner
from worldloom.train.loop import fit_whole
from worldloom.train.onward import Onward, fresh, onward_of, weights
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options, describe, open_cache, open_stage
from worldloom.train.stage import Stage

ANY_TASK = "reward"  # of recordings whose labels name no task
LAST = 0.125  # of the windows that show how something is done, the share exchanged for endings


@dataclass(frozen=True)
class Lessons:
    """What an agent learns, and how long.

    Args:
      schedule: how long and how fast.
      batches: windows of an update; half of them show how something is done.
      hidden: inner width of the heads.
      eye: inner width of the agent's own eye on each frame; 0 for none.
      witness: inner width of who says what pays in dreams, where there is a world; 0 for none.
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


class Windows(NamedTuple):
    """Windows of a batch: `[B]` episodes, `[B]` first frames, and how many frames each has."""

    episodes: np.ndarray
    starts: np.ndarray
    length: int


def standard(size: Size, *, alone: bool = False) -> Lessons:
    """Lessons for a world of this size: half as long as its dynamics learned, at half the rate."""
    schedule = replace(
        size.schedule,
        steps=max(1, size.schedule.steps // 2),
        rate=size.schedule.rate / 2,
        muon_rate=None if size.schedule.muon_rate is None else size.schedule.muon_rate / 2,
    )
    batches = replace(size.batches, rows=2 * size.batches.rows)
    return Lessons(schedule, batches, alone=alone)


def train_agent(
    store: Store,
    run: Path,
    lessons: Lessons,
    options: Options,
    *,
    name: str = "agent",
    size: Size | None = None,
    resume: bool = False,
) -> bool:
    """Trains RUN/NAME: the world of RUN/dynamics, learned on with an agent in it.

    Args:
      store: the recordings; the label `task` of an episode says what it is about.
      run: the run folder, whose tokenizer is done, and dynamics too but where it learns onward.
      lessons: what is learned; a resumed stage keeps what it began with.
      options: how the run behaves.
      name: of the stage.
      size: shapes of an agent that learns alone, without RUN/dynamics; None: those of RUN/dynamics.
      resume: go on with RUN/NAME instead of making it.

    Returns:
      Whether the schedule was finished.
    """
    with ranks() as group:
        tokenizer = load_tokenizer(run).to(group.device)
        stage = open_stage(run / name, resume)
        cache = open_cache(store, run, stage, options)
        if stage is None:
            facts = describe(
                "agent",
                store,
                cache,
                **_begun_with(run, lessons, tuple(sorted(set(_tasks(cache)))), size),
                lessons=asdict(lessons),
                seed=options.seed,
                tokenizer=weights_hash(run / "tokenizer"),
            )
            stage = Stage.create(run / name, facts) if group.leads else Stage(run / name, facts)
        if stage.done:
            return True
        if {"relevance", "misreport"} & stage.config["lessons"].keys():
            raise WorldloomError(
                f"`{stage.path}` was begun by a worldloom that taught agents otherwise",
                "go on with that one, or begin anew under another name",
            )
        return _fit(stage, cache, tokenizer, options, group)


def _begun_with(
    run: Path, lessons: Lessons, tasks: tuple[str, ...], size: Size | None
) -> dict[str, Any]:
    """What a stage keeps of the agent, and of the world that it goes into."""
    same = ("size", "shape", "forcing")
    if lessons.onward is not None and lessons.onward.begin:
        earlier = finished(Path(lessons.onward.begin)).config
        return {key: earlier[key] for key in (*same, "dynamics", "agent")}
    agent = AgentShape(
        tasks,
        hidden=lessons.hidden,
        aims=lessons.well < 1,
        eye=lessons.eye,
        witness=0 if lessons.alone else lessons.witness,
    )
    if size is not None:
        shapes = {"size": size.name, "shape": size.dynamics, "forcing": size.forcing}
        return {**shapes, "dynamics": None, "agent": agent}
    dynamics = weights_hash(run / "dynamics")
    world = Stage.open(run / "dynamics").config
    return {**{key: world[key] for key in same}, "dynamics": dynamics, "agent": agent}


def build(stage: Stage, actions: ActionSpec) -> WorldAgent:
    """The world and the agent that a stage's configuration describes, with weights from chance."""
    shape = stage.part("shape", DynamicsShape)
    agent = Agent(stage.part("agent", AgentShape), shape, actions)
    return WorldAgent(Dynamics(shape, actions), agent)


def _fit(
    stage: Stage,
    cache: ClipCache,
    tokenizer: Tokenizer | PatchTokenizer,
    options: Options,
    group: Ranks,
) -> bool:
    config = stage.config
    lessons = lessons_of(config)
    torch.manual_seed(stream(config["seed"], "agent weights"))
    model = build(stage, cache.store.info.action)
    onward = lessons.onward
    if onward is not None and onward.begin and not stage.checkpoint.exists():
        earlier = finished(Path(onward.begin)).weights
        load_strictly(model, read_tensors(earlier)[0], f"`{earlier}`")
    elif not lessons.alone and not stage.checkpoint.exists():
        model.dynamics.load_state_dict(load_dynamics(stage.path.parent).state_dict())
    forcing = Forcing(**config["forcing"])
    learner = Learner(
        AgentObjective(model, forcing, cloning=lessons.alone), lessons.schedule, group
    )
    latents = with_latents(cache, tokenizer, config["tokenizer"])
    inputs = _inputs(latents, tokenizer, model, lessons, (forcing, config["seed"], group))
    return fit_whole(learner, inputs, stage, options)


def _inputs(
    cache: ClipCache,
    tokenizer: Tokenizer | PatchTokenizer,
    model: WorldAgent,
    lessons: Lessons,
    given: tuple[Forcing, int, Ranks],
) -> Callable[[int], tuple[Any, ...]]:
    """What step n learns from, as a function of n."""
    forcing, seed, group = given
    batches, shape = lessons.batches, model.dynamics.shape
    known = model.agent.shape.tasks
    own = np.array([known.index(task) for task in _tasks(cache)])
    half = lambda rows: rows if lessons.alone else max(1, rows // 2)  # noqa: E731
    sampler = ClipSampler(
        cache,
        batches.short,
        batches.rows,
        seed=stream(seed, "agent data"),
        weights=weights(cache, lessons.onward, batches.short),
    )
    well = went_well([cache.rewards(e) for e in range(len(cache))], lessons.well, own)
    chosen = RelevantSampler(
        cache,
        batches.short,
        batches.rows,
        seed=stream(seed, "relevant data"),
        well=well,
        best=lessons.best,
        weights=None if lessons.onward is None else ~fresh(cache, lessons.onward),
    )

    ended = np.flatnonzero([cache.store.row(name).terminated for name in cache.names])

    def lesson(source: ClipSampler, step: int, lead: tuple[int, int], free: bool) -> Lesson:
        episodes, starts = source.draw(step, length=lead[1], batch=lead[0])
        rows, last = group.rows(lead[0]), np.zeros(lead[0], np.float32)
        if not free and not lessons.alone:
            windows = Windows(episodes, starts, lead[1])
            last = show_endings(windows, cache.lengths, ended, rng(seed, "endings", step))
        clip = cache.clip(episodes[rows], starts[rows], length=lead[1])
        tasks = own[episodes[rows]]
        given = rng(seed, "tasks", step).integers(len(known), size=lead[0])[rows] if free else tasks
        clean = latents_of(clip, tokenizer, group.device)
        same = torch.from_numpy(given == tasks)
        made = Lesson.of(clip, clean, torch.from_numpy(np.asarray(given)), same)
        places = zip(episodes[rows].tolist(), starts[rows].tolist(), strict=True)
        after = np.stack([well[e][s : s + lead[1]] for e, s in places])
        well_after, counts = torch.from_numpy(after), torch.from_numpy(last[rows])
        return replace(made, well=well_after.to(group.device), last=counts.to(group.device))

    def inputs(step: int) -> tuple[Any, ...]:
        rows, length = batches.at(step, lessons.schedule.steps)
        lead = (half(rows), length)
        relevant = lesson(chosen, step, lead, False)
        full = (*lead, shape.tokens, shape.channels)
        noise = torch.randn(full, generator=generator(seed, "agent noise", step))
        noise = noise[group.rows(lead[0])].to(group.device)
        if lessons.alone:
            return relevant, noise, None, None
        uniform = lesson(sampler, step, lead, True)
        draws = draw(shape, lead, forcing, 1.0, generator(seed, "agent draws", step))
        return relevant, noise, uniform, draws.rows(group.rows(lead[0]), group.device)

    return inputs


def show_endings(
    windows: Windows, lengths: np.ndarray, ended: np.ndarray, dice: np.random.Generator
) -> np.ndarray:
    """Puts endings in place of the first windows of a batch, where any episode ended by itself.

    One window of an episode alone reaches its last frame: by chance an agent meets hardly any.

    Args:
      windows: B of them, changed in place.
      lengths: `[E]` of the episodes.
      ended: indices of those that ended by themselves.
      dice: which endings.

    Returns:
      `[B]` float32, 0 where nothing was changed, else how much rarer by chance.
    """
    size, last = len(windows.starts), np.zeros(len(windows.starts), np.float32)
    ended = ended[lengths[ended] >= windows.length]
    if not len(ended):
        return last
    shown = max(1, round(LAST * size))
    windows.episodes[:shown] = dice.choice(ended, shown)
    windows.starts[:shown] = lengths[windows.episodes[:shown]] - windows.length
    by_chance = len(ended) / np.maximum(lengths - windows.length + 1, 0).sum()
    last[:shown] = by_chance * size / shown
    return last


def _tasks(cache: ClipCache) -> list[str]:
    """What each episode of the cache is about."""
    rows = (cache.store.row(name) for name in cache.names)
    return [str(row.labels.get("task", ANY_TASK)) for row in rows]


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
    )
