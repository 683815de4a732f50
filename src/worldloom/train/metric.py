"""How much an error counts in each pixel: more where less changes.

A squared error of pixels is nearly all scenery: an inventory of a few pixels that change once in
a hundred frames counts for next to nothing, and a world of limited capacity leaves it out. Divided
by how much its pixel changes from frame to frame, an error counts as a share of what there is to
be known, as in the likelihood of a Gaussian with a variance for every pixel. The way is ours.
"""

import torch
from torch import Tensor, nn

from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.errors import WorldloomError
from worldloom.models.patches import PatchTokenizer, patchify

FLOOR = 0.02  # of the mean change: pixels that change less, or never, count as this much
PAIRS = 4096  # of successive frames that the changes are measured on


def metric_of(cache: ClipCache, tokenizer: nn.Module, even: float) -> Tensor | None:
    """What errors of latents are multiplied with before they are squared.

    Args:
      cache: of the recordings.
      tokenizer: whose latents are pixels in another basis.
      even: power of the division; 1 divides by the whole change, 0 by nothing.

    Returns:
      `[N, D, P]` for N places, D channels and P colours of a patch; None where all count alike.
      To say that nothing changes costs as much with it as without.

    Raises:
      WorldloomError: latents are not pixels.
    """
    check_pixels(tokenizer, even)
    if not even or not isinstance(tokenizer, PatchTokenizer):
        return None
    change = changes(cache, tokenizer.shape.patch).to(tokenizer.mean.device)
    return weighted(tokenizer, weights_of(change, even))


def check_pixels(tokenizer: nn.Module, even: float) -> None:
    """Raises where errors are to be counted by their pixels, and latents are not pixels."""
    if even and not isinstance(tokenizer, PatchTokenizer):
        raise WorldloomError(
            "even errors are those of pixels, and a learned tokenizer has none in its latents",
            "train with even=0, or with a size that keeps patches, nano",
        )


def changes(cache: ClipCache, patch: int) -> Tensor:
    """Mean squared change from frame to frame of each colour of each place, `[N, P]`."""
    clip = ClipSampler(cache, 2, PAIRS, seed=0).batch(0)
    pixels = patchify(clip.frames["main"].float() / 255, patch)
    return (pixels[:, 1] - pixels[:, 0]).square().mean(0)


def weights_of(change: Tensor, even: float) -> Tensor:
    """What squared errors count, `[N, P]`; the mean of the changes counts what it is.

    Args:
      change: `[N, P]` mean squares.
      even: see `metric_of`.
    """
    mean = change.mean()
    if mean == 0:  # films in which nothing ever moves
        return torch.ones_like(change)
    weights = (change / mean + FLOOR) ** -even
    return weights * (change.sum() / (weights * change).sum())


def weighted(tokenizer: PatchTokenizer, weights: Tensor) -> Tensor:
    """The metric in which pixels count as `weights` `[N, P]` say, `[N, D, P]`.

    Its mean square over P is, for weights of 1, the mean square of the latents over D where all
    axes have one spread.
    """
    basis = tokenizer.spread[:, None] * tokenizer.axes.T
    size = basis.square().sum(1).mean() * len(basis)
    return basis * (weights.sqrt() * (basis.shape[1] / size).sqrt())[:, None]
