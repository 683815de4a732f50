"""How Hop looks, at 64 and at 32 pixels: plates, sprites, and the colours a reader needs.

The small picture is drawn from its own sprites at half the positions. What moves is blended
into the pixels that it covers in part, so that motion is smooth. Sprites are saturated and
bright, levels muted and darker, so that a thing is told from its background by colour alone.
The player is the brightest thing that moves: what is played should be what is seen, and what
a world model learns.
"""

from functools import lru_cache

import numpy as np

from worldloom.envs.hop_level import GRID, PLANK, SOLID, Dice, Level, make_level

PLAYER, SKIN = (255, 56, 40), (255, 196, 150)
ENEMY, COIN = (160, 52, 224), (255, 220, 0)
COLOURS = {
    "r": PLAYER,
    "s": SKIN,
    "k": (20, 16, 24),
    "w": (255, 255, 255),
    "m": ENEMY,
    "e": (196, 160, 214),
    "y": COIN,
}

# Right-facing; two steps of a walk for the player.
PLAYER_ART = {
    64: (
        (".rrrr.", "rrrrrr", "sskssk", "ssssss", "rrrrrr", "rrrrrr", "rrrrrr", "k....k"),
        (".rrrr.", "rrrrrr", "sskssk", "ssssss", "rrrrrr", "rrrrrr", "rrrrrr", ".k..k."),
    ),
    32: (("rrr", "ssk", "rrr", "k.k"), ("rrr", "ssk", "rrr", ".k.")),
}
ENEMY_ART = {
    64: ("..mmmm..", ".mmmmmm.", "mmmekmek", "mmmmmmmm", "mmmmmmmm", "m.m..m.m"),
    32: ("mmm.", "mmek", "m.m."),
}
COIN_ART = {64: (".yy.", "ywyy", "yyyy", ".yy."), 32: ("yy", "yy")}

Sprite = tuple[np.ndarray, np.ndarray]  # colours [h, w, 3] uint8, mask [h, w, 1] bool
FINE = 8
"""Places within a pixel at which a sprite can be drawn, in each direction."""


def _sprite(art: tuple[str, ...]) -> Sprite:
    mask = np.array([[c != "." for c in row] for row in art])
    colours = np.array([[COLOURS.get(c, (0, 0, 0)) for c in row] for row in art], np.uint8)
    return colours, mask[..., None]


@lru_cache(maxsize=2)
def sprites(size: int) -> dict[str, list[Sprite]]:
    """Sprites at a size: `player` [step + 2 * facing left], `enemy` [facing left], `coin`."""
    flip = lambda art: tuple(row[::-1] for row in art)  # noqa: E731
    right, left = PLAYER_ART[size], [flip(art) for art in PLAYER_ART[size]]
    return {
        "player": [_sprite(art) for art in (*right, *left)],
        "enemy": [_sprite(ENEMY_ART[size]), _sprite(flip(ENEMY_ART[size]))],
        "coin": [_sprite(COIN_ART[size])],
    }


def between(picture: np.ndarray, right: float, down: float) -> np.ndarray:
    """A picture `[h, w, C]` moved by fractions of a pixel, a row and a column larger where moved.

    What a pixel is covered by half, it shows by half.
    """
    for axis, part in ((1, right), (0, down)):
        if part:
            wider = np.pad(picture, [(0, int(axis == i)) for i in range(3)])
            picture = wider * (1 - part) + np.roll(wider, 1, axis) * part
    return picture


@lru_cache(maxsize=1024)
def moved(size: int, name: str, variant: int, right: int, down: int) -> Sprite:
    """A sprite moved by fractions of a pixel, in 1/FINE, ready to be blended.

    Returns:
      colours times cover `[h, w, 3]` and what is left of the picture `[h, w, 1]`, uint16 in 1/256.
    """
    colours, mask = sprites(size)[name][variant]
    covering = np.concatenate([colours * mask, mask], -1).astype(np.float64)
    parts = (between(covering, right / FINE, down / FINE) * 256).round().astype(np.uint16)
    return parts[..., :3], 256 - parts[..., 3:]


