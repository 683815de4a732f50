"""A game of one square that is pushed left and right: recordings in a moment, read in a moment."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from worldloom.agents.choose import choose
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Task, Verdict

SIDE, SQUARE, PACE = 24, 10, 1
NAME = "Slider-v0"


class Slider(gymnasium.Env):
    """The square comes in on one side where it leaves on the other; nothing else moves."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    action_space = gymnasium.spaces.Discrete(3)
    observation_space = gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.x, self.shade = (int(self.np_random.integers(top)) for top in (SIDE, 80))
        return self._look(), {}

    def step(self, action: Any) -> Any:
        self.x = (self.x + PACE * (0, -1, 1)[int(action)]) % SIDE
        return self._look(), 0.0, False, False, {}

    def _look(self) -> np.ndarray:
        frame = np.full((SIDE, SIDE, 3), self.shade, np.uint8)
        columns = (self.x + np.arange(SQUARE)) % SIDE
        frame[8 : 8 + SQUARE, columns] = (200, 220, 240)
        return frame


def slider_store(
    path: Path, *, episodes: int = 24, frames: int = 60, heldout: float = 0.5
) -> Store:
    """Random play, half of it held out."""
    if NAME not in gymnasium.registry:
        gymnasium.register(NAME, entry_point=Slider)
    keep = Keep(max_frames=frames, heldout=heldout)
    record(NAME, path, episodes=episodes, policies=choose("random"), keep=keep, workers=0)
    return Store.open(path)


def verdict_of(task: Task, probe: Any, setting: Setting) -> Verdict:
    found = sit(task, probe, setting).verdict
    assert found is not None
    return found


def store_of(setting: Setting) -> Store:
    assert setting.store is not None
    return setting.store
