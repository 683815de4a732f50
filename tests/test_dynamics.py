"""The dynamics transformer: causality, unlabelled actions, images, grouped queries, sizes."""

import pytest
import torch
from worlds import ACTIONS, keys, tiny_dynamics, tiny_shape

from worldloom.actions import Action, ActionSpec, Binary, Categorical, Continuous
from worldloom.configs import SIZES
from worldloom.errors import WorldloomError
from worldloom.models.actions import ActionEncoder
from worldloom.models.blocks import LOGIT_CAP, Attention, attend, rotary_angles, rotate, time_mask
from worldloom.models.dynamics import Dynamics


def inputs(model, batch=3, length=7, seed=0):
    draws = torch.Generator().manual_seed(seed)
    shape = model.shape
    noisy = torch.randn(batch, length, shape.tokens, shape.channels, generator=draws)
    signal = torch.randint(0, shape.grid, (batch, length), generator=draws)
    size = torch.randint(0, shape.grid.bit_length(), (batch, length), generator=draws)
    return noisy, signal, size, keys(batch, length)


@pytest.mark.parametrize(("committed", "copy"), [(False, 0), (True, 0), (True, 1), (True, 2)])
def test_nothing_before_a_changed_frame_or_action_changes(committed, copy):
    model = tiny_dynamics(copy=copy, columns=copy)
    noisy, signal, size, action = inputs(model)
    past = torch.randn(noisy[:, 1:].shape) if committed else None
    base = model(noisy, signal, size, action, None, past)
    for at in (2, 5):
        other = noisy.clone()
        other[:, at] += 1
        changed = model(other, signal, size, action, None, past)
        assert torch.equal(base[:, :at], changed[:, :at])
        assert not torch.equal(base[:, at], changed[:, at])
        values = action.values["keys"].clone()
        values[:, at] ^= 1
        acted = model(noisy, signal, size, Action({"keys": values}, action.known), None, past)
        assert torch.equal(base[:, :at], acted[:, :at])
        assert not torch.equal(base[:, at], acted[:, at])


def test_a_frame_reads_exactly_its_window():
    model = tiny_dynamics(layers=2, window=3)  # one time layer: the reach is the window
    noisy, signal, size, action = inputs(model)
    base = model(noisy, signal, size, action, None)
    other = noisy.clone()
    other[:, 1] += 1
    changed = (model(other, signal, size, action, None) != base).flatten(2).any(-1).any(0)
    assert changed.tolist() == [False, True, True, True, False, False, False]


def test_committed_frames_replace_the_noisy_past_but_not_the_frame_itself():
    model = tiny_dynamics()
    noisy, signal, size, action = inputs(model)
    past = torch.randn(noisy[:, 1:].shape)
    base = model(noisy, signal, size, action, None, past)
    other = noisy.clone()
    other[:, 2] += 1
    changed = (model(other, signal, size, action, None, past) != base).flatten(2).any(-1).any(0)
    assert changed.tolist() == [False, False, True, False, False, False, False]
    later = past.clone()
    later[:, 2] += 1
    changed = (model(noisy, signal, size, action, None, later) != base).flatten(2).any(-1).any(0)
    assert changed.tolist() == [False, False, False, True, True, True, True]


def test_an_unlabelled_row_does_not_depend_on_its_action_values_or_neighbours():
    model = tiny_dynamics()
    noisy, signal, size, action = inputs(model)
    known = action.known.clone()
    known[1] = False
    base = model(noisy, signal, size, Action(action.values, known), None)[1]
    garbage = action.values["keys"].clone()
    garbage[1] = 77
    other = model(noisy, signal, size, Action({"keys": garbage}, known), None)[1]
    assert torch.equal(base, other)
    garbage[0] ^= 1
    known[2] = False
    assert torch.equal(base, model(noisy, signal, size, Action({"keys": garbage}, known), None)[1])


