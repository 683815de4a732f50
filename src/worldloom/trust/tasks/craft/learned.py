"""What cannot be done in Craft, asked of worlds of any other game: their family learns Craft first.

The family under test is trained on games of Craft's own players, who never try in vain, and is
asked about single deeds as a world of Craft is. What it would be paid for is left out: a family
learns no rewards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode
from worldloom.envs.craft_draw import PIXELS
from worldloom.trust import pooling
from worldloom.trust.clips import Showing, Visible
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.trust.task import Answer, Budget, Fault, Item, Setting, Task, Verdict, train_seed
from worldloom.trust.tasks.craft.craftlite import Craftlite
from worldloom.trust.tasks.craft.games import SKILLS, play
from worldloom.trust.tasks.craft.runs import ACTION
from worldloom.trust.tasks.craft.verdict import COIN, deed_figures

FPS = 10.0
GAMES: Mapping[Budget, int] = {"smoke": 4, "quick": 100, "full": 400}
"""Games from which the family learns."""
HALF = 0.75
"""Half of the way from a coin to who is always right."""


class Asked(Task, Visible, Protocol):
    """The task as worlds of Craft sit it."""


@dataclass(frozen=True)
class LearnedCraft:
    """The task *craft* with data of its own.

    Args:
      asked: the task as worlds of Craft sit it, whose deeds are asked about.
      name: of the task.
      version: of the task.
      claim: what passing it says.
      requires: what a probe must be able to do.
      own_data: the family is trained on the task's own recordings.
      chunk: deeds that are answered together.
    """

    asked: Asked
    name: str = "craft"
    version: int = 1
    claim: str = "having seen only what was done, it knows what cannot be done"
    requires: frozenset[str] = frozenset({"rollout", "render"})
    own_data: bool = True
    chunk: int = 10

    def items(self, setting: Setting) -> Sequence[Item]:
        """Its deeds; every kind of them counts as seen."""
        bare = replace(setting, store=None)
        return [item for item in self.asked.items(bare) if item.split != "start"]

    def fingerprint(self, setting: Setting) -> str:
        """Of the first game."""
        return self.asked.fingerprint(setting)

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """A game in which every deed works by chance; untrained networks stand beside it."""
        return {COIN: Craftlite("deeds work by chance", "coin")}

    def ceiling(self, setting: Setting) -> Probe:
        """The simulator."""
        return Craftlite()

    def prepare(self, probe: Probe, setting: Setting) -> None:
        """Nothing is learned about a probe."""

    def answer(self, probe: Probe, items: Sequence[Item], prepared: None) -> Sequence[Answer]:
        """1 where the world is wrong about a deed."""
        return self.asked.answer(probe, items, prepared)

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing | None:
        """A deed that is judged wrongly."""
        return self.asked.show(probe, item, setting)

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """Half of the way from who was never trained to who tells all that works from what not."""
        figures = deed_figures(rows, seed)
        found = {name: figures[name] for name in ("balanced", "forbidden", "omission")}
        untrained = [name for name in pooling.nulls(rows) if name.startswith("untrained")]
        raw = [_balanced(rows, name) for name in untrained]
        own = replace(found["balanced"], null=max([0.5, *(r for r in raw if r is not None)]))
        beyond = [_beyond(rows, name, seed=seed) for name in untrained]
        passed = own.low is not None and own.low > HALF and all(beyond)
        told = {n: "unknown" if f.value is None else f"{f.value:.2f}" for n, f in found.items()}
        words = "it knows what cannot be done" if passed else "it does not tell what can be done"
        sentence = (
            f"{words}: of the impossible {told['forbidden']} works, of the possible "
            f"{told['omission']} does not"
        )
        return Verdict({**found, "balanced": own}, passed, sentence)

    def faults(self) -> Mapping[str, Fault]:
        """A table that allows everything, and one that allows nothing."""
        faults = self.asked.faults()
        return {
            name: replace(
                faults[name],
                caught=lambda v, wrong=wrong, right=right: (
                    v.passed is False
                    and (v.figures[wrong].low or 0) > 0.5
                    and v.figures[right].value == 0
                ),
            )
            for name, wrong, right in (
                ("permissive", "forbidden", "omission"),
                ("timid", "omission", "forbidden"),
            )
        }

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """Games of Craft's own players, other ones than are asked about."""
        info = StoreInfo(ACTION, {"main": (PIXELS, PIXELS)}, FPS, heldout=0.0)
        store = Store.open_or_create(path, info)
        for index in range(len(store), GAMES[setting.budget]):
            seed = train_seed(self.name, "train", index, setting)
            game = play(seed, SKILLS[index % len(SKILLS)])
            episode = Episode({"main": game.frames}, {"action": game.actions}, seed=index)
            store.append(episode, split="train", number=index)
        return {"": store}


def _beyond(rows: Sequence[Row], name: str, *, seed: int) -> bool:
    """Whether it is more than half of the way from a null to 1, with the whole interval.

    What the null gets differs from resample to resample as well.
    """
    columns = [_of(who, kind) for who in ("", name) for kind in (True, False)]
    counts = [_of(None, kind) for kind in (True, False)]
    sums = pooling.table(rows, [*columns, *counts])[:, 1:]

    def margin(sums: np.ndarray) -> np.ndarray:
        share = [pooling.ratio(at, 4 + at % 2)(sums) for at in range(4)]
        own, null = (1 - (share[at] + share[at + 1]) / 2 for at in (0, 2))
        return own - (1 + null) / 2

    low = pooling.figure(sums, margin, seed=seed, null=0.0).low
    return low is not None and low > 0


def _of(who: str | None, forbidden: bool) -> pooling.Column:
    """How wrong somebody is about one kind of deed, 0 for the other; of nobody, how many."""

    def column(row: Row) -> float | None:
        wrong = 1.0 if who is None else row.null.get(who) if who else row.value
        return None if wrong is None else wrong * ((row.split == "F") == forbidden)

    return column


def _balanced(rows: Sequence[Row], name: str) -> float | None:
    """Balanced accuracy of a null."""
    wrong = [
        pooling.mean([row for row in rows if (row.split == "F") == forbidden], pooling.null(name))
        for forbidden in (True, False)
    ]
    some = [share for share in wrong if share is not None]
    return 1 - float(np.mean(some)) if len(some) == 2 else None
