"""What features of video are held against: image and frame-stack autoencoders, chance, the truth.

All are probes that can `observe`, one frame at a time, and `features`. Knows no task.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from worldloom import seeding
from worldloom.data.types import Clip
from worldloom.trust.probe import Edit, Rollout
from worldloom.trust.tasks.transfer import hopping

WIDTH, CHANNELS = 256, (24, 32, 48, 64)
RATE, ROWS = 1e-3, 32


class Net(nn.Module):
    """Four strided convolutions and a layer, and the way back.

    Args:
      size: side of a picture, a multiple of 16.
      stack: frames that it sees at once.
    """

    def __init__(self, size: int, stack: int) -> None:
        super().__init__()
        wide, side = (3 * stack, *CHANNELS), size // 2 ** len(CHANNELS)
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for before, after in pairwise(wide):
            down += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
            up = [nn.ConvTranspose2d(after, before, 4, 2, 1), nn.SiLU(), *up]
        flat = wide[-1] * side**2
        self.encode = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, WIDTH))
        self.decode = nn.Sequential(
            nn.Linear(WIDTH, flat), nn.Unflatten(1, (wide[-1], side, side)), *up[:-1]
        )

    def forward(self, stacked: Tensor) -> Tensor:
        """Pictures `[B, 3 * K, H, W]` to features `[B, WIDTH]`."""
        return self.encode(stacked)


def stacked(frames: Tensor, stack: int) -> Tensor:
    """The last K frames of `[B, T, H, W, 3]`, `[B, 3 * K, H, W]` float32; the first one repeats."""
    missing = max(0, stack - frames.shape[1])
    first = frames[:, :1].expand(-1, missing, -1, -1, -1)
    last = torch.cat([first, frames[:, -stack:]], 1)
    return last.movedim(-1, 2).flatten(1, 2).float() / 255 - 0.5


def latest(clip: Clip, state: Tensor | None, stack: int) -> Tensor:
    """The last K frames, those of `state` before those of the clip."""
    frames = torch.as_tensor(clip.frames["main"])
    return (frames if state is None else torch.cat([state, frames], 1))[:, -stack:]


def autoencoder(films: Sequence[np.ndarray], stack: int, *, steps: int, seed: int) -> Net:
    """A network that learned to draw again what it saw, mean squared error.

    Args:
      films: `[T, H, W, 3]` uint8 each.
      stack: frames that it sees at once.
      steps: updates; 0 leaves the weights as they are drawn.
      seed: of weights and batches.
    """
    dice = seeding.rng(seed, "autoencoder", stack)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeding.stream(seed, "autoencoder weights", stack))
        net = Net(films[0].shape[1], stack)
    optimizer = torch.optim.AdamW(net.parameters(), RATE)
    for _ in range(steps):
        picked = [films[i] for i in dice.integers(len(films), size=ROWS)]
        ends = [int(dice.integers(len(film))) + 1 for film in picked]
        parts = [film[max(0, end - stack) : end] for film, end in zip(picked, ends, strict=True)]
        real = torch.cat([stacked(torch.from_numpy(part)[None], stack) for part in parts])
        loss = (net.decode(net(real)) - real).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval().requires_grad_(False)


class Encoder:
    """Base of probes that only make features of what they saw.

    Args:
      name: for people.
    """

    layers: tuple[str, ...] = ()
    capabilities = frozenset({"features", "continue"})

    def __init__(self, name: str) -> None:
        self.name = name

    def observe(self, clip: Clip, state: Any = None) -> Any:
        """What was seen so far."""
        raise NotImplementedError

    def features(self, state: Any, layer: str | None = None) -> Tensor:
        """`[B, D]`."""
        raise NotImplementedError

    def rollout(
        self, state: Any, actions: Any, *, seeds: Sequence[int] = (0,), edit: Edit | None = None
    ) -> Rollout:
        """It imagines nothing, and does not say that it can."""
        raise NotImplementedError

    def score(self, state: Any, clip: Clip) -> Tensor:
        """Nothing surprises it, and it does not say so."""
        raise NotImplementedError

    def doubt(self, state: Any, actions: Any) -> Tensor:
        """It has none, and does not say that it has."""
        raise NotImplementedError


class Stacked(Encoder):
    """A network on the last few frames.

    Args:
      name: for people.
      make: the network, asked for when it is first needed.
      stack: how many frames.
    """

    def __init__(self, name: str, make: Callable[[], Net], stack: int) -> None:
        super().__init__(name)
        self.make, self.stack = make, stack

    @cached_property
    def net(self) -> Net:
        """Maps frames to features."""
        return self.make()

    def observe(self, clip: Clip, state: Tensor | None = None) -> Tensor:
        """The last frames `[B, K, H, W, 3]`."""
        return latest(clip, state, self.stack)

    def features(self, state: Tensor, layer: str | None = None) -> Tensor:
        """`[B, WIDTH]`."""
        return self.net(stacked(state, self.stack))  # the network wants no gradients


class EndToEnd(Encoder):
    """Pixels, for who learns everything from demonstrations.

    Args:
      stack: frames that are seen at once.
    """

    def __init__(self, stack: int) -> None:
        super().__init__("pixels end to end")
        self.stack = stack

    def observe(self, clip: Clip, state: Tensor | None = None) -> Tensor:
        """The last frames `[B, K, H, W, 3]`."""
        return latest(clip, state, self.stack)

    def features(self, state: Tensor, layer: str | None = None) -> Tensor:
        """`[B, 3 * K, H, W]` the frames themselves."""
        return stacked(state, self.stack)


class Blind(Encoder):
    """Sees nothing."""

    def observe(self, clip: Clip, state: int | None = None) -> int:
        """How many rows there are."""
        return len(clip.frames["main"])

    def features(self, state: int, layer: str | None = None) -> Tensor:
        """`[B, 1]` zeros."""
        return torch.zeros(state, 1)


class Informed(Encoder):
    """Is told the true state.

    Args:
      name: for people.
      swapped: takes each row for its neighbour, which is as good as shuffled labels.
    """

    def __init__(self, name: str, *, swapped: bool = False) -> None:
        super().__init__(name)
        self.swapped = swapped

    def observe(self, clip: Clip, state: Tensor | None = None) -> Tensor:
        """`[B, F]` the snapshots of the newest frame."""
        assert clip.snapshots is not None, "whoever is informed is told"
        return torch.from_numpy(np.stack([hopping.read(told) for told in clip.snapshots]))

    def features(self, state: Tensor, layer: str | None = None) -> Tensor:
        """`[B, F]`."""
        return state.roll(1, 0) if self.swapped else state


class Comparing(Encoder):
    """Is told what a picture shows, places without speeds, and what changed since the last one.

    Args:
      name: for people.
      shuffled: its past comes in a wrong order, so that "changed" is since any moment.
    """

    def __init__(self, name: str, *, shuffled: bool = False) -> None:
        super().__init__(name)
        self.shuffled = shuffled

    def observe(self, clip: Clip, state: tuple[Tensor, ...] = ()) -> tuple[Tensor, ...]:
        """All that was shown so far, `[B, F]` each."""
        assert clip.snapshots is not None, "whoever is informed is told"
        told = torch.from_numpy(np.stack([hopping.read(told) for told in clip.snapshots]))
        told[:, list(hopping.MOVING)] = 0
        return (*(state or ()), told)

    def features(self, state: tuple[Tensor, ...], layer: str | None = None) -> Tensor:
        """`[B, 2 F]`."""
        past = state[:-1] or state
        pick = seeding.stream(0, "shuffled", len(past)) % len(past) if self.shuffled else -1
        return torch.cat([state[-1], 8 * (state[-1] - past[pick])], 1)
