"""Runs this project's dynamics at a given shape, under the rules that the others run under.

A training step is `Learner.update` with everything that belongs to it (loss
scale, clipping, AdamW, the averaged weights); a generated frame is
`DreamWorld.step`, its commit pass included. Drawing the random latents is not
timed, nor is it for the others; drawing noise and levels is.
"""

import math
import time
from pathlib import Path
from typing import Any

import torch
from protocol import matrix_flops, serve

from worldloom.actions import Action, ActionSpec, Categorical
from worldloom.configs import Forcing, tiny
from worldloom.data.types import Clip
from worldloom.models.dream import DreamState, DreamWorld, Sampler, arrange
from worldloom.models.dynamics import Dynamics, DynamicsShape
from worldloom.models.tokenizer import Tokenizer
from worldloom.seeding import generator
from worldloom.train.dist import Ranks
from worldloom.train.draws import draw
from worldloom.train.dynamics import DynamicsObjective
from worldloom.train.learner import Learner
from worldloom.train.optim import Schedule
from worldloom.world import WorldSpec

ACTIONS = ActionSpec((Categorical("button", 8),))


class Ours:
    """`Dynamics` of size tiny with random weights, on random latents."""

    def __init__(self, given: dict[str, Any], checkout: Path | None) -> None:
        del checkout
        torch.set_num_threads(given["threads"])
        torch.manual_seed(0)
        self.given = given
        self.dynamics = self.build(window=given["frames"])
        self.learner = Learner(DynamicsObjective(self.dynamics), Schedule(steps=10_000), Ranks())
        self.dreams: dict[int, tuple[DreamWorld, DreamState]] = {}
        self.about = {
            "name": "worldloom",
            "torch": torch.__version__,
            "parameters": sum(p.numel() for p in self.dynamics.parameters()),
            "tokens_per_frame": self.dynamics.shape.slots,
            "flops_per_step": matrix_flops(self.train),
        }

    def build(self, window: int) -> Dynamics:
        given = self.given
        keys = ("width", "layers", "tokens", "channels", "registers", "grid")
        hidden = tiny().dynamics.hidden
        shape = DynamicsShape(**{key: given[key] for key in keys}, hidden=hidden, window=window)
        return Dynamics(shape, ACTIONS)

    def actions(self, *lead: int) -> Action:
        return Action({"button": torch.randint(0, 8, lead)}, torch.ones(lead, dtype=torch.bool))

    def latents(self, rows: int, frames: int) -> torch.Tensor:
        return torch.randn(rows, frames, self.given["tokens"], self.given["channels"]).tanh()

    def train(self) -> float:
        lead = (self.given["batch"], self.given["frames"])
        clean, actions = self.latents(*lead), self.actions(*lead)
        start = time.perf_counter()
        draws = draw(
            self.dynamics.shape,
            lead,
            Forcing(bootstrap_rows=self.given["bootstrap_rows"]),
            1.0,
            generator(0, "draws", self.learner.step),
        )
        loss = float(self.learner.update(clean, actions, draws)["loss"])
        seconds = time.perf_counter() - start
        if not math.isfinite(loss):
            raise SystemExit(f"the loss is {loss}")
        return seconds

    def generate(self, context: int) -> float:
        if context not in self.dreams:
            self.dreams[context] = self.begin(context)
        world, state = self.dreams[context]
        action = self.actions(1)
        start = time.perf_counter()
        state, _ = world.step(state, action)
        seconds = time.perf_counter() - start
        self.dreams[context] = world, state
        return seconds

    def begin(self, context: int) -> tuple[DreamWorld, DreamState]:
        """A dream whose time layers see `context` frames of the past, all of them there."""
        spec = WorldSpec(
            "benchmark", {"main": (64, 64)}, ACTIONS, 20.0, starts=frozenset({"latents"})
        )
        world = DreamWorld(
            Tokenizer(tiny().tokenizer),
            arrange(self.build(window=context + 1)),
            spec,
            Sampler(passes=self.given["passes"]),
        )
        clip = Clip(latents=self.latents(1, context), actions=self.actions(1, context))
        return world, world.start(clip, torch.zeros(1, dtype=torch.int64))[0]


if __name__ == "__main__":
    serve(Ours)
