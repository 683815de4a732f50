"""Bad input gets one sentence and one hint through the command line, and nothing is lost."""

import ast
import shutil
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom import cli
from worldloom.actions import ActionSpec, Binary
from worldloom.data.check import check_store
from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.train.checkpoint import read_tensors, write_tensors

HOP = "worldloom/Hop-v0"
SOURCE = Path(cli.__file__).parent


def good(*words: str | Path) -> None:
    """Runs a command that must succeed."""
    assert cli.main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few short episodes of Hop at 32x32."""
    path = tmp_path_factory.mktemp("stores") / "hop"
    good("record", HOP, path, "--episodes", "8", "--size", "32", "--heldout", "0.2",
         "--max-frames", "30")  # fmt: skip
    return path


@pytest.fixture(scope="module")
def run(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world that has learned nothing."""
    path = tmp_path_factory.mktemp("runs") / "hop"
    good("train", "tokenizer", store, "--run", path, "--size", "nano")
    good("train", "dynamics", store, "--run", path, "--steps", "1", "--batch", "1")
    return path


@pytest.fixture
def mistake(capsys: pytest.CaptureFixture[str]):
    """Runs a command that must fail in two lines; gives the fact and the hint."""

    def run(*words: str | Path) -> tuple[str, str]:
        capsys.readouterr()
        assert cli.main([str(word) for word in words]) == 1
        said = capsys.readouterr().err.splitlines()
        told = [line for line in said if not line.startswith("[")]  # all but progress
        assert [line.partition(":")[0] for line in told] == ["error", "hint"], said
        assert all(line.partition(":")[2].strip() for line in told)
        return told[0].removeprefix("error: "), told[1].removeprefix("hint: ")

    return run


def copy(store: Path, to: Path, *, size: int = 32, keys: Sequence[str] = ("left", "right")) -> Path:
    """A store like `store` with frames of another size and other keys."""
    info = replace(
        Store.open(store).info,
        cameras={"main": (size, size)},
        action=ActionSpec((Binary("keys", tuple(keys)),)),
    )
    made = Store.create(to, info)
    for split in ("train", "heldout", "heldout"):
        frames = np.zeros((50, size, size, 3), np.uint8)
        frames[:, 0, 0, 0] = len(made)  # no two episodes are the same
        actions = {"keys": np.zeros((50, len(keys)), np.uint8)}
        made.append(Episode(frames, actions), split=split)
    return to


def test_a_store_of_another_action_space(mistake, store: Path, run: Path, tmp_path: Path) -> None:
    other = copy(store, tmp_path / "other")
    fact = f"store `{other}` has 2 actions, world `hop` was trained with 3"
    for command in (["eval", run, other], ["play", run, "--store", other, "--port", "0"]):
        error, hint = mistake(*command)
        assert error == fact and str(other) in hint


def test_frames_of_another_size(mistake, store: Path, run: Path, tmp_path: Path) -> None:
    keys = ("left", "right", "jump")
    other = copy(store, tmp_path / "other", size=48, keys=keys)
    fact = f"store `{other}` has frames of 48x48, world `hop` was trained with 32x32"
    for command in (["eval", run, other], ["play", run, "--store", other, "--port", "0"]):
        assert mistake(*command)[0] == fact
    alone = tmp_path / "run"
    shutil.copytree(run / "tokenizer", alone / "tokenizer")
    error, hint = mistake("train", "dynamics", other, "--run", alone)
    assert "48" in error and "32" in error and "train tokenizer" in hint
    assert not (alone / "dynamics").exists()


