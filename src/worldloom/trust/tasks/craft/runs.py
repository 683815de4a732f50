"""What policies and plans get from moments of Craft: imagined, judged on real frames, and real.

The dream is a probe's, step by step; reality is the game. A planner looks for the actions for
which the probe promises most (the cross-entropy method). Knows no task.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from worldloom import seeding
from worldloom.actions import Action, ActionSpec, Categorical
from worldloom.data.types import Clip
from worldloom.envs.craft_core import CraftWorlds
from worldloom.envs.craft_rules import ACTION_NAMES, ACTS
from worldloom.trust.probe import Probe
from worldloom.trust.tasks.craft.craftlite import packed
from worldloom.trust.tasks.craft.games import CONTEXT, POLICIES, Game, act

ACTION = ActionSpec((Categorical("action", ACTS, labels=ACTION_NAMES),))
STEPS = 10_000
"""Time limit of real games: none is reached."""


@dataclass(frozen=True)
class Moment:
    """A frame of a game at which somebody begins.

    Args:
      game: that it is of.
      frame: index of it.
      seed: of what is done there.
    """

    game: Game
    frame: int
    seed: int


@dataclass(frozen=True)
class Search:
    """How a planner looks: sequences a round, rounds, and steps of a sequence."""

    candidates: int
    rounds: int
    steps: int


def clip_of(moments: Sequence[Moment], repeats: int = 1) -> Clip:
    """What a probe is shown: `CONTEXT` frames up to each moment, each row so often."""
    spans = [slice(m.frame + 1 - CONTEXT, m.frame + 1) for m in moments]
    games = [m.game for m in moments]
    frames = np.stack([g.frames[s] for g, s in zip(games, spans, strict=True)])
    actions = np.stack([g.actions[s] for g, s in zip(games, spans, strict=True)])
    known = np.stack([np.arange(s.start, s.stop) > 0 for s in spans])
    records = np.array([m.game.records[m.frame] for m in moments])
    told = packed(records, frames[:, -1])
    twice = lambda array: torch.from_numpy(array.repeat(repeats, 0))  # noqa: E731
    return Clip(
        frames={"main": twice(frames)},
        actions=Action({"action": twice(actions)}, twice(known)),
        snapshots=tuple(snapshot for snapshot in told for _ in range(repeats)),
    )


def action_of(actions: np.ndarray) -> Action:
    """Known actions `[B, T]`."""
    values = torch.from_numpy(np.ascontiguousarray(actions))
    return Action({"action": values}, torch.ones(values.shape, dtype=torch.bool))


class Dream:
    """A probe that is taken on step by step, with the same dice as in one long rollout.

    Args:
      probe: that imagines.
      state: where it begins.
    """

    def __init__(self, probe: Probe, state: Any) -> None:
        self._probe, self._state = probe, state
        self._since: list[np.ndarray] = []

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames `[B, H, W, 3]` and rewards `[B]` after actions `[B]`."""
        self._since.append(action)
        ahead = self._probe.rollout(self._state, action_of(np.stack(self._since, 1)))
        assert ahead.frames is not None and ahead.reward is not None
        if ahead.states:  # a probe that keeps none is led again from where it began
            self._state, self._since = ahead.states[0], []
        return ahead.frames[0, :, -1].numpy(), ahead.reward[0, :, -1].numpy().astype(float)


@dataclass(frozen=True)
class Real:
    """What policies did for real from one moment.

    Args:
      frames: `[P, H + 1, 32, 32, 3]` uint8, the moment's own first.
      actions: `[P, H]`.
      rewards: `[P, H]`; those that came while the player lived.
      live: `[P, H]` bool, whether it lived before the step.
      told: snapshots `[H][P]` after each step.
    """

    frames: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    live: np.ndarray
    told: tuple[tuple[bytes, ...], ...]


def for_real(moment: Moment, horizon: int) -> Real:
    """Every policy of `POLICIES` plays on from a moment."""
    worlds = _games(moment, len(POLICIES))
    frames, actions, rewards, live, told = [worlds.render()], [], [], [], []
    for step in range(horizon):
        live.append(worlds.games["shown"][:, 0] > 0)
        actions.append(_act(frames[-1], [moment], step))
        rewards.append(worlds.step(actions[-1])[0].astype(float))
        frames.append(worlds.render())
        told.append(packed(worlds.games, frames[-1]))
    stack = lambda parts: np.stack(parts, 1)  # noqa: E731
    return Real(stack(frames), stack(actions), stack(rewards), stack(live), tuple(told))


def imagined(probe: Probe, moments: Sequence[Moment], horizon: int) -> np.ndarray:
    """`[N, P]` what every policy gets in the probe's dream, acting by what it sees there."""
    total = sum(reward for _, reward in _dreamt(probe, moments, horizon))
    return np.asarray(total, float).reshape(len(moments), -1)


