"""How a family of worlds is trained on recordings that a task brings: the named recipes.

Knows models and training, as `trust` does not. One recipe so far: nano, the size that
learns films of 64 pixels on a CPU.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from worldloom.configs import Size, nano
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.hub import (
    doubt_folder,
    load_agent,
    load_policy,
    load_tokenizer,
    load_world,
    weights_hash,
    world_identity,
)
from worldloom.models.dream import DreamWorld, Sampler
from worldloom.models.dynamics import Dynamics
from worldloom.models.inside import Opened
from worldloom.train.dynamics import train_dynamics
from worldloom.train.setup import Options
from worldloom.train.tokenizer import train_tokenizer
from worldloom.trust.named import make_named
from worldloom.trust.sitting import Tell
from worldloom.trust.task import Budget, Setting, training_seed
from worldloom.trust.training import Family
from worldloom.trust.worldprobe import WorldProbe, told
from worldloom.world import World

STEPS: Mapping[Budget, int] = {"smoke": 4, "quick": 1500, "full": 12_000}
"""Updates of the dynamics. Smoke proves the way, not the world."""
NARROW: Mapping[str, int] = {"width": 32, "heads": 2, "kv_heads": 2, "hidden": 64}
"""A third of nano's width, for smoke: what learns in four updates need not be able to."""
DRAWN = Sampler(passes=2)
WORDS: Mapping[str, str] = {
    "persistence": "worldloom.plain:Persistence",
    "nearest": "worldloom.plain:NearestClip",
}
"""Families that have a short name."""
START = 0.02
"""Spread of an untrained head; as training begins it is zero, and such a world sees nothing."""


@dataclass(frozen=True)
class Nano:
    """Size nano: patches for tokens, shortcut forcing, minutes to an hour on one core."""

    name: str = "nano"

    def words(self, setting: Setting) -> str:
        """The recipe and how long it trains."""
        narrow = f", {NARROW['width']} wide" if setting.budget == "smoke" else ""
        return f"{self.name}{narrow}, {STEPS[setting.budget]:,} updates"

    def size(self, store: Store, setting: Setting) -> Size:
        """What is trained on a store, in clips no longer than its episodes."""
        base = nano(store.info.cameras["main"])
        longest = max((row.length for row in store.episodes), default=base.batches.long)
        if setting.budget == "smoke":
            base = replace(base, dynamics=replace(base.dynamics, **NARROW))
        return replace(
            base,
            tokenizer_batches=replace(base.tokenizer_batches, rows=1024),
            schedule=replace(base.schedule, steps=STEPS[setting.budget], warmup=50),
            batches=replace(base.batches, rows=4).within(longest),
        )

    def train(self, store: Store, folder: Path, setting: Setting, tell: Tell) -> Opened:
        """The world trained on a store; what is finished in `folder` is kept."""
        size = self.size(store, setting)

        def report(step: int, steps: int, loss: float) -> None:
            tell(0.0, f"training on {store.path.name}: step {step:,} of {steps:,}, loss {loss:.3g}")

        seed = training_seed(setting)
        options = Options(seed=seed, save_minutes=1.0, report=report)
        for stage, train in (("tokenizer", train_tokenizer), ("dynamics", train_dynamics)):
            if not (folder / stage / "weights.safetensors").exists():
                begun = (folder / stage / "config.json").exists()
                train(store, folder, size, options, resume=begun)
        return Opened(load_world(folder, DRAWN))

    def untrained(self, folder: Path, *, seed: int) -> Opened:
        """The world in `folder` with dynamics that learned nothing; its tokenizer is the same."""
        trained = load_world(folder, DRAWN)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            fresh = Dynamics(trained.dynamics.shape, trained.dynamics.action.spec)
            torch.nn.init.normal_(fresh.head.weight, std=START)
        fresh.eval().requires_grad_(False)
        return Opened(DreamWorld(load_tokenizer(folder), fresh, trained.spec, DRAWN))


def family_of(world: World) -> Nano | str:
    """The recipe for worlds like this one, or why there is none."""
    if isinstance(world, DreamWorld) and world.dynamics.shape.kinds:
        return f"`{world.spec.name}` draws tiles, and films of things that move have none"
    if isinstance(world, DreamWorld):
        return Nano()
    return f"`{world.spec.name}` is no learned world of this package: nobody knows how to train it"


def agent_of(run: Path) -> WorldProbe | None:
    """The world of a run's agent as a probe, with what it would do; None without an agent.

    Where it learned in imagination too (RUN/dream), it acts as it learned there.
    """
    if not (run / "agent" / "weights.safetensors").exists():
        return None
    world = load_agent(run)
    name = "dream" if (run / "dream" / "weights.safetensors").exists() else "agent"
    opened = Opened(world, load_policy(run, world, name))
    return WorldProbe(opened, f"{run.name}/{name}", tells=told(opened))


def identity_of(run: Path, world: DreamWorld) -> str:
    """Tells a world from every other, with what was fitted to it: agents, and doubt of either."""
    agents = [name for name in ("agent", "dream") if (run / name / "weights.safetensors").exists()]
    doubts = [doubt_folder(run, of).name for of in agents]
    doubts = ["doubt" if world.doubt is not None else "", *doubts]
    parts = [*agents, *(d for d in doubts if d and (run / d / "weights.safetensors").exists())]
    own = [f"{name} {weights_hash(run / name)}" for name in parts]
    return ", ".join([world_identity(run, world), *own])


def grown(name: str, setting: Setting, tell: Tell) -> tuple[World, str, Family]:
    """A world of anyone's family, trained on the recordings of the exam.

    Args:
      name: of the family, `module:Class` or one of `WORDS`.
      setting: of the exam; the world is kept in its folder.
      tell: progress.

    Returns:
      The world, a name that tells it from others, and the family.

    Raises:
      WorldloomError: there is no such family, or nothing to learn from.
    """
    if setting.store is None or setting.folder is None:
        raise WorldloomError(
            f"a world of the family `{name}` learns from recordings, and no store is named",
            f"worldloom eval {name} STORE --suite trust",
            code=2,
        )
    parts = ("name", "train", "untrained")
    known = WORDS.get(name, name)
    family: Family = make_named(known, "family of worlds", parts, "worldloom.trust.training.Family")
    place = f"{setting.store.path.name}-{setting.budget}-{setting.seed}"
    folder = setting.folder / "own" / place
    world = family.train(setting.store, folder, setting, tell)
    digest = hashlib.blake2b(digest_size=6)
    for file in sorted(folder.rglob("*.safetensors")):
        digest.update(file.read_bytes())
    return world, f"{family.name} on {setting.store.path.name} {digest.hexdigest()}", family
