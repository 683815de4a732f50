"""Named sizes as plain functions: nano, tiles, tiny, small, base, large.

Each returns everything that follows from the size: the shapes of tokenizer and
dynamics, and how long and how fast to train them. `large` is the paper's
(arXiv 2509.24527); the paper leaves its widths open, so those are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from worldloom.errors import WorldloomError
from worldloom.models.dynamics import DynamicsShape
from worldloom.models.patches import PatchShape
from worldloom.models.tiles import TileShape
from worldloom.models.tokenizer import TokenizerShape
from worldloom.train.optim import Schedule

Frame = tuple[int, int]
WIPED_FRAMES = 8


@dataclass(frozen=True)
class Batches:
    """What one training step sees.

    Args:
      rows: clips of a short batch; a long one has as many frames in all.
      short: frames of a short clip (T1).
      long: frames of a long clip (T2), longer than the window.
      long_every: one batch in so many is long, chosen by step number.
      long_last: share of the steps, at the end, that are long only.
    """

    rows: int
    short: int
    long: int
    long_every: int = 8
    long_last: float = 0.1

    def at(self, step: int, steps: int) -> tuple[int, int]:
        """(rows, frames) of the batch of `step`, the same on every rank."""
        last = step >= steps - round(self.long_last * steps)
        if last or step % self.long_every == self.long_every - 1:
            return max(1, self.rows * self.short // self.long), self.long
        return self.rows, self.short

    def within(self, frames: int) -> "Batches":
        """The same, of clips no longer than so many frames."""
        return replace(self, short=min(self.short, frames), long=min(self.long, frames))


@dataclass(frozen=True)
class Forcing:
    """How the dynamics is trained; the defaults are the paper's and ours where it is silent.

    Args:
      bootstrap_rows: share of rows that learn shortcuts, each frame with its own
        step size; the other rows learn the finest step only. 1 is the paper's.
      bootstrap_from: share of the steps after which shortcuts are learned; 0 is the paper's.
      images: share of rows whose frames are treated as separate images.
      unlabelled: share of rows whose actions are hidden.
      ramp: slope of the loss weight over the signal level; 0 weighs all levels alike.
      committed: frames see the frames before them as generation commits them, in place
        of their noisy selves; each frame is computed twice. False is the paper's.
      blank: share of frames outside the shortcut rows that start from pure noise, above
        the share that the uniform draw gives them.
      shown: frames at the beginning of a clip that are seen and not predicted: a first frame
        that follows from nothing costs more than all the others. 0 is the paper's.
      self_fed: share of rows, with `committed`, whose past is the model's own prediction.
      fed_from: share of the steps after which there are such rows.
      fed_depth: at most so many predictions, each from the one before, stand between such
        a past and the recording.
      fed_passes: denoising passes of such a prediction; with one it is the mean of all that
        could come next, with more it is one of them, as in a dream.
      wiped: share of rows, with `committed`, in whose past what moves is missing for up to
        `WIPED_FRAMES` frames in a part of the picture: there the clip's median is seen. What a
        dream has lost it then finds again from the frames before.
      wiped_from: share of the steps after which there are such rows.
      even: power with which the error of a pixel is divided by how much that pixel changes in the
        recordings, see `worldloom.train.metric`; 0 is the paper's. Of patches alone.
      vain: share of the pauses that are told as some other deed, of which nothing came, see
        `worldloom.train.vain`; for recordings of those who never try in vain. 0 is the paper's.
      held: share of the steps before which a frame is held and told as a deed that came to
        nothing, see `worldloom.train.held`; likewise. 0 is the paper's.
      soon: share of the windows in which one frame is held and told as the seldom deed that its
        player does next, but not yet; likewise. 0 is the paper's.
      paid: share of the windows that hold a step that paid, see `worldloom.data.paid`; the others
        are drawn evenly. 0 is the paper's.
    """

    bootstrap_rows: float = 1.0
    bootstrap_from: float = 0.0
    images: float = 0.3
    unlabelled: float = 0.1
    ramp: float = 0.9
    committed: bool = False
    blank: float = 0.0
    shown: int = 0
    self_fed: float = 0.0
    fed_from: float = 0.0
    fed_depth: int = 1
    fed_passes: int = 1
    wiped: float = 0.0
    wiped_from: float = 0.0
    even: float = 0.0
    vain: float = 0.0
    held: float = 0.0
    soon: float = 0.0
    paid: float = 0.0


@dataclass(frozen=True)
class Size:
    """A named configuration."""

    name: str
    frame: Frame
    tokenizer: TokenizerShape | PatchShape | TileShape
    dynamics: DynamicsShape
    tokenizer_schedule: Schedule
    tokenizer_batches: Batches
    schedule: Schedule
    batches: Batches
    forcing: Forcing = Forcing()


def nano(frame: Frame = (32, 32)) -> Size:
    """The quickstart's: patches in place of a learned tokenizer, minutes on two CPU cores."""
    tokenizer = PatchShape(frame, patch=8, channels=96)
    return Size(
        "nano",
        frame,
        tokenizer,
        DynamicsShape(
            tokens=tokenizer.tokens,
            channels=tokenizer.channels,
            width=96,
            layers=4,
            heads=4,
            kv_heads=4,
            hidden=256,
            registers=2,
            grid=8,
            window=16,
            time_every=2,
            copy=2,
            columns=frame[1] // tokenizer.patch,
        ),
        tokenizer_schedule=Schedule(steps=1),
        tokenizer_batches=Batches(rows=8192, short=1, long=1),
        schedule=Schedule(steps=3200, rate=2e-3, warmup=100, ema=0.995, muon_rate=0.02),
        batches=Batches(rows=8, short=8, long=24),
        forcing=Forcing(
            bootstrap_rows=0.25,
            bootstrap_from=0.8,
            images=0.0,
            ramp=0.0,
            committed=True,
            blank=0.7,
            shown=2,
        ),
    )


