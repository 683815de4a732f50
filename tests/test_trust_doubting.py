"""Doubt: who knows its chances passes; who doubts all alike, the wrong, or too little does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from slider import slider_store, verdict_of
from test_doubt import doubting
from test_dream import make_world

from worldloom.data.store import Store
from worldloom.trust import recorded
from worldloom.trust.clips import worst
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting
from worldloom.trust.tasks.doubt.nearest import Bank
from worldloom.trust.tasks.doubt.task import STEPS, Doubter, DoubtTask, exchanged
from worldloom.trust.worldprobe import WorldProbe, told

TASK = DoubtTask(count=40)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    path = tmp_path_factory.mktemp("slider") / "store"
    store = slider_store(path, episodes=90, frames=36, heldout=0.9)
    return Setting("smoke", store=store)


@pytest.mark.slow
def test_who_knows_its_chances_is_to_be_believed(setting: Setting) -> None:
    found = verdict_of(TASK, Doubter(setting), setting)
    auroc, ece = found.primary, found.figures["ece"]
    assert auroc.value is not None and auroc.value > 0.8 and auroc.ceiling == 1
    assert ece.value is not None and ece.value < 0.1
    gain, left = found.figures["beyond_nearest"], found.figures["leaves_out_wrong_colours"]
    assert (gain.low or 0) > 0 and (left.low or 0) > 0.05
    right = found.figures["leaves_out_right_same"]
    assert right.value is not None and right.value < 0.1
    assert found.figures["leaves_out_wrong_actions"].value is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", TASK.faults())
def test_every_planted_fault_is_caught(setting: Setting, name: str) -> None:
    fault = TASK.faults()[name]
    found = verdict_of(TASK, fault.probe(setting), setting)  # type: ignore[arg-type]
    assert fault.caught(found), (found.sentence, found.figures["ece"])
    others = [n for n, f in TASK.faults().items() if n != name and f.caught(found)]
    assert others == []


def test_steps_count_up_to_the_first_wrong_one(setting: Setting) -> None:
    sat = sit(replace(TASK, count=4), Doubter(setting), setting)
    for row in sat.rows:
        wrong = row.extra["wrong"]
        assert not any(wrong[:-1]) and (wrong[-1] or len(wrong) == STEPS)
        assert [e > Doubter.tolerance for e in row.extra["error"]] == wrong
    assert {row.split for row in sat.rows} == {"dev", "same", "colours", "actions"}
    dev, same = ({r.cluster for r in sat.rows if r.split == s} for s in ("dev", "same"))
    assert not dev & same


class Held(tuple):
    """Moments, and the frames that were seen last."""

    last: torch.Tensor


class Feeling(Doubter):
    """One that holds what it saw last, column by column."""

    @property
    def capabilities(self) -> frozenset[str]:
        return super().capabilities | {"features", "continue"}

    def observe(self, clip, state=None) -> Held:  # type: ignore[override]
        held = Held(super().observe(clip) if state is None else state)
        held.last = clip.frames["main"][:, -1]
        return held

    def features(self, state, layer=None) -> torch.Tensor:
        return state.last.float().mean(1).flatten(1)


def test_a_world_with_features_is_held_against_what_it_holds_itself(setting: Setting) -> None:
    sat = sit(replace(TASK, count=8), Feeling(setting), setting)
    for row in sat.rows:
        assert len(row.extra["near_features"]) == len(row.extra["doubt"])
    far = {
        split: np.mean([np.mean(r.extra["near_features"]) for r in sat.rows if r.split == split])
        for split in ("same", "colours")
    }
    assert far["colours"] > 1.5 * far["same"], "exchanged colours were never held"
    assert sat.verdict is not None
    auroc, gain = (sat.verdict.figures[name] for name in ("auroc", "beyond_nearest"))
    assert "in pixels" in auroc.why and "in features" in auroc.why and gain.why in auroc.why
    bare = sit(replace(TASK, count=8), Doubter(setting), setting)
    assert all("near_features" not in row.extra for row in bare.rows)
    assert [row.extra["near"] for row in bare.rows] == [row.extra["near"] for row in sat.rows]


def test_the_nearest_is_that_of_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    keys, bank = rng.normal(size=(2, 3, 5)), rng.normal(size=(7, 5))
    spread = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = Bank((bank - 1) / spread, np.ones(5), spread).far(keys)
    gaps = np.linalg.norm((keys[:, :, None] - bank) / spread, axis=-1)
    np.testing.assert_allclose(found, gaps.min(-1))


def test_without_an_environment_other_actions_are_left_out(setting: Setting) -> None:
    store = setting.store
    assert store is not None
    bare = replace(
        setting, store=Store(store.path, replace(store.info, env=""), list(store.episodes))
    )
    found = sit(replace(TASK, count=6), Doubter(setting), bare).verdict
    assert found is not None and found.figures["leaves_out_wrong_actions"].value is None
    assert found.figures["leaves_out_wrong_colours"].value is not None


def test_a_world_that_never_errs_has_no_verdict(setting: Setting) -> None:
    class Right(Doubter):
        def _chances(self, moments: object, steps: int) -> np.ndarray:
            return super()._chances(moments, steps) * 0  # type: ignore[arg-type]

    found = sit(replace(TASK, count=4), Right(setting), setting).verdict
    assert found is not None and found.passed is None and "nothing goes wrong" in found.sentence


def test_worlds_without_doubt_or_recordings_are_told_so() -> None:
    probe = WorldProbe(make_world())
    assert sit(TASK, probe, Setting("smoke")).why == "`test` cannot `doubt`"
    world = doubting(passes=1)
    sat = sit(TASK, WorldProbe(world, tells=told(world)), Setting("smoke"))
    assert sat.verdict is None and "name their store" in sat.why
    assert WorldProbe(world).tolerance == world.spec.tolerance == pytest.approx(0.1)


def test_colours_are_exchanged_for_the_context_and_the_truth(setting: Setting) -> None:
    store = setting.store
    assert store is not None
    item = TASK.items(setting)[-1]
    moment = recorded.moments_of(store, [item], STEPS)[0]
    shown = recorded.begin([moment]).frames["main"]
    assert torch.equal(torch.from_numpy(exchanged(shown.numpy()))[..., 1], shown[..., 0])


@pytest.mark.parametrize("split", ("same", "colours", "actions"))
def test_a_dream_is_shown_beside_what_it_should_have_been(setting: Setting, split: str) -> None:
    item = next(item for item in TASK.items(setting) if item.split == split)
    shown = TASK.show(Doubter(setting), item, setting)
    assert shown is not None and len(shown.truth) == len(shown.seen) == recorded.CONTEXT + STEPS
    apart = np.abs(shown.truth.astype(int) - shown.seen).max((1, 2, 3))
    assert not apart[: recorded.CONTEXT].any() and set(apart.tolist()) <= {*range(25)}
    assert "it doubts" in shown.words
    assert len(film_rows(TASK, setting)) > 0


def film_rows(task: DoubtTask, setting: Setting):
    """The rows that clips would be of: nobody is the best, 0 is right."""
    return worst(sit(replace(task, count=4), Doubter(setting), setting).rows, 3)
