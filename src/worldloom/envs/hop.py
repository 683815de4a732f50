"""Hop, a small platform game: run, jump, collect every coin, mind the beetle.

Physics in integers of 1/256 px, so a level and its keys decide everything,
and both picture sizes show the same world. Twenty frames a second.
"""

import struct
from dataclasses import astuple, dataclass
from typing import Any

import gymnasium
import numpy as np

from worldloom.envs import hop_draw
from worldloom.envs.hop_level import COINS, EMPTY, GRID, SOLID, TILE, Level, make_level, next_seed
from worldloom.envs.hop_player import Collector, Wanderer
from worldloom.errors import WorldloomError

FPS = 20
KEYS = ("left", "right", "jump")
PX = 256  # units of a pixel at size 64
PLAYER_W, PLAYER_H = 6 * PX, 8 * PX
ENEMY_W, ENEMY_H = 8 * PX, 6 * PX
COIN_SIDE = 4 * PX
RUN, PUSH = 512, 256  # top speed, and its change in one frame: the keys answer at once
JUMP, BOUNCE, GRAVITY, FALL = 944, 640, 96, 896
WALK = 128  # the enemy's speed: what moves most should be what is played
FRAMES = 400  # the time limit
WIDTH = GRID * TILE


@dataclass(slots=True)
class Moment:
    """Everything that changes: corners and velocities in 1/256 px, coins as bits."""

    level: int
    x: int
    y: int
    vx: int = 0
    vy: int = 0
    ground: int = 1
    facing: int = 1
    enemy_x: int = 0
    enemy_direction: int = 1
    enemy_alive: int = 1
    coins: int = 0
    score: int = 0
    frame: int = 0
    over: int = 0


_PACK = struct.Struct("<q13i")


def begin(seed: int) -> Moment:
    """The first moment of a level: the player stands, all coins are there."""
    level = make_level(seed)
    row, column = level.spawn
    return Moment(
        level=seed,
        x=column * TILE + (TILE - PLAYER_W) // 2,
        y=(row + 1) * TILE - PLAYER_H,
        facing=1 if column == 0 else -1,
        enemy_x=level.enemy_column * TILE,
        enemy_direction=level.enemy_direction,
        coins=(1 << len(level.coins)) - 1,
    )


def advance(now: Moment, left: int, right: int, jump: int, *, leap: int = JUMP) -> int:
    """Moves `now` by one frame under the held keys, in place; gives the reward.

    `leap` is the speed at which a jump leaves the ground, which the game never changes.
    """
    level = make_level(now.level)
    _run(now, level, right - left)
    bottom = now.y + PLAYER_H
    _fall(now, level, jump, leap)
    _patrol(now, level)
    now.frame += 1
    reward = _collect(now, level) + _meet(now, level, bottom)
    if not now.coins:
        now.over, reward = 1, reward + 1
    now.score += reward
    return reward


