"""The guide and the code say the same: every verb has a page, every option stands on it."""

import ast
import importlib.util
import inspect
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from worldloom import cli

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def load(path: Path) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def undocumented(name: str, page: str) -> list[str]:
    """Arguments and options of a verb that its page does not mention."""
    words = []
    for parameter in inspect.signature(cli.VERBS[name].function()).parameters.values():
        word = parameter.name.replace("_", "-")
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            words.append(parameter.name.upper())
        else:
            words.append(f"--no-{word}" if parameter.default is True else f"--{word}")
    return [word for word in words if not re.search(rf"(?<![\w-]){word}(?![\w-])", page)]


@pytest.mark.parametrize("name", cli.VERBS)
def test_every_verb_has_a_page_with_all_its_options(name: str) -> None:
    page = (DOCS / f"{name.split()[0]}.md").read_text()
    assert f"worldloom {name}" in page
    assert undocumented(name, page) == []


def test_a_missing_option_is_found() -> None:
    assert undocumented("ls", "`worldloom ls WHAT RUN --rooted`") == ["--root"]


def test_no_page_speaks_of_an_option_that_no_verb_has() -> None:
    known = {"--help", "--version", "--nproc-per-node"}  # the last is torchrun's
    for verb in cli.VERBS.values():
        for parameter in inspect.signature(verb.function()).parameters.values():
            word = parameter.name.replace("_", "-")
            known |= {f"--{word}", f"--no-{word}"}
    for page in sorted(DOCS.glob("*.md")):
        own = re.sub(r"<sub>.*?</sub>", "", page.read_text())  # a benchmark's command
        said = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", own))
        assert said <= known, page.name


def test_torchrun_understands_the_commands_that_the_guide_gives_it() -> None:
    from torch.distributed.run import get_args_parser

    lines = re.findall(r"^torchrun .*$", "\n".join(p.read_text() for p in DOCS.glob("*.md")), re.M)
    assert lines
    for line in lines:
        words = shlex.split(line)
        given = get_args_parser().parse_args(words[1:])
        rest = [word for word in words[words.index("worldloom") :] if word != "--"]
        assert given.module and [given.training_script, *given.training_script_args] == rest
        verb, more = cli.find(given.training_script_args)
        assert verb.startswith("train ") and more


def test_the_links_of_the_guide_lead_somewhere() -> None:
    build = load(DOCS / "build.py")
    assert [link for path in build.pages() for link in build.broken_links(path)] == []
    outside = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    assert [link for path in outside for link in build.broken_links(path)] == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n\n[a](page.md#one) [b](page.md#two) [c](gone.md) `[d](e.md)`\n")
    assert load(DOCS / "build.py").broken_links(page) == [
        "page.md: page.md#two",
        "page.md: gone.md",
    ]


def public(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    """Functions and classes at the top of a module without a leading underscore."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]


@pytest.mark.slow
def test_everything_public_has_a_docstring() -> None:
    bare = []
    for path in sorted((ROOT / "src" / "worldloom").rglob("*.py")):
        tree = ast.parse(path.read_text())
        if tree.body and not ast.get_docstring(tree):
            bare.append(str(path.relative_to(ROOT)))
        bare += [f"{path.name}: {n.name}" for n in public(tree) if not ast.get_docstring(n)]
    assert bare == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-W", "error", str(DOCS / "build.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").exists()
    assert (tmp_path / "api" / "worldloom" / "world.html").exists()
