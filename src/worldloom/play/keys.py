"""From keys to actions: which key does what in a world, and which keys are down.

The key map follows from the action spec alone: nobody writes one for each
world. Keys are `KeyboardEvent.code` names ("KeyA", "Space"), which name a place
on the keyboard, so that the map fits every layout. Knows numpy only.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from worldloom.actions import Action, ActionSpec, Binary, Categorical, Component, Continuous

# The page's own shortcuts (pause, reset, next start, single step, branch, rewind, switch):
# never given to a world.
RESERVED = frozenset(
    {"KeyP", "KeyR", "KeyN", "Period", "KeyB", "Backspace", "BracketLeft", "BracketRight"}
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
_FILLER = frozenset({"move", "go", "turn", "walk", "steer", "press", "button", "and", "no", "op"})
_BIG_KEY = ("jump", "fire", "do", "use", "interact", "attack", "toggle", "start", "hook")
_PREFERRED = {
    **dict.fromkeys(_BIG_KEY, ("Space",)),
    **{"run": ("ShiftLeft", "KeyX"), "sleep": ("KeyZ",), "pick": ("KeyE",), "drop": ("KeyQ",)},
}
_CODE = re.compile(r"Key[A-Z]|Digit\d|Arrow(Left|Right|Up|Down)|Space|Shift(Left|Right)|Enter")
_SPARE = tuple(f"Digit{d}" for d in "1234567890") + tuple(f"Key{c}" for c in "QEFGHJKLZXCVBUIOTYM")
_CAPS = {
    **{"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓"},
    **{"Space": "space", "ShiftLeft": "shift", "ShiftRight": "right shift", "Enter": "enter"},
}


@dataclass(frozen=True)
class Held:
    """Which keys are down, and which were tapped since the last tick.

    Args:
      down: in the order in which they were pressed, the latest last.
      tapped: pressed since the last tick, whether or not they still are down.
    """

    down: tuple[str, ...] = ()
    tapped: tuple[str, ...] = ()

    def changed(self, down: Iterable[str], tapped: Iterable[str] = ()) -> "Held":
        """The page sent a new set: whatever it newly holds counts for one tick at least."""
        down = tuple(dict.fromkeys(down))
        fresh = (code for code in (*tapped, *down) if code in tapped or code not in self.down)
        return Held(down, tuple(dict.fromkeys((*self.tapped, *fresh))))

    def keys(self) -> tuple[str, ...]:
        """What the next tick acts on, the latest press last."""
        return tuple(code for code in self.tapped if code not in self.down) + self.down

    def ticked(self) -> "Held":
        """A tick has used the taps."""
        return Held(self.down)


@dataclass(frozen=True)
class Button:
    """One thing a person can hold down.

    Args:
      codes: any of these keys holds it; a finger on the screen sends the first.
      label: what it does, in a word or two.
      component: the action component that it belongs to.
      part: what it is within that component.
    """

    codes: tuple[str, ...]
    label: str
    component: str
    part: str

    def to_json(self) -> dict[str, object]:
        """What the page draws: `slot` is the direction in which a thumb expects it."""
        slots = {codes[0]: name for name, codes in _DIRECTIONS.items()}
        return {
            "codes": list(self.codes),
            "keys": [keycap(code) for code in self.codes],
            "label": self.label,
            "slot": slots.get(self.codes[0], ""),
        }


@dataclass(frozen=True)
class KeyMap:
    """Turns held keys into an action of `spec`.

    Args:
      spec: the world's actions.
      buttons: everything that can be held.
      combos: for each categorical component, the parts that each choice asks for.
    """

    spec: ActionSpec
    buttons: tuple[Button, ...]
    combos: dict[str, tuple[frozenset[str] | None, ...]]

    def action(self, keys: Sequence[str]) -> Action:
        """The action of one player holding `keys`, the latest press last.

        Returns:
          Numpy values `[1, *component shape]`, known `[1]` True. Keys of no
          button are ignored; no key gives the null action.
        """
        rank = {code: place for place, code in enumerate(keys)}
        values = {}
        for component in self.spec.components:
            parts = self._parts(component.name, rank)
            value = self._value(component, parts)
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

    def _value(self, component: Component, held: dict[str, int]) -> np.ndarray:
        if isinstance(component, Binary):
            return np.asarray([key in held for key in component.keys], np.uint8)
        if isinstance(component, Categorical):
            return np.asarray(_choice(self.combos[component.name], held, component.null))
        value = component.null_value()
        for i in range(len(value)):
            low, high = held.get(f"{i}-", -1), held.get(f"{i}+", -1)
            if low != high:
                value[i] = _reach(component, i)[int(high > low)]
        return value

    def to_json(self) -> list[dict[str, object]]:
        return [button.to_json() for button in self.buttons]


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


def key_map(spec: ActionSpec) -> KeyMap:
    """Derives the keys of a world from its action spec.

    Directions go to the arrows and WASD, jumping and firing to the space bar,
    labels such as "UPFIRE" to both at once, continuous components to pairs of
    keys, everything else to digits and letters. What finds no key is a button
    on the screen only.
    """
    wanted: list[tuple[str, str, str]] = []
    combos: dict[str, tuple[frozenset[str] | None, ...]] = {}
    for component in spec.components:
        if isinstance(component, Categorical):
            combos[component.name] = _combos(component)
        for part, label in _wanted(component, combos):
            wanted.append((component.name, part, label))
    return KeyMap(spec, _assign(wanted), combos)


def _assign(wanted: Sequence[tuple[str, str, str]]) -> tuple[Button, ...]:
    """Gives keys to parts in order, those with a favourite key first."""
    taken = set(RESERVED)
    codes: dict[int, tuple[str, ...]] = {}
    for index, (_, part, _) in enumerate(wanted):
        free = tuple(code for code in _favourites(part) if code not in taken)
        if free:
            codes[index] = free
            taken.update(free)
    for index, (_, part, _) in enumerate(wanted):
        if index not in codes:
            spare = (_SECOND_HAND.get(_canonical(part), ""), *_SPARE)
            free = [code for code in spare if code and code not in taken]
            codes[index] = (free[0] if free else f"Button{index}",)
            taken.update(codes[index])
    jump = next((i for i, (_, part, _) in enumerate(wanted) if part == "jump"), None)
    if jump is not None and "ArrowUp" not in taken:
        codes[jump] += tuple(code for code in _DIRECTIONS["up"] if code not in taken)
    return tuple(
        Button(codes[i], label, component, part)
        for i, (component, part, label) in enumerate(wanted)
    )


def _favourites(part: str) -> tuple[str, ...]:
    """The keys at which a person looks for this part."""
    word = _canonical(part)
    if _CODE.fullmatch(part):
        return (part,)
    if word in _DIRECTIONS:
        return _DIRECTIONS[word]
    if re.fullmatch(r"[a-z]", word):
        return (f"Key{word.upper()}",)
    if re.fullmatch(r"\d", word):
        return (f"Digit{word}",)
    return _PREFERRED.get(word, ()) + _AXES.get(part, ())


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
) -> list[tuple[str, str]]:
    """The parts of a component that deserve a button, with their labels."""
    if isinstance(component, Binary):
        return [(key, _label(key)) for key in component.keys]
    if isinstance(component, Continuous):
        return _pushes(component)
    parts = [part for combo in combos[component.name] for part in _ordered(combo or frozenset())]
    return [(part, _label(part)) for part in dict.fromkeys(parts)]


def _ordered(combo: frozenset[str]) -> list[str]:
    return [d for d in _DIRECTIONS if d in combo] + sorted(combo - _DIRECTIONS.keys())


def _reach(component: Continuous, i: int) -> tuple[float, float]:
    """How far keys push component `i` down and up; without a bound, by one."""
    low, high = component.low[i], component.high[i]
    return (low if np.isfinite(low) else -1.0, high if np.isfinite(high) else 1.0)


def _pushes(component: Continuous) -> list[tuple[str, str]]:
    """Two parts for each number, or one where its null lies at a bound."""
    null = component.null_value()
    wanted = []
    for i in range(len(null)):
        name = component.name if len(null) == 1 else f"{component.name} {i + 1}"
        for sign, end in zip("-+", _reach(component, i), strict=True):
            if end != null[i]:
                wanted.append((f"{i}{sign}", f"{name} {'−' if sign == '-' else '+'}"))
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
