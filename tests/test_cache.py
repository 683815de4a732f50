"""The ring cache equals the whole history under the sliding mask, also after it has wrapped."""

import pytest
import torch
from worlds import keys, tiny_dynamics

from worldloom.models.cache import Ring

WINDOW = 5


def commit_all(model, latents, signal, size, action):
    """Feeds frames one at a time through the ring; returns each frame's output."""
    shape = model.shape
    rows, length = latents.shape[:2]
    head = (shape.kv_heads, shape.width // shape.heads)
    ring = Ring.empty(rows, shape.ring_slots(), head, shape.window, latents.device)
    outputs = []
    before = torch.zeros_like(latents[:, 0])
    for t in range(length):
        token = model.action(action[:, t])
        past = ring.past()
        out, fresh = model.step(latents[:, t], signal[:, t], size[:, t], token, past, before)
        ring.commit(fresh)
        before = latents[:, t]
        outputs.append(out)
    return torch.stack(outputs, 1), ring


@pytest.mark.parametrize(
    ("layers", "time_every", "copy"), [(4, 2, False), (8, 4, False), (4, 2, True), (3, 2, False)]
)
@torch.no_grad()
def test_ring_equals_full_history_for_three_windows(layers, time_every, copy):
    model = tiny_dynamics(layers=layers, time_every=time_every, copy=copy, window=WINDOW)
    length = 3 * WINDOW + 2
    latents = torch.randn(2, length, model.shape.tokens, model.shape.channels)
    signal = torch.full((2, length), model.shape.grid - 1)
    size = torch.full((2, length), 3)
    action = keys(2, length)
    whole = model(latents, signal, size, action, None)
    ringed, ring = commit_all(model, latents, signal, size, action)
    assert torch.allclose(whole, ringed, atol=1e-4)
    assert ring.count.tolist() == [length, length]


@torch.no_grad()
def test_a_reading_pass_leaves_the_ring_alone():
    model = tiny_dynamics(window=WINDOW)
    latents = torch.randn(2, 7, model.shape.tokens, model.shape.channels)
    level = torch.full((2, 7), 7)
    _, ring = commit_all(model, latents, level, torch.full((2, 7), 3), keys(2, 7))
    before = ring.copy()
    token = model.action(keys(2))
    model.step(torch.randn(latents[:, 0].shape), level[:, 0], level[:, 0] * 0, token, ring.past())
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
    out, _ = model.step(now, signal[:, 0], size[:, 0], token, ring.past())
    assert torch.allclose(out[0], together[0, 3], atol=1e-4)
    assert torch.allclose(out[1], together[1, 9], atol=1e-4)


def test_ages_count_back_from_the_frame_to_come():
    ring = Ring.empty(3, [1], (1, 2), 4, torch.device("cpu"))
    ring.count = torch.tensor([0, 2, 7])
    assert ring.age().tolist() == [[4, 4, 4], [2, 1, 4], [1, 3, 2]]
