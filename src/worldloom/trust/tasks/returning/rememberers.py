"""Simulators of trips that remember everything, or only so much: ceiling, nulls and faults.

Knows trips and how they are drawn; no task.
"""

from collections.abc import Mapping

import numpy as np

from worldloom.envs import rooms_cast
from worldloom.trust.simulated import Simulated
from worldloom.trust.tasks.returning import curtain, trips


class Rememberer(Simulated):
    """Draws what comes, from what it was told and has not forgotten.

    What was last seen more than `window` steps ago is gone: rooms turn grey, a disc is lost.

    Args:
      name: for people.
      window: steps; None never forgets.
      freezes: whether it holds still what it does not see.
    """

    def __init__(self, name: str, *, window: int | None = None, freezes: bool = False) -> None:
        self.name, self.window, self.freezes = name, window, freezes

    def imagine(
        self, snapshot: bytes, actions: Mapping[str, np.ndarray], steps: int, seed: int
    ) -> np.ndarray:
        """What follows a trip so far, under keys `[steps, n]`."""
        keys = np.asarray(actions["keys"]).astype(np.int64)
        draw = self._walk if snapshot.startswith(b"rooms") else self._uncover
        return draw(snapshot, keys)

    def _walk(self, snapshot: bytes, keys: np.ndarray) -> np.ndarray:
        plan, pose = trips.unpack(snapshot)
        ahead = trips.walk(plan, tuple(pose[-1]), np.concatenate([0 * keys[:1], keys]))[1:]
        if self.window is None:
            return trips.picture(plan, ahead)
        kept = [self._kept(plan, pose, step + 1) for step in range(len(ahead))]
        return np.stack([trips.picture(k, p[None])[0] for k, p in zip(kept, ahead, strict=True)])

    def _kept(self, plan: np.ndarray, pose: np.ndarray, ahead: int) -> np.ndarray:
        """The plan in which rooms that were not seen lately have no colour."""
        recent = pose[max(0, len(pose) - 1 + ahead - (self.window or 0)) :]
        row = np.zeros(len(recent), np.int64)
        seen = rooms_cast.look(plan, row, *recent.T).columns().any(0)
        faded = plan.copy()
        faded["colour"][0, ~seen] = rooms_cast.PANEL
        return faded

    def _uncover(self, snapshot: bytes, keys: np.ndarray) -> np.ndarray:
        scene, time, start, seen = curtain.unpack(snapshot)
        frames = []
        for step in range(1, len(keys) + 1):
            now = scene.frozen(seen) if self.freezes else scene
            if self.window is not None and time + step - seen > self.window:
                now = now.without()
            place = np.array([curtain.after(keys[:step], start)])
            frames.append(now.draw(np.array([time + step]), place)[0])
        return np.stack(frames)


class Repeater(Simulated):
    """Shows one frame of its context for ever.

    Args:
      name: for people.
      frame: which: 0 the first, -1 the last.
    """

    def __init__(self, name: str, frame: int) -> None:
        self.name, self.frame = name, frame

    def imagine(
        self, snapshot: bytes, actions: Mapping[str, np.ndarray], steps: int, seed: int
    ) -> np.ndarray:
        """A repeater is asked for whole rollouts only."""
        raise NotImplementedError
