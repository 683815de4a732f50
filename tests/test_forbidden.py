"""What a world believes can be done in Craft: the permissive and the timid are found out."""

import numpy as np
import pytest
import torch
from craft_oracles import Oracle, Permissive, Timid

from worldloom.agents.choose import choose
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.envs import CRAFT
from worldloom.envs.craft_rules import Act
from worldloom.envs.make import Setup
from worldloom.evaluate.forbidden import How, holes, meet, pairs, rates, try_deeds, works
from worldloom.evaluate.moments import entries, spread

pytestmark = pytest.mark.slow

SETUP, HOW = Setup(CRAFT), How(rows=16)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forbidden") / "store"
    record(
        SETUP,
        folder,
        episodes=4,
        policies=choose("expert"),
        workers=0,
        keep=Keep(max_frames=200, heldout=0.0),
    )
    return Store.open(folder)


@pytest.fixture(scope="module")
def chosen(store):
    return pairs(store, [row.name for row in store.episodes], 30, context=2, seed=0)


@pytest.fixture(scope="module")
def tried(store, chosen):
    starts = entries(store, [(pair.episode, pair.frame) for pair in chosen], context=2)
    actions = np.array([pair.action for pair in chosen])
    worlds = Oracle, Permissive, Timid
    return {world: try_deeds(world(), starts, actions, SETUP, how=HOW) for world in worlds}


def test_the_rules_and_the_game_agree_and_the_truth_is_never_wrong(tried, chosen):
    trials = tried[Oracle]
    assert len(trials.names) == len(chosen) == 60
    assert trials.truth.sum() == 30, "half of the pairs can be done"
    assert all(
        (" without " in name) != works
        for name, works in zip(trials.names, trials.truth, strict=True)
    )
    found = rates(trials)
    assert float(found.forbidden.value) == float(found.omission.value) == 0
    assert float(found.balanced.low) == 1 and found.balanced.n == 4
    assert holes(trials) == []
    seen, asked = trials.shown[:, 1], trials.actions[:, -1]
    assert trials.shown.shape[1] == 4 and trials.actions.shape[1] == 3
    assert (works(seen, trials.shown[:, -1], asked) == trials.truth).all()


def test_a_world_that_allows_everything_is_found_out(tried):
    trials = tried[Permissive]
    found = rates(trials)
    # Only a stone that is placed gives no item that the permissive could grant.
    granted = np.array(["place stone" not in name for name in trials.names])
    assert trials.said[granted].all() and float(found.forbidden.low) > 0.5
    assert float(found.omission.value) == 0 and float(found.balanced.value) < 0.75
    worst = holes(trials)[0]
    assert worst.kind == "forbidden" and worst.wrong == worst.tried
    assert trials.said[worst.example] and not trials.truth[worst.example]


def test_a_world_that_allows_nothing_is_found_out(tried):
    found = rates(tried[Timid])
    assert float(found.forbidden.value) == 0 and float(found.omission.low) > 0.5
    assert {hole.kind for hole in holes(tried[Timid])} == {"omission"}


def test_pairs_weigh_rare_deeds_as_common_ones(store, tried, chosen):
    trials = tried[Oracle]
    can = [name for name, works in zip(trials.names, trials.truth, strict=True) if works]
    counts = {name: can.count(name) for name in set(can)}
    assert len(counts) >= 5 and "take wood" in counts
    assert counts["take wood"] <= 30 / len(counts) + 3
    cannot = [name for name in trials.names if " without " in name]
    assert len(set(cannot)) > 8
    again = pairs(store, [row.name for row in store.episodes], 30, context=2, seed=0)
    assert again == chosen


def test_a_policy_that_believes_in_a_hole_is_found_out_where_it_goes(store):
    names = [row.name for row in store.episodes]
    starts = entries(store, spread(store, names, 6, context=2, seed=3), context=2)
    assert not isinstance(starts, str)

    def greedy(state, step):
        return {"action": torch.full((len(state),), int(Act.MAKE_IRON_PICKAXE))}

    trials = meet(Permissive(), greedy, starts, SETUP, how=HOW, steps=3)
    assert len(trials.names) == 18
    assert trials.said.all() and not trials.truth.any()
    assert float(rates(trials).forbidden.value) == 1 and np.isnan(rates(trials).omission.value)
    honest = rates(meet(Oracle(), greedy, starts, SETUP, how=HOW, steps=3))
    assert float(honest.forbidden.value) == 0


def test_a_policy_that_does_nothing_meets_nothing(store):
    starts = entries(
        store, spread(store, [store.episodes[0].name], 2, context=2, seed=0), context=2
    )
    still = lambda state, step: {"action": torch.zeros(len(state), dtype=torch.int64)}  # noqa: E731
    trials = meet(Oracle(), still, starts, SETUP, how=HOW, steps=2)
    assert trials.names == () and np.isnan(rates(trials).forbidden.value)
