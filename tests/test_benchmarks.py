"""Every script of benchmarks/ can be run as its first lines say."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if '__name__ == "__main__"' in path.read_text()
)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "tables"])
def test_a_benchmark_is_found_and_explains_itself(name, monkeypatch, capsys):
    text = (ROOT / "benchmarks" / f"{name}.py").read_text()
    asked = re.findall(r"^    python (?:-m )?(benchmarks\S+)", text, re.MULTILINE)
    assert asked and set(asked) == {f"benchmarks.{name}"}, asked
    monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)  # of another test
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)  # runpy would warn
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out
