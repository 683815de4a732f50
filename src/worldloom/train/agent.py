"""Trains an agent on recordings: finetunes the world with the agent in it, or clones alone."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from worldloom.actions import ActionSpec
from worldloom.configs import Forcing, Size
from worldloom.data.cache import ClipCache
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.hub import finished, load_dynamics, load_tokenizer, weights_hash
from worldloom.models.agent import Agent, WorldAgent
from worldloom.models.dynamics import Dynamics, DynamicsShape
from worldloom.models.heads import AgentShape
from worldloom.models.tokenizers import AnyTokenizer
from worldloom.seeding import stream
from worldloom.train.checkpoint import load_strictly, read_tensors
from worldloom.train.cloning import AgentObjective
from worldloom.train.dist import Ranks, ranks
from worldloom.train.dynamics import with_latents
from worldloom.train.learner import Learner
from worldloom.train.lessons import Lessons, lessons_of, tasks_of
from worldloom.train.loop import fit_whole
from worldloom.train.metric import metric_of
from worldloom.train.setup import Options, describe, open_cache, open_stage
from worldloom.train.stage import Stage
from worldloom.train.teaching import Teacher


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
                **_begun_with(run, lessons, tuple(sorted(set(tasks_of(cache)))), size),
                lessons=asdict(lessons),
                seed=options.seed,
                tokenizer=weights_hash(run / "tokenizer"),
            )
            stage = Stage.create(run / name, facts) if group.leads else Stage(run / name, facts)
        if stage.done:
            return True
        if "beside" not in stage.config["lessons"]:
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
        past=lessons.past,
        urge=lessons.urge,
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
    tokenizer: AnyTokenizer,
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
    metric = None if lessons.alone else metric_of(cache, tokenizer, forcing.even)
    objective = AgentObjective(model, forcing, metric, cloning=lessons.alone)
    learner = Learner(objective, lessons.schedule, group)
    latents = with_latents(cache, tokenizer, config["tokenizer"])
    shapes = (model.agent.shape, model.dynamics.shape)
    teacher = Teacher(latents, tokenizer, shapes, lessons, forcing, (config["seed"], group))
    return fit_whole(learner, teacher, stage, options)
