"""Experiment trackers as thin extras; metrics.jsonl is always written without them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from worldloom.errors import WorldloomError, need
from worldloom.train.dist import Ranks
from worldloom.train.setup import Options
from worldloom.train.stage import Stage

Track = Callable[[int, Mapping[str, Any]], None]


def tracking(options: Options, stage: Stage, ranks: Ranks) -> Track | None:
    """What the options ask for, in the one process that writes; None in all others."""
    if options.track is None or not ranks.leads:
        return None
    return tracker(options.track, stage.path, stage.config)


def tracker(name: str, path: Path, config: Mapping[str, Any]) -> Track:
    """A function (step, row) that sends every logged row to `name`.

    Args:
      name: "trackio", "wandb" or "tensorboard".
      path: RUN/STAGE, which is the run's name there.
      config: shown beside the run.
    """
    if name == "tensorboard":
        need("tensorboard", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(path / "tensorboard"))

        def send(step: int, row: Mapping[str, Any]) -> None:
            for key, value in row.items():
                if isinstance(value, float | int) and key != "step":
                    writer.add_scalar(key, value, step)
            writer.flush()

        return send
    if name in ("trackio", "wandb"):
        module = need(name, name)
        where = path.resolve()
        name_there = f"{where.parent.name}/{where.name}"
        module.init(project="worldloom", name=name_there, config=dict(config))
        return lambda step, row: module.log(
            {k: v for k, v in row.items() if k != "step"}, step=step
        )
    raise WorldloomError(f"there is no tracker `{name}`", "choose trackio, wandb or tensorboard")
