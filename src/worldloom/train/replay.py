"""Dreams beside the recordings that they begin in: what each step drew, and how wrong it is."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from worldloom.data.clips import ClipCache, ClipSampler
from worldloom.data.types import Clip
from worldloom.models.draw import Made
from worldloom.models.dream import DreamState, DreamWorld
from worldloom.models.patches import to_bytes
from worldloom.seeding import stream


@dataclass(frozen=True)
class Windows:
    """How dreams are held against recordings.

    Args:
      rows: dreams at once.
      context: frames that each begins with.
      length: steps of each.
      tolerance: root mean square pixel error above which a step is wrong.
    """

    rows: int = 32
    context: int = 8
    length: int = 24
    tolerance: float = 0.05


@dataclass(frozen=True)
class Beside:
    """A step of a batch of dreams, and what was recorded there.

    Args:
      made: what the step drew; read it before the next one is asked for.
      real: `[B, N, D]` latents of the recorded frames.
      error: `[B]` root mean square pixel error, in [0, 1].
      episode: `[B]` int64, of the cache.
    """

    made: Made
    real: Tensor
    error: Tensor
    episode: Tensor


@torch.inference_mode()
def replay(
    world: DreamWorld, cache: ClipCache, windows: Windows, *, steps: int, seed: int
) -> Iterator[Beside]:
    """Dreams on from random windows of recordings as the players acted there.

    The error of a step is its own: what the dream stands in when the step is made was not
    wrong yet. Where a step was, its dream goes on from the recorded frame in its place.

    Args:
      world: that dreams.
      cache: of the recordings.
      windows: how many, how long, and when a step is wrong.
      steps: of single dreams, at least so many in all.
      seed: of the windows and the noise.
    """
    begin, length = windows.context, windows.context + windows.length
    sampler = ClipSampler(cache, length, windows.rows, seed=stream(seed, "windows"))
    for number in range(-(-steps // (windows.rows * windows.length))):
        episodes, starts = sampler.draw(number, length=length, batch=windows.rows)
        clip = cache.clip(episodes, starts, length=length)
        assert clip.actions is not None
        actions = clip.actions.map(lambda x: x.to(world.device))
        frames = clip.frames["main"].to(world.device)
        real = world.encode(frames)
        seeds = stream(seed, "dreams", number) + torch.arange(windows.rows)
        state, _ = world.start(Clip(latents=real[:, :begin], actions=actions[:, :begin]), seeds)
        for t in range(begin, length):
            made = world.make(state, world.dynamics.action(actions[:, t]))
            error = _error(world, state, made.latents, frames[:, t])
            yield Beside(made, real[:, t], error, torch.from_numpy(episodes))
            parted = (error > windows.tolerance)[:, None, None]
            world.commit(state, torch.where(parted, real[:, t], made.latents), made.walk)


def _error(world: DreamWorld, state: DreamState, latents: Tensor, real: Tensor) -> Tensor:
    """Root mean square error `[B]` of the frame that `latents` would show after `state`."""
    shown = torch.cat([state.latents[:, 1:], latents[:, None]], 1)
    picture = to_bytes(world.tokenizer.decode_last(shown, state.ring.count + 1))
    return ((picture.float() - real.float()) / 255).square().flatten(1).mean(1).sqrt()
