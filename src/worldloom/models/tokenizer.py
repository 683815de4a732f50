"""The learned tokenizer: causal masked autoencoding of frames into a tanh bottleneck.

Encoder and decoder are built from the transformer of `blocks`; the routing,
masking and loss follow arXiv 2509.24527, section 3.1. Two things the paper
leaves open are settled here: 2-D rotary positions on patches, and the decoder's
one time layer comes first, so that a window of latents is all the history it
needs (nothing to cache, planning never decodes).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldloom.models.blocks import Layer, RMSNorm, Stack, initialise, rotary_angles, time_mask
from worldloom.models.patches import patchify, unpatchify


@dataclass(frozen=True)
class TokenizerShape:
    """The size of a learned tokenizer.

    Args:
      frame: (height, width) in pixels; padded below and right to whole patches.
      patch: side of a patch in pixels.
      latents: learned latent tokens of a frame (N_b), of `bottleneck` channels (D_b).
      pack: neighbouring latents that are packed into one token for the dynamics.
      width: of the transformers.
      layers: on each side.
      heads: attention heads.
      window: frames that a time layer sees, itself included.
    """

    frame: tuple[int, int]
    patch: int = 8
    latents: int = 32
    bottleneck: int = 8
    pack: int = 2
    width: int = 128
    layers: int = 4
    heads: int = 4
    window: int = 16

    @property
    def padded(self) -> tuple[int, int]:
        height, width = (-(-side // self.patch) * self.patch for side in self.frame)
        return height, width

    @property
    def patches(self) -> int:
        return (self.padded[0] // self.patch) * (self.padded[1] // self.patch)

    @property
    def tokens(self) -> int:
        """Latent tokens that the dynamics sees for each frame (N_z)."""
        return self.latents // self.pack

    @property
    def channels(self) -> int:
        """Channels of each of them (D_z)."""
        return self.bottleneck * self.pack


def _space_angles(shape: TokenizerShape) -> tuple[Tensor, Tensor]:
    """Rotary angles `[P + N_b, d / 2]`: half the channels turn with the row, half with the column.

    Latents have no place in the picture and are not turned.
    """
    dim = shape.width // shape.heads
    columns = shape.padded[1] // shape.patch
    place = torch.arange(shape.patches)
    row = rotary_angles(place // columns, dim // 2, 100.0)
    column = rotary_angles(place % columns, dim // 2, 100.0)
    still = rotary_angles(torch.zeros(shape.latents), dim, 100.0)
    cos, sin = (torch.cat([row[i], column[i]], -1) for i in (0, 1))
    return torch.cat([cos, still[0]]), torch.cat([sin, still[1]])


class _Side(nn.Module):
    """Encoder or decoder: a stack over patches and latents with one routing mask."""

    routes: Tensor
    cos: Tensor
    sin: Tensor

    def __init__(self, shape: TokenizerShape, *, decoder: bool) -> None:
        super().__init__()
        self.shape = shape
        time_at = [0] if decoder else [i for i in range(shape.layers) if i % 4 == 3]
        self.layers = Stack(
            Layer(shape.width, 4 * shape.width, shape.heads, shape.heads, time=i in time_at)
            for i in range(shape.layers)
        )
        self.norm = RMSNorm(shape.width)
        is_patch = torch.arange(shape.patches + shape.latents) < shape.patches
        # Encoder: latents see all, patches only patches. Decoder: patches see all, latents
        # only latents.
        reader, read = is_patch[:, None], is_patch[None, :]
        routes = ~read | reader if decoder else read | ~reader
        self.register_buffer("routes", routes, persistent=False)
        cos, sin = _space_angles(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None, *, last: bool = False) -> Tensor:
        """The stack over `[B, T, P + N_b, W]`, normalised.

        Args:
          x: `[B, T, P + N_b, W]`.
          mask: `[B, T, T]` in place of the sliding window.
          last: keep only the last frame after the first layer (the decoder's time layer).
        """
        length, split = x.shape[1], self.shape.patches
        if mask is None:
            mask = time_mask(length, self.shape.window, x.device)
        angles = rotary_angles(
            torch.arange(length, device=x.device), self.shape.width // self.shape.heads
        )
        for layer in self.layers:
            if layer.time:  # patches skip the attention and its residual
                latents = layer.over_time(x[:, :, split:], mask, angles)
                x = torch.cat([x[:, :, :split], latents], dim=2)
                x = x[:, -1:] if last else x
            else:
                x = layer.space(x, self.routes, (self.cos, self.sin))
            x = layer.feed(x)
        return self.norm(x)


class Tokenizer(nn.Module):
    """Turns frames into latents and back.

    Latents leave `encode` packed and standardised by a per-channel mean and
    deviation that `calibrate` stores with the weights.

    Attributes:
      window: frames of latents that `decode` needs for the last one.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, shape: TokenizerShape) -> None:
        super().__init__()
        self.shape = shape
        self.window = shape.window
        size, width = shape.patch**2 * 3, shape.width
        self.embed = nn.Linear(size, width)
        self.masked = nn.Parameter(0.02 * torch.randn(width))
        self.latents = nn.Parameter(0.5 * torch.randn(shape.latents, width))
        self.encoder = _Side(shape, decoder=False)
        self.squeeze = nn.Linear(width, shape.bottleneck)
        self.unsqueeze = nn.Linear(shape.bottleneck, width)
        self.slots = nn.Parameter(0.5 * torch.randn(shape.latents, width))
        self.queries = nn.Parameter(0.5 * torch.randn(shape.patches, width))
        self.decoder = _Side(shape, decoder=True)
        self.pixels = nn.Linear(width, size)
        self.register_buffer("mean", torch.zeros(shape.channels))
        self.register_buffer("spread", torch.ones(shape.channels))
        initialise(self, shape.layers)

    def squash(self, frames: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Frames to the tanh bottleneck.

        Args:
          frames: `[B, T, H, W, 3]` pixels in [0, 1].
          hidden: `[B, T, P]` bool, patches to replace by the learned embedding.

        Returns:
          `[B, T, N_b, D_b]` in (-1, 1).
        """
        shape = self.shape
        pad = (0, 0, 0, shape.padded[1] - shape.frame[1], 0, shape.padded[0] - shape.frame[0])
        patches = self.embed(patchify(nn.functional.pad(frames, pad), shape.patch))
        if hidden is not None:
            patches = torch.where(hidden[..., None], self.masked.to(patches.dtype), patches)
        latents = self.latents.to(patches.dtype).expand(*patches.shape[:2], -1, -1)
        x = self.encoder(torch.cat([patches, latents], dim=2))
        return torch.tanh(self.squeeze(x[:, :, shape.patches :]))

    def paint(self, squashed: Tensor, mask: Tensor | None = None, *, last: bool = False) -> Tensor:
        """Bottleneck `[B, T, N_b, D_b]` to pixels `[B, T, H, W, 3]`, unclamped.

        With `last` only the last frame is painted, `[B, 1, H, W, 3]`; `mask` is `[B, T, T]`.
        """
        shape = self.shape
        latents = self.unsqueeze(squashed) + self.slots
        queries = self.queries.to(latents.dtype).expand(*latents.shape[:2], -1, -1)
        x = self.decoder(torch.cat([queries, latents], dim=2), mask, last=last)
        picture = unpatchify(self.pixels(x[:, :, : shape.patches]), shape.patch, shape.padded)
        return picture[..., : shape.frame[0], : shape.frame[1], :]

    @torch.no_grad()
    def calibrate(self, frames: Tensor) -> None:
        """Stores the per-channel mean and deviation of the latents of `[B, T, H, W, 3]` uint8."""
        packed = self._pack(self.squash(frames.float() / 255)).flatten(0, -2)
        self.mean.copy_(packed.mean(0))
        self.spread.copy_(packed.std(0).clamp(min=1e-3))

    def _pack(self, squashed: Tensor) -> Tensor:
        return squashed.unflatten(2, (self.shape.tokens, -1)).flatten(3)

    def encode(self, frames: Tensor) -> Tensor:
        """`[B, T, H, W, 3]` uint8 to latents `[B, T, N_z, D_z]` of about unit spread."""
        return (self._pack(self.squash(frames.float() / 255)).float() - self.mean) / self.spread

    def snap(self, latents: Tensor) -> Tensor:
        """Moves latents `[..., D_z]` back inside the tanh bottleneck's range."""
        return ((latents * self.spread + self.mean).clamp(-1, 1) - self.mean) / self.spread

    def decode(self, latents: Tensor) -> Tensor:
        """Latents `[B, T, N_z, D_z]` to pixels `[B, T, H, W, 3]` in about [0, 1]."""
        return self.paint(self._unpack(latents)).float()

    def decode_last(self, latents: Tensor, count: Tensor) -> Tensor:
        """Paints the last frame of a window.

        Args:
          latents: `[B, T, N_z, D_z]`.
          count: `[B]` how many of the last frames really happened; earlier ones are not read.

        Returns:
          `[B, H, W, 3]` pixels in about [0, 1].
        """
        length = latents.shape[1]
        place = torch.arange(length, device=latents.device)
        real = place >= (length - count)[:, None]
        own = torch.eye(length, dtype=torch.bool, device=latents.device)
        mask = time_mask(length, self.shape.window, latents.device) & real[:, None] | own
        return self.paint(self._unpack(latents), mask, last=True)[:, 0].float()

    def _unpack(self, latents: Tensor) -> Tensor:
        squashed = (latents * self.spread + self.mean).unflatten(3, (self.shape.pack, -1))
        return squashed.flatten(2, 3)
