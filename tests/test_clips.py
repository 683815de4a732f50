"""Windows: what they hold, which are drawn, and what the cache survives."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from worldloom.actions import ActionSpec, Binary
from worldloom.data import video
from worldloom.data.clips import ClipCache, ClipSampler, prefetch
from worldloom.data.latents import open_latents, write_latents
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


def test_every_start_is_equally_likely_and_weights_multiply(tmp_path):
    store = make_store(tmp_path / "s", [5, 9, 3, 4])
    cache = ClipCache.open(store, tmp_path / "c")
    episodes, starts = ClipSampler(cache, 4, 1, seed=0).draw(0, length=4, batch=90_000)
    seen = {(0, s) for s in range(2)} | {(1, s) for s in range(6)} | {(3, 0)}
    counts = {key: 0 for key in seen}
    for key in zip(episodes.tolist(), starts.tolist(), strict=True):
        counts[key] += 1
    assert all(9_500 < n < 10_500 for n in counts.values()), counts
    weighted = ClipSampler(cache, 4, 8, seed=0, weights=[2.0, 0.0, 1.0, 6.0])
    episodes, starts = weighted.draw(0, length=4, batch=90_000)
    assert set(episodes.tolist()) == {0, 3}
    assert 0.38 < (episodes == 0).mean() < 0.42
    assert 0.48 < (starts[episodes == 0] == 0).mean() < 0.52
    clip = weighted.batch(1)
    by_episode = np.array([2.0, 0.0, 1.0, 6.0])
    np.testing.assert_array_equal(clip.weight, by_episode[clip.sensors["place"][:, 0, 0].int()])


def test_a_cache_that_grew_gives_the_windows_of_one_built_afresh(tmp_path, monkeypatch):
    make_store(tmp_path / "s", [20, 25])
    store = Store.open(tmp_path / "s")
    ClipCache.open(store, tmp_path / "c", names=[store.episodes[1].name])
    store = make_store(tmp_path / "s", [15, 30], first=2)
    decoded = []
    real = video.decode
    spy = lambda source, *a, **k: decoded.append(source.parent.name) or real(source, *a, **k)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(video, "decode", spy)
        grown = ClipCache.open(store, tmp_path / "c")
        assert sorted(decoded) == [row.name for row in store.episodes if row.seed != 1]
        decoded.clear()
        ClipCache.open(store, tmp_path / "c")
        assert decoded == []
    fresh = ClipCache.open(store, tmp_path / "d")
    assert grown.layout != fresh.layout
    for step in range(5):
        a, b = (ClipSampler(c, 8, 6, seed=1).batch(step) for c in (grown, fresh))
        assert torch.equal(a.frames["main"], b.frames["main"])
        judge(a, cache=grown, length=8)
    pinned = ClipCache.open(store, tmp_path / "c", names=[r.name for r in store.episodes[1::-1]])
    before = ClipCache.open(store, tmp_path / "e", names=[r.name for r in store.episodes[:2]])
    assert len(pinned) == 2
    for step in range(5):
        a, b = (ClipSampler(c, 8, 6, seed=1).batch(step) for c in (pinned, before))
        assert torch.equal(a.frames["main"], b.frames["main"])


def test_what_lies_beyond_the_limit_is_read_from_the_video(tmp_path):
    store = make_store(tmp_path / "s", [20, 25, 30])
    limit = 50 * 8 * 8 * 3
    small = ClipCache.open(store, tmp_path / "c", limit_bytes=limit)
    whole = ClipCache.open(store, tmp_path / "d")
    assert (tmp_path / "c" / "frames-main.u8").stat().st_size == 45 * 8 * 8 * 3 <= limit
    assert small.layout.decoded == 2
    for step in range(10):
        a, b = (ClipSampler(c, 8, 6, seed=1).batch(step) for c in (small, whole))
        judge(a, cache=small, length=8)
        assert torch.equal(a.frames["main"], b.frames["main"])
    grown = ClipCache.open(store, tmp_path / "c", limit_bytes=10**6)
    assert grown.layout.decoded == 3
    none = ClipCache.open(store, tmp_path / "c", limit_bytes=0)
    assert not (tmp_path / "c" / "frames-main.u8").exists()
    judge(ClipSampler(none, 8, 6, seed=1).batch(0), cache=none, length=8)
    judge(ClipSampler(grown, 8, 6, seed=1).batch(0), cache=grown, length=8)


def test_large_video_is_read_by_key_frame(tmp_path):
    store = make_store(tmp_path / "s", [40], size=(130, 132), codec="h264")
    (name,) = store.split("train")
    assert (store.folder(name) / "main.mp4").exists()
    direct = ClipCache.open(store, tmp_path / "c", limit_bytes=0).window(0, 21, 29)
    cached = ClipCache.open(store, tmp_path / "d").window(0, 21, 29)
    assert torch.equal(direct.frames["main"], cached.frames["main"])
    assert direct.sensors["place"][0, 0].tolist() == [0, 21]


def test_a_cache_whose_files_were_damaged_is_built_again(tmp_path):
    store = make_store(tmp_path / "s", [20, 25])
    good = ClipCache.open(store, tmp_path / "c").window(1, 3, 9)
    frames = tmp_path / "c" / "frames-main.u8"
    damages = [
        lambda: frames.write_bytes(frames.read_bytes()[:-1]),
        frames.unlink,
        lambda: (tmp_path / "c" / "layout.json").write_text("{"),
        (tmp_path / "c" / "layout.json").unlink,
        lambda: next((tmp_path / "c" / "steps").glob("*")).unlink(),
        lambda: next((tmp_path / "c" / "steps").glob("*")).write_bytes(b"x"),
    ]
    for damage in damages:
        damage()
        again = ClipCache.open(store, tmp_path / "c").window(1, 3, 9)
        assert torch.equal(good.frames["main"], again.frames["main"])
        assert torch.equal(good.reward, again.reward)


def test_another_store_at_the_same_place_rebuilds_the_cache(tmp_path):
    one = make_store(tmp_path / "s", [20])
    ClipCache.open(one, tmp_path / "c")
    two = make_store(tmp_path / "t", [20], first=5)
    cache = ClipCache.open(two, tmp_path / "c")
    assert cache.window(0, 0, 4).sensors["place"][0, 0, 0] == 5


def test_impossible_requests_are_one_sentence(tmp_path):
    store = make_store(tmp_path / "s", [5, 3])
    cache = ClipCache.open(store, tmp_path / "c")
    with pytest.raises(
        WorldloomError, match="no episode can give a window of 6 frames: the longest"
    ):
        ClipSampler(cache, 6, 4, seed=0)
    with pytest.raises(WorldloomError, match="no episode can give"):
        ClipSampler(cache, 2, 4, seed=0, weights=[0, 0])
    with pytest.raises(WorldloomError, match=r"weights of shape \(3,\) do not fit 2"):
        ClipSampler(cache, 2, 4, seed=0, weights=[1, 1, 1])
    for start, stop in [(-1, 2), (2, 6), (2, 2)]:
        with pytest.raises(WorldloomError, match="leaves episode"):
            cache.window(0, start, stop)
    with pytest.raises(WorldloomError, match="has no episodes in its heldout split"):
        ClipCache.open(store, tmp_path / "h", split="heldout")


def test_a_broken_episode_names_the_file_and_the_repair(tmp_path):
    store = make_store(tmp_path / "s", [5, 9])
    video_file = store.folder(store.split("train")[1]) / "main.mov"
    video_file.write_bytes(video_file.read_bytes()[:-7])
    with pytest.raises(WorldloomError, match=r"main\.mov") as error:
        ClipCache.open(store, tmp_path / "c")
    assert error.value.hint == f"worldloom check {tmp_path / 's'} --repair"


def test_latents_lie_where_their_frames_do(tmp_path):
    store = make_store(tmp_path / "s", [20, 25, 9])
    cache = ClipCache.open(store, tmp_path / "c")
    calls = []

    def encode(frames):
        main = frames["main"]
        calls.append(len(main))
        return torch.stack([main[:, 0, 0, :2], main[:, 7, 7, :2]], 1).float()

    kind = {"identity": "abc", "shape": (2, 2)}
    with pytest.raises(WorldloomError, match="has latents `abc` of 0 of its 3 episodes"):
        open_latents(cache, "abc")
    latents = write_latents(cache, encode, **kind)
    assert sorted(calls) == [9, 20, 25]
    clip = ClipSampler(latents, 8, 6, seed=1).batch(0)
    frames = ClipSampler(cache, 8, 6, seed=1).batch(0).frames["main"]
    assert clip.latents.shape == (6, 8, 2, 2) and clip.latents.dtype == torch.float16
    assert not clip.frames
    np.testing.assert_array_equal(clip.latents[:, :, 1], frames[:, :, 7, 7, :2])
    judge(clip, cache=cache, length=8)
    write_latents(cache, encode, **kind)
    assert len(calls) == 3
    store = make_store(tmp_path / "s", [11], first=3)
    cache = ClipCache.open(store, tmp_path / "c")
    with pytest.raises(WorldloomError, match="of 3 of its 4 episodes"):
        open_latents(cache, "abc")
    write_latents(cache, encode, **kind)
    assert calls[3:] == [11]
    again = ClipSampler(open_latents(cache, "abc"), 8, 6, seed=1).batch(0)
    np.testing.assert_array_equal(again.latents[..., 0, 0], again.sensors["place"][..., 0])


def test_latents_go_on_where_they_were_stopped(tmp_path, monkeypatch):
    store = make_store(tmp_path / "s", [20, 25, 9])
    cache = ClipCache.open(store, tmp_path / "c")
    monkeypatch.setattr("worldloom.data.latents._NOTE_EVERY", 0.0)
    calls = []

    def encode(frames):
        calls.append(len(frames["main"]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return frames["main"][:, :1, 0].float()

    with pytest.raises(KeyboardInterrupt):
        write_latents(cache, encode, identity="x", shape=(1, 3), dtype="float32")
    done = write_latents(cache, encode, identity="x", shape=(1, 3), dtype="float32")
    assert calls == [20, 25, 9, 9]
    clip = ClipSampler(done, 5, 16, seed=0).batch(0)
    np.testing.assert_array_equal(clip.latents[..., 0, :2], clip.sensors["place"])
    with pytest.raises(WorldloomError, match=r"gave latents \(20, 1, 3\), not \(20, 2, 3\)"):
        write_latents(cache, lambda f: f["main"][:, :1, 0].float(), identity="y", shape=(2, 3))


def test_prefetch_keeps_the_order_raises_what_is_raised_and_ends(tmp_path):
    store = make_store(tmp_path / "s", [20, 25])
    sampler = ClipSampler(ClipCache.open(store, tmp_path / "c"), 4, 3, seed=0)
    lengths = [4, 4, 9]
    ahead = prefetch(lambda step: sampler.batch(step, length=lengths[step % 3]), 5)
    for step in range(5, 15):
        clip = next(ahead)
        same = sampler.batch(step, length=lengths[step % 3])
        assert torch.equal(clip.frames["main"], same.frames["main"])
    ahead.close()

    def fail(step):
        if step == 2:
            raise WorldloomError("broken")
        return sampler.batch(step)

    ahead = prefetch(fail, 0)
    next(ahead), next(ahead)
    with pytest.raises(WorldloomError, match="broken"):
        next(ahead)


@pytest.mark.slow
def test_the_cache_survives_kill_9_and_two_builders(tmp_path):
    store = make_store(tmp_path / "s", [40] * 30, size=(64, 64))
    code = """
import os, sys, signal, time
from worldloom.data import cache, flat
from worldloom.data.store import Store
flat._NOTE_EVERY = 0.0
die = int(sys.argv[3])
def progress(done, total):
    if done == die:
        os.kill(os.getpid(), signal.SIGKILL)
cache.ClipCache.open(Store.open(sys.argv[1]), sys.argv[2], progress=progress)
"""
    run = lambda die: subprocess.Popen(  # noqa: E731
        [sys.executable, "-c", code, str(tmp_path / "s"), str(tmp_path / "c"), str(die)]
    )
    assert run(7).wait() == -9
    layout = json.loads((tmp_path / "c" / "layout.json").read_text())
    assert (len(layout["episodes"]), layout["decoded"]) == (30, 6)
    pair = [run(0), run(0)]
    assert [one.wait() for one in pair] == [0, 0]
    grown, fresh = (ClipCache.open(store, tmp_path / name) for name in "cd")
    assert grown.identity == fresh.identity
    for episode in range(30):
        a, b = grown.window(episode, 0, 40), fresh.window(episode, 0, 40)
        assert torch.equal(a.frames["main"], b.frames["main"])
