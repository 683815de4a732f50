"""Violation of expectation: is it surprised by what cannot be?

Seven properties. For each, two possible films A and B that look the same to the pixel at
one frame; exchanging what follows that frame makes two impossible ones of the very same
pictures. A quad is right where the impossible pair surprises more, so whatever a picture
does to surprise by itself cancels. Nobody trains on these films, and nothing is fitted.
The pairs are `quads`, wrong simulators `startled`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldloom import seeding
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure
from worldloom.trust import beaten, paper, pooling
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.trust.task import (
    Answer,
    Budget,
    Fault,
    Item,
    Setting,
    Verdict,
    item_seed,
    train_seed,
)
from worldloom.trust.tasks.scenes import films
from worldloom.trust.tasks.scenes.films import FilmProbe
from worldloom.trust.tasks.voe2d.quads import FRAMES, PROPERTIES, SEAM, Draw, Pair
from worldloom.trust.tasks.voe2d.startled import Forgetful, Negated, Unmoved

WINDOW, CUT = 16, SEAM + 1
"""Frames of a window, and the first one that may differ between what can be and what cannot."""
EVERY = tuple(range(2, SEAM, 2))
STARTS: Mapping[Budget, tuple[int, ...]] = {"smoke": (8,), "quick": (6, 10), "full": EVERY}
"""First frames of windows that see the seam; all others cancel."""
CONTEXTS: Mapping[Budget, tuple[int, ...]] = {
    "smoke": (6,),
    "quick": (2, 6, 10),
    "full": (2, 6, 10),
}
QUADS: Mapping[Budget, int] = {"smoke": 2, "quick": 12, "full": 200}
LIBRARY: Mapping[Budget, int] = {"smoke": 28, "quick": 700, "full": 3500}
CLIPS = ("AA", "BB", "AB", "BA")
COLUMNS, TIMES = 8, 2
"""How a film is laid out on paper: frames in a row, and how many times they are enlarged."""
HOW = (
    "Each question has four films. A picture holds the 32 frames of one film, in the order in "
    "which one reads, a tenth of a second apart. Answer with four numbers, one a film in the order "
    "of `files`: how much the film surprises you, any number, higher for what cannot happen. Two "
    "of the four are possible and two are not; all are made of the same pictures."
)
TIE = 1e-9
"""Surprise that differs by less, relative to its size, does not differ."""


@dataclass(frozen=True)
class Voe2d:
    """The task.

    Args:
      quads: of each property; the budget's own number by default.
      how: what is asked on paper.
    """

    quads: int | None = None
    name: str = "voe2d"
    version: int = 3
    claim: str = "it is surprised by what cannot be"
    requires: frozenset[str] = frozenset({"score"})
    own_data: bool = True
    chunk: int = 7
    how: str = HOW

    def items(self, setting: Setting) -> Sequence[Item]:
        """Quads, the properties taking turns."""
        how = {"contexts": CONTEXTS[setting.budget], "starts": STARTS[setting.budget]}
        return [
            Item(
                key=f"{name}-{i}",
                cluster=f"{name}-{i}",
                split=name,
                seed=item_seed(self.name, name, i, setting),
                facts=how,
            )
            for i in range(self.quads or QUADS[setting.budget])
            for name in PROPERTIES
        ]

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """Possible films of the same kinds, at other heights."""
        library, kinds = [], list(PROPERTIES)
        for i in range(LIBRARY[setting.budget]):
            rng = np.random.default_rng(train_seed(self.name, "train", i, setting))
            low = rng.random() < 0.5
            height = float(rng.uniform(2.8, 4.2) if low else rng.uniform(5.8, 6.4))
            if kinds[i % 7] == "gravity":
                height = min(height, 4.2) if low else 4.2
            library.append(PROPERTIES[kinds[i % 7]](Draw(rng, height))[i // 7 % 2])
        return {"": films.record(path, library, FRAMES)}

    def fingerprint(self, setting: Setting) -> str:
        """Of the first quad of every property."""
        some = [pair_of(item) for item in self.items(setting)[:7]]
        return films.fingerprint(np.stack([films.shoot([a], 4).frames for a, _ in some]))

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """A coin; untrained networks come with the family."""
        return {"coin": Unmoved("coin")}

    def ceiling(self, setting: Setting) -> Probe:
        """The simulator's pixel error."""
        return FilmProbe()

    def prepare(self, probe: Probe, setting: Setting) -> None:
        """Nothing is learned about a probe."""

    def answer(self, probe: Probe, items: Sequence[Item], prepared: None) -> Sequence[Answer]:
        """1 where the impossible pair surprises more, 0 where it does not, a half for a tie."""
        told = _surprise(probe, items)
        return [_answer(told["mean"][i], told["max"][i]) for i in range(len(items))]

    def on_paper(self) -> "Voe2d":
        """As it is."""
        return self

    def ask(self, item: Item, folder: Path) -> Mapping[str, Any]:
        """Writes the four films of a quad, in an order that tells nothing."""
        frames, _ = _shown(item)
        names = [
            paper.picture(paper.sheet(frames[film], COLUMNS), folder / f"{index}.png", TIMES)
            for index, film in enumerate(_order(item), 1)
        ]
        return {"files": names}

    def blank(self, item: Item) -> Any:
        """All four alike."""
        return [0.5] * len(CLIPS)

    def mark(self, items: Sequence[Item], answers: Sequence[Any]) -> Sequence[Answer]:
        """As `answer`, of surprise that was written down."""
        told = [_in_order(item, answer) for item, answer in zip(items, answers, strict=True)]
        return [_answer(surprise, surprise) for surprise in told]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing:
        """A film that is possible, and the one that cannot be and did not surprise it."""
        frames, _ = _shown(item)
        sides = ("possible", "impossible, and no surprise")
        return Showing(frames[CLIPS.index("AA")], frames[CLIPS.index("AB")], item.split, sides)

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """Above a coin and the untrained networks on every property, after Holm."""
        raw = [name for name in pooling.nulls(rows) if name.startswith("untrained")]
        reference = raw or ["coin"]
        by = {name: [row for row in rows if row.split == name] for name in PROPERTIES}
        figures: dict[str, Figure] = {"accuracy": _accuracy(rows, reference)}
        tests: dict[str, beaten.Pair] = {}
        for name, some in by.items():
            figures[name] = _accuracy(some, reference)
            if raw and (why := _withdrawn(some, raw)):
                figures[name] = Figure.absent("1", why)
            else:
                nulls = {name: _average(reference), f"{name}, coin": lambda row: 0.5}
                tests |= beaten.columns(some, nulls)
        left = beaten.unbeaten(tests, beaten.mean, seed=seeding.stream(seed, "swap"))
        known = [name for name in by if name in tests and not {name, f"{name}, coin"} & {*left}]
        figures["accuracy_by_max"] = _rate([row.extra["max"] for row in rows], 0.5, None)
        figures["pairs"] = _pairs(rows, raw, seed=seed)
        figures["auroc"] = _auroc(rows, seed=seed)
        words = ", ".join(known) or "nothing"
        return Verdict(figures, len(known) == len(PROPERTIES), f"it expects {words}")

    def faults(self) -> Mapping[str, Fault]:
        """One forgets what it does not see, one is surprised the wrong way round."""
        return {
            "forgetful": Fault(
                lambda setting: Forgetful("forgets what is hidden"),
                lambda v: (
                    all(v.figures[p].value == 0.5 for p in ("permanence", "shape", "colour"))
                    and v.figures["inertia"].value == 1
                ),
                "chance on permanence, shape and colour, and perfect on inertia",
            ),
            "negated": Fault(
                lambda setting: Negated("negated surprise"),
                lambda v: (v.figures["accuracy"].high or 1) < 0.4,
                "near 0",
            ),
        }


