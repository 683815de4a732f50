"""Reading floor plans off frozen states: one bilinear head for doors, one for areas, one for rooms.

The same heads, the same budget and the same stopping rule for every encoder. Knows
arrays; neither probes nor apartments.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from worldloom.envs.rooms_plan import PALETTE

PAIRS = np.triu_indices(PALETTE, 1)
"""Two colours each, 120 pairs: the order of all that is said about doors."""
UPDATES, CHECK = 200, 5  # whole passes over the training worlds; how often the others are asked
RATE = 1e-2
HEADS = ("doors", "areas", "rooms")


@dataclass(frozen=True)
class Lesson:
    """Facts about B worlds, by colour; what is not known of a world does not count.

    Args:
      door: `[B, 120]` float32 1 or 0 for each pair, NaN where not asked.
      area: `[B, 16]` float32 logarithm of cells, NaN where not seen.
      rooms: `[B]` float32.
    """

    door: Tensor
    area: Tensor
    rooms: Tensor


class PlanHeads(nn.Module):
    """Doors, areas and the number of rooms: each linear in the state, for each pair or colour.

    They begin at 0, so nothing is left to chance.

    Args:
      features: `[B, D]` of the training worlds, whose mean and spread become 0 and 1.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        spread = features.std(0, correction=0)
        self.register_buffer("mean", features.mean(0))
        self.register_buffer("spread", torch.where(spread > 1e-6, spread, 1.0))
        self.doors, self.areas, self.rooms = (
            nn.Linear(features.shape[1], outputs) for outputs in (len(PAIRS[0]), PALETTE, 1)
        )
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Door logits `[B, 120]`, log areas `[B, 16]` and rooms `[B]`, of states `[B, D]`."""
        seen = (features - self.mean) / self.spread
        return self.doors(seen), self.areas(seen), self.rooms(seen)[:, 0]


@dataclass(frozen=True)
class Reader:
    """Heads that have learned, and where a logit becomes a door.

    Args:
      heads: the best of all that were tried on worlds apart.
      threshold: chosen on these worlds.
    """

    heads: PlanHeads
    threshold: float

    @torch.no_grad()
    def read(self, features: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Doors `[B, 16, 16]` bool, areas `[B, 16]` in cells, rooms `[B]`, of states `[B, D]`."""
        logits, areas, rooms = self.heads(features.float())
        doors = np.zeros((len(features), PALETTE, PALETTE), bool)
        doors[:, *PAIRS] = (logits > self.threshold).numpy()
        return doors | doors.swapaxes(1, 2), areas.exp().numpy(), rooms.numpy()


def learn(train: tuple[Tensor, Lesson], dev: tuple[Tensor, Lesson]) -> Reader:
    """Trains the heads, keeps each where it is best on the worlds apart, and sets the threshold.

    Args:
      train: states `[B, D]` and what is known of their worlds.
      dev: the same of worlds that are not learned from.
    """
    heads = PlanHeads(train[0].float())
    with torch.no_grad():
        heads.areas.bias.fill_(train[1].area.nanmean())
        heads.rooms.bias.fill_(train[1].rooms.mean())
    optimizer = torch.optim.Adam(heads.parameters(), lr=RATE)
    best = [float("inf")] * len(HEADS)
    kept: dict[str, dict[str, Tensor]] = {}
    for update in range(UPDATES + 1):
        if update % CHECK == 0:
            with torch.no_grad():
                losses = _losses(heads, *dev).tolist()
            for i, name in enumerate(HEADS):
                if losses[i] < best[i]:
                    weights = heads.get_submodule(name).state_dict()
                    best[i], kept[name] = losses[i], {k: v.clone() for k, v in weights.items()}
        optimizer.zero_grad()
        _losses(heads, *train).sum().backward()
        optimizer.step()
    for name, weights in kept.items():
        heads.get_submodule(name).load_state_dict(weights)
    with torch.no_grad():
        logits = heads(dev[0].float())[0]
    asked = ~dev[1].door.isnan()
    return Reader(heads, _threshold(logits[asked].numpy(), dev[1].door[asked].numpy() > 0.5))


def _losses(heads: PlanHeads, features: Tensor, lesson: Lesson) -> Tensor:
    """`[3]` one for each of `HEADS`; what is not known weighs nothing."""
    doors, areas, rooms = heads(features.float())
    asked, seen = ~lesson.door.isnan(), ~lesson.area.isnan()
    door = functional.binary_cross_entropy_with_logits(
        doors, lesson.door.nan_to_num(), weight=asked / asked.sum(), reduction="sum"
    )
    area = ((areas - lesson.area.nan_to_num()).square() * seen).sum() / seen.sum()
    return torch.stack([door, area, functional.mse_loss(rooms, lesson.rooms)])


def _threshold(logits: np.ndarray, door: np.ndarray) -> float:
    """The value above which the guesses have the largest Matthews correlation."""
    tried = np.quantile(logits, np.linspace(0.02, 0.98, 49))
    scores = [float(matthews(confusion(logits > t, door))) for t in tried]
    return float(tried[int(np.argmax(scores))])


def confusion(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """`[4]` how many are right doors, invented ones, missed ones, right gaps."""
    parts = (guess & truth, guess & ~truth, ~guess & truth, ~guess & ~truth)
    return np.array([part.sum() for part in parts], np.float64)


def matthews(counts: np.ndarray) -> np.ndarray:
    """Matthews correlation `[...]` of `confusion` `[..., 4]`; 0 where it is undefined."""
    tp, fp, fn, tn = np.moveaxis(counts, -1, 0)
    under = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.divide(tp * tn - fp * fn, under, out=np.zeros(under.shape), where=under > 0)
