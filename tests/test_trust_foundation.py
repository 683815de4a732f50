"""Probes keep their promises, rows survive a killed process, and a sitting lines answers up."""

import json
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.evaluate.report import Figure
from worldloom.trust.check import check_probe
from worldloom.trust.rows import Row, Sheet
from worldloom.trust.simulated import Simulated
from worldloom.trust.sitting import sit
from worldloom.trust.task import (
    HELD_OUT,
    Answer,
    Item,
    NotApplicable,
    Setting,
    Verdict,
    described,
    item_seed,
    train_seed,
)


class Fading(Simulated):
    """A picture that darkens by `rate` levels a frame; its state is its brightness."""

    def __init__(self, rate: int = 20, name: str = "fading") -> None:
        self.rate, self.name = rate, name

    def imagine(self, snapshot, actions, steps, seed):
        levels = int(snapshot) - self.rate * np.arange(1, steps + 1)
        return np.broadcast_to(levels.astype(np.uint8)[:, None, None, None], (steps, 4, 4, 3))


def fading(*levels: int, frames: int = 1) -> Clip:
    shown = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None, None]
    return Clip(
        frames={"main": shown.expand(-1, frames, 4, 4, 3).clone()},
        snapshots=tuple(b"%d" % level for level in levels),
    )


@dataclass(frozen=True)
class Fades:
    """Does it know how fast the picture fades?"""

    name: str = "fades"
    version: int = 1
    claim: str = "it knows how fast the picture fades"
    requires: frozenset = frozenset({"rollout", "render"})
    own_data: bool = False
    chunk: int = 4
    n: int = 10

    def items(self, setting):
        return [
            Item(f"{i}", f"level {i}", "test", item_seed(self.name, "test", i, setting), {"at": i})
            for i in range(self.n)
        ]

    def fingerprint(self, setting):
        return f"levels of seed {setting.seed}"

    def nulls(self, setting):
        return {"still": Fading(0, "still")}

    def ceiling(self, setting):
        return Fading(20, "truth")

    def prepare(self, probe, setting):
        return 200

    def answer(self, probe, items, prepared):
        clip = fading(*(prepared - 2 * item.facts["at"] for item in items))
        blind = Action({}, torch.zeros(len(items), 2, dtype=torch.bool))
        frames = probe.rollout(probe.observe(clip), blind).frames[0]
        change = frames[:, 1, 0, 0, 0].float() - frames[:, 0, 0, 0, 0].float()
        return [Answer(float(value), {"seen": 1}) for value in change]

    def judge(self, rows, *, seed):
        value = float(np.mean([row.value for row in rows]))
        null = float(np.mean([row.null["still"] for row in rows]))
        found = Figure(value, value - 1, value + 1, "1", len(rows), null, -20.0)
        return Verdict({"rate": found}, abs(value + 20) < 2, "it fades")

    def faults(self):
        return {}


def test_a_sitting_lines_up_world_nulls_and_ceiling(tmp_path: Path):
    sat = sit(Fades(), Fading(), Setting(), out=tmp_path, nulls={"slow": Fading(5)})
    assert sat.verdict and sat.verdict.passed
    row = sat.rows[3]
    assert (row.value, row.null, row.ceiling) == (-20, {"still": 0, "slow": -5}, -20)
    assert row.extra == {
        "seen": 1,
        "beside": {k: {"seen": 1} for k in ("still", "slow", "ceiling")},
    }
    wrong = sit(Fades(), Fading(10), Setting())
    assert wrong.verdict and not wrong.verdict.passed


def test_what_a_probe_cannot_do_is_not_applicable_and_never_zero():
    class Blind(Fading):
        capabilities = frozenset({"score"})

    sat = sit(Fades(), Blind(name="shy"), Setting())
    assert sat.verdict is None and not sat.rows
    assert sat.why == "`shy` cannot `rollout` or `render`"


def test_a_task_says_itself_that_it_cannot_be_sat_here():
    class Nowhere(Fades):
        def items(self, setting):
            raise NotApplicable("it works on recordings", "name a store")

    sat = sit(Nowhere(), Fading(), Setting())
    assert sat.verdict is None and sat.why == "it works on recordings: name a store"


def test_a_killed_exam_goes_on_and_comes_to_the_same_bytes(tmp_path: Path):
    sit(Fades(), Fading(), Setting(), out=tmp_path / "whole")
    whole = (tmp_path / "whole" / "fades.jsonl").read_bytes()
    sit(Fades(), Fading(), Setting(), out=tmp_path / "cut")
    lines = (tmp_path / "cut" / "fades.jsonl").read_bytes().splitlines(keepends=True)
    # Killed within the second chunk of four, in the middle of a line.
    (tmp_path / "cut" / "fades.jsonl").write_bytes(b"".join(lines[:6]) + lines[6][:9])

    class Counting(Fading):
        asked = 0

        def imagine(self, *args):
            type(self).asked += 1
            return super().imagine(*args)

    sat = sit(Fades(), Counting(), Setting(), out=tmp_path / "cut")
    assert (tmp_path / "cut" / "fades.jsonl").read_bytes() == whole
    assert Counting.asked == 6 and len(sat.rows) == 10


