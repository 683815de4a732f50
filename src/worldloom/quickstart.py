"""The whole loop once, small: record, train, evaluate, and time the page.

    OUT/                a run folder: `worldloom play OUT` enters it
      quickstart.json   settings, and which stages are done
      store/            the recordings
      tokenizer/ dynamics/
      evaluation/       report, contact sheet, clips of the worst mistakes
      report.json       the figures; written last

A stage that is done is kept, so an interrupted quickstart goes on where it was.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from worldloom.agents.choose import choose
from worldloom.configs import Size, nano
from worldloom.data.files import replace_file
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.envs.make import Setup
from worldloom.errors import WorldloomError
from worldloom.evaluate.openloop import evaluate
from worldloom.evaluate.report import Report
from worldloom.hub import load_world
from worldloom.play.measure import measure
from worldloom.play.session import from_clips
from worldloom.progress import Progress, clock_text
from worldloom.starts import contexts, spare_a_core
from worldloom.train.dynamics import train_dynamics
from worldloom.train.setup import Options
from worldloom.train.tokenizer import train_tokenizer

ENV, SIDE = "worldloom/Hop-v0", 32
STAGES = {"record": 25.0, "tokenizer": 5.0, "dynamics": 400.0, "evaluate": 60.0, "page": 12.0}
"""Stages in order, with the seconds that each took on two cores."""
KEYS = (
    "wall_seconds",
    "peak_memory_gb",
    "foreground_gain_db_h1_16",
    "headroom_share_h8",
    "fps_p50",
    "input_to_frame_p95_ms",
)
"""The figures of `report.json`."""

Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class Scale:
    """How much of everything.

    Args:
      episodes: that are recorded, half of them by a scripted player who goes for the
        coins and half by one who holds random keys.
      heldout: share of the episodes that is never trained on.
      steps: updates of the dynamics; None for the size's own.
      judged: held-out episodes that the world is scored on.
      horizons: frames after the context at which it is scored.
      seconds: for which the page is timed.
    """

    episodes: int
    heldout: float
    steps: int | None
    judged: int
    horizons: tuple[int, ...]
    seconds: float


FULL = Scale(
    episodes=600,
    heldout=0.15,
    steps=None,
    judged=64,
    horizons=(1, 2, 4, 8, 16, 32),
    seconds=10.0,
)
SMOKE = Scale(
    episodes=12,
    heldout=0.5,
    steps=3,
    judged=2,
    horizons=(1, 2, 4, 8, 16),
    seconds=0.5,
)


class Ledger:
    """What is done, how long it took and what it needed, kept in `quickstart.json`.

    Args:
      run: the folder; it is made, or must be an unfinished quickstart of the same settings.
      settings: seed and scale.

    Raises:
      WorldloomError: the folder is something else, or finished.
    """

    def __init__(self, run: Path, settings: Mapping[str, Any]) -> None:
        self.file = run / "quickstart.json"
        self.began = time.monotonic()
        self.done: dict[str, float] = {}
        self.seconds = self.peak = 0.0
        _refuse(run, self.file, settings)
        if self.file.exists():
            noted = _noted(self.file)
            self.done, self.seconds, self.peak = noted["done"], noted["seconds"], noted["peak_gb"]
        self.settings = dict(settings)
        run.mkdir(parents=True, exist_ok=True)
        self.note()

    def wall(self) -> float:
        """Seconds spent so far, those of interrupted attempts included."""
        return self.seconds + time.monotonic() - self.began

    def memory(self) -> float:
        """The most memory held so far in GB, those of interrupted attempts included."""
        return max(self.peak, peak_memory_gb())

    def note(self) -> None:
        """Writes down where we are."""
        facts = {
            "settings": self.settings,
            "done": self.done,
            "seconds": self.wall(),
            "peak_gb": self.memory(),
        }
        replace_file(self.file, json.dumps(facts, indent=1).encode() + b"\n")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage, and notes that it is done unless it was interrupted."""
        began = time.monotonic()
        try:
            yield
            self.done[name] = round(time.monotonic() - began, 2)
        finally:
            self.note()


def _noted(file: Path) -> dict[str, Any]:
    """What `quickstart.json` holds, or one clear sentence."""
    try:
        noted = json.loads(file.read_text())
        if noted.keys() >= {"settings", "done", "seconds", "peak_gb"}:
            return noted
        reason = "something is missing in it"
    except (ValueError, AttributeError) as error:
        reason = str(error)
    raise WorldloomError(f"`{file}` cannot be read: {reason}", "pass --out for another folder")


def _refuse(run: Path, file: Path, settings: Mapping[str, Any]) -> None:
    """Raises where a quickstart cannot begin or go on in `run`."""
    if not run.exists():
        return
    other = "pass --out for another folder"
    if not file.exists():
        raise WorldloomError(f"`{run}` exists already and is no quickstart", other)
    if (run / "report.json").exists():
        raise WorldloomError(
            f"`{run}` exists already: it is a finished quickstart",
            f"enter it with `worldloom play {run}`, or {other}",
        )
    before = _noted(file)["settings"]
    # Through JSON and back, so that tuples compare equal to the lists they became.
    if before != json.loads(json.dumps(dict(settings))):
        words = f"--seed {before['seed']}" + (" --smoke" if before["smoke"] else "")
        raise WorldloomError(
            f"`{run}` exists already: a quickstart begun with {words}",
            f"continue it with these, or {other}",
        )


