"""Any world behind the contract as a probe.

A world that can `score` is asked itself. For one that only draws and observes, the
surprise of a frame is its squared pixel error against what was drawn for it: all
that can be said of a world whose probabilities are not known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worldloom import seeding
from worldloom.actions import Action, ActionSpec
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.evaluate.windows import camera_of
from worldloom.trust.probe import Edit, Rollout
from worldloom.world import Step, World


@dataclass(frozen=True)
class Known:
    """A world's state, and what it said when it came to it.

    Args:
      inner: the state, never stepped: every use steps a copy.
      step: reward, ending and doubt as the world itself estimates them.
    """

    inner: Any
    step: Step

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
    """

    def __init__(
        self, world: World, name: str | None = None, *, tells: frozenset[str] = frozenset()
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
        self._check(clip)
        if state is None:
            rows = len(clip.frames[self._camera]) if clip.frames else len(clip.snapshots or ())
            return Known(*self.world.start(clip, torch.zeros(rows, dtype=torch.int64)))
        inner, step = state.inner.copy(), state.step
        for t in range(clip.frames[self._camera].shape[1]):
            inner, step = self.world.observe(inner, self._action(clip, t), _frame(clip, t))
        return Known(inner, step)

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
        """One sample a seed; row b of sample s draws from the stream (seed s, b)."""
        frames, rewards, states = zip(
            *(self._sample(state, actions, seed, edit) for seed in seeds), strict=True
        )
        join = lambda parts: None if parts[0] is None else torch.stack(parts)  # noqa: E731
        return Rollout(join(frames), join(rewards), states)

    def _sample(
        self, state: Known, actions: Action, seed: int, edit: Edit | None
    ) -> tuple[Tensor | None, Tensor | None, Known]:
        begun = known = Known(self._begun(state, seed, edit), state.step)
        frames, rewards = [], []
        for known in self._steps(begun, actions):
            if "render" in self.world.spec.capabilities:
                drawn = torch.as_tensor(self.world.render(known.inner, self._camera))
                frames.append(drawn.cpu().clone())
            if known.reward is not None:
                rewards.append(known.reward.cpu().clone())
        stack = lambda parts: torch.stack(parts, 1) if parts else None  # noqa: E731
        return stack(frames), stack(rewards), known

    def _begun(self, state: Known, seed: int, edit: Edit | None = None) -> Any:
        """The state of a sample before its first step; one of no steps leaves it so."""
        inner = state.inner.copy()
        if "reseed" in self.world.spec.capabilities:
            draws = [seeding.stream(seed, "probe", row) for row in range(len(inner))]
            inner = self.world.reseed(inner, torch.tensor(draws))
        if edit is not None:
            vector = edit.vector.expand(len(inner), -1)
            inner = self.world.steer(inner, vector, edit.layer)
        return inner

    def _steps(self, known: Known, actions: Action) -> Iterator[Known]:
        """What is known after each step; the memory of one is used again for the next."""
        for t in range(actions.known.shape[1]):
            known = Known(*self.world.step(known.inner, actions[:, t]))
            yield known

    @torch.no_grad()
    def score(self, state: Known, clip: Clip) -> Tensor:
        """`[B, T]` the world's own surprise, or the squared pixel error of what it drew."""
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
        begun = Known(self._begun(state, seed=0), state.step)
        for known in self._steps(begun, actions):
            assert known.step.doubt is not None, "`doubt` is asked only of worlds that have it"
            doubts.append(known.step.doubt.cpu().clone())
        return torch.stack(doubts, 1)

    def _check(self, clip: Clip) -> None:
        """Raises where a clip is not of this world's frames and actions: nothing is resized."""
        spec, frames = self.world.spec, clip.frames.get(self._camera)
        if frames is not None and tuple(frames.shape[2:4]) != tuple(spec.cameras[self._camera]):
            (height, width), (own, wide) = frames.shape[2:4], spec.cameras[self._camera]
            raise WorldloomError(
                f"`{self.name}` sees frames of {own}x{wide}, these are {height}x{width}",
                "let a world of this size sit it, or resize the recordings it learns from",
            )
        if clip.actions is not None and set(clip.actions.values) != set(spec.action.null(())):
            own, given = sorted(spec.action.null(())), sorted(clip.actions.values)
            raise WorldloomError(
                f"`{self.name}` has the actions {own}, these are {given}",
                "let a world with these actions sit it",
            )

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


def _frame(clip: Clip, t: int) -> Clip:
    """Frame t of every row, as a clip of one frame."""
    frames = {name: value[:, t : t + 1] for name, value in clip.frames.items()}
    return Clip(frames=frames)
