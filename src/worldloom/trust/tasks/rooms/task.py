"""Rooms: after N views of an apartment, does its state hold which room lies behind which door?

The floor-plan test. Colours name rooms, so that nothing has to be matched; half of the
doors are closed by a panel, so that views which show both rooms say nothing about them:
asked first are the pairs that no view shows together. Apartments are `apartments`, who
answers by a rule `mappers`, the heads `planreader`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action, ActionSpec, Continuous
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Clip, Episode
from worldloom.envs.rooms_cast import COLUMNS, ROWS
from worldloom.envs.rooms_plan import PALETTE
from worldloom.evaluate.report import Figure
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
from worldloom.trust.tasks.rooms import apartments, mappers, paper, planreader, sketch
from worldloom.trust.tasks.rooms.apartments import Views
from worldloom.trust.tasks.rooms.mappers import Guess, Mapper
from worldloom.trust.tasks.rooms.planreader import PAIRS, Lesson, Reader, confusion
from worldloom.trust.tasks.rooms.verdict import VIEWS, judge

ACTIONS = ActionSpec((Continuous("pose", (-1.0,) * 4, (1.0,) * 4),))
"""How a view is reached, see `apartments.odometry`."""
WORLDS: Mapping[Budget, tuple[int, int, int]] = {
    "smoke": (20, 4, 4),
    "quick": (60, 20, 20),
    "full": (300, 100, 100),
}
"""Test worlds of each number of views."""
LESSONS: Mapping[Budget, tuple[int, int]] = {
    "smoke": (45, 15),
    "quick": (400, 100),
    "full": (2000, 300),
}
"""Worlds from which the heads learn, and those on which they are chosen."""
NULLS = {
    "no views": mappers.nothing_seen,
    "touching": mappers.touching,
    "covisible": mappers.covisible,
}
Known = Reader | None
PLACE = np.zeros((PALETTE, PALETTE), np.int64)
PLACE[PAIRS] = PLACE.T[PAIRS] = np.arange(len(PAIRS[0]))


@dataclass(frozen=True)
class RoomsTask:
    """The task.

    Args:
      track: "poses": each view says where it is, seen from the first; "actions": from the one
        before, and moves have to be added up.
      views: how many views there are of an apartment; the verdict is about the first number.
      name: of the task.
      version: of the task.
      claim: what passing it says.
      requires: what a probe must be able to do.
      own_data: the family is trained on the task's own recordings.
      chunk: worlds that are shown together.
      how: what is asked on paper.
    """

    track: Literal["poses", "actions"] = "poses"
    views: tuple[int, ...] = VIEWS
    name: str = "rooms"
    version: int = 1
    claim: str = "it knows which room lies behind which door, also of rooms never seen together"
    requires: frozenset[str] = frozenset({"features"})
    own_data: bool = True
    chunk: int = 20
    how: str = paper.HOW

    def items(self, setting: Setting) -> Sequence[Item]:
        """One apartment each; the most views first."""
        found = []
        for views, count in zip(self.views, WORLDS[setting.budget], strict=False):
            for index in range(count):
                key = f"{views} views, {index}"
                seed = item_seed(self.name, f"test {views}", index, setting)
                found.append(Item(key, key, f"{views} views", seed, {"views": views}))
        return found

    def fingerprint(self, setting: Setting) -> str:
        """A hash of pictures and poses of the first apartments."""
        digest = hashlib.blake2b(self.track.encode(), digest_size=8)
        for item in self.items(setting)[:2]:
            world = _world(item)
            digest.update(world.pack() + world.frames().tobytes())
        return digest.hexdigest()

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """Rules that have learned nothing; "shuffled", views of another world, is in the rows."""
        return {name: Mapper(name, rule) for name, rule in NULLS.items()}

    def ceiling(self, setting: Setting) -> Probe:
        """A stitcher that is given the depth of the same views; some doors it never sees."""
        return Mapper("stitcher", mappers.stitched)

    def prepare(self, probe: Probe, setting: Setting) -> Known:
        """Heads for an encoder; a mapper needs none."""
        if isinstance(probe, Mapper):
            return None
        train, dev = LESSONS[setting.budget]
        parts = [
            self._lesson(probe, "train", train, setting),
            self._lesson(probe, "dev", dev, setting),
        ]
        return planreader.learn(parts[0], parts[1])

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Known) -> Sequence[Answer]:
        """Right and wrong doors of each apartment, as the world's own views and another's tell."""
        worlds = [_world(item) for item in items]
        if isinstance(probe, Mapper):
            return _answers(worlds, [probe.rule(world) for world in worlds])
        assert prepared is not None, "an encoder is read with heads"
        return _answers(worlds, _read(prepared, self._features(probe, worlds)))

    def draw(self, item: Item, row: Row) -> Showing | None:
        """The views, and below them which rooms have a door between them: so it is, so it reads."""
        doors = row.extra.get("doors")
        if not doors:
            return None
        world = _world(item)
        plans = sketch.beside(world, np.array([door == "1" for door in doors]))
        truth, seen = (sketch.below(world.frames(), plan) for plan in plans)
        return Showing(truth, seen, f"an apartment of {item.split}: doors, red where there is none")

    def on_paper(self) -> "RoomsTask":
        """Twenty views, as of a flat that is to let."""
        return replace(self, views=(20,))

    def ask(self, item: Item, folder: Path) -> Mapping[str, Any]:
        """Writes the views; asks for the plan."""
        return paper.ask(_world(item), folder, steps=self.track == "actions")

    def blank(self, item: Item) -> Any:
        """No doors."""
        return paper.blank()

    def mark(self, items: Sequence[Item], answers: Sequence[Any]) -> Sequence[Answer]:
        """As `answer`, of plans that were written down."""
        guesses = [paper.guess(i.key, a) for i, a in zip(items, answers, strict=True)]
        return _answers([_world(item) for item in items], guesses)

    def clip(self, worlds: Sequence[Views]) -> Clip:
        """Worlds with equally many views as what a probe observes."""
        moves = [apartments.odometry(w.pose, steps=self.track == "actions") for w in worlds]
        known = torch.ones(len(worlds), len(worlds[0].pose), dtype=torch.bool)
        known[:, 0] = False
        return Clip(
            frames={"main": torch.from_numpy(apartments.stacked(worlds))},
            actions=Action({"pose": torch.from_numpy(np.stack(moves))}, known),
            snapshots=tuple(world.pack() for world in worlds),
        )

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """Above the co-visibility rule on all pairs, above all other nulls on hidden ones."""
        return judge(rows, seed=seed)

    def faults(self) -> Mapping[str, Fault]:
        """Stitchers that forget, and that take one room for another."""
        below: Any = lambda verdict: (  # noqa: E731
            verdict.passed is False and _is_below(verdict.figures["to the ceiling"])
        )
        return {
            "forgetful": Fault(
                lambda setting: Mapper("forgetful", mappers.forgetful),
                below,
                "keeps the last two views only: it must stay below nulls and ceiling",
            ),
            "colour-blind": Fault(
                lambda setting: Mapper("colour-blind", mappers.colour_blind),
                below,
                "exchanges two rooms: doors are found, and hung between the wrong rooms",
            ),
        }

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """The train split as a store: an episode is one apartment, a step is one view."""
        info = StoreInfo(ACTIONS, {"main": (ROWS, COLUMNS)}, 10.0, heldout=0.0)
        store = Store.open_or_create(path, info)
        for index in range(len(store), LESSONS[setting.budget][0]):
            world = _lesson_world(self.name, "train", index, setting)
            clip = self.clip([world])
            assert clip.actions is not None
            poses = {"pose": clip.actions.values["pose"][0].numpy()}
            poses["pose"][0] = 0.0
            store.append(
                Episode({"main": world.frames()}, poses, seed=index), split="train", number=index
            )
        return {"": store}

    def _lesson(
        self, probe: Probe, split: apartments.Split, count: int, setting: Setting
    ) -> tuple[Tensor, Lesson]:
        """States of a split, and what is known of its worlds."""
        worlds = [_lesson_world(self.name, split, i, setting) for i in range(count)]
        states: list[Tensor | None] = [None] * count
        for views in VIEWS:
            same = [i for i, world in enumerate(worlds) if len(world.pose) == views]
            for at in range(0, len(same), self.chunk):
                rows = same[at : at + self.chunk]
                for i, state in zip(
                    rows, self._features(probe, [worlds[i] for i in rows]), strict=True
                ):
                    states[i] = state
        return torch.stack([s for s in states if s is not None]), _lessons(worlds)

    def _features(self, probe: Probe, worlds: Sequence[Views]) -> Tensor:
        """`[B, D]` of worlds that may have different numbers of views."""
        found: dict[int, Tensor] = {}
        for views in sorted({len(world.pose) for world in worlds}):
            rows = [i for i, world in enumerate(worlds) if len(world.pose) == views]
            state = probe.observe(self.clip([worlds[i] for i in rows]))
            found.update(zip(rows, probe.features(state).float().cpu(), strict=True))
        return torch.stack([found[i] for i in range(len(worlds))])


def by_moves() -> RoomsTask:
    """The harder track: nobody says where a view is, only how one went there."""
    return RoomsTask(
        "actions",
        name="rooms_actions",
        claim="it adds up its moves, and knows which room lies behind which door",
        how=paper.HOW_BY_MOVES,
    )


def _world(item: Item) -> Views:
    return apartments.draw_world(item.seed, "test", item.facts["views"])


def _lesson_world(name: str, split: apartments.Split, index: int, setting: Setting) -> Views:
    """World `index` of a split from which heads learn; the numbers of views take turns."""
    views = VIEWS[index % len(VIEWS)]
    return apartments.draw_world(train_seed(name, split, index, setting), split, views)


def _lessons(worlds: Sequence[Views]) -> Lesson:
    """What is known of worlds, by colour."""
    door = torch.full((len(worlds), len(PAIRS[0])), torch.nan)
    area = torch.full((len(worlds), PALETTE), torch.nan)
    for row, world in enumerate(worlds):
        question, plan = apartments.ask(world), world.plan[0]
        pairs = torch.from_numpy(PLACE[tuple(question.colours.T)])
        door[row, pairs] = torch.from_numpy(question.door).float()
        seen = torch.from_numpy(plan["colour"][question.rooms].astype(np.int64))
        area[row, seen] = torch.from_numpy(np.log(plan["area"][question.rooms])).float()
    rooms = torch.tensor([float(world.plan["rooms"][0]) for world in worlds])
    return Lesson(door, area, rooms)


def _read(reader: Reader, features: Tensor) -> list[Guess]:
    return [Guess(*parts) for parts in zip(*reader.read(features), strict=True)]


def _answers(worlds: Sequence[Views], guesses: Sequence[Guess]) -> list[Answer]:
    """How guesses fit their worlds, and how each fits the next one's."""
    others = [*guesses[1:], guesses[0]]
    return [_answer(*facts) for facts in zip(worlds, guesses, others, strict=True)]


