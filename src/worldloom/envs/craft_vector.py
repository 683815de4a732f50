"""Many games of Craft as one of gymnasium's vector environments."""

import gymnasium
import numpy as np

from worldloom.envs.craft import FPS, STEPS
from worldloom.envs.craft_core import CraftWorlds, checked
from worldloom.envs.craft_dice import next_seed
from worldloom.envs.craft_draw import PIXELS
from worldloom.envs.craft_rules import ACTION_NAMES, ACTS
from worldloom.envs.many import Many


class CraftVector(Many):
    """`num_envs` games in one process, see `many.Many`. Death terminates.

    Args:
      num_envs: rows.
      steps: after which a game is truncated.

    Attributes:
      worlds: the games themselves, for snapshots and maps.
    """

    metadata = {**Many.metadata, "render_fps": FPS}  # noqa: RUF012
    action_names = ACTION_NAMES

    def __init__(self, num_envs: int, steps: int = STEPS, render_mode: str = "rgb_array") -> None:
        self.worlds = CraftWorlds(num_envs, steps=steps)
        acts = gymnasium.spaces.Discrete(ACTS)
        super().__init__(self.worlds, (PIXELS, PIXELS), acts, render_mode)

    def _play(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.worlds.step(checked(actions, self.num_envs))

    def _follows(self, seed: int) -> int:
        return next_seed(seed)
