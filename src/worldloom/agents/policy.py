"""Who acts: a policy looks at a frame and what is known, and chooses an action.

Policies know action specs and frames, never a concrete environment or model.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from worldloom.actions import ActionSpec

Values = dict[str, np.ndarray]  # one frame's action: component name to `[*component shape]`


class Policy(Protocol):
    """Anything that acts. It may remember, and forgets at `reset`."""

    def reset(self) -> None:
        """Forgets the episode so far."""
        ...

    def __call__(
        self, observation: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator
    ) -> Values:
        """Chooses one frame's action.

        Args:
          observation: `[H, W, 3]` uint8, the newest frame.
          info: the environment's ground truth, where it gives any.
          rng: all the randomness a policy may use.
        """
        ...


class Players(Protocol):
    """Acts in several games at once, batched; `agents.trained.Team` does."""

    def begin(self, frames: np.ndarray, seeds: Sequence[int]) -> None:
        """Begins an episode in every row, with frames `[B, H, W, 3]`."""
        ...

    def replace(self, row: int, frame: np.ndarray, seed: int) -> None:
        """Begins another episode in one row, with a frame `[H, W, 3]`."""
        ...

    def rest(self, row: int) -> None:
        """Says that nothing is wanted of a row until it is replaced."""
        ...

    def act(self) -> dict[str, np.ndarray]:
        """What every row does next: component name to `[B, ...]`."""
        ...

    def see(self, values: dict[str, np.ndarray], frames: np.ndarray) -> Any:
        """Takes in what was done, and the frames that came of it."""
        ...


class StickyRandom:
    """Acts at random, and keeps at it: each frame repeats the last with probability `keep`.

    Holding on reaches places that a new draw every frame never does. With
    `keep=0` every frame is drawn afresh.
    """

    def __init__(self, spec: ActionSpec, *, keep: float = 0.9) -> None:
        self.spec = spec
        self.keep = keep
        self._last: Values | None = None

    def reset(self) -> None:
        self._last = None

    def __call__(
        self, observation: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator
    ) -> Values:
        if self._last is None or rng.random() >= self.keep:
            self._last = self.spec.sample(rng)
        return self._last