def _answer(world: Views, guess: Guess, other: Guess) -> Answer:
    """How a guess fits a world, and how the guess about another world does."""
    question, plan = apartments.ask(world), world.plan[0]
    at, hidden = tuple(question.colours.T), ~question.covisible
    ask: Any = lambda g, keep: confusion(g.door[at][keep], question.door[keep]).tolist()  # noqa: E731
    areas = guess.area[plan["colour"][question.rooms]]
    extra = {
        "hidden": ask(guess, hidden),
        "all": ask(guess, np.ones(len(hidden), bool)),
        "shuffled": ask(other, hidden),
        "doors": "".join("01"[door] for door in guess.door[at].astype(int)),
        "area": _ranks_agree(areas, plan["area"][question.rooms]),
        "rooms": None if np.isnan(guess.rooms) else abs(float(guess.rooms) - int(plan["rooms"])),
    }
    right = extra["hidden"][0] + extra["hidden"][3]
    return Answer(right / int(hidden.sum()), extra)


def _ranks_agree(guess: np.ndarray, truth: np.ndarray) -> float | None:
    """Spearman's rank correlation within one apartment; None where it is undefined."""
    if np.isnan(guess).any() or len(truth) < 3:
        return None
    ranks = [_ranks(values) for values in (guess, truth)]
    spread = [r - r.mean() for r in ranks]
    under = float(np.sqrt((spread[0] ** 2).sum() * (spread[1] ** 2).sum()))
    return float((spread[0] * spread[1]).sum() / under) if under > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equals share theirs."""
    below = (values[None] < values[:, None]).sum(1)
    return below + ((values[None] == values[:, None]).sum(1) - 1) / 2


def _is_below(figure: Figure) -> bool:
    return figure.high is not None and figure.high < 0
