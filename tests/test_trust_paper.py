"""Exams on paper: what a simulator writes is the ceiling, what knows nothing the null."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from worldloom import cli
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
        ("voe2d", [1, 2, 3, float("nan")], "not by four numbers"),
        ("voe2d", [1, 2, 3, 10**400], "not by four numbers"),
        ("voe2d", [1e308, 1e308, 1e308, 1e308], "not by four numbers"),
        ("voe2d", {"0": 1}, "not by four numbers"),
        ("voe2d", None, "not by four numbers"),
        ("rooms", {"doors": []}, "not in the form"),
        ("rooms", {"doors": [["red"]], "areas": {}, "rooms": None}, "not pairs of colours"),
        ("rooms", {"doors": [["red", "mauve"]], "areas": {}, "rooms": 1}, "a colour 'mauve'"),
        ("rooms", {"doors": [], "areas": {"red": -1}, "rooms": 1}, "not numbers by colour"),
        ("rooms", {"doors": [], "areas": {}, "rooms": "many"}, "not a number or null"),
        ("rooms", {"doors": [], "areas": {}, "rooms": 10**400}, "not a number or null"),
        ("rooms", {"doors": [], "areas": {"red": float("inf")}, "rooms": 1}, "not numbers by"),
        ("rooms", {"doors": [[["red"], {}]], "areas": {}, "rooms": 1}, "a colour \\['red'\\]"),
        ("rooms", {"doors": {"red": "blue"}, "areas": {}, "rooms": 1}, "not pairs of colours"),
        ("rooms", [[]], "not in the form"),
    ],
)
def test_a_malformed_answer_is_named(
    exam: Path, tmp_path: Path, task: str, answer: Any, words: str
):
    blank = json.loads((exam / "example.json").read_text())["tasks"]
    with pytest.raises(WorldloomError, match=words):
        paper.grade(TASKS, write(exam, tmp_path / "a", spoil(blank, task, answer)))


def changed(exam: Path, folder: Path, **facts: Any) -> Path:
    """The same exam with something else in its questions.json, and the answers of the example."""
    blank = json.loads((exam / "example.json").read_text())["tasks"]
    write(exam, folder, blank)
    asked = json.loads((exam / "questions.json").read_text())
    (folder / "questions.json").write_text(json.dumps({**asked, **facts}))
    return folder


QUESTION = {"id": "1", "files": []}
PART = {"version": 1, "generator": "x", "questions": [QUESTION]}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"budget": "huge"}, "damaged: there is no budget 'huge'"),
        ({"budget": ["quick"]}, "damaged: there is no budget"),
        ({"budget": None}, "damaged: there is no budget None"),
        ({"seed": "0"}, "damaged: '0' is no seed"),
        ({"seed": True}, "damaged: True is no seed"),
        ({"seed": 0.5}, r"damaged: 0\.5 is no seed"),
        ({"seed": 3}, "are of another version"),
        ({"tasks": []}, "damaged: there are no tasks by name"),
        ({"tasks": ["rooms"]}, "damaged: there are no tasks by name"),
        ({"tasks": {}}, "damaged: there are no tasks by name"),
        ({"tasks": {"rooms": []}}, "damaged: `rooms` has no version"),
        ({"tasks": {"rooms": {}}}, "damaged: `rooms` has no version"),
        ({"tasks": {"rooms": {**PART, "questions": {}}}}, "damaged: the questions of `rooms`"),
        ({"tasks": {"rooms": {**PART, "questions": ["a"]}}}, "damaged: the questions of `rooms`"),
        ({"tasks": {"rooms": {**PART, "questions": [{}]}}}, "damaged: the questions of `rooms`"),
        ({"tasks": {"rooms": PART}}, "are of another version"),
        ({"tasks": {"gravitas": PART}}, "asks of a task `gravitas`, known are rooms, voe2d"),
        ({"suite": 9}, "no exam of this version"),
        ({"format": None}, "no exam of this version"),
    ],
)
def test_malformed_questions_are_named(exam: Path, tmp_path: Path, facts: Any, words: str):
    with pytest.raises(WorldloomError, match=words):
        paper.grade(TASKS, changed(exam, tmp_path / "a", **facts))


def test_questions_left_out_or_asked_twice_are_no_exam(exam: Path, tmp_path: Path):
    tasks = json.loads((exam / "questions.json").read_text())["tasks"]
    for number, change in enumerate((lambda some: some[1:], lambda some: [*some, some[0]])):
        part = {**tasks["rooms"], "questions": change(tasks["rooms"]["questions"])}
        folder = changed(exam, tmp_path / str(number), tasks={**tasks, "rooms": part})
        with pytest.raises(WorldloomError, match=r"`rooms` in .* are of another version"):
            paper.grade(TASKS, folder)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\x89PNG\r\n\x1a\n\x00\xff",
        b"[" * 200_000,
        b"null",
        b"[]",
        b'{"tasks": 3}',
        b'{"tasks": {"rooms": [], "voe2d": {}}}',
        b'{"tasks": {"rooms": {}, "voe2d": {}}}',
        b'{"tasks": {"rooms": {}, "voe2d": {}}, "model": ["one"]}',
        b'{"tasks": {"rooms": {}, "voe2d": {}}, "model": "\\ud800"}',
        b'{"tasks": {"rooms": {}, "voe2d": {}}, "model": " "}',
    ],
)
def test_files_that_are_anything_else_are_named(exam: Path, tmp_path: Path, junk: bytes):
    folder = changed(exam, tmp_path / "a")
    (folder / "answers.json").write_bytes(junk)
    with pytest.raises(WorldloomError, match=r"answers\.json"):
        paper.grade(TASKS, folder)
    (folder / "questions.json").write_bytes(junk)
    with pytest.raises(WorldloomError, match=r"questions\.json` (is no|is damaged)"):
        paper.grade(TASKS, folder)


def test_an_answer_that_stands_twice_is_refused(exam: Path, tmp_path: Path):
    folder = changed(exam, tmp_path / "a")
    told = (
        (folder / "answers.json")
        .read_text()
        .replace('"permanence-0":', '"permanence-0": [1, 2, 3, 4], "permanence-0":')
    )
    (folder / "answers.json").write_text(told)
    with pytest.raises(WorldloomError, match="`permanence-0` stands there twice"):
        paper.grade(TASKS, folder)


def test_rows_are_kept_and_a_mended_answer_is_marked_again(exam: Path, tmp_path: Path):
    folder, rows = changed(exam, tmp_path / "a"), tmp_path / "rows"
    paper.grade(TASKS, folder, out=rows)
    before = (rows / "voe2d.jsonl").read_text()
    assert len(before.splitlines()) == 7 and (rows / "rooms.jsonl").exists()
    blank = json.loads((exam / "example.json").read_text())["tasks"]
    write(exam, tmp_path / "b", {**blank, "voe2d": solved()["voe2d"]})
    _, _, (_, quads) = paper.grade(TASKS, tmp_path / "b", out=rows)
    assert (rows / "voe2d.jsonl").read_text() != before
    assert all(row.value == 1 for row in quads.rows)


@pytest.mark.slow
def test_a_graded_report_says_how_it_is_graded_again(tmp_path: Path, capsys):
    folder, out = tmp_path / "exam", tmp_path / "out"
    words = ["eval", "--export", str(folder), "--tasks", "voe2d", "--budget", "smoke"]
    assert cli.main(words) == 0
    (folder / "answers.json").write_bytes((folder / "example.json").read_bytes())
    assert cli.main(["eval", "--grade", str(folder)]) == 0
    report = json.loads((folder / "graded" / "trust.json").read_text())
    assert report["run"]["command"] == f"worldloom eval --grade {folder}"
    assert f"worldloom eval --grade {folder}<" in (folder / "graded" / "trust.html").read_text()
    assert (folder / "graded" / "rows" / "voe2d.jsonl").exists()
    again = ["eval", "--grade", str(folder), "--tasks", "voe2d", "--out", str(out), "--fail-on"]
    assert cli.main([*again, "voe2d"]) == 3, "who knows nothing does not pass"
    report = json.loads((out / "trust.json").read_text())
    assert report["run"]["command"] == (
        f"worldloom eval --grade {folder} --tasks voe2d --out {out}"
    )
    capsys.readouterr()
    assert cli.main(["eval", "--grade", str(folder), "--fail-on", "rooms"]) == 2
    assert "`rooms` is to be passed, and is not among the tasks voe2d" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--export", "d", "--out", "e", "--json"], "--export has no use for --out and --json"),
        (["--export", "d", "--fail-on", "rooms"], "--export has no use for --fail-on"),
        (["--export", "d", "--training-seeds", "3"], "--export has no use for --training-seeds"),
        (["--export", "d", "--workers", "2"], "--export has no use for --workers"),
        (["--grade", "d", "--seed", "0"], "--grade has no use for --seed"),
        (["--grade", "d", "--budget", "full"], "--grade has no use for --budget"),
        (["--grade", "d", "--training-seeds", "3"], "--grade has no use for --training-seeds"),
        (["--grade", "d", "--workers", "1"], "--grade has no use for --workers"),
    ],
)
def test_options_that_would_be_ignored_are_refused(words: list[str], said: str, capsys):
    assert cli.main(["eval", *words]) == 2
    assert said in capsys.readouterr().err and not Path("d").exists()


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
