"""Random 16-frame clips a second from a store, beside stable-worldmodel reading the same frames.

    python -m benchmarks.data --peer-python PEER_VENV/bin/python

The peer needs a virtual environment with `pip install stable-worldmodel==0.1.1
opencv-python-headless imageio` (its base install lacks the last two, and does not
import without them).
Hop is recorded once; the same frames, actions and rewards are written into the
peer's default format (a Lance table of JPEGs) by the peer's own writer. Both
then read at random in long-lived processes that take turns, so that whatever
else the machine does meets both. The peer reads as its own benchmark does:
`LanceDataset` behind a torch `DataLoader`, which fetches a batch at a time,
with 0 and with 2 workers; it is credited with the better of the two. Ours
reads in one thread. The one-time decode of our cache is reported beside it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

LENGTH, BATCH, SIZE = 16, 32, 64


def main() -> None:
    args = _arguments()
    if args.worker == "peer":
        _peer(Path(args.folder))
    elif args.worker == "ours":
        _ours(Path(args.folder))
    else:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            _compare(args, Path(folder))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer-python", required=True, help="python of the peer's environment")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=100, help="frames of an episode")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    parser.add_argument("--folder", help="where to write 2 GB. Default: the system's own place")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(args: argparse.Namespace, folder: Path) -> None:
    """Records, exports, takes turns, and writes the figures."""
    from benchmarks import results

    _record(folder / "store", args.episodes, args.frames)
    ours = _Worker(sys.executable, "ours", folder)
    peer = _Worker(args.peer_python, "peer", folder)
    _export(folder / "store", peer.process.stdin)
    facts = {"ours": ours.ask(), "peer": peer.ask()}
    print(json.dumps(facts, indent=2), flush=True)
    modes = [(ours, "cache"), (peer, "0"), (peer, "2"), (ours, "video")]
    rates: dict[str, list[float]] = {}
    for turn in range(-1, args.rounds):  # the first turn warms up
        for worker, mode in modes:
            answer = worker.ask(mode=mode, seconds=args.seconds)
            if turn >= 0:
                rates.setdefault(f"{worker.name} {mode}", []).append(answer["rate"])
        print(turn, {name: round(rate[-1]) for name, rate in rates.items()}, flush=True)
    ours.close()
    peer.close()
    path = results.write(
        "data",
        command="python -m benchmarks.data --peer-python PEER_VENV/bin/python",
        seeds=[0],
        figures=_figures(rates, facts),
        peer={"name": "stable-worldmodel", "version": facts["peer"]["version"]},
        shape={
            "episodes": args.episodes,
            "frames_of_an_episode": args.frames,
            "pixels": SIZE,
            "frames_of_a_clip": LENGTH,
            "clips_of_a_batch": BATCH,
        },
    )
    print(path.read_text())


def _figures(rates: dict[str, list[float]], facts: dict[str, Any]) -> dict[str, Any]:
    """The ratio, what it is made of, and what it costs."""
    from benchmarks import results

    best = max(("peer 0", "peer 2"), key=lambda name: np.mean(rates[name]))
    logs = np.log(np.array(rates["ours cache"]) / np.array(rates[best]))
    low, high = np.exp(results.bootstrap(logs.tolist()))
    rounds = len(logs)
    figures = {
        "clips_ratio_stable_worldmodel": results.figure(
            float(np.exp(logs.mean())), low, high, n=rounds, peer_workers=int(best.split()[1])
        )
    }
    for name, key in [
        ("ours cache", "clips_per_second"),
        ("ours video", "clips_per_second_from_video"),
        ("peer 0", "clips_per_second_stable_worldmodel_0_workers"),
        ("peer 2", "clips_per_second_stable_worldmodel_2_workers"),
    ]:
        low, high = results.bootstrap(rates[name])
        figures[key] = results.figure(
            float(np.mean(rates[name])), low, high, unit="clips/s", n=rounds
        )
    for name, key, unit in [
        ("ours", "open_seconds", "s"),
        ("ours", "decode_once_seconds", "s"),
        ("ours", "store_megabytes", "MB"),
        ("ours", "cache_megabytes", "MB"),
        ("peer", "table_megabytes", "MB"),
        ("peer", "mean_pixel_error", "of 255"),
    ]:
        figures[key if name == "ours" else f"{key}_stable_worldmodel"] = results.figure(
            facts[name][key], unit=unit
        )
    return figures


class _Worker:
    """A long-lived process that reads for a while whenever it is asked."""

    def __init__(self, python: str, name: str, folder: Path) -> None:
        self.name = name
        command = [python, __file__, "--worker", name, "--folder", str(folder)]
        command += ["--peer-python", "-"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **question: Any) -> dict[str, Any]:
        """Sends a question, where there is one, and waits for the answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        if question:
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith(b"{"):
                return json.loads(line)
        raise SystemExit(f"the process `{self.name}` ended early")

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def _record(path: Path, episodes: int, length: int) -> None:
    """Records Hop with sticky random actions."""
    from worldloom.actions import ActionSpec, Binary
    from worldloom.data.store import Store, StoreInfo
    from worldloom.data.types import Episode
    from worldloom.envs.hop import Hop

    env = Hop(SIZE)
    keys = len(env.key_names)
    spec = ActionSpec((Binary("keys", env.key_names),))
    store = Store.create(
        path, StoreInfo(spec, {"main": (SIZE, SIZE)}, 20.0, env="worldloom/Hop-v0")
    )
    rng = np.random.default_rng(0)
    for seed in range(episodes):
        frames = np.empty((length, SIZE, SIZE, 3), np.uint8)
        actions, rewards = np.zeros((length, keys), np.uint8), np.zeros(length, np.float32)
        frames[0], _ = env.reset(seed=seed)
        over = False
        for t in range(1, length):
            fresh = rng.random() < 0.2 or t == 1
            actions[t] = rng.integers(0, 2, keys) if fresh else actions[t - 1]
            if over:
                frames[t], _ = env.reset(seed=episodes + seed)
            else:
                frames[t], rewards[t], ended, cut, _ = env.step(actions[t].astype(np.int8))
                over = ended or cut
        store.append(Episode(frames, {"keys": actions}, reward=rewards, seed=seed), split="train")


