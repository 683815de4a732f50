"""Telling dream from recording: by a small network that looks, and by what an agent makes of both.

Both learn on moments of some episodes and are asked about those of others. Knows frames,
moments and probes; no task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from worldloom import seeding
from worldloom.data.types import Clip
from worldloom.trust import recorded
from worldloom.trust.probe import Probe
from worldloom.trust.recorded import CONTEXT, Moment
from worldloom.trust.tasks.reading import glance, ridge
from worldloom.trust.tasks.reading.glance import Glance
from worldloom.trust.tasks.reading.ridge import Line

FRAMES = 2
"""In a row, that are looked at together: how things move is part of how they look."""
BATCH = 32
NOISE = 4.0
"""Levels of 255 through which everything is seen: what nobody sees shall not count."""
LIVED = (2, 8, 16)
"""Steps after which an agent is asked."""


@dataclass(frozen=True)
class Teller:
    """One who has learned to tell dreamed frames from recorded ones.

    Args:
      net: says one number, higher where it sees a dream; None where nothing could be learned.
    """

    net: Glance | None

    def says(self, films: np.ndarray, *, seed: int) -> np.ndarray:
        """`[N, T - 1]` about films `[N, T, H, W, 3]`, from the second frame on."""
        if self.net is None:
            return np.zeros((len(films), films.shape[1] - FRAMES + 1))
        seen = _through_noise(films, seeding.rng(seed, "seen"))
        return glance.say(self.net, seen, FRAMES)[..., 0]


def _through_noise(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[...]` float32, no longer bytes."""
    noise = rng.standard_normal(frames.shape, np.float32)
    return frames.astype(np.float32) + NOISE * noise


def learn(real: np.ndarray, dreamed: np.ndarray, *, updates: int, seed: int) -> Teller:
    """Learns from recorded and dreamed films of the same moments, `[N, T, H, W, 3]` uint8 each."""
    if np.array_equal(real, dreamed):
        return Teller(None)

    def lessons(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        # Both films of a moment: what they show is no help, only how they show it.
        half = BATCH // 2
        row = rng.integers(len(real), size=half)
        at = rng.integers(real.shape[1] - FRAMES + 1, size=half)
        places = list(zip(row, at, strict=True))
        shown = [film[i, t : t + FRAMES] for film in (real, dreamed) for i, t in places]
        right = np.repeat([0, 1], half)
        return torch.from_numpy(_through_noise(np.stack(shown), rng)), torch.from_numpy(right)

    def loss(said: Tensor, right: Tensor) -> Tensor:
        real, dream = said[right == 0, 0], said[right == 1, 0]
        return functional.softplus(real - dream).mean()

    return Teller(glance.learn(FRAMES, 1, lessons, loss, updates=updates, seed=seed))


def lived(agent: Probe, moments: Sequence[Moment]) -> dict[str, dict[str, np.ndarray]]:
    """What somebody makes of recordings and of dreams that go on from the same state.

    The recorded frames enter with the noise of the dream, so that nothing but the frames
    differs.

    Args:
      agent: a world with somebody in it, who can `continue`.
      moments: N of them.

    Returns:
      For "real" and "dream": "heard" `[N, L, D]` and "would" `[N, L, P]` at the steps `LIVED`.
    """
    context = agent.observe(recorded.begin(moments))
    none = recorded.actions_of(moments, CONTEXT, CONTEXT)
    begun = agent.rollout(context, none).states[0]
    told: dict[str, list[Any]] = {"real": [], "dream": []}
    for steps in LIVED:
        actions = recorded.actions_of(moments, CONTEXT, CONTEXT + steps)
        frames = np.stack([moment.after[:steps] for moment in moments])
        came = Clip(frames={moments[0].camera: torch.from_numpy(frames)}, actions=actions)
        told["real"].append(agent.observe(came, begun))
        told["dream"].append(agent.rollout(context, actions).states[0])
    return {
        name: {
            part: np.stack([agent.features(state, layer).cpu().numpy() for state in states], 1)
            for part, layer in (("heard", "agent"), ("would", "policy"))
        }
        for name, states in told.items()
    }


def choices(real: np.ndarray, dream: np.ndarray) -> np.ndarray:
    """`[...]` 1 where the dream is taken for the dream, by what is said of both; ties half."""
    return (dream > real) + 0.5 * (dream == real)


def learn_inner(told: Mapping[str, Mapping[str, np.ndarray]]) -> Line:
    """A linear read-out of what is heard `[..., D]` that is higher in dreams than in recordings.

    Learned from what differs within the same moment. Moments stay in their order, so that
    the penalty is chosen on episodes apart.

    Args:
      told: as `lived` gives it.
    """
    both = np.stack([told[name]["heard"] for name in ("real", "dream")], 2).astype(np.float64)
    apart = (both - both.mean(2, keepdims=True)).reshape(-1, both.shape[-1])  # [N * L * 2, D]
    spread = np.maximum(apart.std(0), 1e-6)
    line, _ = ridge.chosen(apart / spread, np.tile([-1.0, 1.0], len(apart) // 2))
    return Line(line.weight / spread, line.offset)
