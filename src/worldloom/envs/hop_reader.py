"""Reads the state of Hop off its pictures, real or dreamed.

Every pixel is unmixed: how far has it moved from the level's plate towards the
colour of a thing, and how far off that line? The answer, 0 to 1, forgives blur
and noise. A thing is where its own shape collects the most of it.
"""

from itertools import product

import numpy as np

from worldloom.envs import hop_draw
from worldloom.envs.hop_level import COINS

MIXED = tuple((a + b) // 2 for a, b in zip(hop_draw.PLAYER, hop_draw.SKIN, strict=True))
OWN = {
    "player": (hop_draw.PLAYER, hop_draw.SKIN, MIXED),
    "enemy": (hop_draw.ENEMY,),
    "coin": (hop_draw.COIN,),
}
"""The colours a thing is known by; a player between two pixels shows a mixture of its two."""

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
    likeness = {name: _likeness(frames, background, name) for name in OWN}
    found: dict[str, np.ndarray] = {}
    # A coin in front of the enemy hides it: half of what it covers is granted.
    likeness["enemy"] = np.maximum(likeness["enemy"], 0.5 * likeness["coin"])
    for name, share in (("player", PLAYER_SHARE), ("enemy", ENEMY_SHARE)):
        found[f"{name}_x"], found[f"{name}_y"] = _place(likeness[name], name, share).T
    if coins is None:
        return {**found, **_search_coins(likeness["coin"], size)}
    return {**found, **_look_up_coins(likeness["coin"], coins, size)}


def count_players(frames: np.ndarray, background: np.ndarray, most: int = 2) -> np.ndarray:
    """How many players each picture shows, `[T]` int; arguments are those of `read`.

    Looks for the best one, wipes it out, and looks again, at most `most` times.
    """
    left, count = _likeness(frames, background, "player"), np.zeros(len(frames), int)
    shapes = _shapes("player", frames.shape[1])[0]
    height, width = shapes.shape[1:]
    for _ in range(most):
        x, y, share = _search(left, "player")
        there = share >= PLAYER_SHARE
        count += there
        for t in np.flatnonzero(there):
            row, column = max(0, int(y[t] - height / 2)), max(0, int(x[t] - width / 2))
            left[t, row : row + height + 1, column : column + width + 1] = 0
    return count


def player(frames: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Where the player is, `[T, 2]` float32 centres in pixels at size 64, NaN where absent.

    Args:
      frames: `[T, H, W, 3]` uint8, 64 or 32 pixels a side.
      background: `[H, W, 3]` uint8, the plate without anything that moves.
    """
    return _place(_likeness(frames, background, "player"), "player", PLAYER_SHARE)


def _likeness(frames: np.ndarray, background: np.ndarray, name: str) -> np.ndarray:
    """How much of a thing's colours shows in each pixel, `[T, H, W]` in [0, 1]."""
    return np.max([unmix(frames, background, np.array(c)) for c in OWN[name]], axis=0)


def _place(likeness: np.ndarray, name: str, share: float) -> np.ndarray:
    """Where a thing is, `[T, 2]` float32 in pixels at size 64, NaN where too little shows."""
    x, y, score = _search(likeness, name)
    places = np.stack([x, y], -1) * (64 / likeness.shape[1])
    places[score < share] = np.nan
    return places.astype(np.float32)


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


def _shapes(name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """How much of its own colour a sprite shows where, in each of its variants.

    Coins stand on whole pixels; what moves is also looked for halfway between them.

    Returns:
      shapes `[V, h, w]` in [0, 1], and from their corners to the sprite's centre `[V, 2]`, x and y.
    """
    masks = [
        np.any([(colours == own).all(-1) for own in OWN[name]], axis=0)
        for colours, _ in hop_draw.sprites(size)[name]
    ]
    masks = np.unique(masks, axis=0).astype(np.float32)[..., None]
    height, width = masks.shape[1:3]
    halves = (0.0,) if name == "coin" else (0.0, 0.5)
    edge = int(name != "coin")
    shapes, centres = [], []
    for mask, right, down in product(masks, halves, halves):
        shape = np.zeros((height + edge, width + edge), np.float32)
        part = hop_draw.between(mask, right, down)[..., 0]
        shape[: part.shape[0], : part.shape[1]] = part
        shapes.append(shape)
        centres.append((width / 2 + right, height / 2 + down))
    return np.stack(shapes), np.array(centres)


def _match(likeness: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How well each shape fits with its corner at each place: a matched filter.

    Args:
      likeness: `[T, H, W]`; beyond its edge there is nothing.
      shapes: `[V, h, w]`.

    Returns:
      Signal, by which fits are compared, and the share of the shape that is filled,
      both `[T, V, H, W]`.
    """
    count, height, width = shapes.shape
    padded = np.pad(likeness, ((0, 0), (0, height - 1), (0, width - 1)))
    filters = shapes.reshape(count, -1).T
    around = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (1, 2))
    total = np.empty((len(likeness), count, *likeness.shape[1:]), np.float32)
    for t, places in enumerate(around):  # one picture at a time: each place copies its neighbours
        fits = places.reshape(-1, height * width) @ filters
        total[t] = fits.T.reshape(total.shape[1:])
    energy = np.square(shapes).sum((1, 2))[:, None, None]
    return total / np.sqrt(energy), total / energy


def _search(likeness: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best place of a thing in each picture: centre x, centre y, share, `[T]` each."""
    shapes, centres = _shapes(name, likeness.shape[1])
    signal, share = _match(likeness, shapes)
    best = signal.reshape(len(signal), -1).argmax(1)
    variant, y, x = np.unravel_index(best, signal.shape[1:])
    right, down = centres[variant].T
    return x + right, y + down, share[np.arange(len(share)), variant, y, x]


def _look_up_coins(
    likeness: np.ndarray, coins: tuple[np.ndarray, np.ndarray], size: int
) -> dict[str, np.ndarray]:
    """Which of the coins with known places are there."""
    coin_x, coin_y = (np.asarray(c, np.float32) for c in coins)
    shapes, centres = _shapes("coin", size)
    share = _match(likeness, shapes)[1].max(1)
    there = np.zeros((len(likeness), len(coin_x)), bool)
    for i in np.flatnonzero(coin_x >= 0):
        x = int(coin_x[i] * size / 64 - centres[0, 0])
        y = int(coin_y[i] * size / 64 - centres[0, 1])
        there[:, i] = share[:, y, x] >= COIN_SHARE
    tile = lambda places: np.tile(places, (len(likeness), 1))  # noqa: E731
    return {"coins": there, "coin_x": tile(coin_x), "coin_y": tile(coin_y)}


def _search_coins(likeness: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """The most certain coins of each picture, each place taken once."""
    left, scale = likeness.copy(), 64 / size
    height, width = _shapes("coin", size)[0].shape[1:]
    found = {"coins": [], "coin_x": [], "coin_y": []}
    for _ in range(COINS):
        x, y, score = _search(left, "coin")
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
