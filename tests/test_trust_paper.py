"""Exams on paper: what a simulator writes is the ceiling, what knows nothing the null."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from worldloom.errors import WorldloomError
from worldloom.trust import paper
from worldloom.trust.task import Setting
from worldloom.trust.tasks.motion import Motion
from worldloom.trust.tasks.rooms import mappers
from worldloom.trust.tasks.rooms import paper as roomspaper
from worldloom.trust.tasks.rooms import task as rooms
from worldloom.trust.tasks.rooms.task import RoomsTask
from worldloom.trust.tasks.scenes.films import FilmProbe
from worldloom.trust.tasks.voe2d import task as voe2d
from worldloom.trust.tasks.voe2d.task import Voe2d

SMOKE = Setting("smoke")


@dataclass(frozen=True)
class Few(RoomsTask):
    """Six apartments."""

    def items(self, setting):
        return super().items(setting)[:6]


TASKS = paper.on_paper([Few(), Voe2d(quads=1), Motion()])


@pytest.fixture(scope="module")
def exam(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("paper") / "exam"
    assert paper.export(TASKS, SMOKE, folder) == 13
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def write(exam: Path, folder: Path, tasks: dict[str, Any]) -> Path:
    """The same exam with answers, in a folder of its own."""
    folder.mkdir()
    (folder / "questions.json").write_bytes((exam / "questions.json").read_bytes())
    (folder / "answers.json").write_text(json.dumps({"model": "one", "tasks": tasks}))
    return folder


def solved() -> dict[str, Any]:
    """What simulators write."""
    few, quads = TASKS
    plans = {
        item.key: roomspaper.drawn(mappers.stitched(rooms._world(item)))
        for item in few.items(SMOKE)
    }
    items = quads.items(SMOKE)
    told = voe2d._surprise(FilmProbe(), items)["mean"]
    answers = {
        item.key: [float(row[film]) for film in voe2d._order(item)]
        for item, row in zip(items, told, strict=True)
    }
    return {"rooms": plans, "voe2d": answers}


def test_questions_name_files_that_are_there_and_no_answers(exam: Path):
    asked = json.loads((exam / "questions.json").read_text())
    assert set(asked["tasks"]) == {"rooms", "voe2d"}, "motion is not for paper"
    flat = asked["tasks"]["rooms"]["questions"][0]
    assert len(flat["files"]) == len(flat["poses"]) == 20
    assert pixels(exam / flat["files"][3]).shape == (288, 384, 3)
    assert {"id", "files", "poses", "colours"} == set(flat)
    assert flat["poses"][0] == {"ahead": 0.0, "right": 0.0, "turned": 0.0}
    quad = asked["tasks"]["voe2d"]["questions"][0]
    assert set(quad) == {"id", "files"} and len(quad["files"]) == 4
    orders = {tuple(voe2d._order(item)) for item in TASKS[1].items(SMOKE)}
    assert len(orders) > 3, "the place of a film tells nothing"


def test_a_film_on_paper_holds_every_frame_in_reading_order(exam: Path):
    item = TASKS[1].items(SMOKE)[0]
    asked = json.loads((exam / "questions.json").read_text())["tasks"]["voe2d"]["questions"][0]
    frames, _ = voe2d._shown(item)
    picture = pixels(exam / asked["files"][0])
    for t in (0, 9, 31):
        y, x = divmod(t, 8)
        seen = picture[128 * y : 128 * (y + 1) : 2, 128 * x : 128 * (x + 1) : 2]
        assert np.array_equal(seen, frames[voe2d._order(item)[0]][t])


def test_what_a_simulator_writes_is_the_ceiling(exam: Path, tmp_path: Path):
    model, setting, sat = paper.grade(TASKS, write(exam, tmp_path / "a", solved()))
    assert (model, setting) == ("one", SMOKE)
    for one in sat:
        assert all(row.value == row.ceiling for row in one.rows)
        assert one.verdict is not None
    for row in sat[0].rows:
        assert row.extra["hidden"] == row.extra["beside"]["ceiling"]["hidden"]
        assert row.extra["area"] == row.extra["beside"]["ceiling"]["area"]
    assert sat[1].verdict.figures["accuracy"].value == 1  # type: ignore[union-attr]


def test_what_knows_nothing_is_the_null(exam: Path, tmp_path: Path):
    blank = json.loads((exam / "example.json").read_text())["tasks"]
    _, _, (flats, quads) = paper.grade(TASKS, write(exam, tmp_path / "a", blank))
    for row in flats.rows:
        assert row.extra["hidden"] == row.extra["beside"]["no views"]["hidden"]
    assert flats.verdict and flats.verdict.figures["hidden"].value == 0
    assert all(row.value == row.null["coin"] == 0.5 for row in quads.rows)


@pytest.mark.slow
def test_an_exam_is_the_same_again_and_another_one_is_refused(exam: Path):
    before = (exam / "questions.json").read_bytes()
    paper.export(TASKS, SMOKE, exam)
    assert (exam / "questions.json").read_bytes() == before
    with pytest.raises(WorldloomError, match="holds another exam"):
        paper.export(TASKS, Setting("smoke", 1), exam)


def test_tasks_that_are_no_files_are_named():
    with pytest.raises(WorldloomError, match="the questions of `motion` are no files"):
        paper.on_paper([Motion()])


def spoil(tasks: dict[str, Any], task: str, answer: Any) -> dict[str, Any]:
    """The same answers but for the first of a task."""
    key = next(iter(tasks[task]))
    return {**tasks, task: {**tasks[task], key: answer}}


@pytest.mark.parametrize(
    ("task", "answer", "words"),
    [
        ("voe2d", [1, 2, 3], r"`permanence-0` is answered by \[1, 2, 3\], not by four numbers"),
        ("voe2d", [1, 2, 3, "4"], "not by four numbers"),
        ("voe2d", [1, 2, 3, True], "not by four numbers"),
        ("rooms", {"doors": []}, "not in the form"),
        ("rooms", {"doors": [["red"]], "areas": {}, "rooms": None}, "not pairs of colours"),
        ("rooms", {"doors": [["red", "mauve"]], "areas": {}, "rooms": 1}, "a colour 'mauve'"),
        ("rooms", {"doors": [], "areas": {"red": -1}, "rooms": 1}, "not numbers by colour"),
        ("rooms", {"doors": [], "areas": {}, "rooms": "many"}, "not a number or null"),
    ],
)
def test_a_malformed_answer_is_named(
    exam: Path, tmp_path: Path, task: str, answer: Any, words: str
):
    blank = json.loads((exam / "example.json").read_text())["tasks"]
    with pytest.raises(WorldloomError, match=words):
        paper.grade(TASKS, write(exam, tmp_path / "a", spoil(blank, task, answer)))


def test_missing_answers_and_missing_files_are_named(exam: Path, tmp_path: Path):
    with pytest.raises(WorldloomError, match="holds no exam"):
        paper.grade(TASKS, tmp_path)
    with pytest.raises(WorldloomError, match="holds no answers"):
        paper.grade(TASKS, exam)
    blank = json.loads((exam / "example.json").read_text())["tasks"]
    lost = {**blank, "voe2d": dict(list(blank["voe2d"].items())[1:])}
    with pytest.raises(WorldloomError, match=r"lacks 1 of 7 answers of `voe2d`.*`permanence-0`"):
        paper.grade(TASKS, write(exam, tmp_path / "a", lost))
    with pytest.raises(WorldloomError, match="no answers of the task `voe2d`"):
        paper.grade(TASKS, write(exam, tmp_path / "b", {"rooms": blank["rooms"]}))
    more = {**blank, "voe2d": {**blank["voe2d"], "magic-0": [0, 0, 0, 0]}}
    with pytest.raises(WorldloomError, match="answers `magic-0`, which `voe2d` does not ask"):
        paper.grade(TASKS, write(exam, tmp_path / "c", more))
    folder = write(exam, tmp_path / "d", blank)
    (folder / "answers.json").write_text("{")
    with pytest.raises(WorldloomError, match="is no JSON"):
        paper.grade(TASKS, folder)
    (folder / "questions.json").write_text('{"format": 7}')
    with pytest.raises(WorldloomError, match="no exam of this version"):
        paper.grade(TASKS, folder)
