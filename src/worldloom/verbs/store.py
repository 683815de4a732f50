"""`worldloom record`, `data`, `check`: making stores and looking at them."""

from pathlib import Path
from typing import Any, Literal

from worldloom.errors import WorldloomError


def record(
    env: str,
    store: str,
    *,
    episodes: int = 100,
    policy: str = "random",
    seed: int = 0,
    workers: int = 1,
    size: int | None = None,
    repeat: int = 1,
    max_frames: int | None = None,
    snapshot_every: int = 0,
    heldout: float | None = None,
    codec: Literal["lossless", "h264", "av1"] | None = None,
) -> None:
    """Records episodes of an environment into a store.

    Args:
      env: id of the environment, see `worldloom ls envs`; MODULE:ID imports a module first.
      store: folder of the store; made where it is missing, added to where it is there.
      episodes: how many to add.
      policy: who acts: random, scripted, the folder of a trained agent, plan:FOLDER to have it
        search before it acts, or several with commas, who take turns.
      seed: of everything; the same seed again goes on where it stopped.
      workers: processes that play.
      size: side of the frames in pixels; the environment's own by default.
      repeat: how many times each action is done.
      max_frames: ends an episode after so many frames.
      snapshot_every: keeps the exact state every so many frames, beside that of the first.
      heldout: share of the seeds that is held out; 0.1 for a new store.
      codec: of frames above 128x128: lossless for a new store; smaller ones always are.
    """
    from worldloom.agents.choose import choose
    from worldloom.data.record import Keep
    from worldloom.data.record import record as play
    from worldloom.envs.make import Setup
    from worldloom.progress import Progress

    _check_least(1, episodes=episodes, workers=workers, repeat=repeat, size=size)
    _check_least(2, max_frames=max_frames)
    _check_least(0, snapshot_every=snapshot_every)
    progress = Progress({"record": 0.0})
    progress.begin("record", f"{episodes} episodes of {env} into {store}")
    made = play(
        Setup(env, None if size is None else (size, size), repeat),
        store,
        episodes=episodes,
        policies=choose(policy, load=_trained),
        seed=seed,
        workers=workers,
        keep=Keep(max_frames, snapshot_every, heldout, codec),
        progress=lambda done, of: progress.update(done / of, f"{done} of {of} episodes"),
    )
    print(made)


def _check_least(least: int, **options: int | None) -> None:
    """Raises one clear sentence where an option is below what makes sense."""
    for name, value in options.items():
        if value is not None and value < least:
            word = name.replace("_", "-")
            raise WorldloomError(
                f"--{word} {value} makes no sense", f"give {least} or more", code=2
            )


def _trained(path: Path, plans: bool) -> Any:
    """A trained agent's maker; torch is imported only by who asks for one."""
    from worldloom.hub import maker_of

    return maker_of(path, plans)


def data(store: str, *, episodes: bool = False) -> None:
    """Shows what a store holds.

    Args:
      store: folder of the store.
      episodes: one line for each episode as well.
    """
    from worldloom.data.store import Store
    from worldloom.ls import describe_store, episode_lines

    opened = Store.open(store)
    print(describe_store(opened))
    if episodes:
        print("\n".join(["", *episode_lines(opened)]))


def check(store: str, *, repair: bool = False) -> None:
    """Looks for damaged files in a store, and repairs it.

    Args:
      store: folder of the store.
      repair: moves broken episodes and foreign files to STORE/set-aside; deletes nothing.
    """
    from worldloom.data.check import check_store
    from worldloom.data.check import repair as set_aside
    from worldloom.data.store import Store

    problems = check_store(store)
    for problem in problems:
        print(problem)
    if repair:
        moved = set_aside(store)
        for path in moved:
            print(f"moved to {path}")
        problems = [problem for problem in check_store(store) if not problem.leftover]
    serious = [problem for problem in problems if not problem.leftover]
    if serious:
        raise WorldloomError(
            f"store `{store}` has {len(serious)} problem{'s' * (len(serious) > 1)}",
            "" if repair else f"worldloom check {store} --repair",
        )
    opened = Store.open(store)
    frames = sum(row.length for row in opened.episodes)
    print(f"store `{store}` is whole: {len(opened)} episodes, {frames:,} frames")
