"""How much of an environment's own speed is left while it is recorded.

    python -m benchmarks.recorder

Three games: Hop, which is ten times as fast as it had to be, and two of ordinary
speed, recorded as their recipes do. A round records a game with one worker, from
nothing to the last byte on disk, and plays the very same episodes in a bare loop
of one process: the environment, its frames at the recorded size, and the player. It
records once more with two workers, who each play and store.
Ratios are taken within a round. Needs the extras `atari` and `crafter`.
"""

import argparse
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from recipes import crafter_world, pong
from worldloom import seeding
from worldloom.agents.choose import choose
from worldloom.data.record import Keep, record
from worldloom.envs import HOP
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv, resize
from worldloom.envs.spaces import to_native

SEED = 0
Actions = list[list[Any]]  # of every episode, one for each step


@dataclass(frozen=True)
class Game:
    """What is recorded.

    Args:
      setup: of the environment.
      players: who take turns.
      episodes: in a round.
      frames: at most, of an episode; None until it ends by itself.
    """

    setup: Setup
    players: tuple[Any, ...]
    episodes: int
    frames: int | None = None


GAMES = {
    "hop": Game(Setup(HOP), choose("random"), 400),
    "pong": Game(pong.GAME, (pong.Chasers(), *choose("random")), 30, pong.USUAL.frames),
    "crafter": Game(crafter_world.GAME, (crafter_world.Walkers(),), 12, crafter_world.USUAL.frames),
}

RATES = ("recorded", "environment_with_player", "environment", "recorded_by_two")
# A figure, and the columns of rates whose ratio it is.
SHARES = (
    ("record_speed_share", 0, 1),
    ("record_share_of_drawn_actions", 0, 2),
    ("record_share_with_two_workers", 3, 1),
)


def recorded(game: Game, folder: Path, workers: int = 1) -> tuple[float, int]:
    """Frames a second of the recorder, and how many frames it was."""
    shutil.rmtree(folder, ignore_errors=True)
    done = record(
        game.setup,
        folder,
        episodes=game.episodes,
        policies=game.players,
        seed=SEED,
        workers=workers,
        keep=Keep(max_frames=game.frames),
    )
    return done.frames / done.seconds, done.frames


def bare(game: Game, known: Actions | None = None) -> tuple[float, int, Actions]:
    """Frames a second of the environment alone, how many, and what was done.

    Args:
      game: whose episodes are those that `recorded` records.
      known: what to do, in place of asking the players.
    """
    stage = PixelEnv(game.setup)
    env, native = stage.env, to_native(stage.env.action_space)
    most, total, done = game.frames or 10**9, 0, []
    begin = time.perf_counter()
    for number in range(game.episodes):
        player = game.players[number % len(game.players)](stage)
        rng = np.random.default_rng(seeding.stream(SEED, "policy", number))
        picture, info = env.reset(seed=seeding.stream(SEED, "episode", number) >> 32)
        frame = resize(picture, game.setup.size)
        player.reset()
        actions: list[Any] = []
        ended = False
        while not ended and len(actions) + 1 < most:
            action = known[number][len(actions)] if known else native(player(frame, info, rng))
            actions.append(action)
            picture, _, terminated, truncated, info = env.step(action)
            frame = resize(picture, game.setup.size)
            ended = terminated or truncated
        total += 1 + len(actions)
        done.append(actions)
    rate = total / (time.perf_counter() - begin)
    stage.close()
    return rate, total, done


def measure(name: str, rounds: int, folder: Path) -> dict[str, dict[str, Any]]:
    """The figures of one game; Hop, the first that was measured, has its name in none."""
    game, rows = GAMES[name], []
    for _ in range(rounds):
        rate, frames = recorded(game, folder)
        own, same, actions = bare(game)
        if same != frames:
            raise SystemExit(f"{name}: {frames} frames were recorded, {same} played bare")
        drawn = bare(game, actions)[0]
        both = recorded(game, folder, workers=2)[0]
        rows.append((rate, own, drawn, both))
        print(
            f"{name}: recorded {rate:,.0f}, by two workers {both:,.0f}, with player {own:,.0f}, "
            f"alone {drawn:,.0f} frames/s, share {rate / own:.3f}",
            flush=True,
        )
    rates, end = np.array(rows), "" if name == "hop" else f"_{name}"
    figures = {}
    for figure, ours, own in SHARES:
        ratios = rates[:, ours] / rates[:, own]
        value = float(np.median(ratios))
        figures[figure + end] = results.figure(
            value, *results.median_interval(ratios), n=len(ratios)
        )
    for column, figure in enumerate(RATES):
        value = float(np.median(rates[:, column]))
        low, high = results.median_interval(rates[:, column])
        figures[figure + end] = results.figure(value, low, high, unit="frames/s", n=len(rates))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--games", nargs="+", choices=list(GAMES), default=list(GAMES))
    args = parser.parse_args()
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.games:
            figures |= measure(name, args.rounds, Path(folder) / "store")
    if set(args.games) == set(GAMES):  # otherwise somebody is only looking
        command = f"python -m benchmarks.recorder --rounds {args.rounds}"
        results.write("recorder", command=command, seeds=[SEED], figures=figures)


if __name__ == "__main__":
    main()
