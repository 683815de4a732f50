"""Blind (experimental): do its concepts lie to each other as words do, with no pair ever given?

Sixteen kinds of events (`events`), each the mean of its features over many films; each also
the mean of twelve sentences. Which belongs to which is found by distances alone (`matching`).
First it must find itself: where two halves of its own films are not matched, nothing is asked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from worldloom import seeding
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Clip, Episode
from worldloom.evaluate.report import Figure
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
from worldloom.trust.tasks.blind import events, matching
from worldloom.trust.tasks.blind.events import EVENTS, FRAMES
from worldloom.trust.tasks.blind.sentences import embed
from worldloom.trust.tasks.scenes import films
from worldloom.trust.tasks.scenes.physics import FRAME
from worldloom.trust.tasks.transfer.cloning import Lens, fit_lens
from worldloom.trust.tasks.transfer.encoders import Encoder

NAMES = tuple(EVENTS)
CLIPS: Mapping[Budget, int] = {"smoke": 3, "quick": 12, "full": 60}
"""Films of each concept."""
LIBRARY: Mapping[Budget, int] = {"smoke": 32, "quick": 640, "full": 3200}
"""Training films, concepts taking turns; nobody says which is which."""
MOMENTS = (3, 7, 11, 15)
"""Frames after which features are taken; their mean is that of the film."""
KEPT = 32
"""Main directions of features that are kept."""
RESAMPLES, MANY = (20, 200), 10
"""Draws of films: the first number where a concept has fewer than so many."""
ITSELF = 0.5
"""Share of its own concepts that it must find again before it is asked about words."""
SURE = 0.01


def words() -> np.ndarray:
    """`[N, 384]` the mean of the sentences of each concept."""
    return np.array(_words())


@lru_cache(maxsize=1)
def _words() -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(embed(events.sentences(name)).mean(0).tolist()) for name in NAMES)


@dataclass(frozen=True)
class Blind:
    """The task.

    Args:
      clips: of each concept; the budget's own number by default.
      words: a vector of each concept `[N, D]`.
    """

    clips: int | None = None
    words: Callable[[], np.ndarray] = words
    name: str = "blind"
    version: int = 1
    claim: str = "what happens lies in it as it lies in language (experimental)"
    requires: frozenset[str] = frozenset({"features", "continue"})
    own_data: bool = True
    chunk: int = 32

    def items(self, setting: Setting) -> Sequence[Item]:
        """Films, the concepts taking turns."""
        return [
            Item(f"{name}-{i}", name, name, item_seed(self.name, name, i, setting))
            for i in range(self.clips or CLIPS[setting.budget])
            for name in NAMES
        ]

    def fingerprint(self, setting: Setting) -> str:
        """Of the first film of each concept, and of the words."""
        first = [_film(item) for item in self.items(setting)[: len(NAMES)]]
        told = np.round(self.words(), 3)
        return films.fingerprint(np.stack(first)) + films.fingerprint(told)[:4]

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """Other films of the same concepts, without a word."""
        info = StoreInfo(
            films.NO_ACTIONS, {"main": (events.SIZE, events.SIZE)}, 1 / FRAME, heldout=0.0
        )
        store = Store.open_or_create(path, info)
        for number in range(len(store), LIBRARY[setting.budget]):
            seed = train_seed(self.name, "train", number, setting)
            shown = events.film(NAMES[number % len(NAMES)], np.random.default_rng(seed))
            store.append(Episode({"main": shown}, {}, seed=number), split="train", number=number)
        return {"": store}

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """Untrained networks come with the family; exchanged clips are in the figures."""
        return {}

    def ceiling(self, setting: Setting) -> Probe:
        """One whose concepts lie exactly as the words do."""
        return Speaker("speaks", self.words())

    def prepare(self, probe: Probe, setting: Setting) -> Lens:
        """The main directions of features, of films of its own."""
        count = {"smoke": 1, "quick": 2, "full": 6}[setting.budget]
        seeds = [train_seed(self.name, "lens", i, setting) for i in range(count * len(NAMES))]
        some = [Item(str(i), "lens", NAMES[i % len(NAMES)], s) for i, s in enumerate(seeds)]
        parts = [some[i : i + self.chunk] for i in range(0, len(some), self.chunk)]
        return fit_lens(torch.cat([_features(probe, part) for part in parts]))

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Lens) -> Sequence[Answer]:
        """Where each film lies among the main directions, which keep their lengths."""
        seen = _features(probe, items)
        spread = 1 / prepared.ways.norm(dim=0)
        places = (prepared(seen)[:, : len(spread)] * spread).flip(1)[:, :KEPT]
        return [Answer(None, {"place": np.round(row, 6).tolist()}) for row in places.tolist()]

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """More concepts than chance find their words, and more than of an untrained network."""
        told, own = self.words(), _places(rows)
        raw = [name for name in _beside(rows) if name.startswith("untrained")]
        others = [_places(rows, name) for name in raw]
        one = 1 / len(NAMES)
        itself = _spread_of(own, None, seed=seed)
        figures = {"accuracy": Figure.absent("1", "its halves are not matched with each other")}
        hits = matching.accuracy(own.mean(1), told, seeding.rng(seed, "all"))
        p = matching.chance_of(round(hits * len(NAMES)), len(NAMES))
        draws = _spread_of(own, told, seed=seed)
        sane = float(itself.mean()) >= ITSELF
        if sane:
            figures["accuracy"] = _figure(hits, draws, null=one)
            figures |= _above(draws, others, told, seed=seed)
        figures["self_alignment"] = _figure(float(itself.mean()), itself, null=one)
        figures["correlation"] = _correlation(own, told, seed=seed)
        mixed = _spread_of(_exchanged(own, seed), told, seed=seed)
        figures["exchanged"] = _figure(float(mixed.mean()), mixed, null=one)
        if not sane:
            return Verdict(figures, None, "not measurable: it does not find its own concepts again")
        above = figures.get("over_untrained")
        passed = p < SURE and (above is None or (above.low is not None and above.low > 0))
        count = f"{round(hits * len(NAMES))} of {len(NAMES)} concepts find their words, p {p:.2g}"
        return Verdict(figures, passed, count)

    def plain(self, rows: Sequence[Row], *, seed: int) -> Mapping[str, float | None]:
        """Figures without intervals, for nulls: over fewer draws, a second in place of ten."""
        told, own = self.words(), _places(rows)
        itself = float(_spread_of(own, None, seed=seed, times=RESAMPLES[0]).mean())
        hits = matching.accuracy(own.mean(1), told, seeding.rng(seed, "all"))
        mixed = _spread_of(_exchanged(own, seed), told, seed=seed, times=RESAMPLES[0])
        return {
            "accuracy": hits if itself >= ITSELF else None,
            "self_alignment": itself,
            "correlation": matching.correlation(own.mean(1), told),
            "exchanged": float(mixed.mean()),
        }

    def faults(self) -> Mapping[str, Fault]:
        """One whose films are exchanged, and one who speaks another language."""
        return {
            "exchanged": Fault(
                lambda setting: Speaker("exchanged films", self.words(), exchanged=True),
                lambda v: v.passed is None and v.figures["accuracy"].value is None,
                "films are exchanged between concepts: it must not get past its own halves",
            ),
            "renamed": Fault(
                lambda setting: Speaker("another tongue", np.roll(self.words(), 3, 0)),
                lambda v: v.passed is False and (v.figures["self_alignment"].value or 0) > 0.9,
                "concepts have each other's names: it agrees with itself and with no word",
            ),
        }


class Speaker(Encoder):
    """Knows which concept a film is of, and makes features of words.

    Args:
      name: for people.
      words: `[N, D]`.
      exchanged: takes any concept for any other.
    """

    def __init__(self, name: str, words: np.ndarray, *, exchanged: bool = False) -> None:
        super().__init__(name)
        self.words, self.exchanged = words, exchanged

    def observe(self, clip: Clip, state: Tensor | None = None) -> Tensor:
        """`[B]` numbers of concepts."""
        del state
        assert clip.snapshots is not None, "whoever speaks is told"
        rows = []
        for told in clip.snapshots:
            name, seed = told.decode().split(":")
            drawn = int(seeding.rng(int(seed), "exchanged").integers(len(NAMES)))
            rows.append(drawn if self.exchanged else NAMES.index(name))
        return torch.tensor(rows)

    def features(self, state: Tensor, layer: str | None = None) -> Tensor:
        """`[B, D]` words, turned about: only distances are left."""
        dice = np.random.default_rng(0)
        turn = np.linalg.qr(dice.normal(size=(self.words.shape[1],) * 2))[0]
        return torch.from_numpy(self.words @ turn)[state].float()


def _film(item: Item) -> np.ndarray:
    return events.film(item.split, np.random.default_rng(item.seed))


def _features(probe: Probe, items: Sequence[Item]) -> Tensor:
    """`[B, D]` the mean over a film's moments."""
    frames = torch.from_numpy(np.stack([_film(item) for item in items]))
    told = tuple(f"{item.split}:{item.seed}".encode() for item in items)
    state, found, begin = None, [], 0
    for moment in MOMENTS:
        part = frames[:, begin : moment + 1]
        action = films.no_actions(len(items), part.shape[1])
        state = probe.observe(Clip(frames={"main": part}, actions=action, snapshots=told), state)
        found.append(probe.features(state).float().cpu())
        begin = moment + 1
    assert begin == FRAMES, "a film is seen to its end"
    return torch.stack(found).mean(0)