def test_rows_of_another_exam_are_refused(tmp_path: Path):
    sit(Fades(), Fading(), Setting(), out=tmp_path, identity="a")
    with pytest.raises(WorldloomError, match="with weights a, this one has b"):
        sit(Fades(), Fading(), Setting(), out=tmp_path, identity="b")
    with pytest.raises(WorldloomError, match="levels of seed 0, this one has levels of seed 1"):
        sit(Fades(), Fading(), Setting(seed=1), out=tmp_path, identity="a")
    (tmp_path / "fades.json").write_text("{")
    with pytest.raises(WorldloomError, match=r"fades\.json` cannot be read"):
        sit(Fades(), Fading(), Setting(), out=tmp_path, identity="a")


def test_rows_of_fewer_or_other_questions_are_refused(tmp_path: Path):
    """As when a budget is changed: the same generator, the same version, another exam."""
    sit(Fades(n=8), Fading(), Setting(), out=tmp_path)
    before = (tmp_path / "fades.jsonl").read_bytes()
    with pytest.raises(WorldloomError, match=r"with items 8 \(\w+\), this one has 10 \(\w+\)"):
        sit(Fades(), Fading(), Setting(), out=tmp_path)

    class Longer(Fades):
        def items(self, setting):
            return [replace(i, facts={**i.facts, "long": True}) for i in super().items(setting)]

    with pytest.raises(WorldloomError, match=r"with items 8 \(\w+\), this one has 8 \(\w+\)"):
        sit(Longer(n=8), Fading(), Setting(), out=tmp_path)
    assert (tmp_path / "fades.jsonl").read_bytes() == before


def test_rows_from_before_headers_named_their_questions_are_kept_where_they_are_the_same(
    tmp_path: Path,
):
    class Asked(Fading):
        def imagine(self, *args):
            raise AssertionError("nothing is asked again")

    head, whole = tmp_path / "fades.json", sit(Fades(n=8), Fading(), Setting(), out=tmp_path).rows
    older = {k: v for k, v in json.loads(head.read_text()).items() if k != "items"}
    head.write_text(json.dumps(older))
    assert sit(Fades(n=8), Asked(), Setting(), out=tmp_path).rows == whole
    assert json.loads(head.read_text()) == older
    for other in (4, 10):
        with pytest.raises(WorldloomError, match=f"8 answers to other questions than the {other} "):
            sit(Fades(n=other), Asked(), Setting(), out=tmp_path)
    lines = (tmp_path / "fades.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "fades.jsonl").write_text("".join(lines[:4]))
    head.write_text(json.dumps({k: v for k, v in older.items() if k != "run"}))
    assert sit(Fades(n=8), Fading(), Setting(), out=tmp_path).rows == whole, "goes on"
    assert json.loads(head.read_text())["items"].startswith("8 (")


def test_questions_are_described_alike_in_every_process():
    facts = {"at": (1, 2.5), "of": {"b", "a"}, "who": object(), "more": {"x": [None]}}
    items = [Item("0", "c", "test", 7, facts)]
    assert described(items) == described([replace(items[0], facts={**facts, "who": object()})])
    assert described(items) != described([replace(items[0], facts={**facts, "at": (1, 2)})])
    assert described(items).startswith("1 (")


@pytest.mark.parametrize("head", [b"[]", b"7", b'{"run": 3}', b"{", b"\xff\x00", b""])
def test_a_header_that_is_none_is_named(tmp_path: Path, head: bytes):
    (tmp_path / "fades.json").write_bytes(head)
    with pytest.raises(WorldloomError, match=r"fades\.json` (cannot|is no|is of)"):
        sit(Fades(), Fading(), Setting(), out=tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        {"value": "high"},
        {"value": float("nan")},
        {"value": [1]},
        {"null": []},
        {"null": {"still": "none"}},
        {"extra": 3},
        {"cluster": None},
        {"colour": "red"},
    ],
)
def test_a_row_that_is_none_is_named(tmp_path: Path, spoil: dict):
    sit(Fades(), Fading(), Setting(), out=tmp_path)
    file = tmp_path / "fades.jsonl"
    first, *rest = file.read_text().splitlines()
    for torn in (json.dumps({**json.loads(first), **spoil}), "[]", "3"):
        file.write_text("\n".join([torn, *rest]) + "\n")
        with pytest.raises(WorldloomError, match="damaged in line 1"):
            sit(Fades(), Fading(), Setting(), out=tmp_path)
    file.write_bytes(b"\xff\xfe\n")
    with pytest.raises(WorldloomError, match="damaged in line 1"):
        sit(Fades(), Fading(), Setting(), out=tmp_path)


def test_a_damaged_line_is_named(tmp_path: Path):
    sit(Fades(), Fading(), Setting(), out=tmp_path)
    file = tmp_path / "fades.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1][:20], *lines[2:]]) + "\n")
    with pytest.raises(WorldloomError, match="damaged in line 2"):
        sit(Fades(), Fading(), Setting(), out=tmp_path)


