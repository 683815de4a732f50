"""Which actions were done, read off pictures by one who learned it on real ones.

An action is a few questions with few answers each (this key: up or down; this choice: which;
this axis: back, still or forth), so that being right means the same for every kind of action.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldloom import seeding
from worldloom.actions import ActionSpec, Binary, Categorical, Continuous
from worldloom.data.store import Store
from worldloom.trust.recorded import Keys, camera_of
from worldloom.trust.tasks.reading import glance
from worldloom.trust.tasks.reading.glance import Glance

FRAMES = 3
"""In a row, of which an action led to the last; the first tells what moved before."""
STRETCH, BATCH = 64, 64
STILL = 0.05  # of an axis' half range: less is still
RARE = 8  # times that an answer must have been right before it counts as mistaken
LEAST = 0.02  # share of an answer below which it weighs no more


@dataclass(frozen=True)
class Question:
    """One thing that can be asked about an action.

    Args:
      label: for people.
      component: name of the action's component.
      place: in the component's values, flattened.
      answers: how many.
    """

    label: str
    component: str
    place: int
    answers: int


def questions(spec: ActionSpec) -> list[Question]:
    """All that can be asked about one frame's action."""
    found = []
    for c in spec.components:
        parts = int(np.prod(spec.shape(c)))
        for place in range(parts):
            if isinstance(c, Categorical):
                label, answers = c.name, c.n
            elif isinstance(c, Binary):
                label, answers = c.keys[place % len(c.keys)], 2
            else:
                label, answers = f"{c.name} {place % len(c.low)}", 3
            early = "" if spec.per_frame == 1 else f" {place * spec.per_frame // parts + 1}"
            found.append(Question(f"{label}{early}", c.name, place, answers))
    return found


def answers(spec: ActionSpec, actions: Keys) -> np.ndarray:
    """The right answers `[T, Q]` int64 about actions `[T, ...]`."""
    columns = []
    for c in spec.components:
        values = np.asarray(actions[c.name]).reshape(len(actions[c.name]), -1)
        if isinstance(c, Continuous):
            low, high = (np.tile(np.asarray(x), spec.per_frame) for x in (c.low, c.high))
            edge = STILL * (high - low) / 2
            rest = np.tile(c.null_value(), spec.per_frame)
            values = 1 + (values > rest + edge) - (values < rest - edge).astype(int)
        columns.append(values.astype(np.int64))
    return np.concatenate(columns, 1)


@dataclass(frozen=True)
class Reader:
    """One who has learned to read actions.

    Args:
      net: says a number for each answer to each question.
      asked: the questions.
    """

    net: Glance
    asked: tuple[Question, ...]

    def read(self, films: np.ndarray) -> np.ndarray:
        """Answers `[N, T - 2, Q]` about films `[N, T, H, W, 3]`, from the third frame on."""
        said = glance.say(self.net, films, FRAMES)
        parts = np.split(said, np.cumsum([q.answers for q in self.asked])[:-1], -1)
        return np.stack([part.argmax(-1) for part in parts], -1)


