"""The line that says what a number was computed on, and the commit of the code."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from worldloom import machine


def test_the_machine_is_told_in_words():
    told = machine.machine()
    assert re.match(r"\d+ cores? ", told) and "GPU" in told


def _repository(folder: Path) -> Path:
    """A copy of the module in a repository of its own."""
    (folder / "src").mkdir(parents=True)
    shutil.copy(machine.__file__, folder / "src" / "machine.py")
    for words in (
        ["init", "-q"],
        ["add", "src"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder / "src"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_code_which_is_tracked(tmp_path, monkeypatch):
    source = _repository(tmp_path / "own")
    monkeypatch.setattr(machine, "HERE", source)
    assert re.fullmatch(r"[0-9a-f]{10}", machine.commit())
    (source / "machine.py").write_text("changed")
    assert machine.commit().endswith("+") and not machine.commit("docs").endswith("+")
    other = tmp_path / "own" / "venv"
    other.mkdir()
    monkeypatch.setattr(machine, "HERE", other)  # as a package installed inside a project
    assert machine.commit() == ""
    monkeypatch.setattr(machine, "HERE", tmp_path)
    assert machine.commit() == ""


def test_git_is_not_required(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert machine.commit() == ""
