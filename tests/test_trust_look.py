"""Look: reality looks real, each planted fault is seen, and an agent that notices is found out."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from evaluate_worlds import hop_store
from slider import slider_store, store_of, verdict_of
from torch import Tensor

from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.trust import recorded
from worldloom.trust.probe import Rollout
from worldloom.trust.recorded import Environment
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, described
from worldloom.trust.tasks.look import task, telling
from worldloom.trust.tasks.look.task import SEEN, Lengths, Look

TASK = Look(count=6, updates=25, lengths=Lengths((8, 32), 4, 24))


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    store = slider_store(tmp_path_factory.mktemp("slider") / "store", heldout=1.0)
    return Setting("smoke", store=store)


def test_fewer_long_moments_are_another_exam(setting: Setting, monkeypatch) -> None:
    before = described(TASK.items(setting))
    monkeypatch.setitem(task.LONG, "smoke", 2)
    assert described(TASK.items(setting)) != before


@pytest.mark.slow
def test_reality_looks_real(setting: Setting) -> None:
    found = verdict_of(TASK, Environment(store_of(setting)), setting)
    told, idling = found.primary, found.figures["idling"]
    assert found.passed and told is found.figures["told_apart"] and told.value == 0.5
    assert told.null is not None and told.null > 0.8  # who looks can see a blur
    assert idling.value == 0 and "rules" in found.figures["breaches"].why
    assert "nobody lives" in found.figures["agent_tells"].why


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tinted", "darkens"])
def test_pictures_that_are_off_are_seen(setting: Setting, name: str) -> None:
    fault = TASK.faults()[name]
    found = verdict_of(TASK, fault.probe(setting), setting)
    assert fault.caught(found), found.sentence
    other = TASK.faults()["darkens" if name == "tinted" else "tinted"]
    assert name == "darkens" or not other.caught(found)


@pytest.mark.slow
def test_a_player_who_vanishes_breaks_a_rule(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = hop_store(tmp_path_factory.mktemp("hop") / "store", episodes=8, frames=40)
    setting, task = Setting("smoke", store=store), replace(TASK, count=4, updates=2)
    fault = task.faults()["vanishing"]
    wrong = sit(task, fault.probe(setting), setting).verdict
    right = sit(task, Environment(store), setting).verdict
    assert wrong is not None and fault.caught(wrong)
    assert right is not None and right.passed and right.figures["breaches"].value == 0


@pytest.mark.slow
def test_without_an_environment_pictures_and_idling_are_still_asked(setting: Setting) -> None:
    store = store_of(setting)
    bare = Store(store.path, replace(store.info, env=""), list(store.episodes))
    painted = TASK.faults()["darkens"].probe(setting)  # whose own recordings lead back
    found = verdict_of(TASK, painted, replace(setting, store=bare))
    idling = found.figures["idling"]
    assert idling.low is not None and idling.low > 1 and "no real" in idling.why
    assert found.figures["told_apart"].value is not None


@dataclass(frozen=True)
class Life:
    """Who has seen some frames, and whether it is in a dream."""

    seen: Tensor
    dreamt: bool


class Living(Environment):
    """A world with somebody in it, who notices dreams by as much as `notices`."""

    layers = ("dynamics", "agent", "policy")
    capabilities = frozenset({"rollout", "render", "continue", "features"})  # type: ignore[assignment]

    def __init__(self, store: Store, notices: float) -> None:
        super().__init__(store)
        self.notices = notices

    def observe(self, clip: Clip, state: Any = None) -> Any:
        last = torch.as_tensor(clip.frames["main"])[:, -1].float()
        return Life(last.flatten(1)[:, :40:5], bool(state and state.dreamt))

    def rollout(self, state: Any, actions: Any, **how: Any) -> Rollout:
        return Rollout(states=(Life(state.seen, actions.known.shape[1] > 0),))

    def features(self, state: Any, layer: str | None = None) -> Tensor:
        off = self.notices * state.dreamt
        if layer == "policy":
            return torch.stack(
                [0.4 + 0.3 * off + 0 * state.seen[:, 0], 0.5 + 0 * state.seen[:, 0]], 1
            )
        return torch.cat([state.seen, 0 * state.seen[:, :1] + off], 1)


class Bystander:
    """The real environment as somebody's world: no insider by its type."""

    def __init__(self, store: Store) -> None:
        self._real = Environment(store)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.slow
@pytest.mark.parametrize("notices", [0.0, 1.0])
def test_an_agent_that_notices_is_found_out(setting: Setting, notices: float) -> None:
    task, store = replace(TASK, lengths=Lengths((4, 8), 2, 8)), store_of(setting)
    agent = Living(store, notices)
    found = sit(task, Bystander(store), replace(setting, agent=agent)).verdict  # type: ignore[arg-type]
    assert found is not None and found.passed  # it is told, and does not decide
    tells, otherwise = found.figures["agent_tells"], found.figures["agent_does_otherwise"]
    assert tells.value is not None and otherwise.value is not None
    if notices:
        assert tells.value == 1 and otherwise.value == pytest.approx(0.3)
        assert otherwise.null is not None and otherwise.null < 0.2 and "p = 0.0" in tells.why
    else:
        assert tells.value < 0.9 and otherwise.value == 0


def test_choices_count_ties_half() -> None:
    picks = telling.choices(np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0]))
    assert picks.tolist() == [1.0, 0.5, 0.0]


def test_the_two_parts_share_no_episode(setting: Setting) -> None:
    asked, learned = (TASK._part(setting, which) for which in (0, 1))
    assert not {i.cluster for i in asked} & {i.cluster for i in learned}
    assert len(asked) == len(learned) == 6


def test_a_dream_is_shown_beside_its_recording(setting: Setting) -> None:
    item = TASK.items(setting)[0]
    shown = TASK.show(recorded.Copy(), item, setting)
    assert shown is not None and setting.store is not None
    (moment,) = recorded.moments_of(setting.store, [item], SEEN)
    assert np.array_equal(shown.truth, moment.frames)
    assert (shown.seen[recorded.CONTEXT :] == shown.seen[-1]).all()
