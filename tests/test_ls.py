"""What `worldloom data` and `worldloom ls` say of stores, environments and broken things."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from worldloom import cli, ls
from worldloom.actions import ActionSpec, Binary
from worldloom.data.ledger import Find, Ledger
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two episodes, one of each split, in `stores/tiny`."""
    spec = ActionSpec((Binary("keys", ("a", "b")),))
    made = Store.create(tmp_path / "stores" / "tiny", StoreInfo(spec, {"main": (16, 24)}, fps=10))
    for seed, split in ((3, "train"), (4, "heldout")):
        reward = np.zeros(5, np.float32)
        reward[-1] = seed
        made.append(
            Episode(
                np.zeros((5, 16, 24, 3), np.uint8),
                {"keys": np.zeros((5, 2), np.uint8)},
                action_known=np.array([0, 1, 1, 0, 0], bool),
                reward=reward,
                terminated=split == "train",
                policy="nobody",
                seed=seed,
            ),
            split=split,  # type: ignore[arg-type]
        )
    return made


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_data_shows_what_a_store_holds(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", str(store.path), "--episodes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "cameras      main 24x16, 10 frames/s, lossless" in lines
    assert "actions      keys[a b]" in lines
    table = [cells(line) for line in lines]
    assert ["train", "1", "5", "3.00", "50%", "nobody"] in table
    assert ["heldout", "1", "5", "4.00", "50%", "nobody"] in table
    assert [row[1:] for row in table[-2:]] == [
        ["train", "5", "3.00", "terminated", "3", "nobody"],
        ["heldout", "5", "4.00", "open", "4", "nobody"],
    ]


def test_stores_are_found_and_broken_ones_named(store: Store) -> None:
    broken = store.path.parent / "broken"
    broken.mkdir()
    (broken / "info.json").write_text("{")
    rows = [cells(line) for line in ls.stores(str(store.path.parent.parent)).splitlines()]
    assert rows[1][0] == str(broken) and rows[1][1].startswith("broken: ")
    assert rows[2][:4] == [str(store.path), "2", "10", "1"]


def test_hidden_and_deep_folders_are_left_alone(store: Store, tmp_path: Path) -> None:
    hidden = tmp_path / ".hidden" / "tiny"
    hidden.parent.mkdir()
    store.path.rename(hidden)
    assert list(ls.find(str(tmp_path), "info.json")) == []
    deep = tmp_path / "a" / "b" / "c" / "d"
    deep.parent.mkdir(parents=True)
    hidden.rename(deep)
    assert list(ls.find(str(tmp_path), "info.json")) == []
    assert list(ls.find(str(tmp_path), "info.json", depth=4)) == [deep]


def test_a_folder_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(WorldloomError, match="`gone` is not a folder"):
        ls.stores("gone")


def test_a_missing_extra_names_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(ls, "find_spec", lambda name: None if name == "crafter" else found(name))
    table = ls.envs()
    assert "CrafterReward-v1                 pip install 'worldloom[crafter]'  Crafter" in table
    assert cells(table.splitlines()[1])[:2] == ["worldloom/Hop-v0", "yes"]


def test_sizes_in_bytes_are_readable() -> None:
    assert [ls.size_text(n) for n in (0, 900, 2048, 20_000, 3 * 2**20, 5 * 2**30, 5 * 2**40)] == [
        "0 B", "900 B", "2.0 KiB", "20 KiB", "3.0 MiB", "5.0 GiB", "5120 GiB"
    ]  # fmt: skip


@pytest.mark.slow
def test_the_sizes_cost_what_the_table_says() -> None:
    """Parameters to 1%, and the paper's own figures for the largest."""
    known = {  # tokenizer, dynamics, latent tokens of a frame
        "nano": (0, 534_336, 16),
        "tiny": (2_168_136, 8_412_048, 16),
        "small": (38_121_552, 99_257_248, 64),
        "base": (152_820_240, 428_985_504, 128),
        "large": (406_307_600, 1_624_119_328, 256),
    }
    for name, (tokenizer, dynamics, tokens) in known.items():
        found = ls.cost(name)
        assert found.tokens == tokens
        assert found.tokenizer == pytest.approx(tokenizer, rel=0.01)
        assert found.dynamics == pytest.approx(dynamics, rel=0.01)
    large = ls.cost("large")
    assert large.tokenizer == pytest.approx(400e6, rel=0.05)
    assert large.dynamics == pytest.approx(1.6e9, rel=0.05)


def test_the_sizes_are_printed_in_order() -> None:
    rows = [cells(line) for line in ls.sizes().splitlines()]
    names = ["nano", "tiles", "tiny", "small", "base", "large"]
    assert [row[0] for row in rows[1:7]] == names
    assert rows[6][1:5] == ["640x360", "406M", "1.62B", "256"]


def test_check_names_what_is_broken_and_repair_sets_it_aside(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(store.path)
    assert cli.main(["check", path]) == 0
    assert "is whole: 2 episodes, 10 frames" in capsys.readouterr().out
    video = store.folder(store.split("train")[0]) / "main.mov"
    video.write_bytes(video.read_bytes()[:-1])
    assert cli.main(["check", path]) == 1
    said = capsys.readouterr()
    assert f"{video}: is cut short" in said.out
    assert said.err == (
        f"error: store `{path}` has 1 problem\nhint: worldloom check {path} --repair\n"
    )
    assert cli.main(["check", path, "--repair"]) == 0
    said = capsys.readouterr().out
    assert "moved to" in said and "is whole: 1 episodes, 5 frames" in said
    assert (store.path / "set-aside" / "episodes" / video.parent.name / "main.mov").exists()


def test_runs_say_how_far_they_are(tmp_path: Path) -> None:
    for stage, size in (("tokenizer", "tiny"), ("dynamics", "tiny")):
        folder = tmp_path / "runs" / "a" / stage
        folder.mkdir(parents=True)
        config = {"size": size, "store": "stores/x", "schedule": {"steps": 100}}
        (folder / "config.json").write_text(json.dumps(config))
    (tmp_path / "runs/a/tokenizer/weights.safetensors").touch()
    lines = ['{"step": 7, "event": "resumed"}', '{"step": 40, "loss": 0.125}', '{"step": 4']
    (tmp_path / "runs/a/dynamics/metrics.jsonl").write_text("\n".join(lines))
    run = str(tmp_path / "runs/a")
    assert [cells(line) for line in ls.runs(str(tmp_path)).splitlines()[1:]] == [
        [run, "dynamics", "tiny", "step 40 of 100", "0.125", "stores/x"],
        [run, "tokenizer", "tiny", "done", "–", "stores/x"],
    ]


def test_agents_are_stages_and_what_is_no_stage_is_left_out(tmp_path: Path) -> None:
    lessons = {"stage": "agent", "size": "nano", "lessons": {"schedule": {"steps": 9}}}
    dream = {"stage": "dream", "schedule": {"steps": 5}}
    for name, config in (("agent", lessons), ("dream-2", dream), ("else", {"model": "bert"})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"store": "s", **config}))
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "config.json").write_text("[]")
    assert [cells(line)[1:] for line in ls.runs(str(tmp_path)).splitlines()[1:]] == [
        ["agent", "nano", "step 0 of 9", "–", "s"],
        ["dream-2", "–", "step 0 of 5", "–", "s"],
    ]


