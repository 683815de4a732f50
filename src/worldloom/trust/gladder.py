"""The gravity ladder: what "it knows gravity" means, rung by rung.

One ball, and a pull that differs from film to film and cannot be seen in the first
picture. 1: it predicts by it. 2: it can be read off the features, also where no probe was
fitted. 3: pushing the features along that direction changes the fall by as much. 4: from
the model's own films the law can be recovered: a constant, and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldloom.data.store import Store
from worldloom.evaluate import statistics
from worldloom.evaluate.report import Figure
from worldloom.trust import discs, films, pooling, ridge
from worldloom.trust.films import Disc, Film, FilmProbe
from worldloom.trust.physics import ARENA, FRAME
from worldloom.trust.probe import Edit, Probe
from worldloom.trust.replay import Nearest
from worldloom.trust.rows import Row
from worldloom.trust.simulated import Told
from worldloom.trust.task import Answer, Budget, Fault, Item, Setting, Verdict, item_seed

CONTEXT, FRAMES = 4, 16
INSIDE = (2.0, 6.0)
OUTSIDE = ((0.5, 1.5), (7.0, 9.0))
"""Pulls that are trained on, and bands that are not."""
COLOURS = (discs.RED, discs.BLUE, (70, 190, 80))
COUNT: Mapping[Budget, int] = {"smoke": 10, "quick": 40, "full": 200}
"""Test films inside, and as many outside."""
FITTED: Mapping[Budget, int] = {"smoke": 30, "quick": 150, "full": 400}
"""Films that linear probes are fitted to."""
LIBRARY: Mapping[Budget, int] = {"smoke": 40, "quick": 400, "full": 3000}
GROUPS = 5
STRONG = 0.35
"""Units a second squared: a term of the law that explains less is none."""
SLACK, LEAK, CAUSAL, LAWFUL = 0.1, 0.1, 0.5, 0.1
"""Rung 1: slope 1 to so much. Rung 2: the first frame tells less. Rung 3: slope at least. Rung
4: the constant is right to such a share."""


def draw_film(
    band: tuple[float, float], rng: np.random.Generator, *, g: float | None = None
) -> Film:
    """One flight under the pull g, or one out of a band; nothing else depends on it."""
    drawn = float(rng.uniform(*band))
    g = drawn if g is None else g
    place = (float(rng.uniform(3, 7)), float(rng.uniform(4.5, 7)))
    speed = (float(rng.uniform(-1, 1)), float(rng.uniform(-1, 2)))
    radius, colour = float(rng.uniform(0.5, 0.8)), COLOURS[rng.integers(3)]
    return Film((Disc(place, speed, (0.0, -g), radius, colour=colour),))


def pull(film: Film) -> float:
    """The pull of a film."""
    return -film.discs[0].pull[1]


def with_pull(film: Film, g: float) -> Film:
    """The film under another pull."""
    return replace(film, discs=(replace(film.discs[0], pull=(0.0, -g)),))


@dataclass(frozen=True)
class Prepared:
    """Linear probes of one model, fitted inside the trained range.

    Args:
      layer: that was chosen on films of its own; None where it has no features.
      now: the pull, from four frames.
      first: the pull, from the first frame.
      shuffled: as `now`, of shuffled pulls.
      across: where the ball is from left to right, a direction that is none of the pull's.
    """

    layer: str | None = None
    now: ridge.Line | None = None
    first: ridge.Line | None = None
    shuffled: ridge.Line | None = None
    across: ridge.Line | None = None


@dataclass(frozen=True)
class Gladder:
    """The task.

    Args:
      count: test films inside and outside; the budget's own number by default.
    """

    count: int | None = None
    name: str = "gladder"
    version: int = 1
    claim: str = "it knows gravity"
    requires: frozenset[str] = frozenset({"rollout", "render"})
    own_data: bool = True
    chunk: int = 10

    def items(self, setting: Setting) -> Sequence[Item]:
        """Films inside the trained range, at a few pulls each; then in the bands outside."""
        count = self.count or COUNT[setting.budget]
        groups = max(2, min(GROUPS, count // 4))
        return [
            Item(
                key=f"{split}-{i}",
                cluster=f"{split}-{i}",
                split=split,
                seed=item_seed(self.name, split, i, setting),
                facts={"band": INSIDE, "g": _level(i % groups, groups)}
                if split == "inside"
                else {"band": OUTSIDE[i % 2], "g": None},
            )
            for split in ("inside", "outside")
            for i in range(count)
        ]

    def _films(self, split: str, count: int, setting: Setting) -> list[Film]:
        seeds = (item_seed(self.name, split, i, setting) for i in range(count))
        return [draw_film(INSIDE, np.random.default_rng(seed)) for seed in seeds]

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """Training films, all inside the range."""
        library = self._films("train", LIBRARY[setting.budget], setting)
        return {"": films.record(path, library, FRAMES)}

    def fingerprint(self, setting: Setting) -> str:
        """Of the first films inside and outside."""
        some = [_film(item) for item in self.items(setting) if item.key.endswith("-0")]
        return films.fingerprint(films.shoot(some, 4).frames)

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """The nearest training film, and the pictures themselves as features."""
        library = self._films("train", LIBRARY[setting.budget], setting)
        near = Nearest(library, context=CONTEXT, shift=True)
        return {
            "nearest": FilmProbe("nearest film, moved here", near),
            "pixels": Pixels("four frames as they are", films.still),
        }

    def ceiling(self, setting: Setting) -> Probe:
        """The simulator, and an estimate from the places in four frames."""
        return Analytic("simulator")

    def prepare(self, probe: Probe, setting: Setting) -> Prepared:
        """Fits linear probes to films of their own, at the layer that does best there."""
        if "features" not in probe.capabilities:
            return Prepared()
        some = self._films("probe", FITTED[setting.budget], setting)
        shot = films.shoot(some, CONTEXT)
        g = np.array([pull(film) for film in some])
        states = [probe.observe(films.begin(some, shot, frames)) for frames in (CONTEXT, 1)]
        layers = probe.layers or (None,)
        seen = {layer: _features(probe, states[0], layer) for layer in layers}
        fits = {layer: ridge.chosen(x, g) for layer, x in seen.items()}
        layer = min(layers, key=lambda name: fits[name][1])
        mixed = np.random.default_rng(setting.seed).permutation(g)
        return Prepared(
            layer,
            fits[layer][0],
            ridge.chosen(_features(probe, states[1], layer), g)[0],
            ridge.chosen(seen[layer], mixed)[0],
            ridge.chosen(seen[layer], shot.place[:, CONTEXT - 1, 0, 0])[0],
        )

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Prepared) -> Sequence[Answer]:
        """The pull at which the imagined ball falls; beside it what probes and pushes say."""
        some = [_film(item) for item in items]
        shot = films.shoot(some, CONTEXT)
        state = probe.observe(films.begin(some, shot, CONTEXT))
        last = shot.frames[:, -1:]
        falls, tracks = _falls(probe, state, some, last)
        extra: list[dict[str, Any]] = [
            {"g": pull(film), "track": np.round(track, 4).tolist()}
            for film, track in zip(some, tracks, strict=True)
        ]
        if prepared.now is not None and prepared.first is not None and prepared.shuffled:
            now = _features(probe, state, prepared.layer)
            then = _features(probe, probe.observe(films.begin(some, shot, 1)), prepared.layer)
            told = {
                "decoded": prepared.now(now),
                "first": prepared.first(then),
                "shuffled": prepared.shuffled(now),
            }
            for i, row in enumerate(extra):
                row |= {name: float(values[i]) for name, values in told.items()}
            if "steer" in probe.capabilities:
                for name, slopes in _pushed(probe, state, some, last, prepared).items():
                    for row, slope in zip(extra, slopes, strict=True):
                        row[name] = slope
        return [Answer(fall, row) for fall, row in zip(falls, extra, strict=True)]

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """The highest rung that was reached without a gap."""
        inside = [row for row in rows if row.split == "inside"]
        outside = [row for row in rows if row.split == "outside"]
        figures = {
            "predicts": _slope(inside, seed=seed),
            "predicts_outside": _slope(outside, seed=seed),
        }
        figures |= _decodes(inside, outside, seed=seed)
        figures |= _causes(rows, seed=seed)
        figures |= _laws(inside, seed=seed)
        reached = [
            _within(figures["predicts"], 1 - SLACK, 1 + SLACK),
            _decodable(figures, outside, seed=seed),
            _causal(figures),
            _within(figures["law_support"], 0.8, 2.0, ends=False)
            and _within(figures["law_error"], -1.0, LAWFUL, ends=False),
        ]
        rung = reached.index(False) if False in reached else len(reached)
        missing = "" if rung == 4 else f"; the next one: {_RUNGS[rung]}"
        return Verdict(figures, rung >= 1, f"it stands on rung {rung} of 4{missing}")

    def faults(self) -> Mapping[str, Fault]:
        """Two wrong pulls, and one who is told what cannot be seen."""
        return {
            "too_heavy": Fault(
                lambda setting: FilmProbe("g times 1.2", lambda f: with_pull(f, 1.2 * pull(f))),
                lambda v: not v.passed and abs((v.figures["predicts"].value or 0) - 1.2) < 0.05,
                "falls by 20% too fast: slope 1.20",
            ),
            "fixed": Fault(
                lambda setting: FilmProbe("g is 4", lambda film: with_pull(film, 4.0)),
                lambda v: not v.passed and abs(v.figures["predicts"].value or 0) < 0.05,
                "one pull for all: slope 0",
            ),
            "leaking": Fault(
                lambda setting: Analytic("told the pull", leaks=True),
                lambda v: (v.figures["first_frame_r2"].value or 0) > 0.5 and "rung 1" in v.sentence,
                "its state knows the pull at the first frame: rung 2 does not count",
            ),
        }


_RUNGS = (
    "its balls fall as hard as the real ones",
    "the pull can be read off its features, and not off the first frame",
    "pushing the features changes the fall",
    "its films obey the law",
)


def _film(item: Item) -> Film:
    rng = np.random.default_rng(item.seed)
    return draw_film(item.facts["band"], rng, g=item.facts["g"])


def _level(index: int, count: int) -> float:
    """One of so many pulls, evenly spread over the range."""
    low, high = INSIDE
    return low + (high - low) * (index + 0.5) / count


def _features(probe: Probe, state: Any, layer: str | None) -> np.ndarray:
    return probe.features(state, layer).double().cpu().numpy()


def _falls(
    probe: Probe, state: Any, some: Sequence[Film], last: np.ndarray, edit: Edit | None = None
) -> tuple[list[float | None], list[np.ndarray]]:
    """The pull of each imagined flight, None where it is too short, and its places."""
    steps = films.no_actions(len(some), FRAMES - CONTEXT)
    drawn = probe.rollout(state, steps, edit=edit).frames
    assert drawn is not None
    falls, tracks = [], []
    for film, shown, before in zip(some, drawn[0].numpy(), last, strict=True):
        disc = film.discs[0]
        frames = np.concatenate([before, shown])
        places = discs.find(frames, (disc.colour,), np.array([disc.radius]))[:, 0]
        whole = np.minimum(places, ARENA - places).min(1) > disc.radius
        stop = len(whole) if whole.all() else int(np.argmin(whole))
        tracks.append(places[:stop])
        fits = np.polyfit(FRAME * np.arange(stop), places[:stop, 1], 2) if stop >= 4 else None
        falls.append(None if fits is None else float(-2 * fits[0]))
    return falls, tracks


def _pushed(
    probe: Probe, state: Any, some: Sequence[Film], last: np.ndarray, prepared: Prepared
) -> dict[str, list[float | None]]:
    """How much the fall changes for a push that the probe reads as one unit more of pull."""
    assert prepared.now is not None and prepared.across is not None
    way = prepared.now.weight / max(float(np.square(prepared.now.weight).sum()), 1e-12)
    anywhere = np.random.default_rng(0).normal(size=len(way))
    ways = {
        "pushed": way,
        "pushed_across": _beside(way, prepared.across.weight),
        "pushed_anywhere": _beside(way, anywhere),
    }
    slopes = {}
    for name, vector in ways.items():
        ends = []
        for sign in (1, -1):
            push = Edit(prepared.layer or "", torch.from_numpy(sign * vector).float())
            ends.append(_falls(probe, state, some, last, push)[0])
        pairs = zip(*ends, strict=True)
        slopes[name] = [None if a is None or b is None else (a - b) / 2 for a, b in pairs]
    return slopes


def _beside(way: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What of another direction the pull's has no part in, as long as that."""
    rest = other - way * (other @ way) / max(float(way @ way), 1e-12)
    return rest * float(np.linalg.norm(way)) / max(float(np.linalg.norm(rest)), 1e-12)


