"""How many floating point operations a frame takes, from shapes alone.

Counts the matrix products, attention's included, a multiplication and an addition as two.
Everything else is a few per cent of it.
"""

from worldloom.models.dynamics import DynamicsShape
from worldloom.models.patches import PatchShape
from worldloom.models.tiles import TileShape
from worldloom.models.tokenizer import TokenizerShape


def step_operations(shape: DynamicsShape, passes: int) -> int:
    """Of the dynamics, for one frame of one row: its denoising passes and its commit pass."""
    width, patch = shape.width, shape.copy * shape.channels
    shared = shape.tokens * patch * width
    if shape.columns:
        few = width if shape.steered else width // 2
        shared += shape.tokens * (patch * few + 9 * few * width)
        shared += 9 * few * width if shape.steered else 0
    enter = shape.tokens * shape.channels * width
    layers = [_layer(shape, index) for index in range(shape.layers)]
    head = shape.parts * shape.kinds or shape.channels
    denoise = enter + sum(layers) + shape.tokens * width * head
    last = max(index for index in range(shape.layers) if shape.is_time(index))
    dim = width // shape.heads
    memory = shape.ring_slots()[-1] * width * 2 * shape.kv_heads * dim
    commit = enter + sum(layers[:last]) + memory
    return 2 * (shared + passes * denoise + commit)


def _layer(shape: DynamicsShape, index: int) -> int:
    """Multiplications of one layer, for the tokens of one frame."""
    width, dim = shape.width, shape.width // shape.heads
    kept = len(range(shape.slots)[shape.computed(index)])
    late = index > 0 and shape.computed(index - 1) != slice(None)
    given = kept if late else shape.slots
    seen = shape.window if shape.is_time(index) else given
    project = given * width * (shape.heads + 2 * shape.kv_heads) * dim
    attend = 2 * kept * shape.heads * seen * dim
    return project + attend + kept * width * width + 3 * kept * width * shape.hidden


def picture_operations(shape: PatchShape | TileShape | TokenizerShape) -> int:
    """Of the tokenizer, for one frame of one row: to the nearest picture, and to pixels."""
    if isinstance(shape, PatchShape):
        return 2 * 3 * shape.tokens * shape.channels * shape.patch**2 * 3
    if isinstance(shape, TileShape):
        return 2 * 2 * shape.tokens * shape.channels * shape.kinds
    width, tokens = shape.width, shape.patches + shape.latents
    feed = 12 * tokens * width * width
    enter = shape.window * shape.latents * shape.bottleneck * width
    square = shape.window * shape.latents
    time = 4 * square * width * width + 2 * square * shape.window * width + feed
    space = 4 * tokens * width * width + 2 * tokens * tokens * width + feed
    pixels = shape.patches * width * shape.patch**2 * 3
    return 2 * (enter + time + (shape.layers - 1) * space + pixels)
