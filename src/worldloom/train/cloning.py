"""What the heads of an agent learn from recordings: actions, rewards, endings, for frames ahead.

Output n of the policy is for the action n + 1 frames on, output n of the others for n
frames on (arXiv 2509.24527, section 3.3; the offsets are ours).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldloom.actions import Action
from worldloom.configs import Forcing
from worldloom.data.types import Clip
from worldloom.models.agent import Agent, WorldAgent
from worldloom.train.draws import Draws
from worldloom.train.dynamics import objective_of
from worldloom.train.imagination import mean_where
from worldloom.train.shortcut import corrupt

SMUDGE = 0.05  # of noise, on half of what a witness learns from: dreams are not as clear


@dataclass(frozen=True)
class Lesson:
    """Windows that an agent learns from.

    Args:
      clean: latents `[B, T, N, D]`.
      action: values `[B, T, ...]`, known `[B, T]`.
      reward: `[B, T]`.
      rewarded: `[B, T]` bool where the reward is known and is that of the row's task.
      ended: `[B, T]` bool.
      tasks: `[B]` int64.
      well: `[B, T]` bool, whether things went well after a frame, for a policy that aims.
      last: `[B]` how much rows count in the loss of endings that were put there for them, 0 for
        any other row, which counts 1 and is imitated.
    """

    clean: Tensor
    action: Action
    reward: Tensor
    rewarded: Tensor
    ended: Tensor
    tasks: Tensor
    well: Tensor | None = None
    last: Tensor | None = None

    @classmethod
    def of(cls, clip: Clip, clean: Tensor, tasks: Tensor, own: Tensor) -> "Lesson":
        """From a clip and its latents.

        Args:
          clip: with actions and rewards.
          clean: its latents.
          tasks: `[B]` that the rows are given.
          own: `[B]` bool whether that is the task of the recording.
        """
        assert clip.actions is not None
        device = clean.device
        return cls(
            clean,
            clip.actions.map(lambda x: x.to(device)),
            clip.reward.to(device),
            clip.reward_known.to(device) & own.to(device)[:, None],
            clip.terminated.to(device),
            tasks.to(device),
        )


@dataclass(frozen=True)
class Shown:
    """What an update of an agent learns from.

    Args:
      relevant: windows that show how something is done.
      noise: `[B, T, N, D]` that their frames are committed with.
      glances: frames that the eye learns to act on by itself, in windows of two.
      uniform: any windows; None where only the agent learns.
      draws: what is random in the dynamics loss of these.
      seed: of what the eye leaves out; None: nothing.
    """

    relevant: Lesson
    noise: Tensor
    glances: tuple[Lesson, ...] = ()
    uniform: Lesson | None = None
    draws: Draws | None = None
    seed: int | None = None

    def dice(self) -> torch.Generator | None:
        """Of what the eye leaves out, from the beginning."""
        if self.seed is None:
            return None
        return torch.Generator(self.relevant.clean.device).manual_seed(self.seed)


def ahead(values: Tensor, first: int, frames: int, length: int) -> tuple[Tensor, Tensor]:
    """What `length` outputs of `frames` frames are about.

    Args:
      values: `[B, T, ...]`.
      first: how many frames on output 0 looks.
      frames: F, that have outputs; from the first on.
      length: L, outputs of each.

    Returns:
      `[B, F, L, ...]`, and `[F, L]` bool where that lies inside the window.
    """
    index = torch.arange(frames)[:, None] + first + torch.arange(length)
    inside = index < values.shape[1]
    index = index.clamp(max=values.shape[1] - 1).to(values.device)
    return values[:, index], inside.to(values.device)


class AgentObjective(nn.Module):
    """Dynamics on uniform windows, cloning on relevant ones, all else on both.

    All else is rewards and endings as the token understands them, and rewards as a witness
    sees them.

    Args:
      model: the world and the agent in it.
      forcing: how the dynamics is trained.
      metric: in which its errors are squared, see `DynamicsObjective`.
      cloning: only the agent learns from the windows, as if the world's loss were nothing.
    """

    terms = ("shortcut", "policy", "glance", "reward", "ending", "seen")
    weights = (1.0,) * 6

    def __init__(
        self,
        model: WorldAgent,
        forcing: Forcing,
        metric: Tensor | None = None,
        *,
        cloning: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.world = objective_of(model.dynamics, forcing, metric)
        if cloning:
            self.weights = (0.0, *self.weights[1:])

    def forward(self, shown: Shown) -> Tensor:
        """Losses `[6]`."""
        agent, relevant, noise = self.model.agent, shown.relevant, shown.noise
        uniform, draws, dice = shown.uniform, shown.draws, shown.dice()
        heard = self._committed(relevant, noise, dice)
        policy = policy_loss(agent, heard, relevant)
        lessons = [(relevant, heard)]
        shortcut = policy.new_zeros(1)
        if uniform is not None and draws is not None:
            guest = agent.enter(uniform.tasks)
            shortcut, also = self.world.watched(uniform.clean, uniform.action, draws, guest)
            assert also is not None
            seen = agent.read(also, uniform.clean[:, : also.shape[1]], dice)
            lessons.append((uniform, seen))
        reward = torch.stack([reward_loss(agent, h, lesson) for lesson, h in lessons]).mean()
        ending = torch.stack([ending_loss(agent, h, lesson) for lesson, h in lessons]).mean()
        smudged = replace(relevant, clean=relevant.clean + SMUDGE * noise)
        pictures = [smudged] if uniform is None else [smudged, uniform]
        witnessed = torch.stack([witness_loss(agent, lesson) for lesson in pictures]).mean()
        glance = glance_loss(agent, shown.glances, dice)
        return torch.cat([shortcut, torch.stack([policy, glance, reward, ending, witnessed])])

    def _committed(
        self, lesson: Lesson, noise: Tensor, dice: torch.Generator | None = None
    ) -> Tensor:
        """What the agent hears of frames that are committed as when it acts, `[B, T, W]`."""
        model, agent = self.model.dynamics, self.model.agent
        grid = model.shape.grid
        level = torch.full(lesson.clean.shape[:2], grid - 1, device=noise.device)
        finest = torch.full_like(level, grid.bit_length() - 1)
        seen = corrupt(lesson.clean, noise, level, grid)
        guest = agent.enter(lesson.tasks)
        _, heard = model.watched(seen, level, finest, lesson.action, None, None, guest)
        assert heard is not None
        return agent.read(heard, lesson.clean, dice)


def policy_loss(agent: Agent, heard: Tensor, lesson: Lesson) -> Tensor:
    """Negative log-probability of the recorded actions, where they are known.

    The very next action, which is all that acts, weighs as much as all later ones together.
    """
    action, frames, length = lesson.action, heard.shape[1], agent.shape.length
    known, inside = ahead(action.known, 1, frames, length)
    values = {k: ahead(v, 1, frames, length)[0] for k, v in action.values.items()}
    counted = known & inside
    if lesson.last is not None:
        counted = counted & (lesson.last == 0)[:, None, None]
    loss = -agent.policy(heard, lesson.well).log_prob(values)
    counted = counted.expand_as(loss)
    parts = [mean_where(loss[:, :, n], counted[:, :, n]) for n in (slice(1), slice(1, None))]
    return torch.stack(parts).mean()


def glance_loss(
    agent: Agent, glances: Sequence[Lesson], dice: torch.Generator | None = None
) -> Tensor:
    """Negative log-probability of what was done next, by what the eye sees alone; 0 of nothing."""
    if not glances:
        return agent.token.new_zeros(())
    losses = []
    for lesson in glances:
        well = None if lesson.well is None else lesson.well[:, 0]
        policy = agent.policy.now(agent.glance(lesson.clean[:, 0], dice), well)
        done = {name: value[:, 1] for name, value in lesson.action.values.items()}
        losses.append(mean_where(-policy.log_prob(done), lesson.action.known[:, 1]))
    return torch.stack(losses).mean()


def reward_loss(agent: Agent, heard: Tensor, lesson: Lesson) -> Tensor:
    """Cross entropy of the recorded rewards, where they are known."""
    frames, length = heard.shape[1], agent.shape.length
    value, inside = ahead(lesson.reward, 0, frames, length)
    known, _ = ahead(lesson.rewarded, 0, frames, length)
    return mean_where(agent.reward.loss(agent.reward(heard), value), known & inside)


def witness_loss(agent: Agent, lesson: Lesson) -> Tensor:
    """Cross entropy of the recorded rewards as they are seen, where they are known; 0 unseen."""
    if agent.witness is None:
        return lesson.clean.new_zeros(())
    before, now, tasks = lesson.clean[:, :-1], lesson.clean[:, 1:], lesson.tasks[:, None]
    logits = agent.witness(before, now, tasks.expand(now.shape[:2]))
    loss = agent.witness.reward.loss(logits, lesson.reward[:, 1:])
    return mean_where(loss, lesson.rewarded[:, 1:])


def ending_loss(agent: Agent, heard: Tensor, lesson: Lesson) -> Tensor:
    """Cross entropy of the recorded endings, of each window as often as it is met by chance."""
    frames, length = heard.shape[1], agent.shape.length
    value, inside = ahead(lesson.ended.float(), 0, frames, length)
    logits = agent.ending(heard)[..., 0]
    loss = F.binary_cross_entropy_with_logits(logits, value, reduction="none")
    if lesson.last is not None:
        loss = loss * torch.where(lesson.last > 0, lesson.last, 1.0)[:, None, None]
    return mean_where(loss, inside.expand_as(loss))
