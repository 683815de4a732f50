"""The mathematics of learning in imagination: returns, and what a policy is moved by.

Everything is in arrival indexing: reward and continuation k + 1 arrived with the state
that action k led to. No networks, no data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from worldloom.train.onward import Onward, onward_of

OverRanks = Callable[[Tensor], Tensor]


def lambda_returns(
    reward: Tensor,
    keeps: Tensor,
    value: Tensor,
    *,
    discount: float,
    trace: float,
    stops: Tensor | None = None,
) -> Tensor:
    """Returns that trust the value estimate after a few steps (arXiv 2509.24527, section 3.3).

    R_k = r_{k+1} + discount keeps_{k+1} ((1 - trace) v_{k+1} + trace R_{k+1}), R_H = v_H.

    Args:
      reward: `[B, H]` r_1 to r_H.
      keeps: `[B, H]` probability that the world goes on after step 1 to H.
      value: `[B, H + 1]` v_0 to v_H; v_0 is not read.
      discount: of a step, gamma.
      trace: lambda.
      stops: `[B, H]` bool, whether the dream is not followed beyond state 1 to H: what is to
        come there is its value alone.

    Returns:
      `[B, H]` R_0 to R_{H-1}.
    """
    ahead, found = value[:, -1], []
    for k in reversed(range(reward.shape[1])):
        mixed = (1 - trace) * value[:, k + 1] + trace * ahead
        if stops is not None:
            mixed = torch.where(stops[:, k], value[:, k + 1], mixed)
        ahead = reward[:, k] + discount * keeps[:, k] * mixed
        found.append(ahead)
    return torch.stack(found[::-1], 1)


def alive(ends: Tensor) -> Tensor:
    """Which states come before an ending: `[B, H]` bool of states 0 to H - 1.

    Args:
      ends: `[B, H]` bool, whether the state after action 0 to H - 1 was an ending.
    """
    before = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], 1)
    return before.cumsum(1) == 0


def alone(count: Tensor) -> Tensor:
    """The mean over ranks of a count, where there is one process."""
    return count


def mean_where(values: Tensor, chosen: Tensor, over_ranks: OverRanks = alone) -> Tensor:
    """Mean of the chosen values, 0 where nothing is chosen.

    With several ranks the mean over these of what each returns is that of all values.

    Args:
      values: `[...]`.
      chosen: `[...]` bool.
      over_ranks: the mean over all ranks.
    """
    count = over_ranks(chosen.sum().to(values.dtype))
    return torch.where(chosen, values, 0.0).sum() / torch.where(count > 0, count, 1.0)


def pmpo_loss(
    log_prob: Tensor,
    advantage: Tensor,
    kl: Tensor,
    counted: Tensor,
    *,
    alpha: float,
    beta: float,
    over_ranks: OverRanks = alone,
) -> Tensor:
    """PMPO: only the sign of the advantage counts (arXiv 2509.24527, section 3.3).

    States with an advantage of at least 0 pull their actions up, the others push theirs
    down, each set by its own mean; the divergence from the prior holds all of them.

    Args:
      log_prob: `[...]` of the actions that were taken.
      advantage: `[...]`, detached.
      kl: `[...]` KL[policy || prior].
      counted: `[...]` bool, the states that count.
      alpha: weight of the good set; 1 - alpha is the bad set's.
      beta: weight of the divergence.
      over_ranks: as of `mean_where`: the sets are those of all ranks.
    """
    good = mean_where(log_prob, counted & (advantage >= 0), over_ranks)
    bad = mean_where(log_prob, counted & (advantage < 0), over_ranks)
    return (1 - alpha) * bad - alpha * good + beta * mean_where(kl, counted, over_ranks)


def reinforce_loss(
    log_prob: Tensor,
    advantage: Tensor,
    kl: Tensor,
    entropy: Tensor,
    counted: Tensor,
    *,
    beta: float,
    bonus: float,
    over_ranks: OverRanks = alone,
) -> Tensor:
    """Advantage times log-probability, with an entropy bonus (as Dreamer 3, arXiv 2301.04104).

    As of PMPO, a divergence holds the policy near its prior: beyond what people do nobody
    knows whether the world is right.

    Args:
      log_prob: `[...]` of the actions that were taken.
      advantage: `[...]`, detached, over the scale of `Spread`.
      kl: `[...]` KL[policy || prior].
      entropy: `[...]` of the policy.
      counted: `[...]` bool, the states that count.
      beta: weight of the divergence.
      bonus: weight of the entropy.
      over_ranks: as of `mean_where`.
    """
    loss = beta * kl - advantage * log_prob - bonus * entropy
    return mean_where(loss, counted, over_ranks)


class Spread(nn.Module):
    """A running range of returns, from their 5% to their 95% quantile (arXiv 2301.04104, section
    "actor learning"): large returns are scaled down to 1, small ones are left as they are.

    Args:
      decay: of the running mean, per update.
    """

    width: Tensor

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("width", torch.zeros(()))

    @torch.no_grad()
    def forward(self, returns: Tensor) -> Tensor:
        """Takes `[...]` returns in; gives what to divide advantages by, at least 1."""
        low, high = torch.quantile(returns.flatten(), returns.new_tensor([0.05, 0.95]))
        self.width.mul_(self.decay).add_((1 - self.decay) * (high - low))
        return self.width.clamp(min=1.0)


@dataclass(frozen=True)
class Dreaming:
    """How a policy learns in imagination; the defaults are the specification's.

    Args:
      horizon: imagined steps of a rollout, H.
      contexts: rollouts of an update, each from a recorded context of its own.
      context: frames of a context.
      discount: of a step, gamma.
      trace: lambda of the returns.
      objective: "pmpo", or "reinforce" with normalised returns.
      alpha: of PMPO, weight of the good set.
      beta: weight of the divergence from the cloned policy.
      bonus: of REINFORCE, weight of the entropy.
      task: that the agent is asked to do; None for the first that it knows.
      onward: an earlier policy that is learned on with, and how often a dream begins from
        fresh recordings.
      caution: what doubt 1 takes off the reward of a step; needs a world that doubts, as a
        limit below 1 does.
      limit: a step of more doubt than this is the last of its dream that counts.
    """

    horizon: int = 15
    contexts: int = 64
    context: int = 16
    discount: float = 0.997
    trace: float = 0.95
    objective: str = "pmpo"
    alpha: float = 0.5
    beta: float = 0.3
    bonus: float = 3e-4
    task: str | None = None
    onward: Onward | None = None
    caution: float = 0.0
    limit: float = 1.0

    @property
    def heeds_doubt(self) -> bool:
        """Whether doubt changes what is learned."""
        return self.caution != 0 or self.limit < 1

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Dreaming":
        """What a stage's configuration says."""
        return cls(**{**data, "onward": onward_of(data.get("onward"))})
