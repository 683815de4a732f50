"""Doubt: how likely it is that the frame a step has just made is wrong.

A frame is drawn from what may come, and what will come is another draw of the same. So the
squared error to expect of each token is how far the draw lies from the middle of what may
come, plus how far what will come lies from there. The first is known when the frame is
drawn: the first pass sees nothing but noise and predicts that middle. The second is learned:
several light heads read what the world's own head read in that pass, and what differs
between the heads is what they have not seen enough of. No pass of the world is added, and
nothing that it computes is changed.

A score of any kind becomes a probability by a monotone table, fitted on episodes that
neither the world nor the heads have learned from.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldloom.models.draw import Made
from worldloom.seeding import generator

KINDS = ("heads", "gap", "near", "spread")
CHEAP = ("heads", "gap", "near")  # a step costs what it did; the others draw frames anew
_AGAIN = 3  # what the noise of a frame is for: further draws of it


class Heads(nn.Module):
    """Light heads that tell how far the world's first guess will lie from what comes.

    Args:
      width: of what they read.
      count: of heads, M; each begins from weights of its own and learns from episodes of its own.
      hidden: inner width of one.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int, count: int = 4, hidden: int = 32) -> None:
        super().__init__()
        self.count = count
        self.inner = nn.Linear(width, count * hidden)
        self.out = nn.Parameter(0.1 * torch.randn(count, hidden) / hidden**0.5)
        self.level = nn.Parameter(torch.zeros(count))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def forward(self, read: Tensor) -> Tensor:
        """`[..., W]` to the logarithms `[..., M]` of the squared errors that they expect."""
        seen = self.inner((read - self.mean) / self.spread)
        return (F.silu(seen).unflatten(-1, (self.count, -1)) * self.out).sum(-1) + self.level

    def expected(self, read: Tensor, first: Tensor, latents: Tensor) -> Tensor:
        """Mean squared error `[..., N, M]` to expect of each token of a frame.

        Args:
          read: `[..., N, W]`.
          first: `[..., N, D]` of the first pass.
          latents: `[..., N, D]` of the frame.
        """
        return (latents - first).square().mean(-1, keepdim=True) + self(read).exp()

    def score(self, made: Made) -> Tensor:
        """Logarithm `[B]` of the mean squared error to expect, over tokens and heads."""
        return self.expected(made.read, made.first, made.latents).mean((1, 2)).log()


class Gap(nn.Module):
    """How far the draw lies from what the first pass predicted: nothing is learned."""

    def score(self, made: Made) -> Tensor:
        """Logarithm `[B]` of the mean square."""
        return (made.latents - made.first).square().mean((1, 2)).add(1e-12).log()


class Near(nn.Module):
    """Distance in latent space to the nearest of the transitions that were learned from.

    Args:
      size: of a frame's latents, `N * D`.
      kept: transitions in the memory.
      width: that two frames' latents are projected to, by chance.
    """

    project: Tensor
    bank: Tensor

    def __init__(self, size: int, kept: int = 2048, width: int = 64) -> None:
        super().__init__()
        draws = torch.randn(2 * size, width, generator=generator(0, "projection"))
        self.register_buffer("project", draws / width**0.5)
        self.register_buffer("bank", torch.zeros(kept, width))

    def key(self, made: Made) -> Tensor:
        """`[B, width]` of the frames before and after a step."""
        return torch.cat([made.before, made.latents], 1).flatten(1) @ self.project

    def score(self, made: Made) -> Tensor:
        """Distance `[B]`."""
        key = self.key(made)
        return torch.cdist(key, self.bank, compute_mode="donot_use_mm_for_euclid_dist").amin(1)


class Spread(nn.Module):
    """How far further draws of the same frame lie from it: each costs what the step cost.

    Args:
      draws: how many.
    """

    def __init__(self, draws: int = 2) -> None:
        super().__init__()
        self.draws = draws

    def score(self, made: Made) -> Tensor:
        """Root mean square distance `[B]`."""
        others = [made.again(_AGAIN + index) for index in range(self.draws)]
        gaps = [(other - made.latents).square().mean((1, 2)) for other in others]
        return torch.stack(gaps).mean(0).sqrt()


