"""How far a step is from all that was learned from: in pixels, and in the world's own features.

Distance to what is known is doubt for nothing: what tells of its own accord has to do better.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from worldloom import seeding
from worldloom.actions import Action
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.trust import recorded
from worldloom.trust.probe import Probe, lacking
from worldloom.trust.recorded import CONTEXT, Moment
from worldloom.trust.task import NotApplicable

SIDE = 8  # to which pictures are averaged before they are compared
EACH = 20  # transitions of one training episode
ROWS = 12  # training episodes that are observed together
READS = frozenset({"features", "continue"})
"""Without which a probe is asked for no features of single steps."""


@dataclass(frozen=True)
class Bank:
    """What was learned from, to be compared with.

    Args:
      keys: `[M, F]`.
      mean: `[F]` that was taken from them.
      spread: `[F]` by which they were divided.
    """

    keys: np.ndarray
    mean: np.ndarray | float = 0.0
    spread: np.ndarray | float = 1.0

    def far(self, keys: np.ndarray) -> np.ndarray:
        """`[B, T]` distance of keys `[B, T, F]` to the nearest."""
        keys = (keys - self.mean) / self.spread
        squares = np.square(keys).sum(-1)[..., None] + np.square(self.keys).sum(-1)
        return np.sqrt(np.maximum((squares - 2 * keys @ self.keys.T).min(-1), 0))


@lru_cache(maxsize=2)
def seen(store: Store, size: int, seed: int) -> Bank:
    """Transitions of training episodes as pictures, at most about `size`."""
    rng = seeding.rng(seed, "transitions")
    names = [name for name in store.split("train") if store.row(name).length > 1]
    if not names:
        raise NotApplicable(
            f"`{store.path}` has no training episodes to be far from",
            "record some that are not held out",
        )
    camera, found = recorded.camera_of(store), []
    for i in rng.permutation(len(names))[: -(-size // EACH)]:
        start = int(rng.integers(max(1, store.row(names[i]).length - EACH)))
        stop = min(store.row(names[i]).length, start + EACH + 1)
        frames = store.read(names[i], start, stop).frames[camera][None]
        found.append(pictures(frames[:, 0], frames[:, 1:])[0])
    return Bank(np.concatenate(found))


def held(probe: Probe, store: Store, size: int, seed: int) -> Bank | None:
    """The same as a world holds it, at most about `size`; None where it has no features.

    Each number is of mean 0 and spread 1 over the bank, so that none of them drowns the others.
    """
    need = CONTEXT + EACH
    names = [name for name in store.split("train") if store.row(name).length >= need]
    if lacking(probe, READS) or not names:
        return None
    rng = seeding.rng(seed, "features")
    chosen = [names[i] for i in rng.permutation(len(names))[: -(-size // EACH)]]
    starts = [int(rng.integers(store.row(name).length - need + 1)) for name in chosen]
    found = []
    for at in range(0, len(chosen), ROWS):
        some = zip(chosen[at : at + ROWS], starts[at : at + ROWS], strict=True)
        found.append(_lived(probe, [recorded.moment(store, *where, EACH) for where in some]))
    keys = np.concatenate(found)
    mean, spread = keys.mean(0), keys.std(0) + 1e-6
    return Bank((keys - mean) / spread, mean, spread)


def _lived(probe: Probe, moments: Sequence[Moment]) -> np.ndarray:
    """`[B * T, D]` what a world holds while it sees what followed some moments."""
    state, after = probe.observe(recorded.begin(moments)), np.stack([m.after for m in moments])
    actions = recorded.actions_of(moments, CONTEXT, CONTEXT + EACH)
    return features(probe, state, after, actions, moments[0].camera).reshape(
        len(moments) * EACH, -1
    )


def features(
    probe: Probe, state: Any, frames: np.ndarray, actions: Action, camera: str
) -> np.ndarray:
    """`[B, T, D]` what a world holds after each of the frames `[B, T, H, W, 3]`."""
    shown, found = torch.from_numpy(np.ascontiguousarray(frames)), []
    for t in range(frames.shape[1]):
        one = slice(t, t + 1)
        state = probe.observe(Clip(frames={camera: shown[:, one]}, actions=actions[:, one]), state)
        found.append(_plain(probe.features(state)))
    return np.stack(found, 1)


def _plain(value: Tensor) -> np.ndarray:
    return value.float().cpu().numpy()


def pictures(before: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """`[B, T, F]` what steps are compared by in pixels: two small pictures, before and after.

    Args:
      before: `[B, H, W, 3]` ahead of the first.
      frames: `[B, T, H, W, 3]`.
    """
    whole = torch.from_numpy(np.concatenate([before[:, None], frames], 1)).float() / 255
    small = functional.adaptive_avg_pool2d(whole.flatten(0, 1).permute(0, 3, 1, 2), SIDE)
    flat = small.flatten(1).unflatten(0, whole.shape[:2]).numpy()
    return np.concatenate([flat[:, :-1], flat[:, 1:]], -1)
