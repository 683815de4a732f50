"""A world sits a suite: the family is trained, profiles are complete, equal exams equal."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.trust import card, films
from worldloom.trust.films import Film, FilmProbe
from worldloom.trust.motion import Motion
from worldloom.trust.suite import Profile, run_suite
from worldloom.trust.task import Setting, Variants, variant
from worldloom.trust.tasks import all_tasks, named
from worldloom.world import Step, WorldSpec


@dataclass
class Reel:
    """A moment of several films: what they show from now on."""

    frames: torch.Tensor
    at: int = -1

    def __len__(self) -> int:
        return len(self.frames)

    def copy(self) -> "Reel":
        return replace(self)


class FilmWorld:
    """The simulator as a world."""

    spec = WorldSpec("films", {"main": (64, 64)}, films.NO_ACTIONS, 10.0)
    spec = replace(spec, capabilities=frozenset({"fork", "render"}), starts=frozenset({"snapshot"}))

    def start(self, clip: Clip, seeds: torch.Tensor):
        told = [Film.unpack(s) for s in clip.snapshots or ()]
        return Reel(torch.from_numpy(FilmProbe().films(told, 29))), Step()

    def step(self, state: Reel, action):
        return Reel(state.frames, state.at + 1), Step()

    def render(self, state: Reel, camera: str = "main") -> torch.Tensor:
        return state.frames[:, state.at]


class Told:
    """A recipe whose worlds know all, before training nothing but the first frame."""

    name = "told"
    asked: tuple[str, ...] = ()

    def train(self, store, folder, setting, tell):
        self.asked = (*self.asked, folder.name)
        assert len(store) == 5
        return FilmWorld()

    def untrained(self, folder, *, seed):
        class Still(FilmWorld):
            def step(self, state, action):
                return Reel(state.frames, 0), Step()

        return Still()


@dataclass(frozen=True)
class Short(Motion):
    clips: int | None = 3

    def library(self, setting):
        return super().library(setting)[:5]


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> tuple[Profile, Path]:
    out = tmp_path_factory.mktemp("trust")
    family = Told()
    found = run_suite(FilmWorld(), [Short()], Setting("smoke"), out=out, family=family)
    assert family.asked == ("world",)
    card.publish(found, out)
    return found, out


def test_own_data_worlds_are_trained_and_stand_beside_untrained_ones(profile):
    found, out = profile
    entry = found.entries[0]
    assert entry.header["nulls"][-1] == "untrained_0"
    row = json.loads((out / "rows" / "motion.jsonl").read_text().splitlines()[0])
    assert row["null"]["untrained_0"] > row["value"] == row["ceiling"]
    assert entry.header["world"] == "films's family on motion"


def test_the_same_exam_gives_the_same_json_outside_run(profile, tmp_path: Path):
    found, _ = profile
    again = run_suite(FilmWorld(), [Short()], Setting("smoke"), out=tmp_path, family=Told())
    one, two = found.to_json(), again.to_json()
    assert one.pop("run") != two.pop("run")
    assert json.dumps(one) == json.dumps(two)


def test_text_and_page_show_null_and_ceiling_and_no_overall_score(profile):
    found, out = profile
    text, page = (out / "trust.txt").read_text(), (out / "trust.html").read_text()
    assert "motion" in text and "null 0.00, ceiling 1.00; n 3" in text
    assert "The claim: it knows how things move" in page and "<script" not in page
    assert json.loads((out / "trust.json").read_text()) == json.loads(json.dumps(found.to_json()))


def test_a_world_whose_family_nobody_can_train_is_told_so(tmp_path: Path):
    found = run_suite(FilmWorld(), [Short()], Setting("smoke"), out=tmp_path, family="no recipe")
    assert found.entries[0].passed is None and found.entries[0].why == "no recipe"
    assert "not applicable  no recipe" in found.to_text()
    assert "not applicable" in card.render(found)


def test_nothing_is_trained_for_a_task_that_asks_for_what_the_world_cannot(tmp_path: Path):
    told, inside = Told(), Short(requires=frozenset({"features"}))
    (entry,) = run_suite(
        FilmWorld(), [inside], Setting("smoke", 0, tmp_path), out=tmp_path, family=told
    ).entries
    assert "features" in entry.why and told.asked == () and not (tmp_path / "own").exists()


def test_variants_are_taken_out_by_name_and_the_last_one_answers():
    one, two = FilmProbe("one"), FilmProbe("two")
    both = Variants({"6": one, "60": two})
    assert variant(both, "6") is one and variant(one, "6") is one  # type: ignore[arg-type]
    assert both.name == "two" and "render" in both.capabilities


def test_tasks_are_named_or_anyones():
    assert [named(task.name).name for task in all_tasks()] == [task.name for task in all_tasks()]
    assert named("test_trust_suite:Short").name == "motion"
    with pytest.raises(WorldloomError, match="no task `gravitas`"):
        named("gravitas")
    with pytest.raises(WorldloomError, match="was not found"):
        named("test_trust_suite:Nothing")
    with pytest.raises(WorldloomError, match="lacks name, claim, requires, answer"):
        named("test_trust_suite:Told2")


class Told2:
    pass
