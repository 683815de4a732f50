"""The ledger of lies: events in, entries out; nothing lost, nothing counted twice."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom.actions import ActionSpec, Categorical
from worldloom.data.info import StoreInfo
from worldloom.data.ledger import EVENTS, Find, Ledger, Place
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError

ACTION = ActionSpec((Categorical("action", 4),))
INFO = StoreInfo(ACTION, {"main": (8, 8)}, 10.0, env="worldloom/Craft-v0", sensors={"felt": 2})


def episode(value: int, length: int = 6, **facts) -> Episode:
    frames = np.full((length, 8, 8, 3), value, np.uint8)
    return Episode(frames={"main": frames}, actions={"action": np.arange(length) % 4}, **facts)


def find(name: str = "table", value: int = 1, **facts) -> Find:
    dream = episode(value, reward=np.ones(6, np.float32), snapshots={2: b"exact"}, seed=5)
    whole = {
        "real": episode(200 + value, sensors={"felt": np.zeros((6, 2), np.float32)}),
        "said": {"reward": np.float32(1.0), "pickaxes": 1},
        "truth": {"reward": 0.0, "pickaxes": 0},
        "place": Place("stores/craft", "000001-abcdef", 41),
        "world": "feed",
        "round": 1,
        **facts,
    }
    return Find("forbidden", f"makes a {name} of nothing", dream, 3, same=name, **whole)


def test_what_is_entered_comes_back(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, INFO)
    assert ledger.lies() == [] and not ledger.folder.exists()
    given = find(tried=8, wrong=7)
    lie = ledger.add(given)
    again = Ledger.open(tmp_path)
    assert again.lies() == [lie] == [again.lie(1)]
    assert (lie.id, lie.kind, lie.what, lie.same) == (1, "forbidden", given.what, "table")
    assert (lie.tried, lie.wrong, lie.round, lie.world) == (8, 7, 1, "feed")
    assert (lie.place, lie.start) == (given.place, 3)
    assert lie.said == {"reward": 1.0, "pickaxes": 1} and lie.truth["pickaxes"] == 0
    dream, real = again.dream(lie), again.real(lie)
    assert real is not None and (real.frames["main"] == 201).all()
    assert (dream.frames["main"] == 1).all() and (dream.actions["action"][:4] == range(4)).all()
    assert dream.reward is not None and dream.reward.sum() == 6
    assert (dream.seed, dream.snapshots) == (5, {2: b"exact"})


def test_two_finds_of_one_hole_are_one_entry(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, INFO)
    ledger.add(find(tried=4, wrong=4))
    lie = ledger.add(find(value=9, tried=4, wrong=1))
    other = ledger.add(find("wall"))
    assert (lie.id, lie.tried, lie.wrong, other.id) == (1, 8, 5, 2)
    assert (ledger.dream(lie).frames["main"] == 1).all(), "the first clip stays"
    assert ledger.add(replace(find("wall"), kind="omission")).id == 3, "another kind is another lie"
    # Where nobody names the hole, its start and its actions do.
    bare = replace(find(), same="")
    shifted = replace(bare, dream=replace(bare.dream, actions={"action": np.zeros(6, int)}))
    assert [ledger.add(f).id for f in (bare, shifted, bare)] == [4, 5, 4]


def test_lies_are_closed_and_come_back(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, INFO)
    ledger.add(find())
    ledger.add(find("wall"))
    closed = ledger.close(1, round=2, tried=20, wrong=1)
    assert closed.closed is not None and closed.tried == 1, "trials of a repair are not counted in"
    assert (closed.closed.round, closed.closed.tried, closed.closed.wrong) == (2, 20, 1)
    assert [lie.id for lie in ledger.lies(open=True)] == [2]
    assert [lie.id for lie in ledger.lies(open=False)] == [1]
    assert ledger.add(find(tried=5, wrong=0)).closed, "asked again and true: it stays closed"
    back = ledger.add(find(tried=5, wrong=2))
    assert back.closed is None and (back.tried, back.wrong, back.reopened) == (11, 3, 1)
    ledger.close(1, round=3, tried=20, wrong=0)
    assert ledger.reopen(1, round=4, tried=20, wrong=9).reopened == 2
    assert Ledger.open(tmp_path).lies() == ledger.lies()
    with pytest.raises(WorldloomError, match="no lie 7"):
        ledger.close(7, round=1, tried=1, wrong=0)
    with pytest.raises(WorldloomError, match="no lie 1"):
        Ledger.open(tmp_path / "another").close(1, round=1, tried=1, wrong=0)


def test_the_truth_may_come_later(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, INFO)
    lie = ledger.add(find(real=None, truth={}))
    assert ledger.real(lie) is None
    told = ledger.tell(1, episode(77), {"rms": 0.25})
    real = Ledger.open(tmp_path).real(told)
    assert real is not None and (real.frames["main"] == 77).all() and told.truth == {"rms": 0.25}


def test_a_writer_that_dies_costs_at_most_its_own_event(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, INFO)
    ledger.add(find())
    events = ledger.folder / EVENTS
    first = events.stat().st_size
    ledger.close(1, round=2, tried=1, wrong=0)
    whole = events.read_bytes()
    for cut in range(first, len(whole)):
        events.write_bytes(whole[:cut])
        survivor = Ledger.open(tmp_path)
        assert [lie.closed for lie in survivor.lies()] == [None]
        survivor.reopen(1, round=2, tried=1, wrong=1)
        assert [lie.tried for lie in Ledger.open(tmp_path).lies()] == [2]
    events.write_bytes(whole[:first] + b"{}\n")
    with pytest.raises(WorldloomError, match=f"byte {first}"):
        Ledger.open(tmp_path).lies()


def _fill(run: Path, first: int) -> None:
    ledger = Ledger.open(run, INFO)
    for i in range(6):
        ledger.add(find(f"thing {first + i}", value=first + i))
        ledger.add(find("table"))


def test_several_writers_take_turns(tmp_path: Path) -> None:
    # A lock that each opens for itself keeps threads apart as it does processes.
    writers = [threading.Thread(target=_fill, args=(tmp_path, 10 * i)) for i in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lies = Ledger.open(tmp_path).lies()
    assert [lie.id for lie in lies] == list(range(1, 20))
    assert {lie.same for lie in lies} == {"table"} | {
        f"thing {10 * i + k}" for i in range(3) for k in range(6)
    }
    assert next(lie for lie in lies if lie.same == "table").tried == 18
    assert len({lie.dream for lie in lies}) == 19


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"kind": "fib"}, "`fib` is unknown"),
        ({"start": 0}, "begins at frame 0"),
        ({"start": 6}, "begins at frame 6"),
        ({"wrong": 3, "tried": 2}, "3 times of 2"),
        ({"said": {"rms": float("nan")}}, "`rms` is nan"),
        ({"dream": episode(1, 6, info={}, terminated=True, reward=np.zeros(5))}, "5 rows"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(tmp_path: Path, facts: dict, words: str) -> None:
    ledger = Ledger.open(tmp_path, INFO)
    with pytest.raises(WorldloomError, match=words):
        ledger.add(replace(find(), **facts))
    assert ledger.lies() == []


def test_the_first_entry_needs_to_know_its_recordings(tmp_path: Path) -> None:
    with pytest.raises(WorldloomError, match="does not know what its recordings look like"):
        Ledger.open(tmp_path).add(find())