def peak_memory_gb() -> float:
    """The most memory that this process and a helper process can have held at once, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    helper = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + helper) * unit / 1e9


def quickstart(
    run: Path, *, seed: int = 0, smoke: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Runs the loop once, or what is left of it.

    Args:
      run: the folder for everything.
      seed: of everything random.
      smoke: a few episodes and updates, in seconds: proves the way, not the world.
      progress: takes the lines; standard error by default.

    Returns:
      The contents of `report.json`.
    """
    scale = SMOKE if smoke else FULL
    ledger = Ledger(run, {"seed": seed, "smoke": smoke, "scale": asdict(scale)})
    progress = progress or Progress(dict.fromkeys(STAGES, 2.0) if smoke else STAGES)
    work: dict[str, Callable[[Tell], None]] = {
        "record": lambda tell: _record(run, scale, seed, tell),
        "tokenizer": lambda tell: _train("tokenizer", run, scale, seed, tell),
        "dynamics": lambda tell: _train("dynamics", run, scale, seed, tell),
        "evaluate": lambda tell: _evaluate(run, scale, seed, tell),
        "page": lambda tell: _page(run, scale, seed, tell),
    }
    for name, do in work.items():
        if name in ledger.done:
            progress.skip(name)
            continue
        progress.begin(name)
        with ledger.stage(name):
            do(progress.update)
    return _report(run, ledger, seed)


def size_of(scale: Scale) -> Size:
    """What is trained: size nano, for as many updates as the scale says."""
    size = nano((SIDE, SIDE))
    if scale.steps is None:
        return size
    return replace(size, schedule=replace(size.schedule, steps=scale.steps))


def _record(run: Path, scale: Scale, seed: int, tell: Tell) -> None:
    """Both players take turns; one process, so that the order of episodes is always the same."""
    there = len(Store.open(run / "store")) if (run / "store").exists() else 0
    if there < scale.episodes:
        record(
            Setup(ENV, (SIDE, SIDE)),
            run / "store",
            episodes=scale.episodes - there,
            policies=choose("random,scripted"),
            seed=seed,
            keep=Keep(heldout=scale.heldout),
            progress=lambda done, of: tell(done / of, f"{there + done} episodes"),
        )


def _train(stage: str, run: Path, scale: Scale, seed: int, tell: Tell) -> None:
    def report(step: int, steps: int, loss: float) -> None:
        tell(step / steps, f"step {step:,} of {steps:,}, loss {loss:.4g}")

    train = {"tokenizer": train_tokenizer, "dynamics": train_dynamics}[stage]
    options = Options(seed=seed, save_minutes=1.0, report=report)
    resume = (run / stage / "config.json").exists()
    train(Store.open(run / "store"), run, size_of(scale), options, resume=resume)


def _evaluate(run: Path, scale: Scale, seed: int, tell: Tell) -> None:
    evaluate(
        load_world(run),
        Store.open(run / "store"),
        horizons=scale.horizons,
        episodes=scale.judged,
        seed=seed,
        out=run / "evaluation",
        progress=tell,
    )


def _page(run: Path, scale: Scale, seed: int, tell: Tell) -> None:
    tell(0.0, f"playing for {scale.seconds:g} s")
    starts = from_clips(contexts(Store.open(run / "store")))
    spare_a_core()  # as `worldloom play` does
    felt = measure(load_world(run), starts, seconds=scale.seconds, seed=seed)
    replace_file(run / "page.json", json.dumps(felt, indent=1).encode() + b"\n")


def _report(run: Path, ledger: Ledger, seed: int) -> dict[str, Any]:
    """Gathers the figures and writes `report.json`."""
    judged = Report.load(run / "evaluation" / "report.json")
    felt = json.loads((run / "page.json").read_text())
    figures = {name: asdict(judged.figures[name]) for name in KEYS if name in judged.figures}
    report = {
        "name": "quickstart",
        "seed": seed,
        "wall_seconds": round(ledger.wall(), 1),
        "peak_memory_gb": round(ledger.memory(), 2),
        **{name: figure["value"] for name, figure in figures.items()},
        **{name: felt[name] for name in KEYS if name in felt},
        "stages": ledger.done,
        "scored": figures,
    }
    ledger.note()
    replace_file(run / "report.json", json.dumps(report, indent=1).encode() + b"\n")
    return report


def report_text(run: Path, report: Mapping[str, Any]) -> str:
    """What a person reads at the end; it closes with the things this world gets most wrong."""
    store = Store.open(run / "store")
    frames = sum(row.length for row in store.episodes)
    folder = run / "evaluation"
    judged = Report.load(folder / "report.json")
    placed = replace(judged, files={k: str(folder / v) for k, v in judged.files.items()})
    took = clock_text(report["wall_seconds"])
    wait = f"{report['input_to_frame_p95_ms']:.0f} ms"
    return "\n".join(
        [
            f"quickstart: {run}",
            f"  recorded  {len(store)} episodes, {frames:,} frames of {ENV} at {SIDE}x{SIDE}",
            f"  took      {took} min, {report['peak_memory_gb']:.1f} GB of memory at most",
            f"  page      {report['fps_p50']:.1f} frames/s, {wait} from a key to its frame (p95)",
            "",
            placed.to_text(),
        ]
    )
