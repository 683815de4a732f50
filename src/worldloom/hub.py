"""Loads and saves worlds: safetensors weights beside the configuration that made them.

A world lies in a folder as a run leaves it: tokenizer/ and dynamics/, each with
config.json and weights.safetensors. Loading is strict: every weight must be
there, fit, and be expected.
"""

import copy
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch.nn import Module

from worldloom.actions import ActionSpec
from worldloom.agents.planners import Planners
from worldloom.agents.planning import Planner, Search
from worldloom.agents.trained import Team, Trained
from worldloom.envs.make import Setup
from worldloom.errors import WorldloomError
from worldloom.models.agent import Agent, WorldAgent, choose_action, draw_action
from worldloom.models.doubt import Doubt
from worldloom.models.dream import DreamWorld, Sampler, arrange, dream_spec
from worldloom.models.dynamics import Dynamics, DynamicsShape
from worldloom.models.heads import AgentShape, NumberHead, PolicyHead
from worldloom.models.tokenizers import SHAPES, AnyTokenizer, tokenizer_of
from worldloom.train.checkpoint import load_strictly, read_tensors, write_tensors
from worldloom.train.stage import Stage, write_text

STAGES = ("tokenizer", "dynamics")


def weights_hash(stage: Path) -> str:
    """A fingerprint of a stage's final weights."""
    return hashlib.blake2b(finished(stage).weights.read_bytes(), digest_size=8).hexdigest()


def world_identity(run: str | Path, world: DreamWorld) -> str:
    """A name that tells a world from every other: its run's, with a fingerprint of its parts."""
    parts = [weights_hash(Path(run) / name) for name in STAGES]
    digest = hashlib.blake2b(f"{parts} {world.sampler}".encode(), digest_size=6).hexdigest()
    return f"{world.spec.name} {digest}"


def load_tokenizer(run: str | Path) -> AnyTokenizer:
    """The tokenizer of a run, in evaluation mode.

    Raises:
      WorldloomError: it is not trained to its end, or its weights do not fit.
    """
    stage = finished(Path(run) / "tokenizer")
    tokenizer = tokenizer_of(stage.part("shape", SHAPES[stage.config["kind"]]))
    load_strictly(tokenizer, read_tensors(stage.weights)[0], f"`{stage.weights}`")
    return tokenizer.eval().requires_grad_(False)


def load_dynamics(run: str | Path) -> Dynamics:
    """The dynamics of a run, in evaluation mode; raises as `load_tokenizer` does."""
    stage = finished(Path(run) / "dynamics")
    actions = ActionSpec.from_json(stage.config["info"]["action"])
    dynamics = Dynamics(stage.part("shape", DynamicsShape), actions)
    load_strictly(dynamics, read_tensors(stage.weights)[0], f"`{stage.weights}`")
    return dynamics.eval().requires_grad_(False)


def load_world(run: str | Path, sampler: Sampler | None = None) -> DreamWorld:
    """The world of a run.

    Args:
      run: a run folder with a finished tokenizer and dynamics.
      sampler: how frames are drawn; where None, as the run's world.json says, or the defaults.

    Raises:
      WorldloomError: a stage is missing or unfinished, weights are missing,
        unexpected or misshapen, or the tokenizer is not the one trained with.
    """
    run = Path(run)
    for name in STAGES:
        finished(run / name)
    stage = Stage.open(run / "dynamics")
    found = weights_hash(run / "tokenizer")
    if stage.config["tokenizer"] != found:
        raise WorldloomError(
            f"the dynamics of `{run}` was trained on tokenizer {stage.config['tokenizer']}, "
            f"its tokenizer is {found}",
            "put the tokenizer back that it was trained with, or train the dynamics again",
        )
    tokenizer, dynamics = load_tokenizer(run), load_dynamics(run)
    info = stage.config["info"]
    spec = dream_spec(run.name, tokenizer.shape.frame, dynamics.action.spec, info["fps"])
    sampler = sampler or _own_sampler(run)
    doubt = _doubt(run, "dynamics", dynamics, sampler)
    return DreamWorld(tokenizer, arrange(dynamics), spec, sampler, doubt=doubt)


