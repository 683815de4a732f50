"""A dream world opened: what its layers hold of the past, pushed where one likes, and its surprise.

What is looked at is the first denoising pass of the next frame, which sees the past and
noise: after every block, and what the head reads. A push is added in the same place, in
every pass of every frame that follows. Everything else is the world's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.models.dream import DreamWorld
from worldloom.models.dream_state import DreamMark, DreamState
from worldloom.models.dynamics import DynamicsShape
from worldloom.models.heads import PolicyHead
from worldloom.models.walk import Watch
from worldloom.world import Step, WorldSpec

Rows = Sequence[int] | slice | Tensor


@dataclass
class Steered:
    """A batch of moments of a dream that is pushed as it goes on, as a value.

    Args:
      inner: the moments.
      push: `[B, L + 1, N, W]` what is added to the latents' slots after each of L blocks, and
        to what the head reads of them.
    """

    inner: DreamState
    push: Tensor

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, rows: Rows) -> "Steered":
        rows = rows if isinstance(rows, slice) else torch.as_tensor(rows, device=self.push.device)
        return Steered(self.inner[rows], self.push[rows].clone())

    def copy(self) -> "Steered":
        return Steered(self.inner.copy(), self.push.clone())

    def view(self, row: int) -> "Steered":
        """One row in the same memory, as of `DreamState`."""
        return Steered(self.inner.view(row), self.push[row : row + 1])

    def put(self, row: int, other: "Steered") -> None:
        """Overwrites one row in place, as of `DreamState`."""
        self.inner.put(row, other.inner)
        self.push[row] = other.push[0]

    @classmethod
    def stack(cls, states: Sequence["Steered"]) -> "Steered":
        inner = DreamState.stack([state.inner for state in states])
        return cls(inner, torch.cat([state.push for state in states]))


Moments = DreamState | Steered


class Opened:
    """The same world, which also can `features`, `score` and, with nobody in it, `steer`.

    Args:
      world: to look into; states are its own, or `Steered`.
      policy: of the agent in it, where it has one; the agent's own by default.

    Attributes:
      layers: that `features` and `steer` may name: "block 1" and so on, from the first that
        sees the past; "dynamics", what the head reads; and of an agent "agent" and "policy",
        which can be read and not pushed: such a world cannot `steer`.
    """

    def __init__(self, world: DreamWorld, policy: PolicyHead | None = None) -> None:
        self.world = world
        self._policy = policy or (world.agent and world.agent.policy)
        more = {"features", "score"} | ({"steer"} if self._policy is None else set())
        self.spec: WorldSpec = replace(world.spec, capabilities=world.spec.capabilities | more)
        self._blocks = _blocks(world.dynamics.shape)
        self.layers = (*self._blocks, *(() if self._policy is None else ("agent", "policy")))

    def start(self, clip: Clip, seeds: Tensor) -> tuple[DreamState, Step]:
        """As the world."""
        return self.world.start(clip, seeds)

    def step(self, state: Moments, action: Action) -> tuple[Moments, Step]:
        """As the world; a state that is steered is pushed."""
        if isinstance(state, DreamState):
            return self.world.step(state, action)
        inner, step = self._pushed(state).step(state.inner, action)
        return Steered(inner, state.push), step

    def observe(self, state: Moments, action: Action, clip: Clip) -> tuple[Moments, Step]:
        """As the world; a frame that enters a steered state is remembered with the push."""
        if isinstance(state, DreamState):
            return self.world.observe(state, action, clip)
        inner, step = self._pushed(state).observe(state.inner, action, clip)
        return Steered(inner, state.push), step

    def render(self, state: Moments, camera: str = "main") -> Tensor:
        """As the world."""
        return self.world.render(_inner(state), camera)

    def reseed(self, state: Moments, seeds: Tensor) -> Moments:
        """As the world; the push stays."""
        other = self.world.reseed(_inner(state), seeds)
        return Steered(other, state.push.clone()) if isinstance(state, Steered) else other

    def mark(self, state: Moments, since: DreamMark | None = None) -> DreamMark:
        """As the world.

        Raises:
          WorldloomError: the state is steered; marks keep no pushes.
        """
        if isinstance(state, Steered):
            raise WorldloomError("marks keep no pushes, and this state is steered", "copy it")
        return self.world.mark(state, since)

    def __getattr__(self, name: str) -> Any:
        """What else the world can: `recall`, `reconstruct`."""
        return getattr(self.world, name)

    @torch.inference_mode()
    def features(self, state: Moments, layer: str | None = None) -> Tensor:
        """`[B, N * W]` what a layer holds of the next frame's latents, its action unknown.

        Args:
          state: of B rows; not changed.
          layer: one of `layers`, "dynamics" by default; "agent" for what the agent's heads read
            of the newest frame `[B, W]`, "policy" for what it would do, `[B, P]` as
            `ActionDistribution.likely` says it.
        """
        if layer in ("agent", "policy") and self._policy is not None:
            heard = self.world.features(_inner(state))
            return heard.clone() if layer == "agent" else self._policy.now(heard).likely()
        index = self._index(layer or "dynamics")
        kept = {index: torch.empty(0)}
        spec = self.world.dynamics.action.spec
        null = {k: torch.from_numpy(v) for k, v in spec.null((len(state),)).items()}
        unknown = Action(null, torch.zeros(len(state), dtype=torch.bool))
        token = self.world.dynamics.action(unknown.map(lambda x: x.to(self.world.device)))
        self._pushed(state, kept).glimpse(_inner(state), token)
        return kept[index].flatten(1)

    @torch.inference_mode()
    def steer(self, state: Moments, vector: Tensor, layer: str) -> Steered:
        """A push for all frames that follow, beside those that the state has already.

        Args:
          state: of B rows; not changed.
          vector: `[B, N * W]`, by which `features` of that layer are moved.
          layer: one of `layers`.
        """
        index, shape = self._index(layer), self.world.dynamics.shape
        given = state.copy()
        if isinstance(given, DreamState):
            size = (len(given), shape.layers + 1, shape.tokens, shape.width)
            given = Steered(given, torch.zeros(size, device=self.world.device))
        given.push[:, index] += vector.to(given.push).view(len(given), shape.tokens, shape.width)
        return given

    @torch.inference_mode()
    def score(self, state: Moments, clip: Clip) -> Tensor:
        """`[B, T]` mean squared error of the latents that were expected, before each frame came.

        Args:
          state: of B rows; not changed.
          clip: what comes: frames `[B, T, H, W, 3]` and the actions that lead to them.
        """
        world = self.world if isinstance(state, DreamState) else self._pushed(state)
        inner, frames = _inner(state).copy(), clip.frames["main"]
        latents = world.encode(frames).float()
        actions = clip.actions
        assert actions is not None, "frames come of actions; unknown ones are actions too"
        surprise = []
        for t in range(count := frames.shape[1]):
            action = actions[:, t].map(lambda x: torch.as_tensor(x).to(world.device))
            expected, _ = world.glimpse(inner, world.dynamics.action(action))
            surprise.append((expected - latents[:, t]).square().mean((1, 2)))
            if t + 1 < count:  # after the last one nothing is asked
                seen = Clip(latents=latents[:, : t + 1])
                inner, _ = world.observe(inner, action, seen)
        return torch.stack(surprise, 1)

    def _index(self, layer: str) -> int:
        if layer not in self._blocks:
            raise WorldloomError(
                f"`{self.spec.name}` has no layer `{layer}` of this kind",
                f"name one of {', '.join(self._blocks)}",
            )
        return self._blocks[layer]

    def _pushed(self, state: Moments, kept: dict[int, Tensor] | None = None) -> DreamWorld:
        """The world as it goes on from a state; what layers hold is left under those in `kept`."""
        push = state.push if isinstance(state, Steered) else None
        return self.world.watched(_watch(self.world.dynamics.shape, push, kept))


def _inner(state: Moments) -> DreamState:
    return state if isinstance(state, DreamState) else state.inner


def _blocks(shape: DynamicsShape) -> dict[str, int]:
    """The layers by name; blocks before the first that sees the past know nothing of it."""
    first = 0 if shape.copy else next(i for i in range(shape.layers) if shape.is_time(i))
    return {f"block {i + 1}": i for i in range(first, shape.layers)} | {"dynamics": shape.layers}


def _watch(shape: DynamicsShape, push: Tensor | None, kept: dict[int, Tensor] | None) -> Watch:
    """Adds `push` `[B, L + 1, N, W]` where blocks end; `kept` has `[B, N, W]` of those it names."""
    own = slice(2, 2 + shape.tokens)

    def watch(index: int, x: Tensor) -> Tensor:
        latents = x[:, own] if x.shape[1] == shape.slots else x
        if push is not None:
            latents += push[:, index].to(x.dtype)
        if kept is not None and index in kept:
            kept[index] = latents.float().clone()
        return x

    return watch
