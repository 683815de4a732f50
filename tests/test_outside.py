"""A world nobody here wrote: it keeps the promises of worlds and probes, learns, and sits exams."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom import Binary, Continuous, Episode, Store, StoreInfo, check_world
from worldloom.actions import Action, ActionSpec, Categorical
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.trust.check import check_probe
from worldloom.trust.suite import run_suite
from worldloom.trust.task import Setting
from worldloom.trust.tasks.motion import Motion
from worldloom.trust.worldprobe import WorldProbe

pytestmark = pytest.mark.slow

pytest.importorskip("torchrl")
outside = pytest.importorskip("worldloom.outside")
SPEC = ActionSpec(
    (Binary("keys", ("left", "right")), Categorical("gear", 3), Continuous("x", (-1.0,), (1.0,)))
)


def make_store(path: Path) -> Store:
    """Three episodes in which a key moves a bright bar."""
    store = Store.create(path, StoreInfo(SPEC, {"main": (16, 32)}, 10.0, heldout=0.0))
    rng = np.random.default_rng(0)
    for number in range(3):
        keys = rng.integers(0, 2, (20, 2)).astype(np.uint8)
        place = np.clip(np.cumsum(2 * (keys[:, 1].astype(int) - keys[:, 0])), 0, 24)
        frames = np.zeros((20, 16, 32, 3), np.uint8)
        for t, x in enumerate(place):
            frames[t, :, x : x + 8] = 250
        actions = {"keys": keys, "gear": np.zeros(20, np.int64), "x": np.zeros((20, 1), np.float32)}
        store.append(Episode(frames, actions, seed=number), split="train", number=number)
    return store


@dataclass(frozen=True)
class Brief(outside.Dreamer):
    """As many updates as a test has time for."""

    steps: int | None = 1


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    store = make_store(folder / "bars")
    world = Brief(10).train(store, folder / "world", Setting("smoke"), lambda share, words: None)
    return world, store, folder / "world"


def window(store: Store, rows: int, length: int) -> Clip:
    parts = [store.read(name, 0, length) for name in store.split("train")[:rows]]
    stack = lambda name: torch.from_numpy(np.stack([p.actions[name] for p in parts]))  # noqa: E731
    known = torch.ones(rows, length, dtype=torch.bool)
    frames = torch.from_numpy(np.stack([p.frames["main"] for p in parts]))
    return Clip(
        frames={"main": frames},
        actions=Action({c.name: stack(c.name) for c in SPEC.components}, known),
    )


def cut(clip: Clip, part: slice) -> Clip:
    assert clip.actions is not None
    return Clip(frames={"main": clip.frames["main"][:, part]}, actions=clip.actions[:, part])


def test_it_keeps_the_promises_of_a_world_and_of_a_probe(grown):
    world, store, _ = grown
    clip = window(store, 3, 12)
    check_world(world, cut(clip, slice(0, 6)))
    after = cut(clip, slice(6, 12))
    assert after.actions is not None
    done = check_probe(WorldProbe(world), cut(clip, slice(0, 6)), after, actions=after.actions)
    assert set(done) == {"rollout", "score", "features", "steer"}


def test_an_action_is_one_vector_and_an_unknown_one_is_empty():
    values = {
        "keys": torch.tensor([[[1, 0]], [[1, 1]]]),
        "gear": torch.tensor([[2], [1]]),
        "x": torch.tensor([[[0.5]], [[0.5]]]),
    }
    told = outside.as_vector(SPEC, Action(values, torch.tensor([[True], [False]])))
    assert told[0, 0].tolist() == [1, 0, 0, 0, 1, 0.5, 1]
    assert told[1, 0].tolist() == [0] * 7


def test_it_learns_and_is_found_again(grown):
    world, store, folder = grown
    clip = window(store, 3, 12)
    raw = Brief().untrained(folder, seed=0)
    own, other = (WorldProbe(w) for w in (world, raw))
    errors = []
    for probe in (own, other):
        drawn = probe.world.render(probe.observe(cut(clip, slice(0, 6))).inner).float()
        errors.append(float((drawn - clip.frames["main"][:, 5].float()).square().mean()))
    assert errors[0] < 0.8 * errors[1], "ten updates teach it to draw what it has seen"
    again = Brief().train(store, folder, Setting("smoke"), lambda share, words: None)
    known = own.features(own.observe(clip))
    assert torch.equal(known, WorldProbe(again).features(WorldProbe(again).observe(clip)))


def test_observing_and_imagining_leave_the_global_generator_alone(grown):
    world, store, _ = grown
    before = torch.random.get_rng_state()
    probe, clip = WorldProbe(world), window(store, 2, 4)
    assert clip.actions is not None
    probe.rollout(probe.observe(clip), clip.actions)
    probe.score(probe.observe(clip), clip)
    assert torch.equal(before, torch.random.get_rng_state())


@dataclass(frozen=True)
class FewFilms(Motion):
    clips: int | None = 2

    def library(self, setting):
        return super().library(setting)[:6]


def test_it_sits_a_task_beside_untrained_networks_of_its_shape(tmp_path: Path):
    from worldloom import families

    store = make_store(tmp_path / "bars")
    setting = Setting("smoke", 0, tmp_path, store)
    name = f"{__name__}:Brief"
    world, identity, family = families.grown(name, setting, lambda share, words: None)
    assert identity.startswith("TorchRL's DreamerV3 on bars ")
    task = FewFilms()
    profile = run_suite(world, [task], setting, out=tmp_path, identity=identity, family=family)
    (entry,) = profile.entries
    assert not entry.why and "untrained_0" in entry.header["nulls"]
    assert entry.figures["error_id"].value is not None
    with pytest.raises(WorldloomError, match="no store is named"):
        families.grown(name, Setting("smoke"), lambda share, words: None)
    with pytest.raises(WorldloomError, match="is no family of worlds: it lacks train, untrained"):
        families.grown("worldloom.trust.tasks.motion:Motion", setting, lambda share, words: None)