def test_unlabelled_continuous_values_may_be_nan():
    spec = ActionSpec((Continuous("stick", (-1.0, 0.0), (1.0, 4.0)), Categorical("item", 3)))
    encoder = ActionEncoder(spec, 8)
    known = torch.tensor([True, False])
    values = {
        "stick": torch.tensor([[0.5, 1.0], [float("nan")] * 2]),
        "item": torch.tensor([2, -9]),
    }
    token = encoder(Action(values, known))
    assert torch.isfinite(token).all()
    assert torch.equal(token[1], encoder.base)
    assert not torch.equal(token[0], encoder.base)


def test_unknown_is_not_the_null_action():
    encoder = ActionEncoder(ACTIONS, 8)
    null = {"keys": torch.zeros(1, 3, dtype=torch.uint8)}
    known = encoder(Action(null, torch.tensor([True])))
    assert not torch.allclose(known, encoder(Action(null, torch.tensor([False]))))


def test_several_actions_a_frame_each_count():
    spec = ActionSpec((Binary("keys", ("a",)), Categorical("item", 3)), per_frame=2)
    encoder = ActionEncoder(spec, 8)
    yes = torch.ones(1, dtype=torch.bool)
    values = {"keys": torch.zeros(1, 2, 1), "item": torch.tensor([[0, 1]])}
    swapped = {**values, "item": torch.tensor([[1, 0]])}
    assert not torch.allclose(encoder(Action(values, yes)), encoder(Action(swapped, yes)))


@pytest.mark.parametrize("copy", [0, 1, 2])
def test_image_rows_see_only_their_own_frame_and_no_action(copy):
    model = tiny_dynamics(copy=copy, columns=copy)
    noisy, signal, size, action = inputs(model)
    alone = torch.tensor([False, True, False])
    base = model(noisy, signal, size, action, alone)
    other = noisy.clone()
    other[:, 2] += 1
    values = {"keys": action.values["keys"] ^ 1}
    changed = model(other, signal, size, Action(values, action.known), alone) != base
    assert changed[1].flatten(1).any(-1).tolist() == [t == 2 for t in range(7)]


def test_grouped_attention_equals_plain_attention_with_repeated_keys():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 2, 5, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    mask = time_mask(5, 3)
    out = attend(q, k, v, mask[:, None])
    for head in range(2):
        for group in range(3):
            logits = q[:, head, :, group] @ k[:, head].transpose(1, 2) / 8**0.5
            logits = LOGIT_CAP * torch.tanh(logits / LOGIT_CAP)
            plain = torch.softmax(logits.masked_fill(~mask, -torch.inf), -1) @ v[:, head]
            assert torch.allclose(out[:, head, :, group], plain, atol=1e-5)


def test_logits_never_exceed_the_cap():
    q = torch.full((1, 1, 1, 1, 4), 1e4)
    k = torch.stack([torch.full((4,), 1e4), torch.full((4,), -1e4)])[None, None]
    v = torch.tensor([[1.0], [0.0]])[None, None].expand(1, 1, 2, 4)
    weight = attend(q, k, v, None)[0, 0, 0, 0, 0]
    assert torch.allclose(weight, torch.sigmoid(torch.tensor(2 * LOGIT_CAP)))


def test_queries_and_keys_are_normalised():
    attention = Attention(32, 4, 2)
    q, k, _ = attention.project(1000 * torch.randn(3, 32))
    for part in (q, k):
        assert torch.allclose(part.square().mean(-1), torch.ones(part.shape[:-1]), atol=1e-3)


def test_rotary_scores_depend_on_distance_only():
    torch.manual_seed(0)
    q, k = torch.randn(8), torch.randn(8)

    def score(m, n):
        a = rotate(q, *rotary_angles(torch.tensor(m), 8))
        b = rotate(k, *rotary_angles(torch.tensor(n), 8))
        return float(a @ b)

    assert abs(score(5, 2) - score(1003, 1000)) < 1e-4
    assert abs(score(5, 2) - score(5, 3)) > 1e-3


