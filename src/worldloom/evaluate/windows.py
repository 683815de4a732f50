"""Which stretches of the held-out episodes a world is tried on, and whether it fits the store.

Knows stores and specs; not how a world is run nor how it is scored. The choice
is a function of the store and its arguments alone, so that two worlds evaluated
on one store meet the same moments.
"""

from dataclasses import dataclass

import numpy as np

from worldloom.actions import ActionSpec, Binary, Categorical
from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError
from worldloom.world import World

GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Window:
    """A stretch of one episode: `context` frames to start from, then `length` to be predicted.

    Args:
      episode: its name in the store.
      start: index of the first context frame.
      context: frames that the world is shown.
      length: frames that follow and are known.
    """

    episode: str
    start: int
    context: int
    length: int


def camera_of(world: World) -> str:
    """The camera that is scored: `main`, or the first one."""
    cameras = world.spec.cameras
    return "main" if "main" in cameras else next(iter(cameras))


def check_fit(world: World, store: Store) -> None:
    """Raises one clear sentence where a world cannot be tried on a store."""
    check_actions(world, store)
    camera = camera_of(world)
    have, want = store.info.cameras.get(camera), world.spec.cameras[camera]
    if have is None:
        raise WorldloomError(
            f"store `{store.path}` has cameras {sorted(store.info.cameras)}, "
            f"world `{world.spec.name}` was trained with `{camera}`",
            "give a store of the same cameras",
        )
    if tuple(have) != tuple(want):
        raise WorldloomError(
            f"store `{store.path}` has frames of {have[1]}x{have[0]}, "
            f"world `{world.spec.name}` was trained with {want[1]}x{want[0]}",
            "record the store at that size, or train a world on it",
        )


def check_actions(world: World, store: Store) -> None:
    """Raises one clear sentence where a store has other actions than a world."""
    have, want = store.info.action, world.spec.action
    if have == want:
        return
    counts = action_count(have), action_count(want)
    if counts[0] != counts[1]:
        fact = (
            f"store `{store.path}` has {counts[0]} actions, "
            f"world `{world.spec.name}` was trained with {counts[1]}"
        )
    else:
        fact = (
            f"store `{store.path}` has actions {have.describe()}, "
            f"world `{world.spec.name}` was trained with {want.describe()}"
        )
    raise WorldloomError(fact, f"give another world, or train one on {store.path}")


def action_count(spec: ActionSpec) -> int:
    """How many actions there are: choices, keys and continuous axes, added up."""
    return sum(
        c.n if isinstance(c, Categorical) else len(c.keys) if isinstance(c, Binary) else len(c.low)
        for c in spec.components
    )


def choose(
    store: Store, *, episodes: int, context: int, horizon: int, longest: int
) -> list[Window]:
    """One window in each of up to `episodes` held-out episodes that are long enough.

    Episodes are taken at equal distances from all that fit. Starts are spread
    over each episode by steps of the golden ratio, so that beginnings, middles
    and ends all occur; where an episode leaves room for `longest` frames after
    the context, its window has them.

    Args:
      store: that holds them.
      episodes: how many are wanted.
      context: frames a world is shown.
      horizon: frames that must follow the context.
      longest: frames that should follow where there are that many.

    Raises:
      WorldloomError: the store is empty, has nothing held out, or fewer than
        two episodes that are long enough.
    """
    if not len(store):
        raise WorldloomError(
            f"store `{store.path}` is empty", f"worldloom record ENV {store.path} --episodes 100"
        )
    names = store.split("heldout")
    if not names:
        raise WorldloomError(
            f"store `{store.path}` has {len(store)} episodes and none held out",
            "record more episodes, or a store with a larger held-out share",
        )
    need = context + horizon
    fitting = [name for name in names if store.row(name).length >= need]
    if len(fitting) < 2:
        raise WorldloomError(
            f"store `{store.path}` has {len(fitting)} held-out episodes of at least {need} frames "
            f"({context} context, {horizon} predicted), evaluation needs 2",
            "record more episodes, or ask for shorter horizons",
        )
    count = min(episodes, len(fitting))
    picked = [fitting[i * len(fitting) // count] for i in range(count)]
    return [
        _window(name, store.row(name).length, i, context=context, horizon=horizon, longest=longest)
        for i, name in enumerate(picked)
    ]


def _window(
    name: str, frames: int, index: int, *, context: int, horizon: int, longest: int
) -> Window:
    wanted = longest if frames >= context + longest else horizon
    room = frames - context - wanted
    start = int((index * GOLDEN % 1) * (room + 1))
    return Window(name, start, context, min(longest, frames - start - context))


def read(store: Store, window: Window) -> Episode:
    """The frames of a window, context included, with everything the store knows of them."""
    stop = window.start + window.context + window.length
    return store.read(window.episode, window.start, stop)


def background(store: Store, name: str, camera: str) -> tuple[np.ndarray, bool]:
    """The background plate of an episode `[H, W, 3]` uint8, and whether it is exact.

    Exact where the recording has a still named `background`. Otherwise it is
    the median of each pixel over the episode, into which a thing melts that
    never moves.
    """
    head = store.read(name, 0, 1)
    if "background" in head.stills:
        return head.stills["background"], True
    frames = store.read(name).frames[camera]
    if len(frames) > MEDIAN_FRAMES:
        frames = frames[np.linspace(0, len(frames) - 1, MEDIAN_FRAMES).astype(int)]
    return np.median(frames, axis=0).astype(np.uint8), False


MEDIAN_FRAMES = 101
"""Enough frames for a median, spread over an episode of any length."""
