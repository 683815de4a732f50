"""The command line: finds the verb, runs it, and turns mistakes into one sentence.

A verb is a plain typed function in `worldloom.verbs`: what has no default is
an argument, what has one is an option. This module knows where the verbs are
and nothing of what they do, so that `worldloom --help` imports next to nothing.
"""

import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worldloom.errors import WorldloomError


@dataclass(frozen=True)
class Verb:
    """Where a verb lives (`module:function` in `worldloom.verbs`) and what it is for."""

    where: str
    summary: str

    def function(self) -> Callable[..., None]:
        module, name = self.where.split(":")
        return getattr(importlib.import_module(f"worldloom.verbs.{module}"), name)


FIRST = {
    "quickstart": Verb("start:quickstart", "Runs the whole loop once, small, in minutes."),
    "play": Verb("world:play", "Opens a page in which a person enters a world."),
    "grow": Verb(
        "correct:grow",
        "Grows an agent from nothing: learns, dreams, tries for real, repairs.",
    ),
    "eval": Verb("world:evaluate", "Scores a world on recordings, or asks what it knows."),
}
OTHERS = {
    "eval --suite trust": Verb(
        "trust:trust", "Asks what a world knows, task by task, beside nulls and ceilings."
    ),
    "compare": Verb(
        "trust:compare",
        "Lines up the trust reports of several worlds, and tests whether their answers differ.",
    ),
    "record": Verb("store:record", "Records episodes of an environment into a store."),
    "data": Verb("store:data", "Shows what a store holds."),
    "check": Verb("store:check", "Looks for damaged files in a store, and repairs it."),
    "train tokenizer": Verb("train:tokenizer", "Trains the tokenizer: frames to latents and back."),
    "train dynamics": Verb("train:dynamics", "Trains the dynamics: what happens next."),
    "train agent": Verb("agent:agent", "Trains an agent in a world, from the recordings."),
    "train policy": Verb("agent:policy", "Trains a policy by imitation alone."),
    "train doubt": Verb("doubt:doubt", "Trains a world's doubt: how likely a step is wrong."),
    "train": Verb("train:resume", "Continues a training run exactly where it stopped."),
    "dream": Verb("agent:dream", "Trains the agent of a run in its own dreams."),
    "correct": Verb(
        "correct:correct",
        "Repairs a world and its agent with a little real experience, in rounds.",
    ),
    "act": Verb("agent:act", "Plays a real environment with any policy, and says how well."),
    "plan": Verb(
        "plan:plan",
        "Plays a real environment with an agent that searches its world before it acts.",
    ),
    "serve": Verb("serve:serve", "Serves a trained agent to programs: frames in, actions out."),
    "ls": Verb("ls:ls", "Lists worlds of the package, runs, stores, environments, sizes or lies."),
}
VERBS = FIRST | OTHERS
SUITE = "eval --suite trust"
PAPER = ("--export", "--grade")
"""Only this suite can be sat on paper: it need not be named."""

HINTS = {
    errno.ENOSPC: "free some space and run the same command again: what was written is whole",
    errno.EDQUOT: "free some of your quota and run the same command again",
    errno.EACCES: "choose a place that you may write",
    errno.EROFS: "choose a place that you may write",
    errno.EPERM: "choose a place that you may write",
    errno.EEXIST: "a file stands where a folder has to be: choose another place",
    errno.ENOTDIR: "a file stands where a folder has to be: choose another place",
    errno.EISDIR: "a folder stands where a file has to be: choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EFBIG: "choose a disk that takes files of this size, or raise your limit (ulimit -f)",
    errno.EIO: "check the disk: it does not read or write any more",
    errno.EADDRINUSE: "choose another port with --port",
}


def help_text(verbs: dict[str, Verb]) -> str:
    """One line for each verb."""
    return "\n".join(f"  {name:<19} {verb.summary}" for name, verb in verbs.items())


def overview() -> str:
    """What `worldloom --help` prints."""
    return (
        "usage: worldloom VERB ...\n\n"
        "Turns recordings into worlds you can enter, train in, and trust.\n\n"
        f"first:\n{help_text(FIRST)}\n\nthen:\n{help_text(OTHERS)}\n\n"
        "`worldloom VERB --help` explains a verb; `worldloom --version` tells the version."
    )


def find(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Splits the command line into a verb of one or two words, and the rest."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in VERBS and len(arguments) >= words:
            rest = list(arguments[words:])
            return _suite(rest) if name == "eval" else (name, rest)
    raise WorldloomError(
        f"there is no verb `{arguments[0]}`",
        f"one of: {', '.join(VERBS)}",
        code=2,
    )


def _suite(rest: list[str]) -> tuple[str, list[str]]:
    """Which suite `eval` is asked for: each has options of its own."""
    for words in (["--suite", "trust"], ["--suite=trust"]):
        for at in range(len(rest) - len(words) + 1):
            if rest[at : at + len(words)] == words:
                return SUITE, rest[:at] + rest[at + len(words) :]
    return (SUITE if any(word.split("=")[0] in PAPER for word in rest) else "eval"), rest


def run(arguments: Sequence[str]) -> None:
    """Runs one command line; mistakes leave as exceptions."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
    elif arguments[0] == "--version":
        from importlib.metadata import version

        print(f"worldloom {version('worldloom')}")
    else:
        name, rest = find(arguments)
        from worldloom.verbs.parse import parse

        parse(VERBS[name].function(), name, rest)


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point; returns the exit status.

    0 done, 1 a mistake explained in two lines, 2 wrong usage, 3 a task not passed that
    had to be, 130 stopped by Ctrl-C, 141 nobody reads the output any more.
    """
    try:
        run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except WorldloomError as error:
        return _say(error)
    except KeyboardInterrupt as stop:
        print(f"stopped: {str(stop) or 'everything finished so far is kept'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in HINTS:
            raise
        where = f": `{error.filename}`" if error.filename else ""
        words = (error.strerror or str(error)).lower()
        return _say(WorldloomError(f"{words}{where}", HINTS[error.errno]))
    return 0


def _say(error: WorldloomError) -> int:
    """One line for the fact, whatever libraries wrote into it, and the hint."""
    print(f"error: {' '.join(error.message.split())}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return error.code
