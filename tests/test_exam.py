"""An exam comes to the same however many processes sit it, and mistakes come back from them."""

import io
import json
from pathlib import Path

import pytest

from worldloom.errors import WorldloomError
from worldloom.progress import Progress
from worldloom.verbs.exam import Exam


@pytest.mark.slow
def test_an_exam_is_the_same_however_many_processes_sit_it(tmp_path: Path):
    told, tasks = [], ("transfer", "gladder")
    for count in (1, 2):
        exam = Exam("hop", None, "smoke", 0, 1, tmp_path / str(count))
        profile = exam.sit(tasks, count, Progress({"eval": 0.0}, out=io.StringIO()))
        assert [entry.task for entry in profile.entries] == list(tasks)
        assert (tmp_path / str(count) / "rows" / "gladder.jsonl").exists()
        document = profile.to_json()
        run = document.pop("run")
        assert "--tasks transfer gladder" in run["command"]
        assert all(run["training_seconds"][name] > 0 for name in tasks)
        told.append(json.dumps(document))
    assert told[0] == told[1]


@pytest.mark.slow
def test_a_mistake_comes_back_as_one_sentence(tmp_path: Path):
    exam = Exam(str(tmp_path / "none"), None, "smoke", 0, 1, tmp_path)
    with pytest.raises(WorldloomError, match="none") as stop:
        exam.sit(("control",), 1, Progress({"eval": 0.0}, out=io.StringIO()))
    assert "Traceback" not in f"{stop.value.message} {stop.value.hint}"
