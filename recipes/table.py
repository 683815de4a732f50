"""Collects runs of players trained from recordings into a table: seeds, rivals, fractions.

    python -m recipes.table runs/craft runs/craft-1 runs/craft-2 runs/craft-10 --publish

The runs with the most recordings are the training seeds of the table; those with fewer tell
what data is worth. What was not played is said to be missing. Trains and plays nothing.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from recipes import judge, steps
from recipes.judge import Episode
from recipes.offline import Game
from worldloom.data.store import Store
from worldloom.envs import CRAFT, CRAFTER
from worldloom.errors import WorldloomError
from worldloom.evaluate.returns import chance, gain, mean, ratio, share
from worldloom.evaluate.statistics import Estimate, fisher_test
from worldloom.train.stage import Stage

Figures = dict[str, dict[str, Any]]

KEYS = {
    "random": "random",
    "clone": "bc",
    "agent": "wm_bc",
    "filtered": "filtered",
    "iql": "iql",
    "dream": "dream",
    "plan": "plan",
}
"""What the table calls each stage: cloning from scratch, in a world, of the best tenth, ..."""

BETTER = (
    ("dream", "agent"),
    ("agent", "clone"),
    ("clone", "random"),
    ("dream", "filtered"),
    ("dream", "iql"),
    ("plan", "agent"),
)
"""Who is expected to do better than whom."""


@dataclass(frozen=True)
class Run:
    """What one run folder holds.

    Args:
      seed: of its training.
      recorded: returns of the recordings that it learned from.
      reached: `[episodes, items]` bool, what these reached.
      frames: in them.
      played: stage to its episodes for real.
    """

    seed: int
    recorded: tuple[float, ...]
    reached: np.ndarray
    frames: int
    played: dict[str, list[Episode]]


def load(folder: Path, game: Game) -> Run:
    """Reads a run that was trained and played."""
    config, store = Stage.open(folder / "dynamics").config, Store.open(folder / "store")
    rows = [store.row(name) for name in config["episodes"]]
    reached = []
    for row in rows:
        truth = store.read(row.name, row.length - 1).info
        reached.append(game.reached({name: column[-1] for name, column in truth.items()}))
    files = {name: folder / "act" / f"{name}.json" for name in KEYS}
    return Run(
        config["seed"],
        tuple(row.total for row in rows),
        np.array(reached, bool),
        sum(row.length for row in rows),
        {name: judge.kept(folder, name) for name, file in files.items() if file.exists()},
    )


def figures(runs: Sequence[Run], game: Game) -> Figures:
    """Every figure of the table that these runs can give."""
    most = max(len(run.recorded) for run in runs)
    whole = sorted((r for r in runs if len(r.recorded) == most), key=lambda r: r.seed)
    fewer = sorted((r for r in runs if len(r.recorded) < most), key=lambda r: -len(r.recorded))
    if len({run.seed for run in whole}) < len(whole):
        raise WorldloomError(
            f"these runs have seeds {[run.seed for run in whole]}", "train each with its own --seed"
        )
    found = {"return_recordings": _figure(mean(whole[0].recorded))}
    for name, key in KEYS.items():
        found |= _apart(f"return_{key}", _having(whole, name), lambda rs, n=name: _returns(rs, n))
    for ours, theirs in BETTER:
        pair = _having(whole, ours, theirs)
        gained = lambda rs, a=ours, b=theirs: _gain(rs, a, b)  # noqa: E731
        found |= _apart(f"gain_{KEYS[ours]}_over_{KEYS[theirs]}", pair, gained)
    dreamed = _having(whole, "dream")
    base = float(np.mean(whole[0].recorded))
    over = lambda rs: _returns(rs, "dream", 1 / base)  # noqa: E731
    found |= _apart("ratio_dream_over_recordings", dreamed, over)
    return {**found, **_items(whole, game), **_fractions(whole, fewer)}


def _apart(name: str, runs: Sequence[Run], measure: Callable[[Sequence[Run]], Any]) -> Figures:
    """A figure of all training seeds together, then of each."""
    if not runs:
        return {}
    together = {name: measure(runs)}
    return together | {f"{name}_seed{run.seed}": measure([run]) for run in runs}


def _having(runs: Sequence[Run], *names: str) -> list[Run]:
    return [run for run in runs if all(name in run.played for name in names)]


def _episodes(runs: Sequence[Run], name: str) -> list[Episode]:
    return [episode for run in runs for episode in run.played[name]]


def _pairs(
    ours: Sequence[Episode], theirs: Sequence[Episode]
) -> tuple[list[Episode], list[Episode]]:
    """Episodes from the starts that both had."""
    known = {episode.seed: episode for episode in theirs}
    both = [episode for episode in ours if episode.seed in known]
    return both, [known[episode.seed] for episode in both]


def _returns(runs: Sequence[Run], name: str, times: float = 1.0) -> dict[str, Any]:
    episodes = _episodes(runs, name)
    return _figure(mean([times * e.total for e in episodes], starts=[e.seed for e in episodes]))


def _gain(runs: Sequence[Run], ours: str, theirs: str) -> dict[str, Any]:
    pairs = [_pairs(run.played[ours], run.played[theirs]) for run in runs]
    mine, other = ([e for pair in pairs for e in pair[side]] for side in (0, 1))
    return {**_figure(gain(mine, other)), "p": chance(mine, other)}


def _items(whole: Sequence[Run], game: Game) -> Figures:
    """The diamond, and the deepest item that anybody at all reached: how often."""
    found: Figures = {}
    recorded = whole[0].reached
    last = len(game.items) - 1

    def rate(runs: Sequence[Run], name: str, item: int) -> dict[str, Any]:
        episodes = _episodes(runs, name)
        return _figure(share([e.ever[item] for e in episodes], starts=[e.seed for e in episodes]))

    for name, key in KEYS.items():
        having = _having(whole, name)
        measure = lambda rs, n=name: rate(rs, n, last)  # noqa: E731
        found |= _apart(f"diamond_rate_{key}", having, measure)
    found["diamond_rate_recordings"] = _figure(share(recorded[:, last].tolist()))
    dreamed = _having(whole, "dream")
    if dreamed:
        ever = np.array([episode.ever for episode in _episodes(dreamed, "dream")])
        deepest = int(np.flatnonzero(ever.any(0) | recorded.any(0)).max(initial=0))
        hits = recorded[:, deepest]
        item = {"item": game.items[deepest]}
        found["deepest_item_rate_recordings"] = {**_figure(share(hits.tolist())), **item}
        compared = lambda rs: {  # noqa: E731
            **rate(rs, "dream", deepest),
            **item,
            "p": _apart_by_chance(rs, deepest, hits),
        }
        found |= _apart("deepest_item_rate_dream", dreamed, compared)
    return found


def _apart_by_chance(runs: Sequence[Run], item: int, recorded: np.ndarray) -> float | None:
    """Whether dreamers and recordings reach an item equally often; of one training seed only."""
    if len(runs) > 1:  # episodes from one start are not independent
        return None
    ever = [episode.ever[item] for episode in _episodes(runs, "dream")]
    return fisher_test((sum(ever), int(recorded.sum())), (len(ever), len(recorded)))


def _fractions(whole: Sequence[Run], fewer: Sequence[Run]) -> Figures:
    """Returns on fewer recordings, and the dreamer's over cloning of all of them."""
    found: Figures = {}
    for run in fewer:
        percent = round(100 * len(run.recorded) / len(whole[0].recorded))
        for name in ("clone", "agent", "dream"):
            if name in run.played:
                found[f"return_{KEYS[name]}_{percent}pct"] = _returns([run], name)
        if _having([run], "dream", "clone"):
            found[f"gain_dream_over_bc_{percent}pct"] = _gain([run], "dream", "clone")
        for same in (w for w in _having(whole, "clone") if w.seed == run.seed):
            if "dream" in run.played:
                pair = _pairs(run.played["dream"], same.played["clone"])
                found[f"dream_{percent}pct_over_bc_100pct"] = _figure(ratio(*pair))
    return found


