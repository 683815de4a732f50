"""The world's own recordings as questions: moments of held-out episodes, and who knows them.

An insider is told which recorded moment it stands in, and so can enter the real
environment there. Ceilings, nulls and planted faults are insiders; a world under test is
shown the same clips, and sees nothing in them but frames and actions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldloom import seeding
from worldloom.actions import Action, ActionSpec
from worldloom.data.store import Store
from worldloom.data.types import Clip, Episode
from worldloom.errors import WorldloomError
from worldloom.evaluate import real, windows
from worldloom.evaluate.windows import Window
from worldloom.trust.clips import Showing
from worldloom.trust.probe import Edit, Probe, Rollout
from worldloom.trust.task import Item, NotApplicable, Setting, item_seed

CONTEXT = 8
LEAST = 4
"""Held-out episodes, below which nothing can be said."""

Keys = Mapping[str, np.ndarray]
"""Actions by component, `[T, ...]` each."""
Hears = Callable[[Keys, Keys], Keys]
"""From what was done during the context and what is done now to what an environment is told."""
Paints = Callable[[np.ndarray, "Moment"], np.ndarray]
"""From frames `[T, H, W, 3]` that begin at a moment to what is shown of them."""


@dataclass(frozen=True)
class Moment:
    """A stretch of a recording: a context, and what followed it.

    Args:
      window: which one.
      episode: its frames, context included.
      plate: `[H, W, 3]` its background.
      camera: that is looked through.
    """

    window: Window
    episode: Episode
    plate: np.ndarray
    camera: str

    @property
    def frames(self) -> np.ndarray:
        """`[context + length, H, W, 3]` uint8."""
        return self.episode.frames[self.camera]

    @property
    def after(self) -> np.ndarray:
        """`[length, H, W, 3]` what followed the context."""
        return self.frames[self.window.context :]


@dataclass(frozen=True)
class Recalled(Clip):
    """A clip that also says where it was recorded; only insiders look there.

    Args:
      moments: one for each row.
    """

    moments: tuple[Moment, ...] = ()


def recordings(setting: Setting) -> Store:
    """The store of the exam; without one the task is not applicable."""
    if setting.store is None:
        raise NotApplicable(
            "it works on recordings of the world's own", "name their store after the run"
        )
    return setting.store


def camera_of(store: Store) -> str:
    """The camera that is scored, as for worlds."""
    cameras = store.info.cameras
    return "main" if "main" in cameras else next(iter(cameras))


def count_held(setting: Setting, frames: int) -> int:
    """Held-out episodes with a context and so many frames after it."""
    return len(_fitting(recordings(setting), frames))


def _fitting(store: Store, frames: int) -> list[str]:
    names = store.split("heldout")
    return [name for name in names if store.row(name).length >= CONTEXT + frames]


def draw_items(
    task: str, setting: Setting, *, count: int, frames: int, skip: int = 0, split: str = "test"
) -> list[Item]:
    """One window in each of `count` held-out episodes, each with two strangers' beside it.

    Args:
      task: name of the task, of which the choice is a function.
      setting: with the recordings.
      count: at most so many; they are drawn anew with every seed of the exam.
      frames: that must follow the context.
      skip: episodes that are left out, for another part of the task has them.
      split: of the items.
    """
    store, need = recordings(setting), CONTEXT + frames
    names = _fitting(store, frames)
    if min(count, len(names) - skip) < LEAST:
        raise NotApplicable(
            f"{len(names)} held-out episodes of `{store.path}` have {need} frames",
            "record more, or hold more of them out",
        )
    order = seeding.rng(item_seed(task, "order", 0, setting), "episodes").permutation(len(names))
    chosen = []
    for index, name in enumerate(names[i] for i in order[skip : skip + count]):
        seed = item_seed(task, split, index, setting)
        room = store.row(name).length - need + 1
        chosen.append((name, int(seeding.rng(seed, "start").integers(room)), seed))
    return [
        Item(
            key=f"{name} from {start}",
            cluster=name,
            split=split,
            seed=seed,
            facts={
                "episode": name,
                "start": start,
                "others": (chosen[index - 1][:2], chosen[index - 2][:2]),
            },
        )
        for index, (name, start, seed) in enumerate(chosen)
    ]


def moments_of(store: Store, items: Sequence[Item], frames: int) -> list[Moment]:
    """What items ask about, read."""
    return [_read(store, i.facts["episode"], i.facts["start"], frames) for i in items]


def moment(store: Store, episode: str, start: int, frames: int) -> Moment:
    """A context that begins at a frame of an episode, and so many frames after it."""
    return _read(store, episode, start, frames)


def moment_at(store: Store, window: Window) -> Moment:
    """The moment of a window."""
    return _read(store, window.episode, window.start, window.length, window.context)


def strangers_of(
    store: Store, items: Sequence[Item], frames: int, *, which: int = 0
) -> list[Moment]:
    """For each item the moment of another episode, the first or the second of two."""
    return [_read(store, *i.facts["others"][which], frames) for i in items]


@lru_cache(maxsize=256)
def _read(store: Store, episode: str, start: int, frames: int, context: int = CONTEXT) -> Moment:
    window = Window(episode, start, context, frames)
    camera = camera_of(store)
    return Moment(window, windows.read(store, window), _plate(store, episode, camera), camera)


@lru_cache(maxsize=256)
def _plate(store: Store, episode: str, camera: str) -> np.ndarray:
    return windows.background(store, episode, camera)[0]


def begin(moments: Sequence[Moment], *, frames: int = CONTEXT) -> Recalled:
    """The first frames of moments as one clip; the rest of them is for insiders."""
    first = moments[0]
    last = frames - 1
    known = all(last in m.episode.snapshots for m in moments)
    return Recalled(
        frames={first.camera: torch.from_numpy(np.stack([m.frames[:frames] for m in moments]))},
        actions=actions_of(moments, 0, frames),
        snapshots=tuple(m.episode.snapshots[last] for m in moments) if known else None,
        moments=tuple(moments),
    )


def actions_of(moments: Sequence[Moment], start: int, stop: int) -> Action:
    """The recorded actions that led to frames `start` to `stop`, `[B, stop - start, ...]`."""
    stack = lambda parts: torch.from_numpy(np.stack(parts))  # noqa: E731
    names = list(moments[0].episode.actions)
    return Action(
        {name: stack([m.episode.actions[name][start:stop] for m in moments]) for name in names},
        stack([np.asarray(m.episode.action_known)[start:stop] for m in moments]),
    )


def long_actions(store: Store, items: Sequence[Item], steps: int) -> Action:
    """What was done in another episode, over and over, `[B, steps, ...]`."""
    others = [item.facts["others"][0] for item in items]
    done = [_done_after(store, name, start, steps) for name, start in others]
    names = list(done[0].values)
    values = {name: torch.from_numpy(np.stack([d.values[name] for d in done])) for name in names}
    return Action(values, torch.from_numpy(np.stack([d.known for d in done])))


def _done_after(store: Store, name: str, start: int, steps: int) -> Action:
    """Recorded actions from the end of a context on, begun again where the episode ends."""
    first = start + CONTEXT
    episode = store.read(name, first, min(store.row(name).length, first + steps))
    at = np.arange(steps) % len(episode)
    done = Action(dict(episode.actions), np.asarray(episode.action_known))
    return done[at]


def shown(probe: Probe, moment: Moment, actions: Action, real: Probe, words: str) -> Showing | None:
    """What a probe makes of a moment under some actions, beside another; None where one draws not.

    Args:
      probe: that was judged.
      moment: where both begin; its context stands before what they draw.
      actions: `[1, T, ...]`.
      real: the truth.
      words: what is shown, in a few words.
    """
    sides = []
    for one in (real, probe):
        frames = one.rollout(one.observe(begin([moment])), actions).frames
        if frames is None:
            return None
        drawn = frames[0, 0].cpu().numpy()
        sides.append(np.concatenate([moment.frames[: moment.window.context], drawn]))
    truth, seen = sides
    return Showing(truth, seen, words)


def null_actions(spec: ActionSpec, rows: int, steps: int) -> Action:
    """Nothing is done, `[B, T, ...]`."""
    values = {name: torch.from_numpy(value) for name, value in spec.null((rows, steps)).items()}
    return Action(values, torch.ones(rows, steps, dtype=torch.bool))


class Insider(ABC):
    """Who is told which recorded moment it stands in.

    Attributes:
      name: for people.
    """

    name: str
    layers: tuple[str, ...] = ()

    @property
    def capabilities(self) -> frozenset[str]:
        """It draws."""
        return frozenset({"rollout", "render"})

    @abstractmethod
    def film(self, moments: Sequence[Moment], actions: Action) -> np.ndarray | None:
        """`[B, T, H, W, 3]` uint8, what follows the contexts; None where it cannot know."""

    def observe(self, clip: Clip, state: Any = None) -> tuple[Moment, ...]:
        """Takes the clip's moments."""
        del state
        if not isinstance(clip, Recalled):
            raise WorldloomError(
                f"`{self.name}` knows recorded moments, the clip names none",
                "give clips of `worldloom.trust.recorded.begin`",
            )
        return clip.moments

    def features(self, state: Any, layer: str | None = None) -> Tensor:
        """It has none, and does not say that it has."""
        raise NotImplementedError

    def rollout(
        self,
        state: tuple[Moment, ...],
        actions: Action,
        *,
        seeds: Sequence[int] = (0,),
        edit: Edit | None = None,
    ) -> Rollout:
        """Its film, once for each seed: nothing is left to chance."""
        del edit  # it does not say that it can be steered
        frames = self.film(state, actions)
        if frames is None:
            return Rollout()
        shown = torch.from_numpy(np.ascontiguousarray(frames))
        return Rollout(shown.expand(len(seeds), *shown.shape))

    def score(self, state: Any, clip: Clip) -> Tensor:
        """It has none, and does not say that it has."""
        raise NotImplementedError

    def doubt(self, state: Any, actions: Action) -> Tensor:
        """It has none, and does not say that it has."""
        raise NotImplementedError


