"""What a report says beside figures: nulls, the time of trainings, fitted doubt, its charts."""

import json
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from worldloom.errors import WorldloomError
from worldloom.evaluate.report import Figure
from worldloom.trust.nulls import answered_by, null_values, untrained
from worldloom.trust.report import card, charts
from worldloom.trust.report.charts import Bar
from worldloom.trust.report.profile import Entry, Profile, nulls_told, without_doubt
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict
from worldloom.trust.training import OFTEN, Clock


def rows(**null):
    """Three samples of a world that scored 1, beside nulls."""
    beside = {"guess": {"seen": 3}}
    return [
        Row("t", 1, str(i), str(i), "test", 0, 1.0, null, None, {"seen": 7, "beside": beside})
        for i in range(3)
    ]


class Counts:
    """Judges the mean, and what was kept."""

    def judge(self, rows, *, seed):
        mean = float(np.mean([row.value for row in rows]))
        seen = float(sum(row.extra["seen"] for row in rows))
        figures = {"mean": mean, "seen": seen}
        return Verdict(
            {k: Figure(v, v, v, "1", 3, 0.0, 1.0) for k, v in figures.items()}, True, "it counts"
        )


def test_a_null_is_judged_by_its_own_answers():
    given = rows(guess=0.25)
    own = answered_by("guess", given)
    assert own[0].value == 0.25 and own[0].extra["seen"] == 3
    assert own[0].extra["beside"] == given[0].extra["beside"]
    found = null_values(Counts(), given, Counts().judge(given, seed=0), seed=0)  # type: ignore
    assert found == {"mean": {"guess": 0.25}, "seen": {"guess": 9.0}}


def test_of_a_null_that_says_too_little_only_a_mean_is_had():
    given = rows(coin=0.5)
    found = null_values(Counts(), given, Counts().judge(given, seed=0), seed=0)  # type: ignore
    assert found == {"mean": {"coin": 0.5}, "seen": {}}, "nothing of the world is taken for its own"

    class Sums(Counts):
        def judge(self, rows, *, seed):
            found = super().judge(rows, seed=seed)
            figures = {**found.figures, "mean": replace(found.figures["mean"], value=3.0)}
            return replace(found, figures=figures)

    found = null_values(Sums(), given, Sums().judge(given, seed=0), seed=0)  # type: ignore
    assert found == {"mean": {}, "seen": {}}, "the first figure is no mean of values"


def test_untrained_networks_are_one_entry_with_a_range():
    values = {"copy_last": -0.5, "untrained_0": 0.1, "untrained_1": 0.4, "untrained_2": None}
    assert untrained(values) == ({"copy_last": -0.5}, [0.1, 0.4])
    figure = Figure(0.5, 0.4, 0.6, "1", 3, 0.0, 1.0)
    entry = Entry("t", 1, "it can", True, "it does", "", {"a": figure}, {}, nulls={"a": values})
    assert nulls_told(entry) == "copy last -0.50, untrained (3 seeds) 0.10 to 0.40"
    none = replace(entry, nulls={"a": {"copy": None, "untrained_0": None}})
    assert nulls_told(none) == "copy (no value), untrained (1 seed) (no value)"
    assert nulls_told(replace(entry, nulls={})) == ""


def test_seconds_of_training_are_added_up_over_interruptions(tmp_path, monkeypatch):
    clock = count(step=4 * OFTEN)
    monkeypatch.setattr("worldloom.trust.training.time.monotonic", lambda: next(clock))
    home, file = tmp_path / "world", tmp_path / "world-seconds.json"
    first = Clock.of(home)
    first.begin()
    home.mkdir()
    first.tick()  # and then the process is killed
    kept = json.loads(file.read_text())
    assert kept["seconds"] > 0 and not kept["finished"]
    second = Clock.of(home)
    second.begin()
    total = second.stop()
    assert total is not None and total > kept["seconds"]
    again = Clock.of(home)
    again.begin()
    again.tick()
    assert again.stop() == total, "to load what is trained is no training"
    home.rmdir()
    assert Clock.of(home).before == 0.0, "who removes the world trains it anew"


def test_a_training_that_nobody_timed_has_no_time(tmp_path):
    home = tmp_path / "world"
    home.mkdir()
    clock = Clock.of(home)
    clock.begin()
    assert clock.stop() is None and Clock.of(home).stop() is None
    (tmp_path / "world-seconds.json").write_text("{")
    with pytest.raises(WorldloomError, match="cannot be read"):
        Clock.of(home)


def test_doubt_that_was_fitted_is_told():
    bare, fitted = "hop 01ab", "hop 01ab, agent 22, doubt 77, agent-doubt 88"
    assert without_doubt(bare) == bare and without_doubt(fitted) == "hop 01ab, agent 22"
    assert without_doubt("") == ""
    plain = Profile("hop", bare, "quick", 0, (), {})
    with_doubt = replace(plain, identity=fitted)
    assert not plain.to_json()["doubt_fitted"] and with_doubt.to_json()["doubt_fitted"]


def test_doubt_that_was_fitted_is_on_the_page(tmp_path):
    plain = Profile("hop", "hop 01ab", "quick", 0, (), {})
    words = "Heads that tell doubt were fitted to this world"
    assert words not in card.render(plain, tmp_path)
    assert words in card.render(replace(plain, identity="hop 01ab, doubt 77"), tmp_path)


def drawn(value, low, high, ceiling=1.0):
    figure = Figure(value, low, high, "1", 9, 0.0, ceiling)
    return charts.chart([Bar("a", figure, "#000")], title="t")


def test_what_lies_off_the_scale_is_an_arrow_at_the_edge():
    within = drawn(0.5, 0.4, 0.6)
    assert "<circle" in within and "<poly" not in within
    half = drawn(0.5, -3.0, 0.6)
    assert "<circle" in half and half.count("<polyline") == 1
    out = drawn(-2.0, -3.0, 0.5)
    assert "<circle" not in out and out.count("<polygon") == 1 and "off the scale: -2.00" in out
    assert "<polyline" not in out, "one arrow to a side"
    gone = drawn(9.0, 8.0, 10.0)
    assert gone.count("<polygon") == 1 and "opacity" not in gone


def test_a_figure_without_a_place_says_why():
    assert "no ceiling is known" in drawn(0.5, 0.4, 0.6, None)
    assert "null and ceiling are too near" in drawn(0.5, 0.4, 0.6, 0.0)
    wrong_way_up = drawn(-0.4, -0.5, -0.3, -0.01)
    assert "too near" in wrong_way_up and "<poly" not in wrong_way_up
    absent = charts.chart([Bar("a", Figure.absent("1", "so"), "#000")], title="t")
    assert "no value" in absent
