"""Trains the tokenizer: masked autoencoding with the loss on all patches."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from worldloom.configs import Batches, Size
from worldloom.data.clips import ClipCache, ClipSampler
from worldloom.data.store import Store
from worldloom.models.patches import PatchShape, PatchTokenizer, to_bytes
from worldloom.models.tiles import TileShape, TileTokenizer, find_tiles
from worldloom.models.tokenizer import Tokenizer, TokenizerShape
from worldloom.models.tokenizers import AnyShape, AnyTokenizer, kind_of
from worldloom.seeding import generator, stream
from worldloom.train.checkpoint import load_strictly, read_tensors
from worldloom.train.dist import Ranks, ranks
from worldloom.train.learner import Learner
from worldloom.train.log import tracking
from worldloom.train.loop import fit
from worldloom.train.onward import Onward, onward_of, weights
from worldloom.train.optim import Schedule
from worldloom.train.perceptual import Perceptual
from worldloom.train.setup import Options, camera_size, describe, open_cache, open_stage
from worldloom.train.stage import Stage

MOST_HIDDEN = 0.9  # patches are masked with a probability drawn from U(0, this)
PERCEPTUAL_WEIGHT = 0.2


class TokenizerObjective(nn.Module):
    """Squared error on all patches, masked or not; with weights given, LPIPS too.

    Attributes:
      terms: names of the losses that a call returns.
      weights: what each counts, after division by its running scale.
    """

    def __init__(self, model: Tokenizer, perceptual: Perceptual | None = None) -> None:
        super().__init__()
        self.model = model
        self.perceptual = perceptual
        self.terms = ("squared_error",) + (("perceptual",) if perceptual else ())
        self.weights = (1.0, PERCEPTUAL_WEIGHT)[: len(self.terms)]

    def forward(self, frames: Tensor, hidden: Tensor) -> Tensor:
        """Frames `[B, T, H, W, 3]` uint8 and masked patches `[B, T, P]` to losses `[terms]`."""
        real = frames.float() / 255
        painted = self.model.paint(self.model.squash(real, hidden)).float()
        losses = [(painted - real).square().mean()]
        if self.perceptual is not None:
            losses.append(self.perceptual(painted.flatten(0, 1), real.flatten(0, 1)))
        return torch.stack(losses)


def draw_hidden(shape: TokenizerShape, lead: tuple[int, int], seed: int, step: int) -> Tensor:
    """Which patches are hidden, `[B, T, P]` bool: p ~ U(0, 0.9) for each image."""
    draws = generator(seed, "hidden", step)
    share = MOST_HIDDEN * torch.rand((*lead, 1), generator=draws)
    return torch.rand((*lead, shape.patches), generator=draws) < share


def train_tokenizer(
    store: Store,
    run: Path,
    size: Size,
    options: Options,
    *,
    resume: bool = False,
    perceptual: Path | None = None,
    onward: Onward | None = None,
) -> bool:
    """Trains RUN/tokenizer on the store's training split.

    Args:
      store: the recordings.
      run: the run folder.
      size: shapes and schedule; a resumed stage keeps the ones it began with.
      options: how the run behaves.
      resume: go on with RUN/tokenizer instead of making it.
      perceptual: LPIPS weights in safetensors; None trains on squared error alone.
      onward: an earlier tokenizer that is learned on with, for one that is learned at all.

    Returns:
      Whether the schedule was finished.
    """
    camera_size(store)
    with ranks() as group:
        stage = open_stage(run / "tokenizer", resume)
        cache, tiles = open_cache(store, run, stage, options), None
        if stage is None:
            shape, tiles = _found(size.tokenizer, cache)
            facts = describe(
                "tokenizer",
                store,
                cache,
                kind=kind_of(shape),
                size=size.name,
                shape=shape,
                schedule=size.tokenizer_schedule,
                batches=size.tokenizer_batches,
                seed=options.seed,
                loss="squared error"
                + (" + 0.2 LPIPS" if perceptual else " alone (no LPIPS weights)"),
                perceptual=str(perceptual.resolve()) if perceptual else None,
                onward=onward,
            )
            make = Stage.create if group.leads else Stage
            stage = make(run / "tokenizer", facts)
        if stage.done:
            return True
        if stage.config["kind"] == "patches":
            return _fit_patches(stage, cache, options, group)
        if stage.config["kind"] == "tiles":
            return _fit_tiles(stage, cache, tiles, options, group)
        return _fit_learned(stage, cache, options, group)


def _fit_patches(stage: Stage, cache: ClipCache, options: Options, group: Ranks) -> bool:
    """Closed form, from frames spread over the recordings; one process does it."""
    if not group.leads:
        return True
    tokenizer = PatchTokenizer(stage.part("shape", PatchShape))
    batches = stage.part("batches", Batches)
    rows = min(batches.rows, cache.frames_total)
    sampler = ClipSampler(cache, 1, rows, seed=stream(stage.config["seed"], "tokenizer data"))
    frames = sampler.batch(0).frames["main"][:, 0]
    error = tokenizer.fit(frames)
    row = {"step": 1, "rms_error_left_out": error, "frames": rows}
    stage.log(row)
    if track := tracking(options, stage, group):
        track(1, row)
    stage.picture("reconstruction", reconstruction(tokenizer, frames[None, :12]))
    stage.finish(tokenizer)
    if options.report:
        options.report(1, 1, error**2)
    return True


def _found(shape: AnyShape, cache: ClipCache) -> tuple[AnyShape, Tensor | None]:
    """The shape of tiles with what the recordings show, and these; any other as it is."""
    return find_tiles(shape, _Films(cache)) if isinstance(shape, TileShape) else (shape, None)


@dataclass(frozen=True)
class _Films:
    """The frames of every episode, `[T, H, W, 3]`; may be gone through more than once."""

    cache: ClipCache

    def __iter__(self) -> Iterator[Tensor]:
        for episode, length in enumerate(self.cache.lengths):
            clip = self.cache.clip(np.array([episode]), np.array([0]), length=int(length))
            yield clip.frames["main"][0]


def _fit_tiles(
    stage: Stage, cache: ClipCache, tiles: Tensor | None, options: Options, group: Ranks
) -> bool:
    """Nothing is left to learn once the tiles are found; one process writes them down."""
    if not group.leads:
        return True
    tokenizer = TileTokenizer(stage.part("shape", TileShape))
    if tiles is None:  # begun, and not finished
        tiles = find_tiles(tokenizer.shape, _Films(cache))[1]
    tokenizer.fit(tiles)
    row = {"step": 1, "kinds": len(tiles), "frames": cache.frames_total}
    stage.log(row)
    if track := tracking(options, stage, group):
        track(1, row)
    length = min(12, int(cache.lengths.max()))
    look = ClipSampler(cache, length, 1, seed=0).batch(0).frames["main"]
    stage.picture("reconstruction", reconstruction(tokenizer, look))
    stage.finish(tokenizer)
    if options.report:
        options.report(1, 1, 0.0)
    return True


def _fit_learned(stage: Stage, cache: ClipCache, options: Options, group: Ranks) -> bool:
    shape = stage.part("shape", TokenizerShape)
    batches, seed = stage.part("batches", Batches), stage.config["seed"]
    torch.manual_seed(stream(seed, "tokenizer weights"))
    path = stage.config["perceptual"]
    objective = TokenizerObjective(Tokenizer(shape), Perceptual.load(Path(path)) if path else None)
    learner = Learner(objective, stage.part("schedule", Schedule), group)
    onward = onward_of(stage.config.get("onward"))
    if onward is not None and onward.begin and not stage.checkpoint.exists():
        earlier = Path(onward.begin) / "weights.safetensors"
        for module in (learner.model, learner.average):
            load_strictly(module, read_tensors(earlier)[0], f"`{earlier}`")
    sampler = ClipSampler(
        cache,
        batches.short,
        batches.rows,
        seed=stream(seed, "tokenizer data"),
        weights=weights(cache, onward, batches.short),
    )

    def inputs(step: int) -> tuple[Tensor, Tensor]:
        rows, length = batches.at(step, learner.schedule.steps)
        clip = sampler.batch(
            step, length=length, batch=rows, rank=group.rank, world_size=group.world_size
        )
        hidden = draw_hidden(shape, (rows, length), seed, step)[group.rows(rows)]
        return clip.frames["main"].to(group.device), hidden.to(group.device)

    look = sampler.batch(0, batch=max(1, 512 // batches.short)).frames["main"].to(group.device)
    average = learner.average
    assert isinstance(average, Tokenizer)
    average.calibrate(look)
    finished = fit(
        learner,
        inputs,
        stage,
        picture=lambda: reconstruction(average, look[:1, :12]),
        save_minutes=options.save_minutes,
        until=options.until,
        report=options.report,
        track=tracking(options, stage, group),
    )
    if finished and group.leads:
        average.calibrate(look)
        stage.finish(average)
    return finished


@torch.no_grad()
def reconstruction(tokenizer: AnyTokenizer, frames: Tensor) -> Tensor:
    """Real frames above their reconstructions, `[1, T, H, W, 3]` to `[2 H, T W, 3]` uint8."""
    painted = to_bytes(tokenizer.decode(tokenizer.encode(frames)))
    rows = torch.cat([frames, painted]).to(torch.uint8)
    return rows.permute(0, 2, 1, 3, 4).flatten(0, 1).flatten(1, 2)
