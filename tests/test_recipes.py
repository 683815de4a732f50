"""The recipes: their players do what they are for, and their way leads to a published report."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes import steps
from recipes.crafter_world import Walker
from recipes.pong import DOWN, STAY, UP, Chaser
from worldloom.data.store import Store

FIELD, GREEN, BALL = (144, 72, 17), (118, 130, 52), (236, 236, 236)


def court(*, ball: int | None, paddle: int) -> np.ndarray:
    """A picture of Pong `[64, 64, 3]` with the ball and the paddle in these rows."""
    frame = np.zeros((64, 64, 3), np.uint8) + np.array(FIELD, np.uint8)
    frame[paddle - 2 : paddle + 3, 56] = GREEN
    if ball is not None:
        frame[ball, 30] = BALL
    return frame


@pytest.mark.parametrize(
    ("ball", "paddle", "key"), [(20, 40, UP), (50, 30, DOWN), (None, 30, STAY)]
)
def test_the_chaser_follows_the_ball(ball: int | None, paddle: int, key: int) -> None:
    rng = np.random.default_rng(0)
    player = Chaser()
    player.reset()
    keys = []
    for _ in range(200):
        slipping = player.slip > 0
        chosen = int(player(court(ball=ball, paddle=paddle), {}, rng)["action"])
        if not slipping and player.slip == 0:
            keys.append(chosen)
    assert keys.count(key) > 0.9 * len(keys)
    assert 20 < len(keys) < 200  # its hand slips, but not always


def test_the_walker_walks_most_of_the_time_and_tries_everything() -> None:
    labels = ("noop", "move_left", "move_right", "do", "sleep")
    rng = np.random.default_rng(0)
    player = Walker(labels)
    player.reset()
    drawn = [int(player(np.zeros((8, 8, 3), np.uint8), {}, rng)["action"]) for _ in range(3000)]
    share = np.bincount(drawn, minlength=5) / len(drawn)
    assert 0.55 < share[1] + share[2] < 0.75
    assert (share > 0.02).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "package", "name"),
    [
        ("pong", "ale_py", "pong"),
        ("crafter_world", "crafter", "crafter"),
        ("doom_world", "vizdoom", "doom"),
    ],
)
def test_a_recipe_ends_with_a_published_report(
    recipe: str, package: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package)
    run = tmp_path / "run"
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", [recipe, "--smoke", "--publish", "--out", str(run)])
    main = importlib.import_module(f"recipes.{recipe}").main
    main()
    assert len(Store.open(run / "store")) == 16
    result = json.loads((tmp_path / "benchmarks" / "results" / f"{name}.json").read_text())
    real = result["figures"]["foreground_psnr_real_h16"]["value"]
    blind = result["figures"]["psnr_blind_h1"]
    assert real > 50 > blind["value"] > 0
    assert blind["n"] == 2 and blind["low"] <= blind["value"] <= blind["high"]
    assert str(tmp_path) not in json.dumps(result)
    image = tmp_path / "docs" / "images" / f"{name}-contact.png"
    with Image.open(image) as sheet:
        assert sheet.size[0] > 300
    assert image.stat().st_size < 300_000

    kept = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    main()  # everything is there already
    changed = {path for path in kept if path.stat().st_mtime_ns != kept[path]}
    assert not {path for path in changed if path.suffix in (".safetensors", ".json", ".mp4")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "name"), [("craft", "craft_offline"), ("crafter_offline", "crafter_offline")]
)
def test_recordings_lead_to_players_that_are_compared(
    recipe: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if recipe == "crafter_offline":
        pytest.importorskip("crafter")
    main, run = importlib.import_module(f"recipes.{recipe}").main, tmp_path / "run"
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", [recipe, "--smoke", "--publish", "--out", str(run)])
    main()
    file = tmp_path / "benchmarks" / "results" / f"{name}.json"
    figures = json.loads(file.read_text())["figures"]
    for policy in ("wm_bc", "bc", "filtered", "iql", "dream", "random"):
        assert figures[f"return_{policy}"]["n"] == 2
        assert 0 <= figures[f"diamond_rate_{policy}"]["value"] <= 1
    again = figures["return_recordings"]["value"] * figures["ratio_dream_over_recordings"]["value"]
    assert again == pytest.approx(figures["return_dream"]["value"], rel=1e-4)
    kept = {path: path.stat().st_mtime_ns for path in run.rglob("*.safetensors")}
    main()  # everything is there already
    assert len(kept) == 7 and all(path.stat().st_mtime_ns == then for path, then in kept.items())
