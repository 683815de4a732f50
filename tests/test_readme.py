"""Every code block of the README runs, in a smoke mode where it is long, in the order it stands."""

import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_docs import load

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)

# What makes a line quick, and alters nothing else.
SMOKE = {
    "worldloom quickstart": "--smoke --no-serve",
    "worldloom record": "--episodes 12 --heldout 0.5",
    "worldloom train tokenizer": "--steps 2",
    "worldloom train dynamics": "--steps 2",
    "worldloom train agent": "--steps 2",
    "worldloom dream": "--steps 2 --contexts 4",
    "worldloom correct": "--rounds 1 --steps 40 --updates 2 --dreams 2 --starts 2 --horizon 4",
    "worldloom act": "--episodes 2 --max-frames 20",
    "worldloom eval": "--episodes 2",
    "worldloom play": "--no-open --port 0",
}
EXEMPT = {"make test"}


@dataclass(frozen=True)
class Block:
    """A code block: its language and its text."""

    language: str
    text: str


def blocks() -> list[Block]:
    return [Block(*match) for match in FENCE.findall(README.read_text())]


def lines(block: Block) -> list[str]:
    """The commands of a shell block, without comments."""
    return [words for line in block.text.splitlines() if (words := line.partition("#")[0].strip())]


def quick(line: str) -> str:
    """A command in its smoke mode."""
    if line == "make demo":
        return "worldloom quickstart --smoke --no-serve"
    for verb, more in SMOKE.items():
        if line.startswith(verb):
            for option in re.findall(r"--[\w-]+", more):
                line = re.sub(rf" {option} [^-\s]\S*", "", line)
            return f"{line} {more}"
    return line


def play_for_a_moment(command: list[str], folder: Path) -> None:
    """Starts a page, waits until it answers, and stops it as a person would."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None
        with urllib.request.urlopen(address[0]) as page:
            assert page.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def run_shell(line: str, folder: Path) -> None:
    """Runs one command of the README, or its smoke mode."""
    command = shlex.split(quick(line))
    if command[0] == "worldloom":
        command = [sys.executable, "-m", *command]
    if "play" in command:
        play_for_a_moment(command, folder)
        return
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_every_code_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    ran = 0
    for block in blocks():
        assert block.language in ("sh", "python"), "a block that no test can run"
        if block.language == "python":
            exec(compile(block.text, str(README), "exec"), {"__name__": "readme"})
            ran += 1
        else:
            for line in lines(block):
                if line not in EXEMPT:
                    run_shell(line, tmp_path)
                    ran += 1
    assert ran >= 6


def test_make_demo_is_the_command_that_the_test_runs_for_it() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "-n", "demo", "ARGS=--no-serve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert shown[-1] == ".venv/bin/worldloom quickstart --no-serve"


def test_smoke_modes_replace_what_they_shorten() -> None:
    line = "worldloom record worldloom/Hop-v0 stores/hop --episodes 200 --workers 2"
    assert (
        quick(line)
        == "worldloom record worldloom/Hop-v0 stores/hop --workers 2 --episodes 12 --heldout 0.5"
    )
    assert quick("worldloom ls sizes") == "worldloom ls sizes"


def test_the_results_are_those_of_the_files() -> None:
    tables = load(ROOT / "benchmarks" / "tables.py")
    for page in tables.pages():
        text = page.read_text()
        assert tables.BLOCK.search(text), f"{page} has no results"
        assert tables.render(text) == text, "run: python -m benchmarks.tables"


def test_a_stale_result_is_found() -> None:
    tables = load(ROOT / "benchmarks" / "tables.py")
    stale = "<!-- results: nothing-of-that-name -->\n9000\n<!-- /results -->"
    assert "9000" not in tables.render(stale)
    assert "has not been measured yet" in tables.render(stale)
    assert "9000" not in tables.render(stale.replace("results", "headlines", 1))


def test_no_result_names_a_folder_of_the_machine_that_made_it() -> None:
    files = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    assert files
    for file in files:
        words = shlex.split(json.loads(file.read_text())["command"])
        assert not [word for word in words if word.startswith(("/", "~"))], file.name
