"""Frames a second of worlds of several sizes, each frame stepped, committed, decoded and read back.

Weights and context are random: speed does not depend on them. Every world runs in a
process of its own, with its ring full, after a warm-up that is timed and left out. On a
GPU the step runs in bfloat16, as one CUDA graph, with and without torch.compile; a mode
that fails says so and spoils no other. Peers, where they are given (see `dynamics.py` for
how to install them), make frames of the 9M shape without decoding them.

With `--busy` frames are timed in CPU seconds of one thread, not on the wall: what a core of
one's own would take, where others work on the machine. Never compare the two.

Each world in each mode is kept and printed as soon as it is measured, and `--go-on` measures
only what is missing. Figures of another machine join the file with words on how they came about.

    python -m benchmarks.realtime [--only 9m 2b] [--nicklashansen PYTHON CLONE] [--pypi PYTHON]
"""

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.dynamics import CONTEXT, DREAMS, matmul_rate, rivals
from benchmarks.results import ROOT, commit, figure, machine, write
from worldloom.actions import Action, ActionSpec, Binary
from worldloom.configs import Size, large, nano, small, tiny
from worldloom.data.types import Clip
from worldloom.models.dream import DreamState, DreamWorld, Sampler, arrange, dream_spec, lighten
from worldloom.models.dynamics import Dynamics
from worldloom.models.engine import graphed
from worldloom.models.operations import picture_operations, step_operations
from worldloom.models.patches import PatchShape, PatchTokenizer
from worldloom.models.tokenizer import Tokenizer

ACTIONS = ActionSpec((Binary("keys", ("left", "right", "jump")),))
LIMIT = 1500.0  # seconds that one world may take
GPU_LIMIT = 420.0  # or on a GPU, which is lent for minutes
GPU_MODES = ("graph", "compiled")


@dataclass(frozen=True)
class Case:
    """A world to be timed.

    Args:
      size: its shapes.
      passes: K.
      frames: how many are timed on a CPU; a GPU times ten times as many.
      warm: how many come before them.
      alone: on one thread, as `worldloom play` steps small worlds, which leaves one core free.
    """

    size: Size
    passes: int
    frames: int
    warm: int = 2
    alone: bool = False


def hop64() -> Size:
    """Hop at 64x64 as it is shipped."""
    size = nano((64, 64))
    shape = PatchShape((64, 64), patch=8, channels=128)
    return replace(
        size, tokenizer=shape, dynamics=replace(size.dynamics, width=128, hidden=384, channels=128)
    )


def windowed(size: Size, window: int) -> Size:
    return replace(size, dynamics=replace(size.dynamics, window=window))


CASES = {
    "hop32_k4": Case(nano(), 4, 60, alone=True),
    "hop64_k1": Case(hop64(), 1, 60, alone=True),
    "hop64_k2": Case(hop64(), 2, 60, alone=True),
    "hop64_k4": Case(hop64(), 4, 60, alone=True),
    "crafter72_k8": Case(nano((72, 72)), 8, 60, alone=True),
    "9m": Case(windowed(tiny(), CONTEXT + 1), 4, 24),
    "100m": Case(small(), 4, 4, warm=1),
    "2b": Case(large(), 4, 1, warm=0),
}


def build(case: Case, device: str) -> DreamWorld:
    """The world with random weights, made where it will be; matrices in bfloat16 on a GPU."""
    torch.manual_seed(0)
    with torch.device(device):
        shape = case.size.tokenizer
        patches = isinstance(shape, PatchShape)
        tokenizer = PatchTokenizer(shape) if patches else Tokenizer(shape)
        dynamics = Dynamics(case.size.dynamics, ACTIONS).requires_grad_(False)
    dynamics = lighten(dynamics) if device == "cuda" else arrange(dynamics)
    spec = dream_spec("benchmark", case.size.frame, ACTIONS, 20.0)
    return DreamWorld(tokenizer.requires_grad_(False), dynamics, spec, Sampler(case.passes))


@torch.inference_mode()
def begin(world: DreamWorld) -> DreamState:
    """A state whose ring is full, of random numbers."""
    shape = world.dynamics.shape
    latents = torch.randn(1, 1, shape.tokens, shape.channels)
    state, _ = world.start(Clip(latents=latents), torch.zeros(1, dtype=torch.int64))
    for part in (*state.ring.k, *state.ring.v, state.latents):
        part.normal_()
    state.ring.count.fill_(shape.window)
    return state