def train(store: Store, *, episodes: int, updates: int, seed: int) -> Reader | None:
    """Learns to read actions off stretches of the training episodes; None where none are known.

    Args:
      store: of recordings whose actions are known.
      episodes: at most so many, one stretch each.
      updates: how long it learns.
      seed: of the choice and of the network.
    """
    spec = store.info.action
    asked = tuple(questions(spec))
    films, right = _stretches(store, episodes, seed)
    places = [(i, t) for i, some in enumerate(right) for t in np.flatnonzero(some[:, 0] >= 0)]
    if not places:
        return None
    every = np.concatenate([some[some[:, 0] >= 0] for some in right])
    weights = [_weights(every[:, i], q.answers) for i, q in enumerate(asked)]

    def lessons(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        drawn = [places[i] for i in rng.integers(len(places), size=BATCH)]
        shown = np.stack([films[i][t - FRAMES + 1 : t + 1] for i, t in drawn])
        return torch.from_numpy(shown), torch.from_numpy(np.stack([right[i][t] for i, t in drawn]))

    def loss(said: Tensor, true: Tensor) -> Tensor:
        parts = said.split([q.answers for q in asked], -1)
        losses = [
            torch.nn.functional.cross_entropy(part, true[:, i], weight=weights[i])
            for i, part in enumerate(parts)
        ]
        return torch.stack(losses).mean()

    outputs = sum(q.answers for q in asked)
    return Reader(glance.learn(FRAMES, outputs, lessons, loss, updates=updates, seed=seed), asked)


def _stretches(
    store: Store, episodes: int, seed: int
) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
    """Frames of training episodes, and answers `[T, Q]`, -1 where nobody knows."""
    rng = seeding.rng(seed, "stretches")
    names = [name for name in store.split("train") if store.row(name).length > FRAMES]
    films, right = [], []
    for i in rng.permutation(len(names))[:episodes]:
        length = store.row(names[i]).length
        start = int(rng.integers(max(0, length - STRETCH) + 1))
        episode = store.read(names[i], start, min(length, start + STRETCH))
        known = np.array(episode.action_known)
        known[: FRAMES - 1] = False
        films.append(episode.frames[camera_of(store)])
        right.append(np.where(known[:, None], answers(store.info.action, episode.actions), -1))
    return films, right


def _weights(right: np.ndarray, count: int) -> Tensor:
    """`[answers]` such that rare answers weigh as much as common ones."""
    share = np.bincount(right, minlength=count) / len(right)
    return torch.from_numpy(1 / (count * np.maximum(share, LEAST))).float()


def tally(right: np.ndarray, read: np.ndarray, asked: Sequence[Question]) -> np.ndarray:
    """`[2, A]` for each answer to each question: how often it was right and read, and right.

    Args:
      right: `[T, Q]`, -1 where nobody knows.
      read: `[T, Q]`.
      asked: Q questions with A answers in all.
    """
    parts = []
    for i, question in enumerate(asked):
        known = right[:, i] >= 0
        true, said = right[known, i], read[known, i]
        hits = np.bincount(true[true == said], minlength=question.answers)
        parts.append(np.stack([hits, np.bincount(true, minlength=question.answers)]))
    return np.concatenate(parts, 1)


def balanced(sums: np.ndarray, asked: Sequence[Question]) -> np.ndarray:
    """How well each question is answered: the mean over its answers of the share that is read.

    Guessing gives one over the number of answers, whatever is pressed most.

    Args:
      sums: `[..., 2, A]` of `tally`.
      asked: Q questions.

    Returns:
      `[..., Q]`; an answer that never was right does not count.
    """
    hits, count = sums[..., 0, :], sums[..., 1, :]
    share = np.divide(hits, count, out=np.zeros(count.shape), where=count > 0)
    there = (count > 0).astype(float)
    edges = np.cumsum([0, *(q.answers for q in asked)])[:-1]
    return np.add.reduceat(share, edges, -1) / np.maximum(np.add.reduceat(there, edges, -1), 1)


def confusion(right: np.ndarray, read: np.ndarray, asked: Sequence[Question]) -> np.ndarray:
    """`[A2]` how often each answer was read where another, or it, was right, question by question.

    Args:
      right: `[T, Q]`, -1 where nobody knows.
      read: `[T, Q]`.
      asked: Q questions; A2 is the sum of the squares of their numbers of answers.
    """
    parts = []
    for i, question in enumerate(asked):
        known = right[:, i] >= 0
        n = question.answers
        parts.append(np.bincount(right[known, i] * n + read[known, i], minlength=n * n))
    return np.concatenate(parts)


def mistaken(sums: np.ndarray, asked: Sequence[Question]) -> np.ndarray:
    """How much more often an answer is read where another is right than elsewhere.

    Args:
      sums: `[..., A2]` of `confusion`.
      asked: the questions.

    Returns:
      `[..., A2]`, -1 where both are the same, or where either occurs too seldom to say.
    """
    parts = []
    edges = np.cumsum([q.answers**2 for q in asked])[:-1]
    for question, part in zip(asked, np.split(sums, edges, -1), strict=True):
        n = question.answers
        table = part.reshape(*part.shape[:-1], n, n)  # [..., right, read]
        times = table.sum(-1, keepdims=True)
        others = table.sum(-2, keepdims=True) - table
        apart = table / np.maximum(times, 1) - others / np.maximum(
            times.sum(-2, keepdims=True) - times, 1
        )
        enough = times >= RARE
        apart = np.where(enough & ~np.eye(n, dtype=bool), apart, -1.0)
        parts.append(apart.reshape(part.shape))
    return np.concatenate(parts, -1)
