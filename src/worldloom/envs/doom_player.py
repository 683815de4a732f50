"""A player of Doom who explores: walks, looks around, turns away from walls.

Follows `worldloom.agents.policy.Policy` and reads from `info` how far it sees.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

FORWARD, BACK, LEFT, RIGHT = range(4)
NEAR = 6.0  # in units of `clear`: where walls begin to fill the view
STRIDE = 1.0  # units of the map; who walks and moves less a frame, stands at a wall


class Explorer:
    """Walks most of the time, turns as hands do: steadily for a while, then otherwise."""

    def reset(self) -> None:
        self._walk = _Held(np.zeros(4, np.uint8))
        self._turn = _Held(0.0)
        self._away = 0.0  # how it turns away from a wall, until it sees far again
        self._at = np.zeros(2, np.float32)

    def __call__(
        self, observation: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Keeps what it holds, or draws anew; at a wall it turns to where there is room."""
        at, (left, ahead, right) = info["position"], info["clear"]
        stuck = self._walk.value[FORWARD] and np.abs(at - self._at).sum() < STRIDE
        self._at = at
        if not self._walk.last():
            self._walk = _Held(_steps(rng), int(rng.integers(6, 25)))
        if not self._turn.last():
            self._turn = _Held(_look(rng), int(rng.integers(3, 16)))
        if self._away and ahead > 1.6 * NEAR:
            self._away = 0.0
        elif not self._away and (ahead < NEAR or stuck):
            side = np.sign(right - left) or rng.choice([-1, 1])
            self._away = float(side) * (1.0 if rng.random() < 0.6 else rng.uniform(0.4, 1.0))
            if rng.random() < 0.6:
                self._walk = _Held(np.zeros(4, np.uint8), int(rng.integers(4, 12)))
        return {
            "keys": self._walk.value.copy(),
            "mouse": np.array([self._away or self._turn.value], np.float32),
        }


class _Held:
    """Something that is held for some frames."""

    def __init__(self, value: Any, frames: int = 0) -> None:
        self.value, self.frames = value, frames

    def last(self) -> bool:
        """Counts a frame down; False where the time is over."""
        self.frames -= 1
        return self.frames > 0


def _steps(rng: np.random.Generator) -> np.ndarray:
    """The walking keys to hold next, `[4]` uint8."""
    keys = np.zeros(4, np.uint8)
    keys[rng.choice([FORWARD, BACK], p=[0.92, 0.08])] = rng.random() < 0.85
    keys[rng.choice([LEFT, RIGHT])] = rng.random() < 0.2
    return keys


def _look(rng: np.random.Generator) -> float:
    """How the mouse is moved next: often not at all, as by a key, or at any speed."""
    kind = rng.random()
    if kind < 0.4:
        return 0.0
    speed = 1.0 if kind < 0.7 else float(rng.uniform(0.1, 1.0))
    return speed * float(rng.choice([-1, 1]))
