"""From keys, sliders and the mouse to actions: what does what in a world.

The key map follows from the action spec alone: nobody writes one for each
world. Keys are `KeyboardEvent.code` names ("KeyA", "Space"), which name a place
on the keyboard, so that the map fits every layout. Knows numpy only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldloom.actions import Action, ActionSpec, Binary, Categorical, Component, Continuous
from worldloom.play.axes import Axis, all_axes, axes_of, numbers
from worldloom.play.input import Input, Played, as_input

# The page's own shortcuts (pause, reset, next start, single step, branch, beside, futures,
# rewind, switch): never given to a world.
RESERVED = frozenset(
    {
        *("KeyP", "KeyR", "KeyN", "Period", "KeyB", "KeyC", "KeyF"),
        *("Backspace", "BracketLeft", "BracketRight"),
    }
)

_DIRECTIONS = {
    "left": ("ArrowLeft", "KeyA"),
    "right": ("ArrowRight", "KeyD"),
    "up": ("ArrowUp", "KeyW"),
    "down": ("ArrowDown", "KeyS"),
}
_SECOND_HAND = {"left": "KeyJ", "right": "KeyL", "up": "KeyI", "down": "KeyK"}
_SYNONYMS = {
    **{"west": "left", "east": "right", "north": "up", "south": "down"},
    **{"forward": "up", "forwards": "up", "gas": "up", "accelerate": "up"},
    **{"back": "down", "backward": "down", "backwards": "down", "brake": "down"},
    **{"shoot": "fire", "sprint": "run", "pickup": "pick"},
}
# Words that may be held together with a direction: "UPRIGHTFIRE", "jump_left".
_TOGETHER = frozenset({*_DIRECTIONS, "fire", "jump", "run"})
_NOTHING = frozenset({"noop", "nothing", "none", "idle", "stay", "still", "wait", "null"})
_FILLER = frozenset(
    {"move", "strafe", "go", "turn", "walk", "steer", "press", "button", "and", "no", "op"}
)
_TURNING = frozenset({"turn", "look", "aim", "rotate"})
# What the mouse's own buttons do, where the mouse turns: the first of these that there is.
_CLICKS = {
    "Mouse0": ("attack", "fire", "shoot", "hit", "mine"),
    "Mouse2": ("use", "place", "interact", "altattack", "zoom"),
}
_BIG_KEY = ("jump", "fire", "do", "use", "interact", "attack", "toggle", "start", "hook")
_PREFERRED = {
    **dict.fromkeys(_BIG_KEY, ("Space",)),
    **{
        "use": ("Space", "KeyE"),
        "run": ("ShiftLeft", "KeyX"),
        "sleep": ("KeyZ",),
        "pick": ("KeyE",),
        "drop": ("KeyQ",),
    },
}
_CODE = re.compile(r"Key[A-Z]|Digit\d|Arrow(Left|Right|Up|Down)|Space|Shift(Left|Right)|Enter")
_SPARE = tuple(f"Digit{d}" for d in "1234567890") + tuple(f"Key{c}" for c in "QEFGHJKLZXCVBUIOTYM")
_CAPS = {
    **{"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓"},
    **{"Space": "space", "ShiftLeft": "shift", "ShiftRight": "right shift", "Enter": "enter"},
    **{"Mouse0": "click", "Mouse2": "right click"},
}


@dataclass(frozen=True)
class Button:
    """One thing a person can hold down.

    Args:
      codes: any of these keys holds it; a finger on the screen sends the first.
      label: what it does, in a word or two.
      component: the action component that it belongs to.
      part: what it is within that component.
      slot: the direction in which a thumb expects it, if any.
      axis: id of the axis that it pushes, if any.
    """

    codes: tuple[str, ...]
    label: str
    component: str
    part: str
    slot: str = ""
    axis: str = ""

    def to_json(self) -> dict[str, object]:
        """What the page draws."""
        return {
            "codes": list(self.codes),
            "keys": [keycap(code) for code in self.codes],
            "label": self.label,
            "slot": self.slot,
            "axis": self.axis,
        }


@dataclass(frozen=True)
class KeyMap:
    """Turns what a person does into an action of `spec`.

    Args:
      spec: the world's actions.
      buttons: everything that can be held.
      combos: for each categorical component without numbers, the parts that each choice asks for.
      axes: everything that is a number.
    """

    spec: ActionSpec
    buttons: tuple[Button, ...]
    combos: dict[str, tuple[frozenset[str] | None, ...]]
    axes: tuple[Axis, ...] = ()

    def action(self, played: Played) -> Action:
        """The action of one player.

        Args:
          played: an `Input`, or key codes alone, the latest press last.

        Returns:
          Numpy values `[1, *component shape]`, known `[1]` True. Keys of no button and
          axes of no number are ignored; doing nothing gives the null action.
        """
        done = as_input(played)
        rank = {code: place for place, code in enumerate(done.keys)}
        values = {}
        for component in self.spec.components:
            parts = self._parts(component.name, rank)
            value = self._value(component, parts, done)
            shape = (1, *self.spec.shape(component))
            values[component.name] = np.broadcast_to(value, shape).copy()
        return Action(values, np.ones(1, bool))

    def _parts(self, component: str, rank: dict[str, int]) -> dict[str, int]:
        """The parts of a component that are held, with how late each was pressed."""
        held: dict[str, int] = {}
        for button in self.buttons:
            places = [rank[code] for code in button.codes if code in rank]
            if button.component == component and places:
                held[button.part] = max(places)
        return held

    def _value(self, component: Component, held: dict[str, int], done: Input) -> np.ndarray:
        if isinstance(component, Binary):
            return np.asarray([key in held for key in component.keys], np.uint8)
        own = [axis for axis in self.axes if axis.component == component.name]
        wanted = [_number(axis, held, done) for axis in own]
        if isinstance(component, Continuous):
            return np.asarray(wanted, np.float32)
        if own:
            return np.asarray(own[0].stops.index(wanted[0]))
        return np.asarray(_choice(self.combos[component.name], held, component.null))

    def to_json(self) -> list[dict[str, object]]:
        return [button.to_json() for button in self.buttons]


def _number(axis: Axis, held: dict[str, int], done: Input) -> float:
    """Where keys, slider and mouse put an axis; of two opposite keys the later counts."""
    low, high = held.get(f"{axis.index}-", -1), held.get(f"{axis.index}+", -1)
    push = (high > low) - (high < low)
    return axis.value(slider=dict(done.axes).get(axis.id), push=push, motion=done.mouse)


def _choice(combos: Sequence[frozenset[str] | None], held: dict[str, int], null: int) -> int:
    """The choice that uses the most held parts; among equals, the latest pressed."""
    best, chosen = (0, []), null
    for index, combo in enumerate(combos):
        if combo and combo <= held.keys():
            score = (len(combo), sorted((held[part] for part in combo), reverse=True))
            if score > best:
                best, chosen = score, index
    return chosen


def keycap(code: str) -> str:
    """What is printed on a key: `KeyA` is "A", `ArrowLeft` is "←", `Button3` nothing."""
    if code.startswith("Button"):
        return ""
    return _CAPS.get(code) or code.removeprefix("Key").removeprefix("Digit")


@dataclass(frozen=True)
class _Want:
    """A part that deserves a button: where a hand looks for it, and whether it turns the head."""

    component: str
    part: str
    label: str
    direction: str = ""
    turns: bool = False
    axis: str = ""

    def button(self, codes: tuple[str, ...], both: set[str]) -> Button:
        """The button with its place on the screen, which walking has where one turns too."""
        arrows = {arrow: direction for direction, (arrow, _) in _DIRECTIONS.items()}
        own = _DIRECTIONS.get(self.direction, ())
        slot = self.direction if codes[0] in own else arrows.get(codes[0], "")
        slot = "" if self.turns and slot in both else slot
        return Button(codes, self.label, self.component, self.part, slot, self.axis)


def key_map(spec: ActionSpec) -> KeyMap:
    """Derives the keys of a world from its action spec.

    Directions go to the arrows and WASD (where one can both walk and turn, turning has the
    arrows), jumping and firing to the space bar, labels such as "UPFIRE" to both at once,
    numbers to pairs of keys, everything else to digits and letters. What finds no key is a
    button on the screen only. In worlds with mouse-like numbers its buttons fire and use.
    """
    axes = all_axes(spec)
    combos = {
        component.name: _combos(component)
        for component in spec.components
        if isinstance(component, Categorical) and not numbers(component)
    }
    wanted = [want for component in spec.components for want in _wanted(component, combos)]
    return KeyMap(spec, _assign(wanted, any(axis.mouse for axis in axes)), combos, axes)


def _assign(wanted: Sequence[_Want], has_mouse: bool) -> tuple[Button, ...]:
    """Gives keys to parts in order, those with a favourite key first."""
    taken = set(RESERVED)
    codes: dict[int, tuple[str, ...]] = {}
    both = {w.direction for w in wanted if w.turns} & {w.direction for w in wanted if not w.turns}
    for index, want in enumerate(wanted):
        free = tuple(code for code in _favourites(want, both) if code not in taken)
        if free:
            codes[index] = free
            taken.update(free)
    for index, want in enumerate(wanted):
        if index not in codes:
            spare = (_SECOND_HAND.get(_canonical(want.part), ""), *_SPARE)
            free = [code for code in spare if code and code not in taken]
            codes[index] = (free[0] if free else f"Button{index}",)
            taken.update(codes[index])
    places = {want.part.lower(): i for i, want in reversed(list(enumerate(wanted)))}
    if "jump" in places and "ArrowUp" not in taken:
        codes[places["jump"]] += tuple(c for c in _DIRECTIONS["up"] if c not in taken)
    for code, parts in _CLICKS.items() if has_mouse else ():
        found = next((places[part] for part in parts if part in places), None)
        if found is not None:
            codes[found] += (code,)
    return tuple(want.button(codes[i], both) for i, want in enumerate(wanted))


def _favourites(want: _Want, both: set[str]) -> tuple[str, ...]:
    """The keys at which a person looks for this part."""
    word = _canonical(want.part)
    if _CODE.fullmatch(want.part):
        return (want.part,)
    if want.direction:
        arrow, letter = _DIRECTIONS[want.direction]
        return (arrow, letter) if want.direction not in both else ((letter, arrow)[want.turns],)
    if re.fullmatch(r"[a-z]", word):
        return (f"Key{word.upper()}",)
    if re.fullmatch(r"\d", word):
        return (f"Digit{word}",)
    return _PREFERRED.get(word, ()) + _AXES.get(want.part, ())


# The first two components of a continuous action lie under the arrows.
_AXES = {
    "0-": _DIRECTIONS["left"],
    "0+": _DIRECTIONS["right"],
    "1-": _DIRECTIONS["down"],
    "1+": _DIRECTIONS["up"],
    # Pedals: a third component that only pushes (a brake) takes the free arrow.
    "2+": _DIRECTIONS["down"],
}


def _wanted(
    component: Component, combos: dict[str, tuple[frozenset[str] | None, ...]]
) -> list[_Want]:
    """The parts of a component that deserve a button."""
    if isinstance(component, Binary):
        return [_want(component.name, key) for key in component.keys]
    if component.name not in combos:
        return [want for axis in axes_of(component) for want in _pushes(axis)]
    parts = [part for combo in combos[component.name] for part in _ordered(combo or frozenset())]
    return [_want(component.name, part) for part in dict.fromkeys(parts)]


def _want(component: str, part: str) -> _Want:
    words = [] if _CODE.fullmatch(part) else _words(part)
    direction = words[0] if len(words) == 1 and words[0] in _DIRECTIONS else ""
    turns = bool(direction) and bool(_TURNING & set(re.findall(r"[a-z]+", part.lower())))
    return _Want(component, part, _label(part), direction, turns)


def _ordered(combo: frozenset[str]) -> list[str]:
    return [d for d in _DIRECTIONS if d in combo] + sorted(combo - _DIRECTIONS.keys())


def _pushes(axis: Axis) -> list[_Want]:
    """Two parts for each number, or one where its null lies at a bound."""
    ways = {"x": ("left", "right"), "y": ("up", "down")}.get(axis.mouse, ("", ""))
    wanted = []
    for sign, way, end in zip("-+", ways, (axis.low, axis.high), strict=True):
        if end != axis.null:
            label = f"{axis.label.rstrip(' ↔↕')} {way or sign.replace('-', '−')}"
            part = f"{axis.index}{sign}"
            wanted.append(_Want(axis.component, part, label, way, bool(way), axis.id))
    return wanted


def _combos(component: Categorical) -> tuple[frozenset[str] | None, ...]:
    """For each choice the parts that it asks for; None for the idle one."""
    labels = component.labels or tuple(str(i) for i in range(component.n))
    combos: list[frozenset[str] | None] = []
    for index, label in enumerate(labels):
        words = _words(label)
        if index == component.null and words and set(words) <= _NOTHING:
            combos.append(None)
            continue
        combo = frozenset(words)
        if not combo <= _TOGETHER or combo in combos:
            combo = frozenset({label})
        combos.append(combo)
    return tuple(combos)


def _canonical(word: str) -> str:
    word = word.lower()
    return _SYNONYMS.get(word, word)


def _words(label: str) -> list[str]:
    """The words of a label in their canonical form: "UPFIRE" is up, fire."""
    if label.lower().replace("-", "").replace("_", "").replace(" ", "") in ("noop", "donothing"):
        return ["noop"]
    found = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", label)
    words = []
    for word in (w.lower() for w in found):
        glued = re.fullmatch(rf"(?:{'|'.join(sorted(_TOGETHER))})+", word)
        pieces = re.findall("|".join(sorted(_TOGETHER)), word) if glued else [word]
        words += [_canonical(piece) for piece in pieces]
    telling = [word for word in words if word not in _FILLER]
    return telling or words


def _label(part: str) -> str:
    """What a part does, for people: "place_stone" is "place stone"."""
    if _CODE.fullmatch(part):
        return keycap(part)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", part).replace("_", " ").strip().lower()