def pair_of(item: Item) -> Pair:
    """The possible films A and B of a quad."""
    rng = np.random.default_rng(item.seed)
    height = float(rng.uniform(4.6, 5.4))
    return PROPERTIES[item.split](Draw(rng, height if item.split != "gravity" else height - 0.2))


def _shown(item: Item) -> tuple[list[np.ndarray], list[list[bytes]]]:
    """The four films of a quad, in the order of `CLIPS`: frames, and the true states."""
    pair = pair_of(item)
    shots = [films.shoot([film], FRAMES) for film in pair]
    told = [
        [films.later(film, shot.place[0, t], shot.speed[0, t]).pack() for t in range(FRAMES)]
        for film, shot in zip(pair, shots, strict=True)
    ]
    frames, states = [], []
    for clip in CLIPS:
        before, after = ("AB".index(letter) for letter in clip)
        frames.append(np.concatenate([shots[before].frames[0, :CUT], shots[after].frames[0, CUT:]]))
        states.append(told[before][:CUT] + told[after][CUT:])
    return frames, states


def _order(item: Item) -> list[int]:
    """Which film of `CLIPS` comes first, second, ... on paper."""
    return seeding.rng(item.seed, "paper").permutation(len(CLIPS)).tolist()


def _in_order(item: Item, answer: Any) -> np.ndarray:
    """`[4]` surprise in the order of `CLIPS`, of an answer in the order on paper."""
    good = isinstance(answer, list) and len(answer) == len(CLIPS)
    if not good or not all(map(paper.is_number, answer)):
        raise paper.Malformed(f"`{item.key}` is answered by {answer!r:.60}, not by four numbers")
    told = np.zeros(len(CLIPS))
    told[_order(item)] = answer
    return told


