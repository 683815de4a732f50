"""Correction: acts for real where the world is wrong, learns on, dreams again, round by round.

    RUN/rounds/
      plan.json     what was asked for
      0/report.json the examination before any correction, of RUN itself
      1/            a run: tokenizer/ agent/ dream/ report.json, learned on from the one before;
                    agent-doubt/ where RUN has one
      report.json   all rounds, and how much of the gap is gone

New recordings go into the store, labelled with the run and the round. Every part that is
done is kept, so an interrupted correction goes on where it was, and to the same end.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldloom.acting import play_checkpoint
from worldloom.agents.choose import PolicyMaker, choose
from worldloom.agents.planning import Planner
from worldloom.data.gather import Quota, gather, gathered
from worldloom.data.ledger import Ledger
from worldloom.data.store import Store
from worldloom.envs.pixel import PixelEnv
from worldloom.envs.reenter import Moment
from worldloom.errors import WorldloomError
from worldloom.evaluate import exam as exams
from worldloom.evaluate.attack import SEARCH, Attack
from worldloom.evaluate.exam import Exam, figure, gap_figures, line, rate_figures, returns_of
from worldloom.evaluate.findings import ask_again, enter_all
from worldloom.evaluate.gap import Act, removed
from worldloom.evaluate.moments import entries, setup_of, spread
from worldloom.evaluate.returns import mean
from worldloom.hub import TrainedMaker, load_agent, load_policy, weights_hash
from worldloom.models.agent import choose_action, draw_action
from worldloom.models.dream import DreamWorld
from worldloom.models.heads import PolicyHead
from worldloom.progress import Progress
from worldloom.seeding import stream
from worldloom.train import correct as training
from worldloom.train.correct import Repair, acting_stage, drawn
from worldloom.train.imagination import Dreaming
from worldloom.train.setup import Options
from worldloom.train.stage import Stage, write_text

REPORT = "report.json"
PLANNED = 4  # one start in so many is searched by a planner


@dataclass(frozen=True)
class Plan:
    """What a correction was asked for.

    Args:
      steps: in the real environment, a round.
      data: who acts there: "agent"; "doubt", the agent where the world doubts most; or a player
        that the environment brings, or `random`, for comparison.
      mixture: share of the windows that come from the new recordings.
      updates: of world and heads, a round.
      dreams: updates of the policy in imagination, a round.
      starts: of the examination: moments, deeds of each kind, and episodes in the environment.
      horizon: steps from each moment.
      seed: of everything random.
      save_minutes: minutes between two checkpoints.
    """

    steps: int = 2000
    data: str = "agent"
    mixture: float = 0.5
    updates: int = 500
    dreams: int = 200
    starts: int = 48
    horizon: int = 30
    seed: int = 0
    save_minutes: float = 2.0

    def __post_init__(self) -> None:
        for name in ("steps", "updates", "dreams", "starts", "horizon"):
            if getattr(self, name) < 1:
                raise WorldloomError(
                    f"--{name} {getattr(self, name)} makes no sense", "give 1 or more", code=2
                )
        if not 0 <= self.mixture <= 1:
            raise WorldloomError(
                f"--mixture {self.mixture:g} makes no sense", "give a share from 0 to 1", code=2
            )


def correct(
    run: Path, store: Store, plan: Plan, *, rounds: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Runs `rounds` rounds, or what is left of them.

    Args:
      run: whose agent is trained, and has dreamed as a rule.
      store: of its recordings; new ones are appended to it.
      plan: what every round does; a correction that goes on keeps the one that it began with.
      rounds: how many.
      progress: takes the lines; standard error by default.

    Returns:
      The contents of RUN/rounds/report.json.
    """
    one = Correction(run, store, plan)
    names = [
        f"round {k} {part}" for k in range(1, rounds + 1) for part in ("act", "learn", "dream")
    ]
    progress = progress or Progress(dict.fromkeys(["round 0", *names], 0.0))
    for number in range(rounds + 1):
        if not one.done(number):
            one.round(number, progress)
            progress.say(line(one.report(number)))
    return one.summary(rounds)


