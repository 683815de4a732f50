"""Pauses told as deeds: what nobody did there is held to come to nothing.

Players never try in vain, so that in their recordings whatever is tried works, and a world learns
that it always does. Where they paused they did none of the other things: told that it was one of
these, a world learns that nothing comes of it there. Where a deed is possible it is done far more
often than it is told of a pause, and stays possible. The way is ours.
"""

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action, ActionSpec


def draw_deeds(
    spec: ActionSpec, lead: tuple[int, ...], share: float, dice: np.random.Generator
) -> Action:
    """Actions drawn uniformly, known where they are to be told in place of a pause.

    Args:
      spec: of the actions.
      lead: leading axes, `(B, T)`.
      share: of the places, on average.
      dice: decides where, and what.

    Returns:
      Arrays: values `[B, T, ...]`, known `[B, T]`.
    """
    chosen, values = dice.random(lead) < share, spec.null(lead)
    for place in zip(*np.nonzero(chosen), strict=True):
        for name, value in spec.sample(dice).items():
            values[name][place] = value
    return Action(values, chosen)


def told(action: Action, deeds: Action, spec: ActionSpec) -> Action:
    """`action`, with what `deeds` knows in place of its pauses; labels stay as known as they were.

    Args:
      action: of windows, values `[B, T, ...]`, known `[B, T]`.
      deeds: of the same leading axes, from `draw_deeds`.
      spec: of the actions; a pause is its null action.
    """
    here = torch.as_tensor(deeds.known).to(action.known.device) & pauses(action, spec)
    values = {name: value.clone() for name, value in action.values.items()}
    for name, value in values.items():
        value[here] = torch.as_tensor(deeds.values[name]).to(value)[here]
    return Action(values, action.known)


def pauses(action: Action, spec: ActionSpec) -> Tensor:
    """Where nothing was done, and that is known, `[B, T]` bool."""
    still = action.known.clone()
    for name, null in spec.null().items():
        same = action.values[name] == torch.as_tensor(null).to(action.values[name])
        still &= same.flatten(still.ndim).all(-1) if same.ndim > still.ndim else same
    return still
