"""Pictures to patches and back, and the tokenizer that is only that.

`PatchTokenizer` rotates the pixels of each patch onto the principal axes of
the recordings: it is fitted in closed form, in seconds, and loses next to
nothing. At 32x32 pixels, where minutes are all there is, it serves in place of a
learned tokenizer.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def patchify(frames: Tensor, patch: int) -> Tensor:
    """`[..., H, W, 3]` to `[..., H/p * W/p, p * p * 3]`, row by row."""
    *lead, height, width, _ = frames.shape
    grid = frames.reshape(*lead, height // patch, patch, width // patch, patch, 3)
    return grid.transpose(-4, -3).reshape(*lead, -1, patch * patch * 3)


def unpatchify(patches: Tensor, patch: int, size: tuple[int, int]) -> Tensor:
    """`[..., H/p * W/p, p * p * 3]` to `[..., H, W, 3]`."""
    lead = patches.shape[:-2]
    rows, columns = size[0] // patch, size[1] // patch
    grid = patches.reshape(*lead, rows, columns, patch, patch, 3)
    return grid.transpose(-4, -3).reshape(*lead, *size, 3)


def to_bytes(pixels: Tensor) -> Tensor:
    """Pixels in [0, 1], clamped, to uint8."""
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)


@dataclass(frozen=True)
class PatchShape:
    """The size of a `PatchTokenizer`.

    Args:
      frame: (height, width) in pixels, whole patches.
      patch: side of a patch in pixels.
      channels: principal axes kept of each patch.
      power: 1 divides each axis by its own spread, 0 divides all by one common spread,
        so that an error in latents weighs what it weighs in pixels.
    """

    frame: tuple[int, int]
    patch: int = 8
    channels: int = 64
    power: float = 0.0

    @property
    def tokens(self) -> int:
        return (self.frame[0] // self.patch) * (self.frame[1] // self.patch)


class PatchTokenizer(nn.Module):
    """Scaled principal components of pixel patches.

    Attributes:
      window: frames of history that `decode` needs for the last one: just itself.
    """

    window = 1
    mean: Tensor
    axes: Tensor
    spread: Tensor

    def __init__(self, shape: PatchShape) -> None:
        super().__init__()
        self.shape = shape
        size = shape.patch**2 * 3
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("axes", torch.zeros(size, shape.channels))
        self.register_buffer("spread", torch.ones(shape.channels))

    @torch.no_grad()
    def fit(self, frames: Tensor, floor: float = 0.01) -> float:
        """Fits mean, axes and spread.

        Args:
          frames: `[n, H, W, 3]` uint8.
          floor: spreads below this share of full range are treated as this much, so
            that axes which carry only rounding are not blown up to the size of the rest.

        Returns:
          The root mean square pixel error of what the kept axes leave out.
        """
        x = patchify(frames.float() / 255, self.shape.patch).flatten(0, -2)
        self.mean.copy_(x.mean(0))
        covariance = torch.cov(x.T, correction=0)
        values, vectors = torch.linalg.eigh(covariance.double())
        values = values.flip(0)[: self.shape.channels].clamp(min=0)
        self.axes.copy_(vectors.flip(1)[:, : self.shape.channels])
        spread = values.sqrt().clamp(min=floor)
        common = values.mean().sqrt().clamp(min=floor)
        power = self.shape.power
        self.spread.copy_(spread**power * common ** (1 - power))
        rest = (covariance.diagonal().sum() - values.sum()).clamp(min=0) / x.shape[1]
        return float(rest.sqrt())

    def encode(self, frames: Tensor) -> Tensor:
        """`[..., H, W, 3]` uint8 to latents `[..., N, D]` of about unit spread."""
        x = patchify(frames.float() / 255, self.shape.patch)
        return (x - self.mean) @ self.axes / self.spread

    def snap(self, latents: Tensor) -> Tensor:
        """Moves latents `[..., N, D]` to those of the nearest real picture, in whole bytes.

        Drift control: what is fed back can not leave the colours that exist.
        """
        return self.encode(to_bytes(self.decode(latents)))

    def hold(self, latents: Tensor, last: Tensor, levels: int) -> Tensor:
        """`snap`, but what hardly differs from the frame before stays just as it was.

        Drift control: errors too small to see add up over hundreds of frames, in places where
        nothing happens.

        Args:
          latents: `[B, N, D]` of a frame.
          last: `[B, N, D]` of the frame before it.
          levels: of 255; a pixel none of whose colours changes by more is held.
        """
        new, old = (to_bytes(self.decode(z)).short() for z in (latents, last))
        still = (new - old).abs().amax(-1, keepdim=True) <= levels
        held = self.encode(torch.where(still, old, new).to(torch.uint8))
        # A patch that is held as a whole keeps its latents: no way there and back, no rounding.
        whole = patchify(still.expand_as(new), self.shape.patch).all(-1, keepdim=True)
        return torch.where(whole, last, held)

    def decode_last(self, latents: Tensor, count: Tensor) -> Tensor:
        """The last frame of `[B, T, N, D]`, as pixels `[B, H, W, 3]`; `count` is not needed."""
        del count
        return self.decode(latents[:, -1])

    def decode(self, latents: Tensor) -> Tensor:
        """Latents `[..., N, D]` to pixels `[..., H, W, 3]` in about [0, 1]."""
        x = (latents.float() * self.spread) @ self.axes.T + self.mean
        return unpatchify(x, self.shape.patch, self.shape.frame)