class Table(nn.Module):
    """From a score to a probability of being wrong, and to an interval of the error.

    All three rise with the score, or stay.

    Args:
      size: knots, K. Few: what follows itself in a dream counts less than its number says.
    """

    at: Tensor
    wrong: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        for name in ("at", "wrong", "low", "high"):
            self.register_buffer(name, torch.zeros(size))

    @torch.no_grad()
    def fit(self, score: Tensor, error: Tensor, tolerance: float) -> None:
        """Fits scores `[S]` to the errors `[S]` of the same steps, S at least K."""
        order = score.argsort(stable=True)
        parts = list(zip(*(x[order].chunk(len(self.at)) for x in (score, error)), strict=True))
        counts = torch.tensor([float(len(scores)) for scores, _ in parts])
        wrong = torch.stack([(errors > tolerance).sum() for _, errors in parts])
        # Half a case of either kind: a share of a few hundred is never certain.
        columns = {
            "at": torch.stack([scores.mean() for scores, _ in parts]),
            "wrong": rising((wrong + 0.5) / (counts + 1), counts),
            "low": rising(torch.stack([e.quantile(0.05) for _, e in parts]), counts),
            "high": rising(torch.stack([e.quantile(0.95) for _, e in parts]), counts),
        }
        for name, values in columns.items():  # few samples may give fewer parts than knots
            own = getattr(self, name)
            own.copy_(F.pad(values[None], (0, len(own) - len(values)), mode="replicate")[0])

    def forward(self, score: Tensor) -> Tensor:
        """Probability `[B]` that the error exceeds the tolerance."""
        return self._read(score, self.wrong)

    def interval(self, score: Tensor) -> tuple[Tensor, Tensor]:
        """`[B]` each: between them the error lies in nine cases of ten."""
        return self._read(score, self.low), self._read(score, self.high)

    def _read(self, score: Tensor, column: Tensor) -> Tensor:
        """Straight lines between the knots, level beyond them."""
        upper = torch.bucketize(score, self.at).clamp(1, len(self.at) - 1)
        begin, end = self.at[upper - 1], self.at[upper]
        share = ((score - begin) / (end - begin).clamp(min=1e-12)).clamp(0, 1)
        return torch.lerp(column[upper - 1], column[upper], share)


def rising(values: Tensor, weights: Tensor) -> Tensor:
    """The nearest sequence that never falls, in weighted squares: neighbours that do are merged.

    Args:
      values: `[K]`.
      weights: `[K]`.
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, one, n), (b, two, m) = blocks[-2:]
            blocks[-2:] = [((a * one + b * two) / (one + two), one + two, n + m)]
    return torch.tensor([value for value, _, count in blocks for _ in range(count)])


class Doubt(nn.Module):
    """The scores of a world and their tables, one of which speaks.

    Args:
      size: of a frame's latents, `N * D`.
      width: of what the heads read.
      tolerance: root mean square pixel error above which a step counts as wrong.
      kind: which score speaks, of `KINDS`.
    """

    def __init__(self, size: int, width: int, tolerance: float, kind: str = KINDS[0]) -> None:
        super().__init__()
        self.tolerance, self.kind = tolerance, kind
        self.heads, self.gap, self.near, self.spread = Heads(width), Gap(), Near(size), Spread()
        self._tables = {name: Table() for name in KINDS}
        self.tables = nn.ModuleDict(self._tables)

    @torch.inference_mode()
    def score(self, made: Made, kind: str) -> Tensor:
        """`[B]`, higher where more is to be doubted."""
        return getattr(self, kind).score(made)

    def table(self, kind: str) -> Table:
        """From scores of a kind to probabilities."""
        return self._tables[kind]

    @torch.inference_mode()
    def forward(self, made: Made) -> Tensor:
        """Probability `[B]` that the frame is further from what comes than the tolerance."""
        return self.table(self.kind)(self.score(made, self.kind))