def tiles(frame: Frame = (32, 32)) -> Size:
    """As long as nano, for pictures that are laid out of tiles: choices, no painting."""
    base, tokenizer = nano(frame), TileShape(frame)
    return replace(
        base,
        name="tiles",
        tokenizer=tokenizer,
        dynamics=replace(base.dynamics, channels=tokenizer.channels),
        forcing=replace(base.forcing, bootstrap_rows=0.0, bootstrap_from=0.0, blank=0.5),
    )


def tiny(frame: Frame = (64, 64)) -> Size:
    """CPU hours."""
    tokenizer = TokenizerShape(frame, 8, 32, 8, 2, width=128, layers=4, heads=4)
    return Size(
        "tiny",
        frame,
        tokenizer,
        DynamicsShape(
            tokenizer.tokens,
            tokenizer.channels,
            width=256,
            layers=8,
            heads=8,
            kv_heads=2,
            hidden=1152,
        ),
        tokenizer_schedule=Schedule(steps=20_000),
        tokenizer_batches=Batches(rows=2, short=32, long=32),
        schedule=Schedule(steps=50_000),
        batches=Batches(rows=16, short=8, long=32),
    )


def small(frame: Frame = (128, 128)) -> Size:
    """One GPU."""
    tokenizer = TokenizerShape(frame, 8, 128, 16, 2, width=384, layers=8, heads=6)
    return Size(
        "small",
        frame,
        tokenizer,
        DynamicsShape(
            tokenizer.tokens,
            tokenizer.channels,
            width=768,
            layers=16,
            heads=12,
            kv_heads=3,
            hidden=2048,
            registers=8,
            grid=64,
            window=96,
        ),
        tokenizer_schedule=Schedule(steps=100_000),
        tokenizer_batches=Batches(rows=8, short=32, long=32),
        schedule=Schedule(steps=200_000),
        batches=Batches(rows=32, short=32, long=128),
    )


def base(frame: Frame = (256, 256)) -> Size:
    """A few GPUs."""
    tokenizer = TokenizerShape(frame, 16, 256, 16, 2, width=768, layers=8, heads=12)
    return Size(
        "base",
        frame,
        tokenizer,
        DynamicsShape(
            tokenizer.tokens,
            tokenizer.channels,
            width=1280,
            layers=24,
            heads=20,
            kv_heads=5,
            hidden=3584,
            registers=8,
            grid=64,
            window=128,
        ),
        tokenizer_schedule=Schedule(steps=200_000),
        tokenizer_batches=Batches(rows=32, short=32, long=32),
        schedule=Schedule(steps=300_000),
        batches=Batches(rows=64, short=48, long=192),
    )


def large(frame: Frame = (360, 640)) -> Size:
    """The paper's: 400M parameters of tokenizer, 1.6B of dynamics, 256 tokens a frame."""
    tokenizer = TokenizerShape(frame, 16, 512, 16, 2, width=1024, layers=12, heads=16)
    return Size(
        "large",
        frame,
        tokenizer,
        DynamicsShape(
            tokenizer.tokens,
            tokenizer.channels,
            width=2048,
            layers=36,
            heads=16,
            kv_heads=4,
            hidden=5632,
            registers=8,
            grid=64,
            window=192,
        ),
        tokenizer_schedule=Schedule(steps=200_000),
        tokenizer_batches=Batches(rows=64, short=32, long=32),
        schedule=Schedule(steps=400_000),
        batches=Batches(rows=128, short=64, long=256),
    )


SIZES: dict[str, Callable[..., Size]] = {
    "nano": nano,
    "tiles": tiles,
    "tiny": tiny,
    "small": small,
    "base": base,
    "large": large,
}


def named(name: str, frame: Frame) -> Size:
    """The size called `name` for frames of this many pixels, or one clear sentence."""
    if name not in SIZES:
        raise WorldloomError(f"there is no size `{name}`", f"choose one of {', '.join(SIZES)}")
    if name in ("nano", "tiles") and (frame[0] % 8 or frame[1] % 8):
        raise WorldloomError(
            f"size `{name}` cuts frames into 8x8 patches, frames of {frame[0]}x{frame[1]} "
            "do not fit",
            "record at another size, or choose size tiny, which pads",
        )
    return SIZES[name](frame)
