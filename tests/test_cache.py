"""The ring cache equals the whole history under the sliding mask, also after it has wrapped."""

import pytest
import torch
from worlds import keys, tiny_dynamics

from worldloom.models.cache import Ring
from worldloom.models.walk import Walk

WINDOW = 5
PATHS = {"copy": 2, "columns": 2}  # round the layers, from frame to frame


def commit_all(model, latents, signal, size, action):
    """Feeds frames one at a time through the ring; returns each frame's output."""
    shape = model.shape
    rows, length = latents.shape[:2]
    head = (shape.kv_heads, shape.width // shape.heads)
    ring = Ring.empty(rows, shape.ring_slots(), head, shape.window, latents)
    outputs = []
    before = latents.new_zeros(rows, shape.tokens, shape.copy * shape.channels)
    for t in range(length):
        walk = Walk(model, model.action(action[:, t]), ring.past(), before)
        given = latents[:, t], int(signal[0, t]), int(size[0, t])
        out = walk.denoise(*given)
        ring.commit(walk.remember(*given))
        before = torch.cat([latents[:, t], before], -1)[..., : before.shape[-1]]
        outputs.append(out)
    return torch.stack(outputs, 1), ring


@pytest.mark.parametrize(
    ("layers", "time_every", "paths"), [(4, 2, {}), (8, 4, {}), (4, 2, PATHS), (3, 2, {})]
)
@torch.no_grad()
def test_ring_equals_full_history_for_three_windows(layers, time_every, paths):
    model = tiny_dynamics(layers=layers, time_every=time_every, window=WINDOW, **paths)
    length = 3 * WINDOW + 2
    latents = torch.randn(2, length, model.shape.tokens, model.shape.channels)
    signal = torch.full((2, length), model.shape.grid - 1)
    size = torch.full((2, length), 3)
    action = keys(2, length)
    whole = model(latents, signal, size, action, None)
    ringed, ring = commit_all(model, latents, signal, size, action)
    assert torch.allclose(whole, ringed, atol=1e-4)
    assert ring.count.tolist() == [length, length]


@pytest.mark.parametrize("paths", [{}, PATHS, {**PATHS, "steered": True}])
@torch.no_grad()
def test_training_on_the_committed_past_sees_what_generation_sees(paths):
    """The last frames, denoised all at once, and one by one with the past in a ring."""
    model = tiny_dynamics(layers=4, time_every=2, window=WINDOW, **paths)
    shape, length, first = model.shape, 2 * WINDOW + 1, 3
    committed = torch.randn(2, length - 1, shape.tokens, shape.channels)
    noisy = torch.randn(2, length - first, shape.tokens, shape.channels)
    signal = torch.randint(0, shape.grid, (length - first,)).expand(2, -1)
    size = torch.randint(0, shape.grid.bit_length(), (length - first,)).expand(2, -1)
    action = keys(2, length)
    at_once = model(noisy, signal, size, action, None, committed)
    last = torch.full((2, 1), shape.grid - 1)
    finest = torch.full((2, 1), shape.grid.bit_length() - 1)
    for frame in range(first, length):
        past = committed[:, :frame]
        _, ring = commit_all(
            model, past, last.expand(-1, frame), finest.expand(-1, frame), action[:, :frame]
        )
        before = torch.cat(
            [past[:, -age] for age in range(1, shape.copy + 1)] or [past[:, 0, :, :0]], -1
        )
        walk, place = (
            Walk(model, model.action(action[:, frame]), ring.past(), before),
            frame - first,
        )
        one = walk.denoise(noisy[:, place], int(signal[0, place]), int(size[0, place]))
        assert torch.allclose(at_once[:, place], one, atol=1e-5)


@torch.no_grad()
def test_a_reading_pass_leaves_the_ring_alone():
    model = tiny_dynamics(window=WINDOW)
    latents = torch.randn(2, 7, model.shape.tokens, model.shape.channels)
    level = torch.full((2, 7), 7)
    _, ring = commit_all(model, latents, level, torch.full((2, 7), 3), keys(2, 7))
    before = ring.copy()
    now, none = torch.randn(latents[:, 0].shape), latents.new_zeros(2, model.shape.tokens, 0)
    Walk(model, model.action(keys(2)), ring.past(), none).denoise(now, 7, 0)
    for old, new in zip((*before.k, *before.v), (*ring.k, *ring.v), strict=True):
        places = slice(0, model.shape.window - 1)  # the last place of v is scratch
        assert torch.equal(old[:, :, :, places], new[:, :, :, places])


@torch.no_grad()
def test_rows_of_different_age_share_a_ring():
    model = tiny_dynamics(window=WINDOW)
    latents = torch.randn(2, 12, model.shape.tokens, model.shape.channels)
    signal, size, action = torch.full((2, 12), 7), torch.full((2, 12), 3), keys(2, 12)
    together, _ = commit_all(model, latents, signal, size, action)
    _, young = commit_all(model, latents[:1, :3], signal[:1, :3], size[:1, :3], action[:1, :3])
    _, old = commit_all(model, latents[1:, :9], signal[1:, :9], size[1:, :9], action[1:, :9])
    ring = Ring.stack([young, old])
    now = torch.stack([latents[0, 3], latents[1, 9]])
    known = torch.stack([action.values["keys"][0, 3], action.values["keys"][1, 9]])
    token = model.action(type(action)({"keys": known}, torch.ones(2, dtype=torch.bool)))
    none = now.new_zeros(*now.shape[:2], 0)
    out = Walk(model, token, ring.past(), none).denoise(now, 7, 3)
    assert torch.allclose(out[0], together[0, 3], atol=1e-4)
    assert torch.allclose(out[1], together[1, 9], atol=1e-4)


def test_ages_count_back_from_the_frame_to_come():
    ring = Ring.empty(3, [1], (1, 2), 4, torch.zeros(()))
    ring.count = torch.tensor([0, 2, 7])
    assert ring.age().tolist() == [[4, 4, 4], [2, 1, 4], [1, 3, 2]]


@pytest.mark.parametrize("length", [2, WINDOW - 1, 2 * WINDOW + 3])
@torch.no_grad()
def test_frames_put_back_give_the_same_ring(length):
    model = tiny_dynamics(window=WINDOW)
    latents = torch.randn(2, length + 3, model.shape.tokens, model.shape.channels)
    level = torch.full((2, length + 3), 7)
    action = keys(2, length + 3)
    _, old = commit_all(model, latents, level, torch.full_like(level, 3), action)
    few = [x[:, :length] for x in (latents, level, torch.full_like(level, 3))]
    _, young = commit_all(model, *few, action[:, :length])
    ring = Ring.stack([young[:1], old[1:]])
    frames = [ring.frame(age) for age in range(1, WINDOW)]
    again = ring.copy()
    for part in (*again.k, *again.v):
        part.zero_()
    again.refill(frames, ring.count)
    assert again.count.tolist() == [length, length + 3]
    for a, b in zip((*ring.k, *ring.v), (*again.k, *again.v), strict=True):
        places = slice(0, WINDOW - 1)  # the last place of v is scratch
        assert torch.equal(a[:, :, :, places], b[:, :, :, places])
    unwritten = ring.age() > WINDOW - 1
    assert unwritten.sum() == max(0, WINDOW - 1 - length)
