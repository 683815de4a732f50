"""Actions that are numbers: what a slider, a stick or the mouse sets.

Every number of a continuous component is an axis. So is a categorical one whose choices are
labelled with numbers on both sides of zero ("-10", "0", "10"), as turns often are. A number is
mouse-like where its name says so ("turn", "camera", "mouse"). Knows numpy only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldloom.actions import ActionSpec, Categorical, Component, Continuous

# So many pixels of the mouse within one tick reach the bound.
FULL = 100.0
# A hand that moved this far meant it, even where the nearest choice is to stand still.
MEANT = 3.0

_MOUSE = frozenset({"mouse", "look", "camera", "turn", "yaw", "pitch", "aim", "pan", "tilt"})
_UPRIGHT = frozenset({"y", "pitch", "tilt", "vertical", "up", "down"})
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True)
class Axis:
    """One number of an action.

    Args:
      component: the action component that it belongs to.
      index: which number of it.
      label: what it is, in a word or two.
      low: least value; without a bound, -1.
      high: greatest value; without a bound, 1.
      null: where it stands when nobody touches it.
      stops: for a categorical component the number that each choice stands for, in order.
      mouse: "x" or "y" where that motion of the mouse sets it, else "".
    """

    component: str
    index: int
    label: str
    low: float
    high: float
    null: float
    stops: tuple[float, ...] = ()
    mouse: str = ""

    @property
    def id(self) -> str:
        return f"{self.component}/{self.index}"

    def value(
        self, *, slider: float | None = None, push: int = 0, motion: tuple[float, float] = (0, 0)
    ) -> float:
        """The number that is asked for.

        Args:
          slider: where it was put, None where it was not touched.
          push: -1 or 1 where a key holds it at a bound; keys win over the slider.
          motion: of the mouse, in pixels; it is added.
        """
        value = self.null if slider is None else slider
        if push:
            value = self.high if push > 0 else self.low
        pixels = motion["xy".index(self.mouse)] if self.mouse else 0.0
        reach = (self.high if pixels > 0 else self.low) - self.null
        value = float(np.clip(value + abs(pixels) / FULL * reach, self.low, self.high))
        return self._stop(value, pixels) if self.stops else value

    def _stop(self, value: float, pixels: float) -> float:
        """The nearest choice; a small motion of the mouse reaches the first one."""
        nearest = min(self.stops, key=lambda stop: abs(stop - value))
        if nearest == self.null and abs(pixels) >= MEANT:
            beyond = [s for s in self.stops if (s - self.null) * pixels > 0]
            nearest = min(beyond, key=lambda stop: abs(stop - self.null), default=nearest)
        return nearest

    def to_json(self) -> dict[str, object]:
        """What the page draws a slider from."""
        return {
            **{name: getattr(self, name) for name in ("id", "label", "low", "high", "null")},
            "stops": sorted(self.stops),
            "mouse": self.mouse,
        }


def axes_of(component: Component) -> tuple[Axis, ...]:
    """The numbers of a component, in order; none where it has no numbers."""
    if isinstance(component, Continuous):
        return tuple(_continuous(component, i) for i in range(len(component.low)))
    stops = numbers(component) if isinstance(component, Categorical) else ()
    if not isinstance(component, Categorical) or not stops:
        return ()
    name, null = component.name, stops[component.null]
    mouse = _mouse(name, 0, 1)
    return (Axis(name, 0, _plain(name), min(stops), max(stops), null, stops, mouse),)


def all_axes(spec: ActionSpec) -> tuple[Axis, ...]:
    """The numbers of all components."""
    return tuple(axis for component in spec.components for axis in axes_of(component))


def numbers(component: Categorical) -> tuple[float, ...]:
    """What the choices of a turn stand for; nothing where they are no such numbers."""
    labels = [label.replace("−", "-").removesuffix("°").strip() for label in component.labels]
    if len(labels) < 3 or not all(_NUMBER.fullmatch(label) for label in labels):
        return ()
    values = tuple(float(label) for label in labels)
    return values if min(values) < 0 < max(values) and len(set(values)) == len(values) else ()


def _continuous(component: Continuous, i: int) -> Axis:
    low, high = component.low[i], component.high[i]
    count = len(component.low)
    label = _plain(component.name) + ("" if count == 1 else f" {i + 1}")
    mouse = _mouse(component.name, i, count)
    if mouse and count == 2:
        label = _plain(component.name) + (" ↔" if mouse == "x" else " ↕")
    return Axis(
        component.name,
        i,
        label,
        low if np.isfinite(low) else -1.0,
        high if np.isfinite(high) else 1.0,
        float(component.null_value()[i]),
        mouse=mouse,
    )


def _mouse(name: str, i: int, count: int) -> str:
    """Which motion of the mouse sets number `i` of `count` of a component of this name."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    said: Sequence[str] = [word.lower() for word in words]
    if not _MOUSE & set(said) or count > 2:
        return ""
    if count == 2:
        return "xy"[i]
    return "y" if _UPRIGHT & set(said) else "x"


def _plain(name: str) -> str:
    """A name for people. What is called after the mouse is what the mouse does: it turns."""
    name = "turn" if name.lower() == "mouse" else name
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").strip().lower()
