"""Films of simulated discs: how they look, how their state is told, and probes that know it.

A `Film` is one scene and its looks. `FilmProbe` is the simulator as a probe, and with a
change to what it is told also every null and fault that is a wrong simulator.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from worldloom.actions import Action, ActionSpec
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Clip, Episode
from worldloom.trust.probe import Edit, Probe, Rollout
from worldloom.trust.simulated import Simulated, Told
from worldloom.trust.tasks.scenes import discs, physics
from worldloom.trust.tasks.scenes.discs import Bar, Kind, Thing
from worldloom.trust.tasks.scenes.physics import Scenes

SIZE = 64
"""Side of a picture in pixels."""
TOGETHER = 64
"""Films that are simulated at once."""
NO_ACTIONS = ActionSpec(())
"""Nothing can be done in a film."""


@dataclass(frozen=True)
class Disc:
    """One disc at one moment.

    Args:
      place: of its centre.
      speed: of it.
      pull: its constant acceleration.
      radius: of it.
      mass: infinity for what nothing moves.
      colour: it is drawn in.
      kind: how it is drawn; it collides as a disc.
    """

    place: tuple[float, float]
    speed: tuple[float, float]
    pull: tuple[float, float] = (0.0, 0.0)
    radius: float = 1.0
    mass: float = 1.0
    colour: tuple[int, int, int] = discs.RED
    kind: Kind = "disc"


@dataclass(frozen=True)
class Film:
    """A scene at one moment, from which everything else follows.

    Args:
      discs: the last one is drawn on top.
      bars: in front of them.
      walls: whether the arena's sides throw discs back.
      solid: whether discs collide.
    """

    discs: tuple[Disc, ...]
    bars: tuple[Bar, ...] = ()
    walls: bool = False
    solid: bool = True

    def pack(self) -> bytes:
        """The film as bytes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> "Film":
        """The film that `pack` was called on."""
        facts = json.loads(data)
        discs_ = tuple(Disc(**{**_tuples(d)}) for d in facts["discs"])
        bars = tuple(Bar(**_tuples(b)) for b in facts["bars"])
        return cls(discs_, bars, facts["walls"], facts["solid"])


def _tuples(facts: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}


@dataclass(frozen=True)
class Shot:
    """What films show.

    Args:
      frames: `[S, T, SIZE, SIZE, 3]` uint8.
      place: `[S, T, N, 2]`.
      speed: `[S, T, N, 2]`.
    """

    frames: np.ndarray
    place: np.ndarray
    speed: np.ndarray


def scenes_of(films: Sequence[Film]) -> Scenes:
    """Films of equally many discs as one batch."""
    stack = lambda name: np.array([[getattr(d, name) for d in f.discs] for f in films], float)  # noqa: E731
    parts = (stack(name) for name in ("place", "speed", "pull", "radius", "mass"))
    return Scenes(*parts, walls=films[0].walls, solid=films[0].solid)


def shoot(films: Sequence[Film], frames: int, size: int = SIZE) -> Shot:
    """Simulates and draws films that have equally many discs and the same rules."""
    place, speed = physics.simulate(scenes_of(films), frames)
    shown = [draw(film, place[i], size) for i, film in enumerate(films)]
    return Shot(np.stack(shown), place, speed)


def draw(film: Film, place: np.ndarray, size: int = SIZE) -> np.ndarray:
    """`[T, size, size, 3]` uint8: the discs of a film at the places `[T, N, 2]`."""
    things = tuple(Thing(place[:, k], d.radius, d.colour, d.kind) for k, d in enumerate(film.discs))
    return discs.draw(len(place), size, things, film.bars)


def later(film: Film, place: np.ndarray, speed: np.ndarray) -> Film:
    """The film with its discs at `[N, 2]` places and speeds."""
    moved = tuple(
        replace(d, place=tuple(map(float, p)), speed=tuple(map(float, v)))
        for d, p, v in zip(film.discs, place, speed, strict=True)
    )
    return replace(film, discs=moved)


