"""The whole loop in one verb: goes through, goes on where it was, and says what came of it."""

import json
from io import StringIO

import pytest

from worldloom import grow as growing
from worldloom.data.store import Store
from worldloom.envs import CRAFT
from worldloom.errors import WorldloomError
from worldloom.grow import Growth, grow, report_text
from worldloom.progress import Progress

SMALL = Growth(CRAFT, budget=180, rounds=1, updates=2, contexts=2, starts=2)


def quiet():
    return Progress({"x": 0.0}, out=StringIO())


@pytest.mark.slow
def test_it_grows_goes_on_where_it_was_and_stops_at_its_target(tmp_path, monkeypatch):
    run, whole = tmp_path / "run", growing.train_dream

    def stopped(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(growing, "train_dream", stopped)
    with pytest.raises(KeyboardInterrupt):
        grow(run, SMALL, progress=quiet())
    kept = (run / "agent" / "weights.safetensors").read_bytes()
    assert len(Store.open(run / "store")) == 2
    monkeypatch.setattr(growing, "train_dream", whole)
    found = grow(run, SMALL, progress=quiet())
    assert (run / "agent" / "weights.safetensors").read_bytes() == kept
    assert found["recorded_steps"] == 90 and found["rounds_done"] == 1
    assert [one["real_steps"] for one in found["rounds"]] == [0, 90]
    assert json.loads((run / "grown.json").read_text()) == found
    said = report_text(run, found)
    assert "spent     180 of 180 real steps" in said and f"grown: {run / 'rounds' / '1'}" in said
    assert "verdict" in said and said.count("real return") == 2
    # Recordings that are given are free, and a target that is reached ends it.
    given = Growth(str(run / "store"), target=-1.0, updates=2, contexts=2, starts=2)
    again = grow(tmp_path / "other", given, progress=quiet())
    assert again["target_reached"] and again["rounds_done"] == again["recorded_steps"] == 0
    assert "target -1 reached" in report_text(tmp_path / "other", again)


@pytest.mark.parametrize(
    ("growth", "words"),
    [
        ({"budget": 10}, "--budget 10"),
        ({"updates": 0}, "--updates 0"),
        ({"rounds": 0}, "--rounds 0"),
    ],
)
def test_nonsense_is_refused(growth, words):
    with pytest.raises(WorldloomError, match=words):
        Growth(CRAFT, **growth)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(WorldloomError, match="was not grown"):
        grow(tmp_path, SMALL, progress=quiet())
    growing._settle(tmp_path / "run", SMALL)
    with pytest.raises(WorldloomError, match="was begun with --seed 0"):
        grow(tmp_path / "run", Growth(**{**vars(SMALL), "seed": 1}), progress=quiet())


def test_who_cannot_play_is_said_before_anything_is_made(tmp_path):
    with pytest.raises(WorldloomError, match="no policy `nobody`"):
        grow(tmp_path / "run", Growth(CRAFT, policy="random,nobody"), progress=quiet())
    assert not (tmp_path / "run" / "store").exists()
