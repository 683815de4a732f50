"""The way back into a recorded episode: the environment as it was at one of its frames.

From the last exact snapshot before that frame, or else from the episode's seed, along the
recorded actions. Whoever gets there compares pictures: an environment that does not repeat
its recordings exactly is found out.
"""

from dataclasses import dataclass

import numpy as np

from worldloom.data.store import Store
from worldloom.envs.pixel import PixelEnv, Snapshot


@dataclass(frozen=True)
class Moment:
    """How to re-enter an episode.

    Args:
      seed: of the environment, where there is no snapshot.
      snapshot: the environment's exact state, packed; None where only the seed is known.
      actions: component name to `[S, ...]`, that lead from there to the moment.
      frame: `[H, W, 3]` the recorded frame there, which must come out again.
    """

    seed: int | None
    snapshot: bytes | None
    actions: dict[str, np.ndarray]
    frame: np.ndarray

    def __len__(self) -> int:
        """Steps on the way."""
        return len(next(iter(self.actions.values())))


def moment_at(store: Store, episode: str, index: int, *, camera: str = "main") -> Moment:
    """The way to frame `index` of an episode.

    Args:
      store: that holds it.
      episode: its name.
      index: of the frame.
      camera: whose frame must come out.
    """
    past = store.read(episode, 0, index + 1)
    kept = [t for t in past.snapshots if t <= index]
    first = max(kept, default=0)
    snapshot = past.snapshots[first] if kept else None
    actions = {name: values[first + 1 :] for name, values in past.actions.items()}
    return Moment(past.seed, snapshot, actions, past.frames[camera][-1])


def enter(env: PixelEnv, moment: Moment) -> bool:
    """Brings the environment to a moment; False where another frame comes out."""
    if moment.snapshot is None and moment.seed is None:
        return False
    frame = env.reset(moment.seed).frame
    if moment.snapshot is not None:
        env.load(Snapshot.unpack(moment.snapshot).state)
    for t in range(len(moment)):
        frame = env.step({name: values[t] for name, values in moment.actions.items()}).frame
    if len(moment) == 0 and moment.snapshot is not None:
        return True  # the snapshot itself, whose frame emulators do not draw again
    return np.array_equal(frame, moment.frame)
