"""One person inside one world: keys in, frames out, nothing else.

Pure: no clock, no network, no thread. It knows the World contract, so a real
environment and a dream are played by the same code. State is a value, as the
world's own is; noise is a function of (seed, frame) in the world, so the same
seed and the same keys give the same bytes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.play.input import Played
from worldloom.play.keys import KeyMap, key_map
from worldloom.play.pool import Pool
from worldloom.play.trace import Origin, Trace
from worldloom.world import Step, World, require

MakeStart = Callable[[int], Clip]

DONE = 1024  # different actions that are remembered


@dataclass(frozen=True)
class SessionState:
    """A moment of play.

    Args:
      world: the world's own state, of one row.
      step: what came with it.
      seed: the start that it grew from.
      tick: ticks since that start, those spent on the ending included.
      ended_for: ticks for which the ending has been shown.
      trace: how it came about.
      noise: the seed that its randomness was changed to since the last tick, if it was.
    """

    world: Any
    step: Step
    seed: int
    trace: Trace
    tick: int = 0
    ended_for: int = 0
    noise: int | None = None


@dataclass(frozen=True)
class Moment:
    """A `SessionState` as it is kept, in little room.

    Args:
      mark: what the world keeps of its own state: a mark, or a copy in worlds without.
      step: and all others, as in `SessionState`.
      side: what somebody else keeps of the same moment.
    """

    mark: Any
    step: Step
    seed: int
    trace: Trace
    tick: int
    ended_for: int
    noise: int | None = None
    side: Any = None


@dataclass(frozen=True)
class Frame:
    """What a person sees of a moment.

    Args:
      image: `[H, W, 3]` uint8.
      seed: the start that it belongs to.
      tick: ticks since that start.
      ended: the world has ended here.
      doubt: probability that it is wrong, in worlds that tell.
    """

    image: np.ndarray
    seed: int
    tick: int
    ended: bool
    doubt: float | None = None


class Session:
    """Plays one row of a world.

    Args:
      world: must be able to `render`.
      make_start: seed to a clip of one row, of a kind that the world starts from.
      fps: ticks a second; by default the world's own.
      restart_after: seconds for which an ending is shown before the next start.
      identity: tells this world from others of its name: of its weights, or its environment.
    """

    def __init__(
        self,
        world: World,
        make_start: MakeStart,
        *,
        fps: float | None = None,
        restart_after: float = 1.0,
        identity: str = "",
    ) -> None:
        require(world, "render", "play")
        self.world = world
        self.identity = identity
        self.make_start = make_start
        self.fps = fps or world.spec.fps
        self.keys: KeyMap = key_map(world.spec.action)
        self._done: dict[bytes, Action] = {}
        self.restart_ticks = max(1, math.ceil(restart_after * self.fps))
        cameras = world.spec.cameras
        self.camera = "main" if "main" in cameras else next(iter(cameras))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self.world.spec.cameras[self.camera]

    @property
    def can_rewind(self) -> bool:
        """Whether moments can be kept and gone back to."""
        return bool({"recall", "fork"} & self.world.spec.capabilities)

    def start(self, seed: int) -> SessionState:
        """The first moment of the start that `seed` names."""
        return self.begin(Origin(seed))

    @torch.no_grad()
    def begin(self, origin: Origin) -> SessionState:
        """The first moment of any course."""
        clip = self.make_start(origin.seed) if origin.clip is None else origin.clip
        state, step = self.world.start(clip, torch.tensor([origin.seed]))
        return SessionState(state, step, origin.seed, Trace(origin))

    def clip_of(self, picture: np.ndarray) -> Clip:
        """A visitor's own picture `[H, W, 3]` uint8 as a start: one frame, its action unknown."""
        return Clip(frames={self.camera: torch.from_numpy(picture)[None, None]})

    @torch.no_grad()
    def reseed(self, state: SessionState, seed: int) -> SessionState:
        """The same moment before another of its futures, in a world that can `reseed`."""
        world: Any = self.world
        other = world.reseed(state.world, torch.tensor([seed]))
        return replace(state, world=other, noise=seed)

    @property
    def at_once(self) -> int:
        """How many sessions one step of the world carries."""
        return self.world.rows if isinstance(self.world, Pool) else 1

    def advance(self, state: SessionState, keys: Played | Action) -> SessionState:
        """One tick on. Like `World.step` it may reuse the memory of `state`.

        An ended world stands still; after `restart_ticks` the next seed starts.

        Args:
          keys: what is done in this tick: an `Input`, the codes of held keys alone, or the
            action itself.
        """
        return self.advance_together([(state, keys)])[0]

    @torch.no_grad()
    def advance_together(
        self, turns: Sequence[tuple[SessionState, Played | Action]]
    ) -> list[SessionState]:
        """One tick of each: here, and nowhere else, the world is stepped.

        Args:
          turns: the states, each with what is done in it; `at_once` of them at most.
        """
        live = [(state, self._action(done)) for state, done in turns if not ended(state.step)]
        stepped = iter(self._step([state for state, _ in live], [action for _, action in live]))
        return [self._stand(s) if ended(s.step) else next(stepped) for s, _ in turns]

    def _step(self, states: list[SessionState], actions: list[Action]) -> list[SessionState]:
        tensors = [action.map(torch.from_numpy) for action in actions]
        worlds = [state.world for state in states]
        if isinstance(self.world, Pool):
            rows = self.world.step_together(worlds, tensors)
        else:
            rows = [self.world.step(*row) for row in zip(worlds, tensors, strict=True)]
        return [
            replace(
                state,
                world=world,
                step=step,
                trace=state.trace.then(done, state.noise),
                tick=state.tick + 1,
                noise=None,
            )
            for state, done, (world, step) in zip(states, actions, rows, strict=True)
        ]

    def _action(self, played: Played | Action) -> Action:
        """What is done, as an action; equal ones are one object.

        Traces keep every action since the start: an hour of play has 72,000.
        """
        action = played if isinstance(played, Action) else self.keys.action(played)
        arrays = (*action.values.values(), action.known)
        key = b"".join(np.asarray(array).tobytes() for array in arrays)
        if len(self._done) >= DONE:
            self._done.clear()
        return self._done.setdefault(key, action)

    def _stand(self, state: SessionState) -> SessionState:
        """An ended world's tick."""
        if state.ended_for + 1 < self.restart_ticks:
            return replace(state, tick=state.tick + 1, ended_for=state.ended_for + 1)
        fresh = self.start(state.seed + 1)
        self.release(state)
        return fresh

    @torch.no_grad()
    def keep(self, state: SessionState, since: Moment | None = None) -> Moment:
        """Keeps `state`, in a world that can rewind.

        Args:
          since: the moment just before it; what both hold is kept once.
        """
        world: Any = self.world
        if since is not None and state.ended_for:  # the world stands still
            mark = since.mark
        elif "recall" in world.spec.capabilities:
            mark = world.mark(state.world, since.mark if since and state.tick else None)
        else:
            mark = state.world.copy()
        return Moment(mark, *_facts(state))

    @torch.no_grad()
    def back(self, moment: Moment) -> SessionState:
        """The state that `moment` keeps, as often as is wished."""
        world: Any = self.world
        exact = "recall" in world.spec.capabilities
        state = world.recall(moment.mark) if exact else moment.mark.copy()
        return SessionState(state, *_facts(moment))

    def draw(self, state: SessionState) -> Frame:
        """What `state` looks like."""
        return self.draw_together([state])[0]

    @torch.no_grad()
    def draw_together(self, states: Sequence[SessionState]) -> list[Frame]:
        """What each looks like. The only place where anything is read back."""
        worlds = [state.world for state in states]
        if isinstance(self.world, Pool):
            images = self.world.render_together(worlds, self.camera)
        else:
            render: Any = self.world
            images = [render.render(world, camera=self.camera)[0] for world in worlds]
        # Copies: a frame may still wait to be sent when the world draws the next one.
        return [
            Frame(
                np.array(torch.as_tensor(image).cpu().numpy(), order="C"),
                state.seed,
                state.tick,
                ended(state.step),
                None if state.step.doubt is None else float(state.step.doubt[0]),
            )
            for image, state in zip(images, states, strict=True)
        ]

    def tick(self, state: SessionState, keys: Played) -> tuple[SessionState, Frame]:
        """`advance`, then `draw`."""
        state = self.advance(state, keys)
        return state, self.draw(state)

    def release(self, state: SessionState) -> None:
        """Gives back what the state holds, in worlds whose state is a handle."""
        release = getattr(self.world, "release", None)
        if release is not None:
            release(state.world)


def _facts(at: SessionState | Moment) -> tuple[Any, ...]:
    """What a state and a kept moment have in common."""
    return at.step, at.seed, at.trace, at.tick, at.ended_for, at.noise


def ended(step: Step) -> bool:
    """Whether the only row of `step` has ended, in either way."""
    flags = (step.terminated, step.truncated)
    return any(bool(flag[0]) for flag in flags if flag is not None)


def from_seed(seed: int) -> Clip:
    """A start for a real world: the environment seed itself."""
    return Clip(env_seeds=torch.tensor([seed]))


@dataclass(frozen=True)
class Clips:
    """Starts for a dream: seed `n` is clip `n`, round and round."""

    clips: Sequence[Clip]

    def __call__(self, seed: int) -> Clip:
        return self.clips[seed % len(self.clips)]

    def __len__(self) -> int:
        return len(self.clips)


def from_clips(clips: Sequence[Clip]) -> Clips:
    """Starts for a dream: seed `n` is clip `n` of the list, round and round."""
    return Clips(clips)
