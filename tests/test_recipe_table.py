"""The table of players trained from recordings: what is paired, pooled, missing and said."""

import numpy as np
import pytest

from recipes import table
from recipes.judge import Episode
from recipes.offline import Game
from recipes.table import Run
from worldloom.envs import CRAFT
from worldloom.envs.make import Setup
from worldloom.errors import WorldloomError

GAME = Game(Setup(CRAFT), (), ("wood", "iron", "diamond"), lambda info: info["ever"])


def played(totals, depth=0, first=0) -> list[Episode]:
    """Episodes from the starts `first` on, each of which reached so many items."""
    ever = tuple(item < depth for item in range(3))
    return [Episode(first + n, float(t), 9, False, ever) for n, t in enumerate(totals)]


def run(seed=0, episodes=100, **by_name) -> Run:
    reached = np.zeros((episodes, 3), bool)
    reached[:, 0] = True
    reached[0, 1] = True
    return Run(seed, (2.0,) * episodes, reached, 50 * episodes, by_name)


STARTS = 40
NOISE = np.random.default_rng(0).normal(size=STARTS)


def seed_of(seed: int) -> Run:
    better = {"random": 0, "clone": 1, "agent": 2, "dream": 3}
    return run(
        seed,
        **{n: played(v + 0.1 * seed + NOISE, depth=min(v, 3)) for n, v in better.items()},
        iql=played(3 + NOISE[::-1]),
    )


def test_seeds_are_shown_apart_and_paired_by_start():
    found = table.figures([seed_of(1), seed_of(0)], GAME)
    for key, value in (("random", 0), ("bc", 1), ("wm_bc", 2), ("dream", 3)):
        zero, one = (found[f"return_{key}_seed{seed}"] for seed in (0, 1))
        assert one["value"] - zero["value"] == pytest.approx(0.1)
        assert found[f"return_{key}"]["value"] == pytest.approx(value + 0.05 + NOISE.mean())
        assert zero["n"] == found[f"return_{key}"]["n"] == STARTS
    paired = found["gain_dream_over_wm_bc_seed0"]
    assert (paired["low"], paired["high"]) == (pytest.approx(1), pytest.approx(1))
    assert paired["p"] < 0.001  # the noise is of the starts, and common to both
    unequal = found["gain_dream_over_iql_seed0"]
    assert unequal["p"] > 0.05 and unequal["low"] < 0 < unequal["high"]
    assert found["ratio_dream_over_recordings"]["value"] == pytest.approx(
        found["return_dream"]["value"] / 2
    )
    assert not any("plan" in name or "filtered" in name for name in found)


def test_items_are_counted_with_an_interval_where_there_are_none():
    found = table.figures([seed_of(0)], GAME)
    assert found["diamond_rate_dream"]["value"] == 1
    none = found["diamond_rate_recordings"]
    assert none["value"] == 0 < none["high"] < 0.05 and none["n"] == 100
    deepest = found["deepest_item_rate_dream_seed0"]
    assert deepest["item"] == "diamond" and deepest["p"] < 1e-6
    shallow = table.figures([run(dream=played(NOISE, depth=1))], GAME)
    assert shallow["deepest_item_rate_dream"]["item"] == "iron"  # of the recordings
    assert shallow["deepest_item_rate_recordings"]["value"] == pytest.approx(0.01)


def test_fewer_recordings_are_a_fraction_beside_all_of_them():
    whole = seed_of(0)
    tenth = run(0, episodes=10, clone=played(NOISE), dream=played(1.5 + NOISE))
    found = table.figures([tenth, whole], GAME)
    assert found["return_dream_10pct"]["value"] == pytest.approx(1.5 + NOISE.mean())
    expected = (1.5 + NOISE.mean()) / (1 + NOISE.mean())
    assert found["dream_10pct_over_bc_100pct"]["value"] == pytest.approx(expected)
    assert found["return_dream"]["value"] == pytest.approx(3 + NOISE.mean())


def test_planning_from_fewer_starts_is_compared_where_both_began():
    whole = seed_of(0)
    planned = {**whole.played, "plan": played(2 + NOISE[:30] + 0.5)}
    found = table.figures([Run(0, whole.recorded, whole.reached, 0, planned)], GAME)
    assert found["return_plan"]["n"] == found["gain_plan_over_wm_bc"]["n"] == 30
    assert found["gain_plan_over_wm_bc"]["value"] == pytest.approx(0.5)


def test_two_runs_of_one_seed_are_refused():
    with pytest.raises(WorldloomError, match="seeds"):
        table.figures([seed_of(0), seed_of(0)], GAME)
