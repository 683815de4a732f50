"""A world sits a suite: the family is trained, profiles are complete, equal exams equal."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from worldloom import cli, seeding
from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure
from worldloom.trust import clips
from worldloom.trust.listed import all_tasks, named
from worldloom.trust.report import card, compare
from worldloom.trust.report import profile as profile_
from worldloom.trust.rows import Row
from worldloom.trust.suite import Profile, run_suite
from worldloom.trust.task import HELD_OUT, NotApplicable, Setting, Variants, variant
from worldloom.trust.tasks.craft.learned import LearnedCraft
from worldloom.trust.tasks.craft.task import Craft
from worldloom.trust.tasks.motion import Motion
from worldloom.trust.tasks.scenes import films
from worldloom.trust.tasks.scenes.films import Film, FilmProbe
from worldloom.trust.training import untrained_seeds
from worldloom.trust.worldprobe import WorldProbe
from worldloom.verbs import trust as verb
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
    clips: int | None = 6

    def library(self, setting):
        return super().library(setting)[:5]


IDENTITY = "films 01ab, doubt 77"


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> tuple[Profile, Path]:
    out = tmp_path_factory.mktemp("trust")
    family = Told()
    found = run_suite(
        FilmWorld(), [Short()], Setting("smoke"), out=out, identity=IDENTITY, family=family
    )
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
    assert entry.header["weights"] == "films 01ab by told", "its family has no doubt"
    assert found.doubt_fitted


@pytest.mark.slow
def test_the_same_exam_gives_the_same_json_outside_run(profile, tmp_path: Path):
    found, out = profile
    again, resumed = (
        run_suite(
            FilmWorld(), [Short()], Setting("smoke"), out=to, identity=IDENTITY, family=Told()
        )
        for to in (tmp_path, out)
    )
    one, two, three = (p.to_json() for p in (found, again, resumed))
    # Seconds and machine stand there alone; two runs may well take as long as each other.
    runs = [told.pop("run") for told in (one, two, three)]
    assert runs[0].keys() == runs[1].keys()
    assert json.dumps(one) == json.dumps(two) == json.dumps(three)
    assert "seconds" not in json.dumps(one)
    assert runs[2]["task_seconds"] == runs[0]["task_seconds"], "what was asked is not asked anew"
    assert runs[0]["seconds"] == pytest.approx(runs[0]["task_seconds"]["motion"], abs=0.1)
    assert {"machine", "system", "python", "commit", "training_seconds"} <= runs[0].keys()


def test_nulls_and_untrained_networks_stand_beside_every_figure(profile):
    found, out = profile
    entry = found.entries[0]
    nulls = entry.nulls["skill_outside"]
    names = ["nearest", "nearest_shifted", "copy_last", "constant_velocity", "untrained_0"]
    assert list(nulls) == names
    best = entry.figures["skill_outside"].why.split("`")[1]
    assert nulls[best] == 0, "the null that the figure is measured by"
    rows = [json.loads(x) for x in (out / "rows" / "motion.jsonl").read_text().splitlines()]
    raw = np.mean([row["null"]["untrained_0"] for row in rows if row["split"] == "id"])
    assert entry.nulls["error_id"]["untrained_0"] == pytest.approx(raw)
    kept = json.loads((out / "trust.json").read_text())["tasks"]["motion"]["figures"]
    assert kept["error_id"]["nulls"] == entry.nulls["error_id"]
    page, text = (out / "trust.html").read_text(), found.to_text()
    assert "Nulls, skill outside: nearest " in page and "nulls: nearest " in text
    assert "untrained (1 seed) " in page and "untrained (1 seed) " in " ".join(text.split())
    assert profile_.Profile.load(out).entries[0].nulls == entry.nulls


def test_a_page_says_who_sat_a_task_and_how_it_is_sat_again(profile):
    found, out = profile
    entry, page = found.entries[0], (out / "trust.html").read_text()
    assert entry.training == {
        "recipe": "told",
        "recordings": {"": 5},
        "seeds": [0],
        "untrained_seeds": list(untrained_seeds(Setting("smoke"))),
    }
    assert "Sat by a freshly trained world of its family, not by these weights: told, on 5" in page
    assert "--seed 0 --tasks motion</code>" in page
    lost = replace(entry, training_seconds=None)
    assert "how long that took was not written down" in profile_.sitter(lost)
    itself = replace(entry, training={})
    assert profile_.sitter(itself) == ""
    shown = card.render(replace(found, entries=(itself,)), out)
    assert "Sat by films&#x27;s family on motion itself." in shown


def test_text_and_page_show_null_and_ceiling_and_no_overall_score(profile):
    found, out = profile
    text, page = (out / "trust.txt").read_text(), (out / "trust.html").read_text()
    assert "motion" in text and "null 0.00, ceiling 1.00; n 6" in text
    assert "The claim: it knows how things move" in page and "<script" not in page
    assert json.loads((out / "trust.json").read_text()) == json.loads(json.dumps(found.to_json()))


def test_a_world_whose_family_nobody_can_train_is_told_so(tmp_path: Path):
    found = run_suite(FilmWorld(), [Short()], Setting("smoke"), out=tmp_path, family="no recipe")
    assert found.entries[0].passed is None and found.entries[0].why == "no recipe"
    assert "not applicable  no recipe" in found.to_text()
    assert "not applicable" in card.render(found, tmp_path)


def test_nothing_is_trained_for_a_task_that_asks_for_what_the_world_cannot(tmp_path: Path):
    told, inside = Told(), Short(requires=frozenset({"features"}))
    (entry,) = run_suite(
        FilmWorld(), [inside], Setting("smoke", 0, tmp_path), out=tmp_path, family=told
    ).entries
    assert "features" in entry.why and entry.missing == ("features",)
    assert entry.header["world"] == "films" and entry.header["generator"] is None
    assert told.asked == () and not (tmp_path / "own").exists()


@pytest.mark.slow
def test_trainings_stand_beside_each_other_and_are_never_pooled(tmp_path: Path):
    class Uneven(Told):
        """Only the first of its worlds knows anything."""

        def train(self, store, folder, setting, tell):
            known = super().train(store, folder, setting, tell)
            return known if setting.training == 0 else self.untrained(folder, seed=0)

    family, out = Uneven(), tmp_path / "three"
    run = lambda: run_suite(  # noqa: E731
        FilmWorld(), [Short()], Setting("smoke"), out=out, family=family, trainings=2
    )
    (entry,) = run().entries
    assert family.asked == ("world", "world-training-1")
    assert entry.passed and entry.trainings == (True, False)
    found = entry.spreads["error_id"]
    assert found.values[0] < found.values[1]
    assert entry.figures["error_id"].n == 6, "n counts clips"
    assert found.deviation > 0 and found.low < sum(found.values) / 2 < found.high
    assert "1 of 2 trainings passed" in "\n".join(profile_._told(entry))
    first, second = (
        [json.loads(line) for line in (out / name / "motion.jsonl").read_text().splitlines()]
        for name in ("rows", "rows-1")
    )
    for one, two in zip(first, second, strict=True):
        assert (one["null"], one["ceiling"]) == (two["null"], two["ceiling"])
    again = replace(run().entries[0], training_seconds=entry.training_seconds)
    assert again == entry, "rows of every training are kept"


def test_a_profile_comes_back_and_worlds_stand_side_by_side(profile, tmp_path: Path):
    found, out = profile
    back = profile_.Profile.load(out)
    assert (
        json.loads(json.dumps(back.to_json()["tasks"]))
        == json.loads((out / "trust.json").read_text())["tasks"]
    )
    lazy = replace(back.entries[0], passed=False, sentence="it does not")
    other = replace(back, world="other", entries=(lazy,))
    text = compare.to_text([back, other])
    assert "other  not passed      it does not" in text and "null" in text and "ceiling" in text
    lined = compare.line_up([back, back, other])
    assert list(lined["worlds"]) == ["films#1", "films#2", "other"]
    assert lined["tasks"]["motion"]["worlds"]["other"]["passed"] is False
    value = lined["tasks"]["motion"]["figures"]["ood_over_id"]["other"]["value"]
    assert value == found.entries[0].figures["ood_over_id"].value
    json.dumps(lined)


def test_reports_that_are_no_pair_are_refused(profile, tmp_path: Path):
    found, _ = profile
    with pytest.raises(WorldloomError, match="compares with nothing"):
        compare.to_text([found])
    with pytest.raises(WorldloomError, match="`films` sat with budget smoke, `films` with quick"):
        compare.to_text([found, replace(found, budget="quick")])
    entry = replace(found.entries[0], version=9)
    with pytest.raises(WorldloomError, match="`motion` was asked in versions"):
        compare.to_text([found, replace(found, entries=(entry,))])
    same = replace(found.entries[0], task="same")
    mixed = [replace(found, entries=(same, each)) for each in (found.entries[0], entry)]
    text, lined = compare.to_text(mixed), compare.line_up(mixed)["tasks"]
    assert "nothing is put side by side: `motion` was asked" in text
    assert lined["motion"]["why"] and not lined["motion"]["figures"]
    assert not lined["same"]["why"] and lined["same"]["figures"]
    with pytest.raises(WorldloomError, match="its exam is not finished"):
        profile_.Profile.load(tmp_path)
    (tmp_path / "trust.json").write_text('{"format": 1}')
    with pytest.raises(WorldloomError, match="is no report of format"):
        profile_.Profile.load(tmp_path / "trust.json")


def test_a_gate_of_a_pipeline_holds_what_did_not_pass(profile, capsys):
    found, out = profile
    verb._fail(found, ["motion"], out)
    for passed in (False, None):
        entry = replace(found.entries[0], passed=passed)
        with pytest.raises(WorldloomError, match=r"`films` has to pass: motion \(no") as stop:
            verb._fail(replace(found, entries=(entry,)), ["motion"], out)
        assert stop.value.code == 3
    assert (
        cli.main(["eval", "x", "--suite", "trust", "--tasks", "rooms", "--fail-on", "motion"]) == 2
    )
    assert "is not among the tasks rooms" in capsys.readouterr().err


def test_a_suite_has_options_of_its_own(capsys):
    assert cli.find(["eval", "a", "--suite=trust", "b"]) == ("eval --suite trust", ["a", "b"])
    assert cli.find(["eval", "--export", "d"]) == ("eval --suite trust", ["--export", "d"])
    assert cli.find(["eval", "a", "b"]) == ("eval", ["a", "b"])
    assert cli.main(["eval", "--suite", "trust"]) == 2
    assert "is wanted, nothing was named" in capsys.readouterr().err
    assert cli.main(["eval", "a", "--export", "b"]) == 2


def test_what_was_kept_and_is_damaged_is_named(tmp_path: Path):
    class Torn(Told):
        def train(self, store, folder, setting, tell):
            if folder.exists():
                raise WorldloomError("`weights` is cut off", "load another world")
            folder.mkdir()
            raise WorldloomError("the disk is full", "free some space")

    sit = lambda: run_suite(  # noqa: E731
        FilmWorld(), [Short()], Setting("smoke"), out=tmp_path, family=Torn()
    )
    with pytest.raises(WorldloomError, match="the disk is full"):
        sit()
    with pytest.raises(WorldloomError, match="of no use: `weights` is cut off") as stop:
        sit()
    assert stop.value.hint.startswith("remove `") and "world`" in stop.value.hint


def test_a_clip_of_other_frames_or_actions_is_refused():
    probe = WorldProbe(FilmWorld())  # type: ignore[arg-type]
    small = Clip(frames={"main": torch.zeros(1, 2, 32, 48, 3, dtype=torch.uint8)})
    with pytest.raises(WorldloomError, match="sees frames of 64x64, these are 32x48"):
        probe.observe(small)
    keys = Action({"keys": torch.zeros(1, 2, 4)}, torch.ones(1, 2, dtype=torch.bool))
    frames = {"main": torch.zeros(1, 2, 64, 64, 3, dtype=torch.uint8)}
    with pytest.raises(WorldloomError, match=r"has the actions \[\], these are \['keys'\]"):
        probe.observe(Clip(frames=frames, actions=keys))


def test_what_went_worst_is_shown_beside_the_truth(profile, tmp_path: Path):
    task, setting = Short(clips=3), Setting("smoke")
    rows = [
        Row("motion", 1, item.key, item.key, item.split, 0, float(i), {}, 0.0)
        for i, item in enumerate(task.items(setting))
    ]
    assert [row.sample for row in clips.worst(rows, 5)] == [
        *("high-2", "low-2", "hole-2", "id-2", "high-1")
    ]
    assert clips.worst([replace(rows[0], value=0.0), replace(rows[1], value=None)], 5) == []
    still = FilmProbe("still", films.still)
    shown = task.show(still, task.items(setting)[0], setting)
    assert np.array_equal(shown.truth[:3], shown.seen[:3]), "what it was shown is the truth"
    assert not np.array_equal(shown.truth[-1], shown.seen[-1])
    both = clips.side_by_side(shown)
    assert both.shape == (32, 64, 130, 3) and np.array_equal(both[:, :, :64], shown.truth)
    assert len(clips.film_worst(task, still, rows, setting, tmp_path)) == 1, "smoke has one"
    setting, task = replace(setting, budget="quick"), replace(task, clips=3)
    made = clips.film_worst(task, still, rows, setting, tmp_path)
    assert [clip.sample for clip in made] == ["high-2", "low-2", "hole-2"]
    entry = replace(profile[0].entries[0], clips=made)
    page = card.render(replace(profile[0], entries=(entry,)), tmp_path)
    assert page.count("data:image/webp;base64,") == 3 and "http" not in page.lower()
    with Image.open(tmp_path / made[0].file) as film:
        assert film.n_frames > 10 and film.size == (130, 64)


def test_how_many_clusters_a_fine_interval_takes():
    figure = Figure(0.5, 0.4, 0.6, "1", 100, 0.0, 1.0)
    assert profile_.needed(figure) == 400, "half of the width takes four times as many"
    assert profile_.needed(replace(figure, ceiling=None)) is None
    alike = replace(figure, low=0.5, high=0.5)
    assert profile_.needed(alike) is profile_.detects(alike) is None, "no width tells nothing"
    assert profile_.power(alike) == "n 100" and "fine with 400" in profile_.power(figure)
    assert statistics.clusters_for(0.1, 100, wanted=0.1) == 100
    for rate, wanted in ((0.5, 0.1), (0.9, 0.03), (0.5, 0.5)):
        n = statistics.items_for(rate, wanted=wanted)
        width = lambda n: np.subtract(*statistics.wilson(rate * n, n)[::-1]) / 2  # noqa: B023, E731
        assert width(n) <= wanted and (n == 2 or width(n - 1) > wanted)
    low, high = statistics.t_interval([1.0, 2.0, 3.0])
    assert (low + high) / 2 == 2 and high - 2 == pytest.approx(4.303 / 3**0.5)


class Wordless(Short):
    def fingerprint(self, setting):
        raise NotApplicable("something is missing", "install it")


def test_nothing_is_trained_for_a_task_that_says_it_cannot_be_sat(tmp_path: Path):
    family = Told()
    found = run_suite(FilmWorld(), [Wordless()], Setting("smoke"), out=tmp_path, family=family)
    assert found.entries[0].why == "something is missing: install it" and family.asked == ()


def test_variants_are_taken_out_by_name_and_the_last_one_answers():
    one, two = FilmProbe("one"), FilmProbe("two")
    both = Variants({"6": one, "60": two})
    assert variant(both, "6") is one and variant(one, "6") is one  # type: ignore[arg-type]
    assert both.name == "two" and "render" in both.capabilities


OWN: list[Any] = [task for task in [*all_tasks(), LearnedCraft(Craft())] if task.own_data]


@pytest.mark.slow
@pytest.mark.parametrize("task", OWN, ids=lambda task: task.name)
def test_what_is_learned_from_is_never_drawn_from_an_exam_that_is_held_out(
    task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Every seed that a generator of lessons draws comes of a seed below the range."""
    drawn: list[int] = []
    stream = seeding.stream

    def watched(seed: int, name: str, index: int = 0) -> int:
        drawn.append(seed) if name.startswith("suite ") else None
        return stream(seed, name, index)

    monkeypatch.setattr(seeding, "stream", watched)
    held = Setting("smoke", HELD_OUT + 7)
    task.recordings(tmp_path / "own", held)
    assert 7 in drawn and max(drawn) < HELD_OUT
    drawn.clear()
    try:
        task.items(held)
    except NotApplicable:
        return
    assert held.seed in drawn, "what is asked is"


def test_a_report_says_that_its_exam_was_held_out(profile):
    found, out = profile
    held = replace(found, seed=HELD_OUT)
    assert f"seed {HELD_OUT}, held out)" in held.to_text() and "held out" not in found.to_text()
    assert held.to_json()["held_out"] is True and found.to_json()["held_out"] is False
    assert "an exam of the held-out range" in card.render(held, out)


def test_tasks_are_named_or_anyones():
    assert [named(task.name).name for task in all_tasks()] == [task.name for task in all_tasks()]
    assert named("test_trust_suite:Short").name == "motion"
    with pytest.raises(WorldloomError, match="no task `gravitas`"):
        named("gravitas")
    with pytest.raises(WorldloomError, match="was not found"):
        named("test_trust_suite:Nothing")
    with pytest.raises(WorldloomError, match="lacks name, version, claim"):
        named("test_trust_suite:Told2")


class Told2:
    pass
