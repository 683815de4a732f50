"""The mathematics of shortcut forcing: levels, targets, loss (arXiv 2509.24527, section 3.2).

tau = i / K is the signal level (0 is noise, 1 is clean) and d = 2^-j the step
size, both on the grid K. The network predicts clean latents x; everything here
is in x-space, in which no denominator falls below 1 / K.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]


def sample_levels(
    lead: tuple[int, int], grid: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draws step size and signal level, independently for each frame.

    1/d is uniform over {1, 2, 4, ..., grid}, then tau uniform over {0, d, ..., 1 - d}.

    Args:
      lead: (B, T).
      grid: K, a power of two.

    Returns:
      signal `[B, T]` int64 in 0..K-1, size `[B, T]` int64 in 0..log2 K.
    """
    device = generator.device
    size = torch.randint(0, grid.bit_length(), lead, generator=generator, device=device)
    steps = 2**size
    place = torch.rand(lead, generator=generator, device=device, dtype=torch.float64) * steps
    return place.long() * (grid // steps), size


def corrupt(clean: Tensor, noise: Tensor, signal: Tensor, grid: int) -> Tensor:
    """Mixes `[B, T, N, D]` latents with noise to the signal level `[B, T]` of each frame."""
    tau = (signal / grid)[..., None, None].to(clean.dtype)
    return (1 - tau) * noise + tau * clean


@torch.no_grad()
def bootstrap_target(
    teacher: Denoiser, noisy: Tensor, signal: Tensor, size: Tensor, grid: int
) -> Tensor:
    """Where two half steps of the teacher lead, as clean latents.

    Frames that already have the smallest step keep their level and noise in
    both passes and get no meaningful target here.

    Args:
      teacher: (noisy `[B, T, N, D]`, signal `[B, T]`, size `[B, T]`) to `[B, T, N, D]`.
      noisy: `[B, T, N, D]`.
      signal: `[B, T]` int64.
      size: `[B, T]` int64.

    Returns:
      `[B, T, N, D]` float32, or float64 where `noisy` is: noisy + (1 - tau) (b1 + b2) / 2.
    """
    exact = torch.promote_types(noisy.dtype, torch.float32)
    finest = grid.bit_length() - 1
    coarse = size < finest
    half = torch.where(coarse, size + 1, size)
    stride = torch.where(coarse, grid // 2**half, 0)
    wide = lambda x: x[..., None, None].to(exact)  # noqa: E731
    zt = noisy.to(exact)
    left = wide(grid - signal) / grid
    b1 = (teacher(noisy, signal, half).to(exact) - zt) / left
    middle = zt + b1 * wide(stride) / grid
    later = signal + stride
    b2 = (teacher(middle.to(noisy.dtype), later, half).to(exact) - middle) / (
        wide(grid - later) / grid
    )
    return zt + left * (b1 + b2) / 2


def frame_loss(
    predicted: Tensor,
    target: Tensor,
    signal: Tensor,
    grid: int,
    *,
    ramp: float = 0.9,
    metric: Tensor | None = None,
) -> Tensor:
    """Squared error of each frame, `[B, T]`, weighted by the ramp (0.9 tau + 0.1).

    Args:
      predicted: `[B, T, N, D]`.
      target: `[B, T, N, D]`.
      signal: `[B, T]` int64.
      grid: K.
      ramp: slope of the weight, which is 1 at tau = 1; 0 weighs all levels alike.
      metric: `[N, D, P]` that errors are multiplied with; None: all channels count alike.
    """
    error = predicted.float() - target.float()
    if metric is not None:
        error = torch.einsum("btnd,ndp->btnp", error, metric)
    return (ramp * signal / grid + 1 - ramp) * error.square().mean(dim=(-2, -1))
