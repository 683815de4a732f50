"""Small models and inputs that several tests share."""

import torch

from worldloom.actions import Action, ActionSpec, Binary
from worldloom.configs import Forcing
from worldloom.models.dynamics import Dynamics, DynamicsShape
from worldloom.train.draws import Draws, draw

ACTIONS = ActionSpec((Binary("keys", ("left", "right", "jump")),))


def tiny_shape(**changes) -> DynamicsShape:
    values = dict(
        tokens=4,
        channels=6,
        width=32,
        layers=4,
        heads=4,
        kv_heads=2,
        hidden=48,
        registers=2,
        grid=8,
        window=5,
        time_every=2,
    )
    return DynamicsShape(**{**values, **changes})


def tiny_dynamics(seed: int = 0, **changes) -> Dynamics:
    """A model whose output depends on everything: nothing is left at zero."""
    torch.manual_seed(seed)
    model = Dynamics(tiny_shape(**changes), ACTIONS)
    torch.nn.init.normal_(model.head.weight, 0, 0.2)
    if model.shape.steered:
        torch.nn.init.normal_(model.near.steer.weight, 0, 0.2)
    return model


def keys(*lead: int, seed: int = 0, known: bool = True) -> Action:
    draws = torch.Generator().manual_seed(seed)
    value = torch.randint(0, 2, (*lead, 3), generator=draws, dtype=torch.uint8)
    return Action({"keys": value}, torch.full(lead, known))


def objective_inputs(
    model: Dynamics, batch: int = 8, length: int = 6, seed: int = 0
) -> tuple[torch.Tensor, Action, Draws]:
    draws = torch.Generator().manual_seed(seed)
    shape = model.shape
    clean = torch.randn(batch, length, shape.tokens, shape.channels, generator=draws)
    return clean, keys(batch, length), draw(shape, (batch, length), Forcing(), 1.0, draws)
