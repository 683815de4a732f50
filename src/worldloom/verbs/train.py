"""`worldloom train tokenizer`, `train dynamics`, `train --resume`: learning from a store."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from worldloom.errors import WorldloomError
from worldloom.verbs.parse import on_interrupt

if TYPE_CHECKING:
    from worldloom.configs import Size
    from worldloom.train.setup import Options
    from worldloom.train.stage import Stage

STAGES = ("tokenizer", "dynamics")
Name = Literal["nano", "tiles", "tiny", "small", "base", "large"]
Tracker = Literal["none", "trackio", "wandb", "tensorboard"]


def tokenizer(
    store: str,
    *,
    run: str | None = None,
    size: Name = "tiny",
    steps: int | None = None,
    batch: int | None = None,
    rate: float | None = None,
    seed: int = 0,
    save_minutes: float = 5.0,
    perceptual: str | None = None,
    track: Tracker = "none",
) -> None:
    """Trains the tokenizer: frames to latents and back.

    Args:
      store: folder of the recordings.
      run: folder that the run writes; runs/STORE by default.
      size: named configuration, see `worldloom ls sizes`.
      steps: updates in all; the size's own number by default.
      batch: clips of a short batch; the size's own number by default.
      rate: peak learning rate; the size's own by default.
      seed: of everything random.
      save_minutes: minutes between two checkpoints.
      perceptual: LPIPS weights in safetensors, for those who have them.
      track: sends the metrics there too; metrics.jsonl is always written.
    """
    from worldloom.data.store import Store
    from worldloom.train.setup import size_for
    from worldloom.train.tokenizer import train_tokenizer

    opened = Store.open(store)
    chosen = _changed(size_for(opened, size), "tokenizer", steps=steps, batch=batch, rate=rate)
    folder = Path(run or f"runs/{opened.path.name}")
    weights = None if perceptual is None else _perceptual(chosen, perceptual)
    with told(folder, "tokenizer", seed=seed, minutes=save_minutes, track=track) as options:
        train_tokenizer(opened, folder, chosen, options, perceptual=weights)


def dynamics(
    store: str,
    *,
    run: str | None = None,
    size: Name | None = None,
    steps: int | None = None,
    batch: int | None = None,
    rate: float | None = None,
    bootstrap_rows: float | None = None,
    begin: str | None = None,
    seed: int = 0,
    save_minutes: float = 5.0,
    track: Tracker = "none",
) -> None:
    """Trains the dynamics: what happens next.

    Args:
      store: folder of the recordings.
      run: folder of the run, whose tokenizer is trained; runs/STORE by default.
      size: named configuration, see `worldloom ls sizes`; the tokenizer's by default.
      steps: updates in all; the size's own number by default.
      batch: clips of a short batch; the size's own number by default.
      rate: peak learning rate; the size's own by default.
      bootstrap_rows: share of rows that learn shortcuts; 1 is the paper's own sampling.
      begin: folder of a finished run with the same tokenizer, whose weights are learned on from.
      seed: of everything random.
      save_minutes: minutes between two checkpoints.
      track: sends the metrics there too; metrics.jsonl is always written.
    """
    from dataclasses import replace

    from worldloom.data.store import Store
    from worldloom.train.dynamics import train_dynamics
    from worldloom.train.setup import size_for

    opened = Store.open(store)
    folder = Path(run or f"runs/{opened.path.name}")
    chosen = size_for(opened, size or _tokenizer_size(folder, store))
    chosen = _changed(chosen, "dynamics", steps=steps, batch=batch, rate=rate)
    if bootstrap_rows is not None:
        if not 0 <= bootstrap_rows <= 1:
            raise WorldloomError(
                f"--bootstrap-rows {bootstrap_rows} is no share", "give 0 to 1", code=2
            )
        forcing = replace(chosen.forcing, bootstrap_rows=bootstrap_rows)
        chosen = replace(chosen, forcing=forcing)
    with told(folder, "dynamics", seed=seed, minutes=save_minutes, track=track) as options:
        train_dynamics(
            opened, folder, chosen, options, begin=None if begin is None else Path(begin)
        )


def resume(*, resume: str, save_minutes: float = 5.0, track: Tracker = "none") -> None:
    """Continues a training run exactly where it stopped.

    Args:
      resume: folder of the run.
      save_minutes: minutes between two checkpoints.
      track: sends the metrics there too; metrics.jsonl is always written.
    """
    from worldloom.train.stage import Stage

    run = Path(resume)
    begun = [
        name
        for name in (*STAGES, *sorted(path.name for path in run.glob("*/")))
        if (run / name / "config.json").exists()
    ]
    begun = list(dict.fromkeys(begun))
    if not begun:
        raise WorldloomError(
            f"`{resume}` is no run: it has neither tokenizer/ nor dynamics/",
            "give the folder that `worldloom train tokenizer` wrote",
        )
    stage = next((s for s in (Stage.open(run / n) for n in begun) if not s.done), None)
    if stage is None:
        done = f"`{resume}` is finished: {' and '.join(begun)}"
        raise WorldloomError(done, f"worldloom play {resume}")
    name, seed = stage.path.name, stage.config["seed"]
    with told(run, name, seed=seed, minutes=save_minutes, track=track) as options:
        _go_on(stage, run, options)


def _go_on(stage: "Stage", run: Path, options: "Options") -> None:
    """Trains a stage that was begun, as its own configuration says."""
    from worldloom.configs import named
    from worldloom.data.store import Store
    from worldloom.train.agent import train_agent
    from worldloom.train.doubt import doubting_of, train_doubt
    from worldloom.train.dream import train_dream
    from worldloom.train.dynamics import train_dynamics
    from worldloom.train.imagination import Dreaming
    from worldloom.train.lessons import lessons_of
    from worldloom.train.optim import Schedule
    from worldloom.train.tokenizer import train_tokenizer

    name, config = stage.path.name, stage.config
    store = Store.open(config["store"])
    if config["stage"] == "agent":
        train_agent(store, run, lessons_of(config), options, name=name, resume=True)
    elif config["stage"] == "dream":
        how = Schedule(**config["schedule"]), Dreaming.of(config["dreaming"])
        train_dream(store, run, *how, options, name=name, resume=True)
    elif config["stage"] == "doubt":
        how = doubting_of(config)
        train_doubt(store, run, how, options, of=config["of"], resume=True)
    else:
        size = named(config["size"], store.info.cameras["main"])
        train = train_tokenizer if config["stage"] == "tokenizer" else train_dynamics
        train(store, run, size, options, resume=True)


def _perceptual(size: "Size", path: str) -> Path:
    """The weights of the perceptual term, read once so that a mistake is said before anything."""
    from worldloom.models.tokenizer import TokenizerShape
    from worldloom.train.perceptual import Perceptual

    if not isinstance(size.tokenizer, TokenizerShape):
        raise WorldloomError(
            f"size {size.name} has no learned tokenizer, so a perceptual loss has no use there",
            "leave out --perceptual, or choose another --size",
        )
    Perceptual.load(Path(path))
    return Path(path)


def _tokenizer_size(run: Path, store: str) -> str:
    """The size that the run's tokenizer was trained at."""
    from worldloom.train.stage import Stage

    if not (run / "tokenizer" / "config.json").exists():
        raise WorldloomError(
            f"run `{run}` has no tokenizer", f"worldloom train tokenizer {store} --run {run}"
        )
    return Stage.open(run / "tokenizer").config["size"]


