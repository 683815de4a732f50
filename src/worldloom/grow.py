"""The whole product in one verb: learn, dream, try for real, find the lies, repair.

    OUT/            a run folder: `worldloom play OUT` enters it, `worldloom act OUT ENV` plays
      grow.json     what was asked for
      store/        the recordings, where none were given
      tokenizer/ dynamics/ agent/ dream/
      rounds/       see `worldloom.correct`; the last one is what grew

It is only the other verbs' functions in order. What is done is kept, so that an interrupted
growth goes on where it was.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from worldloom.agents.choose import choose
from worldloom.configs import Size, named
from worldloom.correct import Correction, Plan
from worldloom.data.gather import Quota, gather, gathered
from worldloom.data.record import Keep, open_for
from worldloom.data.store import Store
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv
from worldloom.errors import WorldloomError
from worldloom.evaluate.exam import figure_text, line
from worldloom.progress import Progress
from worldloom.train.agent import train_agent
from worldloom.train.correct import begun
from worldloom.train.dream import train_dream
from worldloom.train.dynamics import train_dynamics
from worldloom.train.imagination import Dreaming
from worldloom.train.lessons import standard
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options, camera_size
from worldloom.train.stage import write_text
from worldloom.train.tokenizer import train_tokenizer

RECORDED = 0.5  # of the budget, where there are no recordings yet
STAGES = ("record", "tokenizer", "dynamics", "agent", "dream")


@dataclass(frozen=True)
class Growth:
    """What was asked for.

    Args:
      source: id of the environment, or folder of the recordings.
      budget: steps in the real environment, in all; those of given recordings are free.
      target: real return at which it is enough; None to spend the budget.
      rounds: of correction that the budget is shared by, at most.
      size: named configuration.
      side: of the frames in pixels; None: the environment's own.
      policy: who is recorded; several names take equal parts. None: the environment's own player
        where it brings one, and random.
      updates: of the dynamics; the other stages have their shares of it. None: the size's own.
      contexts: dreams of an update.
      starts: of every examination.
      seed: of everything random.
    """

    source: str
    budget: int = 20_000
    target: float | None = None
    rounds: int = 3
    size: str = "nano"
    side: int | None = None
    policy: str | None = None
    updates: int | None = None
    contexts: int = 64
    starts: int = 48
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("budget", 100), ("rounds", 1), ("starts", 1)):
            if getattr(self, name) < least:
                raise WorldloomError(
                    f"--{name} {getattr(self, name)} is too little", f"give {least} or more", code=2
                )
        if self.updates is not None and self.updates < 1:
            raise WorldloomError(f"--updates {self.updates} makes no sense", "leave it out", code=2)

    @property
    def recordings(self) -> Path | None:
        """The given store; None where an environment is given."""
        path = Path(self.source)
        return path if (path / "info.json").exists() else None


def grow(run: Path, growth: Growth, *, progress: Progress | None = None) -> dict[str, Any]:
    """Grows a run, or what is left of it.

    Args:
      run: the folder for everything.
      growth: what is asked for.
      progress: takes the lines; standard error by default.

    Returns:
      what came of it, as OUT/grown.json has it.
    """
    _settle(run, growth)
    rounds = [f"round {k}" for k in range(growth.rounds + 1)]
    progress = progress or Progress(dict.fromkeys([*STAGES, *rounds], 0.0))
    store = _recordings(run, growth, progress)
    _learn(run, store, growth, progress)
    spent = sum(store.row(name).length - 1 for name in gathered(store, {"grows": run.name}))
    share = max(1, (growth.budget - spent) // growth.rounds)
    updates = _size(store, growth).schedule.steps
    plan = Plan(
        steps=share,
        updates=max(2, updates // 6),
        dreams=max(2, updates // 16),
        starts=growth.starts,
        seed=growth.seed,
    )
    one, number = Correction(run, store, plan), 0
    while True:
        if not one.done(number):
            one.round(number, progress)
        found = one.report(number)
        progress.say(line(found))
        enough = growth.target is not None and found["return"]["value"] >= growth.target
        if enough or number == growth.rounds:
            break
        number += 1
    result = {**one.summary(number), "growth": asdict(growth), "recorded_steps": spent}
    result |= _told(store, growth, number, enough)
    write_text(run / "grown.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


def _settle(run: Path, growth: Growth) -> None:
    """Keeps what was asked for, or raises where a run cannot go on so."""
    file, asked = run / "grow.json", asdict(growth)
    if not file.exists():
        if run.exists() and any(run.iterdir()):
            raise WorldloomError(
                f"`{run}` exists already and was not grown", "pass --out for another folder"
            )
        run.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(asked, indent=1) + "\n")
    before = json.loads(file.read_text())
    other = [f"--{k} {before[k]}" for k in asked if asked[k] != before[k]]
    if other:
        raise WorldloomError(
            f"`{run}` was begun with {', '.join(other)}",
            "go on with these, or pass --out for another folder",
        )


def _recordings(run: Path, growth: Growth, progress: Progress) -> Store:
    """The given store, or one that is recorded now."""
    if growth.recordings is not None:
        progress.skip("record", f"`{growth.recordings}` is given")
        return Store.open(growth.recordings)
    progress.begin("record")
    setup = Setup(growth.source, None if growth.side is None else (growth.side, growth.side))
    env = PixelEnv(setup)
    own = "scripted,random" if "scripted" in env.players else "random"
    makers = choose(growth.policy or own)
    for maker in makers:
        maker(env)  # who cannot play here says so now
    store = open_for(run / "store", env, Keep())
    env.close()
    part = round(RECORDED * growth.budget) // len(makers)
    for place, maker in enumerate(makers):
        labels = {"grows": run.name, "part": place}
        quota = Quota(part, labels, maker.name, growth.seed, split=None)

        def tell(done: int, of: int, place: int = place) -> None:
            progress.update((place + done / of) / len(makers), f"{done:,} of {of:,} steps")

        gather(store, setup, maker, quota, progress=tell)
    return store


def _size(store: Store, growth: Growth) -> Size:
    """What is trained."""
    size = named(growth.size, camera_size(store))
    if growth.updates is None:
        return size
    schedules = {
        name: replace(getattr(size, name), steps=min(growth.updates, getattr(size, name).steps))
        for name in ("schedule", "tokenizer_schedule")
    }
    return replace(size, **schedules)


def _learn(run: Path, store: Store, growth: Growth, progress: Progress) -> None:
    """Tokenizer, dynamics, agent, dream: what is not there yet."""
    size = _size(store, growth)
    dreams = Schedule(max(2, size.schedule.steps // 6), 3e-4, warmup=50, ema=0.99)
    how = Dreaming(contexts=growth.contexts)

    def tell(step: int, of: int, loss: float) -> None:
        progress.update(step / of, f"step {step:,} of {of:,}, loss {loss:.4g}")

    options = Options(seed=growth.seed, save_minutes=1.0, report=tell)
    work = {
        "tokenizer": lambda again: train_tokenizer(store, run, size, options, resume=again),
        "dynamics": lambda again: train_dynamics(store, run, size, options, resume=again),
        "agent": lambda again: train_agent(store, run, standard(size), options, resume=again),
        "dream": lambda again: train_dream(store, run, dreams, how, options, resume=again),
    }
    for name, do in work.items():
        if (run / name / "weights.safetensors").exists():
            progress.skip(name)
            continue
        progress.begin(name)
        do(begun(run / name))


def _told(store: Store, growth: Growth, number: int, enough: bool) -> dict[str, Any]:
    """What the end says beside the rounds."""
    totals = [r.total for r in store.episodes if "corrects" not in r.labels and r.split == "train"]
    return {
        "env": store.info.env,
        "return_recordings": float(np.mean(totals)),
        "episodes_recorded": len(totals),
        "rounds_done": number,
        "target_reached": enough if growth.target is not None else None,
    }


def report_text(run: Path, grown: dict[str, Any]) -> str:
    """What a person reads at the end."""
    growth, rounds = grown["growth"], grown["rounds"]
    last, number = rounds[-1], grown["rounds_done"]
    spent = grown["recorded_steps"] + last["real_steps"]
    target = growth["target"]
    reached = "" if target is None else f"; target {target:g} "
    reached += "" if target is None else "reached" if grown["target_reached"] else "not reached"
    better = last["return"]["low"]
    verdict = "no interval" if better is None else "not shown to be better than the recordings"
    if better is not None and better > grown["return_recordings"]:
        verdict = "better than the recordings"
    folder = run if number == 0 else run / "rounds" / str(number)
    returns = [
        f"  round {k}   real return {figure_text(r['return'])}" for k, r in enumerate(rounds)
    ]
    lies = last.get("lies")
    return "\n".join(
        [
            f"grown: {folder}",
            f"  recorded  {grown['episodes_recorded']} episodes of {grown['env']}, "
            f"mean return {grown['return_recordings']:.2f}",
            *returns,
            f"  verdict   {verdict}",
            f"  spent     {spent:,} of {growth['budget']:,} real steps{reached}",
            "  lies      "
            + (
                f"{lies['open']} open, {lies['closed']} closed: worldloom ls lies"
                if lies
                else f"nobody knows: {last['not applicable']}"
            ),
        ]
    )
