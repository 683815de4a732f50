"""What a person does in one tick: keys held, sliders set, the mouse moved.

Knows nothing of any world: which key means what is the key map's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """What one tick acts on.

    Args:
      keys: `KeyboardEvent.code` names that are held, the latest press last.
      axes: sliders that stand away from their middle: axis id and value, in the action's units.
      mouse: how far the mouse went since the last tick, right and down, in pixels of the page.
    """

    keys: tuple[str, ...] = ()
    axes: tuple[tuple[str, float], ...] = ()
    mouse: tuple[float, float] = (0.0, 0.0)


Played = Input | Sequence[str]


def as_input(played: Played) -> Input:
    """A bare sequence of key codes is an input of keys alone."""
    return played if isinstance(played, Input) else Input(tuple(played))


@dataclass(frozen=True)
class Held:
    """What is held now, and what happened since the last tick.

    Args:
      down: keys in the order in which they were pressed, the latest last.
      tapped: pressed since the last tick, whether or not they still are down.
      axes: as in `Input`.
      mouse: summed since the last tick.
    """

    down: tuple[str, ...] = ()
    tapped: tuple[str, ...] = ()
    axes: tuple[tuple[str, float], ...] = ()
    mouse: tuple[float, float] = (0.0, 0.0)

    def changed(
        self,
        down: Iterable[str],
        tapped: Iterable[str] = (),
        *,
        axes: Iterable[tuple[str, float]] = (),
        mouse: tuple[float, float] = (0.0, 0.0),
    ) -> "Held":
        """The page sent a new set: whatever it newly holds counts for one tick at least.

        Args:
          mouse: moved since the page's last message; added to what is still unused.
        """
        down = tuple(dict.fromkeys(down))
        fresh = (code for code in (*tapped, *down) if code in tapped or code not in self.down)
        moved = (self.mouse[0] + mouse[0], self.mouse[1] + mouse[1])
        return Held(down, tuple(dict.fromkeys((*self.tapped, *fresh))), tuple(axes), moved)

    def keys(self) -> tuple[str, ...]:
        """The keys that the next tick acts on, the latest press last."""
        return tuple(code for code in self.tapped if code not in self.down) + self.down

    def input(self) -> Input:
        """What the next tick acts on."""
        return Input(self.keys(), self.axes, self.mouse)

    def ticked(self) -> "Held":
        """A tick has used the taps and the motion."""
        return Held(self.down, axes=self.axes)
