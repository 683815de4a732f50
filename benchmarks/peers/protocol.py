"""How the benchmark talks to a project that lives in its own virtual environment.

A runner prints one JSON line about the model that it built, then answers each
line on stdin with one JSON line on stdout: `train N` and `generate N CONTEXT`
answer `{"seconds": [...]}`, one number for each of the N steps or frames; of
several contexts the frames take turns, and N lists come back. It sleeps in
between, so that peers can take turns on one machine. Knows the standard library
only: the peers' environments have nothing of ours.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol


class Runner(Protocol):
    """A model of another project, ready to be timed."""

    about: dict[str, Any]

    def train(self) -> float:
        """Seconds of one training step."""
        ...

    def generate(self, context: int) -> float:
        """Seconds of one generated frame behind `context` frames."""
        ...


def arguments() -> tuple[dict[str, Any], Path | None]:
    """The shape (JSON on the command line) and the peer's checkout, if it has one."""
    parser = argparse.ArgumentParser(description="Times one peer; see protocol.py.")
    parser.add_argument("shape", type=json.loads)
    parser.add_argument("--checkout", type=Path)
    given = parser.parse_args()
    return given.shape, given.checkout


def matrix_flops(step: Callable[[], Any], steps: int = 1) -> float:
    """Floating point operations of the matrix products in one of `steps` calls, counted as run.

    Fused attention on the CPU is not counted; it is about 1% at the compared shape.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        for _ in range(steps):
            step()
    return counter.get_total_flops() / steps


def serve(build: Callable[[dict[str, Any], Path | None], Runner]) -> None:
    """Builds the model, says what it is, then obeys until stdin closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the peer prints must not look like an answer
    runner = build(*arguments())
    print(json.dumps(runner.about), file=answers, flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        count, *rest = (int(number) for number in numbers)
        if command == "train":
            seconds = [runner.train() for _ in range(count)]
        elif command == "generate":
            turns = [[runner.generate(context) for context in rest] for _ in range(count)]
            seconds = turns if len(rest) > 1 else [turn[0] for turn in turns]
        else:
            raise SystemExit(f"unknown command {line!r}")
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)
