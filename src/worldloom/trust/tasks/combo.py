"""Combinations: does seeing more combinations of things help with new ones?

Eight kinds of things that look and behave differently, four in a scene: 70 templates, ten
of them held out. The family is trained on 6, 15, 30 and 60 templates with equally many
films in all, and judged by how its error on the held-out ten falls with their number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import log
from pathlib import Path

import numpy as np

from worldloom import seeding
from worldloom.data.store import Store
from worldloom.trust import beaten, pooling
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.trust.task import (
    SUITE,
    Answer,
    Budget,
    Fault,
    Item,
    Setting,
    Variants,
    Verdict,
    item_seed,
    train_seed,
    variant,
)
from worldloom.trust.tasks.motion import hold
from worldloom.trust.tasks.scenes import discs, films
from worldloom.trust.tasks.scenes.films import Disc, Film, FilmProbe
from worldloom.trust.tasks.scenes.replay import Nearest

CONTEXT, FRAMES = 4, 20
COUNTS = (6, 15, 30, 60)
HELD_OUT = 10
CLIPS: Mapping[Budget, int] = {"smoke": 1, "quick": 4, "full": 50}
"""Films of each held-out template."""
LIBRARY: Mapping[Budget, int] = {"smoke": 60, "quick": 600, "full": 3000}
"""Training films in all, however many templates they are of."""
LEVEL = 1e-9
"""A slope nearer to 0 is one of errors that are all alike: what is left of it is rounding."""
FLOOR = 1e-3
"""Errors below a hundredth of a pixel count as that: their logarithm says nothing."""

KINDS: tuple[Disc, ...] = (
    Disc((0, 0), (0, 0), (0.0, -3.0), 0.6, 1.0, (225, 60, 50)),
    Disc((0, 0), (0, 0), (0.0, -3.0), 0.9, 6.0, (60, 110, 235)),
    Disc((0, 0), (0, 0), (0.0, 2.0), 0.7, 0.5, (60, 200, 90)),
    Disc((0, 0), (0, 0), (0.0, 0.0), 0.7, 1.0, (240, 220, 70)),
    Disc((0, 0), (0, 0), (0.0, 0.0), 0.8, np.inf, (235, 235, 235), "square"),
    Disc((0, 0), (0, 0), (2.5, 0.0), 0.6, 1.0, (220, 70, 210)),
    Disc((0, 0), (0, 0), (-2.5, 0.0), 0.5, 1.0, (70, 220, 225)),
    Disc((0, 0), (0, 0), (0.0, -1.0), 0.8, 2.0, (240, 140, 40)),
)
"""Light and heavy, rising, floating, fixed, blown right, blown left, sinking."""

Template = tuple[int, ...]


def templates() -> tuple[list[Template], list[Template]]:
    """The sixty that may be trained on, in the order in which they are taken, and the ten."""
    every = list(combinations(range(len(KINDS)), 4))
    order = seeding.rng(0, f"suite {SUITE}, combo").permutation(len(every))
    mixed = [every[i] for i in order]
    return mixed[HELD_OUT:], mixed[:HELD_OUT]


def draw_film(template: Template, rng: np.random.Generator) -> Film:
    """The four things of a template, each in its own quarter of the arena."""
    quarters = rng.permutation([(2.5, 2.5), (2.5, 7.5), (7.5, 2.5), (7.5, 7.5)])
    things = []
    for kind, (x, y) in zip(template, quarters, strict=True):
        place = (float(x + rng.uniform(-1, 1)), float(y + rng.uniform(-1, 1)))
        speed = (0.0, 0.0) if np.isinf(KINDS[kind].mass) else tuple(rng.uniform(-2, 2, 2).tolist())
        things.append(replace(KINDS[kind], place=place, speed=speed))
    return Film(tuple(things), walls=True)


@dataclass(frozen=True)
class Combo:
    """The task.

    Args:
      clips: of each held-out template; the budget's own number by default.
    """

    clips: int | None = None
    name: str = "combo"
    version: int = 1
    claim: str = "what it learns of single things it puts together in new ways"
    requires: frozenset[str] = frozenset({"rollout", "render"})
    own_data: bool = True
    chunk: int = 40

    def items(self, setting: Setting) -> Sequence[Item]:
        """Every film once for each number of templates; what is common is the template."""
        count = self.clips or CLIPS[setting.budget]
        return [
            Item(
                key=f"{number}-{place}-{i}",
                cluster=f"template-{place}",
                split=str(number),
                seed=item_seed(self.name, f"test {place}", i, setting),
                facts={"template": template},
            )
            for place, template in enumerate(templates()[1])
            for i in range(count)
            for number in COUNTS
        ]

    def library(self, number: int, setting: Setting) -> list[Film]:
        """The training films of so many templates; as many films for every number."""
        kept = templates()[0][:number]
        return [
            draw_film(
                kept[i % number],
                np.random.default_rng(train_seed(self.name, f"train {number}", i, setting)),
            )
            for i in range(LIBRARY[setting.budget])
        ]

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """One store for each number of templates."""
        return {
            str(n): films.record(path / f"store-{n}", self.library(n, setting), FRAMES)
            for n in COUNTS
        }

    def fingerprint(self, setting: Setting) -> str:
        """Of the first film of every held-out template."""
        some = [_film(item) for item in self.items(setting) if item.key.startswith("6-")]
        return films.fingerprint(films.shoot(some[:: len(some) // HELD_OUT], 4).frames)

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """The nearest training film of each number of templates, with the looks of what is seen."""
        near = {
            str(n): FilmProbe("nearest film", _Dressed(self.library(n, setting))) for n in COUNTS
        }
        return {"nearest": _joined(near), "copy_last": FilmProbe("last frame", films.still)}

    def ceiling(self, setting: Setting) -> Probe:
        """The simulator, through the same read-out."""
        return FilmProbe()

    def prepare(self, probe: Probe, setting: Setting) -> None:
        """Nothing is learned about a probe."""

    def answer(self, probe: Probe, items: Sequence[Item], prepared: None) -> Sequence[Answer]:
        """Mean distance of the four things from where they should be, in the arena's units."""
        by: dict[int, list[Item]] = {}  # a simulator is the same whatever was trained on
        for item in items:
            by.setdefault(id(variant(probe, item.split)), []).append(item)
        answers: dict[str, Answer] = {}
        for some in by.values():
            films_ = {item.seed: _film(item) for item in some}
            errors = _errors(variant(probe, some[0].split), list(films_.values()))
            found = dict(zip(films_, errors, strict=True))
            answers |= {i.key: Answer(max(float(found[i.seed]), FLOOR)) for i in some}
        return [answers[item.key] for item in items]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing:
        """What it imagines, beside the truth."""
        films_ = films.imagined(
            variant(probe, item.split), _film(item), context=CONTEXT, frames=FRAMES
        )
        return Showing(*films_, f"four things, after {item.split} templates")

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """The error falls with the number of templates, and is below that of every null."""
        near = pooling.null("nearest")
        most = [row for row in rows if row.split == str(COUNTS[-1])]
        flat = lambda c: float(pooling.slope(_line(rows, c).sum(0, keepdims=True))[0])  # noqa: E731
        slope = pooling.figure(
            _line(rows, pooling.value),
            pooling.slope,
            seed=seed,
            null=flat(near),
            why="of log error on log templates; a simulator, which learns nothing, has 0",
        )
        gain = pooling.figure(
            pooling.table(most, [pooling.value, near]),
            pooling.gap,
            seed=seed,
            null=0.0,
            ceiling=(pooling.mean(most, pooling.ceiling) or 0) - (pooling.mean(most, near) or 0),
        )
        figures = {"slope": slope, "gain_60": gain}
        for n in COUNTS:
            some = [row for row in rows if row.split == str(n)]
            null = pooling.mean(some, near) or 0.0
            figures[f"error_{n}"] = pooling.mean_figure(some, seed=seed, null=null)
        falls = slope.high is not None and slope.high < -LEVEL
        left = beaten.stands(most, beaten.every(most), seed=seed, less=True)
        first = "falls" if falls else "does not fall"
        words = {"nearest": "the nearest film", "copy_last": "the last frame repeated"}
        second = f"not below that of {beaten.told(left, words)}" if left else "below every null's"
        sentence = f"its error {first} with more templates, and is {second}"
        return Verdict(figures, falls and not left, sentence)

    def faults(self) -> Mapping[str, Fault]:
        """One who remembers templates, one who does not see what pulls a thing."""
        return {
            "memoriser": Fault(
                lambda setting: FilmProbe("template memoriser", _Dressed(self.library(6, setting))),
                lambda v: not v.passed and abs(v.figures["slope"].value or 0) < 0.05,
                "it replays what it saw of templates: slope 0",
            ),
            "ignores_pull": Fault(
                lambda setting: FilmProbe("no pull", _weightless),
                lambda v: (
                    not v.passed
                    and abs(v.figures["slope"].value or 0) < 0.05
                    and (v.figures["error_60"].value or 0) > 0.2
                ),
                "all things float: however many templates, the error stays",
            ),
        }


