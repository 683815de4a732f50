"""A stage folder explains itself: configuration, command, versions, metrics, pictures, weights.

RUN/tokenizer/            RUN/dynamics/
  config.json             what was trained, on what, by which command
  metrics.jsonl           one line every few steps
  checkpoint.safetensors  everything needed to go on exactly; gone when done
  weights.safetensors     the averaged weights; its presence means "done"
  samples/*.png           what it could do at each checkpoint
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from worldloom.errors import WorldloomError
from worldloom.train.checkpoint import write_tensors

FORMAT = 1
Part = TypeVar("Part")


def write_text(path: Path, text: str) -> None:
    """Writes a small file, atomically."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)


class _Config(dict[str, Any]):
    """A configuration that was read; what it lacks is one clear sentence."""

    def __init__(self, file: Path, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._file = file

    def __missing__(self, key: str) -> Any:
        raise WorldloomError(f"`{self._file}` lacks `{key}`", "restore it from a copy of the run")


@dataclass(frozen=True)
class Stage:
    """The folder of one stage of a run.

    Args:
      path: of the folder, RUN/tokenizer or RUN/dynamics.
      config: the resolved configuration, as JSON values.
    """

    path: Path
    config: Mapping[str, Any]

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> "Stage":
        """Makes the folder.

        Raises:
          WorldloomError: it exists already.
        """
        if (path / "config.json").exists():
            raise WorldloomError(
                f"`{path}` exists already",
                f"continue it with `worldloom train --resume {path.parent}`, or choose another run",
            )
        path.mkdir(parents=True, exist_ok=True)
        whole = {"format": FORMAT, **config, "made": _provenance()}
        write_text(path / "config.json", json.dumps(whole, indent=2) + "\n")
        return cls(path, whole)

    @classmethod
    def open(cls, path: Path) -> "Stage":
        """Opens a folder that `create` made."""
        file = path / "config.json"
        if not file.is_file():
            raise WorldloomError(
                f"`{path}` is no stage of a run: it has no config.json",
                "give the folder that was named with --run",
            )
        try:
            config = _Config(file, json.loads(file.read_text()))
        except (ValueError, TypeError) as error:
            raise WorldloomError(f"`{file}` is not readable: {error}", "restore it") from error
        if config.get("format") != FORMAT:
            raise WorldloomError(
                f"`{file}` has format {config.get('format')}, this version reads {FORMAT}",
                "update worldloom",
            )
        return cls(path, config)

    def part(self, name: str, kind: type[Part]) -> Part:
        """A part of the configuration as the dataclass that it was made from.

        Raises:
          WorldloomError: it is missing, or of another version.
        """
        values = self.config[name]
        try:
            return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        except (TypeError, AttributeError) as error:
            raise WorldloomError(
                f"`{self.path / 'config.json'}` has another `{name}` than this version: {error}",
                "use the version of worldloom that wrote it",
            ) from error

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def done(self) -> bool:
        """Whether the stage was trained to its end."""
        return self.weights.exists()

    def log(self, row: Mapping[str, float | int | str]) -> None:
        """Appends one line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(dict(row)) + "\n")

    def picture(self, name: str, pixels: Tensor) -> None:
        """Writes `[H, W, 3]` uint8 to samples/NAME.png, enlarged to be looked at."""
        from PIL import Image

        folder = self.path / "samples"
        folder.mkdir(exist_ok=True)
        scale = max(1, 96 // max(1, pixels.shape[0] // 8))
        large = pixels.cpu().repeat_interleave(scale, 0).repeat_interleave(scale, 1)
        Image.fromarray(large.numpy()).save(folder / f"{name}.png")

    def finish(self, model: nn.Module) -> None:
        """Writes the final weights, then drops the checkpoint."""
        write_tensors(self.weights, model.state_dict(), {"stage": self.config["stage"]})
        self.checkpoint.unlink(missing_ok=True)


def _provenance() -> dict[str, Any]:
    """Who made this: command, versions, commit, machine, time."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
        ).stdout.strip()
    except FileNotFoundError:
        commit = ""
    try:
        own = version("worldloom")
    except PackageNotFoundError:  # run from a folder that was never installed
        own = ""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": commit,
        "worldloom": own,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, "
        + (torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


Report = Callable[[int, int, float], None]  # (step, steps, loss)