def _extra(name: str, beside: str = "") -> pooling.Column:
    """A number that was kept of the world, or of a null."""

    def column(row: Row) -> float | None:
        kept = row.extra.get("beside", {}).get(beside, {}) if beside else row.extra
        return kept.get(name)

    return column


def _slope(rows: Sequence[Row], *, seed: int) -> Figure:
    """Of the imagined pull on the true one."""
    value = lambda column: float(  # noqa: E731
        pooling.slope(pooling.line_sums(rows, _extra("g"), column).sum(0, keepdims=True))[0]
    )
    sums = pooling.line_sums(rows, _extra("g"), pooling.value)
    near, best = value(pooling.null("nearest")), value(pooling.ceiling)
    return pooling.figure(sums, pooling.slope, seed=seed, null=near, ceiling=best)


def _r2_sums(rows: Sequence[Row], column: pooling.Column) -> np.ndarray:
    """(n, g, gg, squared error) by cluster."""
    g = _extra("g")
    square: pooling.Column = lambda r: None if (x := g(r)) is None else x**2  # noqa: E731

    def wrong(row: Row) -> float | None:
        a, b = g(row), column(row)
        return None if a is None or b is None else (a - b) ** 2

    return pooling.table(rows, [g, square, wrong])


def _r2(sums: np.ndarray) -> np.ndarray:
    n, g, squares, wrong = np.moveaxis(sums, -1, 0)
    spread = squares - g**2 / np.maximum(n, 1)
    return 1 - wrong / np.maximum(spread, 1e-12)


