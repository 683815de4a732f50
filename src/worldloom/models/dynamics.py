"""Shortcut-forcing dynamics: what happens next, in latents.

A block-causal transformer denoises the latents of each frame given the frames
before it and the actions (Hafner et al., arXiv 2509.24527, section 3). It
predicts clean latents; the losses are in `worldloom.train.dynamics`. Generation
goes frame by frame: `worldloom.models.walk`, and the loop in `worldloom.models.dream`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldloom.actions import Action, ActionSpec
from worldloom.errors import WorldloomError
from worldloom.models.actions import ActionEncoder
from worldloom.models.blocks import (
    Layer,
    RMSNorm,
    Stack,
    initialise,
    rotary_angles,
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
      copy: show each token so many before it in time, beside its own noisy self. The
        paper has no such path (0); at small widths, attention alone is a narrow way to
        carry a picture from frame to frame.
      columns: where tokens are patches of a picture, how many lie side by side: each token
        is then shown its neighbours in the frames before too. 0 where tokens have no place,
        as in the paper.
      steered: the action of a frame weighs what its tokens are shown of those neighbours,
        place by place: where the eye itself moves, the whole picture moves as it is told.
      kinds: tiles that a picture may be laid out of (`worldloom.models.tiles`), K; what is
        predicted is then which tile lies where. 0 predicts latents, as in the paper.
      parts: tiles of a token, P; 0 where there are none.
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
    copy: int = 0
    columns: int = 0
    steered: bool = False
    kinds: int = 0
    parts: int = 0

    def __post_init__(self) -> None:
        if self.steered and not self.columns:
            raise WorldloomError(
                "steered weighs neighbours, of which columns=0 shows none",
                "set columns to the width of the frame in patches",
            )
        if self.columns and not self.copy:
            raise WorldloomError(
                "columns reads the frames before, of which copy=0 shows none", "set copy to 1 or 2"
            )
        if self.columns and self.tokens % self.columns:
            raise WorldloomError(
                f"{self.tokens} tokens do not fill rows of {self.columns}",
                "columns is the width of the frame in patches",
            )
        if bool(self.kinds) != bool(self.parts) or (self.parts and self.channels % self.parts):
            raise WorldloomError(
                f"kinds={self.kinds} and parts={self.parts} tell no tiles of {self.channels} "
                "channels apart",
                "both come from the tokenizer",
            )

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
    """Predicts clean latents from noisy ones, the signal level, the step size and the actions.

    Where `shape.kinds` says so it predicts, in place of latents, the logits of which tile lies
    where, `[..., N, P * K]`; of a frame that it is shown some tiles are known and all others 0.

    Attributes:
      codes: `[K, D / P]` latents of every tile; None where there are no tiles.
    """

    codes: Tensor | None

    def __init__(self, shape: DynamicsShape, actions: ActionSpec) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.action = ActionEncoder(actions, width)
        self.signal = nn.Embedding(shape.grid, width // 2)
        self.size = nn.Embedding(shape.grid.bit_length(), width - width // 2)
        self.embed = nn.Linear(shape.channels * (1 + shape.copy), width)
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
        self.head = nn.Linear(width, shape.parts * shape.kinds or shape.channels)
        codes = torch.zeros(shape.kinds, shape.channels // shape.parts) if shape.kinds else None
        self.register_buffer("codes", codes)
        if shape.columns:
            self.near = Near(shape)
        initialise(self, shape.layers)
        nn.init.zeros_(self.head.weight)
        if shape.steered:
            nn.init.zeros_(self.near.steer.weight)

    def tokens(self, shown: Tensor, signal: Tensor, size: Tensor, action: Tensor) -> Tensor:
        """Lays one frame's tokens side by side: action, level, latents, registers.

        Args:
          shown: `[B, T, N, (1 + copy) * D]` each frame's latents, then those of the frames
            before it, newest first, all as the model sees them.
          signal: `[B, T]` int64, tau times the grid.
          size: `[B, T]` int64, log2(1 / d).
          action: `[B, T, W]` from `self.action`.

        Returns:
          `[B, T, slots, W]`.
        """
        level = torch.cat([self.signal(signal), self.size(size)], dim=-1)
        empty = action.new_zeros(*action.shape[:2], self.shape.registers, self.shape.width)
        latents = self.embed(shown)
        if self.shape.columns:
            latents = latents + self.near(shown[..., self.shape.channels :], action)
        parts = [action[:, :, None], level[:, :, None], latents, empty]
        return torch.cat([part.to(level.dtype) for part in parts], dim=2) + self.slot

    def read(self, x: Tensor) -> Tensor:
        """Clean latents `[B, T, N, D]`, or logits, from the last layer, in float32."""
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
        """Denoises the last S of T frames; frame t sees frames t - window + 1 to t.

        Without `committed` all frames are denoised, and each sees the others as they are
        in `noisy`. With it, a frame sees itself as it is in `noisy` and those before it as
        they are in `committed`: just what it sees when generating.

        Args:
          noisy: `[B, S, N, D]` latents at each frame's own signal level.
          signal: `[B, S]` int64, tau times the grid, below the grid.
          size: `[B, S]` int64, log2(1 / d).
          action: values `[B, T, ...]`, known `[B, T]`.
          alone: `[B]` bool rows whose frames are separate images: time layers see
            only the frame itself and the action is unlabelled. None: no such row.
          committed: `[B, T - 1, N, D]` latents of all frames but the last at the context's
            level, index grid - 1; None where S = T.

        Returns:
          `[B, S, N, D]` clean latents, or logits `[B, S, N, P * K]`; float32.
        """
        return self.watched(noisy, signal, size, action, alone, committed)[0]

    def watched(
        self,
        noisy: Tensor,
        signal: Tensor,
        size: Tensor,
        action: Action,
        alone: Tensor | None,
        committed: Tensor | None = None,
        guest: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """`forward`, and what a guest makes of it: a token in every frame that no other sees.

        Args: as of `forward`, and
          guest: `[B, W]` the token as it enters; None for nobody.

        Returns:
          What `forward` returns, to the bit; and the guest after the last layer, `[B, F, W]`:
          in the committed frames where there are any, else in all.
        """
        past = 0 if committed is None else committed.shape[1]
        length = action.known.shape[1]
        first = length - noisy.shape[1]
        times = torch.arange(length, device=noisy.device)
        if alone is not None:
            action = Action(action.values, action.known & ~alone[:, None])
        token = self.action(action)
        seen = _before(noisy if committed is None else committed, length, self.shape.copy)
        if alone is not None:
            seen = seen.masked_fill(alone[:, None, None, None], 0.0)
        shown = torch.cat([noisy, seen[:, first:]], -1)
        x = self.tokens(shown, signal, size, token[:, first:])
        if committed is not None:
            level = signal.new_full(committed.shape[:2], self.shape.grid - 1)
            finest = torch.full_like(level, self.shape.grid.bit_length() - 1)
            known = torch.cat([committed, seen[:, :past]], -1)
            x = torch.cat([self.tokens(known, level, finest, token[:, :past]), x], 1)
            times = torch.cat([times[:past], times[first:]])
        mask = _reach(times, past, self.shape.window)
        if alone is not None:
            own = torch.eye(len(times), dtype=torch.bool, device=noisy.device)
            mask = torch.where(alone[:, None, None], own, mask)
        angles = rotary_angles(times, self.shape.width // self.shape.heads)
        told = past or len(times)  # frames in which a guest is
        if guest is not None:
            guest = guest[:, None, None].expand(-1, told, 1, -1)
        for index, layer in enumerate(self.layers):
            hosts = x
            if layer.time:  # the last layer only reads the committed past
                ends = index == self.shape.layers - 1
                x = layer.over_time(x, mask, angles, past if ends else 0)
            else:
                x = layer.space(x, keep=self.shape.computed(index))
            x = layer.feed(x)
            if guest is not None and layer.time:
                own = mask[..., :told, :told], (angles[0][:told], angles[1][:told])
                guest = layer.feed(layer.over_time(guest, *own))
            elif guest is not None:
                guest = layer.feed(layer.listen(guest, hosts[:, :told]))
        heard = None if guest is None else guest[:, :, 0]
        return self.read(x[:, -noisy.shape[1] :]), heard


class Near(nn.Module):
    """What a patch is told of its eight neighbours: a 3x3 convolution over the grid of tokens.

    A thing that crosses from one patch into the next is seen by both. Where it is steered,
    what is seen is multiplied by weights that follow from the action and the place: a turn
    of the head moves all that is seen, and the far edge more than the middle.
    """

    def __init__(self, shape: DynamicsShape) -> None:
        super().__init__()
        self.columns = shape.columns
        few = shape.width if shape.steered else shape.width // 2
        self.few = nn.Linear(shape.copy * shape.channels, few, bias=False)
        self.mix = nn.Linear(9 * few, shape.width, bias=False)
        self.steered = shape.steered
        if shape.steered:
            self.steer = nn.Linear(shape.width, 9 * few, bias=False)
            self.place = nn.Parameter(1 + 0.3 * torch.randn(shape.tokens, 9 * few))

    def forward(self, before: Tensor, action: Tensor) -> Tensor:
        """`[B, T, N, copy * D]`, with the actions `[B, T, W]`, to `[B, T, N, W]`."""
        grid = self.few(before).unflatten(2, (-1, self.columns))
        rows, columns = grid.shape[2:4]
        wide = F.pad(grid, (0, 0, 1, 1, 1, 1))
        around = [wide[:, :, y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
        seen = torch.cat(around, -1).flatten(2, 3)
        if self.steered:
            seen = seen * (1 + self.steer(action)[:, :, None] * self.place)
        return self.mix(seen)


def _before(frames: Tensor, length: int, count: int) -> Tensor:
    """The `count` predecessors of each of `length` frames, newest first, zeros before the first.

    Args:
      frames: `[B, T, N, D]`, at least `length - 1` of them.

    Returns:
      `[B, length, N, count * D]`.
    """
    padded = F.pad(frames[:, : length - 1], (0, 0, 0, 0, count, 0))
    ages = [padded[:, count - age : count - age + length] for age in range(1, count + 1)]
    return torch.cat([frames.new_zeros(len(frames), length, frames.shape[2], 0), *ages], -1)


def _reach(times: Tensor, past: int, window: int) -> Tensor:
    """`[F, F]` True where an entry may read another.

    Args:
      times: `[F]` of `past` committed frames, then of the frames that are denoised: these
        read committed frames before them, and themselves.
      past: how many are committed; 0 where the denoised frames read each other.
      window: frames that are seen, the reader's own included.
    """
    age = times[:, None] - times
    mask = (age >= 0) & (age < window)
    if past:
        mask[:, past:] = False
        mask[past:, :past] &= age[past:, :past] > 0
        mask[past:, past:] |= torch.eye(len(times) - past, dtype=torch.bool, device=times.device)
    return mask