def _export(path: Path, pipe: BinaryIO | None) -> None:
    """Sends every episode to the peer: a header line, then the arrays' bytes."""
    from worldloom.data.store import Store

    assert pipe is not None
    store = Store.open(path)
    for row in store.episodes:
        episode = store.read(row.name)
        header = {"length": len(episode), "keys": episode.actions["keys"].shape[1]}
        pipe.write(json.dumps(header).encode() + b"\n")
        for array in (episode.frames["main"], episode.actions["keys"], episode.reward):
            pipe.write(np.ascontiguousarray(array).tobytes())
    pipe.write(b"end\n")
    pipe.flush()


def _ours(folder: Path) -> None:
    """Reads clips with worldloom."""
    from worldloom.data.clips import ClipCache, ClipSampler
    from worldloom.data.store import Store

    started = time.perf_counter()
    store = Store.open(folder / "store")
    opened = time.perf_counter()
    cache = ClipCache.open(store, folder / "cache")
    decoded = time.perf_counter()
    direct = ClipCache.open(store, folder / "direct", limit_bytes=0)
    samplers = {
        "cache": ClipSampler(cache, LENGTH, BATCH, seed=0),
        "video": ClipSampler(direct, LENGTH, BATCH, seed=0),
    }
    facts = {
        "open_seconds": opened - started,
        "decode_once_seconds": decoded - opened,
        "store_megabytes": _megabytes(folder / "store"),
        "cache_megabytes": _megabytes(folder / "cache"),
    }
    steps = {mode: iter(range(10**9)) for mode in samplers}

    def read(mode: str) -> tuple[int, ...]:
        return tuple(samplers[mode].batch(next(steps[mode])).frames["main"].shape)

    _serve(facts, read)


def _peer(folder: Path) -> None:
    """Writes the frames into stable-worldmodel's default format, then reads clips with it."""
    from importlib.metadata import version

    from stable_worldmodel.data import LanceDataset
    from stable_worldmodel.data.formats.lance import LanceWriter
    from torch.utils.data import DataLoader

    table = folder / "peer.lance"
    first: list[np.ndarray] = []
    with LanceWriter(table) as writer:
        writer.write_episodes(_received(sys.stdin.buffer, first))
    dataset = LanceDataset(
        str(table), num_steps=LENGTH, keys_to_load=["pixels", "action", "reward"]
    )
    pixels = dataset[0]["pixels"].numpy().transpose(0, 2, 3, 1)
    error = np.abs(pixels.astype(int) - first[0][:LENGTH]).mean()
    loaders = {
        str(workers): DataLoader(
            dataset,
            batch_size=BATCH,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        for workers in (0, 2)
    }
    batches = {mode: _forever(loader) for mode, loader in loaders.items()}

    def read(mode: str) -> tuple[int, ...]:
        batch = next(batches[mode])
        shape = batch["pixels"].shape
        return (shape[0], shape[1], shape[3], shape[4], shape[2])

    facts = {
        "version": version("stable-worldmodel"),
        "table_megabytes": _megabytes(table),
        "mean_pixel_error": float(error),
    }
    _serve(facts, read)


def _received(pipe: BinaryIO, first: list[np.ndarray]) -> Iterator[dict[str, list[Any]]]:
    """Episodes as they come through the pipe; keeps the first one's frames for comparison."""
    for line in iter(pipe.readline, b"end\n"):
        header = json.loads(line)
        length, keys = header["length"], header["keys"]
        frames = np.frombuffer(pipe.read(length * SIZE * SIZE * 3), np.uint8)
        frames = frames.reshape(length, SIZE, SIZE, 3)
        actions = np.frombuffer(pipe.read(length * keys), np.uint8).reshape(length, keys)
        reward = np.frombuffer(pipe.read(length * 4), np.float32)
        if not first:
            first.append(frames)
        yield {"pixels": list(frames), "action": list(actions), "reward": list(reward[:, None])}


def _forever(loader: Any) -> Iterator[Any]:
    """Full batches of a loader, epoch after epoch."""
    while True:
        for batch in loader:
            if len(batch["pixels"]) == BATCH:
                yield batch


def _serve(facts: dict[str, Any], read: Callable[[str], tuple[int, ...]]) -> None:
    """Tells the facts, then reads for so long whenever a line asks for it."""
    print(json.dumps(facts), flush=True)
    for line in sys.stdin.buffer:
        question = json.loads(line)
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < question["seconds"]:
            shape = read(question["mode"])
            assert shape == (BATCH, LENGTH, SIZE, SIZE, 3), shape
            count += BATCH
        print(json.dumps({"rate": count / elapsed}), flush=True)


def _megabytes(path: Path) -> float:
    """Size of a folder's files."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


if __name__ == "__main__":
    main()
