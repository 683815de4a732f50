"""Worlds that know nothing, as families: the last frame repeated, the nearest recording replayed.

`worldloom eval persistence STORE --suite trust`, and `nearest`: they sit whole exams by name, so
that what a learned world scores stands beside what takes no learning. Neither hears an action.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from worldloom.actions import Action, ActionSpec
from worldloom.data.files import replace_file
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.library import Library
from worldloom.trust.recorded import camera_of
from worldloom.trust.sitting import Tell
from worldloom.trust.task import Budget, Setting
from worldloom.world import Step, WorldSpec

FRAMES: dict[Budget, int] = {"smoke": 2_000, "quick": 20_000, "full": 100_000}
"""Frames that a library has at most, of whole episodes."""
CAN = frozenset({"render", "observe", "fork", "reseed"})


@dataclass
class Shown:
    """A batch of moments of which one picture is all that is known.

    Args:
      frame: `[B, H, W, 3]` uint8, the newest one.
    """

    frame: Tensor

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> "Shown":
        return Shown(self.frame[_rows(rows)].clone())

    def copy(self) -> "Shown":
        return self[:]

    @classmethod
    def stack(cls, states: Sequence["Shown"]) -> "Shown":
        return cls(torch.cat([state.frame for state in states]))


class StillWorld:
    """Shows the last frame for ever.

    Args:
      spec: of what it is shown.
    """

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = replace(spec, capabilities=CAN, starts=frozenset({"frames"}))

    def start(self, clip: Clip, seeds: Tensor) -> tuple[Shown, Step]:
        """The last frame of a context."""
        del seeds  # nothing is left to chance
        return Shown(_frames(self.spec, clip)[:, -1].clone()), Step()

    def step(self, state: Shown, action: Action) -> tuple[Shown, Step]:
        """Nothing happens."""
        del action
        return state, Step()

    def observe(self, state: Shown, action: Action, clip: Clip) -> tuple[Shown, Step]:
        """Another picture."""
        del state, action
        return Shown(_frames(self.spec, clip)[:, -1].clone()), Step()

    def render(self, state: Shown, camera: str = "") -> Tensor:
        """`[B, H, W, 3]` uint8."""
        del camera  # there is one; `spec.cameras` says so
        return state.frame

    def reseed(self, state: Shown, seeds: Tensor) -> Shown:
        """There is but one future."""
        del seeds
        return state.copy()


@dataclass
class Found:
    """A batch of moments, and where in a library they were recorded, as far as one can see.

    Args:
      past: `[B, K, D]` what the last frames look like, newest first; zeros before the first.
      seen: `[B]` int64 how many of them there are.
      place: `[B]` int64 frame of the library that is now.
      frame: `[B, H, W, 3]` uint8, the newest one.
    """

    past: Tensor
    seen: Tensor
    place: Tensor
    frame: Tensor

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> "Found":
        return Found(*(getattr(self, f.name)[_rows(rows)].clone() for f in fields(self)))

    def copy(self) -> "Found":
        return self[:]

    @classmethod
    def stack(cls, states: Sequence["Found"]) -> "Found":
        return cls(*(torch.cat([getattr(s, f.name) for s in states]) for f in fields(cls)))


class NearestWorld:
    """Goes on as the recording went on that looks most like what is seen.

    Args:
      spec: of the recordings.
      library: of them.
    """

    def __init__(self, spec: WorldSpec, library: Library) -> None:
        self.spec = replace(spec, capabilities=CAN, starts=frozenset({"frames"}))
        self.library = library

    def start(self, clip: Clip, seeds: Tensor) -> tuple[Found, Step]:
        """The recording that is nearest to the last frames of a context."""
        del seeds  # nothing is left to chance
        frames, reach = _frames(self.spec, clip), self.library.reach
        newest = frames[:, -reach:].flip(1)
        count = newest.shape[1]
        past = self.library.empty(len(frames))
        past[:, :count] = self.library.looks(newest.flatten(0, 1)).unflatten(0, (-1, count))
        return self._found(past, torch.full((len(frames),), count), newest[:, 0]), Step()

    def step(self, state: Found, action: Action) -> tuple[Found, Step]:
        """The next frame of the recording; after its last one that for ever."""
        del action
        place = self.library.after(state.place)
        return replace(state, place=place, frame=self.library.frames_at(place)), Step()

    def observe(self, state: Found, action: Action, clip: Clip) -> tuple[Found, Step]:
        """Looks anew for the recording that is nearest."""
        del action
        frame = _frames(self.spec, clip)[:, -1]
        past = torch.cat([self.library.looks(frame)[:, None], state.past[:, :-1]], 1)
        return self._found(past, (state.seen + 1).clamp(max=self.library.reach), frame), Step()

    def render(self, state: Found, camera: str = "") -> Tensor:
        """`[B, H, W, 3]` uint8."""
        del camera  # there is one; `spec.cameras` says so
        return state.frame

    def reseed(self, state: Found, seeds: Tensor) -> Found:
        """There is but one future."""
        del seeds
        return state.copy()

    def _found(self, past: Tensor, seen: Tensor, frame: Tensor) -> Found:
        return Found(past, seen, self.library.nearest(past, seen), frame.clone())


@dataclass(frozen=True)
class Persistence:
    """The family of worlds that show the last frame for ever: nothing is learned."""

    name: str = "the last frame repeated"

    def train(self, store: Store, folder: Path, setting: Setting, tell: Tell) -> StillWorld:
        """Such a world; `folder` keeps what its frames and actions are."""
        _note(folder, store, "persistence")
        return self.untrained(folder, seed=0)

    def untrained(self, folder: Path, *, seed: int) -> StillWorld:
        """The same: there is nothing that it could lack."""
        return StillWorld(_spec(folder))


@dataclass(frozen=True)
class NearestClip:
    """The family of worlds that replay what they were shown.

    Args:
      frames: of the library at most; the budget's own number by default.
      name: of the recipe.
    """

    frames: int | None = None
    name: str = "the nearest recording replayed"

    def train(self, store: Store, folder: Path, setting: Setting, tell: Tell) -> NearestWorld:
        """A library of a store's episodes, or the one that is in `folder`."""
        most = self.frames or FRAMES[setting.budget]
        if not (folder / "config.json").exists():
            Library.keep(folder, store, camera_of(store), most, tell)
        _note(folder, store, "nearest")  # last: what is there is whole
        return NearestWorld(_spec(folder), Library.open(folder))

    def untrained(self, folder: Path, *, seed: int) -> NearestWorld:
        """It replays recordings that have nothing to do with what it sees."""
        return NearestWorld(_spec(folder), Library.open(folder).shuffled(seed))


def _note(folder: Path, store: Store, name: str) -> None:
    """Writes what worlds of a store are made of."""
    info, camera = store.info, camera_of(store)
    facts: dict[str, Any] = {
        "name": f"{name} on {store.path.name}",
        "cameras": {camera: info.cameras[camera]},
        "action": info.action.to_json(),
        "fps": info.fps,
    }
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "config.json", json.dumps(facts).encode())


def _spec(folder: Path) -> WorldSpec:
    facts = json.loads((folder / "config.json").read_text())
    cameras = {name: (int(h), int(w)) for name, (h, w) in facts["cameras"].items()}
    return WorldSpec(facts["name"], cameras, ActionSpec.from_json(facts["action"]), facts["fps"])


def _frames(spec: WorldSpec, clip: Clip) -> Tensor:
    """`[B, T, H, W, 3]` of the one camera."""
    (camera,) = spec.cameras
    return torch.as_tensor(clip.frames[camera])


def _rows(rows: Sequence[int] | slice | Tensor) -> slice | Tensor:
    return rows if isinstance(rows, slice) else torch.as_tensor(rows, dtype=torch.int64)
