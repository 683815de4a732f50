"""Many people on one server: speed, fairness, memory, and what bad company does to the others.

    python -m benchmarks.load runs/quickstart --store stores/quickstart
    python -m benchmarks.load worldloom/Hop-v0 --short

Starts `worldloom play` and plays on it over the loopback device, all players in one
process. Four parts: one person at the highest speed; a crowd; bad company (messages that
no page would send, a player who is slow, one who never answers, one whose line breaks)
beside a few who just play; and a server that is killed and started again.
"""

import argparse
import asyncio
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import load_fuzz, results
from benchmarks.load_client import Player, Server, wait_for
from worldloom.data.check import check_store
from worldloom.data.store import Store
from worldloom.play.limits import limits_for

THREADS = 1  # of the server's torch: the other core is for its sockets and for the players


async def alone(given: argparse.Namespace, folder: Path, seconds: float) -> float:
    """Frames a second of one person on a server for one, as fast as it goes."""
    async with Server(given, folder, sessions=1, fps=1000.0) as server:
        player = Player(server, 0)
        task = asyncio.create_task(player.play())
        await wait_for(lambda: player.frames > 20)
        before, begin = player.frames, time.perf_counter()
        await asyncio.sleep(seconds)
        rate = (player.frames - before) / (time.perf_counter() - begin)
        await player.leave(task)
    return rate


