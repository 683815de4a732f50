"""Inventories after imagined steps: read off the right frame, compared by whole episodes."""

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recipes import craft_inventory as inventory
from recipes.craft import size_of
from recipes.craft_inventory import AHEAD, CONTEXT, Counted, big, eighth, plain
from worldloom.agents.choose import choose
from worldloom.data.cache import ClipCache
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.envs import CRAFT
from worldloom.models.dynamics import Dynamics
from worldloom.models.patches import PatchShape
from worldloom.models.tiles import TileShape
from worldloom.progress import Progress
from worldloom.world import Step


class ByHeart:
    """A world that knows how each recording goes on."""

    spec = SimpleNamespace(capabilities={"render"}, starts=("frames",), name="by heart")

    def __init__(self, cache: ClipCache, episodes: np.ndarray, starts: np.ndarray) -> None:
        frames = cache.clip(episodes, starts, length=CONTEXT + AHEAD).frames["main"].numpy()
        self.known = {f[:CONTEXT].tobytes(): f[CONTEXT - 1 :] for f in frames}

    def start(self, clip, seeds):
        futures = [self.known[frames.tobytes()] for frames in clip.frames["main"].numpy()]
        return (np.stack(futures), 0), Step()

    def step(self, state, action):
        return (state[0], state[1] + 1), Step()

    def render(self, state, camera):
        return torch.from_numpy(state[0][:, state[1]])

    def reconstruct(self, clip):
        return clip.frames["main"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> ClipCache:
    folder = tmp_path_factory.mktemp("inventory")
    keep = Keep(max_frames=90, heldout=0.0)
    record(CRAFT, folder / "s", episodes=2, policies=choose("expert"), workers=0, keep=keep)
    return ClipCache.open(Store.open(folder / "s"), folder / "c")


def test_a_perfect_world_has_no_error_and_persistence_that_of_the_ground_truth(cache):
    episodes, starts = inventory.stretches(cache, 11, seed=3)
    assert np.bincount(episodes).tolist() == [6, 6]
    world = ByHeart(cache, episodes, starts)
    quiet = Progress({"count": 0.0}, out=io.StringIO())
    quiet.begin("count")
    found = inventory.count({"world": world}, cache, n=11, seed=3, progress=quiet)
    assert (found["world"].counts == found["world"].truth).all()
    assert (found["tokenizer"].counts == found["tokenizer"].truth).all()
    told = [cache.store.read(name).info["counts"] for name in cache.names]
    for row, (episode, start) in enumerate(zip(episodes, starts, strict=True)):
        now = start + CONTEXT - 1
        assert (found["world"].truth[row] == told[episode][now + AHEAD]).all()
        assert (found["persistence"].counts[row] == told[episode][now]).all()
    assert (found["persistence"].counts != found["persistence"].truth).any()


def test_the_measures_by_hand():
    truth = np.zeros((4, 12), int)
    truth[:2, 0] = 3  # the first two had 3 of wood
    counts, before = truth.copy(), truth.copy()
    counts[0, 0], counts[3, 4] = 1, 1  # wrong by 2, and by 1
    before[:2, 0] = (2, 3)  # only in the first something changed
    found = inventory.measure(Counted(counts, truth, before, np.array([0, 0, 1, 1])))
    assert found["error"].value == pytest.approx(3 / 48) and found["error"].n == 2
    assert found["error_wood"].value == pytest.approx(0.5)
    assert found["error_stone"].value == pytest.approx(0.25)
    assert found["right"].value == 0.5
    assert found["right_changed"].value == 0 and found["right_changed"].n == 1


def test_the_large_world_has_about_eight_times_the_parameters(cache):
    def count(size):
        shape = replace(size.dynamics, kinds=258, parts=4)  # as the recordings show
        return sum(p.numel() for p in Dynamics(shape, cache.store.info.action).parameters())

    assert 7.5 < count(big(2)) / count(size_of(2)) < 8.5
    assert 7.5 < count(size_of(2)) / count(eighth(2)) < 8.5
    for other in (big(2), eighth(2)):
        assert (other.schedule, other.batches) == (size_of(2).schedule, size_of(2).batches)


def test_the_plain_world_is_as_large_and_paints():
    usual, other = size_of(2), plain(2)
    assert (other.schedule, other.batches) == (usual.schedule, usual.batches)
    named = ("width", "hidden", "layers", "heads", "window", "steered")
    assert all(getattr(other.dynamics, n) == getattr(usual.dynamics, n) for n in named)
    assert isinstance(other.tokenizer, PatchShape) and isinstance(usual.tokenizer, TileShape)
