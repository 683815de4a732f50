"""Evaluates a world on held-out episodes: open loop, beside everything it must beat.

Reads in the order things happen: choose windows, run the world, judge, name
the failures, write the report.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from worldloom import seeding
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.evaluate import evidence as gathering
from worldloom.evaluate import failures, metrics, windows
from worldloom.evaluate.evidence import Evidence, Tell
from worldloom.evaluate.judge import SHARE_HORIZON, Judge, samples
from worldloom.evaluate.publish import publish
from worldloom.evaluate.report import Report
from worldloom.world import World

HORIZONS = (1, 2, 4, 8, 16, 32)
LONGEST = 64
"""Frames for which the state is watched where episodes are long enough."""


def evaluate(
    world: World,
    store: Store,
    *,
    horizons: Sequence[int] = HORIZONS,
    episodes: int = 64,
    context: int = 8,
    seed: int = 0,
    out: Path | None = None,
    progress: Tell | None = None,
) -> Report:
    """Tries a world on held-out episodes and says what it knows and what it makes up.

    Args:
      world: that starts from what the store has and can `render`.
      store: whose held-out episodes it is tried on.
      horizons: frames after the context at which pixels are compared.
      episodes: at most so many, one window each; 40 or more give useful intervals.
      context: frames the world is shown before it is on its own.
      seed: of the rollouts' noise, of whose actions are borrowed, of the resamples.
      out: folder for the report, its pictures and its page; nothing is written if None.
      progress: takes the share that is done and what is being done.

    Raises:
      WorldloomError: the store does not fit the world, or has too little held out.
    """
    began = time.monotonic()
    tell = progress or (lambda share, text: None)
    horizons = _ordered(horizons, context, episodes)
    windows.check_fit(world, store)
    chosen = windows.choose(
        store,
        episodes=episodes,
        context=context,
        horizon=max(horizons),
        longest=max(LONGEST, max(horizons)),
    )
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)  # what cannot be, is said before the work
    evidence = gathering.gather(world, store, chosen, horizons=horizons, seed=seed, tell=tell)
    tell(0.95, "judging")
    judge = Judge(evidence, seed=seeding.stream(seed, "resample"))
    report = _report(world, store, judge, context=context, seed=seed)
    report = _with(report, seconds=round(time.monotonic() - began, 1))
    if out is None:
        return report
    rows = samples(judge, [seeding.stream(seed, "rollout", i) for i in range(len(chosen))])
    return publish(report, evidence, rows, Path(out), fps=store.info.fps)


def _ordered(horizons: Sequence[int], context: int, episodes: int) -> tuple[int, ...]:
    """The horizons in order, or one clear sentence about a number that makes no sense."""
    if not horizons or min(horizons) < 1:
        raise WorldloomError(
            f"horizons are {list(horizons)}, expected frames from 1 on", "for example 1 2 4 8"
        )
    if context < 1 or episodes < 2:
        raise WorldloomError(
            f"context is {context} and episodes {episodes}, expected at least 1 and 2",
            "leave them out for 8 and 64",
        )
    return tuple(sorted(set(horizons)))


def _with(report: Report, **setting: object) -> Report:
    fields = {**vars(report), "setting": {**report.setting, **setting}}
    return Report(**fields)


def _report(world: World, store: Store, judge: Judge, *, context: int, seed: int) -> Report:
    evidence = judge.evidence
    usable = judge.usable()
    return Report(
        world=world.spec.name,
        store=str(store.path),
        env=store.info.env,
        setting={
            "task": "open_loop",
            "seed": seed,
            "context": context,
            "episodes": len(evidence.windows),
            "horizons": list(evidence.horizons),
            "foreground_tolerance": metrics.TOLERANCE,
            "foreground_error": "over real and predicted foreground, per pixel of the real one",
            "background": "recorded plate" if evidence.exact_plates else "median of each pixel",
            "fps": store.info.fps,
            "missing_rows": evidence.why_not,
        },
        figures={
            **judge.gains(),
            **judge.shares(),
            **judge.action_gains(),
            "usable_horizon_frames": usable["world"],
            "reader_accuracy": judge.reader_accuracy(),
        },
        tables={
            "foreground_psnr": judge.table("foreground PSNR", metrics.foreground_psnr),
            "psnr": judge.table("PSNR", metrics.psnr),
        },
        usable=usable,
        sensitivity=judge.sensitivity(),
        failures=tuple(_failures(evidence, store.info.fps)),
        notes=tuple(_notes(judge)),
    )


def _failures(evidence: Evidence, fps: float) -> list[failures.Failure]:
    """Named faults where states can be read, pixel faults otherwise or beside them."""
    frames = max(evidence.horizons)
    size = evidence.real[0].shape[1:3]
    named: list[failures.Trace] = []
    if evidence.reader is not None:
        named = failures.thing_traces(
            evidence.truth,
            evidence.seen,
            evidence.checked,
            evidence.reader,
            frames=frames,
            width=size[1],
        )
    pixels = failures.pixel_traces(
        [frame[:frames] for frame in evidence.real],
        [frame[:frames] for frame in evidence.dream],
        evidence.plates,
        tolerance=metrics.TOLERANCE,
    )
    return failures.worst([named, pixels], evidence.windows, size=size, fps=fps)


def _notes(judge: Judge) -> list[str]:
    """What a reader must know before trusting the numbers."""
    notes = []
    evidence = judge.evidence
    if not evidence.exact_plates:
        notes.append(
            "the recordings have no background plate; it is the median of each pixel over the "
            "episode, into which things melt that never move"
        )
    n = len(evidence.windows)
    if n < 40:
        notes.append(f"{n} episodes give wide intervals; 40 or more are better")
    for row, why in evidence.why_not.items():
        notes.append(f"there is no {row} row: {why}")
    if SHARE_HORIZON in evidence.horizons:
        ratio = judge.mask_ratios(metrics.TOLERANCE)[f"mask_ratio_h{SHARE_HORIZON}"].value
        if ratio is not None and ratio > 2:
            notes.append(
                f"at +{SHARE_HORIZON} the dream's foreground is {ratio:.1f} times the real one: "
                "much of its error is what it invents"
            )
    accuracy = judge.reader_accuracy().value
    if accuracy is not None and accuracy < 0.95:
        notes.append(
            f"only {accuracy:.0%} of the real frames are read rightly: "
            "the usable horizon says little here"
        )
    return notes
