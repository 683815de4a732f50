"""Pixel errors by hand: pooling, masks, shares, and when there is nothing to say."""

import numpy as np
import pytest

from worldloom.evaluate import horizon, metrics
from worldloom.evaluate.horizon import Departures

PLATE = np.full((1, 4, 4, 3), 100, np.uint8)


def frames(*dots: tuple[int, int, int]) -> np.ndarray:
    """One frame `[1, 1, 4, 4, 3]` with grey dots (row, column, value) on the plate."""
    picture = PLATE[:, None].copy()
    for row, column, value in dots:
        picture[0, 0, row, column] = value
    return picture


def pooled(real: np.ndarray, predicted: np.ndarray, tolerance: int = 16) -> np.ndarray:
    return metrics.frame_sums(real, predicted, PLATE, tolerances=[tolerance])[0, 0, 0]


def test_the_mask_is_what_differs_in_the_real_frame_or_in_the_prediction():
    real, predicted = frames((0, 0, 200)), frames((1, 1, 250), (2, 2, 110))
    sums = pooled(real, predicted)
    assert sums[metrics.COUNT] == 2 * 3  # (2, 2) is within the tolerance
    assert sums[metrics.REAL_COUNT] == 3
    expected = (100**2 + 150**2) / 2 / 255**2
    assert metrics.foreground_mse(sums) == pytest.approx(2 * expected)  # of one real pixel
    assert metrics.own_mask_mse(sums) == pytest.approx(expected)
    assert metrics.mask_ratio(sums) == 2
    assert metrics.mse(sums) == pytest.approx((100**2 + 150**2 + 10**2) / 16 / 255**2)


def test_one_channel_is_enough_to_differ_and_bytes_do_not_wrap():
    real = frames()
    real[0, 0, 3, 3] = (100, 100, 83)
    assert metrics.foreground(real, PLATE[:, None], 16).sum() == 1
    assert metrics.foreground(real, PLATE[:, None], 17).sum() == 0
    assert not metrics.foreground(np.uint8([[[0, 0, 0]]]), np.uint8([[[0, 0, 0]]]), 0).any()
    assert metrics.foreground(np.uint8([[[0, 0, 0]]]), np.uint8([[[255, 0, 0]]]), 254).all()


def test_decibels_come_from_the_pooled_error_not_from_a_mean_of_decibels():
    good, bad = (
        pooled(frames((0, 0, 200)), frames((0, 0, 190))),
        pooled(frames((0, 0, 200), (0, 1, 200), (0, 2, 200)), frames()),
    )
    together = metrics.foreground_psnr(good + bad)
    by_hand = -10 * np.log10((10**2 + 3 * 100**2) / 4 / 255**2)
    assert together == pytest.approx(by_hand)
    assert together != pytest.approx(
        (metrics.foreground_psnr(good) + metrics.foreground_psnr(bad)) / 2, abs=1
    )


def test_an_exact_prediction_reads_58_9_decibels_and_no_foreground_reads_nothing():
    exact = pooled(frames((0, 0, 200)), frames((0, 0, 200)))
    assert metrics.foreground_psnr(exact) == pytest.approx(58.92, abs=0.01)
    assert np.isnan(metrics.foreground_psnr(pooled(frames(), frames())))


def test_gain_is_over_the_better_reference_at_each_horizon():
    error = lambda e: np.array([e, 1, e, 1, 1], float)  # noqa: E731
    world = np.stack([error(0.01), error(0.01)])
    last, plate = np.stack([error(0.1), error(0.4)]), np.stack([error(0.2), error(0.2)])
    gain = metrics.gain(world, np.stack([last, plate]))
    assert gain == pytest.approx([10, 10 * np.log10(20)])


def test_headroom_share_by_hand():
    error = lambda e: np.array([0, 1, e * 2, 2, 2], float)  # noqa: E731
    assert metrics.headroom_share(error(0.1), error(0.3), error(0.5)) == pytest.approx(0.5)
    assert metrics.headroom_share(error(0.1), error(0.1), error(0.5)) == pytest.approx(0)
    assert np.isnan(metrics.headroom_share(error(0.5), error(0.6), error(0.4)))


def test_a_tinted_background_flatters_the_own_mask_but_not_the_headline():
    """Why errors are divided by the real foreground."""
    real, lost = frames((0, 0, 250)), frames()
    tinted = np.where(lost == 100, 120, lost).astype(np.uint8)
    with_tint, without = pooled(real, tinted), pooled(real, lost)
    with_tint_there = pooled(real, np.where(real == 100, 120, real).astype(np.uint8))
    assert metrics.own_mask_mse(with_tint) < 0.1 * metrics.own_mask_mse(without)
    assert metrics.foreground_mse(with_tint_there) > metrics.foreground_mse(pooled(real, real))
    assert metrics.foreground_mse(with_tint) - metrics.foreground_mse(without) == pytest.approx(
        (15 * 20**2 + 130**2 - 150**2) / 255**2, rel=1e-4
    )
    assert metrics.mask_ratio(with_tint) == 16
    noisy = np.where(lost == 100, 110, lost).astype(np.uint8)  # within the tolerance
    assert metrics.mask_ratio(pooled(real, noisy)) == 1


def sums(departs: list[int], length: list[int], frames: int = 10) -> np.ndarray:
    """Rollouts that leave the truth at a frame (0: never), watched for so many frames."""
    wrong = np.zeros((len(departs), frames), bool)
    for row, frame in enumerate(departs):
        if frame:
            wrong[row, frame - 1] = True  # and right again afterwards: it counts all the same
    return Departures(wrong, np.array(length)).sums()


def test_the_usable_horizon_is_the_number_of_true_frames_of_the_median_rollout():
    assert horizon.median_frames(sums([1, 1, 1], [10] * 3).sum(0)) == 0
    assert horizon.median_frames(sums([3, 5, 9], [10] * 3).sum(0)) == 4
    assert horizon.median_frames(sums([4, 0, 4], [10] * 3).sum(0)) == 3


def test_rollouts_that_end_while_true_are_censored_not_failed():
    never = sums([0, 0, 0], [10, 10, 10]).sum(0)
    assert horizon.median_frames(never) == 10 and horizon.is_censored(never)
    short = sums([0, 0, 0], [4, 6, 3]).sum(0)
    assert horizon.median_frames(short) == 6 and horizon.is_censored(short)
    # Two of four are watched for two frames only; of the others one leaves at 5, one at 8.
    mixed = sums([0, 0, 5, 8], [2, 2, 10, 10]).sum(0)
    assert horizon.still_true(mixed).tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0, 0, 0]
    assert horizon.median_frames(mixed) == 4 and not horizon.is_censored(mixed)


def test_a_departure_beyond_the_end_of_the_truth_is_nothing():
    assert horizon.is_censored(sums([8, 8], [5, 5]).sum(0))
