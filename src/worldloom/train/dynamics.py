"""Trains the dynamics: shortcut forcing on latents, with alternating batch lengths."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from worldloom.actions import Action
from worldloom.configs import Batches, Forcing, Size
from worldloom.data.clips import ClipCache, ClipSampler
from worldloom.data.latents import write_latents
from worldloom.data.paid import PaidSampler
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.hub import load_dynamics, load_tokenizer, weights_hash
from worldloom.models.dream import DreamWorld, dream_spec
from worldloom.models.dynamics import Dynamics, DynamicsShape
from worldloom.models.patches import PatchTokenizer
from worldloom.models.tiles import TileTokenizer
from worldloom.models.tokenizers import AnyTokenizer
from worldloom.seeding import generator, rng, stream
from worldloom.train.dist import Ranks, ranks
from worldloom.train.draws import Draws, draw
from worldloom.train.held import Coming, draw_held, draw_soon, seldom
from worldloom.train.learner import Learner
from worldloom.train.log import tracking
from worldloom.train.loop import fit
from worldloom.train.masked import MaskedObjective, check_forcing
from worldloom.train.metric import check_pixels, metric_of
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options, describe, open_cache, open_stage
from worldloom.train.shortcut import bootstrap_target, corrupt, frame_loss
from worldloom.train.stage import Stage
from worldloom.train.vain import draw_deeds, told


class DynamicsObjective(nn.Module):
    """The shortcut-forcing loss; the teacher of the shortcuts is the current network.

    Args:
      model: to train.
      forcing: how.
      metric: `[N, D, P]` in which errors are squared, see `worldloom.train.metric`.
    """

    terms = ("shortcut",)
    weights = (1.0,)
    metric: Tensor | None

    def __init__(
        self, model: Dynamics, forcing: Forcing | None = None, metric: Tensor | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.forcing = forcing or Forcing()
        self.register_buffer("metric", metric, persistent=False)

    def forward(self, clean: Tensor, action: Action, draws: Draws) -> Tensor:
        """Latents `[B, T, N, D]` and their actions to the loss `[1]`."""
        return self.watched(clean, action, draws)[0]

    def watched(
        self, clean: Tensor, action: Action, draws: Draws, guest: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The loss, and what a guest `[B, W]` makes of the frames, see `Dynamics.watched`."""
        grid, forcing = self.model.shape.grid, self.forcing
        action = Action(action.values, action.known & ~draws.hidden[:, None])
        past = self.past(clean, action, draws) if forcing.committed else None
        # What is only shown need not be computed, unless the other frames read it there.
        first = forcing.shown if forcing.committed else 0
        clean, draws = clean[:, first:], draws.since(first)
        noisy = corrupt(clean, draws.noise, draws.signal, grid)
        target = clean
        if bool(draws.shortcut.any()):
            target = self.targets(clean, noisy, action, draws, past)
        predicted, heard = self.model.watched(
            noisy, draws.signal, draws.size, action, draws.images, past, guest
        )
        how = {"ramp": forcing.ramp, "metric": self.metric}
        loss = frame_loss(predicted, target, draws.signal, grid, **how)
        return loss[:, forcing.shown - first :].mean()[None], heard

    def targets(
        self, clean: Tensor, noisy: Tensor, action: Action, draws: Draws, past: Tensor | None = None
    ) -> Tensor:
        """Bootstrap targets where a frame's step is coarser than the finest, else clean latents."""
        rows = draws.shortcut.nonzero()[:, 0]
        own, images = action[rows], draws.images[rows]
        seen = None if past is None else past[rows]

        def teacher(z: Tensor, signal: Tensor, size: Tensor) -> Tensor:
            return self.model(z, signal, size, own, images, seen)

        grid, size = self.model.shape.grid, draws.size[rows]
        led = bootstrap_target(teacher, noisy[rows], draws.signal[rows], size, grid)
        coarse = (size < grid.bit_length() - 1)[..., None, None]
        return clean.float().index_copy(0, rows, torch.where(coarse, led, clean[rows].float()))

    @torch.no_grad()
    def past(self, clean: Tensor, action: Action, draws: Draws) -> Tensor:
        """The past `[B, T - 1, N, D]` as generation commits it.

        In the fed rows all frames but those that are only shown are what the model made of
        them: its own mistakes, while there is still a truth to return to. Each round
        predicts all frames from the ones before, so n rounds give n steps of a dream.
        """
        grid, first = self.model.shape.grid, self.forcing.shown
        last = draws.signal.new_full(clean[:, 1:].shape[:2], grid - 1)
        past = corrupt(clean[:, :-1], draws.past_noise, last, grid)
        if bool(draws.wiped.any()):
            still = clean.median(1, keepdim=True).values.expand_as(clean[:, :-1])
            gone = corrupt(still, draws.past_noise, last, grid)
            past = torch.where(draws.wiped[..., None], gone, past)
        rows = draws.fed.nonzero()[:, 0]
        if len(rows) == 0:
            return past
        real = fed = past[rows]
        level = last[rows, first:]
        finest = torch.full_like(level, grid.bit_length() - 1)
        noise, again = draws.noise[rows, first:-1], draws.past_noise[rows, first:]
        told, images = action[rows, :-1], draws.images[rows]
        count = self.forcing.fed_passes
        for depth in range(int(draws.fed.max())):
            own = noise
            for index in range(count):
                at = torch.full_like(level, index * grid // count)
                sharper = self.model(own, at, finest, told, images, fed[:, :-1])
                own = torch.lerp(own, sharper, 1 / (count - index))
            deeper = (draws.fed[rows] > depth)[:, None, None, None]
            own = torch.where(deeper, corrupt(own, again, level, grid), fed[:, first:])
            fed = torch.cat([real[:, :first], own.to(real.dtype)], 1)
        return past.index_copy(0, rows, fed)


def objective_of(
    model: Dynamics, forcing: Forcing, metric: Tensor | None = None
) -> DynamicsObjective | MaskedObjective:
    """What a world learns by: of tiles their likelihood, of latents shortcut forcing.

    Args:
      model: to train.
      forcing: how.
      metric: as of `DynamicsObjective`.
    """
    if model.shape.kinds:
        return MaskedObjective(model, forcing)
    return DynamicsObjective(model, forcing, metric)


def shape_for(size: Size, tokenizer: AnyTokenizer) -> DynamicsShape:
    """The shape of a world of a size, with what follows from the recordings' tiles."""
    if not isinstance(tokenizer, TileTokenizer):
        return size.dynamics
    check_forcing(size.forcing)
    return replace(size.dynamics, kinds=tokenizer.shape.kinds, parts=tokenizer.shape.parts)


def train_dynamics(
    store: Store,
    run: Path,
    size: Size,
    options: Options,
    *,
    resume: bool = False,
    begin: Path | None = None,
) -> bool:
    """Trains RUN/dynamics on the latents of RUN/tokenizer.

    Args:
      store: the recordings, of the same frames and actions as the tokenizer's.
      run: the run folder, whose tokenizer is done.
      size: shapes and schedule; a resumed stage keeps the ones it began with.
      options: how the run behaves.
      resume: go on with RUN/dynamics instead of making it.
      begin: another run, with the same tokenizer and shape, whose finished weights are learned
        on from, by the whole of this schedule and with fresh optimisers; None begins from chance.

    Returns:
      Whether the schedule was finished.
    """
    with ranks() as group:
        tokenizer = load_tokenizer(run).to(group.device)
        _check_frames(store, tokenizer, run)
        check_pixels(tokenizer, size.forcing.even)  # before anything is made
        shape = shape_for(size, tokenizer)
        if begin is not None:
            _check_begin(begin, run, size.name, shape)
        stage = open_stage(run / "dynamics", resume)
        cache = open_cache(store, run, stage, options)
        if stage is None:
            facts = describe(
                "dynamics",
                store,
                cache,
                size=size.name,
                shape=shape,
                schedule=size.schedule,
                batches=size.batches,
                forcing=size.forcing,
                seed=options.seed,
                tokenizer=weights_hash(run / "tokenizer"),
                begin=None if begin is None else str(begin.resolve()),
            )
            make = Stage.create if group.leads else Stage
            stage = make(run / "dynamics", facts)
        if stage.done:
            return True
        return _fit(stage, cache, tokenizer, options, group)


def _fit(
    stage: Stage,
    cache: ClipCache,
    tokenizer: AnyTokenizer,
    options: Options,
    group: Ranks,
) -> bool:
    shape = stage.part("shape", DynamicsShape)
    batches, forcing = stage.part("batches", Batches), stage.part("forcing", Forcing)
    seed = stage.config["seed"]
    torch.manual_seed(stream(seed, "dynamics weights"))
    model = Dynamics(shape, cache.store.info.action)
    begin = stage.config.get("begin")
    if begin is not None and not stage.checkpoint.exists():
        model.load_state_dict(load_dynamics(Path(begin)).state_dict())
    if isinstance(tokenizer, TileTokenizer) and model.codes is not None:
        model.codes.copy_(tokenizer.codes)
    objective = objective_of(model, forcing, metric_of(cache, tokenizer, forcing.even))
    learner = Learner(objective, stage.part("schedule", Schedule), group)
    latents = with_latents(cache, tokenizer, stage.config["tokenizer"])
    order = stream(seed, "dynamics data")
    lead = (batches.short, batches.rows)
    sampler = PaidSampler(latents, *lead, seed=order, share=forcing.paid)
    spec = cache.store.info.action
    rare = seldom(cache, spec) if forcing.held > 0 or forcing.soon > 0 else {}
    coming = Coming.of(cache, rare) if forcing.soon > 0 else None

    def inputs(step: int) -> tuple[Tensor, Action, Draws]:
        lead = batches.at(step, learner.schedule.steps)
        clip = sampler.batch(
            step, length=lead[1], batch=lead[0], rank=group.rank, world_size=group.world_size
        )
        progress = step / learner.schedule.steps
        draws = draw(shape, lead, forcing, progress, generator(seed, "draws", step))
        mine = group.rows(lead[0])
        assert clip.actions is not None
        dice = rng(seed, "vain", step)
        deeds = draw_deeds(spec, lead, forcing.vain, dice)[mine]
        held = draw_held(rare, lead, forcing.held, rng(seed, "held", step))
        if coming is not None:
            windows = sampler.draw(step, length=lead[1], batch=lead[0])
            held = draw_soon(held, coming, windows, forcing.soon, rng(seed, "soon", step))
        held = held.rows(mine)
        action = held.told(told(clip.actions, deeds, spec))
        return (
            held.frames(latents_of(clip, tokenizer, group.device)),
            action.map(lambda x: x.to(group.device)),
            draws.rows(mine, group.device),
        )

    average = learner.average
    assert isinstance(average, Dynamics)
    name, frame = stage.path.parent.name, tokenizer.shape.frame
    shown = dream_spec(name, frame, spec, cache.store.info.fps)
    look = ClipSampler(cache, min(32, int(cache.lengths.max())), 4, seed=0).batch(0)
    finished = fit(
        learner,
        inputs,
        stage,
        picture=lambda: dream_sheet(DreamWorld(tokenizer, average, shown), look),
        save_minutes=options.save_minutes,
        until=options.until,
        report=options.report,
        track=tracking(options, stage, group),
    )
    if finished and group.leads:
        stage.finish(average)
    return finished


@torch.no_grad()
def latents_of(clip: Clip, tokenizer: AnyTokenizer, device: torch.device) -> Tensor:
    """The latents of a clip, which brings them or has frames that are cheap to encode."""
    if clip.latents is not None:
        return clip.latents.to(device, torch.float32)
    return tokenizer.encode(clip.frames["main"].to(device))


def with_latents(cache: ClipCache, tokenizer: AnyTokenizer, identity: str) -> ClipCache:
    """The cache with latents in place of frames, where encoding every clip anew would cost."""
    if isinstance(tokenizer, PatchTokenizer | TileTokenizer):
        return cache
    device = tokenizer.mean.device

    @torch.no_grad()
    def encode(frames: Mapping[str, Tensor]) -> Tensor:
        return tokenizer.encode(frames["main"][None].to(device))[0].cpu()

    shape = (tokenizer.shape.tokens, tokenizer.shape.channels)
    return write_latents(cache, encode, identity=identity, shape=shape)


def _check_begin(begin: Path, run: Path, size: str, shape: DynamicsShape) -> None:
    """Raises one clear sentence where a run cannot be learned on from."""
    other = load_dynamics(begin).shape
    if other != shape:
        names = [n for n, value in vars(other).items() if value != getattr(shape, n)]
        raise WorldloomError(
            f"the dynamics of `{begin}` is of another shape than size {size} for these "
            f"frames: {', '.join(names)}",
            "choose the --size that it was trained with",
        )
    if weights_hash(begin / "tokenizer") != weights_hash(run / "tokenizer"):
        raise WorldloomError(
            f"`{begin}` and `{run}` have different tokenizers",
            f"copy the tokenizer: cp -r {begin}/tokenizer {run}/",
        )


def _check_frames(store: Store, tokenizer: AnyTokenizer, run: Path) -> None:
    if store.info.cameras.get("main") != tokenizer.shape.frame:
        raise WorldloomError(
            f"store `{store.path}` has frames of {store.info.cameras.get('main')}, "
            f"the tokenizer of `{run}` was trained on {tokenizer.shape.frame}",
            f"train a tokenizer on it: `worldloom train tokenizer {store.path} --run ANOTHER`",
        )


def dream_sheet(world: DreamWorld, clip: Clip, context: int = 8) -> Tensor:
    """Real frames above dreamed ones for each row of a clip, `[2 B H, T W, 3]` uint8."""
    frames = clip.frames["main"]
    rows, length = frames.shape[:2]
    context = min(context, length - 1)
    assert clip.actions is not None
    begin = Clip(frames={"main": frames[:, :context]}, actions=clip.actions[:, :context])
    state, _ = world.start(begin, torch.arange(rows))
    dreamed = []
    for index in range(context, length):
        state, _ = world.step(state, clip.actions[:, index])
        dreamed.append(world.render(state).cpu())
    pair = torch.stack([frames[:, context:], torch.stack(dreamed, 1)], 1)
    return pair.permute(0, 1, 3, 2, 4, 5).flatten(0, 2).flatten(1, 2)
