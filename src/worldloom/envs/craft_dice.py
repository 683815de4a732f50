"""Chance in Craft: a hash of (key, which die), whole arrays at once.

A game's key comes from its seed and moves on by a constant each step: so a row
throws the same dice whoever stands beside it, and a snapshot needs no more than
the key. Our own integers: a seed names the same game with every version of NumPy.
"""

import numpy as np


def _number(value: int) -> np.ndarray:
    """An array of one number: NumPy adds those faster than its scalars, which a lone game feels."""
    return np.array(value, np.uint64)


STEP, _PLACE = _number(0x9E3779B97F4A7C15), _number(0xC2B2AE3D27D4EB4F)
_FIRST, _SECOND = _number(0xD6E8FEB86659FD93), _number(0xA0761D6478BD642F)
_HALF, _THIRD = _number(32), _number(29)


def mix(x: np.ndarray) -> np.ndarray:
    """Scrambles `[...]` uint64 in place, each bit of a result hanging on all of its number."""
    x ^= x >> _HALF
    x *= _FIRST
    x ^= x >> _THIRD
    x *= _SECOND
    x ^= x >> _HALF
    return x


def keys(seeds: np.ndarray, use: int = 0) -> np.ndarray:
    """A key for each seed, `[N]` uint64.

    Args:
      seeds: `[N]` int64.
      use: tells apart what keys are for.
    """
    return mix(seeds.astype(np.uint64) * _PLACE + np.uint64(2 * use + 1))


_PLACES = np.arange(4096, dtype=np.uint64) * _PLACE


def throw(key: np.ndarray, size: int) -> np.ndarray:
    """Dice `[N, size]` of 64 bits, at most 4096 a row; add `STEP` to a key for the next throw.

    Args:
      key: `[N]` uint64.
      size: how many dice.
    """
    return mix(key[:, None] + _PLACES[:size])


def next_seed(seed: int) -> int:
    """The game that follows `seed` when nobody asks for another one, of 31 bits."""
    return int(keys(np.array([seed]), use=1)[0] >> np.uint64(33))
