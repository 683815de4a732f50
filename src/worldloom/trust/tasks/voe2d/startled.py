"""Simulators that are surprised in a wrong way: the null and the planted faults of `voe2d`."""

from collections.abc import Sequence

import numpy as np
import torch

from worldloom.data.types import Clip
from worldloom.trust.simulated import Told
from worldloom.trust.tasks.scenes import films, physics
from worldloom.trust.tasks.scenes.films import Film, FilmProbe


class Unmoved(FilmProbe):
    """Nothing surprises it."""

    def score(self, state: Told, clip: Clip) -> torch.Tensor:
        """Zeros."""
        return torch.zeros(clip.frames["main"].shape[:2])


class Negated(FilmProbe):
    """What is right surprises it."""

    def score(self, state: Told, clip: Clip) -> torch.Tensor:
        """The simulator's surprise, the other way round."""
        return -super().score(state, clip)


class Forgetful(FilmProbe):
    """What is hidden is no more."""

    def films(self, told: Sequence[Film], steps: int) -> np.ndarray:
        """What follows, but for what went behind a bar."""
        frames = []
        for film in told:
            place, _ = physics.simulate(films.scenes_of([film]), steps + 1)
            place = place[0].copy()
            for k, disc in enumerate(film.discs):
                gone = np.cumsum(_hidden(film, place[:, k], disc.radius)) > 0
                place[gone, k] = np.nan
            frames.append(films.draw(film, place, self.size)[1:])
        return np.stack(frames)


def _hidden(film: Film, place: np.ndarray, radius: float) -> np.ndarray:
    """`[T]` where a thing is wholly behind a bar."""
    found = np.zeros(len(place), bool)
    for bar in film.bars:
        across = (place[:, 0] - radius >= bar.left) & (place[:, 0] + radius <= bar.right)
        down = (place[:, 1] - radius >= bar.bottom) & (place[:, 1] + radius <= bar.top)
        found |= across & down
    return found
