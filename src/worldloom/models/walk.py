"""One frame through the layers when generating: the mathematics of `blocks` in fewer operators.

A player's frame is a couple of dozen rows, and on a CPU the cost of starting small
operators is then as large as that of the products. Here the rows lie flat, results are
written in place, and what all passes of a frame share is computed once. For inference
only: nothing here has a gradient. `Dynamics.forward` is the judge of it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from worldloom.models.blocks import LOGIT_CAP, NORM_EPS, Layer
from worldloom.models.cache import Past
from worldloom.models.dynamics import Dynamics

_ALL = slice(None)

Watch = Callable[[int, Tensor], Tensor]
"""Takes the number of a block and what it leaves, any of `[B, n, W]`; gives what goes on."""


class Walk:
    """The passes of one frame of every row, whose past is cached.

    Args:
      model: is read as it is now.
      action: `[B, W]` from `model.action`.
      past: what the frame reads of its past; the place of its own keys is overwritten.
      before: `[B, N, copy * D]` the last committed frames, newest first, zeros before the
        first.
      watch: sees, and may change, what every block leaves `[B, n, W]`, n the slots that it
        computes, and under the number after the last block's what the head reads `[B, N, W]`.
        Memory that it is given is written over later. None: nobody looks.

    Attributes:
      read: `[B, N, W]` what the model's head read in the newest denoising pass, float32.
      codes: of the model's tiles, see `Dynamics`; None where it has none.
    """

    def __init__(
        self,
        model: Dynamics,
        action: Tensor,
        past: Past,
        before: Tensor,
        watch: Watch | None = None,
    ) -> None:
        self._model, self._past, self.codes = model, past, model.codes
        shape = model.shape
        self._rows, self._dim = len(action), shape.width // shape.heads
        dtype = model.embed.weight.dtype
        self._weights = [_weights(layer) for layer in model.layers]
        self._head_scales = _head_scales(list(model.layers), shape.heads, shape.kv_heads)
        self._scales = _norm_scales(model)
        self._level = model.signal.weight, model.size.weight
        self._embed = model.embed.weight[:, : shape.channels].t()
        self._tiny = [
            torch.full((), (width * NORM_EPS) ** 0.5, device=action.device)
            for width in (shape.width, self._dim)
        ]
        base = model.slot.to(dtype).expand(self._rows, -1, -1).clone()
        base[:, 0] += action
        latents = base[:, 2 : 2 + shape.tokens]
        known = before.to(dtype)
        latents += F.linear(known, model.embed.weight[:, shape.channels :], model.embed.bias)
        if shape.columns:
            latents += model.near(known[:, None], action[:, None])[:, 0]
        self._base = base
        self.read = base.new_empty(0, dtype=torch.float32)
        self._said: list[tuple[Tensor, Tensor]] | None = None
        self._watch = watch
        # Chosen here, so that the passes of a frame that nobody watches ask nothing.
        self._end = self._feed if watch is None else self._watched_feed
        self._show = self._reads if watch is None else self._watched_reads

    def denoise(self, noisy: Tensor, signal: int, size: int) -> Tensor:
        """One denoising pass.

        Args:
          noisy: `[B, N, D]`.
          signal: tau times the grid.
          size: log2(1 / d).

        Returns:
          `[B, N, D]` clean latents, or logits of tiles `[B, N, P * K]`; float32.
        """
        model, shape = self._model, self._model.shape
        x, _ = self._through(self._enter(noisy, signal, size), shape.layers)
        x = x.view(self._rows, -1, shape.width)
        if x.shape[1] == shape.slots:
            x = x[:, 2 : 2 + shape.tokens]
        self.read = self._show(x)
        return F.linear(self.read, model.head.weight.float(), model.head.bias.float())

    def remember(self, latents: Tensor, signal: int, size: int) -> list[tuple[Tensor, Tensor]]:
        """What later frames read of this one; ends where the last time layer has its keys.

        Arguments are those of `denoise`, with the frame's latents as they are to be seen.

        Returns:
          For each time layer its un-rotated keys and values `[B, slots, Hkv, d]`.
        """
        shape = self._model.shape
        last = max(index for index in range(shape.layers) if shape.is_time(index))
        x, fresh = self._through(self._enter(latents, signal, size), last)
        k, v = self._project(last, x, shape.heads)
        return [*fresh, (k, v)]

    def say(self) -> list[tuple[Tensor, Tensor]]:
        """From now on the space layers of `remember` leave what a guest hears of them.

        Returns:
          An empty list, into which each space layer puts its keys and values
          `[B, slots, Hkv, d]`.
        """
        self._said = []
        return self._said

    def _enter(self, latents: Tensor, signal: int, size: int) -> Tensor:
        """The tokens of the frame, `[B * slots, W]`."""
        shape, x = self._model.shape, self._base.clone()
        x[:, 1].add_(torch.cat([self._level[0][signal], self._level[1][size]]))
        latents = latents.to(x.dtype).flatten(0, 1)
        x[:, 2 : 2 + shape.tokens].add_(
            torch.mm(latents, self._embed).view(self._rows, -1, shape.width)
        )
        return x.view(-1, shape.width)

    def _through(self, x: Tensor, count: int) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """`[B * n, W]` through the first `count` layers, and the keys and values on the way."""
        fresh: list[tuple[Tensor, Tensor]] = []
        shape = self._model.shape
        for index in range(count):
            if shape.is_time(index):
                x, memory = self._time(index, x, len(fresh))
                fresh.append(memory)
            else:
                x = self._space(index, x)
            x = self._end(index, x)
        return x, fresh

    def _space(self, index: int, x: Tensor) -> Tensor:
        """Attention among the tokens of a frame; the slots that are not needed are only read."""
        shape, rows = self._model.shape, self._rows
        q, k, v = self._project(index, x)
        if self._said is not None:
            self._said.append((k, v))
        keep = shape.computed(index)
        if keep != _ALL:
            q, x = q[:, keep], x.view(rows, -1, shape.width)[:, keep].reshape(-1, shape.width)
        batch, count = rows * shape.kv_heads, q.shape[1]
        q = q.unflatten(2, (shape.kv_heads, -1)).transpose(1, 2).reshape(batch, -1, self._dim)
        k = k.permute(0, 2, 3, 1).reshape(batch, self._dim, -1)
        v = v.transpose(1, 2).reshape(batch, -1, self._dim)
        logits = torch.bmm(q, k).float().tanh_().mul_(LOGIT_CAP)
        out = torch.bmm(torch.softmax(logits, -1).to(v.dtype), v)
        out = out.view(rows, shape.kv_heads, count, -1).transpose(1, 2).reshape(x.shape)
        return x.addmm_(out, self._weights[index].out)

    def _time(self, index: int, x: Tensor, place: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Attention of each slot to its own history, and what this frame adds to it."""
        q, k, v = self._project(index, x)
        keys, values = self._past.k[place], self._past.v[place]
        keys[:, -1] = k.reshape(-1, self._dim)
        values[:, -1] = v.reshape(-1, self._dim)
        q = q.reshape(len(keys), -1, self._dim)
        logits = torch.bmm(q, keys.transpose(1, 2)).float().tanh_()
        masked = torch.add(
            self._past.bias, logits.view(self._rows, -1, keys.shape[1]), alpha=LOGIT_CAP
        )
        weights = torch.softmax(masked, -1).to(v.dtype).view(logits.shape)
        out = torch.bmm(weights, values).view(x.shape)
        return x.addmm_(out, self._weights[index].out), (k, v)

    def _feed(self, index: int, x: Tensor) -> Tensor:
        """The feed-forward half, in place."""
        weights, seen = self._weights[index], self._norm(x, 2 * index + 1)
        inner = F.silu(torch.mm(seen, weights.gate), inplace=True)
        return x.addmm_(inner.mul_(torch.mm(seen, weights.up)), weights.down)

    def _watched_feed(self, index: int, x: Tensor) -> Tensor:
        """`_feed`, and then whoever watches."""
        assert self._watch is not None, "chosen only where somebody watches"
        ended = self._feed(index, x).view(self._rows, -1, self._model.shape.width)
        return self._watch(index, ended).reshape(x.shape)

    def _reads(self, x: Tensor) -> Tensor:
        """What the head reads of the latents' slots `[B, N, W]`, float32."""
        return self._norm(x, -1).float()

    def _watched_reads(self, x: Tensor) -> Tensor:
        """`_reads`, and then whoever watches."""
        assert self._watch is not None, "chosen only where somebody watches"
        return self._watch(self._model.shape.layers, self._reads(x))

    def _project(self, index: int, x: Tensor, first: int = 0) -> tuple[Tensor, ...]:
        """`[B * n, W]` to q `[B, n, H, d]` and k, v `[B, n, Hkv, d]`, q and k normalised.

        With `first` = H there are only k and v.
        """
        shape = self._model.shape
        weight = self._weights[index].qkv[:, first * self._dim :]
        parts = torch.mm(self._norm(x, 2 * index), weight)
        parts = parts.view(self._rows, -1, shape.heads - first + 2 * shape.kv_heads, self._dim)
        both = parts[:, :, : -shape.kv_heads]
        length = torch.linalg.vector_norm(both, dim=-1, keepdim=True, dtype=torch.float32)
        both.div_(length.hypot_(self._tiny[1])).mul_(self._head_scales[index][first:])
        heads = [shape.heads - first, shape.kv_heads, shape.kv_heads]
        return parts.split([count for count in heads if count], 2)

    def _norm(self, x: Tensor, which: int) -> Tensor:
        """`RMSNorm`: x over its length, which a little keeps from 0, times one of the scales."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return torch.div(x, length.hypot_(self._tiny[0])).mul_(self._scales[which]).to(x.dtype)


class _Weights(NamedTuple):
    """The matrices of one layer, input-major, in the model's own memory."""

    qkv: Tensor
    out: Tensor
    gate: Tensor
    up: Tensor
    down: Tensor


