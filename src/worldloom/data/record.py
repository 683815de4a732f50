"""From an environment to a store: plays episodes and keeps them while the next is played.

Episode i of a seed is the same whoever records it and with however many
workers: its environment seed and its policy's dice are functions of (seed, i).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from worldloom import seeding
from worldloom.data.folder import EpisodeRow
from worldloom.data.keeper import Keeper
from worldloom.data.reel import Reel
from worldloom.data.store import Store, StoreInfo
from worldloom.data.take import Take, play_episode
from worldloom.data.types import Episode
from worldloom.data.video import Codec
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv
from worldloom.errors import WorldloomError
from worldloom.workers import Workers

HELDOUT = 0.1
_SEEDS = "episode i of seed s starts from the upper 31 bits of stream(s, 'episode', i)"

Progress = Callable[[int, int], None]
Run = Callable[[list[Take]], Iterator[EpisodeRow]]


@dataclass(frozen=True)
class Recorded:
    """What a recording gave.

    Args:
      store: its folder.
      episodes: added to it.
      frames: in these episodes.
      mean_return: of these episodes.
      seconds: that it took.
    """

    store: Path
    episodes: int
    frames: int
    mean_return: float
    seconds: float

    def __str__(self) -> str:
        rate = self.frames / max(self.seconds, 1e-9)
        return (
            f"{self.episodes} episodes, {self.frames:,} frames in {self.seconds:.0f} s "
            f"({rate:,.0f} frames/s), mean return {self.mean_return:.2f}, in `{self.store}`"
        )


@dataclass(frozen=True)
class Keep:
    """What is kept of each episode, and how.

    Args:
      max_frames: ends an episode, truncated, after so many. Several take turns, as
        policies do. None: when it ends by itself.
      snapshot_every: keeps the exact state so often, in frames; see `Take`.
      heldout: share of environment seeds in the held-out split. None: the
        store's own, 0.1 for a new one.
      codec: of frames above 128x128, see `StoreInfo`. None: the store's own,
        lossless for a new one.
    """

    max_frames: int | Sequence[int] | None = None
    snapshot_every: int = 0
    heldout: float | None = None
    codec: Codec | None = None


def record(
    env: str | Setup,
    store: str | Path,
    *,
    episodes: int,
    policies: Sequence[Any],
    seed: int = 0,
    workers: int = 1,
    keep: Keep = Keep(),
    progress: Progress | None = None,
) -> Recorded:
    """Adds `episodes` episodes of `env` to the store, which is made where it is missing.

    Run again with the same seed it goes on where it stopped: environment seeds
    that the store holds already are passed over. Ctrl-C keeps every finished episode.

    Args:
      env: gymnasium id, or a `Setup` with size, repeat and arguments.
      store: its folder.
      episodes: how many to add.
      policies: who acts, in turns; see `worldloom.agents.choose`.
      seed: of everything.
      workers: processes that play. 1 plays in this one and stores in another
        beside it; 0 does both in this one, by turns, which starts sooner.
      keep: what is kept of every episode, and how.
      progress: called with (episodes done, episodes asked for).
    """
    setup = Setup(env) if isinstance(env, str) else env
    first = PixelEnv(setup)
    makers = tuple(policies)
    for maker in makers:
        maker(first)  # a policy that cannot play here says so now
    opened = open_for(store, first, keep)
    takes = _takes(opened, episodes, seed, keep)
    begin = time.monotonic()
    run = (
        _alone(first, makers, opened)
        if workers == 0
        else _here(first, makers, opened)
        if workers == 1
        else _beside(setup, makers, opened, workers)
    )
    done, frames, total = 0, 0, 0.0
    try:
        for row in run(takes):
            opened.learn(row)
            done, frames, total = done + 1, frames + row.length, total + row.total
            if progress:
                progress(done, episodes)
    except KeyboardInterrupt as stop:
        opened.refresh()
        raise KeyboardInterrupt(
            f"`{opened.path}` holds {len(opened)} episodes; "
            "the same command goes on where this one stopped"
        ) from stop
    finally:
        first.close()
    opened.refresh()
    seconds = time.monotonic() - begin
    return Recorded(opened.path, done, frames, total / max(done, 1), seconds)


def open_for(path: str | Path, env: PixelEnv, keep: Keep) -> Store:
    """The store, made or checked to be of this environment and to keep what is asked for."""
    info = StoreInfo(
        action=env.action,
        cameras={"main": env.shape},
        fps=env.fps,
        env=env.setup.id,
        env_kwargs=env.setup.to_json(),
        seed_policy=_SEEDS,
        heldout=HELDOUT if keep.heldout is None else keep.heldout,
        codec=keep.codec or "lossless",
    )
    store = Store.open_or_create(path, info)
    if keep.heldout is not None and store.info.heldout != keep.heldout:
        raise WorldloomError(
            f"store `{path}` holds out {store.info.heldout:g} of its seeds, "
            f"asked for {keep.heldout:g}",
            "leave the share away, or record into another folder",
        )
    if keep.codec is not None and store.info.codec != keep.codec:
        raise WorldloomError(
            f"store `{path}` keeps large frames as {store.info.codec}, asked for {keep.codec}",
            "leave the codec away, or record into another folder",
        )
    return store


def _takes(store: Store, episodes: int, seed: int, keep: Keep) -> list[Take]:
    """The first `episodes` takes of this seed that the store does not hold."""
    there = {row.seed for row in store.episodes}
    takes: list[Take] = []
    most = keep.max_frames if isinstance(keep.max_frames, Sequence) else [keep.max_frames]
    number = 0
    while len(takes) < episodes:
        env_seed = seeding.stream(seed, "episode", number) >> 32
        if env_seed not in there:
            policy_seed = seeding.stream(seed, "policy", number)
            frames = most[number % len(most)]
            takes.append(Take(number, env_seed, policy_seed, frames, keep.snapshot_every))
            there.add(env_seed)
        number += 1
    return takes


def _play(env: PixelEnv, makers: Sequence[Any], take: Take, reel: Reel | None = None) -> Episode:
    maker = makers[take.number % len(makers)]
    return play_episode(env, maker(env), take, name=maker.name, reel=reel)


def _alone(env: PixelEnv, makers: Sequence[Any], store: Store) -> Run:
    """Plays and stores by turns; yields the rows of what is stored."""

    def run(takes: list[Take]) -> Iterator[EpisodeRow]:
        reel = Reel()
        for take in takes:
            episode = _play(env, makers, take, reel)
            yield store.row(store.append(episode, number=take.number))

    return run


def _here(env: PixelEnv, makers: Sequence[Any], store: Store) -> Run:
    """Plays in this process and stores in another; yields the rows of what is stored."""

    def run(takes: list[Take]) -> Iterator[EpisodeRow]:
        with Keeper(store.path) as keeper:
            for take in takes:
                reel = keeper.reel()
                keeper.put(_play(env, makers, take, reel), reel, take.number)
                yield from keeper.kept()
            keeper.finish()
            yield from keeper.kept()

    return run


def _beside(setup: Setup, makers: Sequence[Any], store: Store, workers: int) -> Run:
    """Plays and stores in worker processes; yields the rows of what is stored."""

    def run(takes: list[Take]) -> Iterator[EpisodeRow]:
        build = partial(_recorder, setup, makers, store.path)
        with Workers(build, min(workers, len(takes))) as pool:
            for _, row in pool.each(takes):
                yield row

    return run


def _recorder(setup: Setup, makers: Sequence[Any], path: Path) -> Callable[[Take], EpisodeRow]:
    """What a worker does with a take."""
    env, store = PixelEnv(setup), Store.open(path)

    def answer(take: Take) -> EpisodeRow:
        return store.row(store.append(_play(env, makers, take), number=take.number))

    return answer