class Ticker:
    """What a player waits for: keys in, picture out.

    Args:
      world: whose frames they are.
      state: becomes the ticker's own.
      mode: "eager", or on a GPU "graph" and "compiled".
    """

    def __init__(self, world: DreamWorld, state: DreamState, mode: str) -> None:
        self.world, self.state = world, state
        self._token = self._encode()
        self._run: Callable[[], None] = self._eager
        self._picture = world.render(state)
        if mode == "eager":
            return
        if mode == "compiled":
            self._run = torch.compile(self._eager, dynamic=False)
        self._run = graphed(self._run, [])

    def __call__(self) -> torch.Tensor:
        self._token.copy_(self._encode())
        self._run()
        return self._picture.cpu()

    @torch.inference_mode()
    def _encode(self) -> torch.Tensor:
        keys = torch.zeros(1, 3, dtype=torch.uint8)
        action = Action({"keys": keys}, torch.ones(1, dtype=torch.bool))
        return self.world.dynamics.action(action.map(lambda x: x.to(self.world.device))).clone()

    @torch.inference_mode()
    def _eager(self) -> None:
        self.world.advance(self.state, self._token)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.world.device.type == "cuda"):
            self._picture.copy_(self.world.render(self.state))


@torch.inference_mode()
def measure(name: str, mode: str, clock: Callable[[], float]) -> dict[str, Any]:
    """Times one world in this process, by `clock`."""
    case, device = CASES[name], "cuda" if torch.cuda.is_available() else "cpu"
    begun = clock()
    ticker = Ticker(world := build(case, device), begin(world), mode)
    for _ in range(case.warm):
        ticker()
    warm = clock() - begun
    seconds = []
    for _ in range(case.frames * (10 if device == "cuda" else 1)):
        start = clock()
        ticker()
        seconds.append(clock() - start)
    parts = (world.dynamics, world.tokenizer)
    operations = step_operations(world.dynamics.shape, case.passes)
    operations += picture_operations(case.size.tokenizer)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": seconds,
        "warmup_s": warm,
        "memory_gb": (torch.cuda.max_memory_allocated() if device == "cuda" else peak) / 1e9,
        "gflop_per_frame": operations / 1e9,
        "rate": gpu_rate() if device == "cuda" else matmul_rate(clock, (1024, 1536)),
        "clock": "cpu" if clock is time.process_time else "wall",
        "parameters": sum(p.numel() for part in parts for p in part.parameters()),
        "passes": case.passes,
        "threads": torch.get_num_threads(),
        "frame": f"{case.size.frame[1]}x{case.size.frame[0]}",
        "context": world.dynamics.shape.window,
    }


def gpu_rate() -> float:
    """FLOP/s of a large bfloat16 product on the GPU."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for count in (3, 20):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            a @ a
        torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - start)


def apart(name: str, mode: str, threads: int, busy: bool) -> dict[str, Any] | str:
    """`measure` in a process of its own: what it found, or in words why it found nothing."""
    threads = 1 if CASES[name].alone or busy else threads
    command = [sys.executable, "-m", "benchmarks.realtime", "--one", name, "--mode", mode]
    command += ["--threads", str(threads)]
    command += ["--busy"] if busy else []
    limit = LIMIT if tag() == "cpu" else GPU_LIMIT
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return f"took longer than {limit:.0f} s"
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        last = done.stderr.strip().splitlines()
        return f"ended with {done.returncode}: {last[-1] if last else 'no words'}"
    return json.loads(done.stdout.strip().splitlines()[-1])


def too_large(name: str) -> str | None:
    """In words, where this machine's memory cannot hold a world that runs on the CPU."""
    shape = CASES[name].size.dynamics
    with torch.device("meta"):
        tokenizer = CASES[name].size.tokenizer
        modules = [Dynamics(shape, ACTIONS)]
        modules += [] if isinstance(tokenizer, PatchShape) else [Tokenizer(tokenizer)]
    weights = 4 * sum(p.numel() for module in modules for p in module.parameters())
    head = shape.kv_heads * shape.width // shape.heads
    need = (weights + 3 * 4 * sum(shape.ring_slots()) * head * shape.window) / 2**30
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / 2**30
    if need < 0.5 * free:
        return None
    return (
        f"not run on the CPU: it needs {need:.0f} GiB in float32, more than half of {free:.0f} free"
    )


