"""Benchmarks of the suite: who knows nothing claims nothing; a report becomes a results file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import results, trust_controls, trust_world
from benchmarks.trust_nulls import knows_nothing
from worldloom.evaluate.report import Figure
from worldloom.trust.listed import all_tasks
from worldloom.trust.report.profile import Entry, Profile
from worldloom.trust.rows import Row
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting
from worldloom.trust.tasks.motion import Motion


def row(index: int, split: str = "a", **extra) -> Row:
    return Row("t", 1, str(index), f"c{index}", split, index, float(index), {"n": -1.0}, 0.0, extra)


def test_who_knows_nothing_answers_as_the_null_does_in_another_data_set():
    rows = [row(i, "ab"[i % 2], beside={"n": {"of": i, "g": i}}, of=99, g=-i) for i in range(40)]
    others = [replace(rows[(i + 2) % 40], null={"n": float(i)}) for i in range(40)]
    found = knows_nothing("any", rows, others, np.random.default_rng(0))
    assert [r.value for r in found] == list(range(40)), "the null's answers there"
    assert [r.extra["of"] for r in found] == [(i + 2) % 40 for i in range(40)]
    assert [r.extra["g"] for r in found] == [-i for i in range(40)], "what is asked stays"
    assert [(r.sample, r.null) for r in found] == [(r.sample, r.null) for r in rows]
    with pytest.raises(ValueError, match="different splits"):
        knows_nothing("any", rows, others[1:] + others[:1], np.random.default_rng(0))


def test_the_null_world_is_not_the_null_it_stands_next_to():
    """Else their difference is 0 in every data set, and no verdict could ever err."""
    rows = [replace(row(i), null={"n": float(i)}) for i in range(40)]
    rng, apart = np.random.default_rng(0), []
    for _ in range(300):
        some = trust_controls.drawn(rows, rng)
        found = knows_nothing("any", some, trust_controls.drawn(rows, rng), rng)
        apart.append(np.mean([(r.value or 0.0) - (r.null["n"] or 0.0) for r in found]))
    expected = np.std(np.arange(40)) * np.sqrt(2 / 40)
    assert np.std(apart) == pytest.approx(expected, rel=0.15)
    assert abs(np.mean(apart)) < 4 * expected / np.sqrt(300)


def test_who_is_at_the_bound_of_look_is_told_apart_as_often_as_that():
    rows = [row(i, real=[0.0] * 15, dream=[0.0] * 15) for i in range(200)]
    found = knows_nothing("look", rows, rows, np.random.default_rng(0))
    picks = [
        d > r for one in found for r, d in zip(one.extra["real"], one.extra["dream"], strict=True)
    ]
    assert np.mean(picks) == pytest.approx(0.75, abs=0.03)


def test_mixed_doubt_keeps_its_numbers_and_its_lengths():
    rows = [row(i, doubt=[i + k / 10 for k in range(1 + i % 3)]) for i in range(9)]
    found = knows_nothing("doubt", rows, rows, np.random.default_rng(0))
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


@pytest.mark.slow
def test_a_task_is_sat_once_and_its_figures_are_found_again(tmp_path, capsys):
    bench = trust_controls.Bench(Motion(clips=6), Setting("smoke"), 3, tmp_path)
    found = bench.figures()
    assert found["motion_type1_error"]["value"] == 0
    assert found["motion_capped_speed_power"]["value"] == 1
    assert len((tmp_path / "rows" / "best" / "motion.jsonl").read_text().splitlines()) == 24
    alone = sit(bench.task, bench.task.faults()["capped_speed"].probe(bench.setting), bench.setting)
    text = (tmp_path / "rows" / "capped_speed" / "motion.jsonl").read_text()
    kept = [Row(**json.loads(line)) for line in text.splitlines()]
    assert kept == alone.rows, "nulls and ceiling are those that it has when it sits alone"
    unasked = replace(bench, task=Motion(clips=5))  # would be refused: its rows are of another exam
    assert unasked.figures() == found


def test_every_task_that_is_not_left_out_has_controls():
    asked = {
        *trust_controls.OWN,
        *trust_controls.RECORDED,
        trust_controls.VIEWS,
        "transfer",
        "blind",
    }
    assert all(trust_controls.tried(name).faults() for name in asked)
    assert {task.name for task in all_tasks()} == asked - {"craft_learned"}


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
