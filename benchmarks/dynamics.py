"""Training step and generated frame of the dynamics model, beside two other projects.

Each project runs in a process of its own (`benchmarks/peers/`), one at a time,
in turns: a round times each once, and a ratio compares two times of one round.
Ours runs twice, with a quarter of the rows bootstrapped, as the others do, and
with the specification's own sampling, in which every row is. Contexts are
frames of the past; the frame that is generated comes on top.

The others need virtual environments of their own:

    git clone https://github.com/nicklashansen/dreamer4 CLONE
    python -m venv A && A/bin/pip install torch==2.13.0 numpy
    python -m venv B && B/bin/pip install torch==2.13.0 dreamer4
    python -m benchmarks.dynamics --nicklashansen A/bin/python CLONE --pypi B/bin/python
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.results import figure, write

PEERS = Path(__file__).resolve().parent / "peers"
SHAPE = {
    "width": 256,
    "layers": 8,
    "tokens": 16,
    "channels": 16,
    "registers": 4,
    "grid": 16,
    "passes": 4,
    "batch": 4,
    "frames": 24,
    "bootstrap_rows": 0.25,
}
FRAMES = SHAPE["batch"] * SHAPE["frames"]  # of one training step
CONTEXT = 96
SHORT = 24  # the other context of ours
STEPS = 4  # of one turn; the PyPI package bootstraps every fourth
DREAMS = {"ours": 24, "nicklashansen": 2, "pypi_dreamer4": 4}  # frames of one turn


class Contestant:
    """A runner in its own process; it sleeps until it is asked."""

    def __init__(self, python: str, script: str, shape: dict[str, Any], *more: str) -> None:
        command = [python, str(PEERS / script), json.dumps(shape), *more]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.about = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args[1]} ended with {self._process.wait()}")
        return json.loads(line)

    def ask(self, *words: object) -> float:
        """Mean seconds of one step or frame."""
        return statistics.fmean(self.times(*words))

    def times(self, *words: object) -> list[Any]:
        """Seconds of every step or frame; a list of them for each turn of several contexts."""
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin, flush=True)
        return self._answer()["seconds"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def matmul_rate(
    clock: Callable[[], float] = time.perf_counter, sizes: Sequence[int] = (1024, 1536, 2048, 3072)
) -> float:
    """FLOP/s of the machine's own float32 matrix product, the best of several sizes."""
    best = 0.0
    for size in sizes:
        a, b, out = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
        for _ in range(4):
            start = clock()
            torch.mm(a, b, out=out)
            best = max(best, 2 * size**3 / (clock() - start))
    return best


def median(values: np.ndarray, **more: Any) -> dict[str, Any]:
    """The median over rounds as a figure, with the interval that resampling rounds gives."""
    draws = np.random.default_rng(0).integers(len(values), size=(10_000, len(values)))
    low, high = np.quantile(np.median(values[draws], axis=1), [0.025, 0.975])
    return figure(float(np.median(values)), float(low), float(high), n=len(values), **more)


def contestants(given: argparse.Namespace) -> dict[str, Contestant]:
    """Everybody who takes part."""
    shape = SHAPE | {"threads": given.threads}
    every = shape | {"bootstrap_rows": 1.0}
    found = {
        "ours": Contestant(sys.executable, "ours.py", shape),
        "ours_specification": Contestant(sys.executable, "ours.py", every),
    }
    return found | rivals(given)


def rivals(given: argparse.Namespace) -> dict[str, Contestant]:
    """The other projects, where their environments were named."""
    shape, found = SHAPE | {"threads": given.threads}, {}
    if given.nicklashansen:
        python, clone = given.nicklashansen
        found["nicklashansen"] = Contestant(
            python, "nicklashansen.py", shape, "--checkout", str(Path(clone).resolve())
        )
    if given.pypi:
        found["pypi_dreamer4"] = Contestant(given.pypi, "pypi_dreamer4.py", shape)
    return found


def play_round(field: dict[str, Contestant]) -> dict[str, float]:
    """One turn of everybody, as seconds by name of what was done; the matrix rate beside it."""
    seconds = {"matmul_rate": matmul_rate()}
    for name, contestant in field.items():
        seconds[f"train_{name}"] = contestant.ask("train", STEPS)
    for name, count in DREAMS.items():
        if name in field:
            seconds[f"generate_{name}"] = field[name].ask("generate", count, CONTEXT)
    # Frame by frame in turns: seconds apart, the machine itself differs by more than these do.
    turns = field["ours"].times("generate", DREAMS["ours"], CONTEXT, SHORT)
    seconds["generate_ours_short"] = statistics.fmean(short for _, short in turns)
    seconds["context_ratio"] = statistics.median(long / short for long, short in turns)
    return seconds


def figures(
    rounds: list[dict[str, float]], field: dict[str, Contestant]
) -> dict[str, dict[str, Any]]:
    """Everything that the rounds say."""
    taken = {key: np.asarray([one[key] for one in rounds]) for key in rounds[0]}
    rate, contexts = taken.pop("matmul_rate").max(), taken.pop("context_ratio")
    found = {"matmul_gflops": figure(float(rate) / 1e9, unit="GFLOP/s", n=len(rounds))}
    for key, seconds in taken.items():
        frames = FRAMES if key.startswith("train") else 1
        found[f"{key}_frames_per_second"] = median(frames / seconds, unit="frames/s")
    for name, contestant in field.items():
        flops = contestant.about["flops_per_step"]
        share = median(flops / taken[f"train_{name}"] / rate, gflop_per_frame=flops / FRAMES / 1e9)
        found["matmul_share_train" + ("" if name == "ours" else f"_{name}")] = share
    for peer in (name for name in field if not name.startswith("ours")):
        for figure_name, verb, own in (
            ("train_ratio", "train", "train_ours"),
            ("train_ratio_specification", "train", "train_ours_specification"),
            ("generate_ratio", "generate", "generate_ours"),
        ):
            other = f"{verb}_{peer}"
            found[f"{figure_name}_{peer}"] = median(
                taken[other] / taken[own],
                peer=field[peer].about["name"],
                peer_frames_per_second=found[f"{other}_frames_per_second"]["value"],
            )
    found["generate_ours_seconds_context_96_to_24"] = median(contexts)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nicklashansen", nargs=2, metavar=("PYTHON", "CLONE"))
    parser.add_argument("--pypi", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dry", action="store_true", help="print the figures, write no file")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    field = contestants(given)
    rounds: list[dict[str, float]] = []
    for index in range(given.rounds + 1):  # the first warms up and is dropped
        rounds.append(play_round(field))
        line = {key: round(value, 4) for key, value in rounds[-1].items() if "rate" not in key}
        print(f"round {index} of {given.rounds}: {json.dumps(line)}", flush=True)
    found = figures(rounds[1:], field)
    abouts = {name: contestant.about for name, contestant in field.items()}
    for contestant in field.values():
        contestant.close()
    for name, entry in found.items():
        print(f"{name:45} {entry['value']:10.4g}  [{entry['low']}, {entry['high']}]")
    if given.dry:
        return
    path = write(
        "dynamics",
        command="python -m benchmarks.dynamics --nicklashansen PYTHON CLONE --pypi PYTHON",
        seeds=[0],
        figures=found,
        shape=SHAPE | {"threads": given.threads, "context": CONTEXT},
        contestants=abouts,
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
