"""`worldloom correct` and `worldloom grow`: a little reality repairs what was learned."""

from pathlib import Path
from typing import Literal

from worldloom.errors import WorldloomError
from worldloom.verbs.parse import on_interrupt


def correct(
    run: str,
    env: str,
    *,
    rounds: int = 3,
    steps: int = 2000,
    data: str = "agent",
    mixture: float = 0.5,
    updates: int = 500,
    dreams: int = 200,
    starts: int = 48,
    horizon: int = 30,
    seed: int = 0,
    store: str | None = None,
) -> None:
    """Repairs a world and its agent with a little real experience, in rounds.

    Args:
      run: folder of the run, whose agent is trained.
      env: id of the environment that it was recorded from.
      rounds: of acting, learning and dreaming.
      steps: in the real environment, a round.
      data: who acts there: agent; doubt, which is the agent where the world doubts most; or the
        name of a player, such as random or scripted, for comparison.
      mixture: share of what is learned from that is new.
      updates: of the world and the agent's heads, a round.
      dreams: updates of the policy in imagination, a round.
      starts: moments, deeds and episodes that every round is examined with.
      horizon: steps from each moment.
      seed: of everything random.
      store: folder of the recordings, which grows; that of the run by default.
    """
    from worldloom.correct import Plan
    from worldloom.correct import correct as repair
    from worldloom.data.store import Store
    from worldloom.evaluate.exam import figure_text
    from worldloom.train.stage import Stage

    if rounds < 1:
        raise WorldloomError(f"--rounds {rounds} makes no sense", "give 1 or more", code=2)
    folder = Path(run)
    if not (folder / "agent" / "config.json").exists():
        raise WorldloomError(
            f"run `{run}` has no agent to correct", f"worldloom train agent STORE --run {run}"
        )
    opened = Store.open(store or Stage.open(folder / "agent").config["store"])
    if opened.info.env != env:
        raise WorldloomError(
            f"the recordings of `{run}` come from `{opened.info.env}`, not from `{env}`",
            f"worldloom correct {run} {opened.info.env}",
        )
    plan = Plan(steps, data, mixture, updates, dreams, starts, horizon, seed)
    kept = f"{folder / 'rounds'} is kept; the same command goes on where this one stopped"
    with on_interrupt(kept):
        found = repair(folder, opened, plan, rounds=rounds)
    last = found["rounds"][-1]
    print(f"corrected: {folder / 'rounds' / str(rounds)}, real return", figure_text(last["return"]))
    print(f"the rounds are in {folder / 'rounds' / 'report.json'}, the lies in: worldloom ls lies")


def grow(
    source: str,
    *,
    out: str,
    budget: int = 20_000,
    target: float | None = None,
    rounds: int = 3,
    size: Literal["nano", "tiles", "tiny", "small", "base", "large"] = "nano",
    side: int | None = None,
    policy: str | None = None,
    updates: int | None = None,
    starts: int = 48,
    seed: int = 0,
) -> None:
    """Grows an agent from nothing: learns, dreams, tries for real, repairs.

    Args:
      source: id of an environment, or folder of recordings of one.
      out: folder for everything.
      budget: steps in the real environment in all; those of given recordings are free.
      target: real return at which it is enough; by default the budget is spent.
      rounds: of correction that the budget is shared by, at most.
      size: named configuration, see `worldloom ls sizes`.
      side: of the frames in pixels; the environment's own by default.
      policy: who is recorded, separated by commas; by default the environment's own player, where
        it brings one, and random.
      updates: of the dynamics, the other stages have their shares of it; the size's own by default.
      starts: moments, deeds and episodes that every round is examined with.
      seed: of everything random.
    """
    from worldloom.grow import Growth, report_text
    from worldloom.grow import grow as growing

    growth = Growth(
        source,
        budget=budget,
        target=target,
        rounds=rounds,
        size=size,
        side=side,
        policy=policy,
        updates=updates,
        starts=starts,
        seed=seed,
    )
    with on_interrupt(f"{out} is kept; the same command goes on where this one stopped"):
        found = growing(Path(out), growth)
    print(report_text(Path(out), found))