async def crowd(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """So many people for so long, all with changing keys.

    Memory is told apart: while everybody's past fills up, which is bounded and takes so many
    ticks, and from then on.
    """
    async with Server(given, folder, sessions=given.sessions) as server:
        players = [Player(server, seed) for seed in range(given.sessions)]
        tasks = [asyncio.create_task(player.play()) for player in players]
        await wait_for(lambda: all(player.frames > 2 for player in players), 300)
        joined = (await server.metrics())["memory_bytes"]
        await wait_for(lambda: all(player.frames > given.past for player in players), 600)
        await asyncio.sleep(given.warmup)
        before = [player.frames for player in players]
        for player in players:
            player.waits.clear()
        begin, memory = time.perf_counter(), []
        while time.perf_counter() - begin < given.seconds:
            memory.append((await server.metrics())["memory_bytes"])
            await asyncio.sleep(given.seconds / 100)
        took = time.perf_counter() - begin
        told = await server.metrics()
        rates = [(player.frames - b) / took for player, b in zip(players, before, strict=True)]
        for player, task in zip(players, tasks, strict=True):
            await player.leave(task)
        await asyncio.sleep(0.5)
        left = await server.metrics()
    tenth = max(1, len(memory) // 10)
    first, last = statistics.median(memory[:tenth]), statistics.median(memory[-tenth:])
    waits = sorted(1e3 * wait for player in players for wait in player.waits)
    return {
        "rates": rates,
        "memory_growth_percent": 100 * (last - first) / first,
        "memory_mib": last / 2**20,
        "memory_all_joined_mib": joined / 2**20,
        "memory_pasts_full_mib": first / 2**20,
        "past_ticks": given.past,
        "memory_series_mib": [round(size / 2**20) for size in memory[:: max(1, tenth // 2)]],
        "input_to_frame_p50_ms": waits[len(waits) // 2] if waits else None,
        "input_to_frame_p95_ms": waits[len(waits) * 95 // 100] if waits else None,
        "tick_p50_ms": 1e3 * told['tick_seconds{quantile="0.5"}'],
        "tick_p95_ms": 1e3 * told['tick_seconds{quantile="0.95"}'],
        "tick_p99_ms": 1e3 * told['tick_seconds{quantile="0.99"}'],
        "drops": told["drops_total"],
        "errors": sum(len(player.errors) for player in players) + told["errors_total"],
        "rows_left": left["rows_taken"],
    }


async def bad_company(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A few people play; then others come who do not behave."""
    async with Server(given, folder, sessions=16) as server:
        players = [Player(server, seed) for seed in range(4)]
        tasks = [asyncio.create_task(player.play()) for player in players]
        await wait_for(lambda: all(player.frames > 20 for player in players), 60)
        before = await _frames_in(players, given.calm)
        slow, mute, torn = (Player(server, seed) for seed in (4, 5, 6))
        slow.ack_after, mute.ack_after = 1.0, None
        others = [asyncio.create_task(player.play()) for player in (slow, mute, torn)]
        await wait_for(lambda: torn.frames > 5, 60)
        torn.tear()
        with_slow = await _frames_in(players, given.calm)
        fuzz = await load_fuzz.attack(server, given.fuzz, players, seed=given.seed)
        after = await _frames_in(players, given.calm)
        if not given.short:  # 30 s without an acknowledgement
            await wait_for(lambda: bool(mute.errors), 60)
        told = await server.metrics()
        for player, task in zip((*players, slow), (*tasks, others[0]), strict=True):
            await player.leave(task)
        await asyncio.gather(*others, return_exceptions=True)
        alive = server.alive
    fire = fuzz.pop("players_fps")
    return {
        **fuzz,
        "crashes": told['ended_total{reason="crash"}'] + (not alive),
        "players_disturbed": sum(bool(player.errors) for player in players),
        "frames_per_second": {
            "before": before,
            "beside a slow, a mute and a torn one": with_slow,
            "under fire": fire,
            "after": after,
        },
        "slow_frames": slow.frames,
        "mute_ended_with": mute.errors,
    }


async def _frames_in(players: list[Player], seconds: float) -> float:
    """Frames a second of all together."""
    before, begin = sum(player.frames for player in players), time.perf_counter()
    await asyncio.sleep(seconds)
    return (sum(player.frames for player in players) - before) / (time.perf_counter() - begin)


async def killed(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The server dies without a word and is started again: do all come back by themselves?

    Two of them record when it dies; one has recorded something before.
    """
    visitors = folder / "visitors"
    server = Server(given, folder, sessions=16, keep=visitors)
    async with server:
        players = [Player(server, seed, comes_back=True) for seed in range(8)]
        tasks = [asyncio.create_task(player.play()) for player in players]
        await wait_for(lambda: all(player.frames > 5 for player in players), 60)
        await _recorded(players[0])
        for player in players[:2]:
            await player.record(True)
        await asyncio.sleep(1)
        server.kill()
        await asyncio.sleep(0.5)
        before = [player.frames for player in players]
        begin = time.perf_counter()
        async with Server(given, folder, sessions=16, port=server.port) as second:
            up = time.perf_counter()
            await wait_for(
                lambda: all(p.frames > b + 5 for p, b in zip(players, before, strict=True)), 60
            )
            back = time.perf_counter()
            for player, task in zip(players, tasks, strict=True):
                await player.leave(task)
            polite = await second.stop()
    return {
        "came_back": len(players),
        "seconds_down": up - begin,
        "seconds_to_come_back": back - up,
        "exit_code_after_ctrl_c": polite,
        "recordings": sum(len(Store.open(store)) for store in visitors.iterdir()),
        "recordings_broken": [
            str(problem) for store in visitors.iterdir() for problem in check_store(store)
        ],
    }


async def _recorded(player: Player) -> None:
    """Records a few frames, and waits until they are stored."""
    await player.record(True)
    before = player.frames
    await wait_for(lambda: player.frames > before + 5, 60)
    await player.record(False)
    await wait_for(lambda: player.kept == 1, 60)


async def measure(given: argparse.Namespace) -> dict[str, Any]:
    """All parts, one after the other; each is kept as soon as it is there."""
    out = given.out or results.ROOT / "benchmarks" / "results"
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "load.parts.json"
    seen = json.loads(kept.read_text()) if given.go_on and kept.exists() else {}
    parts = {
        "single": lambda folder: alone(given, folder, given.single),
        "crowd": lambda folder: crowd(given, folder),
        "single_again": lambda folder: alone(given, folder, given.single),
        "bad_company": lambda folder: bad_company(given, folder),
        "killed": lambda folder: killed(given, folder),
    }
    for name in [name for name in parts if name not in seen and name in (given.parts or parts)]:
        with tempfile.TemporaryDirectory() as folder:
            seen[name] = await parts[name](Path(folder))
        kept.write_text(json.dumps(seen, indent=1))
        print(name, seen[name], flush=True)
    if missing := [name for name in parts if name not in seen]:
        raise SystemExit(f"still to be measured, with --go-on: {', '.join(missing)}")
    kept.unlink()
    return seen


def publish(given: argparse.Namespace, seen: dict[str, Any]) -> Path:
    """Writes the figures down."""
    many, bad, rates = seen["crowd"], seen["bad_company"], seen["crowd"]["rates"]
    singles = [seen["single"], seen["single_again"]]
    single = statistics.mean(singles)
    figure, n = results.figure, len(rates)
    figures = {
        "sessions": figure(n, unit="sessions"),
        "errors": figure(many["errors"], unit="errors", n=n),
        "aggregate_over_single": figure(sum(rates) / single, n=2, singles=singles),
        "slowest_over_median": figure(min(rates) / statistics.median(rates), n=n),
        "aggregate_fps": figure(sum(rates), unit="frames/s", n=n),
        "single_fps": figure(single, unit="frames/s", n=2),
        "memory_growth_percent": figure(many["memory_growth_percent"], unit="%"),
        "memory_mib": figure(many["memory_mib"], unit="MiB"),
        "memory_filling_mib": figure(
            many["memory_pasts_full_mib"] - many["memory_all_joined_mib"], unit="MiB"
        ),
        "tick_p95_ms": figure(many["tick_p95_ms"], unit="ms"),
        "input_to_frame_p50_ms": figure(many["input_to_frame_p50_ms"], unit="ms", n=n),
        "input_to_frame_p95_ms": figure(many["input_to_frame_p95_ms"], unit="ms", n=n),
        "fuzz_messages": figure(bad["messages"], unit="messages"),
        "crashes": figure(bad["crashes"], unit="crashes", n=bad["messages"]),
    }
    return results.write(
        "load",
        command=shlex.join(["python", "-m", "benchmarks.load", *sys.argv[1:]]),
        seeds=[given.seed],
        figures=figures,
        folder=given.out,
        world=given.title,
        server_threads=THREADS,
        seconds=given.seconds,
        crowd=many,
        bad_company=bad,
        killed=seen["killed"],
    )


def parse() -> argparse.Namespace:
    """The command line, and what it means for each part."""
    parser = argparse.ArgumentParser(description="Many people on one server.")
    parser.add_argument("world", help="folder of a run, or id of an environment")
    parser.add_argument("--store", help="whose held-out episodes a dream begins with")
    parser.add_argument("--title", help="of the world, as the results call it")
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--fuzz", type=int, default=100_000, help="messages")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="a few seconds of everything")
    parser.add_argument("--parts", nargs="+", help="only these; the others with --go-on")
    parser.add_argument("--go-on", action="store_true", help="keep what an earlier run measured")
    parser.add_argument("--out", type=Path, help="folder of the results")
    given = parser.parse_args()
    given.title = given.title or given.world
    given.warmup, given.single, given.calm = 20.0, 8.0, 8.0
    given.past = limits_for(given.sessions).history  # ticks after which nobody keeps more
    if given.short:
        given.sessions, given.seconds, given.fuzz = min(given.sessions, 8), 3.0, 1000
        given.warmup, given.single, given.calm, given.past = 1.0, 2.0, 1.0, 2
    return given


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
    arguments = parse()
    print(publish(arguments, asyncio.run(measure(arguments))).read_text())
