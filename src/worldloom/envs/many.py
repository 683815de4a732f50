"""Many games of one kind as one of gymnasium's vector environments.

A row that ended is reset by the step that follows, whose action it ignores and
whose reward is 0: gymnasium's next-step autoreset. What a step is each kind says itself.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from worldloom.errors import WorldloomError


class Games(Protocol):
    """Games that are stepped as arrays.

    Attributes:
      games: `[N]` records, with the `seed` of each.
    """

    games: np.ndarray

    def reset(self, rows: Sequence[int] | np.ndarray, seeds: Sequence[int] | np.ndarray) -> None:
        """Begins the games of `seeds` in `rows`."""
        ...

    def render(self) -> np.ndarray:
        """`[N, H, W, 3]` uint8."""
        ...

    def info(self) -> dict[str, np.ndarray]:
        """The ground truth, `[N, ...]` each."""
        ...


class Many(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` games in one process, stepped as arrays.

    Row i of `reset(seed=s)` is the game of seed s + i, the same as the single environment
    plays it; a row's later games follow from its first. `infos` is the ground truth of the
    games' `info` and, for each of its names, a mask `_name` that is all true.

    Args:
      games: N of them.
      frame: (height, width) of a picture.
      action: of one game.
      render_mode: "rgb_array".
    """

    metadata = {"render_modes": ["rgb_array"], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self, games: Games, frame: tuple[int, int], action: gymnasium.Space[Any], render_mode: str
    ) -> None:
        self.num_envs, self.render_mode = len(games.games), render_mode
        self._games = games
        self.single_observation_space = gymnasium.spaces.Box(0, 255, (*frame, 3), np.uint8)
        self.single_action_space = action
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._ended = np.zeros(self.num_envs, bool)
        self._begun = False

    @abstractmethod
    def _play(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One step of all games: reward, whether it terminated, whether it was truncated `[N]`."""

    @abstractmethod
    def _follows(self, seed: int) -> int:
        """The seed of the game after that of `seed`."""

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
        self._games.reset(range(self.num_envs), seeds)
        self._ended[:] = False
        self._begun = True
        return self._games.render(), self._infos()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        if not self._begun:
            kind = type(self).__name__.removesuffix("Vector")
            raise WorldloomError(f"{kind} was used before its first reset", "call reset() first")
        over = np.flatnonzero(self._ended)
        reward, dead, late = self._play(actions)
        if over.size:
            self._games.reset(over, [self._next(row) for row in over.tolist()])
            reward[over], dead[over], late[over] = 0, False, False
        self._ended = dead | late
        return self._games.render(), reward.astype(np.float64), dead, late, self._infos()

    def render(self) -> tuple[np.ndarray, ...]:
        """The pictures of all rows."""
        return tuple(self._games.render())

    def _next(self, row: int) -> int:
        """The seed of a row's next game."""
        if not self._begun:
            return int(self.np_random.integers(2**31))
        return self._follows(int(self._games.games["seed"][row]))

    def _infos(self) -> dict[str, Any]:
        truth = self._games.info()
        everywhere = np.ones(self.num_envs, bool)
        return {**truth, **{f"_{name}": everywhere for name in truth}}
