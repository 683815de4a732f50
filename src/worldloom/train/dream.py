"""Trains a policy in imagination: dreams from recorded contexts, and learns from how they go."""

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from worldloom.actions import Action
from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.hub import finished, load_agent, weights_hash
from worldloom.models.agent import Agent, choose_action
from worldloom.models.dream import DreamWorld, Sampler
from worldloom.models.heads import NumberHead, PolicyHead
from worldloom.seeding import stream
from worldloom.train.checkpoint import load_strictly, read_tensors
from worldloom.train.dist import Ranks, ranks
from worldloom.train.imagination import (
    Dreaming,
    OverRanks,
    Spread,
    alive,
    alone,
    lambda_returns,
    mean_where,
    pmpo_loss,
    reinforce_loss,
)
from worldloom.train.learner import Learner
from worldloom.train.loop import fit_whole
from worldloom.train.onward import weights
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options, describe, open_cache, open_stage
from worldloom.train.stage import Stage


@dataclass(frozen=True)
class Rollout:
    """Dreams of a policy, in arrival indexing.

    Args:
      heard: `[B, H + 1, W]` what the heads read of states 0 to H.
      actions: component name to `[B, H, ...]`, action k taken in state k.
      reward: `[B, H]` that arrived with states 1 to H.
      ends: `[B, H]` probability that states 1 to H are endings.
      doubt: `[B, H]` of the steps to states 1 to H; None where the world tells none.
    """

    heard: Tensor
    actions: dict[str, Tensor]
    reward: Tensor
    ends: Tensor
    doubt: Tensor | None = None

    def copy(self) -> "Rollout":
        """The same numbers; outside of inference mode, tensors that a gradient may pass by."""
        actions = {name: value.clone() for name, value in self.actions.items()}
        doubt = None if self.doubt is None else self.doubt.clone()
        return Rollout(self.heard.clone(), actions, self.reward.clone(), self.ends.clone(), doubt)


class Actor(nn.Module):
    """What learns in imagination: the policy, and how much is still to come.

    Args:
      agent: whose policy it begins with.
      width: of what the heads read.
    """

    def __init__(self, agent: Agent, width: int) -> None:
        super().__init__()
        self.policy: PolicyHead = copy.deepcopy(agent.policy).requires_grad_(True)
        self.value = NumberHead(width, agent.shape, 1)
        self.spread = Spread()


class DreamObjective(nn.Module):
    """The losses of policy and value on a rollout.

    Args:
      model: to train.
      prior: the cloned policy, frozen.
      dreaming: how.
      over_ranks: the mean over all ranks.
    """

    terms = ("policy", "value")
    weights = (1.0, 1.0)
    unscaled = ("policy",)  # its size means nothing
    told = ("reward", "return", "kl")

    def __init__(
        self,
        model: Actor,
        prior: PolicyHead,
        dreaming: Dreaming,
        over_ranks: OverRanks = alone,
    ) -> None:
        super().__init__()
        self.model, self.dreaming, self.over_ranks = model, dreaming, over_ranks
        self.prior = copy.deepcopy(prior).requires_grad_(False)

    def forward(self, rollout: Rollout) -> Tensor:
        """Losses and what is told beside them, `[5]`.

        Told are the mean reward of an imagined step less what doubt takes off it, the mean
        return of its states, which is what the policy is to raise, and the divergence from
        the clone.
        """
        model, how = self.model, self.dreaming
        logits = model.value(rollout.heard)[:, :, 0]
        value = model.value.mean(logits.detach())
        reward, stops = heeded(rollout, how)
        returns = lambda_returns(
            reward, 1 - rollout.ends, value, discount=how.discount, trace=how.trace, stops=stops
        )
        over = rollout.ends > 0.5
        counted = alive(over if stops is None else over | stops)
        states = rollout.heard[:, :-1]
        policy, prior = model.policy.now(states), self.prior.now(states)
        log_prob, advantage = policy.log_prob(rollout.actions), returns - value[:, :-1]
        kl = policy.kl(prior)
        if how.objective == "pmpo":
            acting = pmpo_loss(
                log_prob,
                advantage,
                kl,
                counted,
                alpha=how.alpha,
                beta=how.beta,
                over_ranks=self.over_ranks,
            )
        else:
            # A value that lags behind would pull all that is done up alike: noise, and far.
            fair = advantage - mean_where(advantage, counted)
            acting = reinforce_loss(
                log_prob,
                fair / model.spread(returns),
                kl,
                policy.entropy(),
                counted,
                beta=how.beta,
                bonus=how.bonus,
                over_ranks=self.over_ranks,
            )
        errors = model.value.loss(logits[:, :-1], returns)
        valuing = mean_where(errors, counted, self.over_ranks)
        told = [reward, returns, kl.detach()]
        return torch.stack(
            [acting, valuing, *(mean_where(x, counted, self.over_ranks) for x in told)]
        )


def heeded(rollout: Rollout, how: Dreaming) -> tuple[Tensor, Tensor | None]:
    """What doubt leaves of a rollout.

    Returns:
      `[B, H]` rewards less caution times doubt; and `[B, H]` bool, the steps after which
      nothing counts, None where doubt is not heeded.
    """
    if not how.heeds_doubt:
        return rollout.reward, None
    assert rollout.doubt is not None, "`train_dream` asks for a world that doubts"
    return rollout.reward - how.caution * rollout.doubt, rollout.doubt > how.limit


