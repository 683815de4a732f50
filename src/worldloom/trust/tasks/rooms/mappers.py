"""Who draws floor plans without having learned any: nulls, the ceiling, and planted faults.

A mapper is a probe that is told the true views and answers by a rule. Its features are
its answer, so that it can be read with the same heads as any other. Knows views and rays."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldloom.data.types import Clip
from worldloom.envs.rooms_cast import UNIT, directions
from worldloom.envs.rooms_plan import FEWEST, MOST, NO_ROOM, PALETTE
from worldloom.trust.simulated import Simulated, Told
from worldloom.trust.tasks.rooms.apartments import Views, ask
from worldloom.trust.tasks.rooms.planreader import PAIRS

STRIDE = 0.25  # cells between the points of a ray that the stitcher looks at
BEHIND = 0.3  # cells behind a panel, where it looks for a room
GAP = 2  # points in no known room that a ray may cross on its way through a door


@dataclass(frozen=True)
class Guess:
    """A floor plan by colours.

    Args:
      door: `[16, 16]` bool, both ways.
      area: `[16]` in cells, NaN where nothing is known.
      rooms: how many there are.
    """

    door: np.ndarray
    area: np.ndarray
    rooms: float


Rule = Callable[[Views], Guess]


class Mapper(Simulated):
    """Answers by a rule.

    Args:
      name: for people.
      rule: makes the plan of a set of views.
    """

    def __init__(self, name: str, rule: Rule) -> None:
        self.name, self.rule = name, rule

    @property
    def capabilities(self) -> frozenset[str]:
        """Its answer is its feature."""
        return frozenset({"features"})

    def guess(self, state: Told) -> list[Guess]:
        """The plan of each row."""
        return [self.rule(Views.unpack(snapshot)) for snapshot in state.snapshots]

    def features(self, state: Told, layer: str | None = None) -> Tensor:
        """`[B, 137]`: a door or none for each pair of colours, areas, how many rooms."""
        rows = [
            np.concatenate([g.door[PAIRS], np.nan_to_num(g.area), [g.rooms]])
            for g in self.guess(state)
        ]
        return torch.tensor(np.array(rows), dtype=torch.float32)

    def observe(self, clip: Clip, state: Told | None = None) -> Told:
        """Takes the views that the clip's snapshots hold."""
        return super().observe(clip, state)

    def imagine(self, snapshot: bytes, actions: Any, steps: int, seed: int) -> np.ndarray:
        """A mapper draws plans, not pictures, and does not say otherwise."""
        raise NotImplementedError


def by_rooms(views: Views, door: np.ndarray, area: np.ndarray, rooms: float) -> Guess:
    """A guess by rooms `[9, 9]` and `[9]` as one by colours."""
    colour = views.plan["colour"][0]
    wide, areas = np.zeros((PALETTE, PALETTE), bool), np.full(PALETTE, np.nan)
    wide[np.ix_(colour, colour)] = door | door.T
    areas[colour] = area
    return Guess(wide, areas, rooms)


def _pairs(views: Views, keep: np.ndarray) -> np.ndarray:
    """`[9, 9]` the pairs of `ask` that are kept."""
    door = np.zeros((MOST, MOST), bool)
    door[tuple(ask(views).pairs[keep].T)] = True
    return door


def nothing_seen(views: Views) -> Guess:
    """No views: no doors, and as many rooms as apartments have in the middle."""
    rooms = (FEWEST + MOST) / 2
    return by_rooms(views, np.zeros((MOST, MOST), bool), np.full(MOST, np.nan), rooms)


def covisible(views: Views) -> Guess:
    """A door wherever one view shows two rooms; a room is as large as what is seen of it."""
    question = ask(views)
    columns = views.sight().columns().sum(0).astype(float)
    return by_rooms(views, _pairs(views, question.covisible), columns, len(question.rooms))


def touching(views: Views) -> Guess:
    """The true geometry, and a door wherever rooms touch."""
    plan, question = views.plan[0], ask(views)
    door = _pairs(views, plan["touch"][tuple(question.pairs.T)])
    return by_rooms(views, door, plan["area"].astype(float), float(plan["rooms"]))


