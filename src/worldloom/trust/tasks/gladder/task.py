"""The gravity ladder: what "it knows gravity" means, rung by rung.

One ball, and a pull that differs from film to film and cannot be seen in the first
picture. 1: it predicts by it. 2: it can be read off the features, also where no probe was
fitted. 3: pushing the features along that direction changes the fall by as much. 4: from
the model's own films the law can be recovered: a constant, and nothing else. Films and
readers are `falling`, figures and gates `verdict`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldloom.data.store import Store
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Edit, Probe
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
from worldloom.trust.tasks.gladder.falling import (
    CONTEXT,
    FRAMES,
    INSIDE,
    OUTSIDE,
    Analytic,
    Pixels,
    draw_film,
    falls,
    level,
    pull,
    with_pull,
)
from worldloom.trust.tasks.gladder.verdict import judge
from worldloom.trust.tasks.reading import ridge
from worldloom.trust.tasks.scenes import films
from worldloom.trust.tasks.scenes.films import Film, FilmProbe
from worldloom.trust.tasks.scenes.replay import Nearest

COUNT: Mapping[Budget, int] = {"smoke": 10, "quick": 40, "full": 200}
"""Test films inside, and as many outside."""
FITTED: Mapping[Budget, int] = {"smoke": 30, "quick": 150, "full": 400}
"""Films that linear probes are fitted to."""
LIBRARY: Mapping[Budget, int] = {"smoke": 40, "quick": 400, "full": 3000}
GROUPS = 5


@dataclass(frozen=True)
class Prepared:
    """Linear probes of one model, fitted inside the trained range.

    Args:
      layer: that was chosen on films of its own; None where it has no features.
      now: the pull, from four frames.
      first: the pull, from the first frame.
      shuffled: as `now`, of shuffled pulls.
      across: where the ball is from left to right, a direction that is none of the pull's.
      spread: standard deviation of the pulls that are read off the films it was fitted to.
    """

    layer: str | None = None
    now: ridge.Line | None = None
    first: ridge.Line | None = None
    shuffled: ridge.Line | None = None
    across: ridge.Line | None = None
    spread: float = 0.0


@dataclass(frozen=True)
class Gladder:
    """The task.

    Args:
      count: test films inside and outside; the budget's own number by default.
    """

    count: int | None = None
    name: str = "gladder"
    version: int = 2
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
                facts={"band": INSIDE, "g": level(i % groups, groups)}
                if split == "inside"
                else {"band": OUTSIDE[i % 2], "g": None},
            )
            for split in ("inside", "outside")
            for i in range(count)
        ]

    def _films(self, split: str, count: int, setting: Setting) -> list[Film]:
        seeds = (train_seed(self.name, split, i, setting) for i in range(count))
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
            float(fits[layer][0](seen[layer]).std()),
        )

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Prepared) -> Sequence[Answer]:
        """The pull at which the imagined ball falls; beside it what probes and pushes say."""
        some = [_film(item) for item in items]
        shot = films.shoot(some, CONTEXT)
        state = probe.observe(films.begin(some, shot, CONTEXT))
        last = shot.frames[:, -1:]
        fallen, tracks = falls(probe, state, some, last)
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
            inside = [i for i, item in enumerate(items) if item.split == "inside"]
            if inside and "steer" in probe.capabilities:
                for name, slopes in _pushed(probe, state, some, last, prepared).items():
                    for i in inside:
                        extra[i][name] = slopes[i]
        return [Answer(fall, row) for fall, row in zip(fallen, extra, strict=True)]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing:
        """What it imagines, beside the truth."""
        films_ = films.imagined(probe, _film(item), context=CONTEXT, frames=FRAMES)
        return Showing(*films_, f"a pull of {pull(_film(item)):.1f}")

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """The highest rung that was reached without a gap."""
        return judge(rows, seed=seed)

    def faults(self) -> Mapping[str, Fault]:
        """Two wrong pulls, and one who is told what cannot be seen."""
        return {
            "too_heavy": Fault(
                lambda setting: FilmProbe("g times 1.2", lambda f: with_pull(f, 1.2 * pull(f))),
                lambda v: (
                    v.passed is False and abs((v.figures["predicts"].value or 0) - 1.2) < 0.05
                ),
                "falls by 20% too fast: slope 1.20",
            ),
            "fixed": Fault(
                lambda setting: FilmProbe("g is 4", lambda film: with_pull(film, 4.0)),
                lambda v: v.passed is False and abs(_slope_of(v)) < 0.05,
                "one pull for all: slope 0",
            ),
            "leaking": Fault(
                lambda setting: Analytic("told the pull", leaks=True),
                lambda v: (v.figures["first_frame_r2"].value or 0) > 0.5 and "rung 1" in v.sentence,
                "its state knows the pull at the first frame: rung 2 does not count",
            ),
        }


def _film(item: Item) -> Film:
    rng = np.random.default_rng(item.seed)
    return draw_film(item.facts["band"], rng, g=item.facts["g"])


def _slope_of(verdict: Verdict) -> float:
    return verdict.figures["predicts"].value or 0.0


def _features(probe: Probe, state: Any, layer: str | None) -> np.ndarray:
    return probe.features(state, layer).double().cpu().numpy()


def _pushed(
    probe: Probe, state: Any, some: Sequence[Film], last: np.ndarray, prepared: Prepared
) -> dict[str, list[float | None]]:
    """How much the fall changes for each unit of pull by which features are pushed.

    A push is of one unit as the probe reads it, or of as much as its readings of films differ by:
    where little can be read, one unit is further than any film lies, and nothing of the picture
    is left. Other directions are pushed as far.
    """
    assert prepared.now is not None and prepared.across is not None
    way = prepared.now.weight / max(float(np.square(prepared.now.weight).sum()), 1e-12)
    units = min(1.0, max(prepared.spread, 1e-6))
    anywhere = np.random.default_rng(0).normal(size=len(way))
    ways = {
        "pushed": way,
        "pushed_across": _beside(way, prepared.across.weight),
        "pushed_anywhere": _beside(way, anywhere),
    }
    slopes = {}
    for name, vector in ways.items():
        ends = []
        for sign in (units, -units):
            push = Edit(prepared.layer or "", torch.from_numpy(sign * vector).float())
            ends.append(falls(probe, state, some, last, push)[0])
        pairs = zip(*ends, strict=True)
        slopes[name] = [None if a is None or b is None else (a - b) / (2 * units) for a, b in pairs]
    return slopes


def _beside(way: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What of another direction the pull's has no part in, as long as that."""
    rest = other - way * (other @ way) / max(float(way @ way), 1e-12)
    return rest * float(np.linalg.norm(way)) / max(float(np.linalg.norm(rest)), 1e-12)
