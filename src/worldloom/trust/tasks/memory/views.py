"""Views that come back in a recording, and views that are new; and who remembers them.

A view is a frame averaged to a few cells. It comes back where it was seen, then for a while
nothing like it, and then it is there again; it is new where nothing like it was seen before.
Nobody has to know what a place is.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from worldloom.actions import Action
from worldloom.data.store import Store
from worldloom.trust.recorded import Insider, Moment, camera_of

SIDE = 8  # cells of a view, each way
NEAR, FAR = 6.0, 18.0
"""Root mean square levels below which views are the same, and above which they are different."""
AHEAD = 4
"""Frames that are imagined; the last is the one that is asked about."""
SHORT = 8
"""Frames of the short past: in none of them is the view that is asked about."""


def view(frames: np.ndarray) -> np.ndarray:
    """`[T, SIDE * SIDE * 3]` float32 of frames `[T, H, W, 3]` uint8."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    return functional.adaptive_avg_pool2d(pixels, SIDE).flatten(1).numpy()


def far(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Root mean square difference of views `[..., F]`."""
    return np.sqrt(np.square(one - other).mean(-1))


def found(views: np.ndarray, past: int) -> Mapping[str, list[int]]:
    """Where views come back and where they are new.

    Args:
      views: `[T, F]` of an episode.
      past: frames of the long past.

    Returns:
      `back` and `new`: frames that may be asked about, the last of `AHEAD` that are imagined
      after a long past.
    """
    places: dict[str, list[int]] = {"back": [], "new": []}
    for last in range(past + AHEAD - 1, len(views)):
        now = last - AHEAD + 1  # the first that is imagined
        away = far(views[now - past : now], views[last])
        if (away[-SHORT:] < FAR).any():
            continue
        if (away[:-SHORT] <= NEAR).any():
            places["back"].append(last)
        elif (away >= FAR).all():
            places["new"].append(last)
    return places


@lru_cache(maxsize=4096)
def places_of(store: Store, episode: str, past: int) -> Mapping[str, list[int]]:
    """Those of a recorded episode."""
    frames = store.read(episode, 0, store.row(episode).length).frames[camera_of(store)]
    return found(view(frames), past)


class Reminded(Insider):
    """Draws what was recorded where it saw its last view before; else its last frame for ever.

    Args:
      name: for people.
      window: frames of its past that it has; None has all.
      wrong: whether what it draws in place of what it saw is another moment's.
    """

    def __init__(self, name: str, *, window: int | None = None, wrong: bool = False) -> None:
        self.name, self.window, self.wrong = name, window, wrong

    def film(self, moments: Sequence[Moment], actions: Action) -> np.ndarray:
        """What it remembers."""
        del actions
        return np.stack([self._drawn(moment, moments[i - 1]) for i, moment in enumerate(moments)])

    def _drawn(self, moment: Moment, other: Moment) -> np.ndarray:
        past = moment.frames[: moment.window.context]
        kept = past if self.window is None else past[-self.window :]
        if (far(view(kept), view(moment.after[-1:])) <= NEAR).any():
            return other.after if self.wrong else moment.after
        return np.repeat(past[-1:], len(moment.after), 0)