def _answer(mean: np.ndarray, most: np.ndarray) -> Answer:
    """What the surprise `[4]` at the films of a quad is worth."""
    kept = dict(zip(CLIPS, map(float, mean), strict=True))
    return Answer(_right(mean), {"max": _right(most), "surprise": kept})


def _surprise(probe: Probe, items: Sequence[Item]) -> dict[str, np.ndarray]:
    """Mean and maximum over windows of the surprise of the four films of each quad, `[Q, 4]`."""
    shown = [_shown(item) for item in items]
    frames = np.stack([film for some, _ in shown for film in some])
    states = [told for _, some in shown for told in some]
    found = []
    for start in items[0].facts["starts"]:
        scores = _window(probe, frames, states, start)
        for context in items[0].facts["contexts"]:
            found.append(scores[:, max(0, start + context - CUT) :].mean(1))
    scores = np.stack(found, 1).reshape(len(items), 4, -1)
    return {"mean": scores.mean(-1), "max": scores.max(-1)}


def _window(probe: Probe, frames: np.ndarray, states: list[list[bytes]], start: int) -> np.ndarray:
    """`[R, T]` surprise at the frames of one window that come after the seam.

    Before it, a film that is possible and the one that is not are the same to the pixel: what
    surprises there cancels, and is not asked for. So A and B are seen once, and each goes on twice.
    """
    end, rows = start + WINDOW, np.arange(len(frames)).reshape(-1, len(CLIPS))
    own, other = rows[:, :2].ravel(), rows[:, 2:].ravel()  # AA and BB, AB and BA
    seen = Clip(
        frames={"main": torch.from_numpy(frames[own, start:CUT])},
        actions=films.no_actions(len(own), CUT - start),
        snapshots=tuple(states[row][CUT - 1] for row in own),
    )
    state, scores = probe.observe(seen), np.empty((len(frames), end - CUT))
    for some in (own, other):
        came = Clip(
            frames={"main": torch.from_numpy(frames[some, CUT:end])},
            actions=films.no_actions(len(some), end - CUT),
        )
        scores[some] = probe.score(state, came).double().numpy()
    return scores


