"""Craft: does reality pay what the world promises, and does it know what cannot be done?

Begins at moments of games of `worldloom/Craft-v0` that its own players play. Nine policies
that see pictures alone act in the dream and for real; a planner looks for whatever the world
promises most for; and single deeds are tried, such as the rules allow and such as they do not.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from worldloom.data import folder
from worldloom.data.store import Store
from worldloom.envs.craft_draw import PIXELS
from worldloom.evaluate.forbidden import NOTHING as NO_DEED
from worldloom.evaluate.forbidden import judged, works
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Probe
from worldloom.trust.rows import Row
from worldloom.trust.task import Answer, Budget, Fault, Item, Setting, Verdict, item_seed
from worldloom.trust.tasks.craft import runs
from worldloom.trust.tasks.craft.craftlite import Craftlite
from worldloom.trust.tasks.craft.games import CONTEXT, POLICIES, SKILLS, chosen, deeds_of, play
from worldloom.trust.tasks.craft.learned import LearnedCraft
from worldloom.trust.tasks.craft.runs import ACTION, Moment, Real, Search, action_of, clip_of
from worldloom.trust.tasks.craft.verdict import COIN, NOTHING, judge
from worldloom.world import WorldSpec

GAMES: Mapping[Budget, int] = {"smoke": 5, "quick": 24, "full": 120}
"""Games; each has one moment from which policies begin."""
DEEDS = 4
"""Of a game, deeds that the rules allow, and as many that they do not."""
HORIZON: Mapping[Budget, int] = {"smoke": 12, "quick": 24, "full": 48}
SEARCH: Mapping[Budget, Search] = {
    "smoke": Search(12, 2, 6),
    "quick": Search(24, 2, 10),
    "full": Search(64, 3, 16),
}


@dataclass(frozen=True)
class Craft:
    """The task.

    Args:
      games: the budget's own number by default.
      name: of the task.
      version: of the task.
      claim: what passing it says.
      requires: what a probe must be able to do.
      own_data: it works on the world's data: moments are of the suite's own games.
      chunk: moments and deeds that are answered together.
    """

    games: int | None = None
    name: str = "craft"
    version: int = 1
    claim: str = "reality pays what it promises, and it knows what cannot be done"
    requires: frozenset[str] = frozenset({"rollout", "render", "reward", "continue"})
    own_data: bool = False
    chunk: int = 10

    def fits(self, spec: WorldSpec) -> str:
        """Why this is not for a world of this kind; empty where it is."""
        size = spec.cameras.get("main")
        if spec.action == ACTION and size is not None and tuple(size) == (PIXELS, PIXELS):
            return ""
        shown = "no camera `main`" if size is None else f"frames of {size[1]}x{size[0]}"
        return (
            f"it is about Craft, which has frames of {PIXELS}x{PIXELS} and {ACTION.describe()}; "
            f"`{spec.name}` has {shown} and {spec.action.describe()}"
        )

    def elsewhere(self) -> LearnedCraft:
        """What is asked of worlds of other games, whose family learns Craft first."""
        return LearnedCraft(self)

    def items(self, setting: Setting) -> Sequence[Item]:
        """One moment of every game, then the deeds; what is common is the game."""
        names = [self._game(i, setting) for i in range(self.games or GAMES[setting.budget])]
        horizon, search = HORIZON[setting.budget], SEARCH[setting.budget]
        found = [_start(*name, horizon, search) for name in names]
        seed = item_seed(self.name, "deeds", 0, setting)
        seen = None if setting.store is None else done_in(setting.store)
        picked = chosen([deeds_of(*name) for name in names], DEEDS, seed)
        for (own, skill), deeds in zip(names, picked, strict=True):
            for place, deed in enumerate(deeds):
                split = "F" if not deed.works else "L" if seen is None or deed.kind in seen else "U"
                facts = {"skill": skill, "frame": deed.frame, "action": deed.action}
                facts |= {"works": deed.works, "words": deed.words}
                found.append(Item(f"deed {own} {place}", f"game {own}", split, own, facts))
        return found

    def _game(self, index: int, setting: Setting) -> tuple[int, str]:
        """Seed and skill of a game."""
        return item_seed(self.name, "game", index, setting), SKILLS[index % len(SKILLS)]

    def fingerprint(self, setting: Setting) -> str:
        """Of the first game."""
        game = play(*self._game(0, setting))
        digest = hashlib.blake2b(digest_size=6)
        for part in (game.frames, game.actions, game.records):
            digest.update(part.tobytes())
        return digest.hexdigest()

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """Nothing ever happens; and a game in which every deed works by chance."""
        return {
            NOTHING: Craftlite("nothing ever happens", "frozen"),
            COIN: Craftlite("deeds work by chance", "coin"),
        }

    def ceiling(self, setting: Setting) -> Probe:
        """The simulator."""
        return Craftlite()

    def prepare(self, probe: Probe, setting: Setting) -> None:
        """Nothing is learned about a probe."""

    def answer(self, probe: Probe, items: Sequence[Item], prepared: None) -> Sequence[Answer]:
        """Of a moment the mean of imagined minus real returns; of a deed 1 where it is wrong."""
        answers: dict[str, Answer] = {}
        for act, some in (
            (_tried, [item for item in items if item.split == "start"]),
            (_done, [item for item in items if item.split != "start"]),
        ):
            if some:
                answers |= zip((item.key for item in some), act(probe, some), strict=True)
        return [answers[item.key] for item in items]

    def show(self, probe: Probe, item: Item, setting: Setting) -> Showing:
        """A deed that is judged wrongly, or the policy that the dream deceives most."""
        moment = _moment(item)
        before = moment.game.frames[moment.frame + 1 - CONTEXT : moment.frame + 1]
        if item.split == "start":
            truth, seen, words = _deceived(probe, item)
        else:
            action = item.facts["action"]
            drawn = probe.rollout(probe.observe(clip_of([moment])), action_of(np.array([[action]])))
            assert drawn.frames is not None, "it says that it can draw"
            truth, seen = runs.after(moment, action)[None], drawn.frames[0, 0].numpy()
            can = "can" if item.facts["works"] else "cannot"
            words = f"{item.facts['words']}, which {can} be done here"
        return Showing(np.concatenate([before, truth]), np.concatenate([before, seen]), words)

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """The whole interval of the gap is near 0."""
        return judge(rows, seed=seed)

    def faults(self) -> Mapping[str, Fault]:
        """A table that allows everything, one that allows nothing, an optimist, an even doubter."""
        return {
            "permissive": Fault(
                lambda setting: Craftlite("permissive", "everything"),
                lambda v: (
                    not v.passed
                    and _above(v, "forbidden", 0.5)
                    and all(_is(v, name, 0) for name in ("omission", "reward"))
                ),
                "whatever is asked for is made: the forbidden rate must show it",
            ),
            "timid": Fault(
                lambda setting: Craftlite("timid", "nothing"),
                lambda v: (
                    not v.passed
                    and _above(v, "omission", 0.5)
                    and all(_is(v, name, 0) for name in ("forbidden", "reward"))
                ),
                "nothing is ever gained: the omission rate must show it",
            ),
            "optimistic": Fault(
                lambda setting: Craftlite("optimistic", bonus=0.05),
                lambda v: (
                    not v.passed
                    and _above(v, "reward", 0)
                    and all(_is(v, name, 0) for name in ("dynamics", "forbidden", "omission"))
                ),
                "it pays a little for every step: the gap must be of reward, not of dynamics",
            ),
            "even_doubt": Fault(
                lambda setting: Craftlite("permissive", "everything", doubt="constant"),
                lambda v: _is(v, "doubt", 0.5),
                "wrong about deeds, it doubts all of them alike",
            ),
        }


def done_in(store: Store) -> frozenset[int]:
    """Deeds that recordings show to work, of `craft_rules.deeds`; from their ground truth.

    Recordings without ground truth show none, which leaves every deed unseen.
    """
    found: set[int] = set()
    for name in store.split("train"):
        steps = folder.read_steps(store.folder(name), store.row(name))
        facts = {key: steps.get(f"info/{key}") for key in ("counts", "view", "facing")}
        if any(value is None for value in facts.values()):
            continue
        before = {key: np.asarray(value)[:-1] for key, value in facts.items()}
        kinds, able, _ = judged(before, steps["action/action"][1:])
        found |= set(kinds[able & (kinds != NO_DEED)].tolist())
    return frozenset(found)


def _start(own: int, skill: str, horizon: int, search: Search) -> Item:
    """The moment of a game from which policies begin."""
    last = len(play(own, skill).frames) - horizon - 1
    frame = int(np.random.default_rng(own).integers(CONTEXT - 1, max(CONTEXT, last)))
    facts = {"skill": skill, "frame": frame, "horizon": horizon, "search": search}
    return Item(f"start {own}", f"game {own}", "start", own, facts)


def _moment(item: Item) -> Moment:
    return Moment(play(item.seed, item.facts["skill"]), item.facts["frame"], item.seed)


@lru_cache(maxsize=16)
def _real(own: int, skill: str, frame: int, horizon: int) -> Real:
    """What policies do for real, the same whatever world is asked."""
    return runs.for_real(Moment(play(own, skill), frame, own), horizon)


def _tried(probe: Probe, items: Sequence[Item]) -> list[Answer]:
    """Policies and planner, from moments."""
    moments, facts = [_moment(item) for item in items], [item.facts for item in items]
    horizon = facts[0]["horizon"]
    reals = [
        _real(i.seed, f["skill"], f["frame"], horizon) for i, f in zip(items, facts, strict=True)
    ]
    real = np.stack([one.rewards.sum(1) for one in reals])
    dreamt = runs.imagined(probe, moments, horizon)
    thought = runs.judged(probe, moments, reals)
    promises, paid = runs.promised(probe, moments, facts[0]["search"])
    paths = np.stack([dreamt, thought, real], -1)
    answers = []
    for row in range(len(items)):
        extra: dict[str, Any] = {
            "returns": {name: paths[row, k].tolist() for k, name in enumerate(POLICIES)},
            "planner": [float(promises[row]), float(paid[row])],
        }
        answers.append(Answer(float((dreamt[row] - real[row]).mean()), extra))
    return answers


def _deceived(probe: Probe, item: Item) -> tuple[np.ndarray, np.ndarray, str]:
    """Of a moment real and dreamt frames `[H, 32, 32, 3]` of the policy that they differ most for.

    Both act by what they see, with the same dice.
    """
    horizon = item.facts["horizon"]
    real = _real(item.seed, item.facts["skill"], item.facts["frame"], horizon)
    frames, promised = runs.filmed(probe, _moment(item), horizon)
    paid = real.rewards.sum(1)
    worst = int(np.abs(promised - paid).argmax())
    words = f"{list(POLICIES)[worst]}: paid {paid[worst]:.1f}, promised {promised[worst]:.1f}"
    return real.frames[worst, 1:], frames[worst, 1:], words


def _done(probe: Probe, items: Sequence[Item]) -> list[Answer]:
    """Deeds, each tried for one step."""
    moments = [_moment(item) for item in items]
    state = probe.observe(clip_of(moments))
    actions = np.array([item.facts["action"] for item in items])
    action = action_of(actions[:, None])
    drawn = probe.rollout(state, action).frames
    assert drawn is not None
    before = np.stack([m.game.frames[m.frame] for m in moments])
    said = works(before, drawn[0, :, 0].numpy(), actions)
    doubts = probe.doubt(state, action)[:, 0].tolist() if "doubt" in probe.capabilities else None
    answers = []
    for row, item in enumerate(items):
        doubt = None if doubts is None else doubts[row]
        extra = {"deed": item.facts["words"], "doubt": doubt}
        answers.append(Answer(float(said[row] != item.facts["works"]), extra))
    return answers


def _above(verdict: Verdict, name: str, least: float) -> bool:
    low = verdict.figures[name].low
    return low is not None and low > least


def _is(verdict: Verdict, name: str, value: float) -> bool:
    """Whether a figure is a value, with an interval that has no width."""
    found = verdict.figures[name]
    ends = (found.value, found.low, found.high)
    return all(end is not None and abs(end - value) < 1e-6 for end in ends)
