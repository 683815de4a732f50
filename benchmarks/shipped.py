"""A world that ships with the package: how it feels, how long it stays true, what it breaks.

    python -m benchmarks.shipped hop --store runs/hop64/store

Writes results/play_NAME.json. The store is the one that the recipe recorded; the
world has never seen its held-out episodes.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.sync.client import connect

from benchmarks import results
from worldloom import shipped
from worldloom.data.store import Store
from worldloom.evaluate.endurance import free_play, idle, usable_horizon
from worldloom.evaluate.openloop import evaluate
from worldloom.evaluate.report import Figure
from worldloom.evaluate.rules import rules_of
from worldloom.evaluate.states import reader_of
from worldloom.hub import load_world, weights_hash
from worldloom.models.dream import DreamWorld
from worldloom.play import protocol
from worldloom.play.measure import measure
from worldloom.play.session import from_clips
from worldloom.starts import contexts, spare_a_core

ROUNDS = 3
KEPT = ("value", "low", "high", "unit", "n", "null", "ceiling", "why")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=shipped.names())
    parser.add_argument("--store", type=Path, required=True, help="the recipe's recordings")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each round of play")
    parser.add_argument("--only", choices=("seen", "felt"), help="keep the file's other half")
    given = parser.parse_args()
    run = shipped.FOLDER / given.name
    spare_a_core()
    world, store = load_world(run), Store.open(given.store)
    weights = weights_hash(run / "dynamics")
    figures = measured(f"play_{given.name}", weights) if given.only else {}
    if given.only != "felt":
        figures |= scored(world, store, given.episodes)
    if given.only != "seen":
        figures |= felt(world, run, given.seconds)
        figures["seconds_to_first_frame"] = first_frame(given.name)
    path = results.write(
        f"play_{given.name}",
        command=f"python -m benchmarks.shipped {given.name} --store {given.store} "
        f"--episodes {given.episodes}",
        seeds=[0],
        figures=figures,
        sampler=asdict(world.sampler),
        weights=weights,
        bytes=shipped.folder_bytes(given.name),
        parameters=sum(p.numel() for p in world.dynamics.parameters()),
    )
    print(path.read_text())


def measured(name: str, weights: str) -> dict[str, Any]:
    """The figures that stand in a results file, if they are of the same weights."""
    file = results.ROOT / "benchmarks" / "results" / f"{name}.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    return found["figures"] if found.get("weights") == weights else {}


def felt(world: DreamWorld, run: Path, seconds: float) -> dict[str, Any]:
    """Frames a second and input to frame, as a program at the page's place feels them."""
    starts = from_clips(contexts(Store.open(run / "store")))
    rounds = [measure(world, starts, seconds=seconds, seed=seed) for seed in range(ROUNDS)]
    units = {"fps_p50": "frames/s", "input_to_frame_p50_ms": "ms", "input_to_frame_p95_ms": "ms"}
    return {
        key: results.figure(
            statistics.median(row[key] for row in rounds),
            unit=unit,
            n=ROUNDS,
            rounds=[row[key] for row in rounds],
        )
        for key, unit in units.items()
    }


def first_frame(name: str) -> dict[str, Any]:
    """Seconds from giving `worldloom play NAME` to the first frame at the page's place."""
    took = [_first_frame(name) for _ in range(ROUNDS)]
    return results.figure(statistics.median(took), unit="s", n=ROUNDS, rounds=took)


def _first_frame(name: str) -> float:
    command = [sys.executable, "-m", "worldloom", "play", name, "--no-open", "--port", "0"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = None
            while found is None:
                found = re.search(r"http://\S+", server.stdout.readline())
            url = urlsplit(found[0])
            token = parse_qs(url.query).get("token") or parse_qs(url.fragment).get("token")
            assert token is not None, found[0]
            with connect(f"ws://{url.netloc}/play", max_size=None) as socket:
                hello = {"type": "hello", "version": protocol.VERSION, "token": token[0]}
                socket.send(json.dumps(hello))
                while isinstance(socket.recv(timeout=60), str):
                    pass
            return time.perf_counter() - began
        finally:
            server.terminate()


def scored(world: DreamWorld, store: Store, episodes: int) -> dict[str, Any]:
    """Every figure that is about what is seen."""
    report = evaluate(world, store, horizons=(1, 2, 4, 8, 16, 32), episodes=episodes)
    names = [f"headroom_share_h{h}" for h in (1, 4, 8, 16)] + ["foreground_gain_db_h1_16"]
    figures: dict[str, Figure] = {name: report.figures[name] for name in names}
    if reader_of(store.info.env) is not None:
        horizon, accuracy = usable_horizon(world, store, episodes=episodes)
        figures |= {"usable_horizon_median": horizon, "reader_accuracy": accuracy}
        figures |= idle(world, store)  # elsewhere night falls, and who idles is eaten
    if rules_of(store.info.env) is not None:
        figures |= free_play(world, store)
    return {
        name: {key: value for key, value in asdict(figure).items() if key in KEPT}
        for name, figure in figures.items()
    }


if __name__ == "__main__":
    main()
