"""Checking a store names what is wrong; repairing sets it aside and deletes nothing."""

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_store import INFO, make_episode

from worldloom.data import columns, files, folder
from worldloom.data.check import check_store, repair
from worldloom.data.store import Store
from worldloom.errors import WorldloomError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = Store.create(tmp_path / "s", INFO)
    for seed in range(3):
        store.append(make_episode(20, seed))
    return tmp_path / "s"


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in (path / "episodes").iterdir())


def contents(path: Path) -> list[bytes]:
    kept = [f for f in path.rglob("*") if f.is_file() and f.name != "index.parquet"]
    return sorted(f.read_bytes() for f in kept)


def rewrite_row(episode: Path, **changes) -> None:
    """Writes an episode's row again, as a writer with a mistake would have."""
    row = replace(folder.read_row(episode), **changes)
    sizes = {
        name: (len(data := (episode / name).read_bytes()), zlib.crc32(data)) for name in row.files
    }
    row = replace(row, files=sizes)
    (episode / folder.ROW).write_bytes(columns.to_bytes(folder.row_table([row])))


def rewrite_steps(episode: Path, **changes) -> None:
    steps = columns.table_to_arrays(columns.read_table(episode / folder.STEPS))
    steps = {k: v for k, v in {**steps, **changes}.items() if v is not None}
    (episode / folder.STEPS).write_bytes(columns.to_bytes(columns.arrays_to_table(steps)))
    rewrite_row(episode)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def other_frames(episode: Path) -> None:
    short = folder.pack(make_episode(12), fps=20, codec="lossless")
    (episode / "side.mov").write_bytes(short["side.mov"])
    rewrite_row(episode)


def other_size(episode: Path) -> None:
    shutil.copy(episode / "side.mov", episode / "main.mov")
    rewrite_row(episode)


NAN = np.full(20, np.nan, np.float32)
BROKEN = {
    "missing video": (lambda e: (e / "main.mov").unlink(), r"main\.mov: is missing"),
    "missing row": (lambda e: (e / folder.ROW).unlink(), r"episode\.parquet: is missing"),
    "missing steps": (lambda e: (e / folder.STEPS).unlink(), r"steps\.parquet: is missing"),
    "missing still": (
        lambda e: (e / "stills/background.png").unlink(),
        "background.png: is missing",
    ),
    "truncated video": (
        lambda e: cut(e / "side.mov"),
        r"side\.mov: is cut short: \d+ of \d+ bytes",
    ),
    "truncated row": (lambda e: cut(e / folder.ROW), r"episode\.parquet: .*cannot be read"),
    "truncated steps": (lambda e: cut(e / folder.STEPS), r"steps\.parquet: is cut short"),
    "changed video": (lambda e: flip(e / "main.mov"), r"main\.mov: has changed since"),
    "changed notes": (lambda e: flip(e / folder.NOTES), r"notes\.parquet: has changed since"),
    "renamed": (lambda e: e.rename(e.with_name("zzz")), "belongs to episode"),
    "fewer frames": (other_frames, r"side\.mov: has 12 frames, its row says 20"),
    "other size": (other_size, r"main\.mov: has frames of 9x7, info\.json says 16x24"),
    "nan reward": (lambda e: rewrite_steps(e, reward=NAN), "reward that is not finite"),
    "nan sensor": (
        lambda e: rewrite_steps(e, **{"sensor/joint": np.stack([NAN, NAN], 1)}),
        "sensor/joint that is not finite",
    ),
    "no action": (lambda e: rewrite_steps(e, **{"action/aim": None}), "has action components"),
    "wrong action": (
        lambda e: rewrite_steps(e, **{"action/tool": np.full(20, 9)}),
        "`tool` outside its bounds",
    ),
    "fewer steps": (
        lambda e: (
            (e / folder.STEPS).write_bytes(
                folder.pack(make_episode(12), fps=20, codec="lossless")[folder.STEPS]
            )
            and rewrite_row(e)
        ),
        "has 12 rows, the episode 20 frames",
    ),
    "no reward": (lambda e: rewrite_steps(e, reward=None), "lacks reward"),
    "other split": (lambda e: rewrite_row(e, split="test"), "names a split `test`"),
}


