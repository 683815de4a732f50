"""The real environment as a reference row: the same moments, re-entered and played again.

What another episode's actions do to the real game bounds what they can do to a
dream: things that do not listen to the player (an enemy on patrol) move all the
same. So the best possible headroom share is not 1 but what is measured here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv, Snapshot
from worldloom.errors import WorldloomError
from worldloom.evaluate.windows import Window

MOST_STEPS = 30_000
"""Steps that re-entering all windows may cost; more is refused, to keep evaluation short."""


@dataclass(frozen=True)
class Moment:
    """How to re-enter an episode.

    Args:
      seed: of the environment, where there is no state.
      state: the environment's exact state, None where only the seed is known.
      actions: component name to `[S, ...]`, that lead to the end of the context.
      frame: `[H, W, 3]` the recorded frame there, which must come out again.
    """

    seed: int | None
    state: bytes | None
    actions: dict[str, np.ndarray]
    frame: np.ndarray


def replay(
    store: Store,
    chosen: Sequence[Window],
    futures: Sequence[dict[str, np.ndarray]],
    *,
    camera: str,
) -> list[np.ndarray] | str:
    """The real frames that follow each window's context under given actions.

    Args:
      store: that names the environment.
      chosen: N windows.
      futures: N actions, component name to `[T, ...]`.
      camera: that is scored.

    Returns:
      N arrays `[T, H, W, 3]` uint8, or the reason why the environment cannot
      be re-entered. An episode that ends keeps its last frame.
    """
    if camera != "main":
        return "a real environment has one camera, `main`"
    try:
        return [
            _play(env, frame, future)
            for (env, frame), future in zip(entered(store, chosen), futures, strict=True)
        ]
    except WorldloomError as error:
        return error.message


def entered(store: Store, chosen: Sequence[Window]) -> Iterator[tuple[PixelEnv, np.ndarray]]:
    """The real environment at the end of each window's context, one after the other.

    Args:
      store: that names the environment.
      chosen: windows of its episodes.

    Returns:
      For each window the environment, which is the same every time, and its frame there
      `[H, W, 3]`. It may be stepped until the next one is asked for.

    Raises:
      WorldloomError: the environment cannot be made, cannot be re-entered, or shows
        something else than what was recorded.
    """
    hint = "evaluate without the real environment"
    if not store.info.env:
        raise WorldloomError("the store names no environment", hint)
    moments = [_moment(store, window, "main") for window in chosen]
    steps = sum(len(next(iter(m.actions.values()))) for m in moments)
    if steps > MOST_STEPS:
        raise WorldloomError(
            f"re-entering the recordings takes {steps} steps, more than {MOST_STEPS}", hint
        )
    env = PixelEnv(Setup.from_json(store.info.env, store.info.env_kwargs))
    try:
        for moment in moments:
            if not _enter(env, moment):
                raise WorldloomError("the environment does not repeat its recordings exactly", hint)
            yield env, moment.frame
    finally:
        env.close()


def _moment(store: Store, window: Window, camera: str) -> Moment:
    """The way from the last snapshot before the end of a window's context, or from the seed."""
    stop = window.start + window.context
    past = store.read(window.episode, 0, stop)
    kept = [t for t in past.snapshots if t < stop]
    first = max(kept, default=0)
    state = Snapshot.unpack(past.snapshots[first]).state if kept else None
    actions = {name: values[first + 1 :] for name, values in past.actions.items()}
    return Moment(past.seed, state, actions, past.frames[camera][-1])


def _enter(env: PixelEnv, moment: Moment) -> bool:
    """Brings the environment to a moment; False where another frame comes out."""
    if moment.state is None and moment.seed is None:
        return False
    frame = env.reset(moment.seed).frame
    if moment.state is not None:
        env.load(moment.state)
    length = len(next(iter(moment.actions.values())))
    for t in range(length):
        frame = env.step({name: values[t] for name, values in moment.actions.items()}).frame
    if length == 0 and moment.state is not None:
        return True  # the snapshot itself, whose frame emulators do not draw again
    return bool((frame == moment.frame).all())


def _play(env: PixelEnv, frame: np.ndarray, future: dict[str, np.ndarray]) -> np.ndarray:
    """Plays on from where the environment is, `[T, H, W, 3]`."""
    frames, over = [], False
    for t in range(len(next(iter(future.values())))):
        if not over:
            outcome = env.step({name: values[t] for name, values in future.items()})
            frame, over = outcome.frame, outcome.terminated or outcome.truncated
        frames.append(frame)
    return np.stack(frames)


def future_of(episode: Episode, context: int, length: int) -> dict[str, np.ndarray]:
    """The actions of a window after its context, component name to `[length, ...]`."""
    return {name: v[context : context + length] for name, v in episode.actions.items()}
