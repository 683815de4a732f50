"""What can never be seen in an environment, for those whose rules are known.

Knows, for each built-in game, which module looks for breaches in pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from worldloom.data.types import Episode
from worldloom.envs import HOP, hop_rules
from worldloom.envs.hop_level import Level, make_level


@dataclass(frozen=True)
class Rules:
    """How breaches are found in the pictures of one environment.

    Args:
      names: of the rules.
      info: ground truth that a recording must hold.
      broken: frames `[T, H, W, 3]`, plate `[H, W, 3]` and the recording that they began
        with, to how often each rule is broken in each frame `[T, R]`.
      over: from the same, how many of the frames belong to the game before it is over.
    """

    names: tuple[str, ...]
    info: frozenset[str]
    broken: Callable[[np.ndarray, np.ndarray, Episode], np.ndarray]
    over: Callable[[np.ndarray, np.ndarray, Episode], int]


def rules_of(env: str) -> Rules | None:
    """The rules of an environment, None where nobody wrote them down."""
    return HOP_RULES if env == HOP else None


def _level(episode: Episode) -> Level:
    return make_level(int(episode.info["level"][0]))


def _hop_broken(frames: np.ndarray, plate: np.ndarray, episode: Episode) -> np.ndarray:
    found = hop_rules.broken(frames, plate, _level(episode))
    return np.stack([found[rule] for rule in hop_rules.RULES], 1)


def _hop_over(frames: np.ndarray, plate: np.ndarray, episode: Episode) -> int:
    return hop_rules.over(frames, plate, _level(episode))


HOP_RULES = Rules(hop_rules.RULES, frozenset({"level"}), _hop_broken, _hop_over)
