"""Motion: does it know how things move, also where it never saw them move like that?

Uniform motion, a parabola, a collision of two, learned within a range of sizes and speeds.
Tested inside the range, in a hole that was cut out of it, below it and above it, by the
error of the velocity that can be read off the picture. Whoever replays the nearest
training clip is the null: beating it is what knowing adds to remembering.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from worldloom.data.store import Store
from worldloom.evaluate.report import Figure
from worldloom.trust import beaten, pooling
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
from worldloom.trust.tasks.scenes import discs, films
from worldloom.trust.tasks.scenes.films import Disc, Film, FilmProbe
from worldloom.trust.tasks.scenes.physics import ARENA, FRAME
from worldloom.trust.tasks.scenes.replay import Nearest

CONTEXT, FRAMES = 3, 32
KINDS = ("uniform", "parabola", "collision")
REGIONS = ("id", "hole", "low", "high")
VARIED = ("radius", "speed", "both")
GRAVITY = 3.0

Span = tuple[float, float]
RADIUS: Mapping[str, Span] = {"id": (0.7, 1.4), "low": (0.3, 0.6), "high": (1.5, 2.0)}
PAIR_RADIUS: Mapping[str, Span] = {"id": (0.5, 1.5), "low": (0.3, 0.4), "high": (1.7, 2.0)}
SPEED: Mapping[str, Span] = {"id": (1.0, 4.0), "low": (0.0, 0.8), "high": (4.5, 6.0)}
HOLE: tuple[Span, Span] = ((0.95, 1.15), (2.0, 3.0))
"""Radii and speeds that no training clip has together."""


IMPACT = 0.25
"""Seconds that two things must be apart at first: the impact is to be predicted, not shown."""


def draw_film(kind: str, region: str, varied: str, rng: np.random.Generator) -> Film:
    """One scene of a kind; in regions out of the range only what is `varied` leaves it."""
    far = region if region in ("low", "high") else "id"
    sizes = PAIR_RADIUS if kind == "collision" else RADIUS
    size = sizes[far if varied != "speed" else "id"]
    pace = SPEED[far if varied != "radius" else "id"]
    if region == "hole":
        size, pace = HOLE
    count = 2 if kind == "collision" else 1
    while True:
        radii, speeds = rng.uniform(*size, count), rng.uniform(*pace, count)
        missing = np.all([radii > HOLE[0][0], radii < HOLE[0][1]], 0)
        missing &= np.all([speeds > HOLE[1][0], speeds < HOLE[1][1]], 0)
        room = ARENA - 0.2 - 2 * radii.sum()
        late = kind != "collision" or room > IMPACT * speeds.sum()
        if late and (region == "hole" or not missing.any()):
            return _SCENES[kind](radii, speeds, rng)


def _uniform(radii: np.ndarray, speeds: np.ndarray, rng: np.random.Generator) -> Film:
    r, v = float(radii[0]), float(speeds[0])
    height = float(rng.uniform(2.2, ARENA - 2.2))
    return Film((Disc((r + 0.1, height), (v, 0.0), radius=r),))


def _parabola(radii: np.ndarray, speeds: np.ndarray, rng: np.random.Generator) -> Film:
    r, v = float(radii[0]), float(speeds[0])
    height = float(rng.uniform(6.5, ARENA - r - 0.1))
    return Film((Disc((r + 0.1, height), (v, 0.0), (0.0, -GRAVITY), r),))


def _collision(radii: np.ndarray, speeds: np.ndarray, rng: np.random.Generator) -> Film:
    (a, b), (u, v) = radii.tolist(), speeds.tolist()
    height = float(rng.uniform(2.2, ARENA - 2.2))
    left = Disc((a + 0.1, height), (u, 0.0), radius=a, mass=a**2)
    right = Disc((ARENA - b - 0.1, height), (-v, 0.0), radius=b, mass=b**2, colour=discs.BLUE)
    return Film((left, right))


_SCENES: Mapping[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Film]] = {
    "uniform": _uniform,
    "parabola": _parabola,
    "collision": _collision,
}


COUNT: Mapping[Budget, int] = {"smoke": 6, "quick": 24, "full": 1200}
"""Test clips in each region, the kinds and what is varied taking turns."""
LIBRARY: Mapping[Budget, int] = {"smoke": 300, "quick": 1200, "full": 3000}
"""Training clips."""
_WORDS = {
    "id": "as in training",
    "hole": "in the hole",
    "low": "small, slow",
    "high": "large, fast",
}
_NULLS = {"copy_last": "the last frame repeated"}
ENOUGH = 0.5
"""Of the way from the nearest clip's error to the simulator's, which a world must go."""


@dataclass(frozen=True)
class Motion:
    """The task.

    Args:
      clips: in each region; the budget's own number by default.
    """

    clips: int | None = None
    name: str = "motion"
    version: int = 1
    claim: str = "it knows how things move, beyond what it has seen"
    requires: frozenset[str] = frozenset({"rollout", "render"})
    own_data: bool = True
    chunk: int = 24

    def items(self, setting: Setting) -> Sequence[Item]:
        """Every region's clips; a clip is its own cluster, for nothing is common to two."""
        count = self.clips or COUNT[setting.budget]
        return [
            Item(
                key=f"{region}-{i}",
                cluster=f"{region}-{i}",
                split=region,
                seed=item_seed(self.name, region, i, setting),
                facts={"kind": KINDS[i % 3], "varied": VARIED[i // 3 % 3]},
            )
            for region in REGIONS
            for i in range(count)
        ]

    def library(self, setting: Setting) -> list[Film]:
        """The training films: inside the range, nothing of the hole."""
        seeds = (train_seed(self.name, "train", i, setting) for i in range(LIBRARY[setting.budget]))
        return [
            draw_film(KINDS[i % 3], "id", "both", np.random.default_rng(seed))
            for i, seed in enumerate(seeds)
        ]

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """The training films as a store."""
        return {"": films.record(path, self.library(setting), FRAMES)}

    def fingerprint(self, setting: Setting) -> str:
        """Of the first clip of every region."""
        some = [item for item in self.items(setting) if item.key.endswith("-0")]
        return films.fingerprint(films.shoot([_film(item) for item in some], 4).frames)

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """The nearest clip twice, and two that need no training."""
        library = self.library(setting)
        near = {s: Nearest(library, context=CONTEXT, shift=s) for s in (False, True)}
        return {
            "nearest": FilmProbe("nearest clip", near[False]),
            "nearest_shifted": FilmProbe("nearest clip, moved here", near[True]),
            "copy_last": FilmProbe("last frame repeated", films.still),
            "constant_velocity": FilmProbe("constant velocity", films.steady),
        }

    def ceiling(self, setting: Setting) -> Probe:
        """The simulator, through the same read-out."""
        return FilmProbe()

    def prepare(self, probe: Probe, setting: Setting) -> None:
        """Nothing is learned about a probe."""

    def answer(self, probe: Probe, items: Sequence[Item], prepared: None) -> Sequence[Answer]:
        """The mean error of the velocity, in units a second, while things are wholly visible."""
        answers: dict[str, Answer] = {}
        for rows in films.grouped([_film(item) for item in items]).values():
            some = [items[i] for i in rows]
            for item, error in zip(some, _errors(probe, [_film(i) for i in some]), strict=True):
                answers[item.key] = Answer(None if np.isnan(error) else float(error))
        return [answers[item.key] for item in items]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing:
        """What it imagines, beside the truth."""
        films_ = films.imagined(probe, _film(item), context=CONTEXT, frames=FRAMES)
        return Showing(*films_, f"{item.facts['kind']}, {_WORDS[item.split]}")

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """Half of the way from the nearest clip to reality, and better than every null."""
        near = pooling.best_null(rows, ["nearest", "nearest_shifted"])
        by = {region: [row for row in rows if row.split == region] for region in REGIONS}
        ratios = {
            name: _outside_over_inside(rows, column)
            for name, column in (
                ("own", pooling.value),
                ("null", pooling.null(near)),
                ("best", pooling.ceiling),
            )
        }
        total = lambda sums: float(_outside(sums.sum(0, keepdims=True))[0])  # noqa: E731

        def skill(some: Sequence[Row]) -> Figure:
            sums = pooling.table(some, [pooling.value, pooling.null(near), pooling.ceiling])
            why = f"over the null `{near}`"
            return pooling.figure(sums, _skill, seed=seed, null=0.0, ceiling=1.0, why=why)

        # A world that knows nothing errs as much inside as outside: the ratio alone flatters it.
        figures = {
            "skill_outside": skill(by["low"] + by["high"]),
            "ood_over_id": pooling.figure(
                ratios["own"],
                _outside,
                seed=seed,
                null=total(ratios["null"]),
                ceiling=total(ratios["best"]),
            ),
        }
        for region, some in by.items():
            figures[f"skill_{region}"] = skill(some)
            figures[f"error_{region}"] = pooling.mean_figure(
                some, seed=seed, null=pooling.mean(some, pooling.null(near)) or 0.0
            )
        outside = by["low"] + by["high"]
        left = beaten.stands(outside, beaten.every(rows), seed=seed, less=True)
        return _verdict(figures, left)

    def faults(self) -> Mapping[str, Fault]:
        """A replayer, and one who knows no speed that was not in training."""
        return {
            "nearest_clip": Fault(
                lambda setting: self.nulls(setting)["nearest_shifted"],
                lambda verdict: not verdict.passed and not _good(verdict.figures, "high"),
                "it replays the nearest training clip and must fail",
            ),
            "capped_speed": Fault(
                lambda setting: FilmProbe("capped speed", _capped),
                lambda verdict: (
                    not _good(verdict.figures, "high")
                    and all(_good(verdict.figures, region) for region in ("id", "low"))
                ),
                "no speed above that of the training clips: it must fail above the range only",
            ),
        }


def _film(item: Item) -> Film:
    rng = np.random.default_rng(item.seed)
    return draw_film(item.facts["kind"], item.split, item.facts["varied"], rng)


def _errors(probe: Probe, some: Sequence[Film]) -> np.ndarray:
    """`[S]` mean error of the velocity of each film, all of equally many discs."""
    shot = films.shoot(some, FRAMES)
    state = probe.observe(films.begin(some, shot, CONTEXT))
    drawn = probe.rollout(state, films.no_actions(len(some), FRAMES - CONTEXT)).frames
    assert drawn is not None
    frames = np.concatenate([shot.frames[:, CONTEXT - 1 : CONTEXT], drawn[0].numpy()], 1)
    radii = np.array([[d.radius for d in film.discs] for film in some])
    colours = tuple(d.colour for d in some[0].discs)
    seen = hold(discs.find(frames, colours, radii[:, None]))
    truth = shot.place[:, CONTEXT - 1 :]
    wrong = np.diff(seen, axis=1) - np.diff(truth, axis=1)
    error = np.hypot(wrong[..., 0], wrong[..., 1]) / FRAME
    whole = (np.minimum(truth, ARENA - truth).min(-1) > radii[:, None]).astype(float)
    counts = whole[:, 1:] * whole[:, :-1]
    total = counts.sum((1, 2))
    return np.where(total > 0, (error * counts).sum((1, 2)) / np.maximum(total, 1), np.nan)


def hold(seen: np.ndarray) -> np.ndarray:
    """Places `[S, T, N, 2]` in which what is lost stays where it was last seen."""
    held = seen.copy()
    for t in range(1, held.shape[1]):
        lost = np.isnan(held[:, t])
        held[:, t][lost] = held[:, t - 1][lost]
    return np.nan_to_num(held, nan=ARENA / 2)


def _capped(film: Film) -> Film:
    """The same, with no disc faster than any in training."""
    most = SPEED["id"][1]
    slow = []
    for disc in film.discs:
        fast = float(np.hypot(*disc.speed))
        share = min(1.0, most / fast) if fast else 1.0
        slow.append(replace(disc, speed=(disc.speed[0] * share, disc.speed[1] * share)))
    return replace(film, discs=tuple(slow))


def _outside_over_inside(rows: Sequence[Row], column: pooling.Column) -> np.ndarray:
    """Sums by cluster (outside, its count, inside, its count) `[C, 4]`."""
    inside = lambda row: float(row.split == "id")  # noqa: E731
    outside = lambda row: float(row.split in ("low", "high"))  # noqa: E731

    def of(which: pooling.Column) -> pooling.Column:
        return lambda row: None if (x := column(row)) is None else x * (which(row) or 0.0)

    return pooling.table(rows, [of(outside), outside, of(inside), inside])[:, 1:]


def _outside(sums: np.ndarray) -> np.ndarray:
    """Mean error outside the range over that inside."""
    return pooling.ratio(0, 1)(sums) / pooling.ratio(2, 3)(sums)


def _skill(sums: np.ndarray) -> np.ndarray:
    """How far the error is on its way from the null's to the ceiling's, of (n, own, null, best)."""
    _, own, null, best = np.moveaxis(sums, -1, 0)
    return (null - own) / (null - best)


def _good(figures: Mapping[str, Figure], region: str) -> bool:
    low = figures[f"skill_{region}"].low
    return low is not None and low > ENOUGH


def _verdict(figures: Mapping[str, Figure], left: Sequence[str]) -> Verdict:
    words = {"id": "inside its range", "low": "below it", "high": "above it"}
    known = [words[r] for r in words if _good(figures, r)]
    passed = _good(figures, "low") and _good(figures, "high") and not left
    ratio = figures["ood_over_id"].value
    where = " and ".join(known) or "nowhere"
    times = "" if ratio is None else f"; outside its errors are {ratio:.1f} times those inside"
    other = [name for name in left if not name.startswith("nearest")]
    no = f"; outside it errs no less than {beaten.told(other, _NULLS)}" if other else ""
    words = f"it predicts better than the nearest clip {where}{times}{no}"
    return Verdict(figures, passed, words)
