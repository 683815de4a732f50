"""Episodes of a store, decoded once into flat memory-mapped arrays (`data/flat.py`).

Episodes beyond `limit_bytes` of frames keep their steps there, and their frames
are read from the video. Knows nothing of how windows are chosen.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data import files, video
from worldloom.data.flat import Layout, Progress, extend, open_frames, open_steps, video_of
from worldloom.data.store import Split, Store, repairable
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError

LIMIT = 4 * 2**30


class ClipCache:
    """Random access to windows of the episodes of one split.

    `names`, `lengths` and `offsets` are parallel and ordered by name, whatever
    order the episodes came in, so that a seed means the same windows in a
    cache that grew and in one that was built afresh.

    Attributes:
      names: of the episodes.
      lengths: `[E]` int64 frames of each.
      offsets: `[E]` int64 first row of each in the flat arrays.
      identity: fingerprint of all of it; equal caches give equal windows.
    """

    def __init__(
        self,
        store: Store,
        path: Path,
        names: Sequence[str],
        *,
        layout: Layout,
        latents: np.ndarray | None = None,
    ) -> None:
        self.store = store
        self.path = path
        self.names = tuple(sorted(names))
        self.layout = layout
        self.latents = latents
        place = {name: i for i, (name, _, _) in enumerate(layout.episodes)}
        rows = np.array([place[name] for name in self.names], np.int64)
        flat = layout.offsets()
        self.offsets = flat[:-1][rows]
        self.lengths = np.diff(flat)[rows]
        self._decoded = rows < layout.decoded
        self._steps = open_steps(path, int(flat[-1]))
        self._frames = open_frames(path, store, int(flat[layout.decoded]))
        prints = [layout.episodes[row] for row in rows]
        self.identity = hashlib.blake2b(
            json.dumps([layout.world, prints]).encode(), digest_size=8
        ).hexdigest()

    @classmethod
    def open(
        cls,
        store: Store,
        path: str | Path,
        *,
        split: Split = "train",
        names: Sequence[str] | None = None,
        limit_bytes: int = LIMIT,
        progress: Progress | None = None,
    ) -> Self:
        """Opens the cache at `path`, decoding what it does not have yet.

        Args:
          store: where the episodes are.
          path: a folder of this cache's own; made where missing.
          split: which episodes.
          names: these episodes instead, for example those that an earlier run
            saw, so that it resumes exactly although the store has grown.
          limit_bytes: of decoded frames on disk; the rest is read from video.
          progress: called with (episodes decoded, episodes to decode).

        Raises:
          WorldloomError: there are no such episodes, one cannot be read, or the
            disk is full.
        """
        path = Path(path)
        rows = [store.row(name) for name in (store.split(split) if names is None else names)]
        if not rows:
            raise WorldloomError(
                f"store `{store.path}` has no episodes in its {split} split",
                "record some with `worldloom record`",
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            with files.locked(path), repairable(store.path):
                layout = extend(store, path, rows, limit_bytes, progress)
        except OSError as error:
            raise files.disk_error(error, f"cache `{path}`", "it is not complete") from error
        return cls(store, path, [row.name for row in rows], layout=layout)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def frames_total(self) -> int:
        """Frames of all episodes together."""
        return int(self.lengths.sum())

    def with_latents(self, latents: np.ndarray) -> "ClipCache":
        """The same windows with latents in place of frames.

        Args:
          latents: `[total, N, D]` in this cache's flat order.
        """
        return ClipCache(self.store, self.path, self.names, layout=self.layout, latents=latents)

    def window(self, episode: int, start: int, stop: int) -> Clip:
        """One window as a batch of one.

        Args:
          episode: index into `names`.
          start: first frame.
          stop: after the last frame.
        """
        return self.clip(np.array([episode]), np.array([start]), length=stop - start)

    def clip(self, episodes: np.ndarray, starts: np.ndarray, *, length: int) -> Clip:
        """Windows as a batch; each must lie inside its episode.

        Args:
          episodes: `[B]` indices into `names`.
          starts: `[B]` first frame of each window.
          length: frames T of every window.

        Returns:
          A clip of torch tensors that own their memory.
        """
        bad = (starts < 0) | (starts + length > self.lengths[episodes]) | (length < 1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            name, have = self.names[episodes[row]], self.lengths[episodes[row]]
            raise WorldloomError(
                f"window of {length} frames from {starts[row]} leaves episode `{name}` ({have})",
                "ask for a window inside the episode",
            )
        rows = self.offsets[episodes] + starts
        steps = {name: _gather(column, rows, length) for name, column in self._steps.items()}
        part = lambda prefix: {  # noqa: E731
            k.removeprefix(prefix): v for k, v in steps.items() if k.startswith(prefix)
        }
        return Clip(
            frames={} if self.latents is not None else self._read(episodes, starts, length),
            latents=None if self.latents is None else _gather(self.latents, rows, length),
            actions=Action(part("action/"), steps["action_known"]),
            reward=steps["reward"],
            reward_known=steps["reward_known"],
            terminated=steps["terminated"],
            sensors=part("sensor/"),
        )

    def rewards(self, episode: int) -> np.ndarray:
        """`[T]` float32 of one whole episode; 0 where the reward is not known."""
        rows = slice(self.offsets[episode], self.offsets[episode] + self.lengths[episode])
        return np.where(self._steps["reward_known"][rows], self._steps["reward"][rows], 0.0)

    def done(self, episode: int) -> Action:
        """What led to each frame of one whole episode, `[T, ...]` numpy, and where it is known."""
        rows = slice(self.offsets[episode], self.offsets[episode] + self.lengths[episode])
        part = {
            name.removeprefix("action/"): np.array(column[rows])
            for name, column in self._steps.items()
            if name.startswith("action/")
        }
        return Action(part, np.array(self._steps["action_known"][rows]))

    def flat_frames(self, index: int) -> dict[str, torch.Tensor]:
        """Every frame of the episode that comes `index`-th in the flat order.

        Returns:
          Camera name to `[T, H, W, 3]` uint8.
        """
        name, length, _ = self.layout.episodes[index]
        begin = int(self.layout.offsets()[index])
        clips = {}
        for camera, frames in self._frames.items():
            if index < self.layout.decoded:
                array = np.array(frames[begin : begin + length])
            else:
                size = self.store.info.cameras[camera]
                array = video.decode(video_of(self.store, name, camera), 0, length, size=size)
            clips[camera] = torch.from_numpy(array)
        return clips

    def _read(
        self, episodes: np.ndarray, starts: np.ndarray, length: int
    ) -> dict[str, torch.Tensor]:
        """Frames of windows, from the flat array or, beyond the limit, from the video."""
        clips = {}
        for camera, frames in self._frames.items():
            size = self.store.info.cameras[camera]
            clip = torch.empty((len(episodes), length, *size, 3), dtype=torch.uint8)
            for out, episode, start in zip(
                clip.numpy(), episodes.tolist(), starts.tolist(), strict=True
            ):
                if self._decoded[episode]:
                    row = self.offsets[episode] + start
                    out[...] = frames[row : row + length]
                else:
                    source = video_of(self.store, self.names[episode], camera)
                    with repairable(self.store.path):
                        video.decode(source, start, start + length, size=size, out=out)
            clips[camera] = clip
        return clips


def _gather(column: np.ndarray, rows: np.ndarray, length: int) -> torch.Tensor:
    """Copies `column[row : row + length]` of every row into one tensor `[B, T, ...]`."""
    index = rows[:, None] + np.arange(length)
    return torch.from_numpy(np.take(column, index, axis=0))