def _right(surprise: np.ndarray) -> float:
    """Whether AA and BB surprise less than AB and BA; a half where they do not differ."""
    possible, impossible = surprise[:2].sum(), surprise[2:].sum()
    if abs(impossible - possible) <= TIE * (abs(impossible) + abs(possible)):
        return 0.5
    return float(impossible > possible)


def _average(names: Sequence[str]) -> Callable[[Row], float]:
    """The mean of several nulls of one row."""
    return lambda row: float(np.mean([row.null[name] or 0.0 for name in names]))


def _rate(hits: Sequence[float], null: float, ceiling: float | None) -> Figure:
    """A rate of single quads, with Wilson's interval."""
    if len(hits) < 2:
        return Figure.absent("1", f"{len(hits)} quads give no interval")
    low, high = statistics.wilson(sum(hits), len(hits))
    return Figure(float(np.mean(hits)), low, high, "1", len(hits), null, ceiling)


def _accuracy(rows: Sequence[Row], reference: Sequence[str]) -> Figure:
    hits = [row.value for row in rows if row.value is not None]
    untrained = float(np.mean([_average(reference)(row) for row in rows]))
    return _rate(hits, untrained, pooling.mean(rows, pooling.ceiling))


def _withdrawn(rows: Sequence[Row], raw: Sequence[str]) -> str:
    """Why a property cannot be judged: who never learned is not at chance on it."""
    mean = float(np.mean([_average(raw)(row) for row in rows]))
    low, high = statistics.wilson(mean * len(rows), len(rows))
    if 0.45 <= mean <= 0.55 or low <= 0.5 <= high:
        return ""
    return f"withdrawn: untrained networks are right in {mean:.0%} of the quads"


def _alike(surprise: Mapping[str, float]) -> float:
    """Of the four pairs of one possible film and one impossible one: how many are told apart.

    Each has the beginning of the pair in common, or the ending. The share in which the
    impossible film surprises more; ties count half.
    """
    good, bad = ([surprise[clip] for clip in some] for some in (CLIPS[:2], CLIPS[2:]))
    return float(np.mean([_right(np.array([a, 0.0, b, 0.0])) for a in good for b in bad]))


def _pairs(rows: Sequence[Row], raw: Sequence[str], *, seed: int) -> Figure:
    """How often the impossible film of a matched pair surprises more, over quads."""

    def of(who: str) -> pooling.Column:
        def told(row: Row) -> float | None:
            facts = row.extra.get("beside", {}).get(who, {}) if who else row.extra
            return _alike(facts["surprise"]) if "surprise" in facts else None

        return told

    others = [pooling.mean(rows, of(name)) for name in raw]
    return pooling.figure(
        pooling.table(rows, [of("")]),
        pooling.ratio(1, 0),
        seed=seed,
        null=max([0.5, *(share for share in others if share is not None)]),
        ceiling=pooling.mean(rows, of("ceiling")),
        why="of pairs with one beginning or one ending, those whose impossible film surprises more",
    )


def _auroc(rows: Sequence[Row], *, seed: int) -> Figure:
    """Of single films: possible against impossible, by surprise alone."""
    scores = np.array([[row.extra["surprise"][clip] for clip in CLIPS] for row in rows])
    order = np.argsort(scores.ravel(), kind="stable")
    quad, bad = order // 4, order % 4 >= 2

    def area(counts: np.ndarray) -> np.ndarray:
        weight = counts[:, quad]
        below = np.cumsum(weight * ~bad, 1)
        return (below * weight * bad).sum(1) / (2 * counts.sum(1)) ** 2

    sums = statistics.unit_sums(len(rows))
    found = statistics.Pool(sums, seed=seeding.stream(seed, "auroc")).estimate(area)
    value, low, high = (float(x) for x in (found.value, found.low, found.high))
    return Figure(value, low, high, "1", found.n, 0.5)