def entry(found: dict[str, Any] | str) -> dict[str, Any]:
    """The figure of one world, or an empty one that says why."""
    if isinstance(found, str):
        return figure(None, unit="frames/s", n=0, why=found)
    seconds = np.asarray(found.pop("seconds"))
    p50, p95, p99 = np.percentile(seconds * 1e3, [50, 95, 99])
    share = found["gflop_per_frame"] * 1e9 / np.median(seconds) / found.pop("rate")
    return figure(
        float(1 / np.median(seconds)),
        unit="frames/s",
        n=len(seconds),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        matmul_share=share,
        **found,
    )


def tag() -> str:
    """What the figures' names end with: cpu, or the GPU's model, h200 for example."""
    if not torch.cuda.is_available():
        return "cpu"
    words = torch.cuda.get_device_name(0).lower().split()
    return next((w for w in words if any(c.isdigit() for c in w)), words[-1])


def worlds(
    names: list[str], threads: int, busy: bool, parts: Path, *, go_on: bool
) -> dict[str, dict[str, Any]]:
    """Every world in every mode of this machine; the fastest of them has the plain name.

    Args:
      names: of the worlds.
      threads: of those that are not alone.
      busy: CPU seconds.
      parts: file in which each is kept at once, with the commit that it is of.
      go_on: whether what is kept there of this commit, and succeeded, is not measured again.
    """
    kept = json.loads(parts.read_text()) if go_on and parts.exists() else {}
    modes = ("eager",) if tag() == "cpu" else ("eager", *GPU_MODES)
    for name, mode in ((name, mode) for mode in modes for name in names):
        place = f"fps_{name}_{tag()} {mode} {commit()}"
        if kept.get(place, {}).get("value") is None:
            why = too_large(name) if tag() == "cpu" else None
            kept[place] = entry(why or apart(name, mode, threads, busy))
            parts.parent.mkdir(parents=True, exist_ok=True)
            parts.write_text(json.dumps(kept, default=float))
        print(json.dumps({place: kept[place]}, default=float), flush=True)
    found = {}
    for name in names:
        key = f"fps_{name}_{tag()}"
        tried = {mode: kept[f"{key} {mode} {commit()}"] for mode in modes}
        mode = max(tried, key=lambda m: tried[m]["value"] or 0.0)
        found[key] = tried[mode] | {"mode": mode}
        found |= {f"{key}_{m}": tried[m] for m in modes if m != mode}
    return found


def publish(found: dict[str, dict[str, Any]], command: str, folder: Path) -> Path:
    """Writes the figures down; those of other machines stay in the file, or join it."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    made = {"command": command, "commit": commit(), "machine": machine(), "date": date}
    file = folder / "realtime.json"
    old = json.loads(file.read_text()) if file.exists() else made | {"figures": {}}
    if old["machine"] == made["machine"]:
        others = {name: each for name, each in old["figures"].items() if "machine" in each}
        return write("realtime", seeds=[0], figures=found | others, folder=folder, **made)
    joined = old["figures"] | {name: each | made for name, each in found.items()}
    of_file = {name: old[name] for name in made}
    return write("realtime", seeds=[0], figures=joined, folder=folder, **of_file)


def peers(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Frames a second of the other projects at the 9M shape, latents only."""
    found = {}
    for name, peer in rivals(given).items():
        for _ in range(2):  # the first warms up
            seconds = peer.ask("generate", DREAMS[name], CONTEXT)
        about = peer.about["name"]
        found[f"fps_9m_{name}_cpu"] = figure(
            1 / seconds, unit="frames/s", n=DREAMS[name], peer=about
        )
        peer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--nicklashansen", nargs=2, metavar=("PYTHON", "CLONE"))
    parser.add_argument("--pypi", metavar="PYTHON")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--busy", action="store_true", help="CPU seconds of one thread")
    parser.add_argument("--dry", action="store_true", help="print the figures, write no file")
    parser.add_argument("--go-on", action="store_true", help="keep what an earlier run measured")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--mode", default="eager", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.one:
        clock = time.process_time if given.busy else time.perf_counter
        print(json.dumps(measure(given.one, given.mode, clock)))
        return
    parts = given.out / "realtime.parts"
    found = worlds(given.only, given.threads, given.busy, parts, go_on=given.go_on) | peers(given)
    if given.dry:
        return parts.unlink()
    chosen = "" if set(given.only) == set(CASES) else " --only " + " ".join(given.only)
    command = "python -m benchmarks.realtime" + chosen + (" --busy" if given.busy else "")
    print(f"wrote {publish(found, command, given.out)}")
    parts.unlink()


if __name__ == "__main__":
    main()
