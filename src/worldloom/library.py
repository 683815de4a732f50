"""Recorded frames by what they look like: which of them is nearest, and what came after it.

A frame looks like its means over 8x8 cells, each divided by how much that cell varies over the
library; a moment like its last frames. The specification's nearest training clip compares true
states, which recordings do not have: this is the same in pixels. Knows no world.

FOLDER/
  frames.npy            `[F, H, W, 3]` uint8, whole episodes one after the other
  library.safetensors   what they look like, and where episodes end
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from worldloom import seeding
from worldloom.data.files import part_path
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.train.checkpoint import read_tensors, write_tensors
from worldloom.trust.sitting import Tell

REACH = 4
"""Last frames that are compared: a place and how it changes."""
CELLS = (8, 8)
FLAT = 1.0
"""Levels of 255; a cell that varies less is not blown up."""
ROWS = 32
"""Moments that are looked for at once."""


@dataclass(frozen=True)
class Library:
    """Episodes of F frames in all.

    Args:
      frames: `[F, H, W, 3]` uint8 in a file.
      look: `[F, D]` what they look like, float32.
      spread: `[D]` by which cells were divided.
      age: `[F]` int64 frames before each in its episode.
      left: `[F]` int64 frames after it.
      leads: `[F]` int64 which frame stands for each when it is found: itself, unless shuffled.
    """

    frames: np.ndarray
    look: Tensor
    spread: Tensor
    age: Tensor
    left: Tensor
    leads: Tensor

    @classmethod
    def keep(cls, folder: Path, store: Store, camera: str, most: int, tell: Tell) -> None:
        """Writes the library of a store's training episodes, evenly chosen, whole ones.

        Args:
          folder: of the library.
          store: recordings.
          camera: whose frames.
          most: frames in all; one episode is kept however long.
          tell: progress.

        Raises:
          WorldloomError: no episode has two frames, so that nothing follows anything.
        """
        names = _chosen(store, most)
        lengths = [store.row(name).length for name in names]
        folder.mkdir(parents=True, exist_ok=True)
        part, looks, begin = part_path(folder / "frames.npy"), [], 0
        shape = (sum(lengths), *store.info.cameras[camera], 3)
        frames = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
        for name, length in zip(names, lengths, strict=True):
            tell(0.0, f"keeping recordings of {store.path.name}: {begin:,} of {len(frames):,}")
            shown = store.read(name).frames[camera]
            frames[begin : begin + length] = shown
            looks.append(cells(torch.from_numpy(shown)))
            begin += length
        frames.flush()
        os.replace(part, folder / "frames.npy")
        look = torch.cat(looks)
        spread = look.std(0).clamp(min=FLAT)
        kept = {"look": look / spread, "spread": spread, "lengths": torch.tensor(lengths)}
        write_tensors(folder / "library.safetensors", kept, {"camera": camera})

    @classmethod
    def open(cls, folder: Path) -> "Library":
        """The library that `keep` wrote."""
        kept, _ = read_tensors(folder / "library.safetensors")
        frames = np.load(folder / "frames.npy", mmap_mode="r")
        lengths = kept["lengths"].tolist()
        age = torch.cat([torch.arange(length) for length in lengths])
        left = torch.cat([torch.arange(length).flip(0) for length in lengths])
        itself = torch.arange(len(frames))
        return cls(frames, kept["look"], kept["spread"], age, left, itself)

    @property
    def reach(self) -> int:
        """Frames that are compared; fewer where no episode has as many and one after them."""
        return int(min(REACH, self.age.max()))

    def shuffled(self, seed: int) -> "Library":
        """The same looks, which say nothing of what comes: others stand for them."""
        ends = torch.nonzero(self.left)[:, 0]
        order = torch.from_numpy(seeding.rng(seed, "shuffled library").permutation(len(ends)))
        leads = self.leads.clone()
        leads[ends] = ends[order]
        return replace(self, leads=leads)

    def empty(self, rows: int) -> Tensor:
        """`[B, K, D]` looks of frames that nobody has seen."""
        return torch.zeros(rows, self.reach, self.look.shape[1])

    def looks(self, frames: Tensor) -> Tensor:
        """What frames `[B, H, W, 3]` uint8 look like, `[B, D]`."""
        return cells(frames) / self.spread

    def nearest(self, past: Tensor, seen: Tensor) -> Tensor:
        """Where in the library it looked most like this, `[B]`; never an episode's last frame.

        Args:
          past: `[B, K, D]` looks of the last frames, newest first.
          seen: `[B]` how many of them there are; the others do not count.
        """
        pairs = zip(past.split(ROWS), seen.split(ROWS), strict=True)
        return self.leads[torch.cat([self._nearest(*pair) for pair in pairs])]

    def _nearest(self, past: Tensor, seen: Tensor) -> Tensor:
        square = self.look.square().sum(1)
        cost = torch.zeros(len(past), len(self.look))
        for k in range(past.shape[1]):
            gap = square - 2 * past[:, k] @ self.look.T  # but for what all have in common
            moved = torch.full_like(cost, torch.inf)
            moved[:, k:] = gap[:, : gap.shape[1] - k]
            moved[:, self.age < k] = torch.inf
            cost += torch.where((seen > k)[:, None], moved, 0.0)
        cost[:, self.left == 0] = torch.inf
        return cost.argmin(1)

    def after(self, place: Tensor) -> Tensor:
        """The next frames of episodes; their last one is followed by itself."""
        return place + (self.left[place] > 0)

    def frames_at(self, place: Tensor) -> Tensor:
        """`[B, H, W, 3]` uint8."""
        return torch.from_numpy(np.asarray(self.frames[place.numpy()]))


def cells(frames: Tensor) -> Tensor:
    """Means over 8x8 cells of frames `[B, H, W, 3]` uint8, `[B, D]` float32 in levels of 255."""
    small = functional.adaptive_avg_pool2d(frames.permute(0, 3, 1, 2).float(), CELLS)
    return small.flatten(1)


def _chosen(store: Store, most: int) -> list[str]:
    """Training episodes in which something follows, evenly chosen until they are too many."""
    names = [name for name in store.split("train") if store.row(name).length > 1]
    if not names:
        raise WorldloomError(
            f"no episode in the train split of `{store.path}` has two frames",
            "record longer ones: what came after is all that such a world shows",
        )
    total = sum(store.row(name).length for name in names)
    count = max(1, min(len(names), len(names) * most // total))
    return [names[i * len(names) // count] for i in range(count)]