def _beside(rows: Sequence[Row]) -> Mapping[str, object]:
    return rows[0].extra.get("beside", {})


def _places(rows: Sequence[Row], beside: str = "") -> np.ndarray:
    """`[N, C, K]` where the films of every concept lie, centred."""
    kept = lambda row: row.extra["beside"][beside] if beside else row.extra  # noqa: E731
    found = np.array(
        [[kept(row)["place"] for row in rows if row.cluster == name] for name in NAMES]
    )
    return found - found.mean((0, 1))


def _spread_of(
    places: np.ndarray, told: np.ndarray | None, *, seed: int, times: int | None = None
) -> np.ndarray:
    """`[R]` accuracies on films drawn anew; between halves where no words are given."""
    count, found = places.shape[1], []
    for index in range(times or RESAMPLES[count >= MANY]):
        dice = seeding.rng(seed, "resample", index)
        if told is None:
            order = dice.permutation(count)
            halves = (places[:, order[: count // 2]], places[:, order[count // 2 :]])
            found.append(matching.accuracy(halves[0].mean(1), halves[1].mean(1), dice))
        else:
            drawn = places[:, dice.integers(count, size=count)].mean(1)
            found.append(matching.accuracy(drawn, told, dice))
    return np.array(found)


def _exchanged(places: np.ndarray, seed: int) -> np.ndarray:
    """The same films, dealt out to concepts by chance."""
    flat = places.reshape(-1, places.shape[2])
    return seeding.rng(seed, "exchanged").permutation(flat).reshape(places.shape)


def _figure(value: float, draws: np.ndarray, *, null: float, best: float | None = 1.0) -> Figure:
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    return Figure(value, min(low, value), max(high, value), "1", len(NAMES), null, best)


def _above(
    draws: np.ndarray, others: Sequence[np.ndarray], told: np.ndarray, *, seed: int
) -> dict[str, Figure]:
    """How many more find their words than of untrained networks, on the same resamples."""
    if not others:
        return {}
    raw = np.mean([_spread_of(places, told, seed=seed) for places in others], 0)
    gap = draws - raw
    return {"over_untrained": _figure(float(gap.mean()), gap, null=0.0, best=None)}


def _correlation(places: np.ndarray, told: np.ndarray, *, seed: int) -> Figure:
    """Of distances, under the true pairs."""
    count = places.shape[1]
    draws = [
        matching.correlation(places[:, dice.integers(count, size=count)].mean(1), told)
        for dice in (
            seeding.rng(seed, "resample", index) for index in range(RESAMPLES[count >= MANY])
        )
    ]
    return _figure(matching.correlation(places.mean(1), told), np.array(draws), null=0.0)
