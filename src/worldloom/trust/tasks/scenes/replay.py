"""Remembering in place of knowing: the training clip that is most like what was shown."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from worldloom.trust.tasks.scenes.films import Film, grouped, later, scenes_of
from worldloom.trust.tasks.scenes.physics import Scenes, simulate


class Nearest:
    """Maps what is told to the training film that was most like it at the same moment.

    Distance is in true state (places, speeds, sizes), each divided by its spread among the
    training films.

    Args:
      library: the training films, as they begin.
      context: frames after which they are compared.
      shift: moves the film found to where things are now.
    """

    def __init__(self, library: Sequence[Film], *, context: int, shift: bool) -> None:
        self.shift = shift
        self._films: dict[int, list[Film]] = {}
        self._states: dict[int, np.ndarray] = {}
        self._spread: dict[int, np.ndarray] = {}
        for (count, _, _), rows in grouped(library).items():
            films = [library[i] for i in rows]
            place, speed = simulate(scenes_of(films), context)
            now = [later(f, p[-1], v[-1]) for f, p, v in zip(films, place, speed, strict=True)]
            states = _states(scenes_of(now))
            self._films[count] = now
            self._states[count] = states
            self._spread[count] = np.maximum(states.std(0), 1e-6)

    def __call__(self, film: Film) -> Film:
        count = len(film.discs)
        gap = (self._states[count] - _states(scenes_of([film]))) / self._spread[count]
        found = self._films[count][int(np.square(gap).sum(1).argmin())]
        if not self.shift:
            return found
        moved = (
            replace(old, place=new.place) for old, new in zip(found.discs, film.discs, strict=True)
        )
        return replace(found, discs=tuple(moved))


def _states(scenes: Scenes) -> np.ndarray:
    """`[S, F]` what two moments are compared by."""
    parts = (scenes.place, scenes.speed, scenes.radius)
    return np.concatenate([part.reshape(len(scenes), -1) for part in parts], 1)
