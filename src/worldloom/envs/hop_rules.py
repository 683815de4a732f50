"""What can never be seen in Hop, looked for in its pictures, real or dreamed.

Three rules that every real game keeps: there is one player; it is never inside
the ground; a coin that was taken does not come back. Reads pixels with
`hop_reader`; knows a level, no world and no truth of a moment.
"""

import numpy as np

from worldloom.envs import hop_reader
from worldloom.envs.hop_level import SOLID, Level

RULES = ("one player", "outside solids", "coins stay taken")

PLAYER, ENEMY = (6, 8), (8, 6)  # width and height in pixels at size 64
# What is read off a picture may be off by a pixel or two: less is not inside the ground.
INSIDE = 3.0
# A coin counts as gone, or as there, once it was read so on this many frames running.
SURE = 2


def broken(frames: np.ndarray, plate: np.ndarray, level: Level) -> dict[str, np.ndarray]:
    """Where each rule is broken.

    The first two are states, broken in every frame that shows them; a coin that comes back
    breaks the third once, in the frame from which it is surely there again.

    Args:
      frames: `[T, H, W, 3]` uint8 of one game, 32 or 64 pixels a side.
      plate: `[H, W, 3]` uint8 the level without anything that moves.
      level: that is played.

    Returns:
      Rule to the number of times it is broken in each frame, `[T]` int.
    """
    seen = hop_reader.read(frames, plate, _places(level))
    return {
        "one player": (hop_reader.count_players(frames, plate) != 1).astype(int),
        "outside solids": _inside(seen["player_x"], seen["player_y"], level).astype(int),
        "coins stay taken": _returns(seen["coins"][:, : len(level.coins)]),
    }


def over(frames: np.ndarray, plate: np.ndarray, level: Level) -> int:
    """Frames until the game must be over, as far as can be seen: all T where it goes on.

    It is over with the frame in which player and enemy touch, or the last coin is gone. An
    enemy that is squashed is not drawn any more, and so is not touched.
    """
    seen = hop_reader.read(frames, plate, _places(level))
    apart_x = np.abs(seen["player_x"] - seen["enemy_x"])
    apart_y = np.abs(seen["player_y"] - seen["enemy_y"])
    reach_x, reach_y = (np.add(PLAYER, ENEMY) / 2).tolist()
    touch = (apart_x < reach_x) & (apart_y < reach_y)
    none = ~_surely(seen["coins"][:, : len(level.coins)]).any(1)
    end = touch | none
    return int(end.argmax()) + 1 if end.any() else len(frames)


def _places(level: Level) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the level's coins in pixels at size 64, x and y."""
    spots = np.array(level.coins, np.float32)
    return spots[:, 1] * 8 + 4, spots[:, 0] * 8 + 4


def _inside(x: np.ndarray, y: np.ndarray, level: Level) -> np.ndarray:
    """`[T]` whether the player's box reaches into any solid tile, by more than a reading errs."""
    rows, columns = np.nonzero(level.tiles == SOLID)
    apart_x = np.abs(x[:, None] - (columns * 8 + 4))
    apart_y = np.abs(y[:, None] - (rows * 8 + 4))
    reach_x, reach_y = 4 + PLAYER[0] / 2 - INSIDE, 4 + PLAYER[1] / 2 - INSIDE
    return np.asarray(((apart_x < reach_x) & (apart_y < reach_y)).any(1))


def _surely(there: np.ndarray) -> np.ndarray:
    """`[T, N]` bool readings, each changed only by `SURE` equal ones in a row."""
    held = there.copy()
    for t in range(1, len(there)):
        recent = there[max(0, t - SURE + 1) : t + 1]
        steady = (recent == recent[0]).all(0) & (len(recent) == SURE)
        held[t] = np.where(steady, there[t], held[t - 1])
    return held


def _returns(there: np.ndarray) -> np.ndarray:
    """`[T]` how many coins come back in each frame."""
    held = _surely(there)
    back = np.zeros(len(there), int)
    back[1:] = (held[1:] & ~held[:-1]).sum(1)
    return back
