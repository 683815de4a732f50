"""Pictures that are laid out of tiles: which there are, and frames as the tiles that they show.

Many games draw every frame from a few hundred small pictures on a fixed grid. Whoever knows them
all need not paint: a frame is a choice of one tile for every place, what is drawn is as sharp as
what was recorded, and what happens once in thirty steps can be drawn as often as it happens.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldloom.errors import WorldloomError
from worldloom.models.patches import patchify, unpatchify

SIDES = (8, 4)
"""Sides of a tile in pixels that are tried."""
MOST_KINDS = 1024
"""Different tiles above which pictures are not called laid out of them."""


@dataclass(frozen=True)
class TileShape:
    """The size of a `TileTokenizer`.

    Args:
      frame: (height, width) in pixels, whole patches.
      patch: side of a token in pixels, whole tiles.
      tile: side of a tile in pixels; 0 until the recordings have shown it.
      kinds: different tiles, K; 0 until then.
    """

    frame: tuple[int, int]
    patch: int = 8
    tile: int = 0
    kinds: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of a frame, N."""
        return (self.frame[0] // self.patch) * (self.frame[1] // self.patch)

    @property
    def parts(self) -> int:
        """Tiles of a token, P; 0 until the recordings have shown it."""
        return (self.patch // self.tile) ** 2 if self.tile else 0

    @property
    def channels(self) -> int:
        """Of a token's latents: one for every colour of every pixel."""
        return self.patch**2 * 3


class TileTokenizer(nn.Module):
    """The tiles that recordings are laid out of; latents are their pixels, centred and scaled.

    A tile that no recording showed is taken for the nearest that one did.

    Args:
      shape: with its tile and kinds.

    Attributes:
      window: frames of history that `decode` needs for the last one: just itself.
      tiles: `[K, C]` uint8 pixels of every tile, C = tile * tile * 3.
    """

    window = 1
    tiles: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, shape: TileShape) -> None:
        super().__init__()
        self.shape = shape
        size = shape.tile**2 * 3
        self.register_buffer("tiles", torch.zeros(shape.kinds, size, dtype=torch.uint8))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(()))

    @torch.no_grad()
    def fit(self, tiles: Tensor) -> None:
        """Takes `[K, C]` uint8 tiles: each counts once, however seldom it is shown."""
        self.tiles.copy_(tiles)
        pixels = tiles.float() / 255
        self.mean.copy_(pixels.mean(0))
        self.spread.copy_((pixels - self.mean).square().mean().sqrt().clamp(min=0.01))

    @property
    def codes(self) -> Tensor:
        """`[K, C]` latents of every tile."""
        return (self.tiles.float() / 255 - self.mean) / self.spread

    def encode(self, frames: Tensor) -> Tensor:
        """`[..., H, W, 3]` uint8 to latents `[..., N, D]`, D = P * C."""
        pixels = cut(frames.float() / 255, self.shape)
        return self._code(nearest((pixels - self.mean) / self.spread, self.codes))

    def snap(self, latents: Tensor) -> Tensor:
        """Moves latents `[..., N, D]` to those of the nearest tiles."""
        return self._code(self.ids(latents))

    def ids(self, latents: Tensor) -> Tensor:
        """The nearest tiles of latents `[..., N, D]`: `[..., N, P]` int64."""
        return nearest(latents.float().unflatten(-1, (self.shape.parts, -1)), self.codes)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents `[..., N, D]` to pixels `[..., H, W, 3]` in [0, 1]."""
        return laid(self.tiles[self.ids(latents)].float() / 255, self.shape)

    def decode_last(self, latents: Tensor, count: Tensor) -> Tensor:
        """The last frame of `[B, T, N, D]`, as pixels `[B, H, W, 3]`; `count` is not needed."""
        del count
        return self.decode(latents[:, -1])

    def _code(self, ids: Tensor) -> Tensor:
        return self.codes[ids].flatten(-2)


def nearest(points: Tensor, codes: Tensor) -> Tensor:
    """Which of `[K, C]` codes is nearest to points `[..., C]`, `[...]` int64."""
    return (points @ codes.T - codes.square().sum(-1) / 2).argmax(-1)


def cut(frames: Tensor, shape: TileShape) -> Tensor:
    """`[..., H, W, 3]` to tiles `[..., N, P, C]`, token by token."""
    patches = patchify(frames, shape.patch)
    return patchify(patches.unflatten(-1, (shape.patch, shape.patch, 3)), shape.tile)


def laid(tiles: Tensor, shape: TileShape) -> Tensor:
    """Tiles `[..., N, P, C]` to frames `[..., H, W, 3]`; undoes `cut`."""
    patches = unpatchify(tiles, shape.tile, (shape.patch, shape.patch))
    return unpatchify(patches.flatten(-3), shape.patch, shape.frame)


def find_tiles(shape: TileShape, recordings: Iterable[Tensor]) -> tuple[TileShape, Tensor]:
    """The tiles that recordings are laid out of, of the side that leaves the least to choose from.

    Args:
      shape: whose tile and kinds are to be found.
      recordings: `[T, H, W, 3]` uint8 each; may be gone through more than once.

    Returns:
      The whole shape, and `[K, C]` uint8 tiles in a fixed order.

    Raises:
      WorldloomError: there are too many different ones of every side.
    """
    choices = []
    for side in SIDES:
        found = _different(TileShape(shape.frame, shape.patch, side), recordings)
        if found is not None:
            choices.append((TileShape(shape.frame, shape.patch, side, len(found)), found))
    if choices:  # to choose from in every token: its tiles, and which each may be
        return min(choices, key=lambda choice: choice[0].parts * choice[0].kinds)
    raise WorldloomError(
        f"these pictures are not laid out of tiles: more than {MOST_KINDS} different ones of "
        f"{SIDES[-1]}x{SIDES[-1]} pixels",
        "choose another size, such as nano",
    )


def _different(shape: TileShape, recordings: Iterable[Tensor]) -> Tensor | None:
    """All different tiles `[K, C]`, None where there are too many."""
    found = torch.zeros(0, shape.tile**2 * 3, dtype=torch.uint8)
    for frames in recordings:
        fresh = torch.unique(cut(frames, shape).flatten(0, -2), dim=0)
        found = torch.unique(torch.cat([found, fresh]), dim=0)
        if len(found) > MOST_KINDS:
            return None
    return found
