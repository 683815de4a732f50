"""Two worlds that answered the same questions: is the difference more than chance?"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from worldloom import cli
from worldloom.errors import WorldloomError
from worldloom.evaluate.report import Figure
from worldloom.trust.report import card, compare
from worldloom.trust.report.paired import differences
from worldloom.trust.report.profile import Entry, Profile
from worldloom.trust.rows import Row

QUESTIONS, CLUSTERS = 120, 40
HEAD = {
    **{"version": 1, "generator": "g", "budget": "quick", "seed": 0},
    "run": {"seconds": 1.0, "finished": True},
}


def answers(seed: int, better: float = 0.0) -> np.ndarray:
    """Numbers of a world for questions some of which are harder for everybody."""
    hard = np.random.default_rng(0).normal(size=CLUSTERS).repeat(QUESTIONS // CLUSTERS)
    return hard + better + 0.3 * np.random.default_rng(seed).normal(size=QUESTIONS)


def report(
    folder: Path, world: str, tasks: dict[str, np.ndarray], head: dict | None = None, **first
) -> Path:
    """The report of a world with rows beside it; `first` says a task's first figure."""
    entries = []
    (folder / "rows").mkdir(parents=True)
    for task, values in tasks.items():
        lines = [
            Row(task, 1, str(i), str(i * CLUSTERS // QUESTIONS), "test", i, float(v), {}, None)
            for i, v in enumerate(values)
        ]
        text = "".join(json.dumps(asdict(line)) + "\n" for line in lines)
        (folder / "rows" / f"{task}.jsonl").write_text(text)
        (folder / "rows" / f"{task}.json").write_text(json.dumps({**HEAD, **(head or {})}))
        mean = first.get(task, float(values.mean()))
        figure = Figure(mean, mean - 1, mean + 1, "1", CLUSTERS, 0.0, None)
        header = {k: HEAD[k] for k in ("version", "generator", "budget", "seed")}
        entries.append(Entry(task, 1, "it can", True, "it does", "", {"skill": figure}, header))
    card.publish(Profile(world, world, "quick", 0, tuple(entries), {}), folder)
    return folder


def told(*folders: Path):
    profiles = [Profile.load(folder) for folder in folders]
    return profiles, differences(profiles, compare.labels(profiles), folders)


def test_a_planted_difference_is_found_where_intervals_overlap(tmp_path):
    one = report(tmp_path / "a", "a", {"t": answers(1, better=0.2)})
    two = report(tmp_path / "b", "b", {"t": answers(2)})
    profiles, (found,) = told(one, two)
    first, second = (p.entries[0].figures["skill"] for p in profiles)
    assert first.low is not None and second.high is not None and first.low < second.high
    assert found.what == "skill" and found.figure is not None and found.figure.n == CLUSTERS
    assert found.figure.value == pytest.approx((first.value or 0) - (second.value or 0))
    assert found.figure.low is not None and found.figure.low > 0
    assert found.adjusted is not None and found.adjusted < 0.01
    text = compare.to_text(profiles, [found])
    assert (
        "a less b, skill: 0." in " ".join(text.split())
        and "they differ" in text
        and "not overlap" not in text
    )


def test_no_difference_is_shown_where_there_is_none(tmp_path):
    folders = [report(tmp_path / str(seed), str(seed), {"t": answers(seed)}) for seed in (1, 2)]
    profiles, (found,) = told(*folders)
    assert found.adjusted is not None and found.adjusted > 0.05
    assert "no difference is shown" in compare.to_text(profiles, [found])
    same = [report(tmp_path / f"same{i}", "s", {"t": answers(1)}) for i in range(2)]
    _, (found,) = told(*same)
    assert found.p == 1.0 and found.figure is not None and found.figure.value == 0
    profiles, apart = told(*same)
    assert "they gave the same answers" in compare.to_text(profiles, apart)


def test_equal_worlds_are_rarely_told_apart(tmp_path):
    hits = 0
    for i in range(40):
        folders = [
            report(tmp_path / f"{i}-{s}", "w", {"t": answers(100 + 2 * i + s)}) for s in (0, 1)
        ]
        hits += (told(*folders)[1][0].adjusted or 0.0) < 0.05
    assert hits <= 6, "of 40, two are expected"


def test_p_is_corrected_over_tasks_and_pairs_of_worlds(tmp_path):
    folders = [
        report(tmp_path / n, n, {"t": answers(i, 0.12 * i), "u": answers(9 + i)})
        for i, n in enumerate("abc")
    ]
    profiles, found = told(*folders)
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    assert [(d.task, d.first, d.second) for d in found] == [
        (task, *pair) for task in ("t", "u") for pair in pairs
    ]
    least = min(found, key=lambda d: d.p or 0.0)
    assert least.adjusted == pytest.approx(min(1.0, 6 * (least.p or 0.0)))
    assert all((d.adjusted or 0) >= (d.p or 0) for d in found)
    lined = compare.line_up(profiles, found)
    assert len(lined["tasks"]["t"]["differences"]) == 3 and "after Holm over 6" in (
        compare.to_text(profiles, found)
    )
    json.dumps(lined)


def test_rows_that_are_not_the_first_figure_are_named_as_what_they_are(tmp_path):
    folders = [report(tmp_path / n, n, {"t": answers(i)}, t=0.5 + i) for i, n in enumerate("ab")]
    profiles, (found,) = told(*folders)
    assert found.what == "the numbers of its rows (skill is no mean of them)"
    assert found.p is not None

    def with_means(profile, seed, **splits):
        """The profile with more figures, means of the first or second half of the numbers."""
        figures = dict(profile.entries[0].figures)
        for name, part in splits.items():
            mean = float(answers(seed)[part].mean())
            figures[name] = replace(figures["skill"], value=mean)
        return replace(profile, entries=(replace(profile.entries[0], figures=figures),))

    half = slice(QUESTIONS // 2)
    for folder in folders:
        file = folder / "rows" / "t.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines[half]:
            line["split"] = "near"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for splits, what in (
        ({"error": half}, "the answers behind error (skill is no mean of them)"),
        ({"error": half, "area": slice(None)}, "area (skill is no mean of answers)"),
    ):
        some = [with_means(p, i, **splits) for i, p in enumerate(profiles)]
        (found,) = differences(some, ["a", "b"], folders)
        assert found.what == what and found.figure is not None
        assert found.figure.n == CLUSTERS, "all of it is compared"


def test_what_cannot_be_paired_says_why(tmp_path):
    one = report(tmp_path / "a", "a", {"t": answers(1)})
    bare = report(tmp_path / "b", "b", {"t": answers(2)})
    other = report(tmp_path / "c", "c", {"t": answers(2)}, head={"seed": 1})
    half = report(tmp_path / "d", "d", {"t": answers(2)}, head={"run": {"seconds": 1.0}})
    (bare / "rows" / "t.jsonl").unlink()
    for folder, why in (
        (bare, "no finished rows lie beside the report of b"),
        (other, "their rows are of exams with another seed"),
        (half, "no finished rows lie beside the report of d"),
    ):
        profiles, (found,) = told(one, folder)
        assert found.p is None and found.why == why
        text = compare.to_text(profiles, [found])
        assert f"not tested, {why}" in text and "whether worlds differ is not tested" in text
    (bare / "rows" / "t.jsonl").write_text("{}\n")
    with pytest.raises(WorldloomError, match="are damaged"):
        told(one, bare)
    lines = (one / "rows" / "t.jsonl").read_text().splitlines()
    empty = [json.dumps({**json.loads(line), "value": None}) for line in lines]
    (bare / "rows" / "t.jsonl").write_text("\n".join(empty) + "\n")
    assert "no question has a number in both" in told(one, bare)[1][0].why


def test_the_verb_pairs_what_lies_beside_the_reports(tmp_path, capsys):
    one = report(tmp_path / "a", "a", {"t": answers(1, better=0.2)})
    two = report(tmp_path / "b", "b", {"t": answers(2)})
    assert cli.main(["compare", str(one), str(two / "trust.json")]) == 0
    assert "they differ" in capsys.readouterr().out
    assert cli.main(["compare", str(one), str(two), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["tasks"]["t"]["differences"]
    assert found["adjusted"] < 0.05 and found["figure"]["n"] == CLUSTERS
