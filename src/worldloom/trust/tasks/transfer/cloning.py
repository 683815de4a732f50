"""The one head that is put on every encoder: projected, standardised, one hidden layer.

Features of any width are projected onto their main directions first, so that all heads have
the same parameters. Plain tensors in, plain tensors out; knows no probe and no game.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

DIRECTIONS, HIDDEN = 128, 128
BATCH, RATE, DECAY = 128, 3e-3, 0.1


@dataclass(frozen=True)
class Lens:
    """A projection onto main directions, each scaled to a spread of 1.

    Args:
      middle: `[D]` what is taken off.
      ways: `[D, K]`.
    """

    middle: Tensor
    ways: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """`[B, D]` to `[B, DIRECTIONS]`; missing directions are zero."""
        seen = (features - self.middle) @ self.ways
        return nn.functional.pad(seen, (0, DIRECTIONS - seen.shape[1]))


def fit_lens(features: Tensor) -> Lens:
    """The main directions of features `[B, D]`, found among samples where these are fewer."""
    middle = features.mean(0)
    centred = (features - middle).double()
    wide = centred.shape[1] > len(centred)
    square = centred @ centred.T if wide else centred.T @ centred
    power, found = torch.linalg.eigh(square)
    kept = int((power > 1e-6 * power[-1]).sum().clamp(1, DIRECTIONS))
    power, found = power[-kept:].clamp(min=1e-9), found[:, -kept:]
    ways = centred.T @ found / power.sqrt() if wide else found
    spread = (power / len(centred)).sqrt().clamp(min=1e-6)
    return Lens(middle, (ways / spread).to(features.dtype))


Policy = Callable[[Tensor], Tensor]
"""What is seen `[B, ...]` to logits `[B, C]`."""


class Heads(nn.Module):
    """K networks of one hidden layer that learn side by side, each from its own rows.

    Args:
      count: K.
      choices: C.
    """

    def __init__(self, count: int, choices: int) -> None:
        super().__init__()
        draw = lambda rows, columns: torch.randn(count, rows + 1, columns) / rows**0.5  # noqa: E731
        self.hidden = nn.Parameter(draw(DIRECTIONS, HIDDEN))
        self.out = nn.Parameter(0.1 * draw(HIDDEN, choices))

    def forward(self, seen: Tensor) -> Tensor:
        """`[K, B, DIRECTIONS]` to `[K, B, C]`."""
        pad = nn.functional.pad
        inner = nn.functional.silu(pad(seen, (0, 1), value=1.0) @ self.hidden)
        return pad(inner, (0, 1), value=1.0) @ self.out

    def one(self, index: int) -> Policy:
        """The network of one number."""
        alone = Heads(1, self.out.shape[2]).requires_grad_(False)
        alone.hidden.copy_(self.hidden[index : index + 1])
        alone.out.copy_(self.out[index : index + 1])
        return lambda seen: alone(seen[None])[0]


def clone(
    lessons: Sequence[tuple[Tensor, Tensor]], choices: int, *, steps: int, seed: int
) -> list[Policy]:
    """A head for each lesson, which does what was wanted there.

    Args:
      lessons: what a lens shows `[N, DIRECTIONS]`, and what was done there `[N]` int64.
      choices: how many there are.
      steps: updates.
      seed: of weights and batches.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heads = Heads(len(lessons), choices)

    def batch(dice: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = [torch.randint(len(wanted), (BATCH,), generator=dice) for _, wanted in lessons]
        parts = [(s[r], w[r]) for (s, w), r in zip(lessons, rows, strict=True)]
        seen, wanted = zip(*parts, strict=True)
        return torch.stack(seen), torch.cat(wanted)

    imitate(heads, batch, steps=steps, seed=seed)
    return [heads.one(index) for index in range(len(lessons))]


def imitate(
    policy: nn.Module,
    batch: Callable[[torch.Generator], tuple[Tensor, Tensor]],
    *,
    steps: int,
    seed: int,
) -> None:
    """Trains a policy on what was wanted, by cross entropy.

    Args:
      policy: to logits `[..., C]`.
      batch: draws what it sees, and what was wanted `[B]` int64.
      steps: updates.
      seed: of the batches.
    """
    dice = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), RATE, weight_decay=DECAY)
    for _ in range(steps):
        seen, wanted = batch(dice)
        loss = nn.functional.cross_entropy(policy(seen).flatten(0, -2), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    policy.eval().requires_grad_(False)


def fit_line(seen: Tensor, target: Tensor) -> Tensor:
    """`[DIRECTIONS + 1, K]` ridge regression of targets `[B, K]`, to be given to `follow`."""
    wide = nn.functional.pad(seen, (0, 1), value=1.0).double()
    square = wide.T @ wide + 1e-3 * len(wide) * torch.eye(wide.shape[1], dtype=torch.float64)
    return torch.linalg.solve(square, wide.T @ target.double()).float()


def follow(line: Tensor, seen: Tensor) -> Tensor:
    """`[B, K]` what a line of `fit_line` reads."""
    return nn.functional.pad(seen, (0, 1), value=1.0) @ line


def choose(logits: Tensor, share: Tensor) -> Tensor:
    """Draws a choice of each row.

    Args:
      logits: `[B, C]`.
      share: `[B]` in [0, 1), the same for all systems that are compared.
    """
    total = logits.softmax(1).cumsum(1)
    return (total < share[:, None] * total[:, -1:]).sum(1).clamp(max=logits.shape[1] - 1)
