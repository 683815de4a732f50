"""Control: reality does what it is told, each planted fault is found, and nothing else is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from slider import slider_store, store_of, verdict_of

from worldloom.actions import ActionSpec, Binary, Categorical, Continuous
from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.trust.recorded import (
    CONTEXT,
    Environment,
    Insider,
    Moment,
    begin,
    draw_items,
    moments_of,
)
from worldloom.trust.sitting import sit
from worldloom.trust.task import NotApplicable, Setting
from worldloom.trust.tasks.control import inverse
from worldloom.trust.tasks.control.task import Control

TASK = Control(count=12, lessons=(12, 60))


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    store = slider_store(tmp_path_factory.mktemp("slider") / "store")
    return Setting("smoke", store=store)


@pytest.mark.slow
def test_reality_does_what_it_is_told(setting: Setting) -> None:
    found = verdict_of(TASK, Environment(store_of(setting)), setting)
    assert found.passed
    share, answers, delay = (found.figures[n] for n in ("headroom_share_h8", "answers", "delay"))
    assert found.primary is share and share.value == share.ceiling
    assert answers.value == 1 and delay.value == 0 == delay.ceiling
    reads = found.figures["reads"]
    assert reads.value is not None and reads.value > 0.8 and (reads.null or 1) < 0.6


@pytest.mark.parametrize("name", TASK.faults())
def test_every_planted_fault_is_caught(setting: Setting, name: str) -> None:
    fault = TASK.faults()[name]
    found = verdict_of(TASK, fault.probe(setting), setting)  # type: ignore[arg-type]
    assert fault.caught(found), found.sentence
    # And by itself only: no fault looks like another.
    others = [n for n, f in TASK.faults().items() if n != name and f.caught(found)]
    assert others == []


@pytest.mark.slow
def test_without_the_environment_recorded_pairs_are_the_ceiling(setting: Setting) -> None:
    store = store_of(setting)
    bare = Store(store.path, replace(store.info, env=""), list(store.episodes))

    class Moved(Insider):
        """Shows what was recorded one frame later."""

        name = "moved"

        def film(self, moments: Sequence[Moment], actions: object) -> np.ndarray:
            return np.stack([np.concatenate([m.after[1:], m.after[-1:]]) for m in moments])

    found = sit(TASK, Moved(), replace(setting, store=bare)).verdict
    assert found is not None and found.figures["headroom_share_h8"].value == 0
    reads = found.figures["reads"]
    assert reads.ceiling is not None and reads.ceiling > 0.8
    assert reads.value is not None and reads.value < 0.6 and found.passed is False


def test_without_recordings_it_is_not_applicable() -> None:
    probe = Environment.__new__(Environment)
    probe.name = "nowhere"
    sat = sit(TASK, probe, Setting("smoke"))
    assert sat.verdict is None and "name their store" in sat.why


def test_actions_that_nobody_knows_are_said(setting: Setting, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store", store_of(setting).info)
    for split in ("train", "heldout"):
        for i in range(4):
            frames = np.full((60, 24, 24, 3), i, np.uint8)
            values = {"action": np.zeros(60, np.int64)}
            store.append(Episode({"main": frames}, values, np.zeros(60, bool), seed=i), split=split)
    sat = sit(TASK, Environment(store), replace(setting, store=store))
    assert sat.verdict is None and "nobody knows what was done" in sat.why
    few = Store.create(tmp_path / "few", store.info)
    with pytest.raises(NotApplicable, match="0 held-out episodes"):
        draw_items("control", replace(setting, store=few), count=4, frames=16)


def test_moments_are_of_strangers_and_another_exam_has_others(setting: Setting) -> None:
    one = TASK.items(setting)
    assert one == TASK.items(setting) and len({i.cluster for i in one}) == len(one) == 12
    assert all(
        len({i.facts["episode"], *(name for name, _ in i.facts["others"])}) == 3 for i in one
    )
    assert [i.key for i in one] != [i.key for i in TASK.items(replace(setting, seed=1))]
    moment = moments_of(store_of(setting), one[:1], 16)[0]
    whole = store_of(setting).read(moment.window.episode)
    start = moment.window.start
    assert np.array_equal(moment.after, whole.frames["main"][start + 8 : start + 24])
    clip = begin([moment])
    assert np.array_equal(clip.frames["main"][0], whole.frames["main"][start : start + 8])


def test_every_kind_of_action_is_asked_about() -> None:
    spec = ActionSpec(
        (Categorical("go", 4), Binary("keys", ("a", "b")), Continuous("turn", (-1.0,), (1.0,))), 2
    )
    asked = inverse.questions(spec)
    assert [(q.label, q.answers) for q in asked] == [
        *(("go 1", 4), ("go 2", 4), ("a 1", 2), ("b 1", 2), ("a 2", 2), ("b 2", 2)),
        *(("turn 0 1", 3), ("turn 0 2", 3)),
    ]
    values = {
        "go": np.array([[1, 3]]),
        "keys": np.array([[[1, 0], [0, 1]]]),
        "turn": np.array([[[-0.5], [0.01]]], np.float32),
    }
    assert inverse.answers(spec, values).tolist() == [[1, 3, 1, 0, 0, 1, 0, 1]]


def test_guessing_what_is_pressed_most_is_worth_nothing() -> None:
    asked = inverse.questions(ActionSpec((Binary("keys", ("a",)),)))
    right = np.array([[0]] * 90 + [[1]] * 10 + [[-1]] * 5)
    always = inverse.tally(right, np.zeros_like(right), asked)
    assert inverse.balanced(always, asked).tolist() == [0.5]
    assert inverse.balanced(inverse.tally(right, right, asked), asked).tolist() == [1.0]
    assert always.tolist() == [[90, 0], [90, 10]]


def test_what_it_does_under_anothers_actions_is_shown_beside_reality(setting: Setting) -> None:
    item = TASK.items(setting)[0]
    real, deaf = TASK.ceiling(setting), TASK.faults()["deaf"].probe(setting)
    shown = TASK.show(real, item, setting)
    assert shown is not None and np.array_equal(shown.truth, shown.seen)
    wrong = TASK.show(deaf, item, setting)
    assert wrong is not None and np.array_equal(wrong.truth, shown.truth)
    assert np.array_equal(wrong.seen[:CONTEXT], wrong.truth[:CONTEXT]), "the past is given"
    assert not np.array_equal(wrong.seen, wrong.truth)