def _decodes(inside: Sequence[Row], outside: Sequence[Row], *, seed: int) -> dict[str, Figure]:
    """R2 of the linear probe in the bands outside, and of the first frame inside."""
    if _extra("decoded")(inside[0]) is None:
        why = "it has no features"
        return {n: Figure.absent("1", why) for n in ("decodes_r2", "first_frame_r2")}
    known = [n for n in pooling.nulls(inside) if _extra("decoded", n)(inside[0]) is not None]
    columns = [_extra("shuffled"), *(_extra("decoded", n) for n in known)]
    total = lambda rows, c: float(_r2(_r2_sums(rows, c).sum(0, keepdims=True))[0])  # noqa: E731
    best = _extra("decoded", "ceiling")
    return {
        "decodes_r2": pooling.figure(
            _r2_sums(outside, _extra("decoded")),
            _r2,
            seed=seed,
            null=max(total(outside, column) for column in columns),
            ceiling=total(outside, best) if best(outside[0]) is not None else None,
        ),
        "first_frame_r2": pooling.figure(
            _r2_sums(inside, _extra("first")), _r2, seed=seed, null=0.0, why="must be about 0"
        ),
    }


def _decodable(figures: Mapping[str, Figure], outside: Sequence[Row], *, seed: int) -> bool:
    """Better than every null after Holm, and the first frame tells nothing."""
    found, first = figures["decodes_r2"], figures["first_frame_r2"]
    if found.value is None or first.low is None or found.null is None:
        return False
    known = [n for n in pooling.nulls(outside) if _extra("decoded", n)(outside[0]) is not None]
    columns = {"shuffled": _extra("shuffled"), **{n: _extra("decoded", n) for n in known}}

    def wrong(column: pooling.Column) -> pooling.Column:
        def error(row: Row) -> float | None:
            a, b = _extra("g")(row), column(row)
            return None if a is None or b is None else (a - b) ** 2

        return error

    own = wrong(_extra("decoded"))
    chances = {n: pooling.chance(outside, own, wrong(c), seed=seed) for n, c in columns.items()}
    sure = all(p < 0.05 for p in statistics.holm(chances).values())
    return sure and found.value > found.null and first.low < LEAK and found.value > 0


