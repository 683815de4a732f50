"""Reads the state of Hop off its pictures, real or dreamed.

Every pixel is unmixed: how far has it moved from the level's plate towards the
colour of a thing, and how far off that line? The answer, 0 to 1, forgives blur
and noise. A thing is where its own shape collects the most of it.
"""

import numpy as np

from worldloom.envs import hop_draw
from worldloom.envs.hop_level import COINS

# A thing is there where its shape holds at least this share of its colour.
PLAYER_SHARE, ENEMY_SHARE, COIN_SHARE = 0.45, 0.4, 0.45
# Off the line between plate and colour by this share of its length counts as something else.
TOLERANCE = 0.45


def read(
    frames: np.ndarray,
    background: np.ndarray,
    coins: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Finds the player, the enemy and the coins.

    Args:
      frames: `[T, H, W, 3]` uint8, 64 or 32 pixels a side.
      background: `[H, W, 3]` uint8, the plate without anything that moves.
      coins: the level's `coin_x` and `coin_y`, `[N]` each, absent ones at -1.
        Without them coins are searched, at most `COINS`.

    Returns:
      `player_x`, `player_y`, `enemy_x`, `enemy_y` `[T]` float32: centres in
      pixels at size 64, NaN where absent. `coins` `[T, N]` bool, `coin_x` and
      `coin_y` `[T, N]` (where they were searched: in order of certainty, NaN
      where absent).
    """
    size = frames.shape[1]
    scale = 64 / size
    likeness = {
        name: unmix(frames, background, np.array(colour, np.float32))
        for name, colour in {
            "player": hop_draw.PLAYER,
            "enemy": hop_draw.ENEMY,
            "coin": hop_draw.COIN,
        }.items()
    }
    found: dict[str, np.ndarray] = {}
    # A coin in front of the enemy hides it: half of what it covers is granted.
    likeness["enemy"] = np.maximum(likeness["enemy"], 0.5 * likeness["coin"])
    for name, share in (("player", PLAYER_SHARE), ("enemy", ENEMY_SHARE)):
        x, y, score = _search(likeness[name], _shapes(name, size))
        found[f"{name}_x"] = np.where(score >= share, x * scale, np.nan).astype(np.float32)
        found[f"{name}_y"] = np.where(score >= share, y * scale, np.nan).astype(np.float32)
    if coins is None:
        return {**found, **_search_coins(likeness["coin"], size)}
    return {**found, **_look_up_coins(likeness["coin"], coins, size)}


def unmix(frames: np.ndarray, background: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """How much of `colour` lies over the background, `[T, H, W]` float32 in [0, 1]."""
    plate = background.astype(np.float32)
    line = colour - plate
    length = np.maximum((line * line).sum(-1), 1.0)
    moved = frames.astype(np.float32) - plate
    share = np.einsum("thwc,hwc->thw", moved, line) / length
    off = moved - share[..., None] * line
    distance = np.sqrt(np.einsum("thwc,thwc->thw", off, off) / length)
    return share.clip(0, 1) * (1 - distance / TOLERANCE).clip(0, 1)


def _shapes(name: str, size: int) -> np.ndarray:
    """Where each variant of a sprite shows its own colour, `[V, h, w]` bool, no two the same."""
    own = {"player": hop_draw.PLAYER, "enemy": hop_draw.ENEMY, "coin": hop_draw.COIN}[name]
    masks = [(colours == own).all(-1) for colours, _ in hop_draw.sprites(size)[name]]
    return np.unique(masks, axis=0)


def _match(likeness: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Share of the best variant that is filled, for its corner at each place.

    Args:
      likeness: `[T, H, W]`.
      shapes: `[V, h, w]` bool.

    Returns:
      `[T, H-h+1, W-w+1]` in [0, 1].
    """
    rows = likeness.shape[1] - shapes.shape[1] + 1
    columns = likeness.shape[2] - shapes.shape[2] + 1
    best = np.zeros((len(likeness), rows, columns), np.float32)
    for shape in shapes:
        total = np.zeros_like(best)
        for y, x in np.argwhere(shape):
            total += likeness[:, y : y + rows, x : x + columns]
        np.maximum(best, total / shape.sum(), out=best)
    return best


def _search(likeness: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best place of a thing in each picture: centre x, centre y, share, `[T]` each."""
    match = _match(likeness, shapes)
    flat = match.reshape(len(match), -1)
    best = flat.argmax(1)
    y, x = np.divmod(best, match.shape[2])
    return x + shapes.shape[2] / 2, y + shapes.shape[1] / 2, flat[np.arange(len(flat)), best]


def _look_up_coins(
    likeness: np.ndarray, coins: tuple[np.ndarray, np.ndarray], size: int
) -> dict[str, np.ndarray]:
    """Which of the coins with known places are there."""
    coin_x, coin_y = (np.asarray(c, np.float32) for c in coins)
    shapes = _shapes("coin", size)
    match = _match(likeness, shapes)
    there = np.zeros((len(likeness), len(coin_x)), bool)
    for i in np.flatnonzero(coin_x >= 0):
        x = int(coin_x[i] * size / 64 - shapes.shape[2] / 2)
        y = int(coin_y[i] * size / 64 - shapes.shape[1] / 2)
        there[:, i] = match[:, y, x] >= COIN_SHARE
    tile = lambda places: np.tile(places, (len(likeness), 1))  # noqa: E731
    return {"coins": there, "coin_x": tile(coin_x), "coin_y": tile(coin_y)}


def _search_coins(likeness: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """The most certain coins of each picture, each place taken once."""
    left, shapes, scale = likeness.copy(), _shapes("coin", size), 64 / size
    _, height, width = shapes.shape
    found = {"coins": [], "coin_x": [], "coin_y": []}
    for _ in range(COINS):
        x, y, score = _search(left, shapes)
        there = score >= COIN_SHARE
        for name, value in {"coin_x": x, "coin_y": y}.items():
            found[name].append(np.where(there, value * scale, np.nan))
        found["coins"].append(there)
        for t in np.flatnonzero(there):
            row, column = int(y[t] - height / 2), int(x[t] - width / 2)
            left[t, row : row + height, column : column + width] = 0
    return {
        name: np.stack(columns, 1).astype(bool if name == "coins" else np.float32)
        for name, columns in found.items()
    }
