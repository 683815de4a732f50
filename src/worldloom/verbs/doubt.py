"""`worldloom train doubt`: a world that says how likely each of its steps is wrong."""

from pathlib import Path
from typing import Literal

from worldloom.errors import WorldloomError
from worldloom.verbs.train import Tracker, told


def doubt(
    run: str,
    store: str,
    *,
    of: Literal["dynamics", "agent"] = "dynamics",
    tolerance: float = 0.05,
    steps: int = 1000,
    frames: int = 8192,
    heldout: int = 4096,
    seed: int = 0,
    save_minutes: float = 5.0,
    track: Tracker = "none",
) -> None:
    """Trains a world's doubt: how likely a step is wrong.

    Args:
      run: folder of the run, whose world is trained.
      store: folder of the recordings that it was trained on.
      of: the world that play and eval use, or that of the agent, in which dreams are dreamed.
      tolerance: root mean square pixel error, of 1, above which a step is wrong.
      steps: updates of the heads.
      frames: imagined steps that they learn from.
      heldout: imagined steps in held-out episodes that probabilities are fitted to.
      seed: of everything random.
      save_minutes: minutes between two checkpoints.
      track: sends the metrics there too; metrics.jsonl is always written.
    """
    from worldloom.data.store import Store
    from worldloom.hub import doubt_folder
    from worldloom.train.doubt import Doubting, train_doubt
    from worldloom.train.optim import Schedule
    from worldloom.train.replay import Windows

    for name, value in {"steps": steps, "frames": frames, "heldout": heldout}.items():
        if value < 1:
            raise WorldloomError(f"--{name} {value} makes no sense", "give 1 or more", code=2)
    if not 0 < tolerance < 1:
        raise WorldloomError(
            f"--tolerance {tolerance:g} makes no sense", "give a share of full range", code=2
        )
    schedule = Schedule(steps, 3e-3, warmup=50, ema=0.99)
    how = Doubting(schedule, Windows(tolerance=tolerance), frames, heldout)
    name = doubt_folder(run, of).name
    with told(Path(run), name, seed=seed, minutes=save_minutes, track=track) as options:
        train_doubt(Store.open(store), Path(run), how, options, of=of)