def test_a_whole_store_is_whole(path):
    assert check_store(path) == []
    assert repair(path) == []
    assert len(Store.open(path)) == 3


@pytest.mark.parametrize("kind", BROKEN)
def test_each_kind_of_damage_is_named_and_set_aside(path, kind):
    damage, message = BROKEN[kind]
    before = names(path)
    damage(path / "episodes" / before[1])
    kept, problems = contents(path), check_store(path)
    assert len(problems) == 1, [str(p) for p in problems]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(problems[0]))
    (moved,) = repair(path)
    assert moved.parent == path / "set-aside" / "episodes"
    assert contents(path) == kept
    assert check_store(path) == []
    store = Store.open(path)
    assert [row.name for row in store.episodes] == [before[0], before[2]]
    for row in store.episodes:
        store.read(row.name)


def test_foreign_files_are_named_and_the_episode_stays(path):
    episode = path / "episodes" / names(path)[0]
    (episode / "holiday.jpg").write_bytes(b"beach")
    (episode / "stills" / "more.png").write_bytes(b"")
    (path / "episodes" / "notes.txt").write_text("mine")
    (path / "thesis.doc").write_text("mine")
    (path / "episodes" / "empty").mkdir()
    found = {str(p.path.relative_to(path)) for p in check_store(path)}
    name = episode.name
    assert found == {
        f"episodes/{name}/holiday.jpg",
        f"episodes/{name}/stills/more.png",
        "episodes/notes.txt",
        "thesis.doc",
        "episodes/empty/episode.parquet",
    }
    assert len(repair(path)) == 5
    assert (path / "set-aside" / "thesis.doc").read_text() == "mine"
    assert check_store(path) == []
    assert len(Store.open(path)) == 3


def test_repair_never_overwrites_what_was_set_aside(path):
    for text in ("first", "second"):
        (path / "thesis.doc").write_text(text)
        repair(path)
    kept = {f.read_text() for f in (path / "set-aside").glob("thesis.doc*")}
    assert kept == {"first", "second"}


def test_what_a_dead_writer_left_is_set_aside_and_a_living_one_is_let_be(path):
    part = files.part_path(path / "episodes" / "abc")
    part.mkdir()
    (part / "main.mov").write_bytes(b"half")
    with files.locked(part):
        (problem,) = check_store(path)
        assert problem.leftover and "is being written" in str(problem)
        assert repair(path) == []
    (problem,) = check_store(path)
    assert problem.leftover and "left by a writer that died" in str(problem)
    assert len(Store.open(path)) == 3
    repair(path)
    assert check_store(path) == []
    assert len(list((path / "set-aside").rglob("main.mov"))) == 1


def test_opening_and_reading_a_broken_store_names_the_file_and_the_repair(path):
    first, second, _ = names(path)
    (path / "episodes" / first / folder.ROW).unlink()
    with pytest.raises(WorldloomError, match=f"{first}/episode.parquet` is missing") as error:
        Store.open(path)
    assert error.value.hint == f"worldloom check {path} --repair"
    repair(path)
    store = Store.open(path)
    cut(path / "episodes" / second / "main.mov")
    with pytest.raises(WorldloomError, match=r"main\.mov` has \d+ of \d+ bytes") as error:
        store.read(second)
    assert error.value.hint == f"worldloom check {path} --repair"


def test_a_store_without_its_episodes_folder(path):
    shutil.rmtree(path / "episodes")
    with pytest.raises(WorldloomError, match="has no folder `episodes`"):
        Store.open(path)
    assert [str(p) for p in check_store(path)] == [f"{path / 'episodes'}: is missing"]
    repair(path)
    assert len(Store.open(path)) == 0


def test_what_is_no_store_cannot_be_checked(tmp_path):
    with pytest.raises(WorldloomError, match="is not a store"):
        check_store(tmp_path)
    (tmp_path / "info.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(WorldloomError, match="cannot be read: it has no `action`"):
        check_store(tmp_path)
