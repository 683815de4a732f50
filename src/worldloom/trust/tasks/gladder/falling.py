"""One ball under a pull that no first picture shows: films, what is read off them, who knows it.

Knows nothing of rungs and tasks.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from worldloom.trust.probe import Edit, Probe
from worldloom.trust.simulated import Told
from worldloom.trust.tasks.scenes import discs, films
from worldloom.trust.tasks.scenes.films import Disc, Film, FilmProbe
from worldloom.trust.tasks.scenes.physics import ARENA, FRAME

CONTEXT, FRAMES = 4, 16
INSIDE = (2.0, 6.0)
OUTSIDE = ((0.5, 1.5), (7.0, 9.0))
"""Pulls that are trained on, and bands that are not."""
COLOURS = (discs.RED, discs.BLUE, (70, 190, 80))


def draw_film(
    band: tuple[float, float], rng: np.random.Generator, *, g: float | None = None
) -> Film:
    """One flight under the pull g, or one out of a band; nothing else depends on it."""
    drawn = float(rng.uniform(*band))
    g = drawn if g is None else g
    place = (float(rng.uniform(3, 7)), float(rng.uniform(4.5, 7)))
    speed = (float(rng.uniform(-1, 1)), float(rng.uniform(-1, 2)))
    radius, colour = float(rng.uniform(0.5, 0.8)), COLOURS[rng.integers(3)]
    return Film((Disc(place, speed, (0.0, -g), radius, colour=colour),))


def pull(film: Film) -> float:
    """The pull of a film."""
    return -film.discs[0].pull[1]


def with_pull(film: Film, g: float) -> Film:
    """The film under another pull."""
    return replace(film, discs=(replace(film.discs[0], pull=(0.0, -g)),))


def level(index: int, count: int) -> float:
    """One of so many pulls, evenly spread over the range."""
    low, high = INSIDE
    return low + (high - low) * (index + 0.5) / count


def falls(
    probe: Probe, state: Any, some: Sequence[Film], last: np.ndarray, edit: Edit | None = None
) -> tuple[list[float | None], list[np.ndarray]]:
    """The pull of each imagined flight, None where it is too short, and its places."""
    steps = films.no_actions(len(some), FRAMES - CONTEXT)
    drawn = probe.rollout(state, steps, edit=edit).frames
    assert drawn is not None
    falls, tracks = [], []
    for film, shown, before in zip(some, drawn[0].numpy(), last, strict=True):
        disc = film.discs[0]
        frames = np.concatenate([before, shown])
        places = discs.find(frames, (disc.colour,), np.array([disc.radius]))[:, 0]
        whole = np.minimum(places, ARENA - places).min(1) > disc.radius
        stop = len(whole) if whole.all() else int(np.argmin(whole))
        tracks.append(places[:stop])
        fits = np.polyfit(FRAME * np.arange(stop), places[:stop, 1], 2) if stop >= 4 else None
        falls.append(None if fits is None else float(-2 * fits[0]))
    return falls, tracks


class Pixels(FilmProbe):
    """Shows the last frame again; its features are the pictures."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What it draws, and what it saw."""
        return frozenset({"rollout", "render", "features"})

    def features(self, state: Told, layer: str | None = None) -> torch.Tensor:
        """`[B, D]` all pixels that were shown, every second one in both directions."""
        assert state.shown is not None
        return torch.from_numpy(state.shown[:, :, ::2, ::2].reshape(len(state.shown), -1) / 255.0)


class Analytic(FilmProbe):
    """Simulates; its features are the place and the pull that places in the frames give.

    Args:
      name: for people.
      leaks: whether it knows the true pull from the first frame on.
    """

    layers = ("estimate",)

    def __init__(self, name: str, *, leaks: bool = False) -> None:
        super().__init__(name)
        self.leaks = leaks

    @property
    def capabilities(self) -> frozenset[str]:
        """All that the ladder asks for."""
        return frozenset({"rollout", "render", "features", "steer"})

    def features(self, state: Told, layer: str | None = None) -> torch.Tensor:
        """`[B, 3]` place and pull."""
        assert state.shown is not None
        rows = []
        for shown, told in zip(state.shown, map(Film.unpack, state.snapshots), strict=True):
            disc = told.discs[0]
            places = discs.find(shown, (disc.colour,), np.array([disc.radius]))[:, 0]
            g = pull(told) if self.leaks else 0.0
            if len(places) >= 3 and not self.leaks:
                g = float(-2 * np.polyfit(FRAME * np.arange(len(places)), places[:, 1], 2)[0])
            rows.append([*places[-1], g])
        return torch.tensor(rows, dtype=torch.float64)

    def rollout(self, state: Told, actions: Any, *, seeds: Sequence[int] = (0,), edit: Any = None):
        """What follows, under the pull that an edit makes of the true one."""
        if edit is None:
            return super().rollout(state, actions, seeds=seeds)
        more = edit.vector.expand(len(state.snapshots), -1)[:, 2].tolist()
        told = [Film.unpack(snapshot) for snapshot in state.snapshots]
        films_ = [with_pull(f, pull(f) + m) for f, m in zip(told, more, strict=True)]
        edited = Told(tuple(f.pack() for f in films_), state.shown)
        return super().rollout(edited, actions, seeds=seeds)