class Correction:
    """A run that is corrected; what is done is read off its files.

    Args: as of `correct`.

    Raises:
      WorldloomError: the run has no agent, or was begun to be corrected in another way.
    """

    def __init__(self, run: Path, store: Store, plan: Plan) -> None:
        self.run, self.store, self.plan = run, store, plan
        self.folder = run / "rounds"
        agent = Stage.open(run / "agent")
        self.labels = {"corrects": f"{run.resolve().name} seed {plan.seed}"}
        self._settle()
        self.dreaming = Dreaming()
        if acting_stage(run) == "dream":
            self.dreaming = Dreaming.of(Stage.open(run / "dream").config["dreaming"])
        self.task: str = self.dreaming.task or agent.config["agent"]["tasks"][0]
        self.old = [row for row in store.episodes if "corrects" not in row.labels]
        self.most = max(row.length for row in self.old)
        self._exam: Exam | None = None
        self._player = self._chosen()

    def _chosen(self) -> PolicyMaker | None:
        """The player that acts for comparison; None where the agent does."""
        if self.plan.data == "doubt":
            self._most_doubted(self.run, 1, 1, seed=0)  # a world without doubt says so now
        if self.plan.data in ("agent", "doubt"):
            return None
        (maker, *others) = choose(self.plan.data)
        if others:
            raise WorldloomError(f"`{self.plan.data}` names several players", "give one", code=2)
        env = PixelEnv(setup_of(self.store))
        maker(env)  # a player that is not known here is said so now
        env.close()
        return maker

    def _settle(self) -> None:
        """Keeps the plan, or raises where another was begun with."""
        file, asked = self.folder / "plan.json", asdict(self.plan)
        if not file.exists():
            if gathered(self.store, self.labels):
                raise WorldloomError(
                    f"store `{self.store.path}` holds rounds of another run of that name and seed",
                    "correct with another --seed, or with a copy of the store",
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(asked, indent=1) + "\n")
        begun = json.loads(file.read_text())
        other = [name for name in asked if asked[name] != begun[name] and name != "save_minutes"]
        if other:
            words = ", ".join(f"--{name} {begun[name]}" for name in other)
            raise WorldloomError(
                f"`{self.folder}` was begun with {words}",
                "go on with these, or correct a copy of the run",
            )

    def at(self, number: int) -> Path:
        """The run folder of a round; round 0 is the run itself."""
        return self.run if number == 0 else self.folder / str(number)

    def done(self, number: int) -> bool:
        """Whether a round is done."""
        return (self.folder / str(number) / REPORT).exists()

    def report(self, number: int) -> dict[str, Any]:
        """What came of a round."""
        return json.loads((self.folder / str(number) / REPORT).read_text())

    def round(self, number: int, progress: Progress) -> None:
        """Does a round, or what is left of it: acts, learns, dreams, is examined."""
        if number:
            progress.begin(f"round {number} act")
            self._act(number, progress)
            progress.begin(f"round {number} learn")
            self._learn(number, progress)
            progress.begin(f"round {number} dream")
            self._dream(number, progress)
        else:
            progress.begin("round 0", "examines what there is")
        found = self._examine(number)
        file = self.folder / str(number) / REPORT
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(found, indent=1, allow_nan=False) + "\n")

    def fresh(self) -> tuple[str, ...]:
        """The new episodes of all rounds so far."""
        return tuple(gathered(self.store, self.labels))

    def _act(self, number: int, progress: Progress) -> None:
        before, data = self.at(number - 1), self.plan.data
        begin = self._doubted(number) if data == "doubt" else ()
        maker = self._player or TrainedMaker(before / acting_stage(before))
        labels = {**self.labels, "round": number}
        if self.task != "reward":
            labels["task"] = self.task
        gather(
            self.store,
            setup_of(self.store),
            maker,
            Quota(
                self.plan.steps,
                labels,
                f"{data} of round {number}",
                stream(self.plan.seed, "gather", number),
                self.plan.horizon + 1 if begin else self.most,
                begin,
            ),
            progress=lambda done, of: progress.update(done / of, f"{done:,} of {of:,} steps"),
        )

    def _doubted(self, number: int) -> Sequence[Moment]:
        """Where the world doubts most, so many moments that their steps fill the round."""
        wanted = -(-self.plan.steps // self.plan.horizon)
        seed = stream(self.plan.seed, "doubt", number)
        return self._most_doubted(self.at(number - 1), wanted, self.plan.horizon, seed=seed)

    def _most_doubted(
        self, folder: Path, wanted: int, horizon: int, *, seed: int
    ) -> Sequence[Moment]:
        """The half of some recorded moments from which a world doubts most, worst first."""
        world, act = dreamer(folder)
        names = [row.name for row in self.old if row.split == "train"]
        context = self.dreaming.context
        places = spread(self.store, names, 2 * wanted, context=context, seed=seed)
        starts = entries(self.store, places, context=context, task=self.task)
        if isinstance(starts, str):
            raise WorldloomError(
                f"doubt leads to the middle of recordings, and {starts}", "choose --data agent"
            )
        doubt = exams.doubts(world, act, starts, horizon=horizon, seed=seed)
        return [starts[i].moment for i in np.argsort(-doubt, kind="stable")[:wanted]]

    def _learn(self, number: int, progress: Progress) -> None:
        before, here, repair = self.at(number - 1), self.at(number), self._repair()
        options = self._options(number, progress)
        if training.keep_tokenizer(before, here):
            progress.say("tokenizer: has nothing to learn, kept as it is")
        else:
            training.learn_tokenizer(self.store, before, here, repair, options)
        training.learn_agent(self.store, before, here, repair, options)
        training.learn_doubt(self.store, before, here, options)

    def _dream(self, number: int, progress: Progress) -> None:
        before, here, options = (
            self.at(number - 1),
            self.at(number),
            self._options(number, progress),
        )
        training.learn_policy(self.store, before, here, self._repair(), options)

    def _repair(self) -> Repair:
        plan = self.plan
        return Repair(plan.mixture, plan.updates, plan.dreams, self.fresh())

    def _options(self, number: int, progress: Progress) -> Options:
        def tell(step: int, of: int, loss: float) -> None:
            progress.update(step / of, f"step {step:,} of {of:,}, loss {loss:.4g}")

        return Options(
            seed=stream(self.plan.seed, "round", number) >> 32,
            save_minutes=self.plan.save_minutes,
            report=tell,
            cache=self.run / "cache",
        )

    def exam(self) -> Exam:
        """The questions, the same in every round."""
        if self._exam is None:
            held = [row.name for row in self.old if row.split == "heldout"]
            self._exam = exams.prepare(
                self.store,
                held or [row.name for row in self.old if row.split == "train"],
                self.plan.starts,
                context=self.dreaming.context,
                horizon=self.plan.horizon,
                seed=self.plan.seed,
                task=self.task,
            )
        return self._exam

    def _examine(self, number: int) -> dict[str, Any]:
        """The report of a round; enters its lies into the ledger."""
        here, exam = self.at(number), self.exam()
        stage = acting_stage(here)
        played = play_checkpoint(
            str(here / stage),
            exam.setup,
            episodes=self.plan.starts,
            seed=self.plan.seed,
            max_frames=self.most,
        )
        found: dict[str, Any] = {
            "round": number,
            "data": self.plan.data,
            "real_steps": sum(self.store.row(name).length - 1 for name in self.fresh()),
            "return": figure(mean([one.total for one in played])),
        }
        if exam.why is not None:
            return {**found, "not applicable": exam.why}
        world, act = dreamer(here)
        few = exams.shorter(exam, max(1, len(exam.starts) // PLANNED), SEARCH.horizon)
        asked = {"agent": (exam, act), "planner": (few, attacker(here, world))}
        policies = {name: (e, a, exams.try_policy(e, world, a)) for name, (e, a) in asked.items()}
        deeds = exams.try_rules(exam, world)
        found["deeds"] = rate_figures(deeds)
        for name, (own, _, conduct) in policies.items():
            figures = {"gap": gap_figures(conduct.returns), "met": rate_figures(conduct.met)}
            found[name] = {"horizon": own.horizon, **figures}
        found["planner"]["search"] = str(SEARCH)
        if number:
            found["gap_removed"] = self._removed(found)
        finds = exams.finds(
            world,
            list(policies.values()),
            deeds,
            identity=weights_hash(here / "agent"),
            round=number,
        )
        return {**found, "lies": self._ledger(world, finds, number)}

    def _removed(self, found: dict[str, Any]) -> dict[str, Any]:
        """How much of the first gap is gone, by policy."""
        first = self.report(0)
        return {
            name: figure(removed(*(returns_of(one[name]["gap"]) for one in (first, found))))
            for name in ("agent", "planner")
            if name in found
        }

    def _ledger(self, world: DreamWorld, finds: Any, number: int) -> dict[str, int]:
        """Asks again about old lies, then enters the new ones."""
        ledger = Ledger.open(self.run, self.store.info)
        ask_again(world, ledger, round=number, seed=self.plan.seed)
        enter_all(ledger, finds)
        lies = ledger.lies()
        return {
            "new": sum(lie.round == number for lie in lies),
            "open": sum(lie.closed is None for lie in lies),
            "closed": sum(lie.closed is not None for lie in lies),
        }

    def summary(self, rounds: int) -> dict[str, Any]:
        """Gathers the rounds and writes RUN/rounds/report.json."""
        found = {"plan": asdict(self.plan), "rounds": [self.report(k) for k in range(rounds + 1)]}
        write_text(self.folder / REPORT, json.dumps(found, indent=1, allow_nan=False) + "\n")
        return found


def dreamer(folder: Path) -> tuple[DreamWorld, Act]:
    """The world of a run as its policy dreamed it, and this policy.

    Args:
      folder: of a run, or of a round.
    """
    world = load_agent(folder, drawn(folder))
    policy = _policy(folder, world)

    def act(state: Any, step: int) -> dict[str, torch.Tensor]:
        del step  # what it does follows from the state
        return choose_action(policy, world.features(state), state)

    return world, act


def attacker(folder: Path, world: DreamWorld) -> Attack:
    """A planner in the world of a run, whose first ideas are those of the run's policy."""
    prior = partial(draw_action, _policy(folder, world))
    return Attack(Planner(world, SEARCH, prior=prior))


def _policy(folder: Path, world: DreamWorld) -> PolicyHead:
    return load_policy(folder, world, acting_stage(folder))