def stitched(views: Views) -> Guess:
    """What follows from the views with their depth: boxes from walls, doors from rays."""
    box = _boxes(views)
    door = _passed(views, box)
    sides = box[:, 2:] - box[:, :2]
    return by_rooms(views, door, sides.prod(1), len(ask(views).rooms))


def _passed(views: Views, box: np.ndarray) -> np.ndarray:
    """`[9, 9]` doors through which a ray goes, or on whose panel it ends."""
    sight = views.sight()
    door = np.zeros((MOST, MOST), bool)
    own = views.plan["cell"][0, views.pose[:, 1] // UNIT, views.pose[:, 0] // UNIT]
    panel = sight.beyond != NO_ROOM
    view, column = np.nonzero(panel | (sight.room != own[:, None]))
    x, y, go_x, go_y = _rays(views, view, column)
    end, shut = sight.depth[view, column], panel[view, column]
    last = own[view].astype(np.int64)
    since = np.zeros(len(view), np.int64)
    far = 0.0
    while far < end.max(initial=0):
        far += STRIDE
        at = _inside(box, x + far * go_x, y + far * go_y)
        known = (at >= 0) & (far <= end)
        step = known & (at != last) & (since <= GAP)
        door[last[step], at[step]] = True
        since = np.where(known, 0, since + 1)
        last = np.where(known, at, last)
    across = sight.across[view, column]
    behind_x = x + end * go_x + ~across * BEHIND * np.sign(go_x)
    behind_y = y + end * go_y + across * BEHIND * np.sign(go_y)
    at = _inside(box, behind_x, behind_y)
    found = shut & (at >= 0)
    door[sight.room[view, column][found], at[found]] = True
    return door


def _rays(views: Views, view: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, ...]:
    """Where rays begin, in cells, and where they go: four arrays."""
    x, y, heading = (views.pose[view, i] for i in range(3))
    along_x, along_y = directions()
    return x / UNIT, y / UNIT, along_x[heading, column], along_y[heading, column]


def _boxes(views: Views) -> np.ndarray:
    """`[9, 4]` what is known of each room's box: sides that were seen, else as far as was seen."""
    sight = views.sight()
    view, column = (a.ravel() for a in np.indices(sight.room.shape))
    x, y, go_x, go_y = _rays(views, view, column)
    far, room = sight.depth.ravel(), sight.room.ravel()
    hit_x, hit_y = x + far * go_x, y + far * go_y
    own = views.plan["cell"][0, views.pose[:, 1] // UNIT, views.pose[:, 0] // UNIT]
    box = np.full((MOST, 4), np.nan)
    for r in range(MOST):
        mine, inside = room == r, own == r
        if mine.any():
            seen_x = np.append(hit_x[mine], views.pose[inside, 0] / UNIT)
            seen_y = np.append(hit_y[mine], views.pose[inside, 1] / UNIT)
            box[r] = seen_x.min(), seen_y.min(), seen_x.max(), seen_y.max()
    return box


def _inside(box: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`[K]` the room whose known box holds each point, -1 where none does."""
    within = (x[:, None] > box[:, 0]) & (x[:, None] < box[:, 2])
    within &= (y[:, None] > box[:, 1]) & (y[:, None] < box[:, 3])
    return np.where(within.any(1), within.argmax(1), -1)


def forgetful(views: Views) -> Guess:
    """Stitches the last two views only: the others are forgotten."""
    return stitched(replace(views, pose=views.pose[-2:]))


def colour_blind(views: Views) -> Guess:
    """Takes one room for another: the colours of the first two rooms seen are exchanged."""
    guess, rooms = stitched(views), ask(views).rooms
    swap = np.arange(PALETTE)
    first, second = views.plan["colour"][0, rooms[:2]]
    swap[[first, second]] = second, first
    return Guess(guess.door[np.ix_(swap, swap)], guess.area[swap], guess.rooms)
