"""Benchmarks of the suite: who knows nothing claims nothing; a report becomes a results file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import results, trust_controls, trust_world
from benchmarks.trust_nulls import knows_nothing
from worldloom.evaluate.report import Figure
from worldloom.trust.listed import all_tasks, named
from worldloom.trust.report.profile import Entry, Profile
from worldloom.trust.rows import Row


def row(index: int, split: str = "a", **extra) -> Row:
    return Row("t", 1, str(index), f"c{index}", split, index, float(index), {"n": -1.0}, 0.0, extra)


def test_who_knows_nothing_answers_as_the_null_does_to_other_questions():
    rows = [row(i, "ab"[i % 2], beside={"n": {"of": i}}, of=99) for i in range(40)]
    found = knows_nothing("any", rows, np.random.default_rng(0))
    assert {r.value for r in found} == {-1.0}, "the null's answers"
    assert sorted(r.extra["of"] for r in found) == list(range(40)), "each once"
    assert all(r.extra["of"] % 2 == int(r.split == "b") for r in found), "of the same split"


def test_who_is_at_the_bound_of_look_is_told_apart_as_often_as_that():
    rows = [row(i, real=[0.0] * 15, dream=[0.0] * 15) for i in range(200)]
    found = knows_nothing("look", rows, np.random.default_rng(0))
    picks = [
        d > r for one in found for r, d in zip(one.extra["real"], one.extra["dream"], strict=True)
    ]
    assert np.mean(picks) == pytest.approx(0.75, abs=0.03)


def test_mixed_doubt_keeps_its_numbers_and_its_lengths():
    rows = [row(i, doubt=[i + k / 10 for k in range(1 + i % 3)]) for i in range(9)]
    found = knows_nothing("doubt", rows, np.random.default_rng(0))
    assert [len(r.extra["doubt"]) for r in found] == [len(r.extra["doubt"]) for r in rows]
    every = lambda some: sorted(x for r in some for x in r.extra["doubt"])  # noqa: E731
    assert every(found) == every(rows) and found != rows


def test_data_sets_keep_splits_and_whole_clusters():
    rows = [row(i // 2, "ab"[i // 2 % 2]) for i in range(40)]
    some = trust_controls.drawn(rows, np.random.default_rng(0))
    assert len(some) == 40 and len({r.cluster for r in some}) == 20
    assert sum(r.split == "a" for r in some) == 20
    rows += [replace(row(100 + i), cluster=f"c{i}", split="c") for i in range(0, 20, 2)]
    some = trust_controls.drawn(rows, np.random.default_rng(0))
    assert len({r.cluster for r in some}) == 20, "of other splits, so never one of the others"


def test_a_share_is_kept_and_not_drawn_again(tmp_path, capsys):
    made = []
    make = lambda: made.append(1) or results.figure(0.5, 0.4, 0.6, n=9)  # noqa: E731
    first = trust_controls._kept(tmp_path, "x", make)
    assert trust_controls._kept(tmp_path, "x", make) == first and len(made) == 1
    rows = [row(i) for i in range(30)]
    heads = trust_controls.share(rows, 200, "coin", lambda some, rng: bool(rng.random() < 0.5))
    assert 0.35 < heads["value"] < 0.65 and heads["n"] == 200


def test_every_task_that_is_not_left_out_has_controls():
    asked = {*trust_controls.OWN, *trust_controls.RECORDED, "transfer", "blind"}
    assert all(named(name).faults() for name in asked)
    assert {task.name for task in all_tasks()} == asked


def test_reports_become_a_results_file(tmp_path, monkeypatch):
    figure = Figure(0.5, 0.4, 0.6, "1", 20, 0.0, 1.0)
    told = Entry("one", 1, "it can", True, "it does", "", {"share": figure}, {})
    none = Entry("two", 1, "it can", None, "", "it cannot", {}, {})
    reports = []
    quick = Profile("w", "weights", "quick", 0, (told,), {"command": "eval quick"})
    smoke = replace(quick, budget="smoke", entries=(told, none), run={"command": "eval smoke"})
    for profile in (quick, smoke):
        folder = tmp_path / profile.budget
        folder.mkdir()
        (folder / "trust.json").write_text(json.dumps(profile.to_json()))
        reports.append(str(folder))
    monkeypatch.setattr("sys.argv", ["trust_world", "w", *reports, "--publish"])
    write = results.write
    monkeypatch.setattr(results, "write", lambda *a, **k: write(*a, **k, folder=tmp_path))
    trust_world.main()
    kept = json.loads((tmp_path / "trust_w.json").read_text())
    one, two = kept["figures"]["one"], kept["figures"]["two"]
    assert (one["value"], one["null"], one["ceiling"], one["budget"]) == (0.5, 0.0, 1.0, "quick")
    assert two["value"] is None and two["said"] == "it cannot" and two["budget"] == "smoke"
    assert kept["command"] == "eval quick; eval smoke"
