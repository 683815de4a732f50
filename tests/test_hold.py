"""What stands still in a dream stays as it is, to the byte; what moves is not held back."""

import pytest
import torch
from worlds import tiny_dynamics

from worldloom.errors import WorldloomError
from worldloom.models.dream import DreamWorld, Sampler, dream_spec
from worldloom.models.patches import PatchShape, PatchTokenizer, to_bytes
from worldloom.models.tokenizer import Tokenizer, TokenizerShape


def fitted(channels: int = 40) -> tuple[PatchTokenizer, torch.Tensor]:
    """A tokenizer of 16x16 pixels that loses something, and frames `[N, 16, 16, 3]`."""
    draws = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (200, 3, 4, 4), generator=draws).float()
    smooth = torch.nn.functional.interpolate(coarse, 16, mode="bilinear").permute(0, 2, 3, 1)
    tokenizer = PatchTokenizer(PatchShape((16, 16), 8, channels))
    tokenizer.fit(smooth.to(torch.uint8))
    return tokenizer, smooth.to(torch.uint8)


def shown(tokenizer: PatchTokenizer, latents: torch.Tensor) -> torch.Tensor:
    return to_bytes(tokenizer.decode(latents)).int()


@pytest.mark.parametrize("held", [True, False])
def test_small_errors_do_not_add_up(held: bool) -> None:
    tokenizer, frames = fitted()
    first = last = tokenizer.encode(frames[:2])
    push = 0.4 * torch.randn(first.shape, generator=torch.Generator().manual_seed(1)) / 255
    for _ in range(300):  # the same error in every frame, a fraction of a level
        drawn = last + push / tokenizer.spread
        last = tokenizer.hold(drawn, last, 6) if held else drawn
    off = (shown(tokenizer, last) - shown(tokenizer, first)).abs().amax()
    assert off == 0 if held else off > 20


def test_a_thing_that_moves_is_drawn_and_the_rest_is_held() -> None:
    tokenizer, frames = fitted(192)
    old, new = frames[:1], frames[:1].clone()
    new[:, 2:6, 2:6] = 255 - new[:, 2:6, 2:6] // 2
    noisy = (new.int() + torch.tensor([3, -3, 2])).clamp(0, 255).to(torch.uint8)
    made = shown(tokenizer, tokenizer.hold(tokenizer.encode(noisy), tokenizer.encode(old), 6))
    changed = (noisy.int() - old.int()).abs().amax(-1) > 6
    assert changed[:, 2:6, 2:6].float().mean() > 0.8
    assert (made[changed] - noisy.int()[changed]).abs().max() <= 1
    assert (made[~changed] - old.int()[~changed]).abs().max() <= 1


def test_tokens_that_are_no_patches_cannot_be_held() -> None:
    dynamics = tiny_dynamics()
    tokenizer = Tokenizer(TokenizerShape((16, 16), 8, 4, 8, 2, width=32, layers=2, heads=2))
    spec = dream_spec("tiny", (16, 16), dynamics.action.spec, 20.0)
    with pytest.raises(WorldloomError, match="hold=6"):
        DreamWorld(tokenizer, dynamics, spec, Sampler(hold=6))
