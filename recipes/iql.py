"""Implicit Q-learning on recordings (arXiv 2110.06169), for discrete actions, from pixels.

A baseline without a world: what does reinforcement learning make of the same recordings? Values
are learned of recorded actions only, their upper part by expectile regression; the policy
clones the recordings, the more the better an action was. It sees the last few frames.

    python -m recipes.iql runs/craft

trains RUN/iql on RUN/store. Hyperparameters are the paper's for locomotion. Knows stores and
stages; no game and no world model.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldloom.actions import ActionSpec, Categorical
from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.seeding import stream
from worldloom.train.checkpoint import load_strictly, read_tensors
from worldloom.train.dist import ranks
from worldloom.train.imagination import mean_where
from worldloom.train.learner import Learner
from worldloom.train.loop import fit_whole
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options, describe, open_cache, open_stage
from worldloom.train.stage import Stage


@dataclass(frozen=True)
class How:
    """How the baseline learns.

    Args:
      rows: transitions of an update.
      stack: frames that it sees, the newest among them.
      patch: side of the squares in pixels that the first layer reads, for example a game's tile.
      width: channels.
      hidden: width of what is made of a whole picture.
      discount: of a step.
      expectile: above 0.5; 1 would be the best recorded action, 0.5 the mean one.
      sharpness: how much likelier a better action is cloned, the inverse temperature.
      heaviest: the largest weight of a cloned action.
      follow: how far the slow critic moves in each update.
    """

    rows: int = 256
    stack: int = 3
    patch: int = 4
    width: int = 32
    hidden: int = 128
    discount: float = 0.99
    expectile: float = 0.7
    sharpness: float = 3.0
    heaviest: float = 100.0
    follow: float = 0.005


@dataclass(frozen=True)
class Transitions:
    """Steps from recordings.

    Args:
      before: `[B, ...]` what was seen, then `action` was chosen.
      after: `[B, ...]` what was seen next.
      action: `[B]` int64.
      reward: `[B]` that arrived with `after`.
      ended: `[B]` bool, whether `after` is an ending.
      counted: `[B]` bool, whether action and reward are known.
    """

    before: Tensor
    after: Tensor
    action: Tensor
    reward: Tensor
    ended: Tensor
    counted: Tensor


class Networks(nn.Module):
    """Two critics and their slow copies, a value and a policy.

    Args:
      make: so many outputs to a network from what is seen to `[B, outputs]`.
      actions: A.
    """

    def __init__(self, make: Callable[[int], nn.Module], actions: int) -> None:
        super().__init__()
        self.critics = make(2 * actions)
        self.slow = make(2 * actions).requires_grad_(False)
        self.slow.load_state_dict(self.critics.state_dict())
        self.value, self.policy = make(1), make(actions)

    @torch.no_grad()
    def follow(self, share: float) -> None:
        """Moves the slow critics towards the others."""
        for slow, quick in zip(self.slow.parameters(), self.critics.parameters(), strict=True):
            slow.lerp_(quick, share)


class Eyes(nn.Module):
    """`[B, S, H, W, 3]` uint8 to `[B, outputs]`: a number for each square, its neighbours, all."""

    def __init__(self, outputs: int, *, frame: tuple[int, int], how: How) -> None:
        super().__init__()
        cells = (frame[0] // how.patch) * (frame[1] // how.patch)
        self.layers = nn.Sequential(
            nn.Conv2d(3 * how.stack, how.width, how.patch, how.patch),
            nn.SiLU(),
            nn.Conv2d(how.width, how.width, 3, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(cells * how.width, how.hidden),
            nn.LayerNorm(how.hidden),
            nn.SiLU(),
            nn.Linear(how.hidden, outputs),
        )

    def forward(self, frames: Tensor) -> Tensor:
        planes = frames.permute(0, 1, 4, 2, 3).flatten(1, 2).float()
        return self.layers(planes / 127.5 - 1)


def expectile_loss(error: Tensor, share: float) -> Tensor:
    """Squared errors `[...]`, those above 0 weighted by `share`, the others by 1 - share."""
    return torch.where(error > 0, share, 1 - share) * error.square()


class Objective(nn.Module):
    """The three losses of a batch of transitions; no gradient passes from one to another."""

    terms = ("value", "critics", "policy")
    weights = (1.0, 1.0, 1.0)
    unscaled = terms

    def __init__(self, model: Networks, how: How) -> None:
        super().__init__()
        self.model, self.how = model, how

    def forward(self, seen: Transitions) -> Tensor:
        """Losses `[3]`; the slow critics follow first."""
        model, how = self.model, self.how
        model.follow(how.follow)
        value = model.value(seen.before)[:, 0]
        with torch.no_grad():
            worth = _of(model.slow(seen.before), seen.action).amin(1)
            ahead = torch.where(seen.ended, 0.0, model.value(seen.after)[:, 0])
            target = seen.reward + how.discount * ahead
            weight = (how.sharpness * (worth - value)).exp().clamp(max=how.heaviest)
        missed = _of(model.critics(seen.before), seen.action) - target[:, None]
        cloned = F.cross_entropy(model.policy(seen.before), seen.action, reduction="none")
        losses = (
            expectile_loss(worth - value, how.expectile),
            missed.square().sum(1),
            weight * cloned,
        )
        return torch.stack([mean_where(loss, seen.counted) for loss in losses])


def _of(both: Tensor, action: Tensor) -> Tensor:
    """Both critics of the chosen actions: `[B, 2 A]` and `[B]` to `[B, 2]`."""
    return both.unflatten(1, (2, -1)).gather(2, action[:, None, None].expand(-1, 2, 1))[..., 0]


def transitions(
    cache: ClipCache, episodes: np.ndarray, steps: np.ndarray, *, stack: int
) -> Transitions:
    """The steps from frame `steps` `[B]` of `episodes` `[B]` to the next frame.

    Before an episode's first frame it is seen again.
    """
    first = np.maximum(steps - stack + 1, 0)
    clip = cache.clip(episodes, first, length=stack + 1)
    assert clip.actions is not None
    now = torch.from_numpy(steps - first)
    rows, back = torch.arange(len(now)), torch.arange(stack) - stack + 1
    frames = clip.frames["main"]
    look = lambda place: frames[rows[:, None], (place[:, None] + back).clamp(min=0)]  # noqa: E731
    then = lambda column: column[rows, now + 1]  # noqa: E731
    (action,) = clip.actions.values.values()
    return Transitions(
        before=look(now),
        after=look(now + 1),
        action=then(action).long(),
        reward=then(clip.reward),
        ended=then(clip.terminated),
        counted=then(clip.actions.known) & then(clip.reward_known),
    )


def train(
    store: Store,
    run: Path,
    schedule: Schedule,
    how: How,
    options: Options,
    *,
    name: str = "iql",
    resume: bool = False,
) -> bool:
    """Trains RUN/NAME on the training split; returns whether the schedule was finished."""
    with ranks() as group:
        stage = open_stage(run / name, resume)
        cache = open_cache(store, run, stage, options)
        if stage is None:
            facts = describe(
                "iql", store, cache, schedule=schedule, how=asdict(how), seed=options.seed
            )
            stage = Stage.create(run / name, facts)
        if stage.done:
            return True
        seed, how = stage.config["seed"], How(**stage.config["how"])
        torch.manual_seed(stream(seed, "iql weights"))
        objective = Objective(_networks(stage.config), how)
        learner = Learner(objective, Schedule(**stage.config["schedule"]), group)
        long = cache.lengths > how.stack
        sampler = ClipSampler(cache, 2, how.rows, seed=stream(seed, "iql data"), weights=long)

        def inputs(step: int) -> tuple[Transitions]:
            drawn = sampler.draw(step, length=2, batch=how.rows)
            return (transitions(cache, *drawn, stack=how.stack),)

        return fit_whole(learner, inputs, stage, options)


def _networks(config: Any) -> Networks:
    frame = tuple(config["info"]["cameras"]["main"])
    components = ActionSpec.from_json(config["info"]["action"]).components
    if len(components) != 1 or not isinstance(components[0], Categorical):
        raise WorldloomError(
            f"this baseline chooses one of several actions, `{config['store']}` has others",
            "record a game whose action is one category",
        )
    make = partial(Eyes, frame=frame, how=How(**config["how"]))
    return Networks(make, components[0].n)


class Players:
    """Play several games at once, as `worldloom.agents.acting.play_all` asks.

    Args:
      policy: `[B, S, H, W, 3]` to logits `[B, A]`.
      action: name of the action.
      stack: S.
    """

    def __init__(self, policy: nn.Module, action: str, stack: int) -> None:
        self.policy, self.action, self.stack = policy, action, stack

    def begin(self, frames: np.ndarray, seeds: Sequence[int]) -> None:
        """Begins an episode in every row, from `[B, H, W, 3]`."""
        self._seen = np.repeat(frames[:, None], self.stack, 1)
        self._chance = [np.random.default_rng(seed) for seed in seeds]

    def replace(self, row: int, frame: np.ndarray, seed: int) -> None:
        """Begins another episode in one row."""
        self._seen[row] = frame
        self._chance[row] = np.random.default_rng(seed)

    def rest(self, row: int) -> None:
        """Nothing is wanted of a row any more; it goes on, and costs next to nothing."""

    @torch.inference_mode()
    def act(self) -> dict[str, np.ndarray]:
        """Draws every row's next action."""
        chances = self.policy(torch.from_numpy(self._seen)).double().softmax(-1).cumsum(-1).numpy()
        points = np.array([[chance.random()] for chance in self._chance])
        return {self.action: (points >= chances[:, :-1]).sum(1)}

    def see(self, values: dict[str, np.ndarray], frames: np.ndarray) -> None:
        """Takes in the next frame of every row."""
        self._seen = np.concatenate([self._seen[:, 1:], frames[:, None]], 1)


def load_players(folder: Path) -> Players:
    """Those that RUN/iql describes."""
    stage = Stage.open(folder)
    networks = _networks(stage.config)
    load_strictly(networks, read_tensors(stage.weights)[0], f"`{stage.weights}`")
    (component,) = ActionSpec.from_json(stage.config["info"]["action"]).components
    policy = networks.policy.eval().requires_grad_(False)
    return Players(policy, component.name, stage.config["how"]["stack"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tell = lambda step, of, loss: print(f"step {step} of {of}, loss {loss:.4g}", flush=True)  # noqa: E731
    options = Options(seed=given.seed, save_minutes=1.0, report=tell)
    begun = (given.run / "iql" / "config.json").exists()
    store = Store.open(given.run / "store")
    train(store, given.run, usual(given.steps), How(), options, resume=begun)


def usual(steps: int) -> Schedule:
    """Of so many updates."""
    return Schedule(steps, rate=1e-3, warmup=100, clip=10.0, decay=0.0, ema=0.995)


if __name__ == "__main__":
    main()