def load_agent(run: str | Path, sampler: Sampler | None = None, name: str = "agent") -> DreamWorld:
    """The world of RUN/agent with its agent, which knows rewards and endings.

    Args:
      run: a run folder with a finished tokenizer and agent.
      sampler: how frames are drawn; by default as of `load_world`.
      name: of the agent's stage.

    Raises:
      WorldloomError: as `load_world` does.
    """
    run = Path(run)
    stage = finished(run / name)
    tokenizer = load_tokenizer(run)
    if stage.config["tokenizer"] != weights_hash(run / "tokenizer"):
        raise WorldloomError(
            f"the agent of `{run}` was trained on another tokenizer than it has now",
            "put the tokenizer back that it was trained with, or train the agent again",
        )
    actions = ActionSpec.from_json(stage.config["info"]["action"])
    shape = stage.part("shape", DynamicsShape)
    agent = Agent(stage.part("agent", AgentShape), shape, actions)
    model = WorldAgent(Dynamics(shape, actions), agent)
    load_strictly(model, read_tensors(stage.weights)[0], f"`{stage.weights}`")
    model.eval().requires_grad_(False)
    spec = dream_spec(run.name, tokenizer.shape.frame, actions, stage.config["info"]["fps"])
    sampler = sampler or _own_sampler(run)
    doubt = _doubt(run, name, model.dynamics, sampler)
    return DreamWorld(tokenizer, arrange(model.dynamics), spec, sampler, model.agent, doubt)


def load_trunk(run: str | Path, of: str) -> DreamWorld:
    """A world of a run alone, without agent and without doubt.

    Args:
      run: the run folder.
      of: "dynamics", or the stage of an agent.
    """
    world = load_world(run) if of == "dynamics" else load_agent(run, name=of)
    return DreamWorld(world.tokenizer, world.dynamics, world.spec, world.sampler)


def doubt_folder(run: str | Path, of: str) -> Path:
    """Where the doubt of a world is: RUN/doubt of RUN/dynamics, RUN/NAME-doubt of an agent's."""
    return Path(run) / ("doubt" if of == "dynamics" else f"{of}-doubt")


def _doubt(run: Path, of: str, dynamics: Dynamics, sampler: Sampler) -> Doubt | None:
    """The doubt that was fitted to this world, drawn this way; None where there is none."""
    path = doubt_folder(run, of)
    if not (path / "weights.safetensors").exists():
        return None
    stage = Stage.open(path)
    if stage.config["world"] != weights_hash(run / of):
        raise WorldloomError(
            f"`{path}` was fitted to other weights than `{run / of}` has now",
            f"remove it, and train it again: `worldloom train doubt {run} STORE --of {of}`",
        )
    if Sampler(**stage.config["sampler"]) != sampler:
        return None
    doubt = new_doubt(dynamics, stage.config["doubting"]["windows"]["tolerance"])
    load_strictly(doubt, read_tensors(stage.weights)[0], f"`{stage.weights}`")
    doubt.kind = json.loads((path / "scores.json").read_text())["speaks"]
    return doubt.eval().requires_grad_(False)


def new_doubt(dynamics: Dynamics, tolerance: float) -> Doubt:
    """A doubt of the right shape for a world, that knows nothing yet."""
    shape = dynamics.shape
    return Doubt(shape.tokens * shape.channels, shape.width, tolerance)


def load_policy(run: str | Path, world: DreamWorld, name: str = "dream") -> PolicyHead:
    """A policy for the world of `load_agent`: that of RUN/dream, or the agent's own.

    Args:
      run: the run folder.
      world: that `load_agent` gave.
      name: the stage; "agent" for the cloned policy.
    """
    assert world.agent is not None
    if Stage.open(Path(run) / name).config["stage"] == "agent":
        return world.agent.policy
    policy = copy.deepcopy(world.agent.policy)
    _load_part(policy, Path(run) / name, "policy.")
    return policy


def load_value(run: str | Path, world: DreamWorld, name: str = "dream") -> NumberHead | None:
    """What a policy that learned in imagination thinks is still to come; None for a clone."""
    assert world.agent is not None
    if Stage.open(Path(run) / name).config["stage"] == "agent":
        return None
    value = NumberHead(world.dynamics.shape.width, world.agent.shape, 1)
    _load_part(value, Path(run) / name, "value.")
    return value


