"""Trips that leave and come back: through apartments, and behind a curtain.

A trip begins by looking at something, leaves it out of sight for a while, and comes back in
its last steps, of which no frame is shown: what was seen is to be drawn again. The first
frame does not show it, so that nobody passes by repeating that. Knows the renderers; no probe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from worldloom import seeding
from worldloom.actions import ActionSpec, Binary
from worldloom.envs import rooms_cast
from worldloom.envs.rooms_cast import TURNS, UNIT
from worldloom.envs.rooms_core import KEYS, RoomsWorlds
from worldloom.envs.rooms_plan import PALETTE, PLAN, make_plan
from worldloom.envs.rooms_player import Walk, stand, through
from worldloom.trust.tasks.returning import curtain

Kind = Literal["turn", "back", "loop", "covered", "moving"]
KINDS: Mapping[str, tuple[Kind, ...]] = {
    "rooms": ("turn", "back", "loop"),
    "curtain": ("covered", "moving"),
}
SPECS = {
    "rooms": ActionSpec((Binary("keys", KEYS),)),
    "curtain": ActionSpec((Binary("keys", curtain.KEYS),)),
}
LOOK = 6  # turns at the beginning, until what is asked for stands in the middle
AWAY = 8  # turns that bring it out of sight, and back
FAR = 24  # steps that one walks off, at most
LOOP = 128  # the shortest gap in which one comes back by way of other rooms
SHOWN = 8  # columns of a room behind a door that is worth asking for
RIGHT, LEFT, AHEAD, BACK = (np.eye(4, dtype=np.int64)[i] for i in (3, 2, 0, 1))
WAIT = np.zeros(4, np.int64)


@dataclass(frozen=True)
class Trip:
    """One trip of T frames, of which the last K are to be imagined.

    Args:
      frames: `[T, 48, 64, 3]` uint8.
      keys: `[T, n]` that led to each frame; the first are none.
      hidden: K.
      lure: `[K, 48, 64, 3]` the last frames with what was seen in another colour or place.
      other_keys: `[K, n]` that lead elsewhere.
      other: `[K, 48, 64, 3]` what is seen there.
      told: what a simulator is told after the shown frames.
      frozen: `[48, 64, 3]` the last frame if hidden things stood still; the same if they do.
      lost: `[48, 64, 3]` the last frame without the hidden thing.
    """

    frames: np.ndarray
    keys: np.ndarray
    hidden: int
    lure: np.ndarray
    other_keys: np.ndarray
    other: np.ndarray
    told: bytes
    frozen: np.ndarray
    lost: np.ndarray


def make_trip(kind: Kind, gap: int, seed: int) -> Trip:
    """The trip of a seed whose end is `gap` steps after the look at what is asked for."""
    if kind in KINDS["curtain"]:
        return _behind(kind == "moving", gap, seeding.rng(seed, "curtain"))
    attempt = 0
    while True:
        rng = seeding.rng(seed, "trip", attempt)
        found = _through(kind, gap, make_plan(seeding.stream(seed, "plan", attempt)), rng)
        if found is not None:
            return found
        attempt += 1


def away(gap: int) -> int:
    """How many steps bring a thing out of sight, and back."""
    return min(AWAY, gap // 2)


def _behind(moving: bool, gap: int, rng: np.random.Generator) -> Trip:
    """A disc is uncovered, covered again, and uncovered at the end."""
    scene, out = curtain.draw_scene(rng, moving=moving), away(gap)
    push, pull = np.array([0, 1]), np.array([1, 0])  # the curtain to the right, and to the left
    steps = [*[push] * AWAY, *[pull] * out, *[0 * push] * (gap - 2 * out), *[push] * out]
    keys = np.stack([0 * push, *steps])
    shown = len(keys) - out
    frames = scene.play(keys)
    start = curtain.after(keys[:shown])
    seen = max(t for t in range(shown) if scene.visible(curtain.after(keys[: t + 1])))
    ends = np.arange(shown, len(keys))
    return Trip(
        frames=frames,
        keys=keys,
        hidden=out,
        lure=scene.lure(rng).play(keys)[ends],
        other_keys=np.zeros((out, 2), np.int64),
        other=scene.draw(ends, np.full(out, start)),
        told=scene.pack(shown - 1, start, seen),
        frozen=scene.draw(np.array([seen]), np.array([curtain.after(keys)]))[0],
        lost=scene.without().draw(ends[-1:], np.array([curtain.after(keys)]))[0],
    )


def _through(kind: Kind, gap: int, plan: np.ndarray, rng: np.random.Generator) -> Trip | None:
    """A room behind an open door is seen, left and seen again; None where it does not work out."""
    start = _worth_seeing(plan, rng)
    if start is None:
        return None
    out = away(gap)
    middle = _middle(kind, gap - 2 * out, plan, (*start[:2], (start[2] + out) % TURNS), rng)
    if middle is None:
        return None
    keys = np.stack([WAIT, *[RIGHT] * (LOOK + out), *middle, *[LEFT] * out])
    begin = (*start[:2], (start[2] - LOOK) % TURNS)
    pose = walk(plan, begin, keys)
    shown = len(keys) - out
    columns = _look(plan, pose).columns()
    missed = np.hypot(*(pose[-1, :2] - pose[LOOK, :2]))
    asked = _asked(plan, pose, columns, gap, shown)
    if asked is None or missed > UNIT * (kind == "loop") or pose[-1, 2] != pose[LOOK, 2]:
        return None
    other = walk(plan, tuple(pose[shown - 1]), np.stack([WAIT, *[RIGHT] * out]))[1:]
    spare = sorted(set(range(PALETTE)) - set(plan["colour"][0].tolist()))
    end = picture(plan, pose[-1:])[0]
    return Trip(
        frames=picture(plan, pose),
        keys=keys,
        hidden=out,
        lure=picture(painted(plan, asked, int(rng.choice(spare))), pose[shown:]),
        other_keys=np.stack([RIGHT] * out),
        other=picture(plan, other),
        told=pack(plan, pose[:shown]),
        frozen=end,
        lost=end,
    )


def _asked(
    plan: np.ndarray, pose: np.ndarray, columns: np.ndarray, gap: int, shown: int
) -> int | None:
    """The room that is asked for: seen at first and last, out of sight for half of the gap."""
    seen = (columns[LOOK] >= SHOWN) & (columns[-1] >= SHOWN)
    own = plan["cell"][0, pose[-1, 1] // UNIT, pose[-1, 0] // UNIT]
    for room in np.flatnonzero(seen & (np.arange(len(seen)) != own)).tolist():
        last = int(np.flatnonzero(columns[:shown, room])[-1])
        first = columns[0, room] == 0
        if first and (gap == 8 or len(pose) - 1 - last >= gap / 2):
            return room
    return None


def _worth_seeing(plan: np.ndarray, rng: np.random.Generator) -> tuple[int, int, int] | None:
    """A place and a heading from which another room can be seen."""
    rooms = rng.integers(0, plan["rooms"][0], 24)
    box = plan["box"][0, rooms]
    cells = rng.integers(box[:, :2] + 1, box[:, 2:] - 1)
    pose = np.column_stack([cells * UNIT + UNIT // 2, rng.integers(0, TURNS, 24)])
    columns = _look(plan, pose).columns()
    columns[np.arange(24), rooms] = 0
    good = np.flatnonzero(columns.max(1) >= SHOWN)
    return tuple(pose[good[0]].tolist()) if good.size else None


def _middle(
    kind: Kind, steps: int, plan: np.ndarray, start: tuple[int, int, int], rng: np.random.Generator
) -> list[np.ndarray] | None:
    """Keys for the time between leaving and coming back; None where it is too short."""
    if kind == "turn":
        return [WAIT] * steps
    if kind == "back":
        far = _clear(plan, start, min(steps // 2, FAR))
        if far < min(steps // 2, 2):
            return None
        return [*[AHEAD] * far, *[WAIT] * (steps - 2 * far), *[BACK] * far]
    path = _loop(plan, start, rng)
    return None if len(path) > steps else path + [WAIT] * (steps - len(path))


def _clear(plan: np.ndarray, start: tuple[int, int, int], most: int) -> int:
    """How many steps ahead nothing is in the way, at most `most`."""
    pose = walk(plan, start, np.stack([WAIT, *[AHEAD] * most]))
    whole = (np.diff(pose[:, :2], axis=0) == pose[1, :2] - pose[0, :2]).all(1) if most else []
    moved = most > 0 and bool((pose[1] != pose[0]).any())
    return int(np.argmin([*whole, False])) if moved else 0


def _loop(
    plan: np.ndarray, start: tuple[int, int, int], rng: np.random.Generator
) -> list[np.ndarray]:
    """Keys through two other rooms and back to where one stood, with the same heading."""
    here = int(plan["cell"][0, start[1] // UNIT, start[0] // UNIT])
    others = [room for room in range(int(plan["rooms"][0])) if room != here]
    first, second = rng.choice(others, 2, replace=False).tolist()
    spots = [
        *through(plan[0], here, first),
        *through(plan[0], first, second),
        stand(plan[0], second, rng),
        *through(plan[0], second, here),
        (start[0] / UNIT, start[1] / UNIT),
    ]
    world, controller, keys = _at(plan, start), Walk(spots), []
    while len(keys) < 600:
        game = world.games[0]
        info = {"x": game["x"] / UNIT, "y": game["y"] / UNIT, "heading": game["heading"]}
        held = controller.keys(info)
        if held is None:
            turn = (start[2] - int(game["heading"]) + TURNS // 2) % TURNS - TURNS // 2
            return [*keys, *[RIGHT if turn > 0 else LEFT] * abs(turn)]
        keys.append(held["keys"].astype(np.int64))
        world.step(keys[-1][None])
    return keys


def _at(plan: np.ndarray, pose: tuple[int, ...]) -> RoomsWorlds:
    """A game that stands at a pose of a plan."""
    world = RoomsWorlds(1)
    world.plans[:] = plan
    for name, value in zip(("x", "y", "heading"), pose, strict=True):
        world.games[name] = value
    return world


def walk(plan: np.ndarray, start: tuple[int, ...], keys: np.ndarray) -> np.ndarray:
    """Poses `[T, 3]`, the first after keys `[T, 4]` have been held for one frame from `start`."""
    world, pose = _at(plan, start), []
    for held in keys:
        if held.any():
            world.step(held[None])
        pose.append([int(world.games[name][0]) for name in ("x", "y", "heading")])
    return np.array(pose)


def _look(plan: np.ndarray, pose: np.ndarray) -> rooms_cast.Sight:
    return rooms_cast.look(plan, np.zeros(len(pose), np.int64), *pose.T)


def picture(plan: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """`[T, 48, 64, 3]` uint8 of poses `[T, 3]` in a plan `[1]`."""
    return rooms_cast.draw(plan, np.zeros(len(pose), np.int64), _look(plan, pose))


def painted(plan: np.ndarray, room: int, colour: int) -> np.ndarray:
    """The plan with one room in another colour."""
    changed = plan.copy()
    changed["colour"][0, room] = colour
    return changed


def pack(plan: np.ndarray, pose: np.ndarray) -> bytes:
    """What a simulator is told of a walk: the apartment, and where one has been."""
    return b"rooms" + plan.tobytes() + pose.astype(np.int64).tobytes()


def unpack(told: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The plan `[1]` and the poses `[T, 3]` of `pack`."""
    body = told[len(b"rooms") :]
    plan = np.frombuffer(body[: PLAN.itemsize], PLAN)
    return plan, np.frombuffer(body[PLAN.itemsize :], np.int64).reshape(-1, 3)
