"""What the wire adds to a policy: a round trip to its server, less the bare call.

    python -m benchmarks.serve_policy [--smoke]

A nano agent at 64x64 with random weights, on which speed does not depend. The server is a
process of its own, as `worldloom serve` starts it; the bare call is the same agent with one
player in this process. Every frame goes to both in turn, the bare call first, and the
difference is taken frame by frame. Then `rows` clients at once, each less the median of the
bare calls. A frame is a round trip from numpy array to numpy array.
"""

import argparse
import multiprocessing
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from websockets.sync.client import connect

from benchmarks import results
from worldloom.actions import ActionSpec, Binary
from worldloom.agents.trained import Team
from worldloom.configs import nano
from worldloom.models.agent import Agent, choose_action
from worldloom.models.dream import DreamWorld, arrange, dream_spec
from worldloom.models.dynamics import Dynamics
from worldloom.models.heads import AgentShape
from worldloom.models.patches import PatchTokenizer
from worldloom.serving.server import Offer, policy_in_thread
from worldloom.serving.wire import pack, unpack
from worldloom.starts import spare_a_core

SIZE = (64, 64)
ACTIONS = ActionSpec((Binary("keys", ("left", "right", "jump")),))
ROWS = Offer.rows
WARM = 20  # frames until the agent's memory is full


def team() -> Team:
    """An agent that knows nothing, and takes as long as one that does."""
    torch.manual_seed(0)
    size = nano(SIZE)
    dynamics = Dynamics(size.dynamics, ACTIONS).requires_grad_(False)
    agent = Agent(AgentShape(), size.dynamics, ACTIONS).requires_grad_(False)
    tokenizer = PatchTokenizer(size.tokenizer).requires_grad_(False)
    spec = dream_spec("benchmark", SIZE, ACTIONS, 20.0)
    world = DreamWorld(tokenizer, arrange(dynamics), spec, agent=agent)
    return Team(world, partial(choose_action, agent.policy))


def serve(pipe: Connection) -> None:
    """The server's process: says its port, and stays until it hears anything."""
    spare_a_core()
    with policy_in_thread(team(), Offer(port=0, rows=ROWS)) as port:
        pipe.send(port)
        pipe.recv()


def bare() -> Callable[[np.ndarray], float]:
    """Milliseconds of a call of the agent in this process."""
    player, last = team(), {}

    def call(frame: np.ndarray) -> float:
        begin = time.perf_counter()
        if last:
            player.see(last, frame[None])
        else:
            player.begin(frame[None], [0])
        last.update(player.act())
        return 1e3 * (time.perf_counter() - begin)

    return call


def trip(socket: Any, frame: np.ndarray) -> float:
    """Milliseconds from a frame to its action, over the wire."""
    begin = time.perf_counter()
    socket.send(pack({"image": frame}))
    unpack(socket.recv())["actions"]
    return 1e3 * (time.perf_counter() - begin)


def alone(port: int, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bare calls and round trips of one client, in milliseconds, after the warm-up."""
    call, times = bare(), []
    with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
        socket.recv()
        for frame in frames:
            times.append((call(frame), trip(socket, frame)))
    ours, wire = np.array(times[WARM:]).T
    return ours, wire


def crowd(port: int, frames: np.ndarray) -> np.ndarray:
    """Round trips of as many clients at once as a pass has rows."""
    found: list[list[float]] = [[] for _ in range(ROWS)]

    def go(number: int) -> None:
        with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
            socket.recv()
            found[number] = [trip(socket, frame) for frame in frames][WARM:]

    threads = [threading.Thread(target=go, args=(number,)) for number in range(ROWS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.array(found).ravel()


def measure(port: int, rounds: int, count: int) -> dict[str, dict[str, Any]]:
    """The figures, each the median over rounds."""
    rows: dict[str, list[float]] = {}
    for number in range(rounds):
        draw = np.random.default_rng(number)
        frames = draw.integers(0, 256, (WARM + count, *SIZE, 3), np.uint8)
        ours, wire = alone(port, frames)
        together = crowd(port, frames)
        found = {
            "added_latency_p50_ms": np.percentile(wire - ours, 50),
            "added_latency_p95_ms": np.percentile(wire - ours, 95),
            f"added_latency_p95_ms_{ROWS}_clients": np.percentile(together, 95) - np.median(ours),
            "bare_p50_ms": np.percentile(ours, 50),
            "bare_p95_ms": np.percentile(ours, 95),
            "round_trip_p50_ms": np.percentile(wire, 50),
            "round_trip_p95_ms": np.percentile(wire, 95),
        }
        print(", ".join(f"{name} {value:.2f}" for name, value in found.items()), flush=True)
        for name, value in found.items():
            rows.setdefault(name, []).append(float(value))
    return {
        name: results.figure(
            float(np.median(values)), *results.median_interval(values), unit="ms", n=rounds
        )
        for name, values in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--smoke", action="store_true", help="seconds, and writes nothing")
    args = parser.parse_args()
    rounds, frames = (1, 10) if args.smoke else (args.rounds, args.frames)
    spare_a_core()
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    server = spawn.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    figures = measure(pipe.recv(), rounds, frames)
    pipe.send(None)
    server.join()
    if not args.smoke:
        command = f"python -m benchmarks.serve_policy --rounds {rounds} --frames {frames}"
        results.write("serve_policy", command=command, seeds=range(rounds), figures=figures)


if __name__ == "__main__":
    main()
