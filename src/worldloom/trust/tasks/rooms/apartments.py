"""Apartments for the floor-plan test: worlds by split, views of them, and what the views show.

Splits are whole classes of door graphs: no graph of the test is one of training with its
rooms renamed. Knows the environment's plans and rays; no probe.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from worldloom import seeding
from worldloom.envs import rooms_cast
from worldloom.envs.rooms_cast import TURNS, UNIT, Sight
from worldloom.envs.rooms_plan import CLOSED, MOST, NO_ROOM, NOTHING, make_plan

Split = Literal["train", "dev", "test"]
MARGIN = UNIT // 2 + 1  # from the walls to a camera
SALT = 37  # with which every split has apartments of four to nine rooms
SHARES: Sequence[Split] = ["test", "test", "dev", "train", "train", "train", "train", "train"]


@dataclass(frozen=True)
class Views:
    """N interior views of one apartment.

    Args:
      plan: one record of `rooms_plan.PLAN`, `[1]`.
      pose: `[N, 3]` int64 x and y in parts of a cell, and heading.
    """

    plan: np.ndarray
    pose: np.ndarray

    def sight(self) -> Sight:
        """What each column of each view shows."""
        row = np.zeros(len(self.pose), np.int64)
        return rooms_cast.look(self.plan, row, *self.pose.T)

    def frames(self) -> np.ndarray:
        """`[N, 48, 64, 3]` uint8."""
        return rooms_cast.draw(self.plan, np.zeros(len(self.pose), np.int64), self.sight())

    def pack(self) -> bytes:
        """The views as bytes; the plan follows from its seed."""
        head = np.array([self.plan["seed"][0], len(self.pose)], np.int64)
        return head.tobytes() + self.pose.tobytes()

    @classmethod
    def unpack(cls, data: bytes) -> "Views":
        """The views that `pack` was called on."""
        numbers = np.frombuffer(data, np.int64)
        return cls(make_plan(int(numbers[0])), numbers[2:].reshape(-1, 3))


@dataclass(frozen=True)
class Question:
    """What is asked about one apartment, and the answers.

    Args:
      pairs: `[K, 2]` rooms, both of whose colours were seen.
      colours: `[K, 2]` of their walls.
      door: `[K]` bool, whether there is one.
      covisible: `[K]` bool, whether some view shows both.
      rooms: `[R]` rooms whose colours were seen.
    """

    pairs: np.ndarray
    colours: np.ndarray
    door: np.ndarray
    covisible: np.ndarray
    rooms: np.ndarray


def ask(views: Views) -> Question:
    """The pairs of rooms that a set of views can be asked about."""
    plan, shown = views.plan[0], views.sight().columns() > 0
    rooms = np.flatnonzero(shown.any(0))
    pairs = np.array([(i, j) for i in rooms for j in rooms if i < j], np.int64).reshape(-1, 2)
    together = shown.T.astype(int) @ shown > 0
    first, second = pairs.T
    door, covisible = plan["door"][first, second] != NOTHING, together[first, second]
    return Question(pairs, plan["colour"][pairs], door, covisible, rooms)


def fair(views: Views) -> bool:
    """Whether the never-co-visible pairs have a door whose panel was seen, and a pair without."""
    question, sight = ask(views), views.sight()
    panel = sight.beyond != NO_ROOM
    seen = {tuple(sorted(p)) for p in zip(sight.room[panel], sight.beyond[panel], strict=True)}
    hidden = ~question.covisible
    shut = [tuple(sorted(pair)) in seen for pair in question.pairs[hidden & question.door].tolist()]
    return any(shut) and bool((hidden & ~question.door).any())


def place_views(plan: np.ndarray, count: int, rng: np.random.Generator) -> Views:
    """Views spread over the rooms: all rooms in a random order, then all again."""
    rooms = int(plan["rooms"][0])
    order = np.concatenate([rng.permutation(rooms) for _ in range(-(-count // rooms))])[:count]
    box = plan["box"][0, order] * UNIT
    low, high = box[:, :2] + MARGIN, box[:, 2:] - MARGIN
    place = rng.integers(low, high)
    return Views(plan, np.column_stack([place, rng.integers(0, TURNS, count)]))


def graph_class(door: np.ndarray) -> str:
    """A name that all graphs share which differ only in the order of their rooms.

    Rooms are told apart by their neighbours, their neighbours' neighbours and so on (the
    refinement of Weisfeiler and Leman). Different classes may share a name; they then go to
    one split together.

    Args:
      door: `[R, R]` nonzero where there is a door.
    """
    marks = ["" for _ in door]
    for _ in range(MOST):
        around = [sorted(marks[j] for j in np.flatnonzero(row)) for row in door]
        marks = [_short(f"{mark}|{near}") for mark, near in zip(marks, around, strict=True)]
    return _short(str(sorted(marks)))


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=8192)
def split_of(seed: int) -> Split:
    """The split to which an apartment belongs by its door graph."""
    plan = make_plan(seed)[0]
    rooms = int(plan["rooms"])
    graph = graph_class(plan["door"][:rooms, :rooms])
    return SHARES[int(_short(f"{SALT} {graph}"), 16) % len(SHARES)]


@lru_cache(maxsize=8192)
def draw_world(seed: int, split: Split, count: int) -> Views:
    """The first fair set of `count` views of an apartment of a split, tried in order of a seed."""
    attempt = 0
    while True:
        plan = seeding.stream(seed, "apartment", attempt)
        if split_of(plan) == split:
            views = place_views(make_plan(plan), count, seeding.rng(seed, "views", attempt))
            if fair(views):
                return views
        attempt += 1


def odometry(pose: np.ndarray, *, steps: bool) -> np.ndarray:
    """Where each view is, seen from the first one or from the one before it.

    Args:
      pose: `[N, 3]` as in `Views`.
      steps: from the one before it: poses have to be added up.

    Returns:
      `[N, 4]` float32: ahead and right in units of 32 cells, cosine and sine of the turn;
      the first view is at (0, 0, 1, 0).
    """
    base = np.concatenate([pose[:1], pose[:-1]]) if steps else pose[:1].repeat(len(pose), 0)
    gone = (pose[:, :2] - base[:, :2]) / (32 * UNIT)
    angle, turn = (a * (2 * np.pi / TURNS) for a in (base[:, 2], pose[:, 2] - base[:, 2]))
    ahead = gone[:, 0] * np.cos(angle) + gone[:, 1] * np.sin(angle)
    right = gone[:, 1] * np.cos(angle) - gone[:, 0] * np.sin(angle)
    return np.column_stack([ahead, right, np.cos(turn), np.sin(turn)]).astype(np.float32)


def stacked(worlds: Sequence[Views]) -> np.ndarray:
    """The frames of worlds with equally many views, `[B, N, 48, 64, 3]` uint8."""
    return np.stack([world.frames() for world in worlds])


def closed_share(worlds: Sequence[Views]) -> float:
    """The share of doors that are closed."""
    kinds = np.concatenate([w.plan["door"][w.plan["door"] != NOTHING] for w in worlds])
    return float((kinds == CLOSED).mean())