def test_an_empty_store(mistake, store: Path, run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    Store.create(empty, Store.open(store).info)
    for command in (
        ["train", "tokenizer", empty, "--run", tmp_path / "run", "--size", "nano"],
        ["eval", run, empty],
        ["play", run, "--store", empty, "--port", "0"],
    ):
        error, hint = mistake(*command)
        assert f"store `{empty}`" in error and "worldloom record" in hint
    assert not (tmp_path / "run" / "tokenizer").exists()


def test_something_that_is_no_store_and_no_run(mistake, store: Path, tmp_path: Path) -> None:
    assert "is not a store" in mistake("data", tmp_path)[0]
    assert "is not a store" in mistake("train", "tokenizer", tmp_path / "gone")[0]
    error, hint = mistake("play", tmp_path)
    assert "has no tokenizer" in error and "worldloom train tokenizer" in hint
    assert "is no run" in mistake("train", "--resume", tmp_path)[0]
    assert "has no tokenizer" in mistake("train", "dynamics", store, "--run", tmp_path)[0]


NAN_ENV = """
import gymnasium, numpy as np

class Broken(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 255, (32, 32, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_fps": 20, "render_modes": []}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.now = 0
        return np.zeros((32, 32, 3), np.uint8), {}

    def step(self, action):
        self.now += 1
        reward = float("nan") if self.now == 3 else 0.0
        return np.zeros((32, 32, 3), np.uint8), reward, False, False, {}

gymnasium.register("Broken-v0", Broken)
"""


def test_rewards_that_are_no_numbers(
    mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_rewards.py").write_text(NAN_ENV)
    monkeypatch.syspath_prepend(tmp_path)
    made = tmp_path / "store"
    error, hint = mistake("record", "broken_rewards:Broken-v0", made, "--episodes", "2")
    assert "gave reward nan at frame 3 of episode 0" in error and "repair" in hint
    assert len(Store.open(made)) == 0


def test_an_unknown_environment(mistake, tmp_path: Path) -> None:
    error, hint = mistake("record", "worldloom/Hopp-v0", tmp_path / "store")
    assert error == "there is no environment `worldloom/Hopp-v0`" and HOP in hint
    assert not (tmp_path / "store").exists()
    error, hint = mistake("play", "Nothing-v3", "--port", "0")
    assert "there is no environment `Nothing-v3`" in error
    assert "--store" in mistake("play", HOP, "--store", tmp_path)[1]


@pytest.mark.parametrize(
    ("package", "env", "extra"),
    [("ale_py", "ALE/Pong-v5", "atari"), ("minigrid", "MiniGrid-Empty-8x8-v0", "minigrid")],
)
def test_a_missing_extra_names_its_install_line(
    mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, env: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for command in (["record", env, tmp_path / "store"], ["play", env, "--port", "0"]):
        error, hint = mistake(*command)
        assert f"`{package}`" in error and hint == f"pip install 'worldloom[{extra}]'"
    assert not (tmp_path / "store").exists()


def test_a_missing_tracker_names_its_install_line(
    mistake, store: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    shutil.copytree(run / "tokenizer", tmp_path / "run" / "tokenizer")
    error, hint = mistake("train", "dynamics", store, "--run", tmp_path / "run", "--steps", "1",
                          "--batch", "1", "--track", "wandb")  # fmt: skip
    assert "`wandb`" in error and hint == "pip install 'worldloom[wandb]'"
    assert not (tmp_path / "run" / "dynamics").exists()


def test_a_run_without_an_agent_cannot_play(mistake, run: Path, tmp_path: Path) -> None:
    error, hint = mistake("record", HOP, tmp_path / "store", "--size", "32", "--policy", run)
    assert error == f"`{run}` holds no agent that was trained to its end"
    assert f"worldloom train agent STORE --run {run}" in hint
    assert not (tmp_path / "store").exists()


def test_a_run_folder_that_exists(mistake, store: Path, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    error, hint = mistake("train", "tokenizer", store, "--run", run, "--size", "nano")
    assert error == f"`{run / 'tokenizer'}` exists already" and f"--resume {run}" in hint
    assert "exists already" in mistake("train", "dynamics", store, "--run", run)[0]
    assert "exists already" in mistake("quickstart", "--smoke", "--no-serve", "--out", run)[0]
    error, hint = mistake("train", "--resume", run)
    assert "is finished" in error and f"worldloom play {run}" in hint
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("stage", ["tokenizer", "dynamics"])
def test_weights_with_missing_and_unexpected_keys(
    mistake, store: Path, run: Path, tmp_path: Path, stage: str
) -> None:
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    file = broken / stage / "weights.safetensors"
    tensors, facts = read_tensors(file)
    name, value = tensors.popitem()
    write_tensors(file, {**tensors, "stranger": value}, facts)
    if stage == "tokenizer":  # so that its own check speaks, not that of the pair
        from worldloom.hub import weights_hash

        config = broken / "dynamics" / "config.json"
        text = config.read_text().replace(weights_hash(run / stage), weights_hash(broken / stage))
        config.write_text(text)
    for command in (["eval", broken, store], ["play", broken, "--port", "0"]):
        error, _ = mistake(*command)
        assert f"`{file}`" in error
        assert f"missing: {name}" in error and "unexpected: stranger" in error


def test_weights_that_are_cut_short_or_not_there(mistake, run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    file = broken / "dynamics" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "is not a readable worldloom checkpoint" in mistake("play", broken, "--port", "0")[0]
    file.unlink()
    error, hint = mistake("play", broken, "--port", "0")
    assert "is not trained to its end" in error and f"--resume {broken}" in hint


def test_a_port_in_use(mistake, run: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for world in (HOP, run):
            error, hint = mistake("play", world, "--no-open", "--port", port)
            assert port in error and "in use" in error and "--port" in hint


def test_a_truncated_store(mistake, store: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(store, cut)
    opened = Store.open(cut)
    first, second, third = (opened.folder(name) for name in opened.split("train")[:3])
    video = first / "main.mov"
    video.write_bytes(video.read_bytes()[:200])
    (second / "steps.parquet").unlink()
    (third / "stranger.txt").write_text("?")
    where = tmp_path / "run"
    error, hint = mistake("train", "tokenizer", cut, "--run", where, "--size", "nano")
    assert str(first) in error or str(second) in error
    assert hint == f"worldloom check {cut} --repair"
    assert not (where / "tokenizer").exists()

    error, hint = mistake("check", cut)
    assert "has 3 problems" in error and hint == f"worldloom check {cut} --repair"
    found = "\n".join(map(str, check_store(cut)))
    assert all(name in found for name in ("main.mov", "steps.parquet", "stranger.txt"))
    good("check", cut, "--repair")
    assert len(Store.open(cut)) == len(Store.open(store)) - 2
    good("train", "tokenizer", cut, "--run", where, "--size", "nano")


WRONG_USAGE = (
    ("record", HOP, "{}", "--max-frames", "0"),
    ("record", HOP, "{}", "--snapshot-every", "-1"),
    ("record", HOP, "{}", "--size", "-4"),
    ("record", HOP, "{}", "--workers", "0"),
    ("train", "tokenizer", "{store}", "--run", "{}", "--size", "nano", "--batch", "-1"),
    ("train", "tokenizer", "{store}", "--run", "{}", "--size", "nano", "--rate", "nan"),
    ("train", "tokenizer", "{store}", "--run", "{}", "--size", "nano", "--save-minutes", "-1"),
    ("train", "dynamics", "{store}", "--run", "{run}", "--bootstrap-rows", "3"),
    ("play", HOP, "--no-open", "--port", "0", "--fps", "-3"),
)


@pytest.mark.parametrize("words", WRONG_USAGE, ids=lambda words: words[-2])
def test_a_number_that_makes_no_sense_is_said_before_anything_is_made(
    capsys: pytest.CaptureFixture[str], store: Path, run: Path, tmp_path: Path, words: Sequence[str]
) -> None:
    made = tmp_path / "made"
    given = [word.format(made, store=store, run=run) for word in words]
    capsys.readouterr()
    assert cli.main(given) == 2
    said = [s for s in capsys.readouterr().err.splitlines() if not s.startswith("[")]
    assert len(said) == 2 and said[0].startswith(f"error: {words[-2]} {words[-1]}"), said
    assert said[1].startswith("hint: ") and not made.exists()


def test_a_file_where_a_folder_has_to_be(mistake, store: Path, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for command in (
        ["record", HOP, file / "store"],
        ["train", "tokenizer", store, "--run", file, "--size", "nano"],
        ["eval", run, store, "--episodes", "2", "--horizons", "1", "--out", file],
    ):
        assert str(file) in mistake(*command)[0]
    assert file.read_text() == "mine"


# Files that only speak of damage inside a store, whose readers add how to repair it.
REPAIRABLE = {"columns.py", "folder.py", "video.py"}
# What a program asks for, not a person at the command line.
INTERNAL = {"clips.py", "latents.py", "make.py"}


@pytest.mark.slow
def test_every_error_has_a_hint() -> None:
    bare = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path.name in REPAIRABLE | INTERNAL:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "WorldloomError":
                starred = any(isinstance(value, ast.Starred) for value in node.args)
                if len(node.args) < 2 and not starred:
                    bare.append(f"{path.name}:{node.lineno}")
    assert bare == []
