"""Outcomes: does it know what can happen, and how likely that is?

From one moment under the same keys a world draws many futures. They are held against the
simulator's own distribution, in Hop by chance and in Craft: are they possible, are they as
frequent as they should be, do the rare ones occur at all?
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Clip
from worldloom.evaluate.report import Figure
from worldloom.trust import beaten, pooling
from worldloom.trust.clips import Showing
from worldloom.trust.paper import Malformed
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.trust.task import (
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
from worldloom.trust.tasks.outcomes import paper
from worldloom.trust.tasks.outcomes.chances import (
    FPS,
    GAMES,
    SIZE,
    SPECS,
    Game,
    NearestClips,
    Question,
    Thrower,
    ask,
    lesson,
)
from worldloom.trust.tasks.outcomes.drawn import compare

COUNT: Mapping[Budget, int] = {"smoke": 10, "quick": 30, "full": 150}
"""Questions of each game."""
SAMPLES: Mapping[Budget, int] = {"smoke": 16, "quick": 32, "full": 64}
"""Futures drawn for each."""
LESSONS: Mapping[Budget, int] = {"smoke": 8, "quick": 300, "full": 1500}
"""Recordings of each game."""
LIBRARY = 200
"""Of these, those in which the nearest clip is looked for."""
LENGTH = 48  # frames of a recording
NEAR = 0.75
"""Of the way from the likeliest outcome alone to fair dice, which the whole interval must pass."""
ENOUGH = 0.5
"""Of the rare outcomes that fair dice show, which it must pass too."""
ONE = "likeliest"
"""The null by which the energy score is measured."""


@dataclass(frozen=True)
class Outcomes:
    """The task.

    Args:
      count: questions of each game; the budget's own number by default.
      samples: futures for each; the budget's own number by default.
      name: of the task.
      version: of the task.
      claim: what passing it says.
      requires: what a probe must be able to do.
      own_data: the family is trained on recordings of games by chance.
      chunk: questions that are answered together.
      how: what is asked on paper.
    """

    count: int | None = None
    samples: int | None = None
    name: str = "outcomes"
    version: int = 1
    claim: str = "it knows what can happen next, and how likely that is"
    requires: frozenset[str] = frozenset({"rollout", "render"})
    own_data: bool = True
    chunk: int = 10
    how: str = paper.HOW

    def items(self, setting: Setting) -> Sequence[Item]:
        """The questions of both games; each is a moment of a game of its own."""
        samples = self.samples or SAMPLES[setting.budget]
        return [
            Item(
                key=f"{game} {i}",
                cluster=f"{game} {i}",
                split=game,
                seed=item_seed(self.name, f"test {game}", i, setting),
                facts={"samples": samples},
            )
            for game in GAMES
            for i in range(self.count or COUNT[setting.budget])
        ]

    def _lesson(self, game: Game, number: int, setting: Setting) -> Any:
        return lesson(game, train_seed(self.name, f"train {game}", number, setting), LENGTH)

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """Games by chance, one store each."""
        stores = {}
        for game in GAMES:
            info = StoreInfo(SPECS[game], {"main": (SIZE, SIZE)}, FPS[game], heldout=0.0)
            store = Store.open_or_create(path / game, info)
            for number in range(len(store), LESSONS[setting.budget]):
                store.append(self._lesson(game, number, setting), split="train", number=number)
            stores[game] = store
        return stores

    def fingerprint(self, setting: Setting) -> str:
        """Of the first question of both games, and of what can follow."""
        digest = hashlib.blake2b(digest_size=6)
        for game in GAMES:
            question = ask(game, item_seed(self.name, f"test {game}", 0, setting))
            for part in (question.frames, question.futures.films, question.futures.chance):
                digest.update(part.tobytes())
        return digest.hexdigest()

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """A copy of the simulator without chance, and the nearest recordings."""
        numbers = range(min(LESSONS[setting.budget], LIBRARY))
        near = {
            game: NearestClips([self._lesson(game, n, setting) for n in numbers], game)
            for game in GAMES
        }
        return {
            ONE: Thrower("always the likeliest", "likeliest"),
            "nearest": Variants(near),  # type: ignore[dict-item]
        }

    def ceiling(self, setting: Setting) -> Probe:
        """The simulator with other dice."""
        return Thrower()

    def prepare(self, probe: Probe, setting: Setting) -> None:
        """Nothing is learned about a probe."""

    def answer(self, probe: Probe, items: Sequence[Item], prepared: None) -> Sequence[Answer]:
        """The energy score of the futures of each question, and which outcomes they are."""
        answers: dict[str, Answer] = {}
        for game in GAMES:
            some = [item for item in items if item.split == game]
            if some:
                found = _answers(variant(probe, game), some, game)
                answers |= zip((item.key for item in some), found, strict=True)
        return [answers[item.key] for item in items]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing:
        """Its first future, beside the likeliest of those that can happen."""
        question = _question(item)
        game: Game = "hop" if item.split == "hop" else "craft"
        world = variant(probe, game)
        state = world.observe(clip_of([question], game))
        drawn = world.rollout(state, action_of([question], game)).frames
        assert drawn is not None
        likeliest = question.futures.films[int(np.argmax(question.futures.chance))]
        truth = np.concatenate([question.frames, likeliest])
        seen = np.concatenate([question.frames, drawn[0, 0].cpu().numpy()])
        return Showing(truth, seen, f"the likeliest future, {game}")

    def on_paper(self) -> "Outcomes":
        """As it is."""
        return self

    def ask(self, item: Item, folder: Path) -> Mapping[str, Any]:
        """Writes what was seen, and what may follow."""
        return paper.ask(_question(item), item.seed, folder)

    def blank(self, item: Item) -> Any:
        """All that may follow is equally likely."""
        return paper.blank(_question(item), item.seed)

    def mark(self, items: Sequence[Item], answers: Sequence[Any]) -> Sequence[Answer]:
        """As `answer`, of weights that were written down."""
        found = []
        for item, answer in zip(items, answers, strict=True):
            try:
                samples = item.facts["samples"]
                found.append(paper.mark(_question(item), item.seed, answer, samples))
            except Malformed as error:
                raise Malformed(f"`{item.key}`: {error}") from error
        return found

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """Near to fair dice, nearer than every null, and most of the rare outcomes."""
        by = {game: [row for row in rows if row.split == game] for game in GAMES}
        figures = {"energy": _energy(rows, seed)}
        figures |= {name: _counted(rows, name, seed) for name in SHARES}
        figures |= {f"energy_{game}": _energy(some, seed) for game, some in by.items()}
        return _verdict(figures, beaten.stands(rows, beaten.every(rows), seed=seed, less=True))

    def faults(self) -> Mapping[str, Fault]:
        """Samplers that collapse, leave out what is rare, or spread over what cannot be."""
        return {
            "collapsed": Fault(
                lambda setting: Thrower("collapsed", "stuck"),
                lambda v: (
                    not v.passed
                    and _high(v, "modes") < ENOUGH
                    and _high(v, "energy") < ENOUGH
                    and _low(v, "possible") > ENOUGH
                ),
                "every seed shows the same future: few modes, all of them possible",
            ),
            "nothing_rare": Fault(
                lambda setting: Thrower("never the rare", "common"),
                lambda v: not v.passed and _high(v, "rare") < ENOUGH < _low(v, "possible"),
                "what is rare never happens: only that must be missed",
            ),
            "overdispersed": Fault(
                lambda setting: Thrower("too much chance", "wild"),
                lambda v: not v.passed and _high(v, "possible") < 0.9 and _low(v, "modes") > ENOUGH,
                "more happens than can: futures that are none of the possible ones",
            ),
        }


def _question(item: Item) -> Question:
    return ask("hop" if item.split == "hop" else "craft", item.seed)


def clip_of(questions: Sequence[Question], game: Game) -> Clip:
    """What a probe is shown of questions of one game."""
    return Clip(
        frames={"main": torch.from_numpy(np.stack([q.frames for q in questions]))},
        actions=_action(np.stack([q.past for q in questions]), game),
        snapshots=tuple(q.told for q in questions),
    )


def action_of(questions: Sequence[Question], game: Game) -> Action:
    """What is done at questions of one game."""
    return _action(np.stack([q.ahead for q in questions]), game)


def _action(values: np.ndarray, game: Game) -> Action:
    (part,) = SPECS[game].components
    known = torch.ones(values.shape[:2], dtype=torch.bool)
    return Action({part.name: torch.from_numpy(values)}, known)


def _answers(probe: Probe, items: Sequence[Item], game: Game) -> list[Answer]:
    """What a probe makes of questions of one game."""
    questions = [_question(item) for item in items]
    seeds = tuple(range(items[0].facts["samples"]))
    state = probe.observe(clip_of(questions, game))
    drawn = probe.rollout(state, action_of(questions, game), seeds=seeds).frames
    assert drawn is not None
    ends = drawn[:, :, -1].numpy()
    return [compare(question.futures, ends[:, row]) for row, question in enumerate(questions)]


SHARES: Mapping[str, tuple[str, str, str]] = {
    "possible": ("possible", "samples", "share of drawn futures that are possible outcomes"),
    "rare": ("rare_hit", "likely_rare_hits", "rare outcomes that occur, against fair dice"),
    "modes": ("hit", "likely_hits", "different outcomes that occur, against fair dice"),
}
"""Figures that are one count over another, and what to know about them."""


def _of(name: str, who: str = "") -> pooling.Column:
    """A number that was kept of the world's own answer, or of that of a null or the ceiling."""

    def column(row: Row) -> float | None:
        facts = row.extra.get("beside", {}).get(who, {}) if who else row.extra
        return facts.get(name)

    return column


