"""The transformer that tokenizer and dynamics share: space layers and time layers.

Pre-norm attention and SwiGLU, RMSNorm, normalised queries and keys, soft-capped
logits, grouped queries, rotary positions (Hafner et al., arXiv 2509.24527;
`docs/models.md` lists what the paper leaves open). Knows tensors only: not what
a token means, and no configuration.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOGIT_CAP = 50.0
NORM_EPS = 1e-6


class RMSNorm(nn.Module):
    """Root mean square normalisation over the last axis, always in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self.scale.shape, self.scale, NORM_EPS).to(x.dtype)


def rotary_angles(positions: Tensor, dim: int, base: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosine and sine of rotary position embedding (Su et al., arXiv 2104.09864).

    Args:
      positions: `[...]`, any number type.
      dim: even width of one head.

    Returns:
      Two tensors `[..., dim / 2]`, float32.
    """
    rate = base ** (-torch.arange(0, dim, 2, device=positions.device, dtype=torch.float64) / dim)
    angle = positions.to(torch.float64)[..., None] * rate
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates the two halves of the last axis of `x` `[..., dim]` by angles `[..., dim / 2]`."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention with soft-capped logits; query heads share key heads in groups.

    The queries of one group are stacked along the token axis, so that grouped
    queries make fewer and larger matrix products.

    Args:
      q: `[R, Hkv, Nq, G, d]`.
      k: `[R, Hkv, Nk, d]`.
      v: `[R, Hkv, Nk, d]`.
      mask: bool, True where attention is allowed, broadcastable to
        `[R, Hkv, Nq, G, Nk]`; None allows everything.

    Returns:
      `[R, Hkv, Nq, G, d]`.
    """
    rows, heads, count, group, dim = q.shape
    flat = (q * (dim**-0.5 / LOGIT_CAP)).reshape(rows, heads, count * group, dim)
    logits = LOGIT_CAP * torch.tanh(flat @ k.transpose(-1, -2))
    if mask is not None:
        split = logits.view(rows, heads, count, group, -1)
        logits = split.masked_fill(~mask, float("-inf")).view(logits.shape)
    weights = torch.softmax(logits.float(), dim=-1).to(v.dtype)
    return (weights @ v).view(rows, heads, count, group, dim)


class Attention(nn.Module):
    """Projections, normalised queries and keys, and the way out."""

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.dim = heads, kv_heads, width // heads
        self.qkv = nn.Linear(width, (heads + 2 * kv_heads) * self.dim, bias=False)
        self.q_scale = nn.Parameter(torch.ones(self.dim))
        self.k_scale = nn.Parameter(torch.ones(self.dim))
        self.out = nn.Linear(width, width, bias=False)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`[..., W]` to q `[..., H, d]` and k, v `[..., Hkv, d]`, q and k normalised."""
        parts = self.qkv(x).unflatten(-1, (-1, self.dim))
        both, v = parts.split([self.heads + self.kv_heads, self.kv_heads], dim=-2)
        scale = torch.cat(
            [self.q_scale.expand(self.heads, -1), self.k_scale.expand(self.kv_heads, -1)]
        )
        both = (F.rms_norm(both.float(), (self.dim,), eps=NORM_EPS) * scale).to(v.dtype)
        q, k = both.split([self.heads, self.kv_heads], dim=-2)
        return q, k, v

    def group(self, q: Tensor) -> Tensor:
        """`[R, N, H, d]` to `[R, Hkv, N, G, d]`."""
        return q.unflatten(2, (self.kv_heads, -1)).transpose(1, 2)

    def merge(self, out: Tensor) -> Tensor:
        """`[R, Hkv, N, G, d]` to `[R, N, W]`, through the output projection."""
        return self.out(out.transpose(1, 2).flatten(2))


class SwiGLU(nn.Module):
    """Gated feed-forward layer (Shazeer, arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        # Two matrices rather than one that is split: splitting copies in the backward pass.
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    """One pre-norm layer: attention over space or over time, then SwiGLU."""

    def __init__(self, width: int, hidden: int, heads: int, kv_heads: int, *, time: bool) -> None:
        super().__init__()
        self.time = time
        self.attention_norm = RMSNorm(width)
        self.attention = Attention(width, heads, kv_heads)
        self.mlp_norm = RMSNorm(width)
        self.mlp = SwiGLU(width, hidden)

    def space(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        angles: tuple[Tensor, Tensor] | None = None,
        keep: slice = slice(None),
    ) -> Tensor:
        """Attention among the tokens of each step.

        Args:
          x: `[B, T, N, W]`.
          mask: `[N, N]` True where row may read column.
          angles: rotary angles `[N, d / 2]`, or None for tokens without positions.
          keep: the tokens that are computed; the others are only read.

        Returns:
          `[B, T, kept, W]`.
        """
        att, flat = self.attention, self.attention_norm(x).flatten(0, 1)
        q, k, v = att.project(flat)
        if angles is not None:
            cos, sin = angles[0][:, None], angles[1][:, None]
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        q, x = q[:, keep], x[:, :, keep]
        allowed = None if mask is None else mask[keep, None]
        out = attend(att.group(q), k.transpose(1, 2), v.transpose(1, 2), allowed)
        return x + att.merge(out).view(x.shape)

    def listen(self, guest: Tensor, hosts: Tensor) -> Tensor:
        """Attention of one token a step to itself and to the others, which do not see it.

        Args:
          guest: `[B, T, 1, W]`.
          hosts: `[B, T, N, W]` the step's tokens as they enter this layer.

        Returns:
          `[B, T, 1, W]`.
        """
        seen = torch.cat([guest, hosts], 2)
        return self.space(seen, keep=slice(0, 1))

    def over_time(
        self, x: Tensor, mask: Tensor, angles: tuple[Tensor, Tensor], first: int = 0
    ) -> Tensor:
        """Attention of each token slot to its own history.

        Args:
          x: `[B, T, N, W]`.
          mask: `[T, T]` or `[B, T, T]` True where row may read column.
          angles: rotary angles `[T, d / 2]`.
          first: frames before this one are only read.

        Returns:
          `[B, T - first, N, W]`.
        """
        batch, _, slots, _ = x.shape
        att = self.attention
        q, k, v = att.project(self.attention_norm(x))
        cos, sin = angles[0][:, None, None], angles[1][:, None, None]
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        q, x, mask = q[:, first:], x[:, first:], mask[..., first:, :]
        q, k, v = (part.transpose(1, 2).flatten(0, 1) for part in (q, k, v))
        if mask.dim() == 3:
            mask = mask.repeat_interleave(slots, 0)[:, None]
        out = attend(att.group(q), k.transpose(1, 2), v.transpose(1, 2), mask[..., None, :])
        return x + att.merge(out).view(batch, slots, -1, x.shape[-1]).transpose(1, 2)

    def feed(self, x: Tensor) -> Tensor:
        """The feed-forward half, `[..., W]` to `[..., W]`."""
        return x + self.mlp(self.mlp_norm(x))


class Stack(nn.ModuleList):
    """Layers in the order in which they are applied."""

    def __iter__(self) -> Iterator[Layer]:
        return super().__iter__()  # type: ignore[return-value]

    def __getitem__(self, index: int) -> Layer:  # type: ignore[override]
        return super().__getitem__(index)  # type: ignore[return-value]


def time_mask(length: int, window: int, device: torch.device | str = "cpu") -> Tensor:
    """`[T, T]` True where frame `row` may read frame `column`: itself and `window - 1` before."""
    age = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
    return (age >= 0) & (age < window)


def initialise(module: nn.Module, layers: int) -> None:
    """Normal weights of deviation 1/sqrt(fan in); residual outputs shrunk by sqrt(2 layers).

    Embeddings and loose parameters keep what their own modules gave them.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear):
            spread = part.in_features**-0.5
            if name.endswith((".out", ".down")):
                spread /= (2 * layers) ** 0.5
            nn.init.normal_(part.weight, 0.0, spread)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
