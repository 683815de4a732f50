"""The alignment world: each frame shows the action that led to it.

Loss on normal data does not reveal actions that are shifted by one frame. Here
a model reaches almost no error, and with shifted actions it stays at chance.
"""

import pytest
import torch

from worldloom.actions import Action, ActionSpec, Categorical
from worldloom.configs import Forcing
from worldloom.models.dynamics import Dynamics, DynamicsShape
from worldloom.train.dist import Ranks
from worldloom.train.draws import draw
from worldloom.train.dynamics import DynamicsObjective
from worldloom.train.learner import Learner
from worldloom.train.optim import Schedule

SPEC = ActionSpec((Categorical("colour", 4),))
STEPS = 250


def batch(step, shift):
    """Latents whose one channel of four names the action of the same index."""
    draws = torch.Generator().manual_seed(step)
    choice = torch.randint(0, 4, (16, 7), generator=draws)
    clean = 2.0 * torch.nn.functional.one_hot(choice, 4).float()[:, :, None] - 0.5
    known = torch.ones(16, 6, dtype=torch.bool)
    told = choice[:, 1:] if shift == 0 else choice[:, :-1]
    return clean[:, 1:], Action({"colour": told}, known)


def error_when_asked(model, shift):
    """Mean squared error of frames predicted from noise alone, over the variance of the data."""
    clean, action = batch(10**6, shift)
    shape = model.shape
    noisy = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    zero = torch.zeros(clean.shape[:2], dtype=torch.int64)
    with torch.no_grad():
        predicted = model(
            noisy, zero, zero + shape.grid.bit_length() - 1, action, None, clean[:, :-1]
        )
    return float((predicted - clean)[:, 1:].square().mean() / clean.var())


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0, 1])
def test_actions_lead_to_the_frame_of_the_same_index(shift):
    torch.manual_seed(0)
    shape = DynamicsShape(1, 4, 32, 4, 2, 1, 64, 1, 4, 6, 2)
    objective = DynamicsObjective(Dynamics(shape, SPEC))
    learner = Learner(objective, Schedule(STEPS, rate=5e-3, warmup=20, ema=0.9), Ranks())
    forcing = Forcing(bootstrap_rows=0.0, images=0.0, unlabelled=0.0)
    for step in range(STEPS):
        clean, action = batch(step, shift)
        draws = draw(shape, (16, 6), forcing, 0.0, torch.Generator().manual_seed(step))
        learner.update(clean, action, draws)
    share = error_when_asked(learner.average, shift)
    if shift == 0:
        assert share < 0.05
    else:
        assert share > 0.9
