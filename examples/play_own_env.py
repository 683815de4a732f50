"""Play an environment of your own in the browser: anything with gymnasium's interface.

python examples/play_own_env.py
"""

from typing import Any, ClassVar

import gymnasium
import numpy as np

from worldloom import GymWorld, serve
from worldloom.play.session import from_seed


class Drift(gymnasium.Env):
    """Keep the ball away from the walls; it drifts, two keys push."""

    metadata: ClassVar = {"render_modes": [], "render_fps": 20}
    key_names = ("left", "right")  # which keys of the keyboard the two switches are

    def __init__(self, size: int = 48) -> None:
        self.size = size
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.MultiBinary(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.x, self.v = self.size / 2, self.np_random.uniform(-1, 1)
        return self._look(), {}

    def step(self, action: np.ndarray):
        self.v += 0.2 * (int(action[1]) - int(action[0])) + self.np_random.normal(0, 0.05)
        self.x += self.v
        crashed = not 2 < self.x < self.size - 2
        return self._look(), -1.0 if crashed else 0.1, crashed, False, {}

    def _look(self) -> np.ndarray:
        frame = np.full((self.size, self.size, 3), 24, np.uint8)
        x = int(np.clip(self.x, 2, self.size - 2))
        frame[self.size // 2 - 2 : self.size // 2 + 2, x - 2 : x + 2] = (250, 190, 60)
        return frame


def world() -> GymWorld:
    """The environment behind the contract of worlds."""
    gymnasium.register("Drift-v0", Drift)
    return GymWorld("Drift-v0")


if __name__ == "__main__":
    serve(world(), from_seed)
