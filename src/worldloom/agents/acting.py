"""Plays whole episodes of a real environment, many at once, and keeps how they went."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from worldloom import seeding
from worldloom.agents.policy import Players, Policy
from worldloom.envs.pixel import Outcome, PixelEnv
from worldloom.errors import WorldloomError

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Played:
    """How one episode went.

    Args:
      seed: that started it.
      total: the return.
      length: frames.
      terminated: the task ended.
      info: ground truth at the end, where the environment gives any.
    """

    seed: int
    total: float
    length: int
    terminated: bool
    info: dict[str, Any] = field(default_factory=dict)


def starts(episodes: int, seed: int) -> list[int]:
    """Environment seeds of so many episodes: the same for every policy, so that they pair."""
    return [seeding.stream(seed, "act", number) >> 32 for number in range(episodes)]


def play_all(
    envs: Sequence[PixelEnv],
    players: Players,
    seeds: Sequence[int],
    *,
    max_frames: int | None = None,
    progress: Told | None = None,
) -> list[Played]:
    """One episode from every seed, in their order.

    A row whose episode ended takes the next seed. What a player does in an episode follows
    from that episode's seed, not from the row that it is played in.

    Args:
      envs: games of one kind; so many are played at once.
      players: who acts.
      seeds: of the environment.
      max_frames: ends an episode after so many.
      progress: called with (episodes done, episodes in all).
    """
    if not seeds:
        raise WorldloomError("0 episodes were asked for", "ask for one or more")
    rows = [_Row(env) for env in envs[: len(seeds)]]
    done: dict[int, Played] = {}
    for number, row in enumerate(rows):
        row.begin(number, seeds[number])
    upcoming = len(rows)
    players.begin(np.stack([row.now.frame for row in rows]), [_chance(row.seed) for row in rows])
    while len(done) < len(seeds):
        values = players.act()
        for place, row in enumerate(rows):
            row.step({name: value[place] for name, value in values.items()})
        players.see(values, np.stack([row.now.frame for row in rows]))
        for place, row in enumerate(rows):
            if row.busy and row.over(max_frames):
                done[row.number] = row.played()
                row.busy = False
                if progress:
                    progress(len(done), len(seeds))
                if upcoming < len(seeds):
                    row.begin(upcoming, seeds[upcoming])
                    players.replace(place, row.now.frame, _chance(row.seed))
                    upcoming += 1
                else:
                    players.rest(place)
    return [done[number] for number in range(len(seeds))]


def play_one(env: PixelEnv, policy: Policy, seed: int, *, max_frames: int | None = None) -> Played:
    """One episode of a policy that plays one game at a time, from the same starts."""
    rng = np.random.default_rng(_chance(seed))
    row = _Row(env)
    row.begin(0, seed)
    policy.reset()
    while not row.over(max_frames):
        row.step(policy(row.now.frame, row.now.info, rng))
    return row.played()


def _chance(seed: int) -> int:
    """The seed of a policy's own dice in an episode."""
    return seeding.stream(seed, "act policy")


class _Row:
    """One game among several."""

    def __init__(self, env: PixelEnv) -> None:
        self.env = env
        self.now: Outcome
        self.busy = False

    def begin(self, number: int, seed: int) -> None:
        self.number, self.seed = number, seed
        self.total, self.length, self.busy = 0.0, 1, True
        self.now = self.env.reset(seed)

    def step(self, values: dict[str, np.ndarray]) -> None:
        if self.busy:
            self.now = self.env.step(values)
            self.total += self.now.reward
            self.length += 1

    def over(self, max_frames: int | None) -> bool:
        late = max_frames is not None and self.length >= max_frames
        return self.now.terminated or self.now.truncated or late

    def played(self) -> Played:
        info = {name: np.array(value) for name, value in self.now.info.items()}
        return Played(self.seed, self.total, self.length, self.now.terminated, info)
