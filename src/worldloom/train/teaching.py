"""What each update of an agent's training is shown: a pure function of (seed, step)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from worldloom.configs import Forcing
from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.data.paid import PaidSampler
from worldloom.data.relevant import RelevantSampler, went_well
from worldloom.models.dynamics import DynamicsShape
from worldloom.models.heads import AgentShape
from worldloom.models.tokenizers import AnyTokenizer
from worldloom.seeding import generator, rng, stream
from worldloom.train.cloning import Lesson, Shown
from worldloom.train.dist import Ranks
from worldloom.train.draws import draw
from worldloom.train.dynamics import latents_of
from worldloom.train.held import Coming, draw_held, draw_soon, seldom
from worldloom.train.lessons import Lessons, tasks_of
from worldloom.train.onward import fresh, weights
from worldloom.train.vain import draw_deeds, told

LAST = 0.125  # of the windows that show how something is done, the share exchanged for endings
GLANCE = 2  # frames of a window: the one that is seen, and the one that brings what was done


class Windows(NamedTuple):
    """Windows of a batch: `[B]` episodes, `[B]` first frames, and how many frames each has."""

    episodes: np.ndarray
    starts: np.ndarray
    length: int


class Teacher:
    """Draws what an update learns from.

    Args:
      cache: with latents, or with frames and a tokenizer for them.
      tokenizer: of the run.
      shapes: of the agent and of the dynamics.
      lessons: what is learned.
      forcing: how the dynamics is trained.
      given: the seed of everything random, and this process among all.
    """

    def __init__(
        self,
        cache: ClipCache,
        tokenizer: AnyTokenizer,
        shapes: tuple[AgentShape, DynamicsShape],
        lessons: Lessons,
        forcing: Forcing,
        given: tuple[int, Ranks],
    ) -> None:
        self.cache, self.tokenizer, self.lessons, self.forcing = cache, tokenizer, lessons, forcing
        self.agent, self.world = shapes
        self.seed, self.ranks = given
        self.own = np.array([self.agent.tasks.index(task) for task in tasks_of(cache)])
        rewards = [cache.rewards(episode) for episode in range(len(cache))]
        self.well = went_well(rewards, lessons.well, self.own)
        self.ended = np.flatnonzero([cache.store.row(name).terminated for name in cache.names])
        self.any = self._any("agent data")
        lied = forcing.held > 0 or forcing.soon > 0
        self.rare = seldom(cache, cache.store.info.action) if lied else {}
        self.coming = Coming.of(cache, self.rare) if forcing.soon > 0 else None
        self.relevant = self._relevant("relevant data", self.well)
        every = [np.ones_like(well) for well in self.well]  # of those who are imitated at all
        self.glanced = self._relevant("well glances", self.well), self._relevant("glances", every)

    def __call__(self, step: int) -> tuple[Shown]:
        """What update `step` is shown."""
        lessons = self.lessons
        rows, length = lessons.batches.at(step, lessons.schedule.steps)
        windows = self._draw(self.relevant, step, (rows, length))
        last = None if lessons.alone else self._show_endings(windows, step)
        full = (rows, length, self.world.tokens, self.world.channels)
        noise = torch.randn(full, generator=generator(self.seed, "agent noise", step))
        noise = noise[self.ranks.rows(rows)].to(self.ranks.device)
        relevant, glances = self._lesson(windows, last), self._glances(step)
        dropped = stream(self.seed, "left out", step)
        if lessons.alone:
            return (Shown(relevant, noise, glances, seed=dropped),)
        lead = (max(1, round(lessons.beside * rows)), length)
        asked = rng(self.seed, "tasks", step).integers(len(self.agent.tasks), size=lead[0])
        anything = self._draw(self.any, step, lead)
        uniform = self._told(self._lesson(anything, asked=asked), anything, step, lead)
        dice = generator(self.seed, "agent draws", step)
        draws = draw(self.world, lead, self.forcing, 1.0, dice)
        mine = draws.rows(self.ranks.rows(lead[0]), self.ranks.device)
        return (Shown(relevant, noise, glances, uniform, mine, dropped),)

    def _told(self, lesson: Lesson, windows: Windows, step: int, lead: tuple[int, int]) -> Lesson:
        """The same for the world, with some pauses and some held frames told as deeds."""
        spec, dice, mine = self.cache.store.info.action, rng(self.seed, "vain", step), lead[0]
        deeds = draw_deeds(spec, lead, self.forcing.vain, dice)[self.ranks.rows(mine)]
        stops = rng(self.seed, "held", step)
        held = draw_held(self.rare, lead, self.forcing.held, stops)
        if self.coming is not None:
            soon, places = rng(self.seed, "soon", step), (windows.episodes, windows.starts)
            held = draw_soon(held, self.coming, places, self.forcing.soon, soon)
        held = held.rows(self.ranks.rows(mine))
        return replace(
            lesson,
            clean=held.frames(lesson.clean),
            action=held.told(told(lesson.action, deeds, spec)),
            reward=held.nothing(lesson.reward),
            rewarded=held.frames(lesson.rewarded),
            ended=held.nothing(lesson.ended),
            well=None if lesson.well is None else held.frames(lesson.well),
        )

    def _any(self, name: str) -> ClipSampler:
        batches, seed = self.lessons.batches, stream(self.seed, name)
        mixture = weights(self.cache, self.lessons.onward, batches.short)
        lead, share = (batches.short, batches.rows), self.forcing.paid
        return PaidSampler(self.cache, *lead, seed=seed, share=share, weights=mixture)

    def _relevant(self, name: str, well: Sequence[np.ndarray]) -> RelevantSampler:
        lessons, onward = self.lessons, self.lessons.onward
        return RelevantSampler(
            self.cache,
            lessons.batches.short,
            lessons.batches.rows,
            seed=stream(self.seed, name),
            well=well,
            best=lessons.best,
            weights=None if onward is None else ~fresh(self.cache, onward),
        )

    def _draw(self, source: ClipSampler, step: int, lead: tuple[int, int]) -> Windows:
        rows, length = lead
        return Windows(*source.draw(step, length=length, batch=rows), length)

    def _show_endings(self, windows: Windows, step: int) -> np.ndarray:
        dice = rng(self.seed, "endings", step)
        return show_endings(windows, self.cache.lengths, self.ended, dice)

    def _glances(self, step: int) -> tuple[Lesson, ...]:
        """Frames after which things went well, and as many of any kind that are imitated."""
        half = self.lessons.glances // 2
        if not half:
            return ()
        return tuple(self._lesson(self._draw(s, step, (half, GLANCE))) for s in self.glanced)

    def _lesson(
        self, windows: Windows, last: np.ndarray | None = None, asked: np.ndarray | None = None
    ) -> Lesson:
        """This rank's part of some windows.

        Args:
          windows: B of them, over all ranks.
          last: `[B]` how much those count that were put there for their endings.
          asked: `[B]` tasks; None for those of the recordings.
        """
        rows = self.ranks.rows(len(windows.starts))
        episodes, starts, device = windows.episodes[rows], windows.starts[rows], self.ranks.device
        clip = self.cache.clip(episodes, starts, length=windows.length)
        own = self.own[episodes]
        tasks = own if asked is None else asked[rows]
        made = Lesson.of(
            clip,
            latents_of(clip, self.tokenizer, device),
            torch.from_numpy(np.asarray(tasks)),
            torch.from_numpy(tasks == own),
        )
        places = zip(episodes.tolist(), starts.tolist(), strict=True)
        well = np.stack([self.well[e][s : s + windows.length] for e, s in places])
        counts = np.zeros(len(starts), np.float32) if last is None else last[rows]
        return replace(
            made,
            well=torch.from_numpy(well).to(device),
            last=torch.from_numpy(counts).to(device),
        )


def show_endings(
    windows: Windows, lengths: np.ndarray, ended: np.ndarray, dice: np.random.Generator
) -> np.ndarray:
    """Puts endings in place of the first windows of a batch, where any episode ended by itself.

    One window of an episode alone reaches its last frame: by chance an agent meets hardly any.

    Args:
      windows: B of them, changed in place.
      lengths: `[E]` of the episodes.
      ended: indices of those that ended by themselves.
      dice: which endings.

    Returns:
      `[B]` float32, 0 where nothing was changed, else how much rarer by chance.
    """
    size, last = len(windows.starts), np.zeros(len(windows.starts), np.float32)
    ended = ended[lengths[ended] >= windows.length]
    if not len(ended):
        return last
    shown = max(1, round(LAST * size))
    windows.episodes[:shown] = dice.choice(ended, shown)
    windows.starts[:shown] = lengths[windows.episodes[:shown]] - windows.length
    by_chance = len(ended) / np.maximum(lengths - windows.length + 1, 0).sum()
    last[:shown] = by_chance * size / shown
    return last