def _figure(found: Estimate) -> dict[str, Any]:
    return results.figure(float(found.value), float(found.low), float(found.high), n=found.n)


def text(found: Figures) -> str:
    """A line for each figure."""
    lines = []
    for name, figure in found.items():
        value, low, high = (figure[end] for end in ("value", "low", "high"))
        chances = f"  p {figure['p']:.4g}" if figure.get("p") is not None else ""
        lines.append(f"{name:<40} {value:8.4g} [{low:.4g}, {high:.4g}]  n {figure['n']}{chances}")
    return "\n".join(lines)


def publish(name: str, folders: Sequence[Path], runs: Sequence[Run], game: Game) -> Path:
    """Writes benchmarks/results/NAME.json."""
    missing = [key for stage, key in KEYS.items() if not _having(runs, stage)]
    items = {
        f"{KEYS[name]}_seed{run.seed}_of_{len(run.recorded)}": dict(
            zip(game.items, np.mean([e.ever for e in episodes], 0).tolist(), strict=True)
        )
        for run in runs
        for name, episodes in run.played.items()
    }
    return results.write(
        name,
        command=f"python -m recipes.table {' '.join(f'runs/{f.name}' for f in folders)} --publish",
        seeds=sorted({run.seed for run in runs}),
        figures=figures(runs, game),
        folder=steps.ROOT / "benchmarks" / "results",
        frames={f"seed{run.seed}_of_{len(run.recorded)}": run.frames for run in runs},
        reached=items,
        missing=missing,
        search={"passes": judge.PASSES, **asdict(judge.SEARCH)},
        notes=[
            "n counts starts, which all seeds have in common, or recordings.",
            "p is of the sign-flip permutation test over starts, of Fisher's test for items.",
            "The recordings' mean return is taken as it is: its spread is not in the ratio.",
        ],
    )


def game_of(store: Store) -> tuple[str, Game]:
    """The table's name and the game of these recordings."""
    from recipes import craft, crafter_offline  # which publish through this file

    games = {
        CRAFT: ("craft_offline", craft.GAME),
        CRAFTER: ("crafter_offline", crafter_offline.GAME),
    }
    if store.info.env not in games:
        raise WorldloomError(
            f"store `{store.path}` is of {store.info.env}, for which there is no table",
            f"give runs of recipes of {' or '.join(games)}",
        )
    return games[store.info.env]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    given = parser.parse_args()
    name, game = game_of(Store.open(given.runs[0] / "store"))
    runs = [load(folder, game) for folder in given.runs]
    found = figures(runs, game)
    print(text(found))
    if given.publish:
        publish(name, given.runs, runs, game)


if __name__ == "__main__":
    main()
