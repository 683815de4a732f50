"""The examples run, on a CPU, with two steps."""

from pathlib import Path

import pytest

from test_docs import load

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_there_are_five_of_under_sixty_lines() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert len(files) == 5
    assert [f.name for f in files if len(f.read_text().splitlines()) >= 60] == []


def test_own_loop(tmp_path: Path) -> None:
    store = load(EXAMPLES / "own_loop.py").main(str(tmp_path / "ball"), episodes=2)
    episode = store.read(store.episodes[0].name)
    assert len(store) == 2 and len(episode) == 40
    moved = episode.frames["main"][1:] != episode.frames["main"][:-1]
    keys = episode.actions["keys"][1:].astype(int)
    still = keys[:, 0] == keys[:, 1]
    assert not moved[still].any(), "frames follow the keys of their own index"
