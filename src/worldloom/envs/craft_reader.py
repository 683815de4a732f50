"""Reads the state of Craft off its pictures, exactly from real ones, best guess from dreamed.

Every tile is compared with all tiles that can stand there, in squared error; the
light is that in which the whole view fits best. Knows pictures, no game.
"""

from functools import lru_cache

import numpy as np

from worldloom.envs import craft_draw
from worldloom.envs.craft_draw import FACINGS, GROUNDS, LIGHTS, MIDDLE, TILE, TILES, VIEW
from worldloom.envs.craft_rules import KINDS

_BYTES = TILE * TILE * 3
_CHUNK = 256  # pictures compared at once, for memory's sake


def read(frames: np.ndarray) -> dict[str, np.ndarray]:
    """What pictures show.

    Args:
      frames: `[T, H, W, 3]` uint8, of side 32 or a multiple of it.

    Returns:
      `vitals` `[T, 3]` health, food and drink; `counts` `[T, 12]` and `ever`
      `[T, 12]` bool of the items; `view` `[T, 7, 7]` kinds, the middle being what
      the player stands on; `facing` `[T]` 0 left, 1 right, 2 up, 3 down; `light`
      `[T]` 0 by day to 5 at night; `error` `[T]` the largest root mean squared error
      of a tile, in levels of 256: 0 where the picture is one of the game's own.
    """
    parts = [_read(frames[at : at + _CHUNK]) for at in range(0, max(len(frames), 1), _CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _read(frames: np.ndarray) -> dict[str, np.ndarray]:
    count, times = len(frames), frames.shape[1] // craft_draw.PIXELS
    middle = times // 2
    small = frames[:, middle::times, middle::times]
    tiles = small.reshape(count, TILES, TILE, TILES, TILE, 3).transpose(0, 1, 3, 2, 4, 5)
    tiles = tiles.reshape(count, TILES, TILES, _BYTES).astype(np.float32)
    view, slots = tiles[:, :VIEW, :VIEW].reshape(count, VIEW * VIEW, _BYTES), _slots(tiles)
    kinds, facing, light, view_error = _read_view(view)
    shown, ever, slot_error = _read_slots(slots)
    items = craft_draw.slot_items()
    return {
        "vitals": shown[:, :3],
        "counts": shown[:, items],
        "ever": ever[:, items],
        "view": kinds.reshape(count, VIEW, VIEW),
        "facing": facing,
        "light": light,
        "error": np.sqrt(np.maximum(view_error, slot_error) / _BYTES),
    }


def _slots(tiles: np.ndarray) -> np.ndarray:
    """The tiles of the slots, `[T, 15, 48]`."""
    rows, columns = np.array(craft_draw.SLOT_PLACES).T
    return tiles[:, rows, columns]


def _apart(tiles: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Squared error `[..., N, K]` between tiles `[..., N, 48]` and known ones `[..., K, 48]`.

    Bytes and their sums are whole numbers below 2^24, so that float32 is exact.
    """
    product = tiles @ np.swapaxes(known, -1, -2)
    own, other = (tiles * tiles).sum(-1), (known * known).sum(-1)
    return own[..., :, None] - 2 * product + other[..., None, :]


@lru_cache(maxsize=1)
def _known_view() -> tuple[np.ndarray, np.ndarray]:
    """Tiles of the kinds `[6, 17, 48]` and of the player `[6, 12, 48]`, by light."""
    tiles = craft_draw.view_tiles().reshape(LIGHTS, -1, _BYTES).astype(np.float32)
    return tiles[:, :KINDS], tiles[:, KINDS:]


@lru_cache(maxsize=1)
def _known_slots() -> np.ndarray:
    """Tiles of each slot, `[15, 20, 48]`: never obtained with 0 to 9, then ever."""
    tiles = craft_draw.slot_tiles()
    return tiles.reshape(len(tiles), -1, _BYTES).astype(np.float32)


def _read_view(view: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Kinds `[T, 49]`, facing `[T]`, light `[T]` and the worst tile's squared error `[T]`."""
    count = len(view)
    best, errors = (np.empty((LIGHTS, count, VIEW * VIEW), t) for t in (np.int64, np.float32))
    for light, (kinds, player) in enumerate(zip(*_known_view(), strict=True)):
        apart = _apart(view.reshape(-1, _BYTES), kinds).reshape(count, VIEW * VIEW, KINDS)
        best[light], errors[light] = apart.argmin(-1), apart.min(-1)
        apart = _apart(view[:, MIDDLE], player)
        best[light, :, MIDDLE], errors[light, :, MIDDLE] = apart.argmin(-1), apart.min(-1)
    light, rows = errors.sum(-1).argmin(0), np.arange(count)
    found, error = best[light, rows], errors[light, rows].max(-1)
    ground, facing = np.divmod(found[:, MIDDLE], FACINGS)
    found[:, MIDDLE] = np.array(GROUNDS, np.int64)[ground]
    return found, facing, light, error


def _read_slots(slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts `[T, 15]`, marks `[T, 15]` bool and the worst tile's squared error `[T]`."""
    apart = _apart(np.swapaxes(slots, 0, 1), _known_slots())
    ever, shown = np.divmod(apart.argmin(-1).T, 10)
    return shown, ever.astype(bool), apart.min(-1).max(0)
