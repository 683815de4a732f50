"""How pictures become latents: the three ways that there are."""

from worldloom.models.patches import PatchShape, PatchTokenizer
from worldloom.models.tiles import TileShape, TileTokenizer
from worldloom.models.tokenizer import Tokenizer, TokenizerShape

AnyTokenizer = Tokenizer | PatchTokenizer | TileTokenizer
AnyShape = TokenizerShape | PatchShape | TileShape

SHAPES: dict[str, type[AnyShape]] = {
    "learned": TokenizerShape,
    "patches": PatchShape,
    "tiles": TileShape,
}
"""What each is called in a run's configuration."""


def kind_of(shape: AnyShape) -> str:
    """What a tokenizer of this shape is called."""
    return next(name for name, own in SHAPES.items() if type(shape) is own)


def tokenizer_of(shape: AnyShape) -> AnyTokenizer:
    """The tokenizer of a shape, which has seen nothing yet."""
    if isinstance(shape, TileShape):
        return TileTokenizer(shape)
    return PatchTokenizer(shape) if isinstance(shape, PatchShape) else Tokenizer(shape)
