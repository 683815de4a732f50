"""Imagined steps a second while an agent learns in its dreams, and what they are of the machine.

    python -m benchmarks.imagination [--rows 64] [--rounds 5]

A world of the shape that the recipe of Craft trains, with random weights: an update dreams
15 steps from each of so many contexts of 16 frames and learns from them. What committing
the contexts costs is counted: nobody dreams without. The share is that of the operations
of the imagined frames, agents not counted, in the rate of large matrix products.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from benchmarks.dynamics import matmul_rate, median
from benchmarks.results import write
from recipes.craft import size_of
from worldloom.actions import ActionSpec, Categorical
from worldloom.data.types import Clip
from worldloom.models.agent import Agent
from worldloom.models.dream import DreamWorld, Sampler, dream_spec
from worldloom.models.dynamics import Dynamics
from worldloom.models.heads import AgentShape
from worldloom.models.operations import step_operations
from worldloom.models.tiles import TileShape, TileTokenizer
from worldloom.train.dream import Actor, DreamObjective, dream
from worldloom.train.dynamics import shape_for
from worldloom.train.imagination import Dreaming

ACTIONS = ActionSpec((Categorical("action", 14),))
KINDS = 258  # tiles that the recordings of Craft show


def build(passes: int) -> DreamWorld:
    """The world and the agent in it, with random weights."""
    torch.manual_seed(0)
    size = size_of(1)
    assert isinstance(size.tokenizer, TileShape)
    tokenizer = TileTokenizer(replace(size.tokenizer, tile=4, kinds=KINDS))
    tokenizer.fit((torch.rand(KINDS, 4 * 4 * 3) * 255).to(torch.uint8))
    shape = shape_for(size, tokenizer)
    dynamics = Dynamics(shape, ACTIONS).eval().requires_grad_(False)
    assert dynamics.codes is not None
    dynamics.codes.copy_(tokenizer.codes)
    agent = Agent(AgentShape(), shape, ACTIONS).eval().requires_grad_(False)
    spec = dream_spec("benchmark", size.frame, ACTIONS, 10.0)
    return DreamWorld(tokenizer, dynamics, spec, Sampler(passes=passes), agent)


class Dreamer:
    """Updates of an agent, each on dreams of its own.

    Args:
      world: with an agent.
      rows: dreams of an update.
    """

    def __init__(self, world: DreamWorld, rows: int) -> None:
        self.world, self.how = world, replace(Dreaming(), contexts=rows)
        assert world.agent is not None
        self.actor = Actor(world.agent, world.dynamics.shape.width)
        self.objective = DreamObjective(self.actor, world.agent.policy, self.how)
        self.learner = torch.optim.AdamW(self.actor.parameters(), 1e-4)
        shape = world.dynamics.shape
        lead = (rows, self.how.context, shape.tokens, shape.channels)
        self.clip = Clip(latents=torch.randn(lead))

    def __call__(self, number: int) -> float:
        """One update; gives its imagined steps a second."""
        begin = time.perf_counter()
        seeds = torch.arange(self.how.contexts) + number * self.how.contexts
        rollout = dream(self.world, self.actor.policy, self.clip, seeds, self.how.horizon).copy()
        self.objective(rollout).sum().backward()
        self.learner.step()
        self.learner.zero_grad()
        return self.how.contexts * self.how.horizon / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--publish", action="store_true", help="write the results file")
    given = parser.parse_args()
    found, rates = {}, []
    dreamers = {passes: Dreamer(build(passes), given.rows) for passes in (2, 4)}
    speeds: dict[int, list[float]] = {passes: [] for passes in dreamers}
    for dreamer in dreamers.values():
        dreamer(0)
    for number in range(1, given.rounds + 1):
        rates.append(matmul_rate(sizes=(1024, 1536)))
        for passes, dreamer in dreamers.items():
            speeds[passes].append(dreamer(number))
    for passes, values in speeds.items():
        tail = "" if passes == 4 else f"_k{passes}"
        found[f"imagined_steps_per_second{tail}"] = median(np.array(values), unit="steps/s")
        work = step_operations(dreamers[passes].world.dynamics.shape, passes)
        share = np.array(values) * work / max(rates)
        found[f"matmul_share{tail}"] = median(share, unit="1")
    for name, entry in found.items():
        print(f"{name:<32} {entry['value']:.4g} [{entry['low']:.4g}, {entry['high']:.4g}]")
    if given.publish:
        command = f"python -m benchmarks.imagination --rows {given.rows} --rounds {given.rounds}"
        write("imagination", command=command + " --publish", seeds=[0], figures=found)


if __name__ == "__main__":
    main()
