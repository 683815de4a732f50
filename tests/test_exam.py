"""An exam comes to the same however many processes sit it, and mistakes come back from them."""

import io
import json
import subprocess
import sys
import time
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


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux who works for whom")
def test_processes_end_with_whoever_asked(tmp_path: Path):
    command = [sys.executable, "-m", "worldloom", "eval", "hop", "--suite", "trust", "--workers"]
    command += ["1", "--tasks", "return", "--budget", "full", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as asked:
        assert asked.stderr is not None
        for line in asked.stderr:
            if "training" in line or "drawing" in line:
                break
        children = Path(f"/proc/{asked.pid}/task/{asked.pid}/children").read_text().split()
        sitters = [int(child) for child in children if _runs(int(child))]
        asked.kill()
    assert sitters
    for _ in range(600):
        if not any(map(_runs, sitters)):
            return
        time.sleep(0.1)
    raise AssertionError(f"processes {sitters} go on")


def _runs(process: int) -> bool:
    """Whether a process is a sitter that computes, and no bookkeeper of Python's."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "spawn_main" in words