def _run(now: Moment, level: Level, push: int) -> None:
    """Speeds up or slows down, then moves sideways until a wall."""
    if push:
        now.facing = push
        now.vx = max(-RUN, min(RUN, now.vx + push * PUSH))
    else:
        now.vx -= max(-PUSH, min(PUSH, now.vx))
    x = max(0, min(WIDTH - PLAYER_W, now.x + now.vx))
    if x != now.x + now.vx:
        now.vx = 0
    column = (x + PLAYER_W - 1) // TILE if now.vx > 0 else x // TILE
    rows = range(now.y // TILE, (now.y + PLAYER_H - 1) // TILE + 1)
    if now.vx and any(level.tiles[row, column] == SOLID for row in rows):
        x = column * TILE - PLAYER_W if now.vx > 0 else (column + 1) * TILE
        now.vx = 0
    now.x = x


def _fall(now: Moment, level: Level, jump: int, leap: int) -> None:
    """Jumps from the ground or falls, landing on tiles whose top is crossed from above."""
    if jump and now.ground:
        now.vy = -leap
    else:
        now.vy = min(FALL, now.vy + GRAVITY)
    old = now.y + PLAYER_H
    new = old + now.vy
    row = new // TILE
    now.ground = 0
    if now.vy > 0 and row < GRID and old <= row * TILE:
        columns = range(now.x // TILE, (now.x + PLAYER_W - 1) // TILE + 1)
        if any(level.tiles[row, column] != EMPTY for column in columns):
            new, now.vy, now.ground = row * TILE, 0, 1
    now.y = new - PLAYER_H
    if now.y < 0:
        now.y, now.vy = 0, max(0, now.vy)


def _patrol(now: Moment, level: Level) -> None:
    """The enemy walks to the end of its range and back."""
    if now.enemy_alive:
        low, high = level.enemy_range[0] * TILE, level.enemy_range[1] * TILE
        now.enemy_x += now.enemy_direction * WALK
        if now.enemy_x <= low:
            now.enemy_x, now.enemy_direction = low, 1
        elif now.enemy_x >= high:
            now.enemy_x, now.enemy_direction = high, -1


def _collect(now: Moment, level: Level) -> int:
    """Takes the coins that the player touches."""
    taken = 0
    for i, (row, column) in enumerate(level.coins):
        x = column * TILE + (TILE - COIN_SIDE) // 2
        y = row * TILE + (TILE - COIN_SIDE) // 2
        if (
            now.coins >> i & 1
            and now.x - PX < x + COIN_SIDE
            and x < now.x + PLAYER_W + PX
            and now.y - PX < y + COIN_SIDE
            and y < now.y + PLAYER_H + PX
        ):
            now.coins &= ~(1 << i)
            taken += 1
    return taken


def _meet(now: Moment, level: Level, old_bottom: int) -> int:
    """Landing on the enemy squashes it and bounces; any other touch ends the game."""
    top = (level.enemy_row + 1) * TILE - ENEMY_H
    apart = (
        not now.enemy_alive
        or now.x >= now.enemy_x + ENEMY_W
        or now.enemy_x >= now.x + PLAYER_W
        or now.y >= top + ENEMY_H
        or top >= now.y + PLAYER_H
    )
    if apart:
        return 0
    if now.vy > 0 and old_bottom <= top + 2 * PX:
        now.enemy_alive, now.vy = 0, -BOUNCE
        return 1
    now.over = 1
    return -1


def draw(now: Moment, size: int) -> np.ndarray:
    """The picture of a moment `[size, size, 3]` uint8, a fresh array."""
    level, art = make_level(now.level), hop_draw.sprites(size)
    pixel = PX * 64 // size
    unit = pixel // hop_draw.FINE
    frame = hop_draw.plate(now.level, size).copy()
    if now.enemy_alive:
        y = (level.enemy_row + 1) * TILE - ENEMY_H
        enemy = ("enemy", int(now.enemy_direction < 0))
        hop_draw.blit(frame, size, enemy, now.enemy_x // unit, y // unit)
    margin = (TILE - COIN_SIDE) // 2
    for i, (row, column) in enumerate(level.coins):
        if now.coins >> i & 1:
            x, y = column * TILE + margin, row * TILE + margin
            hop_draw.stamp(frame, art["coin"][0], x // pixel, y // pixel)
    player = ("player", (now.x // (4 * PX)) % 2 + 2 * (now.facing < 0))
    hop_draw.blit(frame, size, player, now.x // unit, now.y // unit)
    return frame


class Hop(gymnasium.Env[np.ndarray, np.ndarray]):
    """The game behind gymnasium's interface, registered as `worldloom/Hop-v0`.

    A coin or a squashed enemy gives 1, the last coin 1 more and ends the game,
    touching the enemy from the side costs 1 and ends it. After 400 frames the
    game itself truncates (no wrapper does, so a snapshot holds the clock).
    `reset(seed=s)` opens level s; `reset()` goes on to the level that follows.
    `info` is the ground truth (`truth`); that of a reset also has the level's
    `tiles` `[8, 8]` (0 empty, 1 solid, 2 solid from above) and its plate.

    Args:
      size: 64 or 32, the side of the picture in pixels.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012
    key_names = KEYS
    draws_at_size = True
    players = {"random": Wanderer, "scripted": Collector}  # noqa: RUF012

    def __init__(self, size: int = 64, render_mode: str = "rgb_array") -> None:
        if size not in (32, 64):
            raise WorldloomError(f"Hop has no size {size}", "choose 64 or 32")
        self.size = size
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.MultiBinary(len(KEYS))
        self._now: Moment | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is None and self._now is not None:
            seed = next_seed(self._now.level)
        elif seed is None:
            seed = int(self.np_random.integers(2**31))
        self._now = begin(seed)
        level = {
            "tiles": make_level(seed).tiles,
            "still/background": hop_draw.plate(seed, self.size),
        }
        return self.render(), {**truth(self._now), **level}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        now = self._moment()
        left, right, jump = np.asarray(action).tolist()
        reward = 0 if now.over else advance(now, left, right, jump)
        over, late = bool(now.over), now.frame >= FRAMES
        return self.render(), float(reward), over, late and not over, truth(now)

    def render(self) -> np.ndarray:  # type: ignore[override]
        return draw(self._moment(), self.size)

    def get_state(self) -> bytes:
        """The exact state, clock included."""
        return _PACK.pack(*astuple(self._moment()))

    def set_state(self, state: bytes) -> None:
        """Goes to a state of `get_state`, of either size."""
        if len(state) != _PACK.size:
            raise WorldloomError(
                f"a state of Hop has {_PACK.size} bytes, this one {len(state)}",
                "give the bytes of get_state",
            )
        self._now = Moment(*_PACK.unpack(state))

    def _moment(self) -> Moment:
        if self._now is None:
            raise WorldloomError("Hop was used before its first reset", "call reset() first")
        return self._now


def truth(now: Moment) -> dict[str, Any]:
    """The ground truth of a moment; places are centres, in pixels at size 64.

    Coins beyond those of the level are absent, at (-1, -1). Velocities are in
    pixels a frame.
    """
    level = make_level(now.level)
    coin_x, coin_y = _coin_places(level)
    px = lambda units: np.float32(units / PX)  # noqa: E731
    return {
        "player_x": px(now.x + PLAYER_W // 2),
        "player_y": px(now.y + PLAYER_H // 2),
        "player_vx": px(now.vx),
        "player_vy": px(now.vy),
        "on_ground": bool(now.ground),
        "facing": now.facing,
        "enemy_x": px(now.enemy_x + ENEMY_W // 2),
        "enemy_y": px((level.enemy_row + 1) * TILE - ENEMY_H // 2),
        "enemy_direction": now.enemy_direction,
        "enemy_alive": bool(now.enemy_alive),
        "coins": np.array([bool(now.coins >> i & 1) for i in range(COINS)]),
        "coin_x": coin_x,
        "coin_y": coin_y,
        "score": now.score,
        "level": now.level,
    }


def _coin_places(level: Level) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the level's coins in pixels, two `[COINS]` float32 arrays."""
    places = np.full((2, COINS), -1, np.float32)
    for i, (row, column) in enumerate(level.coins):
        places[:, i] = column * 8 + 4, row * 8 + 4
    return places[0], places[1]
