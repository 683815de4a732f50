"""Benchmarks of the suite: who knows nothing claims nothing; a report becomes a results file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import results, trust_controls, trust_world
from benchmarks import trust_bounds as bounds
from benchmarks import trust_nulls as nulls
from worldloom import shipped
from worldloom.evaluate import doubt
from worldloom.evaluate.endurance import idle_loss
from worldloom.evaluate.report import Figure
from worldloom.trust.listed import all_tasks
from worldloom.trust.report.profile import Entry, Profile
from worldloom.trust.rows import Row
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Verdict
from worldloom.trust.tasks.blind.task import NAMES, Blind
from worldloom.trust.tasks.doubt import verdict as doubting
from worldloom.trust.tasks.gladder import verdict as gladder
from worldloom.trust.tasks.motion import Motion


def row(index: int, split: str = "a", **extra) -> Row:
    return Row("t", 1, str(index), f"c{index}", split, index, float(index), {"n": -1.0}, 0.0, extra)


def draw(bound, rows, others=(), seed: int = 0) -> list[Row]:
    return bound(rows, others or rows, np.random.default_rng(seed))


def test_who_is_a_null_answers_as_it_does_in_another_data_set():
    rows = [row(i, "ab"[i % 2], beside={"n": {"of": i}}, of=99, g=-i) for i in range(40)]
    others = [replace(rows[(i + 2) % 40], null={"n": float(i)}) for i in range(40)]
    found = draw(nulls.as_the_null("n"), rows, others)
    assert [r.value for r in found] == list(range(40)), "the null's answers there"
    assert [r.extra["of"] for r in found] == [(i + 2) % 40 for i in range(40)]
    assert [r.extra["g"] for r in found] == [-i for i in range(40)], "what is asked stays"
    assert [(r.sample, r.null) for r in found] == [(r.sample, r.null) for r in rows]
    with pytest.raises(ValueError, match="different splits"):
        draw(nulls.as_the_null("n"), rows, others[1:] + others[:1])


def test_the_null_world_is_not_the_null_it_stands_next_to():
    """Else their difference is 0 in every data set, and no verdict could ever err."""
    rows = [replace(row(i), null={"n": float(i)}) for i in range(40)]
    rng, apart = np.random.default_rng(0), []
    for _ in range(300):
        some = trust_controls.drawn(rows, rng)
        found = nulls.as_the_null("n")(some, trust_controls.drawn(rows, rng), rng)
        apart.append(np.mean([(r.value or 0.0) - (r.null["n"] or 0.0) for r in found]))
    expected = np.std(np.arange(40)) * np.sqrt(2 / 40)
    assert np.std(apart) == pytest.approx(expected, rel=0.15)
    assert abs(np.mean(apart)) < 4 * expected / np.sqrt(300)


def test_half_of_the_way_is_half_of_it_and_noise():
    rows = [replace(row(i, "ab"[i % 2]), value=0.0, null={"n": 1.0}) for i in range(2000)]
    found = draw(nulls.part_of_the_way("n", 0.25, "b"), rows)
    assert {r.value for r in found if r.split == "a"} == {0.0}
    assert np.mean([r.value for r in found if r.split == "b"]) == pytest.approx(0.75, abs=0.05)


def test_world_and_null_are_level_and_far_from_all_others():
    rows = [replace(row(i), null={"n": -9.0}) for i in range(2000)]
    for bound, middle in (
        (nulls.level_with("u", 3.0, 1.0), 3.0),
        (nulls.right_as_often("u", 0.8), 0.8),
    ):
        found = draw(bound, rows)
        own, other = (
            np.array([get(r) for r in found]) for get in (lambda r: r.value, lambda r: r.null["u"])
        )
        assert own.mean() == pytest.approx(middle, abs=0.1) == pytest.approx(other.mean(), abs=0.1)
        assert abs(np.corrcoef(own, other)[0, 1]) < 0.1 and found[0].null["n"] == -9.0


def flight(g: float, up: float = 0.0, across: float = 1.0) -> Row:
    t = nulls.FRAME * np.arange(12)
    track = np.stack([3 + across + across * t, 5 + up + up * t - g * t**2 / 2], 1)
    return row(0, "inside", g=g, track=track.tolist())


def test_a_flight_is_bent_by_the_acceleration_that_is_asked_for():
    track = np.array(nulls.bent(flight(3.0), np.full(12, 1.0)).extra["track"])
    assert track == pytest.approx(np.array(flight(2.0).extra["track"]))


def test_laws_at_the_bound_are_off_by_a_tenth_or_have_a_term_that_just_counts():
    dice = np.random.default_rng(0)
    ways = [(g, *dice.uniform(-1.5, 1.5, 2).tolist()) for g in (2.0, 4.0) for _ in range(6)]
    rows = [flight(*way) for way in ways]
    off = []
    for seed in range(60):
        found = draw(nulls.obeys_a_wrong_pull, rows, seed=seed)
        off.append(gladder._law(found[:6], "")[1])
    assert np.mean(off) == pytest.approx(0.1, abs=0.02) and 0.01 < np.std(off) < 0.06
    right = [
        gladder._law(draw(nulls.obeys_another_law, rows, seed=s)[:6], "")[0] for s in range(60)
    ]
    assert 0.25 < np.mean(right) < 0.75


def test_who_is_half_deaf_has_half_of_the_share():
    errors = {"true": [[1.0, 2.0]], "other": [[5.0, 2.0]], "still": [[9.0, 2.0]]}
    found = draw(bounds.half_deaf, [row(i, errors=errors) for i in range(1000)])
    heard = [r.extra["errors"]["other"] == [[5.0, 2.0]] for r in found]
    assert np.mean(heard) == pytest.approx(0.5, abs=0.05)
    assert all(r.extra["errors"]["still"] == errors["still"] for r in found)


def test_who_is_at_the_bound_of_look_is_told_apart_as_often_as_that():
    rows = [row(i, real=[0.0] * 15, dream=[0.0] * 15) for i in range(200)]
    found = draw(nulls.with_facts(bounds.told_at_the_bound), rows)
    picks = [
        d > r for one in found for r, d in zip(one.extra["real"], one.extra["dream"], strict=True)
    ]
    assert np.mean(picks) == pytest.approx(0.75, abs=0.03)


def test_what_fades_at_the_bound_loses_three_decibels():
    idle = [[[[40.0, 1e4], [50.0, 1e4]]] * 2] * 2
    found = draw(nulls.with_facts(bounds.fades), [row(i, idle=idle) for i in range(2000)])
    sums = np.array([r.extra["idle"] for r in found]).sum(0)[None]
    assert idle_loss(sums)[0] == pytest.approx([3.0, 0.0], abs=0.05)


def test_doubt_at_its_bound_is_believed_and_ranks_as_nearness_does():
    dice = np.random.default_rng(0)
    rows = [
        row(i, "same", wrong=(dice.random(20) < 0.3).tolist(), doubt=[0.5] * 20, spread=[0.0] * 20)
        for i in range(400)
    ]
    found = doubting._doubted(draw(bounds.doubts_what_is_far, rows))
    near = doubting._doubted(draw(bounds.doubts_what_is_far, rows), "near")
    area = lambda some: float(doubt.auroc(doubt.rank_sums(some).sum(0)))  # noqa: E731
    assert area(found) == pytest.approx(area(near), abs=0.02) and area(found) > 0.8
    assert float(doubt.calibration_error(doubt.belief_sums(found).sum(0))) < 0.03
    much = doubting._doubted(draw(bounds.doubts_too_much, rows))
    assert 0.07 < float(doubt.calibration_error(doubt.belief_sums(much).sum(0))) < 0.11


def test_every_task_has_bounds_and_a_rung_is_claimed_by_its_sentence():
    asked = {*trust_controls.OWN, *trust_controls.RECORDED, trust_controls.VIEWS}
    assert set(bounds.BOUNDS) == asked | {"transfer", "blind"} and all(bounds.BOUNDS.values())
    told = Verdict({}, True, "it stands on rung 2 of 4; the next one: ...")
    assert [bounds.stands_on(rung)(told) for rung in (1, 2, 3, 4)] == [True, True, False, False]


def test_concepts_stay_what_they_are_where_films_are_drawn_again():
    rows = [
        replace(row(i, name, place=[float(i)]), task="blind", cluster=name)
        for i, name in enumerate("aabbccaabbcc")
    ]
    some = trust_controls.drawn(rows, np.random.default_rng(0))
    assert sorted(r.cluster for r in some) == sorted(r.cluster for r in rows)
    assert {(r.cluster, r.extra["place"][0]) for r in some} <= {
        (r.cluster, r.extra["place"][0]) for r in rows
    }
    asked = trust_controls.tried("blind")
    assert isinstance(asked, Blind) and len(asked.words()) == len(NAMES), "no encoder is asked"


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
    assert {f"motion_{n}_type1_error" for n in ("below", "above", "untrained")} < set(found)
    assert found["motion_best_passes"]["n"] == 3
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
    assert kept["command"] == "eval quick; eval smoke" and kept["not_shipped"] == []


def test_doubt_that_is_not_shipped_is_noted(tmp_path, monkeypatch):
    hop = Profile("hop", "hop 01ab, doubt 77", "quick", 0, (), {})
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert trust_world.not_shipped([hop]) == [], "a world of one's own"
    (tmp_path / "hop" / "doubt").mkdir(parents=True)
    (tmp_path / "hop" / "CARD.md").write_text("# Hop")
    (note,) = trust_world.not_shipped([hop, hop])
    assert "fitted to `hop`" in note and "shipped world lacks them" in note
    assert trust_world.not_shipped([replace(hop, identity="hop 01ab")]) == []
    (tmp_path / "hop" / "doubt" / "weights.safetensors").write_bytes(b"")
    assert trust_world.not_shipped([hop]) == []