def filmed(probe: Probe, moment: Moment, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """What policies see in the probe's dream, `[P, H + 1, 32, 32, 3]`, and get there, `[P]`."""
    steps = list(_dreamt(probe, [moment], horizon))
    first = np.repeat(moment.game.frames[moment.frame][None], len(POLICIES), 0)
    frames = np.stack([first, *(frames for frames, _ in steps)], 1)
    return frames, np.sum([reward for _, reward in steps], 0)


def _dreamt(
    probe: Probe, moments: Sequence[Moment], horizon: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames and rewards `[N * P, ...]` of each step of every policy at each moment."""
    dream = Dream(probe, probe.observe(clip_of(moments, len(POLICIES))))
    now = np.stack([m.game.frames[m.frame] for m in moments]).repeat(len(POLICIES), 0)
    for step in range(horizon):
        now, reward = dream.step(_act(now, moments, step))
        yield now, reward


def after(moment: Moment, action: int) -> np.ndarray:
    """What the game shows after one deed, `[32, 32, 3]`."""
    worlds = _games(moment, 1)
    worlds.step(np.array([action]))
    return worlds.render()[0]


def judged(probe: Probe, moments: Sequence[Moment], reals: Sequence[Real]) -> np.ndarray:
    """`[N, P]` what the probe thinks that policies got for real, from the real frames."""
    state = probe.observe(clip_of(moments, len(POLICIES)))
    total = np.zeros(len(moments) * len(POLICIES))
    for step in range(reals[0].actions.shape[1]):
        join = lambda name, at: np.concatenate([getattr(r, name)[:, at] for r in reals])  # noqa: E731
        newest = Clip(
            frames={"main": torch.from_numpy(join("frames", step + 1)[:, None])},
            actions=action_of(join("actions", step)[:, None]),
            snapshots=tuple(s for real in reals for s in real.told[step]),
        )
        state = probe.observe(newest, state)
        total += np.where(join("live", step), state.reward.cpu().numpy(), 0.0)
    return total.reshape(len(moments), -1)


def promised(probe: Probe, moments: Sequence[Moment], how: Search) -> tuple[np.ndarray, np.ndarray]:
    """The best plans that a planner finds in a probe: what it promises for them, what they pay.

    The promise is asked for again, under other dice than those of the search.

    Returns:
      `[N]` promised, `[N]` real.
    """
    rows, lead = len(moments), (len(moments), how.candidates, how.steps)
    state = probe.observe(clip_of(moments, how.candidates))
    chance = np.full((rows, how.steps, ACTS), 1 / ACTS)
    best, most = np.zeros((rows, how.steps), np.int64), np.full(rows, -np.inf)
    for number in range(how.rounds):
        luck = np.stack([_luck(m, number, lead[1:]) for m in moments])
        plans = (np.log(chance)[:, None] + luck).argmax(-1)
        pay = probe.rollout(state, action_of(plans.reshape(-1, how.steps))).reward
        assert pay is not None
        worth = pay[0].sum(1).double().numpy().reshape(lead[:2])
        elite = np.argsort(-worth, axis=1, kind="stable")[:, : max(2, how.candidates // 8)]
        chosen = np.take_along_axis(plans, elite[:, :, None], 1)
        chance = (np.eye(ACTS)[chosen].sum(1) + 1 / ACTS) / (elite.shape[1] + 1)
        found = worth.max(1)
        best = np.where((found > most)[:, None], chosen[:, 0], best)
        most = np.maximum(most, found)
    again = probe.rollout(probe.observe(clip_of(moments)), action_of(best), seeds=(1,)).reward
    assert again is not None
    real = np.array([_paid(m, plan) for m, plan in zip(moments, best, strict=True)])
    return again[0].sum(1).double().numpy(), real


def _luck(moment: Moment, number: int, shape: tuple[int, int]) -> np.ndarray:
    """Gumbel noise `[candidates, steps, ACTS]`: what is largest with it was drawn."""
    return seeding.rng(moment.seed, "plan", number).gumbel(size=(*shape, ACTS))


def _paid(moment: Moment, plan: np.ndarray) -> float:
    worlds = _games(moment, 1)
    return sum(float(worlds.step(plan[t : t + 1])[0][0]) for t in range(len(plan)))


def _games(moment: Moment, count: int) -> CraftWorlds:
    """The game at a moment, so often."""
    worlds = CraftWorlds(count, steps=STEPS)
    for row in range(count):
        worlds.set_state(row, moment.game.records[moment.frame].tobytes())
    return worlds


def _act(frames: np.ndarray, moments: Sequence[Moment], step: int) -> np.ndarray:
    """What every policy does at each moment's pictures `[N * P, ...]`: the same dice everywhere."""
    seeds = [seeding.stream(m.seed, name, step) for m in moments for name in POLICIES]
    return act(frames, list(POLICIES.values()) * len(moments), seeds)
