"""All that is random in an update of the dynamics: levels, noise, row kinds, what is wiped."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worldloom.configs import WIPED_FRAMES, Forcing
from worldloom.models.dynamics import DynamicsShape
from worldloom.train.shortcut import sample_levels


@dataclass(frozen=True)
class Draws:
    """Everything random in one step, drawn for the global batch.

    Args:
      noise: `[B, T, N, D]`.
      past_noise: `[B, T - 1, N, D]` of the committed past, empty where there is none.
      signal: `[B, T]` int64.
      size: `[B, T]` int64.
      images: `[B]` bool rows whose frames are separate images.
      hidden: `[B]` bool rows whose actions are hidden.
      shortcut: `[B]` bool rows that learn shortcuts.
      fed: `[B]` int64 how many predictions deep a row's past is; 0 is the recorded past.
      wiped: `[B, T - 1, N]` bool where nothing that moves is seen in the past.
    """

    noise: Tensor
    past_noise: Tensor
    signal: Tensor
    size: Tensor
    images: Tensor
    hidden: Tensor
    shortcut: Tensor
    fed: Tensor
    wiped: Tensor

    def since(self, first: int) -> "Draws":
        """Those of the frames from `first` on; the committed past stays whole."""
        later = {name: getattr(self, name)[:, first:] for name in ("noise", "signal", "size")}
        return replace(self, **later)

    def rows(self, rows: slice, device: torch.device) -> "Draws":
        """One rank's part, on its device."""
        return Draws(*(getattr(self, name)[rows].to(device) for name in self.__dataclass_fields__))


def draw(
    shape: DynamicsShape,
    lead: tuple[int, int],
    forcing: Forcing,
    progress: float,
    draws: torch.Generator,
) -> Draws:
    """Draws levels, noise and row kinds for a global batch.

    Args:
      shape: of the model.
      lead: (B, T).
      forcing: how to train.
      progress: share of the training that is done; some rows come late.
      draws: where the randomness comes from.
    """
    batch, full = lead[0], (*lead, shape.tokens, shape.channels)
    signal, size = sample_levels(lead, shape.grid, draws)
    place = torch.arange(batch)
    # Shortcut rows are spread evenly over the batch, so that every rank has its part of them.
    share = forcing.bootstrap_rows if progress >= forcing.bootstrap_from else 0.0
    shortcut = ((place + 1) * share).floor() > (place * share).floor()
    flow = torch.randint(0, shape.grid, lead, generator=draws)
    blank = torch.rand(lead, generator=draws) < forcing.blank
    fed = torch.rand(batch, generator=draws) < forcing.self_fed
    depth = torch.randint(1, 1 + forcing.fed_depth, (batch,), generator=draws)
    return Draws(
        noise=torch.randn(full, generator=draws),
        past_noise=torch.randn(full, generator=draws)[:, 1:]
        if forcing.committed
        else signal[:, :0],
        signal=torch.where(shortcut[:, None], signal, torch.where(blank, 0, flow)),
        size=torch.where(shortcut[:, None], size, shape.grid.bit_length() - 1),
        images=torch.rand(batch, generator=draws) < forcing.images,
        hidden=torch.rand(batch, generator=draws) < forcing.unlabelled,
        shortcut=shortcut,
        fed=depth * (fed & (progress >= forcing.fed_from)),
        wiped=draw_wiped(shape, lead, forcing, progress, draws),
    )


def draw_wiped(
    shape: DynamicsShape,
    lead: tuple[int, int],
    forcing: Forcing,
    progress: float,
    draws: torch.Generator,
) -> Tensor:
    """Draws the wiped places: a box of half the picture's sides or more, for a few frames.

    Args: as of `draw`.

    Returns:
      `[B, T - 1, N]` bool.
    """
    batch, past = lead[0], lead[1] - 1
    columns = shape.columns or shape.tokens
    free = max(0, past - forcing.shown)

    def span(size: int, least: int, most: int) -> Tensor:
        length = least + (torch.rand(batch, generator=draws) * (most - least + 1)).long()
        first = (torch.rand(batch, generator=draws) * (size - length + 1)).long()
        place = torch.arange(size)
        return (place >= first[:, None]) & (place < (first + length)[:, None])

    def side(size: int) -> Tensor:
        return span(size, (size + 1) // 2, size)

    rows = torch.rand(batch, generator=draws) < forcing.wiped
    rows &= progress >= forcing.wiped_from
    when = torch.zeros(batch, past, dtype=torch.bool)
    if free:
        when[:, forcing.shown :] = span(free, 1, min(free, WIPED_FRAMES))
    where = side(shape.tokens // columns)[:, :, None] & side(columns)[:, None, :]
    return rows[:, None, None] & when[:, :, None] & where.flatten(1)[:, None]
