"""Outcomes on paper: pictures of what may be next, of which each is given a weight.

Every outcome of a chance of 2% or more is among them, and at most as many that cannot be.
Knows questions and files; the marks are those of any other sitting.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from worldloom import seeding
from worldloom.envs.craft_rules import ACTION_NAMES
from worldloom.envs.hop import KEYS
from worldloom.trust.paper import Malformed, is_number, picture, sheet
from worldloom.trust.task import Answer
from worldloom.trust.tasks.outcomes import drawn
from worldloom.trust.tasks.outcomes.chances import RARE, Question, Thrower

TIMES = 6
"""How many times a picture is enlarged."""
TRIES = 64
"""Throws in which what cannot be is looked for."""
HOW = (
    "The first file of each question shows the last frames of a small game, in the order in which "
    "one reads. Then `ahead` is done, frame by frame. The game throws dice: several things can "
    "follow. Each other file shows what may or may not be the last frame, when all is done. How "
    "likely is each? An answer is a list of numbers that are not negative, one for each of these "
    "files in their order; they need not add up to anything, and not all are 0."
)


def candidates(question: Question, seed: int) -> np.ndarray:
    """`[K, 32, 32, 3]` last frames to choose from, in an order that tells nothing."""
    found = question.futures
    ends = list(found.films[found.chance >= RARE[0], -1])
    wanted, wild = 2 * len(ends), Thrower("what cannot be", "wild")
    for number in range(TRIES):
        values = {"action": question.ahead}
        end = wild.imagine(question.told, values, len(question.ahead), number)[-1]
        new = all(not np.array_equal(end, other) for other in ends)
        if new and drawn.place(found, end[None]).which[0] < 0:
            ends.append(end)
        if len(ends) == wanted:
            break
    return np.stack(ends)[seeding.rng(seed, "paper").permutation(len(ends))]


def ask(question: Question, seed: int, folder: Path) -> Mapping[str, Any]:
    """Writes what was seen and what may follow; returns what is asked of it."""
    names = [picture(sheet(question.frames, 3), folder / "shown.png", TIMES)]
    names += [
        picture(end, folder / f"{index:02d}.png", TIMES)
        for index, end in enumerate(candidates(question, seed), 1)
    ]
    return {"files": names, "ahead": [_words(action) for action in question.ahead]}


def _words(action: np.ndarray) -> str:
    """An action of either game."""
    if action.ndim:
        return " and ".join(k for k, held in zip(KEYS, action, strict=True) if held) or "nothing"
    return ACTION_NAMES[int(action)]


def blank(question: Question, seed: int) -> list[float]:
    """All alike."""
    return [1.0] * len(candidates(question, seed))


def mark(question: Question, seed: int, answer: Any, count: int) -> Answer:
    """What weights are worth, as of so many samples that are drawn by them.

    Raises:
      Malformed: they are no such weights.
    """
    ends = candidates(question, seed)
    form = f"a list of {len(ends)} numbers, none negative and not all 0"
    good = isinstance(answer, list) and len(answer) == len(ends) and all(map(is_number, answer))
    weight = np.array(answer if good else [-1], np.float64)
    if (weight < 0).any() or weight.sum() <= 0:
        raise Malformed(f"expected {form}, found {answer!r:.60}")
    return drawn.weigh(question.futures, ends, weight / weight.sum(), count)
