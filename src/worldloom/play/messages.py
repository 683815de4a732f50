"""What a page may say: a class for each message.

Values only: how they are read, and within which bounds, is the protocol's.
"""

from dataclasses import dataclass, field

from worldloom.data.types import Clip
from worldloom.play.reel import Kind


@dataclass(frozen=True)
class Hello:
    """The first message: who is there, and which start it wants to see first."""

    version: int
    token: str
    seed: int


@dataclass(frozen=True)
class Keys:
    """The set of held keys, sent on every change.

    Args:
      held: `KeyboardEvent.code` names in the order of pressing.
      tapped: keys that went down and up again before this message was sent.
      time: the page's own clock in ms, echoed in the frame that uses the keys.
      axes: sliders that stand away from their middle: axis id and value. Optional on the wire.
      mouse: its motion since the last message, right and down, in pixels. Optional.
    """

    held: tuple[str, ...]
    tapped: tuple[str, ...]
    time: int
    axes: tuple[tuple[str, float], ...] = ()
    mouse: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Ack:
    """The page has the frame with this id and can take another."""

    frame: int


@dataclass(frozen=True)
class Pause:
    """Stop the clock, or let it run."""

    on: bool


@dataclass(frozen=True)
class StepOnce:
    """One tick, then stand still."""


@dataclass(frozen=True)
class Reset:
    """Begin again, from the start that `seed` names.

    Args:
      picture: name of a start that the server gave, for a visitor's own picture or a lie, to
        begin with instead. Optional on the wire.
      clip: that start, found by the server; None where it is kept no more.
    """

    seed: int
    picture: str = ""
    clip: Clip | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Speed:
    """How fast the clock runs: 1 is the world's own pace."""

    factor: float


@dataclass(frozen=True)
class Export:
    """The past of this branch as a film. The server answers `exporting`, then `exported`.

    Args:
      kind: "mp4" or "gif"; `format` on the wire.
      scale: every pixel is enlarged by it, as far as the bounds allow.
      ticks: so many of the newest; 0 for all.
    """

    kind: Kind
    scale: int
    ticks: int


@dataclass(frozen=True)
class Rewind:
    """Go back on this branch.

    Args:
      ticks: how far.
      moment: of the frame that the page counts from.
    """

    ticks: int
    moment: int


@dataclass(frozen=True)
class Fork:
    """Open a branch at the present moment, and go on in it. `branch` on the wire."""


@dataclass(frozen=True)
class Switch:
    """Go to where the branch with this id was left."""

    branch: int


@dataclass(frozen=True)
class Drop:
    """Forget the branch with this id."""

    branch: int


@dataclass(frozen=True)
class RunOn:
    """Whether the branch with this id goes on while the page is elsewhere. `run` on the wire."""

    branch: int
    on: bool


@dataclass(frozen=True)
class Compare:
    """The real environment comes along, as a second pane, or leaves."""

    on: bool


@dataclass(frozen=True)
class Anchor:
    """Begin the dream anew from the latest real frames."""


@dataclass(frozen=True)
class Futures:
    """Show what could come next, under each of several sets of held keys.

    Args:
      choices: key codes that are held, for each future action.
      samples: of each.
      horizon: frames of each.
    """

    choices: tuple[tuple[str, ...], ...]
    samples: int
    horizon: int


@dataclass(frozen=True)
class Future:
    """Open a branch and go to the end of one of the futures that are shown."""

    choice: int
    sample: int


@dataclass(frozen=True)
class Record:
    """Keep what is done from here on, or end that."""

    on: bool


@dataclass(frozen=True)
class Wrong:
    """What is shown is wrong; the note says what should have been, and may be empty."""

    note: str


@dataclass(frozen=True)
class Share:
    """Tell this moment in a few bytes."""


@dataclass(frozen=True)
class Open:
    """Go to a moment that somebody shared.

    Args:
      code: that tells it, or a part of that.
      more: further parts follow.
    """

    code: str
    more: bool = False


Travel = Rewind | Fork | Switch | Drop | RunOn
Visit = Compare | Anchor | Futures | Future | Record | Wrong | Share | Open
Message = Hello | Keys | Ack | Pause | StepOnce | Reset | Speed | Export | Travel | Visit
