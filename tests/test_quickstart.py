"""The loop from end to end in its smoke mode; what is done stays done."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_docs import load

from worldloom import cli, quickstart
from worldloom.errors import WorldloomError
from worldloom.quickstart import KEYS, SMOKE, Ledger, peak_memory_gb
from worldloom.starts import spare_a_core


@pytest.mark.slow
def test_an_interrupted_quickstart_goes_on_and_ends_with_the_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["quickstart", "--smoke", "--no-serve", "--seed", "3", "--out", str(run)]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(quickstart, "_evaluate", stop)
        assert cli.main(command) == 130
    said = capsys.readouterr()
    assert f"`worldloom quickstart --out {run} --seed 3 --smoke` goes on" in said.err
    kept = [(run / name).stat().st_mtime_ns for name in ("dynamics/weights.safetensors", "store")]
    noted = json.loads((run / "quickstart.json").read_text())
    assert list(noted["done"]) == ["record", "tokenizer", "dynamics"]

    assert cli.main(command) == 0
    said = capsys.readouterr()
    assert said.err.count("kept from before") == 3
    now = [(run / name).stat().st_mtime_ns for name in ("dynamics/weights.safetensors", "store")]
    assert now == kept
    report = json.loads((run / "report.json").read_text())
    assert set(KEYS) <= set(report)
    assert report["wall_seconds"] > noted["seconds"] > 0
    assert report["foreground_gain_db_h1_16"] is not None and report["fps_p50"] > 0
    ending = said.out.partition("What this world gets most wrong")[2]
    clips = [word for word in ending.split() if word.endswith(".gif")]
    assert len(clips) == 3 and all(Path(clip).is_file() for clip in clips)

    assert cli.main(command) == 1
    said = capsys.readouterr().err
    assert "is a finished quickstart" in said and f"worldloom play {run}" in said


def settings(seed: int = 0) -> dict[str, object]:
    return {"seed": seed, "smoke": True, "horizons": SMOKE.horizons}


def test_a_ledger_adds_up_attempts(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "run", settings())
    first.began -= 100
    with first.stage("record"):
        pass
    with pytest.raises(KeyboardInterrupt), first.stage("tokenizer"):
        raise KeyboardInterrupt
    second = Ledger(tmp_path / "run", settings())
    assert list(second.done) == ["record"]
    assert 100 <= second.wall() < 160
    assert second.memory() >= peak_memory_gb() * 0.99 > 0.01


def test_a_folder_that_is_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldloomError, match="is no quickstart"):
        Ledger(tmp_path, settings())
    Ledger(tmp_path / "run", settings())
    with pytest.raises(WorldloomError, match="begun with --seed 0 --smoke"):
        Ledger(tmp_path / "run", settings(seed=1))
    for broken in ("", "[]", "{}"):
        (tmp_path / "run" / "quickstart.json").write_text(broken)
        with pytest.raises(WorldloomError, match=r"quickstart\.json` cannot be read"):
            Ledger(tmp_path / "run", settings())


def test_a_port_in_use_is_said_before_minutes_of_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["quickstart", "--out", str(tmp_path / "run"), "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert f"cannot be served on port {port}: address already in use" in said
    assert "--no-serve" in said
    assert not (tmp_path / "run").exists()


def test_a_core_is_left_to_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    import torch

    before = torch.get_num_threads()
    try:
        for cores, threads, kept in ((2, 2, 1), (4, 4, 3), (8, 2, 2), (1, 1, 1)):
            monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: range(n), raising=False)
            torch.set_num_threads(threads)
            spare_a_core()
            spare_a_core()  # once is enough
            assert torch.get_num_threads() == kept
    finally:
        torch.set_num_threads(before)


BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark that runs several seeds."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return load(BENCHMARKS / "quickstart.py")


def one_seed(seed: int, gain: float | None, share: float | None) -> dict[str, Any]:
    """What one seed of the quickstart reports."""

    def figure(value: float | None, half: float, ceiling: float) -> dict[str, Any]:
        if value is None:
            return {"value": None, "low": None, "high": None, "n": 0, "ceiling": None, "why": "no"}
        ends = {"low": value - half, "high": value + half}
        return {"value": value, **ends, "n": 64 - seed, "ceiling": ceiling, "why": ""}

    scored = {
        "foreground_gain_db_h1_16": figure(gain, 0.5, 9.0),
        "headroom_share_h8": figure(share, 0.1 * (seed + 1), 0.9 - 0.1 * seed),
    }
    costs = {"wall_seconds": 500.0 + seed, "peak_memory_gb": 1.0 + seed, "fps_p50": 20.0 - seed}
    own = dict.fromkeys(scored, 7.0)
    return {"seed": seed, **costs, "input_to_frame_p95_ms": 90.0, "scored": scored, "own_mask": own}


def test_seeds_are_combined_into_means_within_a_hull_and_the_worst_costs(bench: ModuleType) -> None:
    found = bench.combine([one_seed(0, 2.0, 0.6), one_seed(1, 3.0, 0.5)])
    assert tuple(found) == KEYS
    gain, share = found["foreground_gain_db_h1_16"], found["headroom_share_h8"]
    assert (gain["value"], gain["low"], gain["high"], gain["n"]) == (2.5, 1.5, 3.5, 63)
    assert share["value"] == pytest.approx(0.55) and share["perfect_simulator"] == pytest.approx(
        0.85
    )
    assert (share["low"], share["high"]) == (pytest.approx(0.3), pytest.approx(0.7))
    assert [row["value"] for row in share["per_seed"]] == [0.6, 0.5]
    assert "hull" in share["how"]
    assert found["wall_seconds"]["value"] == 501 and found["peak_memory_gb"]["value"] == 2
    assert found["fps_p50"]["value"] == 19 and found["fps_p50"]["n"] == 2


def test_a_seed_without_a_score_leaves_none_for_all_and_says_why(bench: ModuleType) -> None:
    share = bench.combine([one_seed(0, 2.0, 0.6), one_seed(1, 3.0, None)])["headroom_share_h8"]
    assert share["value"] is None and share["why"] == "seed 1: no"
    assert "perfect_simulator" not in share


@pytest.mark.slow
def test_several_seeds_run_one_after_the_other_and_finished_ones_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", "benchmarks.quickstart", "--smoke", "--seeds", "5"]
    for attempt in range(2):
        done = subprocess.run(
            [*command, "--out", str(tmp_path)],
            cwd=BENCHMARKS.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("worldloom quickstart" in done.stderr) == (attempt == 0)
    content = json.loads((tmp_path / "quickstart.json").read_text())
    assert set(content["figures"]) == set(KEYS) and content["seeds"] == [5]
    assert content["figures"]["fps_p50"]["value"] > 0
