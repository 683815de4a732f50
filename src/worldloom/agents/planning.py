"""Prediction before action: searches a world for the actions that go best, then takes them.

Candidate sequences are imagined all at once; the best of a round say where the next round
looks (the cross-entropy method). Knows the contract of a world; no model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.agents.belief import Belief, numbers_of
from worldloom.errors import WorldloomError
from worldloom.seeding import noise
from worldloom.world import World, require

Sequences = dict[str, Tensor]  # component name to `[B, H, ...]`
# Features `[B, W]`, seeds `[B]` and frames `[B]` to actions: whom the first round follows.
Prior = Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]
Value = Callable[[Tensor], Tensor]  # features `[B, W]` to what is still to come, `[B]`

_CANDIDATE = 3  # what the noise of a frame is for; a model and its agent use 0 to 2
_BEST = 8  # one in so many candidates is believed
_ODD = 0x5851F42D4C957F2D  # of Knuth's MMIX generator


@dataclass(frozen=True)
class Search:
    """How far and how widely to look.

    Args:
      horizon: actions of a sequence, H.
      candidates: sequences of a round, N.
      rounds: of the cross-entropy method; 1 takes the best of the first sequences.
      samples: futures that each sequence is judged by, the same for all of them.
      discount: of a step.
      every: actions that are taken before the next search.
      rows: at most so many futures are imagined in one batch.
    """

    horizon: int = 10
    candidates: int = 16
    rounds: int = 2
    samples: int = 1
    discount: float = 0.997
    every: int = 1
    rows: int = 256

    def __post_init__(self) -> None:
        for name in ("horizon", "rounds", "samples", "every", "rows"):
            if getattr(self, name) < 1:
                raise WorldloomError(
                    f"a search with {name} {getattr(self, name)} finds nothing",
                    f"give 1 or more as {name}",
                    code=2,
                )
        if self.candidates < 2:
            raise WorldloomError(
                f"{self.candidates} candidates leave nothing to choose from",
                "give 2 or more",
                code=2,
            )
        if self.every > self.horizon:
            raise WorldloomError(
                f"{self.every} actions cannot be taken of a plan of {self.horizon}",
                "search again within the horizon",
                code=2,
            )

    @property
    def steps(self) -> int:
        """Imagined steps of one search, for one row."""
        return self.rounds * self.candidates * self.samples * self.horizon

    def __str__(self) -> str:
        rounds = "1 round" if self.rounds == 1 else f"{self.rounds} rounds"
        futures = "" if self.samples == 1 else f" x {self.samples} futures"
        again = "" if self.every == 1 else f", a search every {self.every} actions"
        return (
            f"{rounds} x {self.candidates} candidates{futures} x {self.horizon} steps "
            f"= {self.steps:,} imagined steps a search{again}"
        )


@dataclass(frozen=True)
class Plan:
    """What a search found.

    Args:
      actions: component name to `[B, H, ...]`, the best sequence of every row.
      worth: `[R, B]` what the best sequence so far was worth, after each round.
    """

    actions: Sequences
    worth: Tensor

    def first(self) -> dict[str, Tensor]:
        """What to do now: component name to `[B, ...]`."""
        return {name: value[:, 0] for name, value in self.actions.items()}


class Planner:
    """Finds good action sequences in a world.

    Args:
      world: that is searched, with `fork` and rewards.
      search: how far and how widely.
      prior: whom the first round follows; by default it acts evenly at random.
      value: what is still to come at the end of a sequence; nothing by default.
    """

    def __init__(
        self,
        world: World,
        search: Search,
        *,
        prior: Prior | None = None,
        value: Value | None = None,
    ) -> None:
        needs = {
            "fork": True,
            "reseed": search.samples > 1,
            "features": prior is not None or value is not None,
        }
        for capability in (name for name, needed in needs.items() if needed):
            require(world, capability, "planning")
        self.world: Any = world
        self.search, self.prior, self.value = search, prior, value

    @torch.inference_mode()
    def plan(
        self, state: Any, seeds: Tensor, frames: Tensor, *, guess: Sequences | None = None
    ) -> Plan:
        """Searches from every row of a state, which is left as it is.

        The plan follows from the state, the seeds and the frame numbers, and is on the CPU.

        Args:
          state: of B rows.
          seeds: `[B]` int64 of each row's own chance.
          frames: `[B]` int64 number of the frame that each row acts in.
          guess: one more sequence to try in the first round, `[B, H, ...]`; by default the one
            that does nothing.

        Raises:
          WorldloomError: the world gives no rewards.
        """
        how, spec, rows = self.search, self.world.spec.action, len(seeds)
        seeds, frames = seeds.cpu(), frames.cpu()  # wherever the world is, the search is here
        moments = self._futures(state, seeds, frames)
        belief = Belief.even(spec, rows, how.horizon)
        best: Sequences = {}
        worth, trace = torch.empty(rows, 0), []
        for number in range(how.rounds):
            own = _branch(seeds[:, None], number, torch.arange(how.candidates)).flatten()
            when = frames.repeat_interleave(how.candidates)
            shape = (how.horizon, numbers_of(spec))
            tried = belief.draw(noise(own, when, _CANDIDATE, shape).unflatten(0, (rows, -1)))
            follows = torch.zeros(rows, how.candidates, dtype=torch.bool)
            if number == 0:
                follows[:] = self.prior is not None
                # The last place: where all are worth the same, the first is taken.
                follows[:, -1] = False
                for name, value in (guess or self.nothing(rows)).items():
                    tried[name][:, -1] = value
            tried, found = self._imagine(moments, tried, follows, own, when)
            best, worth = _keep(best, worth, tried, found, max(1, how.candidates // _BEST))
            belief = belief.fit(best)
            trace.append(worth[:, 0])
        return Plan({name: value[:, 0] for name, value in best.items()}, torch.stack(trace))

    def _futures(self, state: Any, seeds: Tensor, frames: Tensor) -> Any:
        """Where every candidate begins, `[B * samples]` rows: as it is, before unknown chance."""
        samples = self.search.samples
        again = torch.arange(len(seeds)).repeat_interleave(samples)
        if "reseed" not in self.world.spec.capabilities:
            return state[again]
        chance = _branch(seeds[:, None], frames[:, None], torch.arange(samples) + 1)
        return self.world.reseed(state[again], chance.flatten())

    def nothing(self, rows: int) -> Sequences:
        """The sequence that does nothing, for so many rows: component name to `[rows, H, ...]`."""
        null = self.world.spec.action.null((rows, self.search.horizon))
        return {name: torch.from_numpy(value) for name, value in null.items()}

    def _imagine(
        self, moments: Any, tried: Sequences, follows: Tensor, own: Tensor, when: Tensor
    ) -> tuple[Sequences, Tensor]:
        """Rolls out all candidates, in batches of at most `rows` futures.

        Args:
          moments: of `_futures`.
          tried: `[B, N, H, ...]`.
          follows: `[B, N]` bool, where the prior acts in place of what is tried.
          own: `[B * N]` seeds of the prior's chance.
          when: `[B * N]` frame numbers.

        Returns:
          what was done, `[B, N, H, ...]`, and what it was worth, `[B, N]`.
        """
        rows, candidates = follows.shape
        samples, given = self.search.samples, {k: v.flatten(0, 1) for k, v in tried.items()}
        done, worth = [], []
        for some in torch.arange(rows * candidates).split(max(1, self.search.rows // samples)):
            place = (some // candidates * samples)[:, None] + torch.arange(samples)
            actions = {name: value[some] for name, value in given.items()}
            who = (follows.flatten()[some], own[some], when[some])
            worth.append(self._roll(moments[place.flatten()], actions, *who))
            done.append(actions)
        whole = {name: torch.cat([part[name] for part in done]) for name in given}
        lead = (rows, candidates)
        return {k: v.unflatten(0, lead) for k, v in whole.items()}, torch.cat(worth).view(lead)

    def _roll(
        self, state: Any, actions: Sequences, follows: Tensor, own: Tensor, when: Tensor
    ) -> Tensor:
        """Rolls out C candidates; writes what the prior did into `actions`; their worth `[C]`."""
        how, rewards = self.search, []
        over = torch.zeros(len(state), dtype=torch.bool)
        known = torch.ones(len(state), dtype=torch.bool)
        for step in range(how.horizon):
            if self.prior is not None and follows.any():
                heard = self.world.features(state)[:: how.samples]
                for name, value in self.prior(heard, own, when + step).items():
                    actions[name][follows, step] = value.cpu()[follows]
            values = {k: v[:, step].repeat_interleave(how.samples, 0) for k, v in actions.items()}
            state, told = self.world.step(state, Action(values, known))
            if told.reward is None:
                raise WorldloomError(
                    f"`{self.world.spec.name}` gives no rewards, so there is nothing to plan for",
                    "plan in a world with an agent, which knows them: `worldloom train agent`",
                )
            rewards.append(told.reward)
            over = over if told.terminated is None else told.terminated
        weight = how.discount ** torch.arange(how.horizon + 1)
        worth = (torch.stack(rewards, 1).cpu() * weight[:-1]).sum(1)  # an ended row has 0
        if self.value is not None:
            ahead = self.value(self.world.features(state)).cpu()
            worth += weight[-1] * torch.where(over.cpu(), 0.0, ahead)
        return worth.view(-1, how.samples).mean(1)


def _keep(
    best: Sequences, worth: Tensor, tried: Mapping[str, Tensor], found: Tensor, most: int
) -> tuple[Sequences, Tensor]:
    """The best of those that were the best so far and of those just tried, best first."""
    pool = {k: torch.cat([best[k], v], 1) if best else v for k, v in tried.items()}
    worth = torch.cat([worth, found], 1)
    order = worth.sort(dim=1, descending=True, stable=True).indices[:, :most]
    rows = torch.arange(len(order))[:, None]
    return {name: value[rows, order] for name, value in pool.items()}, worth[rows, order]


def _branch(seeds: Tensor, *numbers: int | Tensor) -> Tensor:
    """Seeds that differ from `seeds` and, for each combination of numbers, from one another."""
    for number in numbers:
        seeds = seeds * _ODD ^ (number + 1)
    return seeds & (2**63 - 1)