def test_equal_exams_have_equal_headers_outside_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    heads = []
    for name, pace in (("a", 1), ("b", 7)):
        clock = count(step=pace)
        monkeypatch.setattr("worldloom.trust.sitting.time.monotonic", lambda c=clock: next(c))
        sit(Fades(), Fading(), Setting(), out=tmp_path / name)
        heads.append(json.loads((tmp_path / name / "fades.json").read_text()))
    assert heads[0]["run"]["finished"] and heads[0].pop("run") != heads[1].pop("run")
    assert heads[0] == heads[1]
    assert heads[0]["generator"] == "levels of seed 0" and heads[0]["suite"] == 1


def test_the_time_of_interrupted_exams_is_added_up(tmp_path: Path, monkeypatch):
    clock = count(step=10)
    monkeypatch.setattr("worldloom.trust.sitting.time.monotonic", lambda: next(clock))

    class Killed(Fades):
        def answer(self, probe, items, prepared):
            if items[0].key == "8":
                raise KeyboardInterrupt
            return super().answer(probe, items, prepared)

    spent = lambda: json.loads((tmp_path / "fades.json").read_text())["run"]  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        sit(Killed(), Fading(), Setting(), out=tmp_path)
    assert spent() == {"seconds": 20.0}, "two chunks, the clock is asked after each"
    sit(Fades(), Fading(), Setting(), out=tmp_path)
    assert spent() == {"seconds": 40.0, "finished": True}, "one more, and the end"
    sit(Fades(), Fading(), Setting(), out=tmp_path)
    assert spent() == {"seconds": 40.0, "finished": True}, "a finished exam takes no more"


def test_who_lacks_something_has_a_header_that_says_what():
    class Shy(Fading):
        capabilities = frozenset({"score", "rollout"})

    sat = sit(Fades(), Shy(name="shy"), Setting(seed=3), identity="w")
    assert sat.missing == ("render",)
    head = {k: sat.header[k] for k in ("world", "weights", "seed", "generator", "capabilities")}
    assert head == {
        **{"world": "shy", "weights": "w", "seed": 3, "generator": None},
        "capabilities": ["rollout", "score"],
    }


def test_an_item_without_a_cluster_is_refused():
    class Lost(Fades):
        def items(self, setting):
            return [Item("0", "", "test", 0, {"at": 0})]

    with pytest.raises(WorldloomError, match="items without a cluster"):
        sit(Lost(), Fading(), Setting())


def test_item_seeds_differ_by_task_split_index_and_exam():
    seeds = {
        item_seed(task, split, index, Setting(seed=seed))
        for task in ("a", "b")
        for split in ("train", "test")
        for index in range(3)
        for seed in (0, 1)
    }
    assert len(seeds) == 24
    assert item_seed("a", "test", 0, Setting("smoke")) == item_seed("a", "test", 0, Setting("full"))


def test_nothing_is_learned_from_an_exam_that_is_held_out():
    for seed in (0, 5, HELD_OUT - 1):
        own, held = Setting(seed=seed), Setting(seed=seed + HELD_OUT)
        assert train_seed("a", "train", 3, own) == item_seed("a", "train", 3, own)
        assert train_seed("a", "train", 3, held) == train_seed("a", "train", 3, own)
        assert item_seed("a", "test", 3, held) != item_seed("a", "test", 3, own)


def test_a_row_comes_back_as_it_was(tmp_path: Path):
    sheet = Sheet(tmp_path, "t", {"x": 1})
    row = Row("t", 1, "a", "b", "test", 2**62, None, {"n": 0.1}, 0.1 + 0.2, {"k": [1, 2]})
    sheet.add([row])
    assert Sheet(tmp_path, "t", {"x": 1}).rows == [row]


def blind(rows: int, steps: int) -> Action:
    return Action({}, torch.zeros(rows, steps, dtype=torch.bool))


def test_a_simulator_keeps_the_promises_of_a_probe():
    done = check_probe(Fading(), fading(200, 150), fading(180, 130, frames=2), actions=blind(2, 2))
    assert done == ["rollout", "score"]


def test_a_score_that_forgets_its_prediction_is_found():
    class Zeroed(Fading):
        def score(self, state, clip):
            return clip.frames["main"].float().square().mean((2, 3, 4))

    with pytest.raises(AssertionError, match="does not depend on what was predicted"):
        check_probe(Zeroed(), fading(200, 150), fading(180, 130, frames=2), actions=blind(2, 2))


def test_a_probe_that_changes_what_it_is_given_is_found():
    class Rude(Fading):
        def rollout(self, state, actions, *, seeds=(0,), edit=None):
            found = super().rollout(state, actions, seeds=seeds)
            object.__setattr__(state, "snapshots", tuple(b"9" for _ in state.snapshots))
            return found

    with pytest.raises(AssertionError, match="changed the state"):
        check_probe(Rude(), fading(200, 150), fading(180, 130, frames=2), actions=blind(2, 2))