def test_initial_spread_is_one_over_root_of_fan_in():
    model = Dynamics(tiny_shape(width=128, heads=8, hidden=512), ACTIONS).requires_grad_(False)
    up = model.layers[0].mlp.up.weight
    assert abs(float(up.std()) - 128**-0.5) < 0.05 * 128**-0.5
    down = model.layers[0].mlp.down.weight
    assert abs(float(down.std()) - 512**-0.5 / (2 * 4) ** 0.5) < 0.01
    assert float(model.head.weight.abs().max()) == 0.0


@pytest.mark.parametrize(
    ("name", "tokenizer", "dynamics"),
    [
        ("nano", 0.0, 0.534),
        ("tiny", 2.17, 8.41),
        ("small", 38.1, 99.3),
        ("base", 152.8, 429.0),
        ("large", 406.3, 1624.1),
    ],
)
def test_sizes_have_the_parameters_that_are_printed(name, tokenizer, dynamics):
    from worldloom.models.patches import PatchShape
    from worldloom.models.tokenizer import Tokenizer

    size = SIZES[name]()
    with torch.device("meta"):
        counts = [sum(p.numel() for p in Dynamics(size.dynamics, ACTIONS).parameters())]
        if not isinstance(size.tokenizer, PatchShape):
            counts += [sum(p.numel() for p in Tokenizer(size.tokenizer).parameters())]
    assert counts[0] / 1e6 == pytest.approx(dynamics, rel=0.01)
    if tokenizer:
        assert counts[1] / 1e6 == pytest.approx(tokenizer, rel=0.01)
    assert size.dynamics.tokens == size.tokenizer.tokens
    assert size.dynamics.channels == size.tokenizer.channels


def test_near_is_a_convolution_over_the_patches():
    """The plain version: torch's own 3x3 convolution with the same weights."""
    near = tiny_dynamics(tokens=6, columns=3, copy=2).near
    before, action = torch.randn(2, 5, 6, 2 * 6), torch.randn(2, 5, 32)
    grid = near.few(before).view(10, 2, 3, -1).permute(0, 3, 1, 2)
    weight = near.mix.weight.view(32, 3, 3, 16).permute(0, 3, 1, 2)
    plain = torch.nn.functional.conv2d(grid, weight, padding=1)
    plain = plain.permute(0, 2, 3, 1).reshape(2, 5, 6, 32)
    assert torch.allclose(near(before, action), plain, atol=1e-5)


@torch.no_grad()
def test_a_steered_near_weighs_each_neighbour_by_action_and_place():
    """The plain version: neighbour by neighbour."""
    near = tiny_dynamics(tokens=6, columns=3, copy=2, steered=True).near
    before, action = torch.randn(2, 5, 6, 2 * 6), torch.randn(2, 5, 32)
    few, turn = near.few(before), near.steer(action).view(2, 5, 9, 32)
    plain = torch.zeros(2, 5, 6, 32)
    for n in range(6):
        for k in range(9):
            y, x = n // 3 + k // 3 - 1, n % 3 + k % 3 - 1
            if 0 <= y < 2 and 0 <= x < 3:
                place = near.place.view(6, 9, 32)[n, k]
                seen = few[:, :, 3 * y + x] * (1 + turn[:, :, k] * place)
                plain[:, :, n] += seen @ near.mix.weight.view(32, 9, 32)[:, k].T
    assert torch.allclose(near(before, action), plain, atol=1e-5)
    assert not torch.allclose(near(before, action), near(before, -action), atol=0.1)


@pytest.mark.parametrize(
    "wrong", [{"columns": 2}, {"columns": 3, "copy": 1}, {"copy": 1, "steered": True}]
)
def test_paths_that_do_not_fit_are_refused(wrong):
    with pytest.raises(WorldloomError):
        tiny_shape(**wrong)
