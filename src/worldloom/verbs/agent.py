"""`worldloom train agent`, `train policy`, `dream`, `act`: agents, from recordings to reality."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from worldloom.errors import WorldloomError
from worldloom.verbs.train import Name, Tracker, told

if TYPE_CHECKING:
    from worldloom.configs import Size
    from worldloom.data.store import Store
    from worldloom.train.lessons import Lessons


def agent(
    store: str,
    *,
    run: str | None = None,
    steps: int | None = None,
    batch: int | None = None,
    rate: float | None = None,
    well: float = 0.125,
    best: float = 1.0,
    past: bool = True,
    seed: int = 0,
    save_minutes: float = 5.0,
    track: Tracker = "none",
) -> None:
    """Trains an agent in a world, from the recordings.

    It learns what the players did, and what is rewarded; the world learns on with it.

    Args:
      store: folder of the recordings; the label `task` of an episode says what it is about.
      run: folder of the run, whose dynamics is trained; runs/STORE by default.
      steps: updates in all; half as many as the dynamics had by default.
      batch: clips of a short batch that show how something is done; beside them are as many more.
      rate: peak learning rate.
      well: share of the frames, those that the most reward soon followed, like whose actions it
        acts; 1 imitates all alike.
      best: share of the episodes, those with the highest returns, that is imitated at all.
      past: whether the policy reads its past; where a frame says all, it does better without, for
        who reads it copies what was done last.
      seed: of everything random.
      save_minutes: minutes between two checkpoints.
      track: sends the metrics there too; metrics.jsonl is always written.
    """
    from worldloom.data.store import Store
    from worldloom.train.agent import train_agent
    from worldloom.train.lessons import standard
    from worldloom.train.stage import Stage

    opened = Store.open(store)
    folder = Path(run or f"runs/{opened.path.name}")
    if not (folder / "dynamics" / "config.json").exists():
        raise WorldloomError(
            f"run `{folder}` has no dynamics for an agent to live in",
            f"worldloom train dynamics {store} --run {folder}, or `train policy` for cloning alone",
        )
    size = _size(opened, Stage.open(folder / "dynamics").config["size"])
    chosen = _chosen(standard(size), well, best, past)
    lessons = _timed(chosen, steps, batch, rate)
    with told(folder, "agent", seed=seed, minutes=save_minutes, track=track) as options:
        train_agent(opened, folder, lessons, options)


def policy(
    store: str,
    *,
    run: str | None = None,
    size: Name = "nano",
    steps: int | None = None,
    batch: int | None = None,
    rate: float | None = None,
    well: float = 0.125,
    best: float = 1.0,
    past: bool = True,
    seed: int = 0,
    save_minutes: float = 5.0,
    track: Tracker = "none",
) -> None:
    """Trains a policy by imitation alone.

    Args:
      store: folder of the recordings.
      run: folder that the run writes, its tokenizer included; runs/STORE by default.
      size: named configuration, see `worldloom ls sizes`.
      steps: updates in all; half the size's own number by default.
      batch: clips of a short batch.
      rate: peak learning rate.
      well: share of the frames, those that the most reward soon followed, like whose actions it
        acts; 1 imitates all alike.
      best: share of the episodes, those with the highest returns, that are learned from.
      past: whether the policy reads its past; where a frame says all, it does better without, for
        who reads it copies what was done last.
      seed: of everything random.
      save_minutes: minutes between two checkpoints.
      track: sends the metrics there too; metrics.jsonl is always written.
    """
    from worldloom.data.store import Store
    from worldloom.train.agent import train_agent
    from worldloom.train.lessons import standard
    from worldloom.train.tokenizer import train_tokenizer

    opened = Store.open(store)
    folder = Path(run or f"runs/{opened.path.name}")
    chosen = _size(opened, size)
    what = _chosen(standard(chosen, alone=True), well, best, past)
    lessons = _timed(what, steps, batch, rate)
    if not (folder / "tokenizer" / "weights.safetensors").exists():
        begun = (folder / "tokenizer" / "config.json").exists()
        with told(folder, "tokenizer", seed=seed, minutes=save_minutes, track=track) as options:
            train_tokenizer(opened, folder, chosen, options, resume=begun)
    with told(folder, "policy", seed=seed, minutes=save_minutes, track=track) as options:
        train_agent(opened, folder, lessons, options, name="policy", size=chosen)


def dream(
    run: str,
    store: str,
    *,
    task: str | None = None,
    steps: int = 1000,
    rate: float = 1e-4,
    contexts: int = 64,
    horizon: int = 15,
    passes: int = 4,
    objective: Literal["pmpo", "reinforce"] = "pmpo",
    caution: float = 0.0,
    limit: float = 1.0,
    seed: int = 0,
) -> None:
    """Trains the agent of a run in its own dreams.

    Args:
      run: folder of the run, whose agent is trained.
      store: folder of the recordings that dreams begin with.
      task: that is asked of the agent; the first that it knows by default.
      steps: updates in all, each on dreams of its own.
      rate: peak learning rate.
      contexts: dreams of an update.
      horizon: frames of a dream.
      passes: denoising passes a frame.
      objective: pmpo, or reinforce with normalised returns.
      caution: what doubt 1 takes off the reward of an imagined step.
      limit: a step of more doubt than this is the last of its dream that counts.
      seed: of everything random.
    """
    from worldloom.data.store import Store
    from worldloom.models.dream import Sampler
    from worldloom.train.dream import train_dream
    from worldloom.train.imagination import Dreaming
    from worldloom.train.optim import Schedule

    numbers = {"steps": steps, "contexts": contexts, "horizon": horizon}
    for name, value in numbers.items():
        if value < 1:
            raise WorldloomError(f"--{name} {value} makes no sense", "give 1 or more", code=2)
    if caution < 0 or not 0 <= limit <= 1:
        raise WorldloomError(
            f"--caution {caution:g} --limit {limit:g} makes no sense",
            "caution is 0 or more, limit is a probability",
            code=2,
        )
    how = Dreaming(horizon, contexts, objective=objective, task=task, caution=caution, limit=limit)
    schedule = Schedule(steps, rate, warmup=50, ema=0.99)
    with told(Path(run), "dream", seed=seed, minutes=5.0, track="none") as options:
        train_dream(
            Store.open(store),
            Path(run),
            schedule,
            how,
            options,
            sampler=Sampler(passes=passes),
        )


def act(
    checkpoint: str,
    env: str,
    *,
    episodes: int = 20,
    seed: int = 0,
    rows: int = 16,
    size: int | None = None,
    repeat: int = 1,
    max_frames: int | None = None,
    task: str | None = None,
    json: str | None = None,
) -> None:
    """Plays a real environment with any policy, and says how well.

    Args:
      checkpoint: RUN/agent, RUN/policy or RUN/dream, a RUN, or random, scripted or another
        player that the environment brings.
      env: id of the environment, see `worldloom ls envs`.
      episodes: how many are played; the same starts for every policy.
      seed: of the starts.
      rows: games at once.
      size: side of the frames in pixels; the environment's own by default.
      repeat: how many times each action is done.
      max_frames: ends an episode after so many frames.
      task: that is asked of the agent.
      json: file that every episode's return and length is written to.
    """
    from worldloom.acting import play_checkpoint
    from worldloom.envs.make import Setup
    from worldloom.evaluate.returns import summary, to_json
    from worldloom.progress import Progress
    from worldloom.train.stage import write_text

    progress = Progress({"act": 0.0})
    progress.begin("act", f"{episodes} episodes of {env}")
    played = play_checkpoint(
        checkpoint,
        Setup(env, None if size is None else (size, size), repeat),
        episodes=episodes,
        seed=seed,
        rows=rows,
        max_frames=max_frames,
        task=task,
        progress=lambda done, of: progress.update(done / of, f"{done} of {of} episodes"),
    )
    print(summary(played, seed=seed))
    if json is not None:
        write_text(Path(json), to_json(played))


def _size(store: "Store", name: str) -> "Size":
    from worldloom.train.setup import size_for

    return size_for(store, name)


def _chosen(lessons: "Lessons", well: float, best: float, past: bool) -> "Lessons":
    """Lessons that imitate what was asked for."""
    from dataclasses import replace

    from worldloom.train.lessons import at_sight

    if not (0 < best <= 1 and 0 < well <= 1):
        raise WorldloomError(
            f"--best {best:g} --well {well:g} makes no sense",
            "both are shares above 0 and up to 1",
            code=2,
        )
    chosen = replace(lessons, well=well, best=best)
    return chosen if past else at_sight(chosen)


def _timed(
    lessons: "Lessons", steps: int | None, batch: int | None, rate: float | None
) -> "Lessons":
    """Lessons of another length or size, where one was given."""
    from dataclasses import replace

    schedule = {k: v for k, v in {"steps": steps, "rate": rate}.items() if v is not None}
    if any(value <= 0 for value in (*schedule.values(), batch or 1)):
        raise WorldloomError("steps, batch and rate must be above 0", "leave them out", code=2)
    return replace(
        lessons,
        schedule=replace(lessons.schedule, **schedule),
        batches=replace(lessons.batches, **({} if batch is None else {"rows": batch})),
    )
