"""Actions that an agent is told wrongly, so that it learns to read rewards off what it sees.

Players do not try in vain: in their recordings the deed itself tells that it paid. A head
that learned from these pays for the deed in a dream too, whatever came of it, and dreaming
teaches to do it again and again. Where other deeds are told than were done, only the
picture tells what came of it. What to do is not learned from such windows: an agent that
acts knows what it did. The way is ours.
"""

import numpy as np
import torch

from worldloom.actions import Action, ActionSpec

WRONG = 0.5  # of the frames of a window whose deeds are told wrongly


def misreports(
    spec: ActionSpec, lead: tuple[int, int], share: float, rng: np.random.Generator
) -> Action:
    """Actions drawn uniformly, known where they are to be told in place of what was done.

    That is in the last `share` of the rows, and there in every other frame on average.

    Args:
      spec: of the actions.
      lead: rows and frames, `(B, T)`.
      share: of the rows.
      rng: decides where, and what.

    Returns:
      Arrays: values `[B, T, ...]`, known `[B, T]`.
    """
    wrong, values = rng.random(lead) < WRONG, spec.null(lead)
    wrong[: lead[0] - round(share * lead[0])] = False
    for place in zip(*np.nonzero(wrong), strict=True):
        for name, value in spec.sample(rng).items():
            values[name][place] = value
    return Action(values, wrong)


def told(action: Action, instead: Action) -> Action:
    """`action`, with what `instead` knows in its place; labels stay as known as they were."""
    wrong = torch.as_tensor(instead.known)
    values = {name: value.clone() for name, value in action.values.items()}
    for name, value in values.items():
        value[wrong] = torch.as_tensor(instead.values[name])[wrong].to(value.dtype)
    return Action(values, action.known)