def _weights(layer: Layer) -> _Weights:
    att, mlp = layer.attention, layer.mlp
    parts = (att.qkv, att.out, mlp.gate, mlp.up, mlp.down)
    return _Weights(*(part.weight.t() for part in parts))


def _head_scales(layers: list[Layer], heads: int, kv_heads: int) -> tuple[Tensor, ...]:
    """For each layer `[H + Hkv, d]`: what queries and keys of length 1 are multiplied by.

    Holds what a length lacks to be a root mean square, and the way of the logits to their cap.
    """
    q = torch.stack([layer.attention.q_scale for layer in layers])[:, None]
    k = torch.stack([layer.attention.k_scale for layer in layers])[:, None]
    q, k = q / LOGIT_CAP, k * q.shape[-1] ** 0.5
    return torch.cat([q.expand(-1, heads, -1), k.expand(-1, kv_heads, -1)], 1).float().unbind()


def _norm_scales(model: Dynamics) -> tuple[Tensor, ...]:
    """`[W]` each: before attention and feed-forward of every layer, then before the head."""
    norms = [norm for layer in model.layers for norm in (layer.attention_norm, layer.mlp_norm)]
    scales = torch.stack([norm.scale for norm in (*norms, model.norm)]).float()
    return (scales * model.shape.width**0.5).unbind()