def begin(films: Sequence[Film], shot: Shot, context: int) -> Clip:
    """The first `context` frames as a clip, with the true states at the last of them."""
    last = context - 1
    states = [later(f, shot.place[i, last], shot.speed[i, last]) for i, f in enumerate(films)]
    return Clip(
        frames={"main": torch.from_numpy(shot.frames[:, :context])},
        actions=no_actions(len(films), context),
        snapshots=tuple(state.pack() for state in states),
    )


def imagined(
    probe: Probe, film: Film, *, context: int, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """The truth and what a probe makes of it after `context` frames, `[frames, H, W, 3]` each."""
    shot = shoot([film], frames)
    state = probe.observe(begin([film], shot, context))
    drawn = probe.rollout(state, no_actions(1, frames - context)).frames
    assert drawn is not None
    truth = shot.frames[0]
    return truth, np.concatenate([truth[:context], drawn[0, 0].numpy()])


def no_actions(rows: int, steps: int) -> Action:
    """Of somebody who can do nothing, `[rows, steps]`."""
    return Action({}, torch.ones(rows, steps, dtype=torch.bool))


def grouped(films: Sequence[Film]) -> dict[tuple[int, bool, bool], list[int]]:
    """Which films can be simulated together."""
    groups: dict[tuple[int, bool, bool], list[int]] = {}
    for index, film in enumerate(films):
        groups.setdefault((len(film.discs), film.walls, film.solid), []).append(index)
    return groups


Change = Callable[[Film], Film]


class FilmProbe(Simulated):
    """Simulates what it is told.

    Args:
      name: for people.
      change: what it believes in place of what it is told.
      size: side of its pictures.
    """

    def __init__(
        self, name: str = "simulator", change: Change = lambda film: film, size: int = SIZE
    ) -> None:
        self.name, self.change, self.size = name, change, size

    def imagine(self, snapshot: bytes, actions: Any, steps: int, seed: int) -> np.ndarray:
        """What follows one state."""
        return self.films([Film.unpack(snapshot)], steps)[0]

    def films(self, told: Sequence[Film], steps: int) -> np.ndarray:
        """`[B, steps, H, W, 3]` what follows the told states."""
        believed = [self.change(film) for film in told]
        frames = np.empty((len(told), steps, self.size, self.size, 3), np.uint8)
        for rows in grouped(believed).values():
            shot = shoot([believed[i] for i in rows], steps + 1, self.size)
            frames[rows] = shot.frames[:, 1:]
        return frames

    def rollout(
        self, state: Told, actions: Action, *, seeds: Sequence[int] = (0,), edit: Edit | None = None
    ) -> Rollout:
        """All rows at once; nothing is left to chance, so all samples are the same."""
        del edit
        told = [Film.unpack(snapshot) for snapshot in state.snapshots]
        frames = torch.from_numpy(self.films(told, actions.known.shape[1]))
        return Rollout(frames=frames.expand(len(seeds), *frames.shape))


def still(film: Film) -> Film:
    """Nothing moves any more."""
    stopped = (replace(d, speed=(0.0, 0.0), pull=(0.0, 0.0)) for d in film.discs)
    return replace(film, discs=tuple(stopped))


def steady(film: Film) -> Film:
    """Every disc goes on as it went, through everything."""
    freed = (replace(d, pull=(0.0, 0.0)) for d in film.discs)
    return replace(film, discs=tuple(freed), solid=False, walls=False)


def record(path: Any, films: Sequence[Film], frames: int) -> Store:
    """The films as a store whose episodes are all to be learned from, or the one that is there."""
    info = StoreInfo(NO_ACTIONS, {"main": (SIZE, SIZE)}, 1 / physics.FRAME, heldout=0.0)
    store = Store.open_or_create(path, info)
    for begin_ in range(len(store), len(films), TOGETHER):
        some = films[begin_ : begin_ + TOGETHER]
        shown: dict[int, np.ndarray] = {}
        for rows in grouped(some).values():
            shown |= zip(rows, shoot([some[i] for i in rows], frames).frames, strict=True)
        for number, row in enumerate(range(len(some)), begin_):
            episode = Episode({"main": shown[row]}, {}, seed=number)
            store.append(episode, split="train", number=number)
    return store


def fingerprint(frames: np.ndarray) -> str:
    """A short hash of pictures."""
    return hashlib.blake2b(np.ascontiguousarray(frames).tobytes(), digest_size=6).hexdigest()