def _counted(rows: Sequence[Row], name: str, seed: int) -> Figure:
    top, bottom, why = SHARES[name]

    def whole(who: str) -> float:
        sums = pooling.table(rows, [_of(top, who), _of(bottom, who)])
        return float(pooling.ratio(1, 2)(sums.sum(0))) if len(sums) else np.nan

    flat = whole(ONE)
    return pooling.figure(
        pooling.table(rows, [_of(top), _of(bottom)]),
        pooling.ratio(1, 2),
        seed=seed,
        null=flat if np.isfinite(flat) else 0.0,
        ceiling=whole("ceiling"),
        why=why,
    )


def _energy(rows: Sequence[Row], seed: int) -> Figure:
    """How far the energy score is on its way from one future's to that of fair dice."""
    sums = pooling.table(rows, [pooling.value, pooling.null(ONE), pooling.ceiling])

    def skill(sums: np.ndarray) -> np.ndarray:
        _, own, null, best = np.moveaxis(sums, -1, 0)
        return (null - own) / np.where(null > best, null - best, np.nan)

    why = "energy score: 0 is the likeliest outcome alone, 1 fair dice"
    return pooling.figure(sums, skill, seed=seed, null=0.0, ceiling=1.0, why=why)


def _low(verdict: Verdict, name: str) -> float:
    low = verdict.figures[name].low
    return -np.inf if low is None else low


def _high(verdict: Verdict, name: str) -> float:
    high = verdict.figures[name].high
    return np.inf if high is None else high


def _verdict(figures: Mapping[str, Figure], left: Sequence[str]) -> Verdict:
    lows = [(figures["energy"].low, NEAR), (figures["rare"].low, ENOUGH)]
    passed = not left and all(low is not None and low > least for low, least in lows)
    told = {n: f"{f.value:.0%}" if f.value is not None else "?" for n, f in figures.items()}
    sentence = (
        f"{told['possible']} of its futures can happen; against fair dice it shows "
        f"{told['modes']} of the outcomes and {told['rare']} of the rare ones"
    )
    words = {ONE: "always the likeliest", "nearest": "the nearest clips"}
    than = f"; its futures are no nearer to them than {beaten.told(left, words)}" if left else ""
    return Verdict(figures, passed, sentence + than)
