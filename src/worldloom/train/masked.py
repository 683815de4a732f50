"""Masked prediction of tiles: the loss of worlds whose pictures are laid out of them.

Of every frame some tiles are known and the others are asked for, each as one of K (masked
prediction: arXiv 2202.04200; of frames given actions arXiv 2402.15391). A squared error lets a
world draw the mean of what may come and calls what happens once in thirty steps noise; a
likelihood gives it its thirtieth.
"""

from dataclasses import fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldloom.actions import Action
from worldloom.configs import Forcing
from worldloom.errors import WorldloomError
from worldloom.models.dynamics import Dynamics
from worldloom.models.tiles import nearest
from worldloom.train.draws import Draws
from worldloom.train.shortcut import corrupt

_UNUSED = ("bootstrap_rows", "self_fed", "wiped", "even")
"""What shortcut forcing has to do, and this has not: shares and weights that are to be 0."""


class MaskedObjective(nn.Module):
    """The likelihood of the tiles that are not known, given those that are and the past.

    Args:
      model: to train; has tiles.
      forcing: how. At signal level tau each tile of a frame is known with probability tau.

    Raises:
      WorldloomError: it asks for something that is not done with tiles.
    """

    terms = ("tiles",)
    weights = (1.0,)

    def __init__(self, model: Dynamics, forcing: Forcing) -> None:
        super().__init__()
        check_forcing(forcing)
        self.model, self.forcing = model, forcing

    def forward(self, clean: Tensor, action: Action, draws: Draws) -> Tensor:
        """Latents `[B, T, N, D]` and their actions to the loss `[1]`."""
        return self.watched(clean, action, draws)[0]

    def watched(
        self, clean: Tensor, action: Action, draws: Draws, guest: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The loss `[1]`, nats a tile, and what a guest `[B, W]` makes of the frames."""
        model, first = self.model, self.forcing.shown
        assert model.codes is not None
        grid, parts = model.shape.grid, model.shape.parts
        action = Action(action.values, action.known & ~draws.hidden[:, None])
        last = draws.signal.new_full(clean[:, 1:].shape[:2], grid - 1)
        past = corrupt(clean[:, :-1], draws.past_noise, last, grid)
        clean, draws = clean[:, first:], draws.since(first)
        tiles = clean.unflatten(-1, (parts, -1))
        chance = torch.special.ndtr(draws.noise[..., :parts])
        known = chance < (draws.signal / grid)[..., None, None]
        seen = (tiles * known[..., None]).flatten(3)
        logits, heard = model.watched(
            seen, draws.signal, draws.size, action, draws.images, past, guest
        )
        asked = ~known
        logits = logits.unflatten(-1, (parts, -1))[asked]
        loss = F.cross_entropy(logits, nearest(tiles, model.codes)[asked], reduction="sum")
        return loss[None] / known.numel(), heard


def check_forcing(forcing: Forcing) -> None:
    """Raises where something is asked for that is done with latents alone."""
    wrong = [name for name in _UNUSED if getattr(forcing, name)]
    wrong += [] if forcing.committed else ["committed"]
    if wrong:
        usual = {field.name: field.default for field in fields(Forcing)}
        meant = ", ".join(f"{n}={getattr(forcing, n)} (usual {usual[n]})" for n in wrong)
        raise WorldloomError(
            f"worlds of tiles are not trained with {meant}",
            f"set {', '.join(_UNUSED)} to 0 and committed to True",
        )
