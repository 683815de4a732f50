"""Crafter behind gymnasium's interface, seeded, with its inner truth as flat numbers."""

from collections import defaultdict
from typing import Any

import gymnasium
import numpy as np

from worldloom.envs.crafter_player import HEIGHT, PLAYERS, WIDTH
from worldloom.errors import WorldloomError, need


class Crafter(gymnasium.Env[np.ndarray, np.int64]):
    """The survival game of Hafner (2021), registered as `CrafterReward-v1`.

    The original draws its worlds from a seed that only its constructor takes,
    so each reset makes a new one, and picks creatures out of sets, whose order
    depends on where in memory they lie; here they are kept in order. Drawing
    uses the game's own dice at night, so `render` repeats the last picture.

    Args:
      size: side of the picture in pixels.
      length: steps after which an episode is truncated.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    draws_at_size = True
    players = PLAYERS

    def __init__(
        self, size: int = 64, length: int = 10_000, render_mode: str = "rgb_array"
    ) -> None:
        self._package = need("crafter", "crafter")
        self.size, self.length, self.render_mode = size, length, render_mode
        self._game = self._package.Env(size=(size, size), length=length, seed=0)
        self._frame: np.ndarray | None = None
        self.action_names = tuple(self._game.action_names)
        self.action_space = gymnasium.spaces.Discrete(len(self.action_names))
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        world = int(self.np_random.integers(2**31 - 1))
        self._game = self._package.Env(size=(self.size,) * 2, length=self.length, seed=world)
        self._frame = self._game.reset()
        _keep_in_order(self._game._world)
        return self.render(), self._truth()

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._frame, reward, done, info = self._game.step(int(action))
        dead = info["discount"] == 0
        return self.render(), float(reward), dead, bool(done and not dead), self._truth()

    def render(self) -> np.ndarray:  # type: ignore[override]
        if self._frame is None:
            raise WorldloomError("Crafter was drawn before its first reset", "call reset() first")
        return self._frame

    def _truth(self) -> dict[str, Any]:
        """Where the player is, what it sees, holds and has achieved; daylight 0 to 1.

        `view` `[9, 7]` is what is on the screen, in Crafter's numbers, 0 beyond the map.
        """
        player = self._game._player
        return {
            "player_position": np.asarray(player.pos, np.int32),
            "facing": np.asarray(player.facing, np.int8),
            "view": self._view(),
            "daylight": np.float32(self._game._world.daylight),
            "inventory": dict(player.inventory),
            "achievements": dict(player.achievements),
        }

    def _view(self) -> np.ndarray:
        whole = np.pad(self._game._sem_view().astype(np.uint8), WIDTH)
        x, y = np.subtract(self._game._player.pos, (WIDTH // 2, HEIGHT // 2)) + WIDTH
        return whole[x : x + WIDTH, y : y + HEIGHT]


class _InOrder(dict):
    """A set that is iterated in the order in which things were added."""

    def add(self, thing: Any) -> None:
        self[thing] = None

    def remove(self, thing: Any) -> None:
        del self[thing]


def _keep_in_order(world: Any) -> None:
    """Replaces the sets of creatures of a world that was just made."""
    chunks = defaultdict(_InOrder, {key: _InOrder() for key in world._chunks})
    for thing in world.objects:
        chunks[world.chunk_key(thing.pos)].add(thing)
    world._chunks = chunks
