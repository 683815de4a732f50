"""Train a small world on any store of small frames, dream in it, and look at the dream.

python examples/train_tiny.py stores/hop runs/tiny 2000
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from worldloom import Store, contexts, load_world
from worldloom.configs import nano
from worldloom.train.dynamics import train_dynamics
from worldloom.train.setup import Options
from worldloom.train.tokenizer import train_tokenizer


def main(path: str, run: str, steps: int) -> torch.Tensor:
    """Trains for `steps` updates and dreams for 16 frames: `[16, H, W, 3]` uint8."""
    store = Store.open(path)
    size = nano(store.info.cameras["main"])
    size = replace(size, schedule=replace(size.schedule, steps=steps))
    options = Options(seed=0, report=lambda step, steps, loss: print(f"{step}/{steps} {loss:.3f}"))
    train_tokenizer(store, Path(run), size, options)
    train_dynamics(store, Path(run), size, options)

    world, start = load_world(run), contexts(store, count=1)[0]
    state, _ = world.start(start, seeds=torch.tensor([0]))
    frames = []
    for _ in range(16):
        state, _ = world.step(state, start.actions[:, -1])  # hold the last keys
        frames.append(world.render(state)[0])
    return torch.stack(frames)


if __name__ == "__main__":
    dream = main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    Image.fromarray(torch.cat(list(dream), 1).numpy()).save(f"{sys.argv[2]}/dream.png")
    print(f"look at {sys.argv[2]}/dream.png")
