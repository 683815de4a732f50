"""Intervals cover what they claim, by whole clusters, and swaps find only real differences."""

from itertools import product

import numpy as np
import pytest

from worldloom import seeding
from worldloom.errors import WorldloomError
from worldloom.evaluate import statistics


def ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def test_cluster_sums_follow_the_keys():
    sums = np.array([[1.0], [2.0], [4.0], [8.0]])
    total = statistics.by_cluster(sums, np.array(["b", "a", "b", "c"]))
    assert total.tolist() == [[2.0], [5.0], [8.0]]


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    sums = np.random.default_rng(0).normal(size=(40, 2)) + 3
    first, again, other = (statistics.Pool(sums, seed=s).estimate(ratio) for s in (1, 1, 2))
    assert (first.low, first.high) == (again.low, again.high)
    assert first.low != other.low
    assert first.value == pytest.approx(sums[:, 0].sum() / sums[:, 1].sum())


def plain_resample(sums: np.ndarray, *, seed: int, resamples: int) -> np.ndarray:
    """The judge of `resample`: counts are drawn anew for whoever asks."""
    n = len(sums)
    counts = seeding.rng(seed, "bootstrap").multinomial(n, np.full(n, 1 / n), size=resamples)
    flat = counts.astype(np.float64) @ sums.reshape(n, -1)
    return flat.reshape(resamples, *sums.shape[1:])


def plain_swap_test(first: np.ndarray, second: np.ndarray, *, seed: int) -> float:
    """The judge of `swap_test` for a difference of sums: swaps are drawn anew as well."""
    n = len(first)
    if 2**n <= statistics.FLIPS:
        swaps = np.array(list(product((False, True), repeat=n)))[1:]
    else:
        swaps = seeding.rng(seed, "swap").random((statistics.FLIPS, n)) < 0.5
    moved = swaps.astype(np.float64) @ (second - first)
    gap = (first.sum(0) + moved) - (second.sum(0) - moved)
    seen = float((first.sum(0) - second.sum(0))[0])
    return float((1 + (np.abs(gap[:, 0]) >= abs(seen) * (1 - 1e-9)).sum()) / (1 + len(swaps)))


@pytest.mark.parametrize(("clusters", "shape"), [(1, (2,)), (40, (3, 2)), (400, ())])
def test_counts_that_are_kept_resample_as_counts_drawn_anew(clusters: int, shape: tuple):
    rng = np.random.default_rng(clusters)
    for seed in (3, 4, 3):
        sums = rng.normal(size=(clusters, *shape))
        found = statistics.resample(sums, seed=seed, resamples=50)
        expected = plain_resample(sums, seed=seed, resamples=50)
        assert found.dtype == np.float64 and np.array_equal(found, expected)


@pytest.mark.parametrize("clusters", [6, 40])
def test_swaps_that_are_kept_give_the_chance_of_swaps_drawn_anew(clusters: int):
    rng = np.random.default_rng(clusters)
    for seed in (3, 4, 3):
        first, second = rng.normal(size=(2, clusters, 1))
        found = statistics.swap_test(first, second, lambda s: s[..., 0], seed=seed)
        assert found == plain_swap_test(first, second, seed=seed)


def test_what_is_kept_is_drawn_once_and_nobody_can_change_it(monkeypatch):
    drawn = []
    rng = seeding.rng
    monkeypatch.setattr(seeding, "rng", lambda *a: drawn.append(a) or rng(*a))
    sums = np.ones((37, 1))
    for _ in range(3):
        statistics.resample(sums, seed=123, resamples=7)
        statistics.swap_test(sums, sums, lambda s: s[..., 0], seed=123)
    assert drawn == [(123, "bootstrap"), (123, "swap")]
    kept = (statistics._counts(37, 123, 7), statistics._swaps(37, 123))
    assert not any(array.flags.writeable for array in kept)


def test_few_clusters_take_the_t_interval_on_cluster_means():
    values = np.random.default_rng(3).normal(size=12)
    sums = np.stack([values, np.ones(12)], 1)
    found = statistics.Pool(sums, seed=0).estimate(ratio)
    half = 2.201 * values.std(ddof=1) / np.sqrt(12)
    assert found.low == pytest.approx(values.mean() - half)
    assert found.high == pytest.approx(values.mean() + half)


def test_one_cluster_has_a_value_and_no_interval():
    found = statistics.Pool(np.array([[3.0, 2.0]]), seed=0).estimate(ratio)
    assert found.value == 1.5 and np.isnan(found.low) and np.isnan(found.high) and found.n == 1


@pytest.mark.parametrize("clusters", [8, 40])
def test_intervals_of_a_pooled_ratio_cover_it(clusters: int):
    """Clusters of uneven size with a strong common part, as episodes have."""
    rng = np.random.default_rng(clusters)
    covered = narrow = 0
    for trial in range(120):
        size = rng.integers(2, 7, clusters)
        values = 1 + rng.normal(size=clusters) + rng.normal(size=clusters) / np.sqrt(size)
        sums = np.stack([values * size, size], 1)
        found = statistics.Pool(sums, seed=trial, resamples=400).estimate(ratio)
        covered += bool(found.low <= 1 <= found.high)
        # Frames for clusters: every frame its own cluster, as if the episode did not matter.
        frames = np.repeat(sums / size[:, None], size, 0)
        naive = statistics.Pool(frames, seed=trial, resamples=400).estimate(ratio)
        narrow += bool(naive.low <= 1 <= naive.high)
    assert 0.88 <= covered / 120 <= 0.99
    assert narrow / 120 < 0.85


