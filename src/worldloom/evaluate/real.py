"""The real environment as a reference row: the same moments, re-entered and played again.

What another episode's actions do to the real game bounds what they can do to a
dream: things that do not listen to the player (an enemy on patrol) move all the
same. So the best possible headroom share is not 1 but what is measured here.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv
from worldloom.envs.reenter import enter, moment_at
from worldloom.errors import WorldloomError
from worldloom.evaluate.windows import Window

MOST_STEPS = 30_000
"""Steps that re-entering all windows may cost; more is refused, to keep evaluation short."""


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
    moments = [moment_at(store, w.episode, w.start + w.context - 1) for w in chosen]
    steps = sum(map(len, moments))
    if steps > MOST_STEPS:
        raise WorldloomError(
            f"re-entering the recordings takes {steps} steps, more than {MOST_STEPS}", hint
        )
    env = PixelEnv(Setup.from_json(store.info.env, store.info.env_kwargs))
    try:
        for moment in moments:
            if not enter(env, moment):
                raise WorldloomError("the environment does not repeat its recordings exactly", hint)
            yield env, moment.frame
    finally:
        env.close()


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
