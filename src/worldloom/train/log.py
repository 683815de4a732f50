"""Experiment trackers as thin extras; metrics.jsonl is always written without them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from worldloom.errors import WorldloomError, need

Track = Callable[[int, Mapping[str, Any]], None]


def tracker(name: str, run: Path, config: Mapping[str, Any]) -> Track:
    """A function (step, row) that sends every logged row to `name`.

    Args:
      name: "trackio", "wandb" or "tensorboard".
      run: the run folder; its name is the run's name there.
      config: shown beside the run.
    """
    if name == "tensorboard":
        need("tensorboard", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(run / "tensorboard"))

        def send(step: int, row: Mapping[str, Any]) -> None:
            for key, value in row.items():
                if isinstance(value, float | int) and key != "step":
                    writer.add_scalar(key, value, step)
            writer.flush()

        return send
    if name in ("trackio", "wandb"):
        module = need(name, name)
        module.init(project="worldloom", name=run.name, config=dict(config))
        return lambda step, row: module.log(
            {k: v for k, v in row.items() if k != "step"}, step=step
        )
    raise WorldloomError(f"there is no tracker `{name}`", "choose trackio, wandb or tensorboard")
