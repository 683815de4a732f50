"""A dream world opened: what its dynamics holds of the past, and how much a frame surprises it.

Both come of the first denoising pass of the next frame, which sees the past and noise.
Everything else is the world's own.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.models.dream import DreamWorld
from worldloom.models.dream_state import DreamState
from worldloom.models.heads import PolicyHead
from worldloom.world import Step, WorldSpec


class Opened:
    """The same world, which also can `features` and `score`.

    Args:
      world: to look into; states are its own.
      policy: of the agent in it, where it has one; the agent's own by default.
    """

    def __init__(self, world: DreamWorld, policy: PolicyHead | None = None) -> None:
        self.world = world
        self._policy = policy or (world.agent and world.agent.policy)
        more = world.spec.capabilities | {"features", "score"}
        self.spec: WorldSpec = replace(world.spec, capabilities=more)

    def start(self, clip: Clip, seeds: Tensor) -> tuple[DreamState, Step]:
        """As the world."""
        return self.world.start(clip, seeds)

    def step(self, state: DreamState, action: Action) -> tuple[DreamState, Step]:
        """As the world."""
        return self.world.step(state, action)

    def __getattr__(self, name: str) -> Any:
        """What the world can beyond the contract's first two: `render`, `observe`, `reseed`."""
        return getattr(self.world, name)

    @property
    def layers(self) -> tuple[str, ...]:
        """That `features` may name; a world without an agent has but one, without a name."""
        return () if self._policy is None else ("dynamics", "agent", "policy")

    @torch.inference_mode()
    def features(self, state: DreamState, layer: str | None = None) -> Tensor:
        """`[B, N * W]` what the head reads of the next frame, its action unknown.

        Args:
          state: of B rows; not changed.
          layer: "agent" for what the agent's heads read of the newest frame `[B, W]`; "policy"
            for what it would do, `[B, P]` as `ActionDistribution.likely` says it.
        """
        if layer in ("agent", "policy"):
            assert self._policy is not None, "these are layers of a world with an agent"
            heard = self.world.features(state)
            return heard.clone() if layer == "agent" else self._policy.now(heard).likely()
        spec = self.world.dynamics.action.spec
        null = {k: torch.from_numpy(v) for k, v in spec.null((len(state),)).items()}
        unknown = Action(null, torch.zeros(len(state), dtype=torch.bool))
        token = self.world.dynamics.action(unknown.map(lambda x: x.to(self.world.device)))
        return self.world.glimpse(state, token)[1].flatten(1).clone()

    @torch.inference_mode()
    def score(self, state: DreamState, clip: Clip) -> Tensor:
        """`[B, T]` mean squared error of the latents that were expected, before each frame came.

        Args:
          state: of B rows; not changed.
          clip: what comes: frames `[B, T, H, W, 3]` and the actions that lead to them.
        """
        state, frames = state.copy(), clip.frames["main"]
        latents = self.world.encode(frames).float()
        actions = clip.actions
        assert actions is not None, "frames come of actions; unknown ones are actions too"
        surprise = []
        for t in range(count := frames.shape[1]):
            action = actions[:, t].map(lambda x: torch.as_tensor(x).to(self.world.device))
            expected, _ = self.world.glimpse(state, self.world.dynamics.action(action))
            surprise.append((expected - latents[:, t]).square().mean((1, 2)))
            if t + 1 < count:  # after the last one nothing is asked
                seen = Clip(latents=latents[:, : t + 1])
                state, _ = self.world.observe(state, action, seen)
        return torch.stack(surprise, 1)