def _load_part(module: Module, path: Path, prefix: str) -> None:
    """Those of a finished stage's weights whose names begin with `prefix`, to be used as is."""
    stage = finished(path)
    found = read_tensors(stage.weights)[0]
    part = {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}
    load_strictly(module, part, f"`{stage.weights}`")
    module.eval().requires_grad_(False)


def load_team(path: str | Path, task: str | None = None) -> Team:
    """A trained agent that acts in real environments.

    Args:
      path: RUN/agent for the cloned policy, RUN/dream for the one that learned in imagination,
        or RUN for the latter where there is one.
      task: that is asked of it; the one that it was trained for by default.
    """
    world, policy, task = _agent(_agent_folder(Path(path)), task)
    return Team(world, partial(choose_action, policy), task)


def load_planners(
    path: str | Path,
    search: Search | None = None,
    *,
    task: str | None = None,
    passes: int | None = None,
) -> Planners:
    """A trained agent that searches its world before it acts in a real environment.

    The first candidates are what its policy would do; where it learned in imagination, its
    own value estimate says what is still to come after the last imagined step.

    Args:
      path: as of `load_team`.
      search: how far and how widely.
      task: as of `load_team`.
      passes: denoising passes of an imagined frame; by default as the run's world is drawn.

    Raises:
      WorldloomError: the agent only imitates, and has no world to search.
    """
    path = _agent_folder(Path(path))
    if Stage.open(path).config.get("lessons", {}).get("alone"):
        raise WorldloomError(
            f"`{path}` learned by imitation alone, so it has no world to plan in",
            f"train an agent in a world: `worldloom train agent STORE --run {path.parent}`",
        )
    sampler = None if passes is None else replace(_own_sampler(path.parent), passes=passes)
    world, policy, task = _agent(path, task, sampler)
    head = load_value(path.parent, world, path.name)
    value = None if head is None else lambda heard: head.mean(head(heard)[:, 0])
    planner = Planner(world, search or Search(), prior=partial(draw_action, policy), value=value)

    def decide(heard: Any, state: Any) -> dict[str, Any]:
        """For who asks without a memory of plans, as a server does."""
        return planner.plan(state, state.seeds, state.ring.count).first()

    return Planners(Team(world, decide, task), planner)


def _agent(
    path: Path, task: str | None, sampler: Sampler | None = None
) -> tuple[DreamWorld, PolicyHead, str | None]:
    """The world of a trained agent's folder, its policy, and what is asked of it."""
    stage = finished(path)
    if stage.config["stage"] not in ("agent", "dream"):
        raise WorldloomError(
            f"`{path}` is no agent but a {stage.config['stage']}",
            f"train one: `worldloom train agent STORE --run {path.parent}`",
        )
    name = "agent" if stage.config["stage"] == "dream" else path.name
    world = load_agent(path.parent, sampler, name)
    assert world.agent is not None
    if task is not None:
        world.agent.task(task)
    policy = load_policy(path.parent, world, path.name)
    return world, policy, task or stage.config.get("dreaming", {}).get("task")


def _agent_folder(path: Path) -> Path:
    """The stage that acts: `path` itself, or of a run the one that learned most."""
    if not path.is_dir():
        raise WorldloomError(
            f"there is no policy `{path}`",
            "give RUN/agent, RUN/policy or RUN/dream, or a RUN that has one of them",
        )
    stages = [path / name for name in ("dream", "agent", "policy")]
    found = next((stage for stage in stages if (stage / "weights.safetensors").exists()), path)
    if not (found / "config.json").exists():
        raise WorldloomError(
            f"`{path}` holds no agent that was trained to its end",
            f"train one: `worldloom train agent STORE --run {path}`",
        )
    return found


def maker_of(path: Path, plans: bool) -> "TrainedMaker":
    """For a trained agent's folder; it searches before it acts where it `plans`."""
    return TrainedMaker(path, Search() if plans else None)


