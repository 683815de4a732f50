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
    passes = sampler.passes
    first, read = glimpse(walk, noise, sampler, grid)
    z = torch.lerp(z, first, 1 / passes)
    for index in range(1, passes):
        clean = walk.denoise(z, index * grid // passes, _told(sampler, grid))
        z = torch.lerp(z, clean, 1 / (passes - index))
    return z, first, read


def glimpse(walk: Walk, noise: Tensor, sampler: Sampler, grid: int) -> tuple[Tensor, Tensor]:
    """The first pass of `draw` alone: `first` and `read` as of `Made`, of the same arguments."""
    z = noise if sampler.temperature == 1 else noise * sampler.temperature
    return walk.denoise(z, 0, _told(sampler, grid)), walk.read


def _told(sampler: Sampler, grid: int) -> int:
    """The size of a step, as the dynamics is told it."""
    return (sampler.passes if sampler.shortcuts else grid).bit_length() - 1
