"""Shortcut-forcing dynamics: what happens next, in latents.

A block-causal transformer denoises the latents of each frame given the frames
before it and the actions (Hafner et al., arXiv 2509.24527, section 3). It
predicts clean latents; the losses are in `worldloom.train.dynamics`, the
generation loop in `worldloom.models.dream`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldloom.actions import Action, ActionSpec
from worldloom.models.actions import ActionEncoder
from worldloom.models.blocks import (
    Layer,
    RMSNorm,
    Stack,
    TimeCache,
    initialise,
    rotary_angles,
    time_mask,
)


@dataclass(frozen=True)
class DynamicsShape:
    """The size of a dynamics model.

    Args:
      tokens: latent tokens of one frame, N.
      channels: of one latent token, D.
      width: of the transformer.
      layers: in all; the last of every `time_every` is over time, the others over space.
      heads: query heads; `kv_heads` key and value heads serve them in groups.
      hidden: inner width of the feed-forward layers.
      registers: learned tokens that carry nothing in particular.
      grid: finest sampling grid, a power of two (K_max).
      window: frames that a time layer sees, itself included (C).
      copy: show each token the one before it in time, beside its own noisy self. The
        paper has no such path; at small widths, attention alone is a narrow way to
        carry a picture from frame to frame.
    """

    tokens: int
    channels: int
    width: int = 256
    layers: int = 8
    heads: int = 8
    kv_heads: int = 2
    hidden: int = 1152
    registers: int = 4
    grid: int = 16
    window: int = 24
    time_every: int = 4
    copy: bool = False

    @property
    def slots(self) -> int:
        """Tokens of one frame: action, level, latents, registers."""
        return 2 + self.tokens + self.registers

    def is_time(self, layer: int) -> bool:
        """Whether this layer is over time."""
        return layer % self.time_every == self.time_every - 1

    def computed(self, layer: int) -> slice:
        """The slots that this layer computes.

        Latents alone are read in the end. The last layer, where it is over time, has no use
        for the other slots, and the layer before it only reads them.
        """
        ends = self.is_time(self.layers - 1) and not self.is_time(self.layers - 2)
        late = ends and layer >= self.layers - 2
        return slice(2, 2 + self.tokens) if late else slice(None)

    def ring_slots(self) -> list[int]:
        """How many slots each time layer keeps a history of."""
        late = len(range(self.slots)[self.computed(self.layers - 1)])
        times = [layer for layer in range(self.layers) if self.is_time(layer)]
        return [late if layer == self.layers - 1 else self.slots for layer in times]


class Dynamics(nn.Module):
    """Predicts clean latents from noisy ones, the signal level, the step size and the actions."""

    def __init__(self, shape: DynamicsShape, actions: ActionSpec) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.action = ActionEncoder(actions, width)
        self.signal = nn.Embedding(shape.grid, width // 2)
        self.size = nn.Embedding(shape.grid.bit_length(), width - width // 2)
        self.embed = nn.Linear(shape.channels * (2 if shape.copy else 1), width)
        self.slot = nn.Parameter(0.5 * torch.randn(shape.slots, width))
        self.layers = Stack(
            Layer(
                width,
                shape.hidden,
                shape.heads,
                shape.kv_heads,
                time=shape.is_time(index),
            )
            for index in range(shape.layers)
        )
        self.norm = RMSNorm(width)
        self.head = nn.Linear(width, shape.channels)
        initialise(self, shape.layers)
        nn.init.zeros_(self.head.weight)

    def tokens(
        self, noisy: Tensor, before: Tensor | None, signal: Tensor, size: Tensor, action: Tensor
    ) -> Tensor:
        """Lays one frame's tokens side by side: action, level, latents, registers.

        Args:
          noisy: `[B, T, N, D]`.
          before: `[B, T, N, D]` the frames before, as the model sees them; not read without
            `shape.copy`.
          signal: `[B, T]` int64, tau times the grid.
          size: `[B, T]` int64, log2(1 / d).
          action: `[B, T, W]` from `self.action`.

        Returns:
          `[B, T, slots, W]`.
        """
        level = torch.cat([self.signal(signal), self.size(size)], dim=-1)
        empty = action.new_zeros(*action.shape[:2], self.shape.registers, self.shape.width)
        if self.shape.copy:
            assert before is not None
            noisy = torch.cat([noisy, before.to(noisy.dtype)], dim=-1)
        parts = [action[:, :, None], level[:, :, None], self.embed(noisy), empty]
        return torch.cat([part.to(level.dtype) for part in parts], dim=2) + self.slot

    def read(self, x: Tensor) -> Tensor:
        """Clean latents `[B, T, N, D]` from the last layer, in float32."""
        all_slots = x.shape[2] == self.shape.slots
        latents = self.norm(x[:, :, 2 : 2 + self.shape.tokens] if all_slots else x)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(latents.float())

    def forward(
        self,
        noisy: Tensor,
        signal: Tensor,
        size: Tensor,
        action: Action,
        alone: Tensor | None,
        committed: Tensor | None = None,
    ) -> Tensor:
        """Denoises whole sequences; frame t sees frames t - window + 1 to t.

        With `committed`, frame t sees itself as it is in `noisy`, and the frames
        before it as they are in `committed`: just what it sees when generating.

        Args:
          noisy: `[B, T, N, D]` latents at each frame's own signal level.
          signal: `[B, T]` int64, tau times the grid, below the grid.
          size: `[B, T]` int64, log2(1 / d).
          action: values `[B, T, ...]`, known `[B, T]`.
          alone: `[B]` bool rows whose frames are separate images: time layers see
            only the frame itself and the action is unlabelled. None: no such row.
          committed: `[B, T, N, D]` latents at the context's level, index grid - 1.

        Returns:
          `[B, T, N, D]` clean latents, float32.
        """
        length = noisy.shape[1]
        mask = time_mask(length, self.shape.window, noisy.device)
        if alone is not None:
            action = Action(action.values, action.known & ~alone[:, None])
            own = torch.eye(length, dtype=torch.bool, device=noisy.device)
            mask = torch.where(alone[:, None, None], own, mask)
        times = torch.arange(length, device=noisy.device)
        token = self.action(action)
        before = _shifted(noisy if committed is None else committed, alone)
        x = self.tokens(noisy, before, signal, size, token)
        if committed is not None:
            last = torch.full_like(signal, self.shape.grid - 1)
            finest = torch.full_like(size, self.shape.grid.bit_length() - 1)
            x = torch.cat([self.tokens(committed, before, last, finest, token), x], 1)
            own = torch.eye(length, dtype=torch.bool, device=noisy.device)
            past = torch.cat([mask, torch.zeros_like(mask)], -1)
            mask = torch.cat([past, torch.cat([mask & ~own, own.expand_as(mask)], -1)], -2)
            times = times.repeat(2)
        angles = rotary_angles(times, self.shape.width // self.shape.heads)
        for index, layer in enumerate(self.layers):
            if layer.time:  # the last layer only reads the committed past
                ends = index == self.shape.layers - 1
                x = layer.over_time(x, mask, angles, x.shape[1] - length if ends else 0)
            else:
                x = layer.space(x, keep=self.shape.computed(index))
            x = layer.feed(x)
        return self.read(x[:, -length:])

    def step(
        self,
        noisy: Tensor,
        signal: Tensor,
        size: Tensor,
        action: Tensor,
        past: list[TimeCache],
        before: Tensor | None = None,
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Denoises one frame whose past is cached.

        Args:
          noisy: `[B, N, D]`.
          signal: `[B]` int64.
          size: `[B]` int64.
          action: `[B, W]` from `self.action`, computed once for all passes of a frame.
          past: one cache for each time layer.
          before: `[B, N, D]` the last committed frame, zeros before the first; not read
            without `shape.copy`.

        Returns:
          `[B, N, D]` clean latents, and for each time layer this frame's
          un-rotated keys and values `[B, slots, Hkv, d]`.
        """
        seen = None if before is None else before[:, None]
        x = self.tokens(noisy[:, None], seen, signal[:, None], size[:, None], action[:, None])
        fresh, caches = [], iter(past)
        for index, layer in enumerate(self.layers):
            if layer.time:
                x, k, v = layer.step_time(x, next(caches))
                fresh.append((k, v))
            else:
                x = layer.space(x, keep=self.shape.computed(index))
            x = layer.feed(x)
        return self.read(x)[:, 0], fresh


def _shifted(frames: Tensor, alone: Tensor | None) -> Tensor:
    """Each frame's predecessor `[B, T, N, D]`; zeros for the first and for separate images."""
    before = torch.cat([torch.zeros_like(frames[:, :1]), frames[:, :-1]], 1)
    return before if alone is None else before.masked_fill(alone[:, None, None, None], 0.0)
