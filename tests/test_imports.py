"""Who may import whom, that importing does nothing, and that it is quick."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import worldloom

PACKAGE = Path(__file__).parent.parent / "src" / "worldloom"
FILES = sorted(PACKAGE.rglob("*.py"))

# Who may import whom: a part, and the parts it may know beside itself.
BASE = {"errors", "seeding", "actions"}
MAY = {
    "errors": set(),
    "seeding": set(),
    "actions": {"errors"},
    "workers": {"errors"},
    "machine": {"workers"},
    "listening": {"errors"},
    "data": BASE | {"data", "world", "envs", "agents", "workers"},
    "envs": BASE | {"envs", "data", "world", "agents", "workers"},
    "world": BASE | {"data"},
    "models": BASE | {"models", "data", "world"},
    "train": BASE | {"train", "models", "data", "envs", "world", "configs", "hub", "evaluate"},
    "play": BASE | {"play", "world", "data", "envs", "listening"},
    "evaluate": BASE | {"evaluate", "world", "data", "envs", "agents"},
    "trust": BASE | {"trust", "evaluate", "world", "data", "envs", "machine"},
    "imagine": BASE | {"world", "data", "envs"},
    "agents": BASE | {"agents", "world", "data", "envs"},
    "serving": BASE | {"serving", "world", "data", "agents", "listening"},
    "check": BASE | {"world", "data", "envs"},
    "configs": BASE | {"models", "train"},
    "shipped": set(),
    "pack": BASE | {"hub", "models", "data", "starts", "train"},
    "families": BASE | {"configs", "data", "hub", "models", "train", "trust", "world"},
    "outside": BASE | {"data", "families", "train", "trust", "world"},
    "library": BASE | {"data", "train", "trust"},
    "plain": BASE | {"data", "library", "trust", "world"},
    "entered": BASE | {"data", "envs", "evaluate", "trust", "world"},
    "marks": BASE | {"data", "envs", "world", "play", "starts"},
    "acting": BASE | {"agents", "envs", "hub"},
    "hub": BASE | {"models", "train", "world", "data", "envs", "configs", "agents"},
}
# `models` may know of `data` only the nouns, not the files; what is trained by its own score may
# know the arithmetic of that score.
ONLY = {
    ("models", "data"): {"worldloom.data.types"},
    ("train", "evaluate"): {"worldloom.evaluate.doubt"},
}


# Within the suite: its tasks know no report, its frame knows no task but where they are listed.
NOT_WITHIN = {"trust.tasks": {"report", "listed", "suite"}, "trust.report": {"tasks", "listed"}}
LISTED = PACKAGE / "trust" / "listed.py"


def part(path: Path) -> str:
    """The part of the house that a file belongs to: `data`, `world`, …"""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    """Every `worldloom…` module that a file imports, at any depth."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write whole module names"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "worldloom"}


def offences(own: str, names: set[str]) -> list[str]:
    """The imports among `names` that the part `own` may not have."""
    return [name for name in sorted(names) if _forbidden(own, name)]


def _forbidden(own: str, name: str) -> bool:
    other = [*name.split("."), ""][1]
    if other in ("", own):
        return False
    if other == "cli":
        return own != "__main__"
    if own in MAY and other not in MAY[own]:
        return True
    modules = ONLY.get((own, other), {""})
    return not any(f"{name}.".startswith(f"{module}.") or not module for module in modules)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_part_may_know(path: Path) -> None:
    assert offences(part(path), imports(ast.parse(path.read_text()))) == []


def entangled(path: Path, names: set[str]) -> list[str]:
    """The imports among `names` by which frame, tasks and report of the suite know too much."""
    inside = ".".join(path.relative_to(PACKAGE).parts[:-1])
    part_of = next((part for part in NOT_WITHIN if inside.startswith(part)), "")
    barred = NOT_WITHIN.get(part_of, set() if path == LISTED else {"tasks", "listed"})
    return [name for name in sorted(names) if [*name.split("."), "", ""][2] in barred]


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "trust").rglob("*.py")), ids=lambda path: str(path.name)
)
def test_frame_tasks_and_report_of_the_suite_stay_apart(path: Path) -> None:
    names = {name for name in imports(ast.parse(path.read_text())) if ".trust" in name}
    assert entangled(path, names) == []


def test_the_rule_within_the_suite_can_fail() -> None:
    suite, rooms = PACKAGE / "trust" / "suite.py", PACKAGE / "trust" / "tasks" / "rooms" / "task.py"
    assert entangled(suite, {"worldloom.trust.tasks.motion.Motion"})
    assert entangled(rooms, {"worldloom.trust.report.card.publish"})
    assert entangled(LISTED, {"worldloom.trust.tasks.motion.Motion"}) == []


def test_the_rule_can_fail() -> None:
    assert offences("data", {"worldloom.models.blocks.Block"}) == ["worldloom.models.blocks.Block"]
    assert offences("models", {"worldloom.data.store.Store"}) == ["worldloom.data.store.Store"]
    assert offences("models", {"worldloom.data.types.Clip"}) == []
    assert offences("verbs", {"worldloom.cli.main"}) == ["worldloom.cli.main"]


def test_every_part_has_a_rule() -> None:
    free = {"__init__", "__main__", "cli", "verbs", "progress", "quickstart", "starts", "ls"}
    free |= {"correct", "grow"}
    assert {part(path) for path in FILES} - free <= set(MAY)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_importing_does_nothing(path: Path) -> None:
    """No bare call stands at the top of a module, except registering the games."""
    calls = [
        ast.unparse(node)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    assert calls == (["register()"] if path == PACKAGE / "envs" / "__init__.py" else [])


@pytest.mark.parametrize(
    "module",
    ["worldloom", "worldloom.cli", "worldloom.envs", "worldloom.data.types"],
)
def test_importing_needs_no_torch(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'tyro') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_there_and_lead_home() -> None:
    assert {"load_world", "Store", "record"} <= set(dir(worldloom))
    said = set(re.findall(r"`(\w+)`", worldloom.__doc__ or ""))
    assert said == set(worldloom._WHERE), "the docstring lists the public names"
    for name in worldloom._WHERE:
        assert getattr(worldloom, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute `Wrold`"):
        worldloom.Wrold  # noqa: B018