@dataclass(frozen=True)
class TrainedMaker:
    """Makes the player of a trained agent's folder, in whichever process it is to play.

    Args:
      path: as of `load_team`.
      search: how it searches its world before it acts; None where it does not.
      passes: as of `load_planners`.
    """

    path: Path
    search: Search | None = None
    passes: int | None = None

    @property
    def name(self) -> str:
        return str(self.path) if self.search is None else f"plan:{self.path}"

    def players(self, task: str | None = None) -> Team | Planners:
        """For several games at once."""
        if self.search is None:
            return load_team(self.path, task)
        return load_planners(self.path, self.search, task=task, passes=self.passes)

    def __call__(self, stage: Any) -> Trained:
        check_actions(self.path, stage.action)
        return Trained(self.players())


def check_actions(path: Path, actions: ActionSpec) -> None:
    """Raises one clear sentence where a trained agent cannot act with `actions`."""
    own = ActionSpec.from_json(Stage.open(_agent_folder(path)).config["info"]["action"])
    if own != actions:
        raise WorldloomError(
            f"`{path}` acts with {own.describe()}, this environment takes {actions.describe()}",
            "choose an agent that was trained on recordings of it",
        )


def recorded_setup(path: Path, env: str) -> Setup:
    """How an environment is seen and entered in the recordings of a trained agent's folder."""
    info = finished(_agent_folder(path)).config["info"]
    return Setup.from_json(env, info["env_kwargs"])


def _own_sampler(run: Path) -> Sampler:
    """How a saved world draws its frames; the defaults in a run, which does not say."""
    file = run / "world.json"
    if not file.exists():
        return Sampler()
    try:
        return Sampler(**json.loads(file.read_text())["sampler"])
    except (ValueError, KeyError, TypeError) as error:
        raise WorldloomError(
            f"`{file}` does not say how frames are drawn ({error})",
            "restore the file, or remove it to draw them by default",
        ) from error


def save_world(world: DreamWorld, source: str | Path, folder: str | Path) -> None:
    """Copies the world of a run without what only training needs.

    Args:
      world: the world to save; its weights are written.
      source: the run that it was loaded from, whose configurations go along.
      folder: must not exist; appears whole or not at all.
    """
    folder = Path(folder)
    if folder.exists():
        raise WorldloomError(f"`{folder}` exists already", "choose another folder")
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    modules = {"tokenizer": world.tokenizer, "dynamics": world.dynamics}
    try:
        for name in STAGES:
            stage = finished(Path(source) / name)
            write_tensors(
                part / name / "weights.safetensors", modules[name].state_dict(), {"stage": name}
            )
            write_text(part / name / "config.json", json.dumps(dict(stage.config), indent=2) + "\n")
        facts = {"sampler": asdict(world.sampler)}
        write_text(part / "world.json", json.dumps(facts, indent=2) + "\n")
        written = weights_hash(part / "tokenizer")
        file = part / "dynamics" / "config.json"
        write_text(
            file, json.dumps({**json.loads(file.read_text()), "tokenizer": written}, indent=2)
        )
        if world.doubt is not None:
            _save_doubt(world.doubt, Path(source), part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _save_doubt(doubt: Doubt, source: Path, folder: Path) -> None:
    """Beside the world in `folder`, as fitted to the weights that were written there."""
    stage, path = finished(doubt_folder(source, "dynamics")), doubt_folder(folder, "dynamics")
    write_tensors(path / "weights.safetensors", doubt.state_dict(), {"stage": "doubt"})
    config = {**stage.config, "world": weights_hash(folder / "dynamics")}
    write_text(path / "config.json", json.dumps(config, indent=2) + "\n")
    shutil.copy(stage.path / "scores.json", path)


def finished(path: Path) -> Stage:
    """A stage that is trained to its end, or one clear sentence."""
    if not path.is_dir():
        raise WorldloomError(
            f"`{path.parent}` has no {path.name}",
            f"train it: `worldloom train {path.name} STORE --run {path.parent}`",
        )
    stage = Stage.open(path)
    if not stage.done:
        raise WorldloomError(
            f"the {path.name} of `{path.parent}` has no weights.safetensors: it is not trained to "
            "its end",
            f"worldloom train --resume {path.parent}",
        )
    return stage