def _causes(rows: Sequence[Row], *, seed: int) -> dict[str, Figure]:
    """The slope of the fall over the push, beside pushes in other directions."""
    if _extra("pushed")(rows[0]) is None and "pushed" not in rows[0].extra:
        return {"causes": Figure.absent("1", "it cannot be steered")}
    others = [pooling.mean(rows, _extra(n)) for n in ("pushed_across", "pushed_anywhere")]
    null = max((abs(x) for x in others if x is not None), default=0.0)
    best = pooling.mean(rows, _extra("pushed", "ceiling"))
    sums = pooling.table(rows, [_extra("pushed")])
    return {"causes": pooling.figure(sums, pooling.ratio(1, 0), seed=seed, null=null, ceiling=best)}


def _causal(figures: Mapping[str, Figure]) -> bool:
    found = figures["causes"]
    null = found.null or 0.0
    return _within(found, max(CAUSAL, null), 2 - CAUSAL)


def _laws(inside: Sequence[Row], *, seed: int) -> dict[str, Figure]:
    """The law of each group of pulls: whether it is a constant alone, and which."""
    levels = sorted({float(row.extra["g"]) for row in inside})
    groups = [[row for row in inside if row.extra["g"] == level] for level in levels]
    parts = {"own": "", "nearest": "nearest", "best": "ceiling"}
    found = {key: np.array([_law(g, where) for g in groups]) for key, where in parts.items()}
    figures = {}
    for i, name in enumerate(("law_support", "law_error")):
        sums = np.stack([np.ones(len(groups)), found["own"][:, i]], 1)
        figures[name] = pooling.figure(
            sums,
            pooling.ratio(1, 0),
            seed=seed,
            null=float(found["nearest"][:, i].mean()),
            ceiling=float(found["best"][:, i].mean()),
            why=f"{len(levels)} pulls",
        )
    return figures


