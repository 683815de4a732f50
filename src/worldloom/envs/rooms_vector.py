"""Many games of Rooms as one of gymnasium's vector environments.

A row that ended is reset by the step that follows, whose action it ignores and
whose reward is 0: gymnasium's next-step autoreset.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from worldloom.envs.hop_level import next_seed
from worldloom.envs.rooms import FPS, STEPS
from worldloom.envs.rooms_cast import COLUMNS, ROWS
from worldloom.envs.rooms_core import KEYS, RoomsWorlds, checked
from worldloom.errors import WorldloomError


class RoomsVector(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` games in one process, stepped as arrays.

    Row i of `reset(seed=s)` is the game of seed s + i, the same as `Rooms` plays
    it; a row's later games follow from its first. `infos` is the ground truth of
    `RoomsWorlds.info` and, for each of its names, a mask `_name` that is all true.

    Args:
      num_envs: rows.
      steps: after which a game is truncated.

    Attributes:
      worlds: the games themselves, for snapshots and plans.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": FPS,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    key_names = KEYS

    def __init__(self, num_envs: int, steps: int = STEPS, render_mode: str = "rgb_array") -> None:
        self.num_envs, self.render_mode = num_envs, render_mode
        self.worlds = RoomsWorlds(num_envs, steps=steps)
        self.single_observation_space = gymnasium.spaces.Box(0, 255, (ROWS, COLUMNS, 3), np.uint8)
        self.single_action_space = gymnasium.spaces.MultiBinary(len(KEYS))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended = np.zeros(num_envs, bool)
        self._begun = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed if isinstance(seed, int) else None)
        given: Sequence[int | None]
        if seed is None or isinstance(seed, int):
            given = [None if seed is None else seed + row for row in range(self.num_envs)]
        else:
            given = seed
        if len(given) != self.num_envs:
            raise WorldloomError(
                f"{self.num_envs} games got {len(given)} seeds", "give one for each, or one"
            )
        seeds = [self._next(row) if s is None else int(s) for row, s in enumerate(given)]
        self.worlds.reset(range(self.num_envs), seeds)
        self._ended[:] = False
        self._begun = True
        return self.worlds.render(), self._infos()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        if not self._begun:
            raise WorldloomError("Rooms was used before its first reset", "call reset() first")
        over = np.flatnonzero(self._ended)
        reward, late = self.worlds.step(checked(actions, self.num_envs))
        if over.size:
            self.worlds.reset(over, [self._next(row) for row in over.tolist()])
            reward[over], late[over] = 0, False
        self._ended = late.copy()
        never = np.zeros(self.num_envs, bool)
        return self.worlds.render(), reward.astype(np.float64), never, late, self._infos()

    def render(self) -> tuple[np.ndarray, ...]:
        """The pictures of all rows."""
        return tuple(self.worlds.render())

    def _next(self, row: int) -> int:
        """The seed of a row's next game."""
        if not self._begun:
            return int(self.np_random.integers(2**31))
        return next_seed(int(self.worlds.games["seed"][row]))

    def _infos(self) -> dict[str, Any]:
        truth = self.worlds.info()
        everywhere = np.ones(self.num_envs, bool)
        return {**truth, **{f"_{name}": everywhere for name in truth}}
