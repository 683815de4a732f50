"""The command line: quick help, one sentence for a mistake, quiet ends."""

import errno
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from worldloom import cli
from worldloom.errors import WorldloomError
from worldloom.verbs.parse import on_interrupt, parse


def worldloom(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    command = [sys.executable, "-m", "worldloom", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def stand_in(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """Makes the verb `ls` do `act`."""
    monkeypatch.setattr(cli.Verb, "function", lambda self: lambda: act())


def raises(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_help_shows_the_newcomers_verbs_first() -> None:
    text = worldloom("--help").stdout
    shown = [line.split("  ")[1] for line in text.splitlines() if line.startswith("  ")]
    assert shown == list(cli.VERBS)
    assert shown[:4] == ["quickstart", "play", "grow", "eval"]
    assert worldloom().stdout == text


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from worldloom.cli import main; main(['--help']); "
        "print([m for m in ('torch', 'numpy', 'tyro') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", cli.VERBS)
def test_every_verb_has_help_a_summary_and_few_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = cli.VERBS[name]
    with pytest.raises(SystemExit) as stop:
        cli.main([*name.split(), "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: worldloom {name}")
    function = verb.function()
    assert inspect.getdoc(function).splitlines()[0] == verb.summary  # type: ignore[union-attr]
    parameters = inspect.signature(function).parameters.values()
    assert len(parameters) <= 12
    for parameter in parameters:
        assert parameter.annotation is not inspect.Parameter.empty
        option = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        word = parameter.name.replace("_", "-")
        assert (f"--{word}" in shown or f"--no-{word}" in shown) if option else True
        assert f"{parameter.name}:" in inspect.getdoc(function), parameter.name  # type: ignore[operator]


@pytest.mark.parametrize("name", cli.VERBS)
def test_no_verb_loads_torch_before_it_runs(name: str) -> None:
    code = f"import sys; from worldloom import cli; cli.VERBS[{name!r}].function(); "
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unknown_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fly"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == "error: there is no verb `fly`"
    assert captured.err.splitlines()[1].startswith("hint: one of: quickstart")


def test_an_unknown_option_is_wrong_usage() -> None:
    done = worldloom("ls", "--colour")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--colour" in done.stderr and "Traceback" not in done.stderr


def test_two_words_win_over_one() -> None:
    assert cli.find(["train", "tokenizer", "x"]) == ("train tokenizer", ["x"])
    assert cli.find(["train", "--resume", "x"]) == ("train", ["--resume", "x"])


def test_a_mistake_is_two_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, raises(WorldloomError("store `x` is empty", "record into it")))
    assert cli.main(["ls"]) == 1
    assert capsys.readouterr().err == "error: store `x` is empty\nhint: record into it\n"


def test_a_full_disk_is_two_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "runs/a/model.safetensors")
    stand_in(monkeypatch, raises(full))
    assert cli.main(["ls"]) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: no space left on device: `runs/a/model.safetensors`"
    assert hint.startswith("hint: free some space")


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, raises(OSError(errno.EBADF, "bad file descriptor")))
    with pytest.raises(OSError, match="bad file"):
        cli.main(["ls"])


def test_ctrl_c_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def act() -> None:
        with on_interrupt("12 episodes are kept; run it again for the rest"):
            raise KeyboardInterrupt

    stand_in(monkeypatch, act)
    assert cli.main(["ls"]) == 130
    assert capsys.readouterr().err == "stopped: 12 episodes are kept; run it again for the rest\n"


def test_ctrl_c_says_something_even_where_nobody_chose_the_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, raises(KeyboardInterrupt()))
    assert cli.main(["ls"]) == 130
    assert capsys.readouterr().err == "stopped: everything finished so far is kept\n"


def test_a_closed_pipe_is_quiet() -> None:
    code = "from worldloom import cli; cli.overview = lambda: 'x' * 10**6; exit(cli.main([]))"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"$0" -c "{code}" | head -c 1', sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (141, "")


def test_a_plain_function_becomes_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    seen: dict[str, Any] = {}

    def verb(
        env: str, store: str, *, episodes: int = 10, open: bool = True, seed: int | None = None
    ) -> None:
        """Does it.

        Args:
          env: which.
          store: where.
          episodes: how many.
          open: open it.
          seed: of it.
        """
        seen.update(locals())

    parse(verb, "verb", ["a", "b", "--no-open", "--seed", "3"])
    assert seen | {"seen": 0} == {
        "env": "a", "store": "b", "episodes": 10, "open": False, "seed": 3, "seen": 0
    }  # fmt: skip
    with pytest.raises(SystemExit):
        parse(verb, "verb", ["--help"])
    shown = capsys.readouterr().out
    assert shown.startswith("usage: worldloom verb [-h] ENV STORE ")
    assert "--seed INT" in shown
