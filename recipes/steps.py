"""What the recipes have in common: record, train, judge; each is kept when it is done.

Knows no game. Everything is done by the library's public functions.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import results
from worldloom.configs import Size, nano
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.envs.make import Setup
from worldloom.evaluate.openloop import evaluate
from worldloom.evaluate.report import Report
from worldloom.hub import load_world
from worldloom.models.dream import Sampler
from worldloom.progress import Progress
from worldloom.train.dynamics import train_dynamics
from worldloom.train.setup import Options
from worldloom.train.tokenizer import train_tokenizer

ROOT = Path(__file__).resolve().parent.parent
HELDOUT = 0.25
HORIZONS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Plan:
    """What a recipe was asked for.

    Args:
      out: the run folder; the recordings are in its `store`.
      episodes: that the store shall hold.
      frames: of an episode at most.
      steps: updates of the dynamics.
      judged: held-out episodes that the world is scored on, at most.
      seed: of everything random.
      publish: copy figures and contact sheet into the repository.
      heldout: share of the episodes that is never trained on.
      sittings: frames at most of the recorded episodes, by turns; `frames` where empty.
    """

    out: Path
    episodes: int
    frames: int
    steps: int
    judged: int
    seed: int
    publish: bool
    heldout: float = HELDOUT
    sittings: tuple[int, ...] = ()


def ask(text: str, usual: Plan) -> Plan:
    """Reads the command line; `usual` are the defaults."""
    return planned(parser(text).parse_args(), usual)


def parser(text: str) -> argparse.ArgumentParser:
    """The command line of every recipe; what is not given is None."""
    found = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--out", type=Path, help="the run folder")
    found.add_argument("--episodes", type=int, help="to record")
    found.add_argument("--steps", type=int, help="updates of the dynamics")
    found.add_argument("--seed", type=int)
    found.add_argument("--smoke", action="store_true", help="seconds: proves the way alone")
    found.add_argument("--publish", action="store_true", help="write benchmarks/ and docs/images")
    return found


def planned(given: argparse.Namespace, usual: Plan) -> Plan:
    """`usual`, but for what was given."""
    names = ("out", "episodes", "steps", "seed")
    said = {n: getattr(given, n) for n in names if getattr(given, n) is not None}
    plan = replace(usual, publish=given.publish, **said)
    smoke = {"episodes": 16, "frames": 48, "sittings": (), "steps": 2, "judged": 2}
    return replace(plan, **smoke) if given.smoke else plan


def record_missing(
    plan: Plan, setup: Setup, players: Sequence[Any], progress: Progress, *, workers: int = 1
) -> Store:
    """Records the episodes that the store does not hold yet; the players take turns."""
    folder = plan.out / "store"
    there = len(Store.open(folder)) if folder.exists() else 0
    if there < plan.episodes:
        record(
            setup,
            folder,
            episodes=plan.episodes - there,
            policies=players,
            seed=plan.seed,
            workers=workers,
            keep=Keep(max_frames=plan.sittings or plan.frames, heldout=plan.heldout),
            progress=lambda done, of: progress.update(done / of, f"{done} of {of} episodes"),
        )
    return Store.open(folder)


def small_world(frame: tuple[int, int], steps: int) -> Size:
    """Size nano with fewer rows in a batch, since a frame has four or five times its tokens."""
    base = nano(frame)
    return replace(
        base,
        tokenizer_batches=replace(base.tokenizer_batches, rows=2048),
        schedule=replace(base.schedule, steps=steps),
        batches=replace(base.batches, rows=4),
    )


def train(plan: Plan, store: Store, progress: Progress, size: Size | None = None) -> None:
    """Trains the tokenizer, then the dynamics, or goes on with what was interrupted.

    Without a size it is `small_world`.
    """

    def tell(step: int, steps: int, loss: float) -> None:
        progress.update(step / steps, f"step {step:,} of {steps:,}, loss {loss:.4g}")

    size = size or small_world(store.info.cameras["main"], plan.steps)
    options = Options(seed=plan.seed, save_minutes=1.0, report=tell)
    for stage, run in (("tokenizer", train_tokenizer), ("dynamics", train_dynamics)):
        progress.begin(stage)
        run(store, plan.out, size, options, resume=(plan.out / stage / "config.json").exists())


def judge(plan: Plan, store: Store, progress: Progress, sampler: Sampler | None = None) -> Report:
    """Scores the world on held-out episodes; the report is in the folder `evaluation`.

    Without a sampler frames are drawn as the run draws them.
    """
    folder = plan.out / "evaluation"
    if (folder / "report.json").exists():
        return Report.load(folder / "report.json")
    return evaluate(
        load_world(plan.out, sampler),
        store,
        horizons=HORIZONS if plan.frames > 64 else HORIZONS[:-1],
        episodes=plan.judged,
        seed=plan.seed,
        out=folder,
        progress=progress.update,
    )


def publish(plan: Plan, name: str, recipe: str, report: Report) -> None:
    """Writes benchmarks/results/NAME.json and docs/images/NAME-contact.png.

    The command in the file names everything but the folder, which changes no figure.
    """
    keep = ("value", "low", "high", "unit", "n", "null", "ceiling", "why")
    figures = {
        key: {field: value for field, value in asdict(figure).items() if field in keep}
        for key, figure in [*report.figures.items(), *cells(report)]
    }
    results.write(
        name,
        command=f"python -m {recipe} --episodes {plan.episodes} --steps {plan.steps} "
        f"--seed {plan.seed} --publish",
        seeds=[plan.seed],
        figures=figures,
        setting=report.setting,
        notes=report.notes,
        failures=[failure.sentence for failure in report.failures],
        folder=ROOT / "benchmarks" / "results",
    )
    image = ROOT / "docs" / "images" / f"{name}-contact.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    part = image.with_suffix(".png.part")
    with Image.open(plan.out / "evaluation" / "contact.png") as sheet:
        sheet.convert("RGB").quantize(128).save(part, format="PNG", optimize=True)
    shutil.move(part, image)


def cells(report: Report) -> list[tuple[str, Any]]:
    """Every cell of the tables, named like `foreground_psnr_world_h8`."""
    return [
        (f"{table}_{row}_h{horizon}", figure)
        for table, content in report.tables.items()
        for row, figures in content.rows.items()
        for horizon, figure in zip(content.horizons, figures, strict=True)
    ]
