"""Rooms, an apartment seen in first person: walk through it and find every room.

One game behind gymnasium's interface. What happens is `rooms_core`; many games at
once are `rooms_vector`. Ten frames a second.
"""

from typing import Any

import gymnasium
import numpy as np

from worldloom.envs import rooms_cast, rooms_plan
from worldloom.envs.hop_level import next_seed
from worldloom.envs.rooms_core import KEYS, RoomsWorlds, checked
from worldloom.envs.rooms_player import Tourist, Wanderer
from worldloom.errors import WorldloomError

FPS = 10
STEPS = 500  # the time limit


class Rooms(gymnasium.Env[np.ndarray, np.ndarray]):
    """The game, registered as `worldloom/Rooms-v0`.

    Each room gives 1 when it is entered for the first time in an episode, but for the
    one in which it begins. Nothing terminates; after `steps` steps the game itself
    truncates (no wrapper does, so a snapshot holds the clock). `reset(seed=s)` opens
    apartment s; `reset()` goes on to the one that follows. `info` is the ground truth
    (`RoomsWorlds.info`); that of a reset also has the plan from above, `still/plan`
    `[37, 49, 3]`, see `rooms_plan.picture`.

    Args:
      steps: after which a game is truncated.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012
    key_names = KEYS
    players = {"random": Wanderer, "scripted": Tourist}  # noqa: RUF012

    def __init__(self, steps: int = STEPS, render_mode: str = "rgb_array") -> None:
        self.steps, self.render_mode = steps, render_mode
        shape = (rooms_cast.ROWS, rooms_cast.COLUMNS, 3)
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        self.action_space = gymnasium.spaces.MultiBinary(len(KEYS))
        self._worlds = RoomsWorlds(1, steps=steps)
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
        plan = rooms_plan.picture(self._worlds.plans[0], rooms_cast.COLOURS)
        return self.render(), {**self._truth(), "still/plan": plan}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._check()
        reward, late = self._worlds.step(checked([np.asarray(action).tolist()], 1))
        return self.render(), float(reward[0]), False, bool(late[0]), self._truth()

    def render(self) -> np.ndarray:  # type: ignore[override]
        self._check()
        return self._worlds.render()[0]

    def get_state(self) -> bytes:
        """The exact state, clock included."""
        self._check()
        return self._worlds.state(0)

    def set_state(self, state: bytes) -> None:
        """Goes to a state of `get_state`."""
        self._worlds.set_state(0, state)
        self._begun = True

    def _truth(self) -> dict[str, Any]:
        """The ground truth, numbers as numbers."""
        truth = self._worlds.info()
        return {k: v[0] if v.ndim > 1 else v[0].item() for k, v in truth.items()}

    def _check(self) -> None:
        if not self._begun:
            raise WorldloomError("Rooms was used before its first reset", "call reset() first")
