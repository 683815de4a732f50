"""The load benchmark in small: a crowd, bad company, a killed server, on a real game."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import load_fuzz
from worldloom.play import protocol

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_a_server_holds_out_under_load(tmp_path):
    command = [sys.executable, "-m", "benchmarks.load", "worldloom/Hop-v0", "--short"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "load.json").read_text())
    figures = {name: entry["value"] for name, entry in report["figures"].items()}
    assert figures["sessions"] == 8 and figures["aggregate_fps"] > 0
    assert figures["errors"] == figures["crashes"] == 0
    assert figures["fuzz_messages"] == 1000
    bad = report["bad_company"]
    assert bad["unclear"] == bad["players_disturbed"] == 0
    assert any(ending.endswith("malformed") for ending in bad["endings"])
    assert bad["slow_frames"] > 0
    assert report["crowd"]["rows_left"] == 0
    assert report["killed"]["came_back"] == 8
    assert report["killed"]["exit_code_after_ctrl_c"] == 0
    assert report["killed"]["recordings"] == 1  # what was being recorded is lost, no more
    assert report["killed"]["recordings_broken"] == []


def test_what_the_attackers_call_harmless_is_so_and_the_rest_is_not():
    draw = random.Random(0)
    for _ in range(500):
        protocol.parse(load_fuzz.harmless(draw))
    broken = 0
    for _ in range(500):
        data = load_fuzz.harmful(draw)
        try:
            assert isinstance(data, str)
            protocol.parse(data)
        except (AssertionError, protocol.ProtocolError):
            broken += 1
    assert broken > 400, "the rest is a second greeting or a lucky draw"
