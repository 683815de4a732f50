"""How a frame is drawn: denoising passes from noise to latents, and what they leave to look at.

A frame that is laid out of tiles is drawn tile by tile: each pass makes some of them known, and
the next sees those (masked prediction: arXiv 2202.04200, and of frames arXiv 2402.15391). These
take the most certain first; here chance says which, so that what is rare is drawn as often as it
is predicted.
"""

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
        Below 1 the likelier futures are drawn more often than they occur; 0 draws the mean, of
        tiles the likeliest.
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
    if walk.codes is not None:
        return _draw_tiles(walk, noise, sampler, grid)
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
    if walk.codes is not None:
        share = _shares(walk, torch.zeros_like(noise), (0, grid), 1.0)
        return _expected(share, walk.codes), walk.read
    z = noise if sampler.temperature == 1 else noise * sampler.temperature
    return walk.denoise(z, 0, _told(sampler, grid)), walk.read


def _draw_tiles(
    walk: Walk, noise: Tensor, sampler: Sampler, grid: int
) -> tuple[Tensor, Tensor, Tensor]:
    """`draw` of tiles: of every token's `noise` the first P numbers say when its tiles become
    known, P more in each pass which they are."""
    codes, passes = walk.codes, sampler.passes
    assert codes is not None
    rows, tokens, channels = noise.shape
    parts = channels // codes.shape[-1]
    chance = torch.special.ndtr(noise[..., : parts * (1 + passes)])
    turns = chance[..., :parts].flatten(1).argsort(1).argsort(1).view(rows, tokens, parts)
    turns = turns * passes // (tokens * parts)  # the pass in which a tile becomes known
    z, first, read = torch.zeros_like(noise), noise, noise
    for index in range(passes):
        share = _shares(walk, z, (index * grid // passes, grid), sampler.temperature)
        if index == 0:
            first, read = _expected(share, codes), walk.read
        at = parts * (1 + index)
        ids = _choice(share, chance[..., at : at + parts])
        tiles = torch.where(turns[..., None] == index, codes[ids], z.unflatten(-1, (parts, -1)))
        z = tiles.flatten(2)
    return z, first, read


def _shares(walk: Walk, z: Tensor, level: tuple[int, int], temperature: float) -> Tensor:
    """Probabilities `[B, N, P, K]` of every tile, after a pass at a level of a grid."""
    signal, grid = level
    assert walk.codes is not None
    logits = walk.denoise(z, signal, grid.bit_length() - 1).unflatten(-1, (-1, len(walk.codes)))
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    return (logits / temperature).softmax(-1)


def _choice(share: Tensor, chance: Tensor) -> Tensor:
    """One of K by probabilities `[..., K]`, as numbers `[...]` uniform in [0, 1] say."""
    below = share.cumsum(-1) <= chance[..., None]
    return below.sum(-1).clamp(max=share.shape[-1] - 1)


def _expected(share: Tensor, codes: Tensor) -> Tensor:
    """Mean latents `[B, N, D]` of tiles of probabilities `[B, N, P, K]`."""
    return (share @ codes).flatten(2)


def _told(sampler: Sampler, grid: int) -> int:
    """The size of a step, as the dynamics is told it."""
    return (sampler.passes if sampler.shortcuts else grid).bit_length() - 1
