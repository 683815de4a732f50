"""Any world behind the contract as a probe.

A world that can `score` is asked itself. For one that only draws and observes, the
surprise of a frame is its squared pixel error against what was drawn for it: all
that can be said of a world whose probabilities are not known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from worldloom import seeding
from worldloom.actions import Action, ActionSpec
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.evaluate.windows import camera_of
from worldloom.trust.probe import Edit, Rollout
from worldloom.world import Step, World

TOGETHER = 96
"""Rows of one batch at most, where several samples are drawn."""


@dataclass(frozen=True)
class Known:
    """A world's state, and what it said when it came to it.

    Args:
      inner: the state, never stepped: every use steps a copy.
      step: reward, ending and doubt as the world itself estimates them.
      size: of the frames that it was shown, where they were made to fit; None where they did.
    """

    inner: Any
    step: Step
    size: tuple[int, int] | None = None

    @property
    def reward(self) -> Tensor | None:
        """`[B]` the world's own estimate for the newest frame."""
        return self.step.reward


class WorldProbe:
    """A world whose states can be copied.

    Args:
      world: that can `fork`.
      name: for people; the world's own by default.
      tells: "reward", "doubt": what its steps carry, which a spec does not declare; see `told`.
      resizes: frames of another size are shown to it at its own, and what it draws is given back
        at theirs; by default as the world declares in an attribute of this name, and where it
        says nothing, such frames are refused.
    """

    def __init__(
        self,
        world: World,
        name: str | None = None,
        *,
        tells: frozenset[str] = frozenset(),
        resizes: bool | None = None,
    ) -> None:
        if "fork" not in world.spec.capabilities:
            raise WorldloomError(
                f"the states of `{world.spec.name}` cannot be copied, a probe leaves them as they "
                "were",
                "give a world that can `fork`",
            )
        self.world: Any = world
        self.name = name or world.spec.name
        self._camera = camera_of(world)
        self._tells = tells
        self._resizes = bool(getattr(world, "resizes", False) if resizes is None else resizes)

    @property
    def tolerance(self) -> float:
        """Root mean square pixel error above which a step is wrong, as its `doubt` means it."""
        return self.world.spec.tolerance

    @property
    def layers(self) -> tuple[str, ...]:
        """Names that the world gives its layers; none where it does not say."""
        return tuple(getattr(self.world, "layers", ()))

    @property
    def capabilities(self) -> frozenset[str]:
        """As `worldloom.trust.probe.CAPABILITIES` names them."""
        has = self.world.spec.capabilities
        found = {"rollout"} | (has & {"render", "features", "steer", "score"})
        if "observe" in has:
            found |= {"continue"} | ({"score"} if "render" in has else set())
        return frozenset(found) | self._tells

    @torch.no_grad()
    def observe(self, clip: Clip, state: Known | None = None) -> Known:
        """What the world knows after a clip; one of other frames or actions is refused."""
        clip, size = self._fitted(clip)
        if state is None:
            rows = len(clip.frames[self._camera]) if clip.frames else len(clip.snapshots or ())
            begun, step = self.world.start(clip, torch.zeros(rows, dtype=torch.int64))
            return Known(begun, step, size)
        inner, step = state.inner.copy(), state.step
        for t in range(clip.frames[self._camera].shape[1]):
            inner, step = self.world.observe(inner, self._action(clip, t), _frame(clip, t))
        return Known(inner, step, size)

    @torch.no_grad()
    def features(self, state: Known, layer: str | None = None) -> Tensor:
        """`[B, D]`, float32."""
        given = () if layer is None else (layer,)
        return self.world.features(state.inner, *given).float()

    @torch.no_grad()
    def rollout(
        self,
        state: Known,
        actions: Action,
        *,
        seeds: Sequence[int] = (0,),
        edit: Edit | None = None,
    ) -> Rollout:
        """One sample a seed; row b of sample s draws from the stream (seed s, b).

        Samples of several seeds are drawn together, as rows of one batch.
        """
        rows = len(state.inner)
        count = max(1, TOGETHER // max(1, rows))
        parts = [
            self._samples(state, actions, seeds[at : at + count], edit)
            for at in range(0, len(seeds), count)
        ]
        frames, rewards, knowns = zip(*parts, strict=True)
        join = lambda parts: None if parts[0] is None else torch.cat(parts)  # noqa: E731
        return Rollout(join(frames), join(rewards), tuple(one for part in knowns for one in part))

    def _samples(
        self, state: Known, actions: Action, seeds: Sequence[int], edit: Edit | None
    ) -> tuple[Tensor | None, Tensor | None, list[Known]]:
        """Frames and rewards `[S, B, T, ...]`, and what is known at the end, one for each seed."""
        rows = len(state.inner)
        every = torch.arange(rows).repeat(len(seeds))
        frames, rewards = [], []
        inner, step = self._begun(state, seeds, edit), _picked(state.step, every)
        begun = known = Known(inner, step, state.size)
        for known in self._steps(begun, actions[every]):
            if "render" in self.world.spec.capabilities:
                drawn = torch.as_tensor(self.world.render(known.inner, self._camera))
                frames.append(_resized(drawn.cpu(), state.size).clone())
            if known.reward is not None:
                rewards.append(known.reward.cpu().clone())
        stack = lambda parts: (  # noqa: E731
            torch.stack(parts, 1).unflatten(0, (len(seeds), rows)) if parts else None
        )
        return stack(frames), stack(rewards), [_part(known, i, rows) for i in range(len(seeds))]

    def _begun(self, state: Known, seeds: Sequence[int], edit: Edit | None = None) -> Any:
        """The state of samples before their first step, one below the other."""
        rows = len(state.inner)
        every = torch.arange(rows).repeat(len(seeds))
        inner = state.inner[every] if len(seeds) > 1 else state.inner.copy()
        if "reseed" in self.world.spec.capabilities:
            draws = [seeding.stream(seed, "probe", row) for seed in seeds for row in range(rows)]
            inner = self.world.reseed(inner, torch.tensor(draws))
        if edit is not None:
            vector = edit.vector.expand(rows, -1).repeat(len(seeds), 1)
            inner = self.world.steer(inner, vector, edit.layer)
        return inner

    def _steps(self, known: Known, actions: Action) -> Iterator[Known]:
        """What is known after each step; the memory of one is used again for the next."""
        for t in range(actions.known.shape[1]):
            inner, step = self.world.step(known.inner, actions[:, t])
            known = Known(inner, step, known.size)
            yield known

    @torch.no_grad()
    def score(self, state: Known, clip: Clip) -> Tensor:
        """`[B, T]` the world's own surprise, or the squared pixel error of what it drew."""
        clip, _ = self._fitted(clip)
        if "score" in self.world.spec.capabilities:
            return self.world.score(state.inner.copy(), clip).float().cpu()
        inner, errors = state.inner.copy(), []
        for t in range(clip.frames[self._camera].shape[1]):
            action, new = self._action(clip, t), _frame(clip, t)
            guess, _ = self.world.step(inner.copy(), action)
            drawn = torch.as_tensor(self.world.render(guess, self._camera)).cpu().float()
            gap = (drawn - new.frames[self._camera][:, -1].float()) / 255
            errors.append(gap.square().mean((1, 2, 3)))
            inner, _ = self.world.observe(inner, action, new)
        return torch.stack(errors, 1)

    @torch.no_grad()
    def doubt(self, state: Known, actions: Action) -> Tensor:
        """`[B, T]` of the sample that `rollout` gives where nobody names a seed."""
        doubts = []
        begun = Known(self._begun(state, seeds=(0,)), state.step, state.size)
        for known in self._steps(begun, actions):
            assert known.step.doubt is not None, "`doubt` is asked only of worlds that have it"
            doubts.append(known.step.doubt.cpu().clone())
        return torch.stack(doubts, 1)

    def _fitted(self, clip: Clip) -> tuple[Clip, tuple[int, int] | None]:
        """A clip of this world's frames and actions, and their size where it was another one.

        Raises:
          WorldloomError: they do not fit, and are not made to where nobody declared it.
        """
        spec, frames = self.world.spec, clip.frames.get(self._camera)
        size = None
        if frames is not None and tuple(frames.shape[2:4]) != tuple(spec.cameras[self._camera]):
            (height, width), (own, wide) = frames.shape[2:4], spec.cameras[self._camera]
            if not self._resizes:
                raise WorldloomError(
                    f"`{self.name}` sees frames of {own}x{wide}, these are {height}x{width}",
                    "let a world of this size sit it, or one that declares `resizes`",
                )
            size = (int(height), int(width))
            shown = _resized(torch.as_tensor(frames).flatten(0, 1), (own, wide))
            fitting = {**clip.frames, self._camera: shown.unflatten(0, frames.shape[:2])}
            clip = replace(clip, frames=fitting)
        if clip.actions is not None and set(clip.actions.values) != set(spec.action.null(())):
            own, given = sorted(spec.action.null(())), sorted(clip.actions.values)
            raise WorldloomError(
                f"`{self.name}` has the actions {own}, these are {given}",
                "let a world with these actions sit it",
            )
        return clip, size

    def _action(self, clip: Clip, t: int) -> Action:
        """What led to frame t, `[B, ...]`; unknown where the clip does not say."""
        if clip.actions is not None:
            return clip.actions[:, t]
        return nothing(self.world.spec.action, (len(clip.frames[self._camera]),), known=False)


@torch.no_grad()
def told(world: World, clip: Clip | None = None) -> frozenset[str]:
    """Which of "reward" and "doubt" a world's steps carry; tried out for one step.

    Args:
      world: that can `fork`.
      clip: a start that it takes; a black frame by default, where it starts from frames.
    """
    if clip is None:
        if "frames" not in world.spec.starts:
            return frozenset()
        sizes = world.spec.cameras.items()
        black = {k: torch.zeros(1, 1, *size, 3, dtype=torch.uint8) for k, size in sizes}
        clip = Clip(frames=black, actions=nothing(world.spec.action, (1, 1), known=False))
    known = WorldProbe(world).observe(clip)
    lead = (len(known.inner),)
    _, step = world.step(known.inner, nothing(world.spec.action, lead, known=True))
    return frozenset(name for name in ("reward", "doubt") if getattr(step, name) is not None)


def nothing(spec: ActionSpec, lead: tuple[int, ...], *, known: bool) -> Action:
    """Null actions of a spec as tensors, `[*lead, ...]`."""
    values = {name: torch.from_numpy(value) for name, value in spec.null(lead).items()}
    return Action(values, torch.full(lead, known))


def _picked(step: Step, rows: Tensor | slice) -> Step:
    """What a step said of some rows."""
    values = {field.name: getattr(step, field.name) for field in fields(step)}
    return Step(**{name: None if v is None else v[rows] for name, v in values.items()})


def _part(known: Known, number: int, rows: int) -> Known:
    """One sample out of several that were drawn together."""
    own = slice(number * rows, (number + 1) * rows)
    if len(known.inner) == rows:
        return known
    return Known(known.inner[own], _picked(known.step, own), known.size)


def _resized(frames: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Frames `[B, H, W, 3]` uint8 at another size, each pixel the mean of those under it."""
    if size is None:
        return frames
    small = functional.interpolate(frames.permute(0, 3, 1, 2).float(), size, mode="area")
    return small.round().to(torch.uint8).permute(0, 2, 3, 1)


def _frame(clip: Clip, t: int) -> Clip:
    """Frame t of every row, as a clip of one frame."""
    frames = {name: value[:, t : t + 1] for name, value in clip.frames.items()}
    return Clip(frames=frames)
