"""Craft, from recordings alone: a world, an agent cloned in it, and one that dreamed.

    python -m recipes.craft --out runs/craft

Records mixed players, trains tokenizer, dynamics, the agent in them, cloning alone for
comparison, and a policy in imagination; plays all of them for real from the same starts.
What is there already is kept: run it again to go on.
"""

from dataclasses import replace
from pathlib import Path

from recipes import craft_judge, steps
from worldloom.agents.choose import choose
from worldloom.configs import Batches, Size, nano
from worldloom.data.relevant import Relevance
from worldloom.envs import CRAFT
from worldloom.envs.make import Setup
from worldloom.progress import Progress
from worldloom.train.agent import Lessons, train_agent
from worldloom.train.dream import train_dream
from worldloom.train.imagination import Dreaming
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options

GAME = Setup(CRAFT)
USUAL = steps.Plan(
    out=Path("runs/craft"),
    episodes=400,
    frames=501,
    steps=6000,
    judged=200,
    seed=0,
    publish=False,
    heldout=0.1,
)
CLONES = {"agent": (False, 1.0), "clone": (True, 1.0), "filtered": (True, 0.1)}  # alone, best


def size_of(updates: int) -> Size:
    """Size nano, a third wider, told by each action how the view moves."""
    base = nano((32, 32))
    dynamics = replace(base.dynamics, width=128, hidden=384, steered=True)
    return replace(
        base, dynamics=dynamics, schedule=replace(base.schedule, steps=updates, ema=0.998)
    )


def lessons_of(updates: int, *, alone: bool = False, best: float = 1.0) -> Lessons:
    """Half of the windows for the world, half for cloning, each 16 frames; or all for cloning."""
    schedule = Schedule(updates, rate=1e-3, warmup=100, ema=0.998, muon_rate=0.01)
    return Lessons(
        schedule,
        Batches(rows=16, short=12, long=24, long_every=4),
        Relevance(within=64, best=best),
        alone=alone,
    )


def main() -> None:
    plan = steps.ask(__doc__ or "", USUAL)
    stages = ["record", "tokenizer", "dynamics", *CLONES, "dream", "act"]
    progress = Progress(dict.fromkeys(stages, 0.0))
    progress.begin("record")
    store = steps.record_missing(plan, GAME, choose("scripted"), progress)
    steps.train(plan, store, progress, size_of(plan.steps))
    for name, (alone, best) in CLONES.items():
        progress.begin(name)
        lessons = lessons_of(max(2, plan.steps // 2), alone=alone, best=best)
        options = _options(plan, progress)
        train_agent(store, plan.out, lessons, options, name=name, resume=_begun(plan, name))
    progress.begin("dream")
    schedule = Schedule(max(2, plan.steps // 6), rate=3e-4, warmup=50, ema=0.99)
    options, how = _options(plan, progress), Dreaming()
    train_dream(store, plan.out, schedule, how, options, resume=_begun(plan, "dream"))
    progress.begin("act")
    print(craft_judge.table(plan, [*CLONES, "dream"], progress))


def _begun(plan: steps.Plan, name: str) -> bool:
    return (plan.out / name / "config.json").exists()


def _options(plan: steps.Plan, progress: Progress) -> Options:
    def tell(step: int, of: int, loss: float) -> None:
        progress.update(step / of, f"step {step:,} of {of:,}, loss {loss:.4g}")

    return Options(seed=plan.seed, save_minutes=2.0, report=tell)


if __name__ == "__main__":
    main()
