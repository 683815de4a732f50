"""Craft, a small game of survival and crafting: wood, stone, iron, a diamond, before the night.

One game behind gymnasium's interface. What happens is `craft_core`; many games at
once are `craft_vector`. Ten frames a second.
"""

from typing import Any

import gymnasium
import numpy as np

from worldloom.envs import craft_draw
from worldloom.envs.craft_core import CraftWorlds, checked
from worldloom.envs.craft_dice import next_seed
from worldloom.envs.craft_player import PLAYERS
from worldloom.envs.craft_rules import ACTION_NAMES, ACTS
from worldloom.errors import WorldloomError

FPS = 10
STEPS = 500  # the time limit


def times(size: int) -> int:
    """How large a pixel is drawn at a size."""
    if size < craft_draw.PIXELS or size % craft_draw.PIXELS:
        raise WorldloomError(f"Craft has no size {size}", "choose 32 or a multiple of it")
    return size // craft_draw.PIXELS


class Craft(gymnasium.Env[np.ndarray, np.int64]):
    """The game, registered as `worldloom/Craft-v0`.

    Each of the twelve items gives 1 when it is obtained for the first time in an
    episode. Death terminates; after `steps` steps the game itself truncates (no
    wrapper does, so a snapshot holds the clock). `reset(seed=s)` opens game s;
    `reset()` goes on to the game that follows. `info` is the ground truth
    (`CraftWorlds.info`); that of a reset also has the whole map as a picture,
    `still/map` `[32, 32, 3]`, whose three channels all are the kinds of the cells.

    Args:
      size: side of the picture in pixels, a multiple of 32; larger ones are for people.
      steps: after which a game is truncated.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012
    action_names = ACTION_NAMES
    draws_at_size = True
    players = PLAYERS

    def __init__(self, size: int = 32, steps: int = STEPS, render_mode: str = "rgb_array") -> None:
        self._times = times(size)
        self.size, self.steps, self.render_mode = size, steps, render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(ACTS)
        self._worlds = CraftWorlds(1, steps=steps)
        self._begun = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is None and self._begun:
            seed = next_seed(int(self._worlds.games["seed"][0]))
        elif seed is None:
            seed = int(self.np_random.integers(2**31))
        self._worlds.reset([0], [seed])
        self._begun = True
        picture = np.repeat(self.map()[..., None], 3, -1)
        return self.render(), {**self._truth(), "still/map": picture}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._check()
        reward, dead, late = self._worlds.step(checked([int(action)], 1))
        return self.render(), float(reward[0]), bool(dead[0]), bool(late[0]), self._truth()

    def render(self) -> np.ndarray:  # type: ignore[override]
        self._check()
        return craft_draw.larger(self._worlds.render()[0], self._times)

    def get_state(self) -> bytes:
        """The exact state, clock included."""
        self._check()
        return self._worlds.state(0)

    def set_state(self, state: bytes) -> None:
        """Goes to a state of `get_state`, of any size."""
        self._worlds.set_state(0, state)
        self._begun = True

    def map(self) -> np.ndarray:
        """The kinds of the whole map, `[32, 32]` uint8, without the player."""
        self._check()
        return self._worlds.map(0)

    def _truth(self) -> dict[str, Any]:
        """The ground truth, numbers as numbers."""
        truth = self._worlds.info()
        return {k: v[0] if v.ndim > 1 else int(v[0]) for k, v in truth.items()}

    def _check(self) -> None:
        if not self._begun:
            raise WorldloomError("Craft was used before its first reset", "call reset() first")
