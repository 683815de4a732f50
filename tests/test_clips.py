import numpy as np
import pytest
import torch

from worldloom.actions import ActionSpec, Binary
from worldloom.data.clips import ClipCache, ClipSampler
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError

SPEC = ActionSpec((Binary("keys", ("left", "right")),))


def make_store(path, lengths, *, size=(8, 8), codec="lossless", first=0):
    """Frames, actions and rewards all say (episode, frame), so that any window can be judged."""
    info = StoreInfo(SPEC, {"main": size}, 20.0, sensors={"place": 2}, codec=codec)
    store = Store.open_or_create(path, info)
    for number, length in enumerate(lengths, first):
        frames = np.zeros((length, *size, 3), np.uint8)
        frames[..., 0] = number
        frames[..., 1] = np.arange(length)[:, None, None]
        place = np.stack([np.full(length, number), np.arange(length)], 1).astype(np.float32)
        bits = np.arange(length)
        store.append(
            Episode(
                frames=frames,
                actions={"keys": np.stack([bits & 1, bits >> 1 & 1], 1).astype(np.uint8)},
                action_known=np.ones(length, bool),
                reward=place[:, 1],
                terminated=number % 2 == 0,
                sensors={"place": place},
                seed=number,
            ),
            split="train",
        )
    return store


def judge(clip, *, cache, length):
    """Every window is consecutive, inside one episode, and its columns belong together."""
    place = clip.sensors["place"].numpy()
    episode, frame = place[..., 0], place[..., 1]
    assert (episode == episode[:, :1]).all()
    assert (np.diff(frame, axis=1) == 1).all()
    assert place.shape[1] == length
    np.testing.assert_array_equal(clip.reward, frame)
    np.testing.assert_array_equal(clip.actions.known, frame > 0)
    keys = clip.actions.values["keys"].numpy()
    np.testing.assert_array_equal(keys[..., 0] + 2 * keys[..., 1], frame % 4)
    ends = np.array([cache.lengths[int(e)] - 1 for e in episode[:, 0]])
    expected = (frame == ends[:, None]) & (episode % 2 == 0)
    np.testing.assert_array_equal(clip.terminated, expected)
    if clip.frames:
        frames = clip.frames["main"].numpy()
        np.testing.assert_array_equal(frames[..., 0, 0, 0], episode)
        np.testing.assert_array_equal(frames[..., 7, 7, 1], frame)
        assert frames.dtype == np.uint8


def test_windows_hold_what_they_should(tmp_path):
    store = make_store(tmp_path / "s", [5, 30, 3, 12])
    cache = ClipCache.open(store, tmp_path / "c")
    sampler = ClipSampler(cache, 4, 16, seed=3)
    assert sampler.skipped() == 1
    for step in range(20):
        clip = sampler.batch(step)
        judge(clip, cache=cache, length=4)
        assert clip.frames["main"].shape == (16, 4, 8, 8, 3)
    judge(sampler.batch(0, length=12, batch=2), cache=cache, length=12)


def test_steps_are_pure_and_ranks_share_one_batch(tmp_path):
    store = make_store(tmp_path / "s", [20, 30])
    cache = ClipCache.open(store, tmp_path / "c")
    a, b = (ClipSampler(cache, 4, 8, seed=3) for _ in range(2))
    b.batch(0), b.batch(1)
    whole = a.batch(7).sensors["place"]
    assert torch.equal(whole, b.batch(7).sensors["place"])
    assert not torch.equal(whole, a.batch(8).sensors["place"])
    assert not torch.equal(whole, ClipSampler(cache, 4, 8, seed=4).batch(7).sensors["place"])
    parts = [a.batch(7, rank=rank, world_size=4).sensors["place"] for rank in range(4)]
    assert torch.equal(whole, torch.cat(parts))
    with pytest.raises(WorldloomError, match="cannot be divided among 3 ranks"):
        a.batch(7, rank=0, world_size=3)
