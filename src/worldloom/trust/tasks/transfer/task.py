"""Transfer: do features learned by predicting video imitate better than image features?

The family learns from the video of demonstrations, their actions hidden. Then its features are
frozen, and one small head learns to imitate from 1%, 10% and all of the demonstrations. The
same head on other encoders' features is what it is held against; all play the same starts
for real return. The game is `hopping`, the encoders `encoders`, the head `cloning`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from worldloom import seeding
from worldloom.actions import Action, ActionSpec, Binary
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Clip, Episode
from worldloom.envs.hop import FPS, KEYS
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
from worldloom.trust.tasks.scenes import films
from worldloom.trust.tasks.transfer import cloning, hopping
from worldloom.trust.tasks.transfer.cloning import Lens, Policy
from worldloom.trust.tasks.transfer.encoders import (
    WIDTH,
    Blind,
    Comparing,
    EndToEnd,
    Informed,
    Net,
    Stacked,
    autoencoder,
    stacked,
)
from worldloom.trust.tasks.transfer.hopping import CHOICES, SIZE, VIEWS, Demo, View
from worldloom.trust.tasks.transfer.verdict import PROBED, judge

ACTIONS = ActionSpec((Binary("keys", KEYS),))
STACK = 4


@dataclass(frozen=True)
class Extent:
    """How much of everything a budget has.

    Args:
      demos: demonstrations of each view.
      shares: of them, from which is learned.
      length: frames of a demonstration, at most.
      starts: that are played, of each view.
      play: frames of a game.
      probed: held-out demonstrations of each view, from which action and state are read.
      heads: updates of the heads.
      updates: of the autoencoders.
      pixels: updates of who learns from pixels, for each view and share.
    """

    demos: int
    shares: tuple[float, ...]
    length: int
    starts: int
    play: int
    probed: int
    heads: int
    updates: int
    pixels: int


EXTENT: Mapping[Budget, Extent] = {
    "smoke": Extent(4, (0.5, 1.0), 8, 4, 8, 2, 40, 4, 2),
    "quick": Extent(100, (0.01, 0.1, 1.0), 20, 12, 40, 24, 400, 200, 60),
    "full": Extent(300, (0.01, 0.1, 1.0), 64, 200, 96, 30, 1500, 4000, 2000),
}


@dataclass(frozen=True)
class Ready:
    """What was learned about one encoder.

    Args:
      lens: of its features; None where a policy sees them as they are.
      heads: of each view and share.
      pressed: tells which keys led to a frame; None for who learned end to end.
      line: reads the player's place and speed.
      play: frames of a game.
    """

    lens: Lens | None
    heads: Mapping[tuple[View, float], Policy]
    pressed: Policy | None
    line: Tensor | None
    play: int


@dataclass(frozen=True)
class Transfer:
    """The task.

    Args:
      extent: how much of everything; the budget's own by default.
    """

    extent: Extent | None = None
    name: str = "transfer"
    version: int = 1
    claim: str = "what it learned by predicting video helps to imitate"
    requires: frozenset[str] = frozenset({"features", "continue"})
    own_data: bool = True
    chunk: int = 20

    def _of(self, setting: Setting) -> Extent:
        return self.extent or EXTENT[setting.budget]

    def items(self, setting: Setting) -> Sequence[Item]:
        """Starts, the same for both views; then held-out demonstrations."""
        extent, found = self._of(setting), []
        for view in VIEWS:
            for i in range(extent.starts):
                seed = item_seed(self.name, "start", i, setting)
                found.append(Item(f"{view}-{i}", f"start-{i}", view, seed))
        for view in VIEWS:
            for i in range(extent.probed):
                seed = item_seed(self.name, "probed", i, setting)
                facts = {"length": extent.length}
                found.append(Item(f"probed-{view}-{i}", f"probed-{i}", PROBED[view], seed, facts))
        return found

    def demos(self, setting: Setting) -> Mapping[View, Sequence[Demo]]:
        """The demonstrations, the same ones in both views."""
        extent = self._of(setting)
        seeds = (train_seed(self.name, "demo", i, setting) for i in range(extent.demos))
        return _shown(tuple(seeds), extent.length)

    def recordings(self, path: Path, setting: Setting) -> Mapping[str, Store]:
        """The video of all demonstrations; what was pressed is unknown."""
        info = StoreInfo(ACTIONS, {"main": (SIZE, SIZE)}, FPS, heldout=0.0)
        store = Store.open_or_create(path, info)
        some = [demo for pair in zip(*self.demos(setting).values(), strict=True) for demo in pair]
        for number in range(len(store), len(some)):
            frames = some[number].frames
            keys = {"keys": np.zeros((len(frames), len(KEYS)), np.uint8)}
            hidden = np.zeros(len(frames), bool)
            episode = Episode(frames, keys, action_known=hidden, seed=number)
            store.append(episode, split="train", number=number)
        return {"": store}

    def fingerprint(self, setting: Setting) -> str:
        """Of one demonstration of each view."""
        seed = train_seed(self.name, "demo", 0, setting)
        return films.fingerprint(
            np.concatenate([hopping.demonstrate(seed, view, 8).frames for view in VIEWS])
        )

    def nulls(self, setting: Setting) -> Mapping[str, Probe]:
        """Other encoders of the same frames, and one who sees nothing."""

        def learned(stack: int, updates: int) -> Net:
            some = [demo.frames for view in self.demos(setting).values() for demo in view]
            return autoencoder(some, stack, steps=updates, seed=setting.seed)

        updates = self._of(setting).updates
        return {
            "stack": Stacked("frame-stack autoencoder", lambda: learned(STACK, updates), STACK),
            "image": Stacked("image autoencoder", lambda: learned(1, updates), 1),
            "random": Stacked("random features", lambda: learned(STACK, 0), STACK),
            "pixels": EndToEnd(STACK),
            "blind": Blind("sees nothing"),
        }

    def ceiling(self, setting: Setting) -> Probe:
        """The true state as features."""
        return Informed("true state")

    def prepare(self, probe: Probe, setting: Setting) -> Ready:
        """Heads of each view and share, and what reads action and state."""
        demos, extent = self.demos(setting), self._of(setting)
        if isinstance(probe, EndToEnd):
            return Ready(
                None, _from_pixels(probe, demos, extent, setting.seed), None, None, extent.play
            )
        first = [demo for view in VIEWS for demo in demos[view][: self.chunk // 2]]
        lens = cloning.fit_lens(torch.cat(_watched(probe, first, None)))
        seen = {
            view: [
                part
                for at in range(0, extent.demos, self.chunk)
                for part in _watched(probe, demos[view][at : at + self.chunk], lens)
            ]
            for view in VIEWS
        }
        kinds: list[tuple[View, float]] = [(v, s) for v in VIEWS for s in extent.shares]
        lessons = [_lesson(seen[v], demos[v], _count(share, extent)) for v, share in kinds]
        every = [demo for view in VIEWS for demo in demos[view]]
        all_seen = torch.cat([part for view in VIEWS for part in seen[view]])
        lessons.append((all_seen, _labels(every, "pressed")))
        *heads, pressed = cloning.clone(lessons, CHOICES, steps=extent.heads, seed=setting.seed)
        line = cloning.fit_line(all_seen, torch.cat([_player(demo) for demo in every]))
        return Ready(lens, dict(zip(kinds, heads, strict=True)), pressed, line, extent.play)

    def answer(self, probe: Probe, items: Sequence[Item], prepared: Ready) -> Sequence[Answer]:
        """The area under the curve of returns for a start; what is read of a demonstration."""
        found: dict[str, Answer] = {}
        for view in VIEWS:
            starts = [item for item in items if item.split == view]
            probed = [item for item in items if item.split == PROBED[view]]
            if starts:
                answers = _played(probe, view, starts, prepared)
                found.update(zip((item.key for item in starts), answers, strict=True))
            if probed:
                answers = _read(probe, view, probed, prepared)
                found.update(zip((item.key for item in probed), answers, strict=True))
        return [found[item.key] for item in items]

    def draw(self, item: Item, row: Row) -> Showing | None:
        """A game of who learned from all demonstrations, beside who shows, from the same start."""
        pressed, view = row.extra.get("pressed"), item.split
        if not pressed or view not in VIEWS:
            return None
        seen = hopping.replay(item.seed, view, [int(key) for key in pressed])
        truth = hopping.demonstrate(item.seed, view, len(seen), astray=0.0).frames
        stays = np.minimum(np.arange(len(seen)), len(truth) - 1)
        sides = ("who shows it", "who imitates it by its features")
        return Showing(truth[stays], seen, f"a game, {view}", sides)

    def judge(self, rows: Sequence[Row], *, seed: int) -> Verdict:
        """More than everybody it stands beside earns, over shared starts."""
        return judge(rows, seed=seed)

    def faults(self) -> Mapping[str, Fault]:
        """One whose past is in disorder, one whose labels are."""
        return {
            "time_shuffled": Fault(
                lambda setting: Comparing("time shuffled", shuffled=True),
                lambda v: _not_above(v.figures["inverse"]),
                "frames come in a wrong order: what was pressed is read no better than of an image",
            ),
            "shuffled_labels": Fault(
                lambda setting: Informed("labels shuffled", swapped=True),
                lambda v: not v.passed and (v.figures["gain_over_blind"].low or 0.0) <= 0,
                "every frame has another's label: nothing is earned beyond chance",
            ),
        }


@lru_cache(maxsize=1)
def _shown(seeds: tuple[int, ...], length: int) -> Mapping[View, Sequence[Demo]]:
    return {view: [hopping.demonstrate(seed, view, length) for seed in seeds] for view in VIEWS}


def _count(share: float, extent: Extent) -> int:
    """How many demonstrations a share is."""
    return max(1, round(share * extent.demos))


def _labels(demos: Sequence[Demo], name: str) -> Tensor:
    return torch.from_numpy(np.concatenate([getattr(demo, name) for demo in demos]))


def _lesson(seen: Sequence[Tensor], demos: Sequence[Demo], some: int) -> tuple[Tensor, Tensor]:
    """What is seen of the first demonstrations, and what was wanted there."""
    return torch.cat(list(seen[:some])), _labels(demos[:some], "wanted")


def _player(demo: Demo) -> Tensor:
    """`[T, 4]` place and speed of the player, in pixels."""
    told = np.stack([hopping.read(told)[:4] for told in demo.told])
    return torch.from_numpy((told * hopping.PIXELS).astype(np.float32))


def _look(probe: Probe, frames: np.ndarray, told: Sequence[bytes], state: Any) -> Any:
    """One more frame `[B, H, W, 3]`; nobody tells what was pressed."""
    rows = len(frames)
    keys = {"keys": torch.zeros(rows, 1, len(KEYS), dtype=torch.uint8)}
    hidden = Action(keys, torch.zeros(rows, 1, dtype=torch.bool))
    shown = {"main": torch.from_numpy(frames[:, None])}
    return probe.observe(Clip(frames=shown, actions=hidden, snapshots=tuple(told)), state)


def _watched(probe: Probe, demos: Sequence[Demo], lens: Lens | None) -> list[Tensor]:
    """Features of every frame of each demonstration, `[T, D]`; all are watched together."""
    longest = max(len(demo.frames) for demo in demos)
    state, found = None, []
    for t in range(longest):
        at = [min(t, len(demo.frames) - 1) for demo in demos]
        frames = np.stack([demo.frames[i] for demo, i in zip(demos, at, strict=True)])
        state = _look(probe, frames, [d.told[i] for d, i in zip(demos, at, strict=True)], state)
        features = probe.features(state).float().cpu()
        found.append(features if lens is None else lens(features))
    whole = torch.stack(found, 1)
    return [row[: len(demo.frames)] for row, demo in zip(whole, demos, strict=True)]


def _from_pixels(
    probe: EndToEnd, demos: Mapping[View, Sequence[Demo]], extent: Extent, seed: int
) -> dict[tuple[View, float], Policy]:
    """Policies that learn from pixels to keys."""
    policies: dict[tuple[View, float], Policy] = {}
    for view in VIEWS:
        for share in extent.shares:
            some = demos[view][: _count(share, extent)]
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                last = nn.Linear(WIDTH, CHOICES)
                policy = nn.Sequential(Net(SIZE, probe.stack).encode, nn.SiLU(), last)
            batch = partial(_pictures, probe.stack, some)
            cloning.imitate(policy, batch, steps=extent.pixels, seed=seed)
            policies[view, share] = policy
    return policies


def _pictures(stack: int, demos: Sequence[Demo], dice: torch.Generator) -> tuple[Tensor, Tensor]:
    """Frames of demonstrations drawn by chance, and what was wanted at them."""
    seen, wanted = [], []
    for index in torch.randint(len(demos), (32,), generator=dice).tolist():
        demo = demos[index]
        end = int(torch.randint(len(demo.frames), (), generator=dice)) + 1
        past = torch.from_numpy(demo.frames[max(0, end - stack) : end])
        seen.append(stacked(past[None], stack))
        wanted.append(int(demo.wanted[end - 1]))
    return torch.cat(seen), torch.tensor(wanted)


def _played(probe: Probe, view: View, items: Sequence[Item], ready: Ready) -> list[Answer]:
    """Every start is played once for each share, all games side by side."""
    shares = [share for which, share in ready.heads if which == view]
    count = len(items)
    draws = np.stack([seeding.rng(item.seed, "draws").random(ready.play) for item in items])
    luck = torch.from_numpy(np.tile(draws, (len(shares), 1))).float()
    state, t = None, 0
    pressed: list[np.ndarray] = []

    def decide(frames: np.ndarray, told: Sequence[bytes]) -> np.ndarray:
        nonlocal state, t
        state = _look(probe, frames, told, state)
        seen = probe.features(state).float().cpu()
        seen = seen if ready.lens is None else ready.lens(seen)
        parts = seen.split(count)
        logits = [ready.heads[view, s](part) for s, part in zip(shares, parts, strict=True)]
        t += 1
        pressed.append(cloning.choose(torch.cat(logits), luck[:, t - 1]).numpy())
        return pressed[-1]

    seeds = [item.seed for item in items] * len(shares)
    earned = hopping.play(seeds, view, decide, ready.play).reshape(len(shares), count)
    most = np.stack(pressed)[:, -count:].T  # of who learned from all demonstrations
    return [
        Answer(
            _area(row),
            {
                "returns": dict(zip(map(str, shares), row.tolist(), strict=True)),
                "pressed": "".join(map(str, keys.tolist())),
            },
        )
        for row, keys in zip(earned.T, most, strict=True)
    ]


def _area(returns: np.ndarray) -> float:
    """Mean return over the logarithm of the share: shares are equally far apart there."""
    return float((returns[:-1] + returns[1:]).mean() / 2)


def _read(probe: Probe, view: View, items: Sequence[Item], ready: Ready) -> list[Answer]:
    """How often it is read what was pressed, and how wrong place and speed are."""
    if ready.pressed is None or ready.line is None:
        return [Answer(None) for _ in items]
    demos = [hopping.demonstrate(item.seed, view, item.facts["length"]) for item in items]
    answers = []
    for demo, seen in zip(demos, _watched(probe, demos, ready.lens), strict=True):
        right = ready.pressed(seen[1:]).argmax(1) == torch.from_numpy(demo.pressed[1:])
        wrong = (cloning.follow(ready.line, seen) - _player(demo)).abs().mean(0)
        facts = {
            "inverse": float(right.float().mean()),
            "place_error": float(wrong[:2].mean()),
            "speed_error": float(wrong[2:].mean()),
        }
        answers.append(Answer(None, facts))
    return answers


def _not_above(figure: Figure) -> bool:
    """Whether a figure is no better than its null, of what the ceiling has to give."""
    value, null, best = figure.value, figure.null, figure.ceiling
    if value is None or null is None or best is None:
        return False
    return value < null + 0.25 * (best - null)
