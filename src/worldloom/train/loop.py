"""One loop for everything that learns."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from worldloom.train.learner import Learner
from worldloom.train.log import Track, tracking
from worldloom.train.setup import Options
from worldloom.train.stage import Report, Stage


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, in place of stopping in the middle of a step."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {
        number: signal.signal(number, lambda *_: asked.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fit(
    learner: Learner,
    inputs: Callable[[int], tuple[Any, ...]],
    stage: Stage,
    *,
    picture: Callable[[], Tensor] | None = None,
    save_minutes: float = 5.0,
    until: int | None = None,
    report: Report | None = None,
    track: Track | None = None,
) -> bool:
    """Trains from the stage's checkpoint, if there is one, to the end of the schedule.

    Everything random is a function of (seed, step) inside `inputs`, so a run
    that was stopped anywhere goes on bit for bit.

    Args:
      learner: what learns; loaded from the checkpoint here.
      inputs: step to the inputs of the learner's objective.
      stage: where checkpoints, metrics and pictures go.
      picture: draws what the averaged model can do, `[H, W, 3]` uint8.
      save_minutes: minutes between two checkpoints.
      until: stop after this step with a checkpoint, before the end.
      report: told (step, steps, loss) about once a second.
      track: gets every logged row too.

    Returns:
      Whether the schedule was finished; the caller then writes the weights.

    Raises:
      KeyboardInterrupt: Ctrl-C or SIGTERM; the checkpoint has been written.
    """
    if stage.checkpoint.exists():
        learner.load(stage.checkpoint)
        stage.log({"step": learner.step, "event": "resumed"})
    steps, leads = learner.schedule.steps, learner.ranks.leads
    saved = logged = time.monotonic()
    logged_step = learner.step
    with _asked_to_stop() as asked:
        while learner.step < min(steps, until or steps):
            values = learner.update(*inputs(learner.step))
            now = time.monotonic()
            if now - logged >= 1.0 or learner.step == steps:
                if leads:
                    row = {name: float(value) for name, value in values.items()}
                    speed = (learner.step - logged_step) / max(now - logged, 1e-9)
                    row |= {"step": learner.step, "steps_per_second": round(speed, 3)}
                    stage.log(row)
                    if track:
                        track(learner.step, row)
                    if report:
                        report(learner.step, steps, row["loss"])
                logged, logged_step = now, learner.step
            due = now - saved >= 60 * save_minutes
            if leads and (due or asked.is_set()):
                learner.save(stage.checkpoint)
                if picture and not asked.is_set():
                    stage.picture(f"{learner.step:07d}", picture())
                saved = time.monotonic()
            if asked.is_set():
                raise KeyboardInterrupt
    if leads:
        learner.save(stage.checkpoint)
    if learner.step < steps or not leads:
        return learner.step == steps
    if picture:
        stage.picture(f"{learner.step:07d}", picture())
    return True


def fit_whole(
    learner: Learner, inputs: Callable[[int], tuple[Any, ...]], stage: Stage, options: Options
) -> bool:
    """`fit` as the options say, without pictures; writes the averaged weights when it is done."""
    finished = fit(
        learner,
        inputs,
        stage,
        save_minutes=options.save_minutes,
        until=options.until,
        report=options.report,
        track=tracking(options, stage, learner.ranks),
    )
    if finished and learner.ranks.leads:
        stage.finish(learner.average)
    return finished
