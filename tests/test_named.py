"""What is named as module:Class is found where a command is run; what is not is one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worldloom.errors import WorldloomError
from worldloom.trust.named import make_named

EXAMPLE = Path(__file__).parent.parent / "examples" / "keeps_still.py"
SCRIPT = "import sys; from worldloom.cli import main; sys.exit(main())"


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as the console script gives it: its own folder is looked in, not this one."""
    script = folder / "bin" / "worldloom"
    script.parent.mkdir(exist_ok=True)
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), "eval", *words]
    return subprocess.run(
        command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_task_in_one_file_is_found_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "mytask.py").write_bytes(EXAMPLE.read_bytes())
    words = ("hop", "--suite", "trust", "--tasks", "mytask:KeepsStill", "--budget", "smoke")
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "keeps_still" in done.stdout and "name their store after the run" in done.stdout


def test_a_mistake_in_ones_own_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "torn.py").write_text("class Mine\n")
    done = run(tmp_path, "hop", "--suite", "trust", "--tasks", "torn:Mine")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "torn.py, line 1" in done.stderr


class Asks:
    """Cannot be made of nothing."""

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere_at_all:Mine", "was not found: No module named 'nowhere_at_all'"),
        ("test_named:Nobody", "was not found: .*Nobody"),
        ("test_named:Asks", "cannot be made: missing a required argument: 'number'"),
        ("test_named:SCRIPT", "cannot be made: .* is not a callable object"),
        (":Mine", "not written as module:Class"),
        (".test_named:Asks", "not written as module:Class"),
        ("test_named:", "not written as module:Class"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_sentence(name: str, words: str) -> None:
    with pytest.raises(WorldloomError, match=words):
        make_named(name, "task", ("answer",), "worldloom.trust.task.Task")
