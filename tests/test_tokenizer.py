"""The learned tokenizer and the patch tokenizer."""

import pytest
import torch

from worldloom.models.patches import PatchShape, PatchTokenizer, patchify, to_bytes, unpatchify
from worldloom.models.tokenizer import Tokenizer, TokenizerShape
from worldloom.train.tokenizer import TokenizerObjective, draw_hidden

SHAPE = TokenizerShape(
    (16, 24), patch=8, latents=4, bottleneck=3, pack=2, width=32, layers=4, heads=4, window=3
)


def model(seed=0):
    torch.manual_seed(seed)
    return Tokenizer(SHAPE)


def frames(length=6, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(1, length, 16, 24, 3, generator=draws)


def test_patches_go_there_and_back():
    pictures = torch.rand(2, 3, 16, 24, 3)
    assert torch.equal(unpatchify(patchify(pictures, 8), 8, (16, 24)), pictures)
    one = torch.zeros(16, 24, 3)
    one[8:, 16:] = 1
    assert patchify(one, 8).sum(-1).tolist() == [0, 0, 0, 0, 0, 192]


def test_loss_covers_all_patches_without_any_mask():
    objective = TokenizerObjective(model())
    real = (frames() * 255).to(torch.uint8)
    loss = objective(real, torch.zeros(1, 6, SHAPE.patches, dtype=torch.bool))
    assert float(loss[0].detach()) > 0.01
    loss.sum().backward()
    grads = {name: p.grad for name, p in objective.model.named_parameters()}
    idle = {name for name, grad in grads.items() if grad is None or float(grad.abs().max()) == 0}
    assert idle <= {"masked"}  # everything else learns


def test_masked_patches_are_not_seen():
    tokenizer, real = model(), frames()
    hidden = torch.zeros(1, 6, SHAPE.patches, dtype=torch.bool)
    hidden[:, :, 2] = True
    base = tokenizer.squash(real, hidden)
    other = real.clone()
    other[:, :, :8, 16:] = 0.5  # patch 2
    assert torch.equal(base, tokenizer.squash(other, hidden))
    assert not torch.equal(base, tokenizer.squash(other))


def test_encoder_patches_see_only_patches_and_latents_see_all():
    side = model().encoder
    x = torch.randn(1, 1, SHAPE.patches + SHAPE.latents, 32)
    base = side(x)
    touched = x.clone()
    touched[:, :, SHAPE.patches] += 1  # a latent
    changed = (side(touched) != base).any(-1)[0, 0]
    assert not changed[: SHAPE.patches].any() and changed[SHAPE.patches :].all()
    touched = x.clone()
    touched[:, :, 0] += 1  # a patch
    assert (side(touched) != base).any(-1).all()


def test_decoder_latents_see_only_latents_and_patches_see_all():
    side = model().decoder
    x = torch.randn(1, 1, SHAPE.patches + SHAPE.latents, 32)
    base = side(x)
    touched = x.clone()
    touched[:, :, 0] += 1  # a patch query
    changed = (side(touched) != base).any(-1)[0, 0]
    assert changed[: SHAPE.patches].all() and not changed[SHAPE.patches :].any()
    touched = x.clone()
    touched[:, :, SHAPE.patches] += 1
    assert (side(touched) != base).any(-1).all()


def test_patches_skip_time_attention_and_its_residual():
    """Changing what a time layer adds must leave every encoder patch exactly alone."""
    tokenizer = model()
    x = torch.randn(1, 3, SHAPE.patches + SHAPE.latents, 32)
    base = tokenizer.encoder(x)
    time = tokenizer.encoder.layers[3]
    torch.nn.init.normal_(time.attention.out.weight, 0, 10.0)
    after = tokenizer.encoder(x)
    assert torch.equal(base[:, :, : SHAPE.patches], after[:, :, : SHAPE.patches])
    assert not torch.equal(base[:, :, SHAPE.patches :], after[:, :, SHAPE.patches :])


def test_nothing_before_a_changed_frame_changes():
    tokenizer, real = model(), frames()
    other = real.clone()
    other[:, 3] = 1 - other[:, 3]
    base, changed = tokenizer.squash(real), tokenizer.squash(other)
    assert torch.equal(base[:, :3], changed[:, :3])
    assert not torch.equal(base[:, 3], changed[:, 3])
    painted, repainted = tokenizer.paint(base), tokenizer.paint(changed)
    assert torch.equal(painted[:, :3], repainted[:, :3])
    assert not torch.equal(painted[:, 4], repainted[:, 4])  # and history is used


def test_the_last_frame_of_a_window_is_painted_as_in_the_whole():
    tokenizer = model()
    latents = torch.randn(1, 7, SHAPE.tokens, SHAPE.channels)
    whole = tokenizer.decode(latents)
    window = latents[:, -SHAPE.window :]
    last = tokenizer.decode_last(window, torch.tensor([7]))
    assert torch.allclose(whole[:, -1], last, atol=1e-5)
    padded = torch.cat([torch.full_like(window[:, :2], 9.0), latents[:, :1]], 1)
    first = tokenizer.decode_last(padded, torch.tensor([1]))  # two places never happened
    assert torch.allclose(whole[:, 0], first, atol=1e-5)


@torch.no_grad()
def test_bottleneck_is_bounded_and_calibrated_latents_have_unit_spread():
    tokenizer = model()
    real = (frames(40) * 255).to(torch.uint8)
    assert float(tokenizer.squash(real / 255).abs().max().detach()) < 1
    tokenizer.calibrate(real)
    latents = tokenizer.encode(real)
    assert latents.shape == (1, 40, SHAPE.tokens, SHAPE.channels)
    assert torch.allclose(latents.flatten(0, 2).mean(0), torch.zeros(SHAPE.channels), atol=1e-3)
    assert torch.allclose(latents.flatten(0, 2).std(0), torch.ones(SHAPE.channels), atol=1e-2)
    assert torch.allclose(tokenizer.snap(latents), latents, atol=1e-5)
    assert float((tokenizer.snap(latents + 100) * tokenizer.spread + tokenizer.mean).max()) <= 1.01


def test_frames_that_do_not_divide_are_padded():
    shape = TokenizerShape((13, 20), patch=8, latents=4, width=32, layers=4, heads=4, window=3)
    tokenizer = Tokenizer(shape)
    assert tokenizer.paint(tokenizer.squash(torch.rand(1, 2, 13, 20, 3))).shape == (1, 2, 13, 20, 3)


def test_mask_shares_are_uniform_up_to_nine_tenths():
    shape = TokenizerShape((64, 64), patch=4, latents=4)
    share = draw_hidden(shape, (20, 200), 0, 0).float().mean(-1)
    assert 0.43 < float(share.mean()) < 0.47
    assert float(share.max()) < 0.99 and float(share.min()) < 0.05


@pytest.mark.parametrize("channels", [192, 40])
def test_patch_tokenizer_keeps_what_it_says(channels):
    draws = torch.Generator().manual_seed(0)
    low = torch.randn(40, 192, generator=draws)
    flat = (torch.randn(500 * 4, 40, generator=draws) @ low * 0.02 + 0.5).clamp(0, 1)
    pictures = to_bytes(unpatchify(flat.view(500, 4, 192), 8, (16, 16)))
    tokenizer = PatchTokenizer(PatchShape((16, 16), 8, channels))
    left_out = tokenizer.fit(pictures)
    again = tokenizer.decode(tokenizer.encode(pictures))
    error = (again - pictures / 255).square().mean().sqrt()
    assert float(error) == pytest.approx(left_out, rel=0.05, abs=1e-4)
    if channels == 192:
        assert torch.equal(to_bytes(again), pictures)


def test_snapping_keeps_real_pictures_and_pulls_back_impossible_ones():
    pictures = (torch.rand(300, 16, 16, 3) * 255).to(torch.uint8)
    tokenizer = PatchTokenizer(PatchShape((16, 16), 8, 192))
    tokenizer.fit(pictures)
    latents = tokenizer.encode(pictures)
    assert torch.allclose(tokenizer.snap(latents), latents, atol=1e-3)
    assert float(tokenizer.decode(tokenizer.snap(latents * 10)).max()) <= 1.001