@torch.inference_mode()
def dream(world: DreamWorld, policy: PolicyHead, clip: Clip, seeds: Tensor, steps: int) -> Rollout:
    """Dreams `steps` frames on from every row of a clip, as the policy acts.

    Args:
      world: with an agent.
      policy: reads what the agent hears.
      clip: contexts, `[B, T, ...]`.
      seeds: `[B]` int64 of all chance: the world's and the policy's.
      steps: H.
    """
    agent = world.agent
    assert agent is not None
    state, _ = world.start(clip, seeds)
    heard, actions, rewards, doubts = [world.features(state)], [], [], []
    for _ in range(steps):
        action = choose_action(policy, heard[-1], state)
        state, step = world.step(state, _known(action, len(seeds)))
        heard.append(world.features(state))
        actions.append(action)
        rewards.append(step.reward)
        doubts += [] if step.doubt is None else [step.doubt]
    whole = torch.stack(heard, 1)
    after = whole[:, 1:]
    return Rollout(
        heard=whole,
        actions={name: torch.stack([a[name] for a in actions], 1) for name in actions[0]},
        reward=torch.stack(rewards, 1),
        ends=agent.ending(after)[:, :, 0, 0].sigmoid(),
        doubt=torch.stack(doubts, 1) if doubts else None,
    )


def train_dream(
    store: Store,
    run: Path,
    schedule: Schedule,
    dreaming: Dreaming,
    options: Options,
    *,
    sampler: Sampler | None = None,
    name: str = "dream",
    resume: bool = False,
) -> bool:
    """Trains RUN/NAME: the policy of RUN/agent, learned on in dreams of RUN/agent's world.

    Args:
      store: whose recordings the dreams begin with.
      run: the run folder, whose agent is done.
      schedule: how long and how fast.
      dreaming: how long the dreams are, and what is learned from them.
      options: how the run behaves.
      sampler: how frames are drawn; the world's own way by default.
      name: of the stage.
      resume: go on with RUN/NAME instead of making it.

    Returns:
      Whether the schedule was finished.

    Raises:
      WorldloomError: the store has no rewards, the agent does not know the task, it is
        another than the one that a resumed stage began with, or doubt is to be heeded of a
        world that has none.
    """
    with ranks() as group:
        stage = open_stage(run / name, resume)
        drawn = sampler if stage is None else Sampler(**stage.config["sampler"])
        world = load_agent(run, drawn)
        assert world.agent is not None
        world.to(group.device)
        _require_doubt(world, dreaming, run, store)
        identity = weights_hash(run / "agent")
        if stage is not None and stage.config["agent"] != identity:
            raise WorldloomError(
                f"`{run / name}` began with another agent than `{run / 'agent'}` is now",
                "put that agent back, or dream anew in another run",
            )
        task = dreaming.task or world.agent.shape.tasks[0]
        world.agent.task(task)  # says so where the agent does not know it
        cache = open_cache(store, run, stage, options)
        _require_rewards(cache)
        if stage is None:
            facts = describe(
                "dream",
                store,
                cache,
                schedule=schedule,
                dreaming=replace(dreaming, task=task),
                sampler=asdict(world.sampler),
                seed=options.seed,
                agent=identity,
            )
            stage = Stage.create(run / name, facts) if group.leads else Stage(run / name, facts)
        if stage.done:
            return True
        return _fit(stage, cache, world, options, group)


def _require_doubt(world: DreamWorld, dreaming: Dreaming, run: Path, store: Store) -> None:
    """Raises where doubt is to be heeded of a world that has none."""
    if dreaming.heeds_doubt and world.doubt is None:
        raise WorldloomError(
            f"caution needs a world that doubts; that of `{run / 'agent'}`, drawn in "
            f"{world.sampler.passes} passes, has no doubt fitted to it",
            f"worldloom train doubt {run} {store.path} --of agent",
        )


def _require_rewards(cache: ClipCache) -> None:
    """Raises where recordings pay nothing: there is nothing to dream of."""
    if not any((cache.rewards(i) != 0).any() for i in range(len(cache))):
        raise WorldloomError(
            f"store `{cache.store.path}` has no rewards, so there is nothing to dream of",
            "record with an environment that gives rewards; cloning needs none",
        )


def _fit(stage: Stage, cache: ClipCache, world: DreamWorld, options: Options, group: Ranks) -> bool:
    config = stage.config
    dreaming, seed = Dreaming.of(config["dreaming"]), config["seed"]
    agent, task = world.agent, dreaming.task
    assert agent is not None and task is not None
    torch.manual_seed(stream(seed, "dream weights"))
    model = Actor(agent, world.dynamics.shape.width)
    onward = dreaming.onward
    if onward is not None and onward.begin and not stage.checkpoint.exists():
        earlier = finished(Path(onward.begin)).weights
        load_strictly(model, read_tensors(earlier)[0], f"`{earlier}`")
    objective = DreamObjective(model, agent.policy, dreaming, group.mean)
    learner = Learner(objective, Schedule(**config["schedule"]), group)
    lead = dreaming.context, dreaming.contexts
    mixture = weights(cache, onward, dreaming.context)
    sampler = ClipSampler(cache, *lead, seed=stream(seed, "dream data"), weights=mixture)

    def inputs(step: int) -> tuple[Rollout]:
        clip = sampler.batch(step, rank=group.rank, world_size=group.world_size)
        rows = torch.arange(dreaming.contexts)[group.rows(dreaming.contexts)]
        seeds = stream(seed, "dreams", step) + rows
        clip = Clip(frames=clip.frames, actions=clip.actions, texts=(task,) * len(rows))
        return (dream(world, model.policy, clip, seeds, dreaming.horizon).copy(),)

    return fit_whole(learner, inputs, stage, options)


def _known(values: dict[str, Tensor], rows: int) -> Action:
    known = torch.ones(rows, dtype=torch.bool, device=next(iter(values.values())).device)
    return Action(values, known)