def test_a_broken_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "a" / "dynamics").mkdir(parents=True)
    (tmp_path / "a" / "dynamics" / "config.json").write_text("{}")
    assert "broken: config.json" in ls.runs(str(tmp_path))


def test_ls_prints_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ls", "--root", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for words in ("no runs here", "no stores here", "worldloom/Hop-v0", "nano"):
        assert words in out
    assert cli.main(["ls", "stores", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("no stores here")


def test_lies_are_listed_the_open_ones_first(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "tiny"
    run.mkdir(parents=True)
    assert cli.main(["ls", "lies", str(run)]) == 0
    assert "no lie" in capsys.readouterr().out
    ledger, dream = Ledger.open(run, store.info), store.read(store.split("train")[0])
    for name in ("table", "wall", "sword"):
        facts = {"said": {"swords": 1, "reward": 0.5}, "truth": {"swords": 0, "rms error": 0.04}}
        what = f"makes a {name} of nothing"
        ledger.add(Find("forbidden", what, dream, 2, same=name, tried=9, wrong=8, round=1, **facts))
    ledger.close(3, round=2, tried=40, wrong=1)
    ledger.reopen(1, round=2, tried=1, wrong=1)
    ledger.close(1, round=2, tried=40, wrong=1)
    ledger.reopen(1, round=3, tried=10, wrong=3)
    assert cli.main(["ls", "lies", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = "of nothing (swords 1, in truth 0; reward 0.5; rms error 0.04)"
    head = lambda id, often: [id, "forbidden", often, "round 1"]  # noqa: E731
    assert [cells(line) for line in lines[1:]] == [
        [*head("2", "8 of 9"), "open", f"makes a wall {said}"],
        [*head("1", "12 of 20"), "open again (1x)", f"makes a table {said}"],
        [*head("3", "8 of 9"), "closed round 2, 1 of 40", f"makes a sword {said}"],
        ["2 open, 1 closed"],
    ]
    assert cells(ls.all_lies(str(tmp_path)).splitlines()[1]) == [str(run), "2", "1"]
    assert "no ledgers" in ls.all_lies(str(store.path))
    assert cli.main(["ls", "lies", str(tmp_path / "gone")]) == 1
    assert "not a folder" in capsys.readouterr().err
    assert cli.main(["ls", "sizes", str(run)]) == 2
    assert "one word too many" in capsys.readouterr().err
