"""A small network that looks at a few frames and says something: all that look-at-it tests need.

What it looks for may be anywhere: features of small patches, their mean and their largest.
Knows frames; no probe, no task.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from worldloom import seeding

SIDE = 64  # larger pictures are averaged down to about this
WIDTH, HIDDEN = 8, 64
RATE = 4e-3

Lessons = Callable[[np.random.Generator], tuple[Tensor, Tensor]]
"""Draws a batch: frames `[B, K, H, W, 3]` uint8, and what is to be said of them."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""From what was said `[B, outputs]` and what is right to one number."""


class Glance(nn.Module):
    """Looks at K frames in a row.

    Args:
      frames: K.
      outputs: numbers that it says.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, frames: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3 * frames, 1, 1))
        self.register_buffer("spread", torch.ones(3 * frames, 1, 1))
        sizes = (3 * frames, WIDTH, 2 * WIDTH, 2 * WIDTH)
        layers: list[nn.Module] = []
        for inner, outer in pairwise(sizes):
            layers += [nn.Conv2d(inner, outer, 4, stride=2, padding=1), nn.SiLU()]
        self.seen = nn.Sequential(*layers)
        self.said = nn.Sequential(
            nn.Linear(4 * WIDTH, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, outputs)
        )

    def forward(self, shown: Tensor) -> Tensor:
        """`[B, K, H, W, 3]` in [0, 255] to `[B, outputs]`."""
        patches = self.seen((_channels(shown) - self.mean) / self.spread).flatten(2)
        return self.said(torch.cat([patches.mean(-1), patches.amax(-1)], -1))

    @torch.no_grad()
    def get_used_to(self, shown: Tensor) -> None:
        """From now on colours and changes of the size of these are nothing special."""
        x = _channels(shown)
        self.mean.copy_(x.mean((0, 2, 3))[:, None, None])
        self.spread.copy_(x.std((0, 2, 3)).clamp(min=1e-2)[:, None, None])


def _channels(shown: Tensor) -> Tensor:
    """`[B, 3 K, h, w]`: the newest frame, and every change from one to the next."""
    x = shown.float() / 255
    x = torch.cat([x[:, -1:], x[:, 1:] - x[:, :-1]], 1)
    return _smaller(x.permute(0, 1, 4, 2, 3).flatten(1, 2))


def _smaller(x: Tensor) -> Tensor:
    """`[B, C, H, W]` averaged down so that no side is much larger than `SIDE`."""
    factor = -(-max(x.shape[-2:]) // SIDE)
    return x if factor == 1 else functional.avg_pool2d(x, factor, ceil_mode=True)


def learn(
    frames: int, outputs: int, lessons: Lessons, loss: Loss, *, updates: int, seed: int
) -> Glance:
    """A network that has learned from lessons; a function of its arguments.

    Args:
      frames: that it looks at.
      outputs: numbers that it says.
      lessons: to learn from.
      loss: to make small.
      updates: how many batches.
      seed: of its first weights and of the lessons.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seeding.stream(seed, "weights"))
        net = Glance(frames, outputs)
    rng = seeding.rng(seed, "lessons")
    net.get_used_to(lessons(rng)[0])
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, updates)
    with torch.enable_grad():
        for _ in range(updates):
            shown, right = lessons(rng)
            optimizer.zero_grad()
            loss(net(shown), right).backward()
            optimizer.step()
            schedule.step()
    return net.eval().requires_grad_(False)


@torch.no_grad()
def say(net: Glance, films: np.ndarray, frames: int) -> np.ndarray:
    """What a network says of every stretch of `frames` frames of films.

    Args:
      net: that has learned.
      films: `[N, T, H, W, 3]` uint8.
      frames: K.

    Returns:
      `[N, T - K + 1, outputs]`, each at the last of its frames.
    """
    shown = torch.from_numpy(films)
    steps = range(films.shape[1] - frames + 1)
    return torch.stack([net(shown[:, t : t + frames]) for t in steps], 1).numpy()
