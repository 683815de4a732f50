"""How far a prediction is from the truth: pixel errors, foreground errors, headroom share.

Errors are kept as sums, one set for each window, and divided only after they
have been pooled over windows: decibels are never averaged over frames, and an
empty frame cannot weigh as much as a full one.

Foreground. A pixel is foreground where the real frame or the prediction
differs from the background plate by more than a tolerance in any channel, so a
prediction is charged for what it misses and for what it invents. Its error is
the sum over that mask divided by the pixels of the *real* foreground, a number
which no prediction can change: all rows are divided by the same. Dividing by
the mask itself flatters noise, for a row that tints much of the background by
a little more than the tolerance adds many pixels of small error to its mean
(an untrained network gains 5 dB that way). That reading stands beside the
headline as `own_mask_mse`, and `mask_ratio` says how much larger than the real
foreground a row's mask is.

Tolerance. Decoded pictures carry a little noise everywhere, which a tolerance
of zero would call foreground. At 16 of 255 noise of up to about 5 levels stays
out, sprites stay in, and what is ignored is an error of at most 0.004 in a
pixel where a missing sprite costs 0.1 to 0.5.
"""

from collections.abc import Callable, Sequence

import numpy as np

Pooled = Callable[[np.ndarray], np.ndarray]
"""Maps pooled sums `[..., SUMS]` to one number each, `[...]`."""

TOLERANCE = 16
TOLERANCES = (4, 8, 16, 32)
GAIN_HORIZONS = (1, 2, 4, 8, 16)

SUMS = 5
"""Sums a frame: squared error, values, foreground squared error, values, real foreground values."""
ALL_ERROR, ALL_COUNT, ERROR, COUNT, REAL_COUNT = range(SUMS)

LEAST_ERROR = 1 / (12 * 255**2)
"""Rounding to bytes alone costs this much; an exact prediction reads 58.9 dB, not infinity."""


def apart(frames: np.ndarray, plate: np.ndarray) -> np.ndarray:
    """How far frames are from the plate in the channel that differs most.

    Args:
      frames: `[..., H, W, 3]` uint8.
      plate: `[..., H, W, 3]` uint8, broadcast against `frames`.

    Returns:
      `[..., H, W]` uint8.
    """
    gap = np.maximum(frames, plate) - np.minimum(frames, plate)  # stays within bytes
    return np.maximum(np.maximum(gap[..., 0], gap[..., 1]), gap[..., 2])


def foreground(frames: np.ndarray, plate: np.ndarray, tolerance: int) -> np.ndarray:
    """Where frames differ from the plate by more than `tolerance` in any channel.

    Shapes are those of `apart`; the result is bool.
    """
    return apart(frames, plate) > tolerance


def frame_sums(
    real: np.ndarray,
    predicted: np.ndarray,
    plate: np.ndarray,
    *,
    tolerances: Sequence[int] = TOLERANCES,
) -> np.ndarray:
    """The sums from which every pixel metric is pooled.

    Args:
      real: `[..., H, W, 3]` uint8.
      predicted: `[..., H, W, 3]` uint8.
      plate: `[H, W, 3]` uint8 background, or one that broadcasts against them.
      tolerances: K of them; above one a pixel is foreground.

    Returns:
      `[..., K, SUMS]` float64; squared errors in units of [0, 1], counts of pixel values.
    """
    gap = real.astype(np.float32) - predicted.astype(np.float32)
    squared = np.einsum("...c,...c->...", gap, gap) / 255**2
    in_real, in_predicted = apart(real, plate), apart(predicted, plate)
    mask_for = np.maximum(in_real, in_predicted)
    add = lambda values: values.sum((-2, -1), dtype=np.float64)  # noqa: E731
    whole, area = add(squared), np.full(real.shape[:-3], 3.0 * np.prod(squared.shape[-2:]))
    parts = []
    for tolerance in tolerances:
        mask = mask_for > tolerance
        columns = (add(squared * mask), 3 * add(mask), 3 * add(in_real > tolerance))
        parts.append(np.stack([whole, area, *columns], -1))
    return np.stack(parts, -2)


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divides, NaN where there is nothing to divide by."""
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def mse(sums: np.ndarray) -> np.ndarray:
    """Mean squared error of all pixels, from pooled sums `[..., SUMS]`."""
    return _divide(sums[..., ALL_ERROR], sums[..., ALL_COUNT])


def foreground_mse(sums: np.ndarray) -> np.ndarray:
    """Squared error of the foreground for each value of the real one, NaN where there is none."""
    return _divide(sums[..., ERROR], sums[..., REAL_COUNT])


def own_mask_mse(sums: np.ndarray) -> np.ndarray:
    """The same, for each value of the row's own mask: what is invented dilutes it."""
    return _divide(sums[..., ERROR], sums[..., COUNT])


def mask_ratio(sums: np.ndarray) -> np.ndarray:
    """How many times larger than the real foreground a row's mask is, 1 or more."""
    return _divide(sums[..., COUNT], sums[..., REAL_COUNT])


def decibels(error: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of a mean squared error in units of [0, 1]."""
    return -10 * np.log10(np.maximum(error, LEAST_ERROR))


def psnr(sums: np.ndarray) -> np.ndarray:
    """PSNR of all pixels in dB, from pooled sums `[..., SUMS]`."""
    return decibels(mse(sums))


def foreground_psnr(sums: np.ndarray) -> np.ndarray:
    """PSNR of the foreground in dB, from pooled sums `[..., SUMS]`."""
    return decibels(foreground_mse(sums))


def gain(
    world: np.ndarray, references: np.ndarray, *, error: Pooled = foreground_mse
) -> np.ndarray:
    """Foreground dB of a world above the better of its references, at each horizon.

    Which reference is better is decided anew on every resample, so the interval
    includes that choice.

    Args:
      world: `[..., H, SUMS]` pooled sums at H horizons.
      references: `[K, ..., H, SUMS]` of the reference rows.
      error: what counts as the foreground's error.

    Returns:
      `[..., H]` dB.
    """
    return decibels(error(world)) - decibels(error(references)).max(0)


def headroom(
    persistence: np.ndarray, world: np.ndarray, *, error: Pooled = foreground_mse
) -> np.ndarray:
    """What there is to win over persistence: its foreground error minus the world's."""
    return error(persistence) - error(world)


def headroom_share(
    world: np.ndarray,
    shuffled: np.ndarray,
    persistence: np.ndarray,
    *,
    error: Pooled = foreground_mse,
) -> np.ndarray:
    """How much a world listens to actions: (E shuffled - E) / (E persistence - E).

    0 is a world that ignores actions; 1 is one for which the wrong actions are
    as bad as repeating the last frame. Meaningless, and to be withheld, unless
    the interval of `headroom` is above 0.

    Args:
      world: `[..., SUMS]` pooled sums under the true actions.
      shuffled: the same, under another episode's actions and the same noise.
      persistence: the same, of the last context frame repeated.
      error: what counts as the foreground's error.

    Returns:
      `[...]` the share, NaN where there is no headroom at all.
    """
    room = headroom(persistence, world, error=error)
    return _divide(error(shuffled) - error(world), room)
