"""What a number was computed on, and by which code: the machine in words, the commit.

Knows the operating system; nothing of worlds.
"""

import os
import subprocess
from pathlib import Path

from worldloom.workers import cores

HERE = Path(__file__).resolve().parent


def machine() -> str:
    """The machine in words, without its name: cores, processor, memory, GPU."""
    word = "core" if cores() == 1 else "cores"
    parts = [f"{cores()} {word} {_processor()}".strip()]
    if hasattr(os, "sysconf"):
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        parts.append(f"{size:.0f} GiB memory")
    parts.append(_gpu())
    return ", ".join(parts)


def commit(*watched: str) -> str:
    """The commit of this code, with "+" where files have changed since; empty where unknown.

    An installed package lies in no repository, or in that of somebody else's project, whose
    commit says nothing of it: the code has to be tracked there.

    Args:
      watched: paths from the repository's root whose changes count; `src` by default.
    """
    if _git("ls-files", "--error-unmatch", "--", Path(__file__).name) is None:
        return ""
    head = _git("rev-parse", "--short=10", "HEAD")
    if head is None:
        return ""
    paths = [f":/{path}" for path in watched or ("src",)]
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *paths)
    return head + ("+" if changed else "")


def _git(*words: str) -> str | None:
    """What git says in the folder of this file; None where it is missing or says no."""
    try:
        done = subprocess.run(["git", "-C", str(HERE), *words], capture_output=True)
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.decode().strip()


def _processor() -> str:
    """The processor's own name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return os.uname().machine if hasattr(os, "uname") else ""


def _gpu() -> str:
    """Names of the CUDA GPUs, or "no GPU"."""
    import torch  # takes long to import, and whoever only asks for the commit needs none

    if not torch.cuda.is_available():
        return "no GPU"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{len(names)}x {names[0]}"