def test_undefined_resamples_withhold_the_interval_only_when_they_are_many():
    rare = np.ones((60, 2))
    rare[0] = 0
    often = np.zeros((60, 2))
    often[0] = 1

    def divide(s: np.ndarray) -> np.ndarray:
        out = np.full(s.shape[:-1], np.nan)
        return np.divide(s[..., 0], s[..., 1], out=out, where=s[..., 1] > 0)

    assert statistics.Pool(rare, seed=0).estimate(divide).low == 1
    assert np.isnan(statistics.Pool(often, seed=0).estimate(divide).low)


def test_percentiles_agree_with_numpy():
    draws = np.random.default_rng(0).normal(size=(5000, 3))
    low, high = statistics._percentiles(draws)
    assert low == pytest.approx(np.percentile(draws, 2.5, axis=0), abs=0.01)
    assert high == pytest.approx(np.percentile(draws, 97.5, axis=0), abs=0.01)


def test_swaps_are_enumerated_exactly_for_few_clusters():
    first, second = np.array([[3.0], [4.0], [5.0], [7.0]]), np.zeros((4, 1))
    mean = lambda s: s[..., 0] / 4  # noqa: E731
    flips = [
        abs(sum(s * v for s, v in zip(signs, (3, 4, 5, 7), strict=True)))
        for signs in product((1, -1), repeat=4)
    ]
    by_hand = sum(total >= 19 for total in flips) / 16
    assert statistics.swap_test(first, second, mean, seed=0) == pytest.approx(by_hand)


def test_swaps_hold_their_level_and_find_a_difference():
    rng = np.random.default_rng(5)
    mean = lambda s: s[..., 0]  # noqa: E731
    p = [
        statistics.swap_test(rng.normal(size=(30, 1)), rng.normal(size=(30, 1)), mean, seed=i)
        for i in range(40)
    ]
    assert sum(value < 0.05 for value in p) <= 6
    shifted = rng.normal(size=(30, 1)) + 2
    assert statistics.swap_test(shifted, rng.normal(size=(30, 1)), mean, seed=0) < 0.001


def test_a_sample_without_a_cluster_raises():
    with pytest.raises(WorldloomError, match="1 of 2 samples have no cluster"):
        statistics.by_cluster(np.ones((2, 1)), ["a", None])
    with pytest.raises(WorldloomError, match="1 of 2"):
        statistics.by_cluster(np.ones((2, 1)), np.array(["a", ""]))


def test_holm_against_a_table_worked_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1, and never below the one before."""
    adjusted = statistics.holm({"c": 0.03, "a": 0.01, "d": 0.5, "b": 0.02})
    assert list(adjusted) == ["c", "a", "d", "b"]
    expected = {"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.5}
    assert adjusted == pytest.approx(expected)
    assert statistics.holm({"x": 0.6, "y": 0.9}) == {"x": 1.0, "y": 1.0}


@pytest.mark.parametrize(
    ("rate", "n", "half"),
    [(0.5, 25, 18), (0.7, 50, 12), (0.9, 50, 8.5), (0.5, 200, 6.9), (0.9, 1000, 1.9)],
)
def test_wilsons_half_widths_are_those_of_the_specification(rate: float, n: int, half: float):
    low, high = statistics.wilson(rate * n, n)
    assert 50 * (high - low) == pytest.approx(half, abs=0.5)


def test_wilson_by_hand():
    """0 of 10: from 0 to z^2 / (10 + z^2)."""
    low, high = statistics.wilson(0, 10)
    assert low == pytest.approx(0, abs=1e-12)
    assert high == pytest.approx(3.841459 / 13.841459, abs=1e-6)


@pytest.mark.parametrize(("rate", "n"), [(0.6, 199), (0.65, 90), (0.7, 49)])
def test_how_many_items_tell_a_rate_from_half(rate: float, n: int):
    assert statistics.items_to_tell(rate) == n


def test_a_statistic_that_no_sum_gives_is_computed_from_who_was_drawn():
    """The mean of the best half of the clusters, by how often each was drawn."""
    values = np.random.default_rng(0).normal(size=50)
    order = np.argsort(values)

    def upper(counts: np.ndarray) -> np.ndarray:
        ranks = np.cumsum(counts[:, order], 1) > counts.sum(1, keepdims=True) / 2
        kept = counts[:, order] * ranks
        return (kept * values[order]).sum(1) / kept.sum(1)

    found = statistics.Pool(statistics.unit_sums(50), seed=0, resamples=300).estimate(upper)
    assert found.value == pytest.approx(np.sort(values)[25:].mean())
    assert found.low < found.value < found.high and found.n == 50


def test_fishers_lady_tasting_tea():
    """Three of four cups right: 2 (16 + 1) / 70."""
    assert statistics.fisher_test((3, 1), (4, 4)) == pytest.approx(34 / 70)
    assert statistics.fisher_test((4, 0), (4, 4)) == pytest.approx(2 / 70)
    assert statistics.fisher_test((0, 0), (5, 7)) == 1


def test_a_t_interval_of_any_number_of_values():
    # Points of Student's t for 1, 29, 30, 40, 120 degrees of freedom, from a printed table.
    known = {1: 12.706, 29: 2.045, 30: 2.0423, 40: 2.0211, 120: 1.9799}
    for degrees, point in known.items():
        values = np.resize([-1.0, 1.0], degrees + 1)
        low, high = statistics.t_interval(values.tolist())
        error = np.std(values, ddof=1) / len(values) ** 0.5
        assert (high - low) / 2 / error == pytest.approx(point, abs=2e-4)