class Environment(Insider):
    """The real environment, entered where the recording was, and perhaps changed in one way.

    Args:
      store: of the recordings.
      name: for people.
      hears: what it makes of the actions; it hears what is done by default.
      paints: what it makes of the frames; they are shown as they are by default.
    """

    def __init__(
        self,
        store: Store,
        name: str = "the real environment",
        *,
        hears: Hears | None = None,
        paints: Paints | None = None,
    ) -> None:
        self.store, self.name, self.hears, self.paints = store, name, hears, paints

    def film(self, moments: Sequence[Moment], actions: Action) -> np.ndarray | None:
        """None where the recordings do not lead back into the environment."""
        futures = [self._told(moment, actions[row]) for row, moment in enumerate(moments)]
        chosen = [moment.window for moment in moments]
        shown = real.replay(self.store, chosen, futures, camera=moments[0].camera)
        if isinstance(shown, str):
            return None
        if self.paints is not None:
            shown = [self.paints(f, m) for f, m in zip(shown, moments, strict=True)]
        return np.stack(shown)

    def _told(self, moment: Moment, actions: Action) -> dict[str, np.ndarray]:
        """What the environment is told in place of actions `[T, ...]`: nothing where unknown."""
        known = np.asarray(actions.known)
        null = self.store.info.action.null((len(known),))
        values = {name: np.asarray(value).copy() for name, value in actions.values.items()}
        for name, value in values.items():
            value[~known] = null[name][~known]
        past = real.future_of(moment.episode, 0, moment.window.context)
        return dict(values if self.hears is None else self.hears(past, values))


