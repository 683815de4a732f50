"""`worldloom plan`: an agent that predicts before it acts."""

import time
from pathlib import Path


def plan(
    run: str,
    env: str,
    *,
    horizon: int = 10,
    candidates: int = 16,
    rounds: int = 2,
    every: int = 1,
    passes: int | None = None,
    episodes: int = 20,
    seed: int = 0,
    max_frames: int | None = None,
    task: str | None = None,
    json: str | None = None,
) -> None:
    """Plays a real environment with an agent that searches its world before it acts.

    Args:
      run: RUN/agent or RUN/dream, or a RUN.
      env: id of the environment, which is seen as it was recorded.
      horizon: actions that are imagined ahead.
      candidates: sequences of actions that a round imagines.
      rounds: of the cross-entropy method; each looks where the best of those before are.
      every: actions that are taken before the next search.
      passes: denoising passes of an imagined frame; by default as the run's world is drawn.
      episodes: how many are played, of the same starts as those of `act`.
      seed: of the starts.
      max_frames: ends an episode after so many frames.
      task: that is asked of the agent.
      json: file that every episode's return and length and the search are written to.
    """
    from worldloom.acting import play_checkpoint
    from worldloom.agents.planning import Search
    from worldloom.evaluate.returns import summary, to_json
    from worldloom.hub import TrainedMaker, recorded_setup
    from worldloom.progress import Progress
    from worldloom.train.stage import write_text

    search = Search(horizon, candidates, rounds, every=every)
    maker = TrainedMaker(Path(run), search, passes)
    setup = recorded_setup(maker.path, env)
    progress = Progress({"plan": 0.0})
    progress.begin("plan", f"{episodes} episodes of {env}")
    begun = time.perf_counter()
    played = play_checkpoint(
        maker,
        setup,
        episodes=episodes,
        seed=seed,
        rows=max(1, search.rows // candidates),
        max_frames=max_frames,
        task=task,
        progress=lambda done, of: progress.update(done / of, f"{done} of {of} episodes"),
    )
    seconds = (time.perf_counter() - begun) / max(1, sum(one.length - 1 for one in played))
    print(summary(played, seed=seed))
    print(f"{search}; {seconds:.3f} s an action, all included")
    if json is not None:
        facts = {"search": vars(search), "steps": search.steps, "seconds_an_action": seconds}
        write_text(Path(json), to_json(played, **facts))
