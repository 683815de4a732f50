"""The speed benchmark keeps what it has measured, and what other machines have."""

import json

import pytest

from benchmarks import realtime


@pytest.fixture
def timed(monkeypatch):
    """Worlds that take as long as their mode says, and what was measured."""
    asked = []

    def apart(name, mode, threads, busy):
        asked.append((name, mode))
        if (name, mode) == ("2b", "compiled") and asked.count(("2b", "compiled")) == 1:
            raise KeyboardInterrupt  # the machine was lent for so long
        speed = {"eager": 0.1, "graph": 0.02, "compiled": 0.04}[mode]
        more = {"gflop_per_frame": 1.0, "rate": 1e12, "parameters": 7}
        return {"seconds": [speed] * 3, **more} if name != "100m" else "ended with 1: no memory"

    monkeypatch.setattr(realtime, "apart", apart)
    monkeypatch.setattr(realtime, "too_large", lambda name: None)
    return asked


def main(monkeypatch, out, *words, tag="h200", machine="16 cores, 1x H200", dirty=""):
    monkeypatch.setattr(realtime, "tag", lambda: tag)
    monkeypatch.setattr(realtime, "machine", lambda: machine)
    monkeypatch.setattr(realtime, "commit", lambda: "abc" + dirty)
    monkeypatch.setattr("sys.argv", ["realtime", "--out", str(out), *words])
    realtime.main()


def test_a_run_that_was_cut_off_goes_on_where_it_was(timed, monkeypatch, tmp_path, capsys):
    words = ("--only", "9m", "100m", "2b", "--go-on")
    with pytest.raises(KeyboardInterrupt):
        main(monkeypatch, tmp_path, *words)
    assert '"fps_2b_h200 graph abc"' in capsys.readouterr().out
    first = len(timed)
    main(monkeypatch, tmp_path, *words)
    # The one that was cut off, and those that failed.
    assert timed[first:] == [("100m", "eager"), ("100m", "graph"), ("100m", "compiled"), timed[-1]]
    figures = json.loads((tmp_path / "realtime.json").read_text())["figures"]
    assert figures["fps_2b_h200"]["value"] == 50 and figures["fps_2b_h200"]["mode"] == "graph"
    assert figures["fps_2b_h200_eager"]["value"] == 10
    assert figures["fps_100m_h200"]["why"] == "ended with 1: no memory"
    assert not (tmp_path / "realtime.parts").exists()


def test_what_was_kept_of_another_commit_is_measured_again(timed, monkeypatch, tmp_path):
    parts = tmp_path / "realtime.parts"
    parts.write_text(json.dumps({"fps_9m_h200 eager old": {"value": 1.0}}))
    main(monkeypatch, tmp_path, "--only", "9m", "--go-on")
    assert timed == [("9m", mode) for mode in ("eager", "graph", "compiled")]


def test_two_machines_share_a_file(timed, monkeypatch, tmp_path):
    cpu = {"tag": "cpu", "machine": "2 cores, no GPU"}
    main(monkeypatch, tmp_path, "--only", "9m", **cpu)
    main(monkeypatch, tmp_path, "--only", "9m")
    main(monkeypatch, tmp_path, "--only", "9m", **cpu, dirty="+")
    told = json.loads((tmp_path / "realtime.json").read_text())
    assert told["machine"] == "2 cores, no GPU" and told["commit"] == "abc+"
    assert "machine" not in told["figures"]["fps_9m_cpu"]
    lent = told["figures"]["fps_9m_h200"]
    assert lent["machine"] == "16 cores, 1x H200" and lent["commit"] == "abc"
    assert lent["command"] == "python -m benchmarks.realtime --only 9m"
