"""Plays the policies of a run for real, from the same starts, and says how they compare.

What a policy did is kept in RUN/act/NAME.json and not played again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes import iql, steps
from recipes.offline import Game
from worldloom.acting import play_checkpoint
from worldloom.agents.acting import Played, Told, play_all, starts
from worldloom.agents.planning import Search
from worldloom.envs.pixel import PixelEnv
from worldloom.evaluate.returns import mean
from worldloom.hub import TrainedMaker
from worldloom.progress import Progress
from worldloom.train.stage import Stage, write_text

STARTS = 0  # their seed, whatever the seed of a training
ROWS = 32  # games at once
PLANNED = 30  # games of who plans, who is slow
SEARCH, PASSES = Search(every=4), 1  # of who plans, in the world of RUN/dream


@dataclass(frozen=True)
class Episode:
    """How one went, as the file keeps it.

    Args:
      seed: of its start.
      total: the return.
      length: in frames.
      terminated: the game ended it.
      ever: which items were reached.
    """

    seed: int
    total: float
    length: int
    terminated: bool
    ever: tuple[bool, ...]


def play(plan: steps.Plan, game: Game, name: str, progress: Progress) -> list[Episode]:
    """Episodes of RUN/name, of a player of that name, or of RUN/dream that plans, `plan`."""
    if not (plan.out / "act" / f"{name}.json").exists():
        told = lambda done, of: progress.update(done / of, f"{name}: {done} of {of}")  # noqa: E731
        rows = [
            (p.seed, p.total, p.length, p.terminated, game.reached(p.info).tolist())
            for p in _played(plan, game, name, told)
        ]
        (plan.out / "act").mkdir(exist_ok=True)
        write_text(plan.out / "act" / f"{name}.json", json.dumps(rows) + "\n")
    return kept(plan.out, name)


def kept(run: Path, name: str) -> list[Episode]:
    """Episodes that were played before."""
    rows = json.loads((run / "act" / f"{name}.json").read_text())
    return [
        Episode(seed, total, length, ended, tuple(ever))
        for seed, total, length, ended, ever in rows
    ]


def compare(plan: steps.Plan, game: Game, names: Sequence[str], progress: Progress) -> str:
    """Plays all of them, a player at random and the recorded ones; a table for people."""
    progress.begin("act")
    played = {name: play(plan, game, name, progress) for name in (*names, "random")}
    return table(played, game)


def table(played: Mapping[str, Sequence[Episode]], game: Game) -> str:
    """A line for each: return with its interval, and how often each item was reached."""
    lines = []
    for name, episodes in played.items():
        total, reached = mean([e.total for e in episodes]), np.mean([e.ever for e in episodes], 0)
        items = " ".join(f"{item} {r:.0%}" for item, r in zip(game.items, reached, strict=True))
        interval = f"[{float(total.low):.2f}, {float(total.high):.2f}]"
        lines.append(f"{name:<11} return {float(total.value):.2f} {interval}  {items}")
    return "\n".join(lines)


def _played(plan: steps.Plan, game: Game, name: str, told: Told) -> list[Played]:
    folder = plan.out / name
    trained = (folder / "config.json").exists()
    if trained and Stage.open(folder).config["stage"] == "iql":
        envs = [PixelEnv(game.setup) for _ in range(min(ROWS, plan.judged))]
        begin = starts(plan.judged, STARTS)
        players = iql.load_players(folder)
        return play_all(envs, players, begin, max_frames=plan.frames, progress=told)
    planner = TrainedMaker(plan.out / "dream", SEARCH, PASSES)
    return play_checkpoint(
        planner if name == "plan" else str(folder) if trained else name,
        game.setup,
        episodes=min(PLANNED, plan.judged) if name == "plan" else plan.judged,
        seed=STARTS,
        rows=ROWS,
        max_frames=plan.frames,
        progress=told,
    )
