"""The loop from end to end in its smoke mode; what is done stays done."""

import json
from pathlib import Path

import pytest

from worldloom import cli, quickstart
from worldloom.errors import WorldloomError
from worldloom.quickstart import KEYS, SMOKE, Ledger, peak_memory_gb


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
