"""The heads of an agent: what to do, what it pays, whether this is the end; and its own eye.

They read what `Agent.read` gives. Output n of a policy is for the action n + 1 frames on, of
the others for n frames on; n = 0 is what acts and scores.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldloom.actions import ActionSpec
from worldloom.models.blocks import RMSNorm, initialise
from worldloom.models.distributions import (
    ActionDistribution,
    bins,
    parameters_of,
    two_hot_loss,
    two_hot_mean,
)
from worldloom.models.dynamics import DynamicsShape

_LEFT_OUT = 0.5  # of what an eye makes out, where it learns (dropout)


@dataclass(frozen=True)
class AgentShape:
    """The size of an agent.

    Args:
      tasks: names of what can be asked of it; one of them at a time.
      length: outputs of each head, for so many frames ahead.
      hidden: inner width of the heads.
      bins: that a predicted number is spread over, odd.
      reach: the largest number is symexp of it.
      aims: what was done where it went well is learned apart from all else, see `PolicyHead`.
      eye: inner width of an eye of its own; 0 for none, as in the paper.
      witness: inner width of who says what pays; 0 for none, as in the paper: the reward head does.
      past: the policy reads the token, and with it what was seen and done before; without, it acts
        on what the eye sees now, and cannot copy what was done last instead of looking.
      urge: how far an aiming policy goes beyond what was done where things went well, away from
        all else; see `PolicyHead`.
    """

    tasks: tuple[str, ...] = ("reward",)
    length: int = 8
    hidden: int = 256
    bins: int = 255
    reach: float = 20.0
    aims: bool = False
    eye: int = 0
    witness: int = 0
    past: bool = True
    urge: float = 0.0


class Head(nn.Module):
    """A small network with one output layer for each frame ahead.

    It reads the first numbers of what `Agent.read` gives; a policy is given the last.
    """

    def __init__(self, width: int, hidden: int, length: int, size: int) -> None:
        super().__init__()
        self.width, self.size = width, size
        self.inner = nn.Sequential(
            nn.Linear(width, hidden), nn.SiLU(), RMSNorm(hidden), nn.Linear(hidden, hidden),
            nn.SiLU(), RMSNorm(hidden),
        )  # fmt: skip
        self.out = nn.Linear(hidden, length * size)
        initialise(self, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., W or more]` to `[..., length, size]`, float32."""
        return self.out(self.inner(x[..., : self.width].float())).unflatten(-1, (-1, self.size))


class Eye(nn.Module):
    """What the agent sees of a frame itself: each token and its neighbours, then all of them.

    Tokens without a place in the picture stand in one row.

    Args:
      world: whose latents it sees.
      inner: width.
      frames: that lie in the channels behind one another.
    """

    def __init__(self, world: DynamicsShape, inner: int, frames: int = 1) -> None:
        super().__init__()
        self.columns = world.columns or world.tokens
        self.each = nn.Linear(frames * world.channels, inner)
        self.near = nn.Conv2d(inner, inner, 3, padding=1)
        self.all = nn.Linear(world.tokens * inner, world.width)
        initialise(self, 1)

    def forward(self, latents: Tensor, dice: torch.Generator | None = None) -> Tensor:
        """Latents `[..., N, D]` to `[..., W]`.

        Args:
          latents: of frames.
          dice: leave out half of what is made out, at random, so that nothing is learned by heart.
        """
        lead = latents.shape[:-2]
        grid = F.silu(self.each(latents.float())).unflatten(-2, (-1, self.columns))
        seen = F.silu(self.near(grid.flatten(0, len(lead) - 1).movedim(-1, 1))).flatten(1)
        if dice is not None:
            kept = torch.rand(seen.shape, generator=dice, device=seen.device) >= _LEFT_OUT
            seen = seen * kept / (1 - _LEFT_OUT)
        return self.all(seen).unflatten(0, lead)


class NumberHead(nn.Module):
    """A head that predicts numbers, as symexp two-hot."""

    places: Tensor

    def __init__(self, width: int, shape: AgentShape, length: int) -> None:
        super().__init__()
        self.head = Head(width, shape.hidden, length, shape.bins)
        self.register_buffer("places", bins(shape.bins, shape.reach), False)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., W]` to logits `[..., length, bins]`."""
        return self.head(x)

    def mean(self, logits: Tensor) -> Tensor:
        """Logits `[..., bins]` to the number `[...]` that they stand for."""
        return two_hot_mean(logits, self.places)

    def loss(self, logits: Tensor, value: Tensor) -> Tensor:
        """Cross entropy `[...]` of logits `[..., bins]` against numbers `[...]`."""
        return two_hot_loss(logits, value, self.places)


class Witness(nn.Module):
    """Who says what pays: it sees two frames in succession and never hears what was done.

    Players do not try in vain: in their recordings the deed itself tells that it paid. A head
    that hears of the deed pays for it in a dream too, whatever came of it, and dreaming
    teaches to do it again and again. The way is ours; where a reward cannot be seen, its mean
    is all that a witness knows.
    """

    def __init__(self, world: DynamicsShape, shape: AgentShape) -> None:
        super().__init__()
        self.eye = Eye(world, shape.witness, frames=2)
        self.asked = nn.Embedding(len(shape.tasks), world.width)
        self.reward = NumberHead(world.width, shape, 1)

    def forward(self, before: Tensor, now: Tensor, tasks: Tensor) -> Tensor:
        """Logits `[..., bins]` of the reward that came with a frame.

        Args:
          before: latents `[..., N, D]` of the frame before.
          now: latents `[..., N, D]`.
          tasks: `[...]` int64, what is asked for.
        """
        change = torch.cat([before, now - before], -1)
        return self.reward(self.eye(change) + self.asked(tasks))[..., 0, :]

    def paid(self, before: Tensor, now: Tensor, tasks: Tensor) -> Tensor:
        """The reward `[...]` that came with a frame."""
        return self.reward.mean(self(before, now, tasks))


class PolicyHead(nn.Module):
    """A head that predicts what to do.

    One that aims is told, where it learns, whether things went well after what was done. It
    acts as if they will, and with an urge w beyond that: its logits are
    good + w (good - other), as guidance does in diffusion (arXiv 2207.12598, equation 6), which
    makes a policy better than the one it is learned from (arXiv 2505.23458).
    """

    def __init__(self, width: int, shape: AgentShape, actions: ActionSpec, length: int) -> None:
        super().__init__()
        self.actions, self.urge = actions, shape.urge
        self.head = Head(width, shape.hidden, length, sum(parameters_of(actions)))
        self.aim = nn.Embedding(2, width) if shape.aims else None

    def forward(self, x: Tensor, well: Tensor | None = None) -> ActionDistribution:
        """What `Agent.read` gives, `[..., W or more]`, to distributions `[..., length]`.

        Args:
          x: features.
          well: `[...]` bool, how things went; None asks for the good.
        """
        return ActionDistribution(self.actions, self._logits(x, well))

    def now(self, x: Tensor, well: Tensor | None = None) -> ActionDistribution:
        """`[..., W or more]` to the distribution `[...]` of the very next action."""
        return ActionDistribution(self.actions, self._logits(x, well)[..., 0, :])

    def _logits(self, x: Tensor, well: Tensor | None) -> Tensor:
        x = x[..., -self.head.width :]
        if self.aim is None:
            return self.head(x)
        if well is not None:
            return self.head(x + self.aim(well.long()))
        good = self.head(x + self.aim.weight[1])
        if not self.urge:
            return good
        return good + self.urge * (good - self.head(x + self.aim.weight[0]))
