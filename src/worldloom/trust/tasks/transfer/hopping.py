"""Hop for imitation: shown as it is or before drifting dots, demonstrated, and played for return.

Knows the game and its scripted player; nothing of probes. A demonstration goes astray now and
then and is labelled with what the player would have done, so that who imitates it has seen
how to come back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from worldloom import seeding
from worldloom.envs import hop_draw
from worldloom.envs.hop import KEYS, Hop
from worldloom.envs.hop_level import make_level
from worldloom.envs.hop_player import Collector, Wanderer

View = Literal["plain", "dots"]
VIEWS: tuple[View, ...] = ("plain", "dots")
SIZE = 64
CHOICES = 2 ** len(KEYS)
"""Ways to hold the keys, numbered as bits: left 1, right 2, jump 4."""
ASTRAY, LOST = 0.05, 6
"""Chance of a frame to begin going astray, and for how many frames."""
LEVELS = (3, 5, 8, 13)
"""The same for who shows and who imitates; starts differ."""
WANDER = 60
"""Most frames before a start."""
DOTS, RADIUS = 8, 3.5
PIXELS = np.array((32.0, 32.0, 2.0, 3.0))
"""Of the picture, what 1 is in the player's place (x, y) and speed (a frame) in `truth`."""
MOVING = (2, 3, 4, 5)
"""Numbers of `truth` that one picture does not show: speeds, footing, the enemy's direction."""


@dataclass(frozen=True)
class Demo:
    """What somebody showed: T frames, and what was and should have been done.

    Args:
      frames: `[T, H, W, 3]` uint8.
      pressed: `[T]` int64 the keys that led to each frame, of `CHOICES`; 0 at the first.
      wanted: `[T]` int64 the keys that the player would hold next.
      told: the exact state at each frame, as `read` reads it.
    """

    frames: np.ndarray
    pressed: np.ndarray
    wanted: np.ndarray
    told: tuple[bytes, ...]


class Screen:
    """One game as it is shown, begun by somebody who wandered about for a while.

    Args:
      seed: of the start, and of the dots.
      view: "dots" lets muted dots drift behind everything that moves.
    """

    def __init__(self, seed: int, view: View) -> None:
        self.game, self.view = Hop(SIZE), view
        self.still = hop_draw.plate(LEVELS[seed % len(LEVELS)], SIZE)
        _, self.info = self.game.reset(seed=LEVELS[seed % len(LEVELS)])
        self.tiles = self.info["tiles"]
        self._wander(seeding.rng(seed, "start"))
        dice = seeding.rng(seed, "dots")
        self._place = dice.uniform(0, SIZE, (DOTS, 2))
        self._speed = dice.uniform(0.5, 2, (DOTS, 2)) * dice.choice((-1, 1), (DOTS, 2))
        self._colour = dice.integers(40, 180, (DOTS, 3)).astype(np.uint8)
        self.frames, self.reward, self.over = 0, 0.0, False

    def _wander(self, dice: np.random.Generator) -> None:
        """Keys by chance for a while; taken back where they end the game."""
        wanderer, begun = Wanderer(), (self.game.get_state(), self.info)
        for _ in range(int(dice.integers(WANDER))):
            keys = wanderer(self.still, self.info, dice)["keys"]
            _, _, over, _, self.info = self.game.step(keys)
            if over:
                self.game.set_state(begun[0])
                self.info = begun[1]
                break

    def press(self, choice: int) -> None:
        """Plays one frame under keys of `CHOICES`; an ended game stays as it is."""
        if not self.over:
            _, reward, ended, late, self.info = self.game.step(unpack(choice))
            self.reward, self.over = self.reward + reward, ended or late
        self.frames += 1

    def show(self) -> np.ndarray:
        """`[H, W, 3]` uint8."""
        frame = self.game.render()
        if self.view == "dots":
            place = (self._place + self.frames * self._speed) % SIZE
            away = (np.arange(SIZE)[:, None, None] - place) ** 2
            covered = away[:, None, :, 1] + away[None, :, :, 0] < RADIUS**2
            covered &= (frame == self.still).all(-1)[..., None]
            for dot, colour in enumerate(self._colour):
                frame[covered[..., dot]] = colour
        return frame

    def told(self) -> bytes:
        """The exact state, as `read` reads it."""
        return truth(self.info).tobytes()


