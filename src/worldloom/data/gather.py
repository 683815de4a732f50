"""Adds a number of real steps to a store: the new experience of a round of correction.

What is there already is known by its labels, so that a writer that was killed goes on where
it was, and the episodes are the same as if it had not been.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from worldloom import seeding
from worldloom.data.store import Split, Store
from worldloom.data.take import Take, play_episode
from worldloom.envs.make import Setup
from worldloom.envs.pixel import Outcome, PixelEnv
from worldloom.envs.reenter import Moment, enter
from worldloom.errors import WorldloomError

Labels = Mapping[str, str | float | int]


@dataclass(frozen=True)
class Quota:
    """How much is gathered, and what it is known by.

    Args:
      steps: of the real environment, in all.
      labels: of every episode; those with the same labels count.
      name: of who acts, in the recordings.
      seed: of the environment's starts and the policy's dice.
      most: frames of an episode at most; None: until it ends by itself.
      begin: moments to begin at, in turns, in place of fresh starts.
      split: of the episodes; None holds out the store's own share of the seeds.
    """

    steps: int
    labels: Labels
    name: str
    seed: int = 0
    most: int | None = None
    begin: Sequence[Moment] = field(default=())
    split: Split | None = "train"


def gathered(store: Store, labels: Labels) -> list[str]:
    """Names of the episodes with these labels, in order."""
    return [
        row.name
        for row in store.episodes
        if all(row.labels.get(key) == value for key, value in labels.items())
    ]


def gather(
    store: Store,
    setup: Setup,
    maker: Any,
    quota: Quota,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Lets a policy act until the store holds the quota; gives the names of its episodes.

    Where episodes begin at moments, the ground truth of their first frame is not known, and they
    keep none.

    Args:
      store: that the episodes are appended to.
      setup: of the environment.
      maker: of the policy, see `worldloom.agents.choose`.
      quota: how much.
      progress: called with (steps done, steps in all).
    """
    names = gathered(store, quota.labels)
    done = sum(store.row(name).length - 1 for name in names)
    if done >= quota.steps:
        return names
    env = PixelEnv(setup)
    policy, taken = maker(env), {row.seed for row in store.episodes}
    for number in count(len(names) if quota.begin else 0):
        if done >= quota.steps:
            break
        seed = seeding.stream(quota.seed, "gather", number) >> 32
        if seed in taken and not quota.begin:
            continue
        most = min(quota.most or quota.steps + 1, quota.steps - done + 1)
        take = Take(number, seed, seeding.stream(quota.seed, "gather policy", number), most)
        at = _Reentered(env, quota.begin[number % len(quota.begin)]) if quota.begin else env
        episode: Any = play_episode(at, policy, take, name=quota.name)  # type: ignore[arg-type]
        known = {"labels": dict(quota.labels), "seed": None if quota.begin else seed}
        names.append(store.append(replace(episode, **known), split=quota.split))
        done += len(episode) - 1
        if progress:
            progress(done, quota.steps)
    env.close()
    return names


class _Reentered:
    """An environment whose every episode begins at one moment."""

    def __init__(self, env: PixelEnv, moment: Moment) -> None:
        self._env, self._moment = env, moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, seed: int | None = None) -> Outcome:
        if not enter(self._env, self._moment):
            raise WorldloomError(
                f"`{self._env.setup.id}` does not repeat its recordings: another frame comes out",
                "use the version that it was recorded with",
            )
        return Outcome(self._moment.frame, 0.0, False, False, {})
