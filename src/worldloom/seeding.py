"""One seed in, named streams out. Nothing here touches a global generator.

Torch is imported only by what needs it: recorders draw their seeds without.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MASK = 0xFFFFFFFF


def stream(seed: int, name: str, index: int = 0) -> int:
    """A 63-bit seed for the stream `name`, independent of every other name and index."""
    digest = hashlib.blake2b(f"{seed}/{name}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def rng(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """A numpy generator for the stream `name`."""
    return np.random.default_rng(stream(seed, name, index))


def generator(seed: int, name: str, index: int = 0, device: str = "cpu") -> torch.Generator:
    """A torch generator for the stream `name`."""
    import torch

    return torch.Generator(device).manual_seed(stream(seed, name, index))


def _mix(x: Tensor) -> Tensor:
    """A 32-bit integer hash (the finalizer of MurmurHash3) of int64 numbers, in place."""
    import torch

    shifted = torch.empty_like(x)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        torch.bitwise_right_shift(x, shift, out=shifted)
        x.bitwise_xor_(shifted).mul_(factor).bitwise_and_(_MASK)
    return x.bitwise_xor_(torch.bitwise_right_shift(x, 16, out=shifted))


def noise(seeds: Tensor, frames: Tensor, use: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise as a pure function of (seed, frame, use).

    Counter-based: there is no generator state to save, so branches share their
    noise and a rewound step repeats it. Rows do not depend on their neighbours.

    Args:
      seeds: `[B]` int64.
      frames: `[B]` int64 frame number of each row.
      use: a small integer that tells apart what the noise is for.
      shape: of one row's noise.

    Returns:
      `[B, *shape]` float32, by the Box-Muller transform.
    """
    import torch

    size = math.prod(shape)
    half = (size + 1) // 2
    # A frame draws two of these; every further operator on all of it would cost as much again.
    low = _mix((seeds & _MASK) ^ 0x9E3779B9)
    key = _mix(low ^ _mix((seeds >> 32) & _MASK) ^ _mix(frames + 0x51ED27 * (use + 1)))
    count = torch.arange(2 * half, device=seeds.device)
    bits = _mix(key[:, None] ^ _mix((count * 0x27D4EB2F).bitwise_and_(_MASK)))
    bits = _mix(bits.add_(count).bitwise_and_(_MASK))
    u = bits.to(torch.float64).add_(0.5).div_(2**32)
    radius = u[:, :half].log_().mul_(-2.0).sqrt_()
    angle = u[:, half:].mul_(2.0 * math.pi)
    normal = torch.empty(len(seeds), 2 * half, device=seeds.device)
    normal[:, :half] = torch.cos(angle).mul_(radius)
    normal[:, half:] = angle.sin_().mul_(radius)
    return normal[:, :size].reshape(len(seeds), *shape)
