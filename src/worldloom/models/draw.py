"""How a frame is drawn: denoising passes from noise to latents, and what they leave to look at."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worldloom.models.walk import Walk


@dataclass(frozen=True)
class Sampler:
    """How frames are drawn.

    Args:
      passes: denoising passes a frame (K), a power of two up to the grid.
      context: signal level that committed frames are corrupted to, snapped to the grid.
      snap: move every frame to the nearest picture before it becomes context.
      shortcuts: each pass is told how far it steps. False tells it the finest step: all that
        a model knows which was trained without shortcut rows. One such pass is the mean of
        what may come next.
      hold: levels of 255; a pixel that changes by no more keeps its colour. 0 holds nothing.
        For tokens that are patches of pixels.
      temperature: spread of the noise that a frame is drawn from, against that of training.
        Below 1 the likelier futures are drawn more often than they occur; 0 draws the mean.
    """

    passes: int = 4
    context: float = 0.9
    snap: bool = True
    shortcuts: bool = True
    hold: int = 0
    temperature: float = 1.0


@dataclass(frozen=True)
class Made:
    """A frame that a step has made, before it becomes part of the past.

    Args:
      latents: `[B, N, D]` as they are shown.
      before: `[B, N, D]` those of the frame before it; overwritten when this one is committed.
      first: `[B, N, D]` what the first pass predicted, which sees nothing but noise: about the
        mean of what may come.
      read: `[B, N, W]` what the head of the dynamics read in that pass, float32.
      walk: the passes of the frame.
      again: latents of another draw of the same frame, from the noise of another use.
    """

    latents: Tensor
    before: Tensor
    first: Tensor
    read: Tensor
    walk: Walk
    again: Callable[[int], Tensor]


def draw(walk: Walk, noise: Tensor, sampler: Sampler, grid: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draws a frame of every row.

    Args:
      walk: of the frame.
      noise: `[B, N, D]` standard normal.
      sampler: how.
      grid: finest sampling grid of the dynamics.

    Returns:
      `[B, N, D]` its latents, neither held nor snapped yet; `first` and `read` as of `Made`.
    """
    z = noise if sampler.temperature == 1 else noise * sampler.temperature
    passes, first, read = sampler.passes, z, z
    told = (passes if sampler.shortcuts else grid).bit_length() - 1
    for index in range(passes):
        clean = walk.denoise(z, index * grid // passes, told)
        if index == 0:
            first, read = clean, walk.read
        z = torch.lerp(z, clean, 1 / (passes - index))
    return z, first, read
