"""What all episodes of a store have in common: the contents of `info.json`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from worldloom.actions import ActionSpec
from worldloom.data import video
from worldloom.errors import WorldloomError

FORMAT = 1

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class StoreInfo:
    """What every episode of a store has in common; the contents of `info.json`.

    Args:
      action: what could be done.
      cameras: camera name to (height, width) in pixels.
      fps: frames a second.
      env: id of the environment, empty where there is none.
      env_kwargs: what it was made with; JSON values.
      seed_policy: in words, where episode seeds come from.
      heldout: share of the seeds that go to the held-out split.
      codec: how frames above 128x128 are kept: "lossless", "h264" or "av1".
        Smaller frames are always lossless.
      sensors: sensor name to its length.
      format: version of the layout on disk.
    """

    action: ActionSpec
    cameras: Mapping[str, tuple[int, int]]
    fps: float
    env: str = ""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed_policy: str = ""
    heldout: float = 0.1
    codec: video.Codec = "lossless"
    sensors: Mapping[str, int] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.codec not in ("lossless", "h264", "av1"):
            raise WorldloomError(f"codec `{self.codec}` is unknown", "choose lossless, h264 or av1")
        if not self.cameras:
            raise WorldloomError("a store needs a camera", 'for example {"main": (64, 64)}')
        if not self.fps > 0:
            raise WorldloomError(
                f"a store needs frames a second above 0, got {self.fps}", "for example 20"
            )
        if not 0 <= self.heldout <= 1:
            raise WorldloomError(
                f"the held-out share is {self.heldout}, expected 0 to 1", "for example 0.1"
            )
        for name, (height, width) in self.cameras.items():
            check_name("camera", name)
            if height < 1 or width < 1:
                raise WorldloomError(
                    f"camera `{name}` has frames of {height}x{width}", "for example 64x64"
                )
        object.__setattr__(self, "cameras", {k: tuple(v) for k, v in self.cameras.items()})

    def to_json(self) -> dict[str, Any]:
        """The contents of `info.json`."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "action"}
        cameras = {name: list(size) for name, size in self.cameras.items()}
        return {**plain, "cameras": cameras, "action": self.action.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The info that `to_json` came from."""
        return cls(**{**data, "action": ActionSpec.from_json(data["action"])})


def read_info(path: Path) -> StoreInfo:
    """The info of the store at `path`, or one clear sentence."""
    file = path / "info.json"
    if not file.exists():
        raise WorldloomError(
            f"`{path}` is not a store: it has no info.json",
            "give the folder that `worldloom record` wrote",
        )
    try:
        data = json.loads(file.read_text())
        version = data.get("format")
        if version == FORMAT:
            return StoreInfo.from_json(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"it has no `{error.args[0]}`" if isinstance(error, KeyError) else error
        raise WorldloomError(
            f"file `{file}` cannot be read: {reason}", "restore it from a copy of the store"
        ) from error
    raise WorldloomError(
        f"store `{path}` has format {version}, this worldloom reads format {FORMAT}",
        "update worldloom",
    )


def check_name(kind: str, name: str) -> None:
    """Raises where a name cannot be the name of a file."""
    if not _NAME.fullmatch(name):
        raise WorldloomError(
            f"{kind} name `{name}` cannot be a file name", "use letters and digits"
        )
