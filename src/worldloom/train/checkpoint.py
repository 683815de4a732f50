"""Everything that training needs to go on exactly, in one file that is renamed into place.

Tensors and a JSON header in safetensors: nothing is ever unpickled.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from worldloom.errors import WorldloomError


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Writes tensors and JSON facts to `path`, atomically: a reader sees the old file or the new.

    Raises:
      WorldloomError: the disk is full; the old file is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(kept, part, {"worldloom": json.dumps(facts)})
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise WorldloomError(
            f"could not write `{path}`: {error}", "free some disk space, then resume the run"
        ) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON facts of a file of `write_tensors`.

    Raises:
      WorldloomError: the file is missing, cut short, or not one of ours.
    """
    if not path.is_file():
        raise WorldloomError(f"there is no file `{path}`", "check the run folder")
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get("worldloom", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise WorldloomError(
            f"`{path}` is not a readable worldloom checkpoint ({error})",
            "restore the file, or train again",
        ) from error


def load_strictly(module: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Loads `tensors` into `module`; every key and every shape must match.

    Raises:
      WorldloomError: names the missing, unexpected and misshapen keys.
    """
    own = module.state_dict()
    missing, extra = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    wrong = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    faults = [
        f"{title}: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
        for title, names in (("missing", missing), ("unexpected", extra), ("shapes", wrong))
        if names
    ]
    if faults:
        raise WorldloomError(
            f"{where} does not fit its configuration; {'; '.join(faults)}",
            "use the config.json that was saved with these weights",
        )
    module.load_state_dict(tensors, strict=True)


def flatten_optimizer(optimizer: torch.optim.Optimizer, name: str) -> dict[str, Tensor]:
    """An optimizer's state as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"{name}/{index}/{key}": torch.as_tensor(value)
        for index, slots in state.items()
        for key, value in slots.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, name: str, tensors: dict[str, Tensor]
) -> None:
    """Puts the state of `flatten_optimizer` back; groups and rates stay as configured."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(f"{name}/"):
            _, index, slot = key.split("/")
            state.setdefault(int(index), {})[slot] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
