"""The examination of a world and its agent after every round of correction: always the same.

Return in the real environment is not its business: only what the world says, and whether
it is true. Knows worlds, policies and moments; no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from worldloom.data.ledger import Find
from worldloom.data.store import Store
from worldloom.envs import CRAFT
from worldloom.envs.make import Setup
from worldloom.errors import WorldloomError
from worldloom.evaluate.findings import from_returns, from_trials
from worldloom.evaluate.forbidden import How, Trials, joined, meet, pairs, rates, try_deeds
from worldloom.evaluate.gap import Act, Gap, Returns, known, measure, seeds_of, split
from worldloom.evaluate.moments import Entry, entries, setup_of, spread, together
from worldloom.evaluate.statistics import Estimate
from worldloom.world import World

NO_RULES = "only Craft's rules are known here as data"


@dataclass(frozen=True)
class Exam:
    """What is asked.

    Args:
      store: of the recordings that its moments lie in.
      setup: of the real environment.
      starts: moments from which policies act.
      deeds: moments at which a deed is tried; none outside of Craft.
      asked: `[N]` the deeds.
      horizon: steps from each start.
      seed: of the dreams.
      why: no moment can be re-entered, in words; None where they can.
    """

    store: Store
    setup: Setup
    starts: Sequence[Entry]
    deeds: Sequence[Entry]
    asked: np.ndarray
    horizon: int
    seed: int
    why: str | None = None


@dataclass(frozen=True)
class Conduct:
    """What became of a policy.

    Args:
      returns: from the starts.
      met: the deeds that it did for real; None outside of Craft.
    """

    returns: Returns
    met: Trials | None


def prepare(
    store: Store,
    names: Sequence[str],
    count: int,
    *,
    context: int,
    horizon: int,
    seed: int,
    task: str | None = None,
) -> Exam:
    """Draws the questions.

    Args:
      store: recordings of the environment.
      names: of the episodes that moments are taken from.
      count: starts; in Craft, also deeds that can be done, and as many that cannot.
      context: frames that a world is shown.
      horizon: steps from each start.
      seed: of everything.
      task: that is asked of the agent.
    """
    setup, nothing = setup_of(store), np.zeros(0, np.int64)
    places = spread(store, names, count, context=context, seed=seed)
    starts = entries(store, places, context=context, task=task)
    if isinstance(starts, str):
        return Exam(store, setup, (), (), nothing, horizon, seed, starts)
    if store.info.env != CRAFT:
        return Exam(store, setup, starts, (), nothing, horizon, seed)
    chosen = pairs(store, names, count, context=context, seed=seed)
    where = [(pair.episode, pair.frame) for pair in chosen]
    deeds = entries(store, where, context=context, task=task)
    asked = np.array([pair.action for pair in chosen], np.int64)
    if isinstance(deeds, str):
        return Exam(store, setup, (), (), nothing, horizon, seed, deeds)
    return Exam(store, setup, starts, deeds, asked, horizon, seed)


def shorter(exam: Exam, starts: int, horizon: int) -> Exam:
    """The first of the starts, and fewer steps from each, for a policy that takes long."""
    return replace(exam, starts=exam.starts[:starts], horizon=min(horizon, exam.horizon))


def try_policy(exam: Exam, world: World, act: Act) -> Conduct:
    """Lets a policy act from the starts, in the dream and for real."""
    starts = exam.starts
    returns = measure(world, act, starts, exam.setup, horizon=exam.horizon, seed=exam.seed)
    met = None
    if len(exam.deeds):
        how = How(seed=exam.seed)
        met = meet(world, act, starts, exam.setup, how=how, steps=exam.horizon)
    return Conduct(returns, met)


@torch.inference_mode()
def doubts(
    world: World, act: Act, starts: Sequence[Entry], *, horizon: int, seed: int, rows: int = 32
) -> np.ndarray:
    """How much a world doubts its dream from every moment, `[N]`: the mean over the steps.

    Raises:
      WorldloomError: it tells no doubt.
    """
    found = []
    for first in range(0, len(starts), rows):
        part = starts[first : first + rows]
        seeds = seeds_of(range(first, first + len(part)), seed)
        state, _ = world.start(together(part), seeds)
        total = np.zeros(len(part))
        for done in range(horizon):
            state, step = world.step(state, known(act(state, done), len(part)))
            if step.doubt is None:
                raise WorldloomError(
                    f"`{world.spec.name}` tells no doubt, so nobody knows where it doubts most",
                    "choose --data agent",
                )
            total += step.doubt.cpu().numpy()
        found.append(total / horizon)
    return np.concatenate(found)


def try_rules(exam: Exam, world: World) -> Trials | None:
    """The deeds; None outside of Craft."""
    if not len(exam.deeds):
        return None
    return try_deeds(world, exam.deeds, exam.asked, exam.setup, how=How(seed=exam.seed))


def finds(
    world: World,
    policies: Sequence[tuple[Exam, Act, Conduct]],
    deeds: Trials | None,
    *,
    identity: str,
    round: int,
) -> list[Find]:
    """Every hole that examinations found, for the ledger.

    Args:
      world: that was examined.
      policies: what they were asked, who they are, and what became of them.
      deeds: of `try_rules`.
      identity: the world's fingerprint.
      round: of correction.
    """
    name = tuple(part.name for part in world.spec.action.components)
    trials = [t for t in (deeds, *(conduct.met for *_, conduct in policies)) if t is not None]
    found = from_trials(joined(trials), name, world=identity, round=round) if trials else []
    for exam, act, conduct in policies:
        found += from_returns(
            world,
            act,
            exam.starts,
            conduct.returns,
            exam.setup,
            horizon=exam.horizon,
            seed=exam.seed,
            facts=(str(exam.store.path), identity, round),
        )
    return found


def figure(found: Estimate) -> dict[str, Any]:
    """An estimate as JSON values; None where it is not defined."""
    ends = (float(value) for value in (found.value, found.low, found.high))
    value, low, high = (None if np.isnan(end) else end for end in ends)
    return {"value": value, "low": low, "high": high, "n": found.n}


def gap_figures(returns: Returns) -> dict[str, Any]:
    """The gap and its terms, and the returns from every moment, to compare rounds by."""
    gap: Gap = split(returns)
    found = {name: figure(getattr(gap, name)) for name in Gap.__dataclass_fields__}
    rows = {name: getattr(returns, name).tolist() for name in ("imagined", "judged", "real")}
    return {**found, "rows": {"episodes": list(returns.episodes), **rows}}


def rate_figures(trials: Trials | None) -> dict[str, Any]:
    """Forbidden rate, omission rate and balanced accuracy."""
    if trials is None:
        return {"not applicable": NO_RULES}
    found = rates(trials)
    return {name: figure(getattr(found, name)) for name in ("forbidden", "omission", "balanced")}


def returns_of(figures: dict[str, Any]) -> Returns:
    """The returns that `gap_figures` kept."""
    rows = figures["rows"]
    arrays = {name: np.array(rows[name]) for name in ("imagined", "judged", "real")}
    return Returns(tuple(rows["episodes"]), **arrays)


def line(report: Mapping[str, Any]) -> str:
    """A round in one line, for people."""
    words = [f"round {report['round']}: real return {figure_text(report['return'])}"]
    if "not applicable" in report:
        return f"{words[0]}; the gap is not applicable: {report['not applicable']}"
    for name in ("agent", "planner"):
        if name in report:
            gap = report[name]["gap"]
            gap_text, *terms = (figure_text(gap[part]) for part in ("gap", "dynamics", "reward"))
            words.append(f"{name}'s gap {gap_text} = dynamics {terms[0]} + reward {terms[1]}")
    if "forbidden" in report["deeds"]:
        words += [
            f"{name} {figure_text(report['deeds'][name])}" for name in ("forbidden", "omission")
        ]
    for name, share in report.get("gap_removed", {}).items():
        words.append(f"{name}'s gap removed {figure_text(share)}")
    lies = report["lies"]
    words.append(f"lies: {lies['new']} new, {lies['open']} open, {lies['closed']} closed")
    return "; ".join(words)


def figure_text(found: Mapping[str, Any]) -> str:
    """A figure with its interval."""
    if found["value"] is None:
        return "unknown"
    if found["low"] is None:
        return f"{found['value']:.2f}"
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
