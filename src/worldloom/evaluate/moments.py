"""Recorded moments at which a dream and the real environment begin together, and go on apart.

Knows stores and environments; no model. A moment is re-entered exactly (`envs.reenter`), or
it is said in words why it cannot be.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data.starts import join
from worldloom.data.store import Store
from worldloom.data.types import Clip, Episode
from worldloom.envs.make import Setup
from worldloom.envs.pixel import Outcome, PixelEnv, Snapshot
from worldloom.envs.reenter import Moment, enter, moment_at
from worldloom.errors import WorldloomError
from worldloom.seeding import rng


@dataclass(frozen=True)
class Entry:
    """A moment at which both begin.

    Args:
      episode: that it lies in.
      frame: index of the last frame that a world is shown.
      clip: of one row, that ends with this frame: frames, actions, and the environment's exact
        state where it gives any.
      moment: how the environment gets there.
    """

    episode: str
    frame: int
    clip: Clip
    moment: Moment


def setup_of(store: Store) -> Setup:
    """The environment that a store was recorded from."""
    if not store.info.env:
        raise WorldloomError(
            f"the recordings of `{store.path}` name no environment",
            "record them with `worldloom record`",
        )
    return Setup.from_json(store.info.env, store.info.env_kwargs)


def spread(
    store: Store, names: Sequence[str], count: int, *, context: int, seed: int
) -> list[tuple[str, int]]:
    """`count` places in recordings after which something follows, spread over the episodes.

    Args:
      store: that holds the episodes.
      names: of the episodes.
      count: how many places.
      context: frames that must be there, the place included.
      seed: of the choice.
    """
    long = [name for name in names if store.row(name).length > context]
    if not long:
        raise WorldloomError(
            f"store `{store.path}` has no episode of more than {context} frames",
            "record longer episodes",
        )
    order, places = rng(seed, "moments").permutation(len(long)), []
    for number in range(count):
        name = long[order[number % len(long)]]
        last = store.row(name).length - 1
        places.append((name, int(rng(seed, "moment", number).integers(context - 1, last))))
    return places


def entries(
    store: Store, places: Sequence[tuple[str, int]], *, context: int, task: str | None = None
) -> list[Entry] | str:
    """The moments at `places`, or in words why the environment cannot be brought back to them.

    Args:
      store: that holds the episodes.
      places: episode and frame index of each.
      context: frames that a world is shown.
      task: that is asked of an agent there.
    """
    if not store.info.env:
        return "the recordings name no environment"
    env = PixelEnv(setup_of(store))
    try:
        found: dict[tuple[str, int], Entry] = {}
        for name in dict.fromkeys(name for name, _ in places):
            episode, frames = store.read(name), sorted({t for own, t in places if own == name})
            if episode.seed is None and not any(t <= frames[0] for t in episode.snapshots):
                return "the recordings keep neither seeds nor exact states"
            for frame, moment in zip(frames, _ways(store, env, name, frames), strict=False):
                clip = _clip(episode, moment, (frame, context, task))
                found[name, frame] = Entry(name, frame, clip, moment)
            if (name, frames[-1]) not in found:
                return f"`{store.info.env}` does not repeat its recordings: another frame comes out"
        return [found[place] for place in places]
    finally:
        env.close()


def _ways(store: Store, env: PixelEnv, name: str, frames: Sequence[int]) -> Iterator[Moment]:
    """The ways to ascending frames of an episode, as far as the environment repeats them.

    Where it gives its exact states, the episode is gone through once, and each way is a state.
    """
    before: Moment | None = None
    for frame in frames:
        moment = moment_at(store, name, frame)
        on = None if before is None else _since(before, moment)
        if not (enter(env, moment) if on is None else _walk(env, on, moment.frame)):
            return
        if not env.exact:
            yield moment
            continue
        before = moment
        kept = Snapshot(env.save(), moment.frame).pack()
        nothing = {key: values[:0] for key, values in moment.actions.items()}
        yield replace(moment, snapshot=kept, actions=nothing)


def _since(before: Moment, moment: Moment) -> dict[str, np.ndarray] | None:
    """The actions from one moment to a later one, None where a newer exact state is nearer."""
    if before.snapshot != moment.snapshot:
        return None
    return {key: values[len(before) :] for key, values in moment.actions.items()}


def _walk(env: PixelEnv, actions: Mapping[str, np.ndarray], frame: np.ndarray) -> bool:
    """Goes on by `actions`, one or more; False where another frame comes out."""
    shown = None
    for t in range(len(next(iter(actions.values())))):
        shown = env.step({name: values[t] for name, values in actions.items()}).frame
    return shown is not None and np.array_equal(shown, frame)


def _clip(episode: Episode, moment: Moment, asked: tuple[int, int, str | None]) -> Clip:
    """What a world is shown of a moment."""
    frame, context, task = asked
    seen = slice(frame + 1 - context, frame + 1)
    actions = {name: torch.from_numpy(v[None, seen]) for name, v in episode.actions.items()}
    known = torch.from_numpy(np.asarray(episode.action_known)[None, seen])
    return Clip(
        frames={camera: torch.from_numpy(v[None, seen]) for camera, v in episode.frames.items()},
        actions=Action(actions, known),
        texts=None if task is None else (task,),
        snapshots=None if moment.snapshot is None or len(moment) else (moment.snapshot,),
    )


def together(chosen: Sequence[Entry]) -> Clip:
    """The clips of several moments as one batch."""
    return join([entry.clip for entry in chosen])


class Reality:
    """Rows of a real environment that are entered at moments and go forward from there.

    A row that has ended stays as it is, with reward 0.

    Attributes:
      now: what each row shows.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._envs: list[PixelEnv] = []
        self.now: list[Outcome] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for env in self._envs:
            env.close()

    def enter(self, chosen: Sequence[Entry]) -> None:
        """Brings a row to every moment.

        Raises:
          WorldloomError: another frame comes out than was recorded.
        """
        while len(self._envs) < len(chosen):
            self._envs.append(PixelEnv(self._setup))
        self.now = []
        for env, entry in zip(self._envs, chosen, strict=False):
            if not enter(env, entry.moment):
                raise WorldloomError(
                    f"`{self._setup.id}` does not repeat its recordings: another frame comes out",
                    "use the version that it was recorded with",
                )
            self.now.append(Outcome(entry.moment.frame, 0.0, False, False, {}))

    def step(self, values: Mapping[str, Any]) -> np.ndarray:
        """Does an action in every row; gives the rewards `[B]`.

        Args:
          values: component name to `[B, ...]`.
        """
        arrays = {name: np.asarray(value) for name, value in values.items()}
        rewards = np.zeros(len(self.now))
        for row, before in enumerate(self.now):
            if before.terminated or before.truncated:
                continue
            own = {name: array[row] for name, array in arrays.items()}
            self.now[row] = self._envs[row].step(own)
            rewards[row] = self.now[row].reward
        return rewards

    def live(self) -> np.ndarray:
        """Which rows have not ended, `[B]` bool."""
        return np.array([not (one.terminated or one.truncated) for one in self.now])

    def cut(self) -> np.ndarray:
        """Which rows were stopped by a limit that is no part of the game, `[B]` bool."""
        return np.array([one.truncated and not one.terminated for one in self.now])

    def clip(self) -> Clip:
        """The newest frames, and the exact states where there are any, for a world to observe."""
        frames = torch.from_numpy(np.stack([one.frame for one in self.now]))[:, None]
        return Clip(frames={"main": frames}, snapshots=self.snapshots())

    def snapshots(self) -> tuple[bytes, ...] | None:
        """The exact state of every row, None where the environment gives none."""
        pairs = list(zip(self._envs, self.now, strict=False))
        if not all(env.exact for env, _ in pairs):
            return None
        return tuple(
            Snapshot(env.save(), now.frame, now.terminated, now.truncated).pack()
            for env, now in pairs
        )
