"""Operations from shapes equal those that torch counts while a frame is made."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from worlds import ACTIONS, keys, tiny_shape

from worldloom.data.types import Clip
from worldloom.models.dream import DreamWorld, Sampler, dream_spec
from worldloom.models.dynamics import Dynamics
from worldloom.models.operations import picture_operations, step_operations
from worldloom.models.patches import PatchShape, PatchTokenizer
from worldloom.models.tokenizer import Tokenizer, TokenizerShape

LEARNED = TokenizerShape((16, 24), 8, 8, 3, 2, width=16, layers=3, heads=2, window=4)
PATCHES = PatchShape((16, 16), 8, 6)


def added(out, a, b, **rest):
    """Of `addmm_` on shapes, which torch's counter leaves out."""
    return 2 * a[0] * a[1] * b[1]


@pytest.mark.parametrize("tokenizer", [PATCHES, LEARNED])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"copy": 2, "columns": 2},
        {"copy": 2, "columns": 2, "steered": True},
        {"layers": 3},
        {"layers": 8, "time_every": 4},
    ],
)
def test_operations_are_those_that_are_run(tokenizer, changes):
    shape = tiny_shape(**changes)
    learned = isinstance(tokenizer, TokenizerShape)
    module = Tokenizer(tokenizer) if learned else PatchTokenizer(tokenizer)
    spec = dream_spec("test", tokenizer.frame, ACTIONS, 20.0)
    world = DreamWorld(module, Dynamics(shape, ACTIONS), spec, Sampler(passes=2))
    latents = torch.randn(1, 3, shape.tokens, shape.channels)
    state, _ = world.start(Clip(latents=latents), torch.zeros(1, dtype=torch.int64))
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: added}) as counter:
        state, _ = world.step(state, keys(1))
        world.render(state)
    expected = step_operations(shape, 2) + picture_operations(tokenizer)
    assert counter.get_total_flops() == expected
