"""How a world feels: frames a second and input to frame, over a real local socket.

    python -m benchmarks.play worldloom/Hop-v0
    python -m benchmarks.play runs/quickstart --store stores/quickstart

A program plays with random keys and reads its own clock (`worldloom.play.measure`).
With `--browser` a headless Chromium plays too, and its page's own round trip,
which ends when the picture is drawn, stands beside it.
"""

import argparse
import random
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import results
from worldloom.play.measure import measure
from worldloom.play.server import served_in_thread
from worldloom.play.session import MakeStart, Session, from_clips, from_seed
from worldloom.world import World

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-quic"
)


def enter(target: str, store: str | None) -> tuple[World, MakeStart]:
    """The world of a run's folder, or of an environment's id, and its starts."""
    if Path(target).is_dir():
        from worldloom.hub import load_world
        from worldloom.starts import contexts, run_store

        return load_world(target), from_clips(contexts(run_store(target, store)))
    from worldloom.envs.gym import GymWorld

    return GymWorld(target), from_seed


def watch(world: World, make_start: MakeStart, *, seconds: float, seed: int) -> list[float]:
    """Round trips in ms as a real page sees them, from a key to the drawn picture."""
    from playwright.sync_api import sync_playwright

    fingers = random.Random(seed)
    session = Session(world, make_start)
    codes = [button.codes[0] for button in session.keys.buttons]
    trips: list[float] = []
    with served_in_thread(session) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        page = browser.new_page()
        page.expose_function("worldloomRoundTrip", lambda took: trips.append(took))
        page.add_init_script(
            "addEventListener('worldloom:round-trip', (e) => worldloomRoundTrip(e.detail))"
        )
        page.goto(served.url)
        page.wait_for_selector("body[data-state=playing]")
        page.wait_for_timeout(1000)  # the page's own warm-up
        trips.clear()
        pressed = 0.0
        while pressed < seconds:
            wait = fingers.uniform(0.08, 0.4)
            page.keyboard.press(fingers.choice(codes), delay=1e3 * wait)
            pressed += wait
        browser.close()
    return trips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", help="folder of a run, or id of an environment")
    parser.add_argument("--store", help="whose held-out episodes a dream begins with")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="play", help="of the results file")
    parser.add_argument("--browser", action="store_true", help="measure a real page as well")
    given = parser.parse_args()

    world, make_start = enter(given.world, given.store)
    rounds = [
        measure(world, make_start, seconds=given.seconds, seed=seed) for seed in range(given.rounds)
    ]
    figures: dict[str, dict[str, Any]] = {}
    units = {"fps_p50": "frames/s", "input_to_frame_p50_ms": "ms", "input_to_frame_p95_ms": "ms"}
    for key, unit in units.items():
        values = [row[key] for row in rounds]
        figures[key] = results.figure(
            statistics.median(values), unit=unit, n=len(rounds), rounds=values
        )
    if given.browser:
        trips = sorted(watch(world, make_start, seconds=given.seconds, seed=0))
        for share in (50, 95):
            value = trips[min(len(trips) - 1, len(trips) * share // 100)]
            figures[f"page_round_trip_p{share}_ms"] = results.figure(value, unit="ms", n=len(trips))
    path = results.write(
        given.name,
        command=shlex.join(["python", "-m", "benchmarks.play", *sys.argv[1:]]),
        seeds=list(range(given.rounds)),
        figures=figures,
        world=given.world,
        threads=torch.get_num_threads(),
        stages_ms=rounds[-1]["server"]["stages"],
    )
    print(path.read_text())


if __name__ == "__main__":
    main()
