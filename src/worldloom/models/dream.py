"""A learned world behind the contract: context in, one imagined frame a step.

Each frame takes K denoising passes that read the cache and one pass that
commits it, slightly corrupted and truthfully labelled (arXiv 2509.24527,
section 3.2; the ring is ours). Knows tensors; not how anything was trained.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Self

import torch
from torch import Tensor

from worldloom.actions import Action, ActionSpec
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.models.agent import Agent, Mind, listen
from worldloom.models.cache import Ring
from worldloom.models.cells import Cells
from worldloom.models.doubt import Doubt
from worldloom.models.draw import Made, Sampler, draw, glimpse
from worldloom.models.dream_state import DreamMark, DreamState
from worldloom.models.dynamics import Dynamics
from worldloom.models.patches import PatchTokenizer, to_bytes
from worldloom.models.tokenizers import AnyTokenizer
from worldloom.models.walk import Walk, Watch
from worldloom.seeding import noise
from worldloom.world import Step, WorldSpec, require_start

_SAMPLE, _COMMIT = 0, 1  # what the noise of a frame is for


class DreamWorld:
    """A model world: tokenizer and shortcut dynamics as `start` and `step`.

    Args:
      tokenizer: turns frames into latents and back.
      dynamics: predicts latents.
      spec: what the world is made of.
      sampler: how frames are drawn.
      agent: who is in it; with one the world knows rewards and endings.
      doubt: fitted to this world as it is drawn; with one its steps tell how likely they are
        wrong, and the spec has its tolerance. What is seen, at a start or by `observe`, is
        not doubted.
    """

    def __init__(
        self,
        tokenizer: AnyTokenizer,
        dynamics: Dynamics,
        spec: WorldSpec,
        sampler: Sampler | None = None,
        agent: Agent | None = None,
        doubt: Doubt | None = None,
    ) -> None:
        self.tokenizer = tokenizer.eval()
        self.dynamics = dynamics.eval()
        self.agent = None if agent is None else agent.eval()
        self.doubt = None if doubt is None else doubt.eval()
        spec = spec if doubt is None else replace(spec, tolerance=doubt.tolerance)
        self.spec = spec if agent is None else _with_agent(spec)
        self.sampler = sampler or Sampler()
        if self.sampler.hold and not isinstance(tokenizer, PatchTokenizer):
            raise WorldloomError(
                f"hold={self.sampler.hold} compares pixels, and this world's tokens are no patches",
                "draw its frames with hold=0",
            )
        grid = dynamics.shape.grid
        if self.sampler.passes < 1 or grid % self.sampler.passes:
            raise WorldloomError(
                f"{self.sampler.passes} passes a frame do not fit a grid of {grid}",
                f"choose a power of two up to {grid}",
            )
        self._committed = round(self.sampler.context * grid)  # index of the context's level
        self._step: Callable[[DreamState, Tensor], None] = self.advance
        self._walker: Callable[..., Walk] = Walk

    def to(self, device: str | torch.device) -> Self:
        """Moves all weights."""
        for part in (self.tokenizer, self.dynamics, self.agent, self.doubt):
            if part is not None:
                part.to(device)
        return self

    def advance_by(self, engine: Callable[[DreamState, Tensor], None]) -> None:
        """From now on `step` has `engine` do what `advance` does."""
        self._step = engine

    def watched(self, watch: Watch) -> Self:
        """The same world, with somebody who sees, and may change, what every block leaves.

        Its steps are done by no engine: what has been captured has nobody watching.

        Args:
          watch: as of `Walk`; hears of every pass of every frame, those that commit included.
        """
        other = copy(self)
        other._walker = partial(Walk, watch=watch)
        other._step = other.advance
        return other

    @property
    def device(self) -> torch.device:
        return self.dynamics.slot.device

    @property
    def about(self) -> str:
        """What a frame is computed with, in words."""
        count = sum(part.numel() for part in self.dynamics.parameters())
        return f"{count:,} parameters, {self.sampler.passes} passes a frame"

    @torch.inference_mode()
    def start(self, clip: Clip, seeds: Tensor) -> tuple[DreamState, Step]:
        """Commits a context, frame by frame, as generated frames would be.

        Args:
          clip: frames `[B, T, H, W, 3]` of camera "main", or latents `[B, T, N, D]`; without
            actions they count as unknown. Its texts are the tasks of the agents, by default
            the first that they know.
          seeds: `[B]` int64.
        """
        kind = require_start(self, clip)
        latents = clip.latents if kind == "latents" else self.encode(clip.frames["main"])
        latents = latents.to(self.device, torch.float32)
        rows, length = latents.shape[:2]
        shape, ring = self.dynamics.shape, self._empty_ring(rows)
        history = latents.new_zeros(rows, self.tokenizer.window, *latents.shape[2:])
        before = latents.new_zeros(rows, shape.tokens, shape.copy * shape.channels)
        mind = self._mind(clip, rows)
        doubt = None if self.doubt is None else latents.new_zeros(rows)
        state = DreamState(ring, history, before, seeds.to(self.device).clone(), mind, doubt)
        actions = clip.actions or self._unknown((rows, length))
        actions = actions.map(lambda x: torch.as_tensor(x).to(self.device))
        for index in range(max(0, length - 4 * shape.window), length):
            token = self.dynamics.action(actions[:, index])
            self.commit(state, latents[:, index], self._walk(state, token))
        return state, self._told(state)

    @torch.inference_mode()
    def step(self, state: DreamState, action: Action) -> tuple[DreamState, Step]:
        """Imagines one frame; reuses the memory of `state`."""
        action = action.map(lambda x: torch.as_tensor(x).to(self.device))
        self._step(state, self.dynamics.action(action))
        return state, self._told(state)

    @torch.inference_mode()
    def observe(self, state: DreamState, action: Action, clip: Clip) -> tuple[DreamState, Step]:
        """A real step enters a running state; reuses the memory of `state`.

        Args:
          state: of B rows.
          action: that was done: values `[B, ...]`, known `[B]`.
          clip: `[B, T, ...]` frames or latents, the last of which is new. A tokenizer that
            sees through time makes more of a frame with those before it.

        An ending that was predicted for an earlier frame is taken back: reality went on.
        """
        kind = require_start(self, clip)
        latents = clip.latents if kind == "latents" else self.encode(clip.frames["main"])
        action = action.map(lambda x: torch.as_tensor(x).to(self.device))
        token = self.dynamics.action(action)
        newest = latents[:, -1].to(self.device, torch.float32)
        self.commit(state, newest, self._walk(state, token))
        if state.mind is not None:
            state.mind.over.zero_()
        if state.doubt is not None:
            state.doubt.zero_()
        return state, self._told(state)

    def features(self, state: DreamState) -> Tensor:
        """What the agent's heads read of the newest frame, `[B, W]`; needs an agent."""
        assert state.mind is not None and self.agent is not None
        return self.agent.read(state.mind.heard, state.latents[:, -1])

    @torch.inference_mode()
    def advance(self, state: DreamState, token: Tensor) -> None:
        """`step` in place, for actions `[B, W]` that are encoded already.

        Fixed addresses, fixed shapes, nothing read back: may be captured as a CUDA graph.
        """
        made = self.make(state, token)
        if self.doubt is not None and state.doubt is not None:
            state.doubt.copy_(self.doubt(made))
        self.commit(state, made.latents, made.walk)

    @torch.inference_mode()
    def make(self, state: DreamState, token: Tensor) -> Made:
        """Draws the next frame, of which `state` knows nothing until it is committed."""
        walk, shape = self._walk(state, token), self.dynamics.shape
        last = state.latents[:, -1]

        def drawn(use: int) -> tuple[Tensor, Tensor, Tensor]:
            z = noise(state.seeds, state.ring.count, use, (shape.tokens, shape.channels))
            z, first, read = draw(walk, z, self.sampler, shape.grid)
            return self._settled(z, last), first, read

        z, first, read = drawn(_SAMPLE)
        return Made(z, last, first, read, walk, lambda use: drawn(use)[0])

    @torch.inference_mode()
    def glimpse(self, state: DreamState, token: Tensor) -> tuple[Tensor, Tensor]:
        """`first` and `read` of the frame that `make` would draw, which is not drawn."""
        shape = self.dynamics.shape
        z = noise(state.seeds, state.ring.count, _SAMPLE, (shape.tokens, shape.channels))
        return glimpse(self._walk(state, token), z, self.sampler, shape.grid)

    def _settled(self, latents: Tensor, last: Tensor) -> Tensor:
        """A drawn frame, held or snapped as the sampler says."""
        if self.sampler.hold and isinstance(self.tokenizer, PatchTokenizer):
            return self.tokenizer.hold(latents, last, self.sampler.hold)
        if self.dynamics.shape.kinds:  # drawn of tiles, and nowhere else to go
            return latents
        return self.tokenizer.snap(latents) if self.sampler.snap else latents

    def _walk(self, state: DreamState, token: Tensor) -> Walk:
        return self._walker(self.dynamics, token, state.ring.past(), state.before)

    def _mind(self, clip: Clip, rows: int) -> Mind | None:
        """Agents that have seen nothing yet, with the clip's tasks."""
        if self.agent is None:
            return None
        names = clip.texts or (self.agent.shape.tasks[0],) * rows
        tasks = torch.tensor([self.agent.task(name) for name in names], device=self.device)
        return Mind.empty(self.dynamics.shape, tasks, self.dynamics.embed.weight)

    def _told(self, state: DreamState) -> Step:
        """Doubt of the newest frame; its reward and ending, as the agent understands them."""
        doubt = None if state.doubt is None else state.doubt.clone()
        if self.agent is None or state.mind is None:
            return Step(doubt=doubt)
        mind, heard = state.mind, self.features(state)
        head = self.agent.reward
        reward = mind.paid if self.agent.witness else head.mean(head(heard)[:, 0])
        reward = reward.masked_fill(mind.over, 0.0)
        mind.over |= self.agent.ending(heard)[:, 0, 0] > 0
        return Step(reward=reward, terminated=mind.over.clone(), doubt=doubt)

    @torch.inference_mode()
    def commit(self, state: DreamState, latents: Tensor, walk: Walk) -> None:
        """Makes `[B, N, D]` the newest frame of `state`, in place."""
        shape = self.dynamics.shape
        eps = noise(state.seeds, state.ring.count, _COMMIT, (shape.tokens, shape.channels))
        mixed = torch.lerp(eps, latents, self._committed / shape.grid)
        said = None if state.mind is None else walk.say()
        if state.mind is not None and self.agent is not None and self.agent.witness:
            paid = self.agent.witness.paid(state.latents[:, -1], latents, state.mind.tasks)
            state.mind.paid.copy_(paid.masked_fill(state.ring.count == 0, 0.0))
        state.ring.commit(walk.remember(mixed, self._committed, shape.grid.bit_length() - 1))
        if self.agent is not None and state.mind is not None and said is not None:
            listen(self.agent, self.dynamics.layers, said, state.mind)
        state.before.copy_(torch.cat([mixed, state.before], -1)[..., : state.before.shape[-1]])
        state.latents.copy_(torch.cat([state.latents[:, 1:], latents[:, None]], 1))

    @torch.inference_mode()
    def render(self, state: DreamState, camera: str = "main") -> Tensor:
        """The newest frame of every row, `[B, H, W, 3]` uint8."""
        del camera  # there is one; `spec.cameras` says so
        return to_bytes(self.tokenizer.decode_last(state.latents, state.ring.count))

    @torch.inference_mode()
    def mark(self, state: DreamState, since: DreamMark | None = None) -> DreamMark:
        """Keeps the moment `state`, which `since` was one step before."""
        newest = self._left(state, 1)
        if since is not None:
            return replace(since, frames=(since.cells.keep(newest), *since.frames[:-1]))
        shape, cells = self.dynamics.shape, Cells(newest)
        ages = range(1, 1 + max(shape.window - 1, self.tokenizer.window, shape.copy))
        return DreamMark(tuple(cells.keep(self._left(state, age)) for age in ages), cells)

    def _left(self, state: DreamState, age: int) -> dict[str, Tensor]:
        """What a frame left, as in `DreamMark`; anything where it is too old to be asked for."""
        ring, shape, mind = state.ring, self.dynamics.shape, state.mind
        cached = min(age, shape.window - 1)
        place = max(0, min(age, shape.copy) - 1) * shape.channels
        left = {
            "cached": ring.frame(cached),
            "shown": state.latents[:, -min(age, self.tokenizer.window)],
            "before": state.before[..., place : place + shape.channels],
            "count": ring.count,
            "seeds": state.seeds,
        }
        if state.doubt is not None:
            left["doubt"] = state.doubt
        if mind is not None:
            left["thought"] = mind.ring.frame(cached)
            left |= mind.parts()
        return left

    @torch.inference_mode()
    def recall(self, mark: DreamMark) -> DreamState:
        """The state that `mark` keeps, in memory of its own."""
        shape = self.dynamics.shape
        left = [cell.read() for cell in mark.frames]
        newest, cached = left[0], left[: shape.window - 1]
        ring = self._empty_ring(len(newest["seeds"]))
        ring.refill([frame["cached"] for frame in cached], newest["count"])
        shown = [frame["shown"] for frame in left[: self.tokenizer.window]]
        before = [frame["before"] for frame in left[: max(1, shape.copy)]]
        mind = None
        if "thought" in newest:
            mind = Mind.empty(shape, newest["tasks"], self.dynamics.embed.weight)
            mind.ring.refill([frame["thought"] for frame in cached], newest["count"])
            for name, part in mind.parts().items():
                part.copy_(newest[name])
        latents, seeds = torch.stack(shown[::-1], 1), newest["seeds"].clone()
        doubt = newest["doubt"].clone() if "doubt" in newest else None
        return DreamState(ring, latents, torch.cat(before, -1), seeds, mind, doubt)

    def _empty_ring(self, rows: int) -> Ring:
        shape = self.dynamics.shape
        head = (shape.kv_heads, shape.width // shape.heads)
        like = self.dynamics.embed.weight
        return Ring.empty(rows, shape.ring_slots(), head, shape.window, like)

    def reseed(self, state: DreamState, seeds: Tensor) -> DreamState:
        """Another of the possible futures: the same past under other noise."""
        other = state.copy()
        other.seeds = seeds.to(self.device).clone()
        return other

    @torch.inference_mode()
    def encode(self, frames: Tensor) -> Tensor:
        """Frames `[B, T, H, W, 3]` uint8 to latents `[B, T, N, D]`."""
        return self.tokenizer.encode(frames.to(self.device))

    @torch.inference_mode()
    def reconstruct(self, clip: Clip) -> Tensor:
        """The tokenizer's ceiling: encodes and decodes a clip, `[B, T, H, W, 3]` uint8."""
        return to_bytes(self.tokenizer.decode(self.encode(clip.frames["main"])))

    def _unknown(self, lead: tuple[int, int]) -> Action:
        null = self.dynamics.action.spec.null(lead)
        values = {name: torch.from_numpy(value) for name, value in null.items()}
        return Action(values, torch.zeros(lead, dtype=torch.bool))


def arrange(dynamics: Dynamics) -> Dynamics:
    """Lays weights out in memory for few rows: input-major, the same numbers.

    One player's tokens are a couple of dozen rows, and a CPU's matrix product reads the
    weights once for each; stored this way it reads them in order, a fifth faster.
    """
    for part in dynamics.modules():
        if isinstance(part, torch.nn.Linear):
            part.weight.data = part.weight.data.t().contiguous().t()
    return dynamics


def lighten(dynamics: Dynamics) -> Dynamics:
    """Matrices in bfloat16, in place, for a GPU that generates; norms and head stay float32."""
    parts = [dynamics.embed, dynamics.layers, *([dynamics.near] if dynamics.shape.columns else [])]
    for part in (inner for whole in parts for inner in whole.modules()):
        if isinstance(part, torch.nn.Linear):
            part.bfloat16()
    return dynamics


def _with_agent(spec: WorldSpec) -> WorldSpec:
    return replace(spec, capabilities=spec.capabilities | {"features"})


def dream_spec(name: str, frame: tuple[int, int], actions: ActionSpec, fps: float) -> WorldSpec:
    """What a dream world can do, for frames of (height, width)."""
    return WorldSpec(
        name=name,
        cameras={"main": frame},
        action=actions,
        fps=fps,
        capabilities=frozenset(
            {"render", "fork", "rows", "recall", "reseed", "reconstruct", "observe"}
        ),
        starts=frozenset({"frames", "latents"}),
    )
