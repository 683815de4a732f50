"""Many games of Rooms as one of gymnasium's vector environments."""

import gymnasium
import numpy as np

from worldloom.envs.hop_level import next_seed
from worldloom.envs.many import Many
from worldloom.envs.rooms import FPS, STEPS
from worldloom.envs.rooms_cast import COLUMNS, ROWS
from worldloom.envs.rooms_core import KEYS, RoomsWorlds, checked


class RoomsVector(Many):
    """`num_envs` games in one process, see `many.Many`. Nothing terminates.

    Args:
      num_envs: rows.
      steps: after which a game is truncated.

    Attributes:
      worlds: the games themselves, for snapshots and plans.
    """

    metadata = {**Many.metadata, "render_fps": FPS}  # noqa: RUF012
    key_names = KEYS

    def __init__(self, num_envs: int, steps: int = STEPS, render_mode: str = "rgb_array") -> None:
        self.worlds = RoomsWorlds(num_envs, steps=steps)
        keys = gymnasium.spaces.MultiBinary(len(KEYS))
        super().__init__(self.worlds, (ROWS, COLUMNS), keys, render_mode)

    def _play(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        reward, late = self.worlds.step(checked(actions, self.num_envs))
        return reward, np.zeros(self.num_envs, bool), late

    def _follows(self, seed: int) -> int:
        return next_seed(seed)