def _law(group: Sequence[Row], beside: str) -> tuple[float, float]:
    """(1 where the law has the right terms, relative error of its constant) of one group."""
    tracks = [np.array(_kept(row, beside)).reshape(-1, 2) for row in group]
    terms, kept = ridge.law(tracks, FRAME, STRONG)
    g = float(np.mean([row.extra["g"] for row in group]))
    right = kept[1, 0] and kept.sum() == 1
    down = float(-terms[1, 0]) if kept[1, 0] else 0.0
    return float(right), abs(down - g) / g


def _kept(row: Row, beside: str) -> list[list[float]]:
    kept = row.extra.get("beside", {}).get(beside, {}) if beside else row.extra
    return kept.get("track", [])


def _within(figure: Figure, low: float, high: float, *, ends: bool = True) -> bool:
    """Whether a figure, with its whole interval or alone, lies between two numbers."""
    if figure.value is None or figure.low is None or figure.high is None:
        return False
    return low < (figure.low if ends else figure.value) and (
        (figure.high if ends else figure.value) < high
    )


class Pixels(FilmProbe):
    """Shows the last frame again; its features are the pictures."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What it draws, and what it saw."""
        return frozenset({"rollout", "render", "features"})

    def features(self, state: Told, layer: str | None = None) -> torch.Tensor:
        """`[B, D]` all pixels that were shown, every second one in both directions."""
        assert state.shown is not None
        return torch.from_numpy(state.shown[:, :, ::2, ::2].reshape(len(state.shown), -1) / 255.0)


class Analytic(FilmProbe):
    """Simulates; its features are the place and the pull that places in the frames give.

    Args:
      name: for people.
      leaks: whether it knows the true pull from the first frame on.
    """

    layers = ("estimate",)

    def __init__(self, name: str, *, leaks: bool = False) -> None:
        super().__init__(name)
        self.leaks = leaks

    @property
    def capabilities(self) -> frozenset[str]:
        """All that the ladder asks for."""
        return frozenset({"rollout", "render", "features", "steer"})

    def features(self, state: Told, layer: str | None = None) -> torch.Tensor:
        """`[B, 3]` place and pull."""
        assert state.shown is not None
        rows = []
        for shown, told in zip(state.shown, map(Film.unpack, state.snapshots), strict=True):
            disc = told.discs[0]
            places = discs.find(shown, (disc.colour,), np.array([disc.radius]))[:, 0]
            g = pull(told) if self.leaks else 0.0
            if len(places) >= 3 and not self.leaks:
                g = float(-2 * np.polyfit(FRAME * np.arange(len(places)), places[:, 1], 2)[0])
            rows.append([*places[-1], g])
        return torch.tensor(rows, dtype=torch.float64)

    def rollout(self, state: Told, actions: Any, *, seeds: Sequence[int] = (0,), edit: Any = None):
        """What follows, under the pull that an edit makes of the true one."""
        if edit is None:
            return super().rollout(state, actions, seeds=seeds)
        more = edit.vector.expand(len(state.snapshots), -1)[:, 2].tolist()
        told = [Film.unpack(snapshot) for snapshot in state.snapshots]
        films_ = [with_pull(f, pull(f) + m) for f, m in zip(told, more, strict=True)]
        edited = Told(tuple(f.pack() for f in films_), state.shown)
        return super().rollout(edited, actions, seeds=seeds)
