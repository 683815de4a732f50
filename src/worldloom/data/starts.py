"""Where worlds are started from: the middle of recordings, given contexts, or plain seeds.

A source of starts is a function of a number, as it is for play; here such starts become the
batch that a world takes. Knows stores and clips; not what is done with a start.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data.store import Split, Store
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.seeding import rng
from worldloom.world import WorldSpec

Starts = Callable[[int], Clip]
"""A number below 2**31 to a clip of one row, the same clip for the same number."""


def recorded(store: Store, *, context: int = 8, split: Split = "train") -> Starts:
    """Starts in the middle of recordings: every stretch of an episode is as likely.

    A stretch never holds an episode's last frame, after which nothing follows.

    Args:
      store: that holds them.
      context: frames of each.
      split: of the episodes.
    """
    names = [name for name in store.split(split) if store.row(name).length > context]
    if not names:
        raise WorldloomError(
            f"store `{store.path}` has no `{split}` episode of more than {context} frames",
            "record longer episodes, or begin with less context",
        )
    ends = np.cumsum([store.row(name).length - context for name in names])

    def start(number: int) -> Clip:
        place = int(rng(number, "stretch").integers(ends[-1]))
        episode = int(np.searchsorted(ends, place, side="right"))
        last = store.row(names[episode]).length - 1
        first = last - context - (int(ends[episode]) - 1 - place)
        seen = store.read(names[episode], first, first + context)
        actions = Action(dict(seen.actions), seen.action_known)
        return Clip(
            frames={k: torch.from_numpy(v)[None] for k, v in seen.frames.items()},
            actions=actions.map(lambda array: torch.from_numpy(array)[None]),
        )

    return start


def starts_of(spec: WorldSpec, starts: Sequence[Clip] | Starts | None) -> Starts:
    """Starts for a world, however they are given.

    Args:
      spec: of the world.
      starts: a function already, clips of one row of which each is as likely, or None for the
        world's own environment seeds.
    """
    if callable(starts):
        return starts
    if starts:
        clips = tuple(starts)
        return lambda number: clips[number % len(clips)]
    if starts is None and "seed" in spec.starts:
        return lambda number: Clip(env_seeds=torch.tensor([number]))
    raise WorldloomError(
        f"`{spec.name}` starts from {sorted(spec.starts)}, and no starts are given",
        "give `worldloom.contexts(store)`, or `worldloom.imagine.recorded(store)`",
    )


def join(clips: Sequence[Clip]) -> Clip:
    """Clips of one row each as one batch.

    Raises:
      WorldloomError: they carry different things, or of different shapes.
    """
    kinds = {clip.carries() | ({"actions"} if clip.actions else set()) for clip in clips}
    if len(kinds) > 1:
        raise WorldloomError(
            f"starts of different kinds cannot be one batch: {sorted(map(sorted, kinds))}",
            "give starts that carry the same",
        )
    return Clip(**{f.name: _cat([getattr(clip, f.name) for clip in clips]) for f in fields(Clip)})


def _cat(parts: Sequence[Any]) -> Any:
    """One field of several clips: what is nested joins leaf by leaf."""
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, Action):
        values = _cat([part.values for part in parts])
        return Action(values, _cat([part.known for part in parts]))
    if isinstance(first, Mapping):
        return {name: _cat([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple):
        return tuple(item for part in parts for item in part)
    tensors = [torch.as_tensor(part) for part in parts]
    shapes = sorted({tuple(tensor.shape[1:]) for tensor in tensors})
    if len(shapes) > 1:
        raise WorldloomError(
            f"starts of different shapes cannot be one batch: {shapes}",
            "give contexts of one length and one size",
        )
    return torch.cat(tensors)
