"""The gap between dream and reality, and whose fault it is: planted faults are found out."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from craft_oracles import Optimist, Oracle, Permissive

from worldloom.agents.choose import choose
from worldloom.agents.planning import Planner, Search
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.envs import CRAFT
from worldloom.envs.craft_rules import Act
from worldloom.envs.make import Setup
from worldloom.evaluate.attack import Attack
from worldloom.evaluate.gap import Returns, measure, removed, split
from worldloom.evaluate.moments import entries, spread

SETUP = Setup(CRAFT)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gap") / "store"
    record(
        SETUP,
        folder,
        episodes=6,
        policies=choose("expert"),
        workers=0,
        keep=Keep(max_frames=90, heldout=0.0),
    )
    return Store.open(folder)


@pytest.fixture(scope="module")
def starts(store):
    names = [row.name for row in store.episodes]
    return entries(store, spread(store, names, 12, context=3, seed=0), context=3)


def whimsical(state, step):
    """Any deed, as the exact state has it; often a pickaxe out of nothing."""
    draws = np.array([zlib.crc32(moment.state) for moment in state.moments])
    action = np.where(draws % 3 == 0, int(Act.MAKE_WOOD_PICKAXE), draws % len(Act))
    return {"action": torch.from_numpy(action)}


def gap_of(world, starts, horizon=12):
    returns = measure(world, whimsical, starts, SETUP, horizon=horizon, rows=5)
    return returns, split(returns)


def test_the_truth_has_no_gap(starts):
    returns, gap = gap_of(Oracle(), starts)
    assert (returns.imagined == returns.real).all() and (returns.judged == returns.real).all()
    assert returns.real.max() > 0, "a policy that is never paid would prove nothing"
    assert float(gap.gap.value) == float(gap.dynamics.low) == float(gap.reward.high) == 0


def test_an_optimistic_reward_model_is_the_reward_term_alone(starts):
    returns, gap = gap_of(Optimist(), starts)
    assert float(gap.dynamics.value) == float(gap.dynamics.high) == 0
    assert float(gap.reward.low) > 0
    assert float(gap.gap.value) == pytest.approx(float(gap.reward.value))
    assert (returns.judged - returns.real).max() == pytest.approx(12 * 0.25)


def test_a_permissive_dynamics_is_the_dynamics_term_alone(starts):
    _, gap = gap_of(Permissive(), starts)
    assert float(gap.reward.value) == float(gap.reward.high) == 0
    assert float(gap.dynamics.low) > 0
    assert gap.gap.n == 6, "moments of one episode are one cluster"


def test_a_planner_finds_what_a_world_pays_for_nothing(starts):
    found = {}
    for world in (Permissive(), Oracle()):
        attack = Attack(Planner(world, Search(horizon=2, candidates=24, rounds=1)))
        found[type(world)] = measure(world, attack, starts[:4], SETUP, horizon=2)
        first = attack(world.start(starts[0].clip, torch.zeros(1))[0], 0)
        assert first["action"].shape == (1,) and len(attack._found) == 4, "searched once a moment"
    lied, honest = found[Permissive], found[Oracle]
    assert (lied.imagined - lied.real).mean() > 0.5
    assert np.allclose(honest.imagined, honest.real, atol=1e-5)


def test_a_moment_is_the_recorded_one_with_its_exact_state(store, starts):
    for entry in starts:
        episode = store.read(entry.episode)
        shown = entry.clip.frames["main"][0].numpy()
        assert (shown == episode.frames["main"][entry.frame - 2 : entry.frame + 1]).all()
        state, _ = Oracle().start(entry.clip, torch.zeros(1))
        assert (state.moments[0].frame == episode.frames["main"][entry.frame]).all()
        assert len(entry.moment) == 0


def test_a_time_limit_cuts_the_dream_short_too(store):
    short = Setup(CRAFT, kwargs={"steps": 95})
    names = [row.name for row in store.episodes if row.length == 90]
    late = entries(store, [(name, 88) for name in names], context=3)
    returns = measure(Optimist(), whimsical, late, short, horizon=20)
    assert (returns.judged == returns.imagined).all()
    assert (returns.judged - returns.real).max() == pytest.approx(7 * 0.25)


def test_an_environment_that_does_not_repeat_itself_is_said_so(store):
    foreign = replace(store.info, env_kwargs=Setup(CRAFT, kwargs={"size": 64}).to_json())
    other = Store(store.path, foreign, list(store.episodes))
    places = [(store.episodes[0].name, 20)]
    assert "does not repeat its recordings" in entries(other, places, context=3)
    nameless = Store(store.path, replace(store.info, env=""), list(store.episodes))
    assert "name no environment" in entries(nameless, places, context=3)


def test_places_are_spread_over_episodes(store):
    names = [row.name for row in store.episodes]
    places = spread(store, names, 9, context=3, seed=1)
    counts = [sum(name == place[0] for place in places) for name in names]
    assert min(counts) >= 1 and max(counts) <= 2
    assert all(2 <= frame < store.row(name).length - 1 for name, frame in places)
    assert places != spread(store, names, 9, context=3, seed=2)


def test_how_much_of_a_gap_is_gone():
    names = tuple(f"e{i}" for i in range(40))
    real = np.arange(40) % 3.0
    before = Returns(names, real + 2.0, real, real)
    after = Returns(names, real + 0.5, real, real)
    found = removed(before, after)
    assert float(found.value) == pytest.approx(0.75) and found.n == 40
    assert float(removed(before, before).value) == 0
    assert float(removed(before, replace(after, imagined=real - 2.0)).value) == 0
    with pytest.raises(ValueError, match="same moments"):
        removed(before, replace(after, episodes=names[::-1]))
