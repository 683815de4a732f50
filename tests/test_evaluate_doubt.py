"""Figures of a doubt: hand-worked cases, and faults that must be seen."""

from dataclasses import replace

import numpy as np
import pytest

from worldloom.evaluate.doubt import Doubted, area, auroc, figures, places, rank_sums, risk_sums

TOLERANCE = 0.5


def doubted(score, error, doubt=None, episodes=40) -> Doubted:
    score, error = np.asarray(score, float), np.asarray(error, float)
    doubt = np.full(len(score), 0.5) if doubt is None else np.asarray(doubt, float)
    episode = np.arange(len(score)) % episodes
    return Doubted(score, doubt, error - 0.1, error + 0.1, error, episode, TOLERANCE)


def values(found: Doubted) -> dict[str, float]:
    return {name: float(estimate.value) for name, estimate in figures(found).items()}


def test_auroc_by_hand():
    """Wrong steps score 2 and 3, right ones 1 and 2: of four pairs 3.5 are in order."""
    found = doubted([1, 2, 2, 3], [0, 0, 1, 1])
    assert auroc(rank_sums(found).sum(0)) == pytest.approx(3.5 / 4)
    backwards = replace(found, score=-found.score)
    assert auroc(rank_sums(backwards).sum(0)) == pytest.approx(0.5 / 4)
    assert np.isnan(auroc(rank_sums(doubted([1, 2], [0, 0])).sum(0)))


def test_risk_coverage_by_hand():
    """Kept in the order of the score 1, 2, 3 the mean errors are 0.2, 0.4, 0.3.

    The oracle's are 0.1, 0.15, 0.3; chance is 0.3: (0.3 - 0.3) / (0.3 - 0.55 / 3) = 0.
    """
    found = doubted([1, 2, 3], [0.2, 0.6, 0.1])
    sums = risk_sums(found).sum(0)
    assert area(sums[:, 0], sums[:, 1]) == pytest.approx(0.9 / 3)
    assert area(sums[:, 2], sums[:, 3]) == pytest.approx((0.1 + 0.15 + 0.3) / 3)
    assert values(found)["risk_coverage"] == pytest.approx(0)
    better = values(replace(found, score=np.array([2.0, 3.0, 1.0])))
    assert better["risk_coverage"] == pytest.approx(1)


def test_calibration_and_coverage_by_hand():
    """Ten steps of doubt 0.25, of which four are wrong, and ten of 0.95, of which all are."""
    error = [1] * 4 + [0] * 6 + [1] * 10
    found = doubted(range(20), error, doubt=[0.25] * 10 + [0.95] * 10)
    assert values(found)["ece"] == pytest.approx((abs(2.5 - 4) + abs(9.5 - 10)) / 20)
    assert values(found)["wrong"] == pytest.approx(0.7)
    narrow = replace(found, high=np.where(np.arange(20) < 5, found.error - 0.01, found.high))
    assert values(narrow)["coverage"] == pytest.approx(0.75)


def test_planted_faults_and_an_oracle():
    rng = np.random.default_rng(0)
    error = rng.random(400)
    oracle = values(doubted(error, error, doubt=error > TOLERANCE))
    assert oracle["auroc"] == pytest.approx(1, abs=2e-3) and oracle["ece"] == 0
    assert oracle["risk_coverage"] == pytest.approx(1, abs=2e-3)
    constant = values(doubted(np.zeros(400), error))
    assert constant["auroc"] == 0.5 and abs(constant["risk_coverage"]) < 1e-9
    chance = figures(doubted(rng.random(400), error))
    assert chance["auroc"].low < 0.5 < chance["auroc"].high
    assert chance["risk_coverage"].low < 0 < chance["risk_coverage"].high
    sure = values(doubted(error, error, doubt=np.zeros(400)))
    assert sure["ece"] == pytest.approx((error > TOLERANCE).mean())


def test_the_unit_is_the_episode():
    """The same steps from fewer episodes are known less well."""
    hits = np.repeat(np.random.default_rng(1).random(10) < 0.5, 20)
    found = doubted(np.arange(200), hits)
    whole = figures(replace(found, episode=np.arange(200) // 20))["wrong"]
    loose = figures(replace(found, episode=np.arange(200)))["wrong"]
    assert whole.n == 10 and loose.n == 200 and whole.value == loose.value
    assert whole.high - whole.low > 2 * (loose.high - loose.low)


def test_places_keep_order_and_ties():
    score = np.random.default_rng(2).normal(size=5000).round(2)
    place = places(score, 64)
    order = np.argsort(score, kind="stable")
    assert (np.diff(place[order]) >= 0).all() and place.max() < 64
    for value in np.unique(score)[:20]:
        assert len(np.unique(place[score == value])) == 1
