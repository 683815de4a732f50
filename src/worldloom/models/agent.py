"""An agent inside a world model: one token that sees the world, and that the world does not see.

In every frame the token reads all tokens of the frame and its own past, through the
layers of the world (arXiv 2509.24527, section 3.3). Beside it an eye looks at the frame
itself: at small widths one token loses much of what a picture shows. Heads read both: what
to do, the reward, whether this is the end. Policy output n is for the action n + 1 frames
on, reward and ending output n for n frames on; n = 0 is what acts and scores. What pays in a
dream is said by a witness, who sees pictures and never hears what was done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from worldloom.actions import ActionSpec
from worldloom.errors import WorldloomError
from worldloom.models.blocks import RMSNorm, Stack, attend
from worldloom.models.cache import Ring
from worldloom.models.distributions import parameters_of
from worldloom.models.dynamics import Dynamics, DynamicsShape
from worldloom.models.heads import AgentShape, Eye, Head, NumberHead, PolicyHead, Witness
from worldloom.seeding import noise

_CHOICE = 2  # what the noise of a frame is for; 0 and 1 are the world's own


class Agent(nn.Module):
    """The token and its heads.

    Args:
      shape: of the agent.
      world: of the dynamics whose layers it goes through.
      actions: what can be done.
    """

    def __init__(self, shape: AgentShape, world: DynamicsShape, actions: ActionSpec) -> None:
        super().__init__()
        if not (shape.past or shape.eye):
            raise WorldloomError(
                "a policy that reads neither its past nor an eye sees nothing", "give it an eye"
            )
        if not world.is_time(world.layers - 1):
            raise WorldloomError(
                f"the last of {world.layers} layers is over space, and an agent ends over time",
                f"choose layers that {world.time_every} divides",
            )
        self.shape = shape
        width = world.width
        self.token = nn.Parameter(0.5 * torch.randn(len(shape.tasks), width))
        self.norm = RMSNorm(width)
        self.eye = Eye(world, shape.eye) if shape.eye else None
        self.policy = PolicyHead(width, shape, actions, shape.length)
        self.reward = NumberHead(width, shape, shape.length)
        self.ending = Head(width, shape.hidden, shape.length, 1)
        self.witness = Witness(world, shape) if shape.witness else None

    def enter(self, tasks: Tensor) -> Tensor:
        """Tasks `[B]` int64 to the token `[B, W]` as it enters the first layer."""
        return self.token[tasks]

    def read(self, heard: Tensor, latents: Tensor, dice: torch.Generator | None = None) -> Tensor:
        """What the heads read, `[..., W]`; `[..., 2 W]` for a policy without a past.

        Args:
          heard: `[..., W]` the token after the last layer.
          latents: `[..., N, D]` of the frames, as they are.
          dice: of an eye that learns, see `Eye`.
        """
        features = self.norm(heard)
        if self.eye is None:
            return features
        seen = self.eye(latents, dice)
        return features + seen if self.shape.past else torch.cat([features + seen, seen], -1)

    def glance(self, latents: Tensor, dice: torch.Generator | None = None) -> Tensor:
        """What the heads read of a frame without a past, `[..., W]`: what the eye sees.

        Args:
          latents: `[..., N, D]`.
          dice: of an eye that learns, see `Eye`.
        """
        if self.eye is None:
            raise WorldloomError(
                "this agent has no eye to glance with", "give it one, or no glances to learn from"
            )
        return self.eye(latents, dice)

    def task(self, name: str) -> int:
        """The number of a task, or one clear sentence."""
        if name not in self.shape.tasks:
            raise WorldloomError(
                f"this agent knows no task `{name}`", f"it knows: {', '.join(self.shape.tasks)}"
            )
        return self.shape.tasks.index(name)


class WorldAgent(nn.Module):
    """A world and the agent in it, as they are trained together."""

    def __init__(self, dynamics: Dynamics, agent: Agent) -> None:
        super().__init__()
        self.dynamics, self.agent = dynamics, agent


@dataclass
class Mind:
    """What the agents of a batch of dreams remember and have just understood.

    Args:
      ring: the past of their tokens.
      heard: `[B, W]` what the heads read, of the newest committed frame.
      tasks: `[B]` int64.
      over: `[B]` bool: an ending was predicted since the start.
      paid: `[B]` what came with the newest frame, as the witness saw it; 0 without one.
    """

    ring: Ring
    heard: Tensor
    tasks: Tensor
    over: Tensor
    paid: Tensor

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> "Mind":
        return Mind(self.ring[rows], *(part[rows] for part in self.parts().values()))

    def copy(self) -> "Mind":
        return Mind(self.ring.copy(), *(part.clone() for part in self.parts().values()))

    def view(self, row: int) -> "Mind":
        """One row, in the same memory."""
        one = slice(row, row + 1)
        return Mind(self.ring.view(row), *(part[one] for part in self.parts().values()))

    def put(self, row: int, other: "Mind") -> None:
        """Overwrites one row in place with the only row of `other`."""
        self.ring.put(row, other.ring)
        for name, part in other.parts().items():
            getattr(self, name)[row] = part[0]

    def parts(self) -> dict[str, Tensor]:
        """All but the ring, by name, `[B, ...]`."""
        names = ("heard", "tasks", "over", "paid")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def stack(cls, minds: Sequence["Mind"]) -> "Mind":
        rest = zip(*(mind.parts().values() for mind in minds), strict=True)
        return cls(Ring.stack([mind.ring for mind in minds]), *map(torch.cat, rest))

    @classmethod
    def empty(cls, world: DynamicsShape, tasks: Tensor, like: Tensor) -> "Mind":
        """Agents that have seen nothing yet."""
        rows, times = len(tasks), len(world.ring_slots())
        head = (world.kv_heads, world.width // world.heads)
        ring = Ring.empty(rows, [1] * times, head, world.window, like)
        over = torch.zeros(rows, dtype=torch.bool, device=like.device)
        heard, paid = like.new_zeros(rows, world.width), like.new_zeros(rows)
        return cls(ring, heard, tasks.clone(), over, paid)


def listen(agent: Agent, layers: Stack, said: list[tuple[Tensor, Tensor]], mind: Mind) -> None:
    """Takes one committed frame into `mind`, in place.

    `Dynamics.watched` is the judge of it.

    Args:
      agent: whose token it is.
      layers: of the world.
      said: what each space layer said of the frame, see `Walk.say`.
      mind: of all rows.
    """
    x = agent.enter(mind.tasks).to(mind.heard.dtype)[:, None]
    past, fresh, heard = mind.ring.past(), [], iter(said)
    open_places = (past.bias == 0)[:, :, None, None]  # [B, Hkv = 1, Nq = 1, G = 1, R + 1]
    for layer in layers:
        q, k, v = layer.attention.project(layer.attention_norm(x))
        if layer.time:
            rows, place = len(x), len(fresh)
            keys, values = (part[place].unflatten(0, (rows, -1)) for part in (past.k, past.v))
            keys[:, :, -1], values[:, :, -1] = k[:, 0], v[:, 0]
            fresh.append((k, v))
            mask: Tensor | None = open_places
        else:
            keys, values = (
                torch.cat([own, other], 1).transpose(1, 2)
                for own, other in zip((k, v), next(heard), strict=True)
            )
            mask = None
        out = attend(layer.attention.group(q), keys, values, mask)
        x = layer.feed(x + layer.attention.merge(out))
    mind.ring.commit(fresh)
    mind.heard.copy_(x[:, 0])


def draw_action(
    policy: PolicyHead, heard: Tensor, seeds: Tensor, frames: Tensor
) -> dict[str, Tensor]:
    """One action for every row, drawn as a function of (seed, frame).

    Args:
      policy: that acts.
      heard: `[B, W]` features of the rows.
      seeds: `[B]` int64.
      frames: `[B]` int64.
    """
    size = sum(parameters_of(policy.actions))
    seeds, frames = seeds.to(heard.device), frames.to(heard.device)
    return policy.now(heard).sample(noise(seeds, frames, _CHOICE, (size,)))


def choose_action(policy: PolicyHead, heard: Tensor, state: Any) -> dict[str, Tensor]:
    """One action for every row, drawn with the seeds and frame numbers of a dream's state."""
    return draw_action(policy, heard, state.seeds, state.ring.count)
