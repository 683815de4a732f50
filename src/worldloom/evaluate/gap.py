"""What a world promises and reality does not pay: imagined minus real return, taken apart.

From the same recorded moments the same policy acts three times over: in the dream, paid by
the dream; in reality, paid by what the world makes of the real frames; in reality, paid by
it. The first difference is the fault of the dynamics, the second that of the reward model.
Knows worlds, policies and moments; no model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.envs.make import Setup
from worldloom.evaluate.moments import Entry, Reality, together
from worldloom.evaluate.statistics import Estimate, Pool, Statistic, by_cluster
from worldloom.seeding import stream
from worldloom.world import World, require

Act = Callable[[Any, int], Mapping[str, Tensor]]
"""A policy: a state of the world, and how many steps were done since the start, to an action for
every row, component name to `[B, ...]`."""


@dataclass(frozen=True)
class Returns:
    """Returns of one policy from the same moments, `[N]` each.

    Args:
      episodes: that the moments lie in; moments of one episode are not independent.
      imagined: in the dream, paid by the dream.
      judged: in reality, paid by the world's own estimate of what it observes.
      real: in reality.
    """

    episodes: tuple[str, ...]
    imagined: np.ndarray
    judged: np.ndarray
    real: np.ndarray

    def sums(self) -> np.ndarray:
        """By episode `[E, 4]`: the three returns, and how many moments."""
        columns = [self.imagined, self.judged, self.real, np.ones(len(self.real))]
        return by_cluster(np.stack(columns, 1), np.array(self.episodes))


@dataclass(frozen=True)
class Gap:
    """The gap and its two terms, each a mean over moments with its interval over episodes.

    Args:
      imagined: return in the dream.
      judged: return in reality, as the world sees it.
      real: return in reality.
      gap: imagined minus real.
      dynamics: imagined minus judged.
      reward: judged minus real.
    """

    imagined: Estimate
    judged: Estimate
    real: Estimate
    gap: Estimate
    dynamics: Estimate
    reward: Estimate


def measure(
    world: World,
    act: Act,
    starts: Sequence[Entry],
    setup: Setup,
    *,
    horizon: int,
    seed: int = 0,
    rows: int = 32,
) -> Returns:
    """Plays a policy from every moment, in the dream and for real.

    A real game that is stopped by its time limit ends the dream's account too.

    Args:
      world: that dreams, and that can `observe`.
      act: the policy; what it does must follow from state and step, its randomness included.
      starts: the moments.
      setup: of the real environment.
      horizon: steps from each moment.
      seed: of the dreams.
      rows: moments at once.
    """
    require(world, "observe", "the gap between dream and reality")
    parts = []
    with Reality(setup) as reality:
        for first in range(0, len(starts), rows):
            chosen = starts[first : first + rows]
            seeds = seeds_of(range(first, first + len(chosen)), seed)
            judged, real, limit = _for_real(world, act, chosen, reality, (seeds, horizon))
            parts.append((_dreamed(world, act, chosen, seeds, limit), judged, real))
    imagined, judged, real = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Returns(tuple(entry.episode for entry in starts), imagined, judged, real)


def seeds_of(numbers: Iterable[int], seed: int) -> Tensor:
    """The seeds of the dreams from the moments of these numbers, whatever they are dreamed for."""
    return torch.tensor([stream(seed, "moment", number) for number in numbers])


@torch.inference_mode()
def _for_real(
    world: Any,
    act: Act,
    chosen: Sequence[Entry],
    reality: Reality,
    how: tuple[Tensor, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Judged and real returns `[B]`, and `[B]` the steps for which they were counted."""
    seeds, horizon = how
    reality.enter(chosen)
    state, _ = world.start(together(chosen), seeds)
    judged, real = np.zeros(len(chosen)), np.zeros(len(chosen))
    limit = np.full(len(chosen), horizon)
    for done in range(horizon):
        live = reality.live()
        if not live.any():
            break
        values = act(state, done)
        real += reality.step({name: value.cpu() for name, value in values.items()})
        state, step = world.observe(state, known(values, len(chosen)), reality.clip())
        judged += np.where(live, step.reward.cpu().numpy(), 0.0)
        limit = np.where(live & reality.cut(), done + 1, limit)
    return judged, real, limit


@torch.inference_mode()
def _dreamed(
    world: Any, act: Act, chosen: Sequence[Entry], seeds: Tensor, limit: np.ndarray
) -> np.ndarray:
    """Imagined returns `[B]`, each counted for `limit` `[B]` steps."""
    state, _ = world.start(together(chosen), seeds)
    total = np.zeros(len(chosen))
    for done in range(int(limit.max())):
        state, step = world.step(state, known(act(state, done), len(chosen)))
        total += np.where(done < limit, step.reward.cpu().numpy(), 0.0)
    return total


def known(values: Mapping[str, Tensor], rows: int) -> Action:
    """What a policy does, as an action that is known in every row."""
    device = next(iter(values.values())).device
    return Action(dict(values), torch.ones(rows, dtype=torch.bool, device=device))


def split(returns: Returns, *, seed: int = 0) -> Gap:
    """The gap and its terms, with 95% intervals."""
    pool = Pool(returns.sums(), seed=seed)
    return Gap(
        imagined=pool.estimate(_mean(1, 0, 0)),
        judged=pool.estimate(_mean(0, 1, 0)),
        real=pool.estimate(_mean(0, 0, 1)),
        gap=pool.estimate(_mean(1, 0, -1)),
        dynamics=pool.estimate(_mean(1, -1, 0)),
        reward=pool.estimate(_mean(0, 1, -1)),
    )


def removed(first: Returns, last: Returns, *, seed: int = 0) -> Estimate:
    """The share of the first gap that is gone: 1 where none is left, below 0 where it grew.

    Args:
      first: returns before a repair.
      last: after it, from the same moments.
      seed: makes the resamples.
    """
    if first.episodes != last.episodes:
        raise ValueError("the two did not begin from the same moments")
    sums = np.concatenate([first.sums(), last.sums()], 1)

    def share(sums: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample without any gap
            return 1 - np.abs(sums[:, 4] - sums[:, 6]) / np.abs(sums[:, 0] - sums[:, 2])

    return Pool(sums, seed=seed).estimate(share)


def _mean(*weights: float) -> Statistic:
    """A weighted sum of the three returns, a moment."""
    return lambda sums: sums[:, :3] @ np.array(weights, np.float64) / sums[:, 3]