def _changed(
    size: "Size", stage: str, *, steps: int | None, batch: int | None, rate: float | None
) -> "Size":
    """The size with another number of steps, batch or rate in one stage."""
    from dataclasses import replace

    for option, value in (("steps", steps), ("batch", batch), ("rate", rate)):
        if value is not None and not 0 < value < math.inf:
            raise WorldloomError(
                f"--{option} {value} makes no sense", "give a number above 0", code=2
            )
    prefix = "tokenizer_" if stage == "tokenizer" else ""
    for name, fields in (
        ("schedule", {"steps": steps, "rate": rate}),
        ("batches", {"rows": batch}),
    ):
        given = {key: value for key, value in fields.items() if value is not None}
        part = replace(getattr(size, prefix + name), **given)
        size = replace(size, **{prefix + name: part})
    return size


@contextmanager
def told(run: Path, stage: str, *, seed: int, minutes: float, track: str) -> Iterator["Options"]:
    """Options that print a line every few seconds, and what Ctrl-C keeps."""
    from worldloom.errors import need
    from worldloom.progress import Progress
    from worldloom.train.setup import Options

    if not minutes >= 0:
        raise WorldloomError(f"--save-minutes {minutes} makes no sense", "for example 5", code=2)
    if track != "none":
        need(track, track)  # before the run folder is made
    progress = Progress({stage: 0.0})
    progress.begin(stage, f"into {run}")

    def report(step: int, steps: int, loss: float) -> None:
        progress.update(step / steps, f"step {step:,} of {steps:,}, loss {loss:.4g}")

    kept = f"{run / stage} is kept; continue with `worldloom train --resume {run}`"
    tracker = None if track == "none" else track
    with on_interrupt(kept):
        yield Options(seed=seed, save_minutes=minutes, report=report, track=tracker)
    progress.say(f"{stage}: done, in {run / stage}")