def unpack(choice: int) -> np.ndarray:
    """The keys of a choice, `[3]` uint8."""
    return np.array([choice >> i & 1 for i in range(len(KEYS))], np.uint8)


def pack(keys: np.ndarray) -> int:
    """The choice that keys are."""
    return int(sum(int(key) << i for i, key in enumerate(keys)))


def demonstrate(seed: int, view: View, frames: int, astray: float = ASTRAY) -> Demo:
    """The scripted player in one level, led astray now and then, for at most so many frames."""
    screen, player, wanderer = Screen(seed, view), Collector(), Wanderer()
    dice = seeding.rng(seed, "demonstration")
    shown, pressed, wanted, told, lost, held = [], [0], [], [], 0, 0
    for t in range(frames):
        shown.append(screen.show())
        told.append(screen.told())
        keys = player(shown[-1], {**screen.info, "tiles": screen.tiles}, dice)["keys"]
        wanted.append(pack(keys))
        if lost == 0 and dice.random() < astray:
            wanderer.reset()
            lost = LOST
        wandering = pack(wanderer(shown[-1], screen.info, dice)["keys"])
        held, lost = (wandering, lost - 1) if lost else (wanted[-1], 0)
        if screen.over or t == frames - 1:
            break
        pressed.append(held)
        screen.press(held)
    return Demo(np.stack(shown), np.array(pressed), np.array(wanted), tuple(told))


Decide = Callable[[np.ndarray, Sequence[bytes]], np.ndarray]
"""Frames `[B, H, W, 3]` and exact states to choices `[B]`; called once a frame, in order."""


def play(seeds: Sequence[int], view: View, decide: Decide, frames: int) -> np.ndarray:
    """`[B]` what is earned in so many frames of each level."""
    screens = [Screen(seed, view) for seed in seeds]
    for _ in range(frames):
        shown = np.stack([screen.show() for screen in screens])
        told = [screen.told() for screen in screens]
        for screen, choice in zip(screens, decide(shown, told).tolist(), strict=True):
            screen.press(choice)
    return np.array([screen.reward for screen in screens])


def replay(seed: int, view: View, choices: Sequence[int]) -> np.ndarray:
    """`[T, H, W, 3]` a game as it was shown before each choice."""
    screen, frames = Screen(seed, view), []
    for choice in choices:
        frames.append(screen.show())
        screen.press(choice)
    return np.stack(frames)


def truth(info: Mapping[str, Any]) -> np.ndarray:
    """`[F]` all that decides a game: player, enemy, coins and tiles, about 1 in size.

    The first four numbers are the player's place and speed, see `PIXELS`.
    """
    x, y = float(info["player_x"]), float(info["player_y"])
    coins = [
        part
        for there, cx, cy in zip(info["coins"], info["coin_x"], info["coin_y"], strict=True)
        for part in (float(there), there * (cx - x) / 32, there * (cy - y) / 32)
    ]
    alive = float(info["enemy_alive"])
    enemy = (alive, alive * (info["enemy_x"] - x) / 32, alive * (info["enemy_y"] - y) / 32)
    own = (
        x / PIXELS[0],
        y / PIXELS[1],
        info["player_vx"] / PIXELS[2],
        info["player_vy"] / PIXELS[3],
    )
    more = (float(info["on_ground"]), alive * info["enemy_direction"])
    tiles = make_level(int(info["level"])).tiles.ravel() / 2
    return np.array([*own, *more, *enemy, *coins, *tiles], np.float32)


def read(told: bytes) -> np.ndarray:
    """The `truth` that a snapshot is."""
    return np.frombuffer(told, np.float32)