def blit(frame: np.ndarray, size: int, sprite: tuple[str, int], x: int, y: int) -> None:
    """Draws a sprite, by name and variant, into `frame` `[size, size, 3]` uint8.

    Its corner goes to (x, y) in 1/FINE pixels, and all of it must lie inside. Pictures tell
    where a thing is to a fraction of a pixel: otherwise a jump at 32x32 is a stutter of one
    and two pixels, and no single frame says which comes next.
    """
    colours, clear = moved(size, *sprite, x % FINE, y % FINE)
    height, width = clear.shape[:2]
    part = frame[y // FINE : y // FINE + height, x // FINE : x // FINE + width]
    part[:] = (part * clear + colours) >> 8


def stamp(frame: np.ndarray, sprite: Sprite, x: int, y: int) -> None:
    """Draws a sprite into `frame` with its corner at the whole pixel (x, y)."""
    colours, mask = sprite
    height, width = mask.shape[:2]
    np.copyto(frame[y : y + height, x : x + width], colours, where=mask)


# Sky and ground of each theme, dark and of low saturation.
THEMES = (
    ((58, 74, 96), (70, 82, 62), (96, 112, 74)),
    ((78, 66, 92), (84, 66, 60), (118, 92, 76)),
    ((52, 82, 84), (66, 70, 78), (94, 104, 108)),
    ((92, 80, 74), (72, 62, 74), (104, 90, 104)),
    ((48, 56, 84), (60, 74, 76), (80, 106, 100)),
    ((70, 84, 70), (82, 72, 58), (116, 100, 74)),
)


@lru_cache(maxsize=256)
def plate(seed: int, size: int) -> np.ndarray:
    """The level's picture `[size, size, 3]` uint8, read-only, without anything that moves."""
    level, dice = make_level(seed), Dice(seed ^ 0xD1CE)
    sky, earth, grass = (np.array(c, np.int16) for c in THEMES[dice.roll(len(THEMES))])
    tint = np.array([dice.between(-8, 8) for _ in range(3)], np.int16)
    picture = np.empty((size, size, 3), np.int16)
    bands = 8
    for band in range(bands):  # the sky grows lighter towards the ground
        rows = slice(band * size // bands, (band + 1) * size // bands)
        picture[rows] = sky + tint + 3 * band - 10
    _draw_hills(picture, sky + tint - 8, dice)
    _draw_tiles(picture, level, (earth + tint, grass + tint), dice)
    result = picture.clip(0, 255).astype(np.uint8)
    result.setflags(write=False)
    return result


def _draw_hills(picture: np.ndarray, colour: np.ndarray, dice: Dice) -> None:
    """Two round hills on the horizon."""
    size = len(picture)
    y, x = np.mgrid[0:size, 0:size] * (64 / size)
    for _ in range(2):
        centre, radius = dice.between(4, 60), dice.between(14, 26)
        inside = (x - centre) ** 2 + ((y - 58) * 1.3) ** 2 < radius**2
        picture[inside] = colour


def _draw_tiles(
    picture: np.ndarray, level: Level, colours: tuple[np.ndarray, np.ndarray], dice: Dice
) -> None:
    """Earth with a lit edge and a few stones; planks are half a tile thick."""
    side = len(picture) // GRID
    earth, grass = colours
    for row, column in np.argwhere(level.tiles):
        tile = picture[row * side : (row + 1) * side, column * side : (column + 1) * side]
        stones = [(dice.between(2, 7), dice.roll(7)) for _ in range(2)]
        if level.tiles[row, column] == PLANK:
            tile[: side // 2] = grass - 14
            tile[: side // 4] = grass + 6
            tile[side // 4 : side // 2, -1] = grass - 34
            continue
        tile[:] = earth
        for y, x in stones:
            tile[y * side // 8, x * side // 8 : (x + 2) * side // 8] = earth - 14
        if level.tiles[row - 1, column] != SOLID:
            tile[: side // 4] = grass