class Recording(Insider):
    """Shows what was recorded, whatever is done; nothing else is known of most recordings."""

    name = "the recording"

    def film(self, moments: Sequence[Moment], actions: Action) -> np.ndarray:
        """As long as was recorded, and then its last frame."""
        steps = actions.known.shape[1]
        upto = [np.minimum(np.arange(steps), len(m.after) - 1) for m in moments]
        return np.stack([m.after[t] for m, t in zip(moments, upto, strict=True)])


class Copy(Insider):
    """Repeats the last frame.

    Args:
      name: for people.
      blur: pixels around each that are mixed into it; 0 leaves it sharp.
    """

    def __init__(self, name: str = "last frame repeated", *, blur: int = 0) -> None:
        self.name, self.blur = name, blur

    def film(self, moments: Sequence[Moment], actions: Action) -> np.ndarray:
        """The same frame for ever."""
        steps = actions.known.shape[1]
        last = [blurred(m.frames[m.window.context - 1], self.blur) for m in moments]
        return np.repeat(np.stack(last)[:, None], steps, 1)


def blurred(frame: np.ndarray, reach: int) -> np.ndarray:
    """`[H, W, 3]` uint8, each pixel the mean of those up to `reach` away."""
    edge = np.pad(frame.astype(np.float32), ((reach, reach), (reach, reach), (0, 0)), "edge")
    size = 2 * reach + 1
    views = np.lib.stride_tricks.sliding_window_view(edge, (size, size), (0, 1))
    return views.mean((-1, -2)).round().astype(np.uint8)