class _Dressed:
    """The nearest training film's motion, in the places and looks of what is shown."""

    def __init__(self, library: Sequence[Film]) -> None:
        self._near = Nearest(library, context=CONTEXT, shift=True)

    def __call__(self, film: Film) -> Film:
        found = self._near(film)
        dressed = (
            replace(old, colour=new.colour, kind=new.kind)
            for old, new in zip(found.discs, film.discs, strict=True)
        )
        return replace(found, discs=tuple(dressed))


def _joined(worlds: Mapping[str, Probe]) -> Probe:
    return Variants(worlds)  # type: ignore[return-value]


def _weightless(film: Film) -> Film:
    free = tuple(replace(d, pull=(0.0, 0.0)) for d in film.discs)
    return replace(film, discs=free)


def _film(item: Item) -> Film:
    return draw_film(item.facts["template"], np.random.default_rng(item.seed))


def _errors(probe: Probe, some: Sequence[Film]) -> np.ndarray:
    """`[S]` mean distance of things from the truth, over all imagined frames."""
    shot = films.shoot(some, FRAMES)
    state = probe.observe(films.begin(some, shot, CONTEXT))
    drawn = probe.rollout(state, films.no_actions(len(some), FRAMES - CONTEXT)).frames
    assert drawn is not None
    frames = np.concatenate([shot.frames[:, CONTEXT - 1 : CONTEXT], drawn[0].numpy()], 1)
    errors = []
    for i, film in enumerate(some):
        colours = tuple(d.colour for d in film.discs)
        radii = np.array([d.radius for d in film.discs])
        seen = hold(discs.find_alike(frames[i], colours, radii)[None])[0]
        errors.append(np.hypot(*np.moveaxis(seen - shot.place[i, CONTEXT - 1 :], -1, 0)).mean())
    return np.array(errors)


def _line(rows: Sequence[Row], column: pooling.Column) -> np.ndarray:
    """Sums for the slope of log error on log templates, by template."""

    def error(row: Row) -> float | None:
        return None if (x := column(row)) is None else log(x)

    return pooling.line_sums(rows, lambda row: log(float(row.split)), error)
