"""What stands where: the state read off pictures, for environments whose reader is exact.

Knows, for each built-in game, which reader tells things from pixels and which
errors are tolerable. The same reader reads every row, the real frames
included, so its own mistakes stand in the table beside those of the dream.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from worldloom.data.types import Episode
from worldloom.envs import HOP, hop_reader

NEAR = 4.0
"""Pixels at size 64 by which a thing may be misplaced and still count as right."""


@dataclass(frozen=True)
class Things:
    """Where each thing is in each frame.

    Args:
      names: one for each of K things; those that share a name are of one kind.
      xy: `[T, K, 2]` float32 centres in pixels of a picture 64 wide, NaN where absent.
    """

    names: tuple[str, ...]
    xy: np.ndarray

    @property
    def there(self) -> np.ndarray:
        """`[T, K]` bool: the thing is in the picture."""
        return np.asarray(np.isfinite(self.xy).all(-1))


@dataclass(frozen=True)
class StateReader:
    """How the state of one environment is known and read.

    Args:
      info: ground truth that a recording must hold.
      truth: the things of a recorded stretch, from its ground truth.
      read: the same things off frames `[T, H, W, 3]`, given the plate
        `[H, W, 3]` and the things of the truth (for what never moves).
      deciding: names of the things that decide the usable horizon.
      words: what is wrong with a thing, by (name, "moved" | "gone" | "ghost").
    """

    info: frozenset[str]
    truth: Callable[[Episode], Things]
    read: Callable[[np.ndarray, np.ndarray, Episode], Things]
    deciding: frozenset[str]
    words: Mapping[tuple[str, str], str]


def reader_of(env: str) -> StateReader | None:
    """The exact reader of an environment's pictures, None where there is none."""
    return HOP_READER if env == HOP else None


def faults(truth: Things, seen: Things) -> dict[str, np.ndarray]:
    """What is wrong with each thing in each frame, `[T, K]` bool by kind of fault.

    `moved`: seen more than 4 px away; `gone`: not seen though there; `ghost`:
    seen though not there. At most one of them holds.
    """
    here, there = truth.there, seen.there
    apart = np.hypot(*np.moveaxis(seen.xy - truth.xy, -1, 0))
    return {
        "moved": here & there & (np.nan_to_num(apart) > NEAR),
        "gone": here & ~there,
        "ghost": ~here & there,
    }


def out_of_tolerance(truth: Things, seen: Things, deciding: frozenset[str]) -> np.ndarray:
    """Frames in which any deciding thing is moved, gone or a ghost, `[T]` bool."""
    matter = np.array([name in deciding for name in truth.names])
    wrong = np.any(list(faults(truth, seen).values()), axis=0)
    return wrong[:, matter].any(-1)


def _hop_truth(episode: Episode) -> Things:
    info = episode.info
    player = np.stack([info["player_x"], info["player_y"]], -1)
    enemy = np.stack([info["enemy_x"], info["enemy_y"]], -1).astype(np.float32)
    enemy[~np.asarray(info["enemy_alive"], bool)] = np.nan
    coins = _coins(info["coin_x"], info["coin_y"], info["coins"])
    return _hop_things(player, enemy, coins)


def _hop_read(frames: np.ndarray, plate: np.ndarray, episode: Episode) -> Things:
    places = episode.info["coin_x"][0], episode.info["coin_y"][0]
    seen = hop_reader.read(frames, plate, places)
    player = np.stack([seen["player_x"], seen["player_y"]], -1)
    enemy = np.stack([seen["enemy_x"], seen["enemy_y"]], -1)
    return _hop_things(player, enemy, _coins(seen["coin_x"], seen["coin_y"], seen["coins"]))


def _coins(x: np.ndarray, y: np.ndarray, there: np.ndarray) -> np.ndarray:
    """`[T, N, 2]` places of the coins, NaN where one is taken or never was."""
    xy = np.stack([x, y], -1).astype(np.float32)
    xy[~np.asarray(there, bool)] = np.nan
    return xy


def _hop_things(player: np.ndarray, enemy: np.ndarray, coins: np.ndarray) -> Things:
    xy = np.concatenate([player[:, None], enemy[:, None], coins], 1).astype(np.float32)
    return Things(("player", "enemy", *["coin"] * coins.shape[1]), xy)


HOP_READER = StateReader(
    info=frozenset(
        {"player_x", "player_y", "enemy_x", "enemy_y", "enemy_alive", "coins", "coin_x", "coin_y"}
    ),
    truth=_hop_truth,
    read=_hop_read,
    deciding=frozenset({"player", "coin"}),
    words={
        ("player", "moved"): "the player is in the wrong place",
        ("player", "gone"): "the player has vanished",
        ("player", "ghost"): "there is a player who should not be there",
        ("enemy", "moved"): "the enemy is in the wrong place",
        ("enemy", "gone"): "the enemy has vanished, though nobody squashed it",
        ("enemy", "ghost"): "the enemy walks on after it was squashed",
        ("coin", "moved"): "a coin is in the wrong place",
        ("coin", "gone"): "a coin has vanished that nobody took",
        ("coin", "ghost"): "a coin is still there after it was taken",
    },
)
