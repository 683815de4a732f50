"""Lets a world run free from real contexts, under several futures at once, with paired noise.

Knows worlds and clips; no store, no metric. All futures of a window share its
context and its seed, so whatever differs between them is due to the actions.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.world import World, require, require_start


def to_tensors(action: Action) -> Action:
    """The same actions as tensors."""
    return action.map(torch.as_tensor)


def repeat_clip(clip: Clip, times: int) -> Clip:
    """The whole batch `times` over: row b of copy k is row `k * B + b`.

    Carries what a world may start from: frames, actions, snapshots, seeds.
    """
    tile = lambda x: torch.cat([x] * times)  # noqa: E731
    return Clip(
        frames={camera: tile(frames) for camera, frames in clip.frames.items()},
        actions=None if clip.actions is None else clip.actions.map(tile),
        snapshots=None if clip.snapshots is None else clip.snapshots * times,
        env_seeds=None if clip.env_seeds is None else tile(clip.env_seeds),
    )


@torch.no_grad()
def roll(
    world: World,
    clip: Clip,
    futures: Sequence[Action],
    seeds: Tensor,
    *,
    camera: str,
    beyond: int = 0,
) -> list[np.ndarray]:
    """Open-loop rollouts of one batch of contexts under each of several futures.

    Args:
      world: that can `render`.
      clip: B contexts.
      futures: actions `[B, T, ...]` each; the first may be longer by `beyond`.
      seeds: `[B]` int64, the same for every future.
      camera: that is looked through.
      beyond: steps that only the first future goes on for.

    Returns:
      For each future `[B, T, H, W, 3]` uint8 (the first `[B, T + beyond, ...]`).
    """
    require(world, "render", "an open-loop rollout")
    require_start(world, clip)
    rows, copies = len(seeds), len(futures)
    length = futures[-1].known.shape[1] if copies > 1 else futures[0].known.shape[1] - beyond
    actions = _joined(futures, length)
    state, _ = world.start(repeat_clip(clip, copies), seeds.repeat(copies))
    frames = []
    for t in range(length):
        state, _ = world.step(state, actions[:, t])
        frames.append(_render(world, state, camera))
    together = np.stack(frames, 1)
    split = [together[k * rows : (k + 1) * rows] for k in range(copies)]
    if beyond:
        state, rest = state[slice(0, rows)], []
        for t in range(length, length + beyond):
            state, _ = world.step(state, futures[0][:, t])
            rest.append(_render(world, state, camera))
        split[0] = np.concatenate([split[0], np.stack(rest, 1)], 1)
    return split


def _joined(futures: Sequence[Action], length: int) -> Action:
    """The first `length` actions of all futures in one batch `[K * B, length, ...]`."""
    cut = [future[:, :length] for future in futures]
    values: Mapping[str, Tensor] = {
        name: torch.cat([future.values[name] for future in cut]) for name in cut[0].values
    }
    return Action(dict(values), torch.cat([future.known for future in cut]))


def _render(world: World, state: object, camera: str) -> np.ndarray:
    """A copy of what a camera sees `[B, H, W, 3]` uint8."""
    picture = world.render(state, camera)  # type: ignore[attr-defined]
    return torch.as_tensor(picture).cpu().numpy().copy()


def strangers(windows: int, *, seed: int) -> np.ndarray:
    """For each window another one whose actions it borrows, `[windows]`; nobody keeps its own."""
    order = torch.randperm(windows, generator=torch.Generator().manual_seed(seed)).numpy()
    other = np.empty(windows, np.int64)
    other[order] = np.roll(order, 1)
    return other
