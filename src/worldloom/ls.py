"""What is here: worlds of the package, runs, stores, environments and sizes, as tables of text.

Reads the small files that runs and stores explain themselves with; loads no
weights and no frames.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from worldloom import shipped
from worldloom.actions import ActionSpec, Binary
from worldloom.data.ledger import EVENTS, Ledger, Lie, facts_text, open_first, when
from worldloom.data.store import EpisodeRow, Store
from worldloom.errors import WorldloomError

ENVIRONMENTS = (
    ("worldloom/Hop-v0", "built in", "", "our own platform game"),
    ("worldloom/Craft-v0", "built in", "", "our own game of survival and crafting"),
    ("worldloom/Rooms-v0", "built in", "", "our own apartments, seen in first person"),
    ("ALE/Breakout-v5, ALE/Pong-v5, …", "atari", "ale_py", "the Atari games of ale-py"),
    ("CrafterReward-v1", "crafter", "crafter", "Crafter"),
    ("worldloom/Doom-v0", "doom", "vizdoom", "Doom in first person, by ViZDoom and Freedoom"),
    ("MiniGrid-Empty-8x8-v0, …", "minigrid", "minigrid", "the grid worlds of minigrid"),
)

STAGES = ("tokenizer", "dynamics")
"""Stages that every run has; of others the configuration says that they are one."""


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, the first row being the heading."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def size_text(count: int) -> str:
    """Bytes in a unit that a person reads."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def find(root: str, name: str, depth: int = 3) -> Iterator[Path]:
    """Folders at most `depth` levels below `root` that hold a file `name`, in order.

    Hidden folders are not entered, nor those that hold the file.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise WorldloomError(f"`{root}` is not a folder", "give an existing folder with --root")
    if (folder / name).is_file():
        yield folder
    elif depth > 0:
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.name.startswith("."):
                yield from find(str(child), name, depth - 1)


def worlds() -> str:
    """The worlds that come with the package, one line each."""
    rows = [("world", "size", "what")]
    for name in shipped.names():
        rows.append((name, size_text(shipped.folder_bytes(name)), shipped.summary(name)))
    return f"{columns(rows)}\n`worldloom play NAME` enters one"


def stores(root: str) -> str:
    """The stores below a folder, one line each."""
    rows: list[tuple[str, ...]] = [("store", "episodes", "frames", "held out", "size", "from")]
    for path in find(root, "info.json"):
        try:
            store = Store.open(path)
        except WorldloomError as error:
            rows.append((str(path), "", "", "", "", f"broken: {error.message}"))
            continue
        frames = sum(row.length for row in store.episodes)
        heldout = len(store.split("heldout"))
        size = sum(size for row in store.episodes for size, _ in row.files.values())
        made = (f"{len(store)}", f"{frames:,}", f"{heldout}", size_text(size))
        rows.append((str(path), *made, store.info.env or "–"))
    hint = "no stores here; `worldloom record worldloom/Hop-v0 stores/hop` makes one"
    return columns(rows) if len(rows) > 1 else hint


def runs(root: str) -> str:
    """The runs below a folder, one line for each stage."""
    rows: list[tuple[str, ...]] = [("run", "stage", "size", "state", "loss", "store")]
    for path in find(root, "config.json", depth=4):
        try:
            config = json.loads((path / "config.json").read_text())
            if path.name not in STAGES and "stage" not in config:
                continue  # somebody else's
            size = str(config.get("size", "–"))
            named = (size, *_progress(path, config), str(config["store"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if path.name not in STAGES:
                continue
            named = ("", f"broken: config.json, {error}", "", "")
        rows.append((str(path.parent), path.name, *named))
    hint = "no runs here; `worldloom quickstart` or `worldloom train tokenizer STORE` makes one"
    return columns(rows) if len(rows) > 1 else hint


def _progress(stage: Path, config: dict[str, Any]) -> tuple[str, str]:
    """How far a stage is, and its last loss."""
    metrics = stage / "metrics.jsonl"
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    rows = [row for row in map(_row, lines) if "loss" in row]
    last = rows[-1] if rows else {}
    loss = f"{last['loss']:.4g}" if last else "–"
    if (stage / "weights.safetensors").exists():
        return "done", loss
    schedule = config.get("schedule") or config.get("lessons", {}).get("schedule", {})
    steps = schedule.get("steps", "?")
    return f"step {last.get('step', 0)} of {steps}", loss


def lies(run: str) -> str:
    """The ledger of one run: what is open first, the newest before the older."""
    if not Path(run).is_dir():
        raise WorldloomError(f"`{run}` is not a folder", "give the folder of a run")
    found = Ledger.open(run).lies()
    if not found:
        return f"no lie of {run} is known; `worldloom correct {run} ENV` looks for some"
    rows: list[tuple[str, ...]] = [("lie", "kind", "wrong", "found", "state", "what")]
    for lie in open_first(found):
        said = facts_text(lie)
        what = f"{lie.what} ({said})" if said else lie.what
        often = f"{lie.wrong} of {lie.tried}"
        rows.append((str(lie.id), lie.kind, often, when(lie.round, lie.date), _state(lie), what))
    count = sum(lie.closed is None for lie in found)
    return f"{columns(rows)}\n{count} open, {len(found) - count} closed"


def all_lies(root: str) -> str:
    """How many lies are open in each ledger below a folder, one line each."""
    rows: list[tuple[str, ...]] = [("run", "open", "closed")]
    for path in find(root, EVENTS):
        try:
            ledger = Ledger(path)
            open_ones = ledger.lies(open=True)
            counts = (str(len(open_ones)), str(len(ledger.lies(open=False))))
        except WorldloomError as error:
            counts = ("", f"broken: {error.message}")
        rows.append((str(path.parent), *counts))
    hint = "no ledgers of lies here; `worldloom correct RUN ENV` begins one"
    return f"{columns(rows)}\n`worldloom ls lies RUN` shows them" if len(rows) > 1 else hint


def _state(lie: Lie) -> str:
    """Open, or closed when and how well."""
    if lie.closed is None:
        return f"open again ({lie.reopened}x)" if lie.reopened else "open"
    closed = lie.closed
    return f"closed {when(closed.round, closed.date)}, {closed.wrong} of {closed.tried}"


def _row(line: str) -> dict[str, Any]:
    """One line of metrics; empty where the writer died in the middle of it."""
    try:
        return json.loads(line)
    except ValueError:
        return {}


def envs() -> str:
    """The environments that this project is tested with, and how to install them."""
    rows = [("environment", "installed", "what")]
    for name, extra, module, what in ENVIRONMENTS:
        there = not module or find_spec(module) is not None
        state = "yes" if there else f"pip install 'worldloom[{extra}]'"
        rows.append((name, state, what))
    rows.append(("any other gymnasium id", "", "pixels from the observation or from render()"))
    return columns(rows)


def describe_store(store: Store) -> str:
    """A store in a few lines: what it is, and each split in numbers."""
    info = store.info
    cameras = ", ".join(f"{name} {w}x{h}" for name, (h, w) in info.cameras.items())
    size = sum(size for row in store.episodes for size, _ in row.files.values())
    kwargs = f" {json.dumps(dict(info.env_kwargs))}" if info.env_kwargs else ""
    lines = [
        f"store        {store.path}",
        f"from         {info.env or '–'}{kwargs}",
        f"cameras      {cameras}, {info.fps:g} frames/s, {info.codec}",
        f"actions      {info.action.describe()}",
    ]
    if info.sensors:
        lines.append(f"sensors      {', '.join(f'{k} [{v}]' for k, v in info.sensors.items())}")
    lines += [f"size         {size_text(size)}", ""]
    rows: list[tuple[str, ...]] = [
        ("split", "episodes", "frames", "mean return", "actions known", "policies")
    ]
    for split in ("train", "heldout", "dreamed"):
        if split == "dreamed" and not store.split(split):
            continue
        rows.append(_split_row(split, [row for row in store.episodes if row.split == split]))
    return "\n".join([*lines, columns(rows)])


def _split_row(split: str, episodes: Sequence[EpisodeRow]) -> tuple[str, ...]:
    """One split in numbers; the first frame of an episode never has a known action."""
    frames = sum(row.length for row in episodes)
    steps = sum(row.length - 1 for row in episodes)
    known = f"{sum(r.actions_known for r in episodes) / steps:.0%}" if steps else "–"
    mean = f"{sum(r.total for r in episodes) / len(episodes):.2f}" if episodes else "–"
    policies = ", ".join(sorted({row.policy for row in episodes if row.policy})) or "–"
    return split, f"{len(episodes)}", f"{frames:,}", mean, known, policies


def episode_lines(store: Store) -> list[str]:
    """One line for each episode."""
    rows = [("episode", "split", "frames", "return", "ended", "seed", "policy")]
    for row in store.episodes:
        ended = "terminated" if row.terminated else "truncated" if row.truncated else "open"
        seed = "–" if row.seed is None else str(row.seed)
        made = (str(row.length), f"{row.total:.2f}", ended, seed, row.policy or "–")
        rows.append((row.name, row.split, *made))
    return columns(rows).split("\n")


SOME_TILES = (4, 512)
"""Side and kinds of tiles that a size which counts on them is shown with."""


@dataclass(frozen=True)
class Cost:
    """What a named size needs.

    Args:
      tokenizer: parameters that are trained; 0 where frames are only cut up.
      dynamics: parameters.
      tokens: latent tokens of one frame.
      training: bytes that weights, gradients, moments and averages take.
      playing: bytes of weights and of one player's ring of keys and values, in float32.
    """

    tokenizer: int
    dynamics: int
    tokens: int
    training: int
    playing: int


def cost(name: str) -> Cost:
    """Counts a named size at its own frame size, with three keys; allocates nothing."""
    import torch

    from worldloom import configs
    from worldloom.models.dynamics import Dynamics
    from worldloom.models.tiles import TileShape
    from worldloom.models.tokenizers import tokenizer_of

    size = configs.SIZES[name]()
    keys = ActionSpec((Binary("keys", ("left", "right", "jump")),))
    pictures, shape = size.tokenizer, size.dynamics
    if isinstance(pictures, TileShape):  # what recordings would show
        pictures = replace(pictures, tile=SOME_TILES[0], kinds=SOME_TILES[1])
        shape = replace(shape, kinds=pictures.kinds, parts=pictures.parts)
    with torch.device("meta"):
        dynamics, tokenizer = Dynamics(shape, keys), tokenizer_of(pictures)
    parts = [sum(p.numel() for p in module.parameters()) for module in (tokenizer, dynamics)]
    held = sum(b.numel() for b in tokenizer.buffers())
    ring = 2 * sum(shape.ring_slots()) * (shape.window - 1)
    ring *= shape.kv_heads * shape.width // shape.heads
    # Of each weight training keeps: itself, its gradient, two moments and its average.
    return Cost(parts[0], parts[1], shape.tokens, 20 * max(parts), 4 * (sum(parts) + held + ring))


def sizes() -> str:
    """The named sizes: parameters, tokens a frame and memory."""
    from worldloom import configs
    from worldloom.models.tokenizers import kind_of

    heading = ("size", "frame", "tokenizer", "dynamics", "tokens/frame", "training", "playing")
    rows: list[tuple[str, ...]] = [(*heading, "for")]
    for name, make in configs.SIZES.items():
        height, width = make().frame
        found = cost(name)
        tokenizer = count_text(found.tokenizer) if found.tokenizer else kind_of(make().tokenizer)
        counts = (f"{width}x{height}", tokenizer, count_text(found.dynamics), str(found.tokens))
        memory = (size_text(found.training), size_text(found.playing))
        words = (make.__doc__ or "").strip().split("\n")[0].rstrip(".")
        rows.append((name, *counts, *memory, words))
    note = "training: weights, gradients, moments and average, without activations"
    return columns(rows) + f"\n{note}; playing: one player, float32"


def count_text(count: int) -> str:
    """A number of parameters in a unit that a person reads."""
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g}{unit}"
    return str(count)
