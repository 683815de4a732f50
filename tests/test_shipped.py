"""Worlds that come with the package open, start and say what they are; any run can be packed."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from worldloom import shipped
from worldloom.actions import Action
from worldloom.errors import WorldloomError
from worldloom.hub import load_world
from worldloom.models.dream import Sampler
from worldloom.pack import pack_world
from worldloom.starts import contexts, run_store

LIMIT = 12_000_000


def ten_frames(run: Path) -> torch.Tensor:
    world = load_world(run)
    state, _ = world.start(contexts(run_store(run, None), count=1)[0], torch.tensor([7]))
    null = {name: torch.from_numpy(v) for name, v in world.spec.action.null((1,)).items()}
    frames = []
    for _ in range(10):
        state, _ = world.step(state, Action(null, torch.ones(1, dtype=torch.bool)))
        frames.append(world.render(state)[0])
    return torch.stack(frames)


@pytest.mark.parametrize("name", shipped.names())
def test_a_shipped_world_is_small_says_what_it_is_and_plays(name: str) -> None:
    run = shipped.find_run(name)
    assert run is not None and shipped.folder_bytes(name) < LIMIT
    card = (run / "CARD.md").read_text()
    for part in ("Data", "Recipe", "Scores", "Known failures"):
        assert f"## {part}" in card
    frames = ten_frames(run)
    height, width = frames.shape[1:3]
    assert min(height, width) >= 64 and frames.float().std() > 10


@pytest.mark.parametrize("name", shipped.names())
def test_a_shipped_world_names_no_folder_of_a_machine(name: str) -> None:
    run = shipped.find_run(name)
    assert run is not None
    for file in run.glob("*/config.json"):
        config = json.loads(file.read_text())
        assert config["store"] == "store"
        assert "/" not in config["made"]["command"]
        assert "begin" not in config
    assert (run / "store" / "index.parquet").exists()  # else opening it would write one


def test_the_first_world_is_there() -> None:
    assert shipped.names()[0] == shipped.FIRST


def test_a_folder_of_ones_own_goes_before_a_shipped_world(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped.find_run(shipped.FIRST) == shipped.FOLDER / shipped.FIRST
    (tmp_path / shipped.FIRST).mkdir()
    assert shipped.find_run(shipped.FIRST) == Path(shipped.FIRST)
    assert shipped.find_run("worldloom/Hop-v0") is None


@pytest.mark.slow
def test_a_packed_world_is_the_same_world_wherever_it_lies(tmp_path: Path) -> None:
    first = shipped.find_run(shipped.FIRST)
    assert first is not None
    run = tmp_path / "run"
    shutil.copytree(first, run)
    pack_world(run, tmp_path / "packed", sampler=Sampler(passes=2))
    shutil.rmtree(run)
    moved = tmp_path / "moved"
    (tmp_path / "packed").rename(moved)
    assert load_world(moved).sampler.passes == 2
    facts = json.loads((moved / "world.json").read_text())
    facts["sampler"] = json.loads((first / "world.json").read_text())["sampler"]
    (moved / "world.json").write_text(json.dumps(facts))
    assert (ten_frames(moved) == ten_frames(first)).all()
    with pytest.raises(WorldloomError, match="exists already"):
        pack_world(first, moved)


def test_a_broken_world_json_is_one_sentence(tmp_path: Path) -> None:
    first = shipped.find_run(shipped.FIRST)
    assert first is not None
    shutil.copytree(first, tmp_path / "run")
    (tmp_path / "run" / "world.json").write_text('{"sampler": {"pases": 1}}')
    with pytest.raises(WorldloomError, match=r"world\.json.*pases"):
        load_world(tmp_path / "run")
