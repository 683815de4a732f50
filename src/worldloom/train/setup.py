"""What every stage needs before it can train: the store's windows, and where the run goes."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from worldloom.configs import Size, named
from worldloom.data.clips import ClipCache
from worldloom.data.store import Store
from worldloom.errors import WorldloomError
from worldloom.train.stage import Report, Stage


@dataclass(frozen=True)
class Options:
    """How a training run behaves, apart from what it learns.

    Args:
      seed: of everything random.
      save_minutes: minutes between two checkpoints.
      until: stop after this step with a checkpoint, before the schedule's end.
      limit_bytes: of decoded frames on disk; what is beyond is read from the video.
      report: told (step, steps, loss) about once a second.
      track: "trackio", "wandb" or "tensorboard" beside metrics.jsonl.
      cache: folder of the decoded frames, which runs may share; that of the run by default.
    """

    seed: int = 0
    save_minutes: float = 5.0
    until: int | None = None
    limit_bytes: int = 8 * 2**30
    report: Report | None = None
    track: str | None = None
    cache: Path | None = None


def size_for(store: Store, name: str) -> Size:
    """The named size for the frames of `store`."""
    return named(name, camera_size(store))


def camera_size(store: Store) -> tuple[int, int]:
    """(height, width) of the camera that is learned from, or one clear sentence."""
    if "main" not in store.info.cameras:
        raise WorldloomError(
            f"store `{store.path}` has cameras {sorted(store.info.cameras)}, none is `main`",
            "record the camera to learn from as `main`",
        )
    height, width = store.info.cameras["main"]
    return height, width


def describe(stage: str, store: Store, cache: ClipCache, **facts: Any) -> dict[str, Any]:
    """The configuration of a stage as JSON values; enough to resume and to load it."""
    return {
        "stage": stage,
        "store": str(store.path.resolve()),
        "info": store.info.to_json(),
        "episodes": list(cache.names),
        "frames": cache.frames_total,
        **{key: asdict(v) if hasattr(v, "__dataclass_fields__") else v for key, v in facts.items()},
    }


def open_stage(path: Path, resume: bool) -> Stage | None:
    """The stage to resume, or None where a new one is to be made."""
    return Stage.open(path) if resume else None


def open_cache(store: Store, run: Path, stage: Stage | None, options: Options) -> ClipCache:
    """The training split's windows; a resumed stage sees the episodes that it began with."""
    names = None if stage is None else stage.config["episodes"]
    path, limit = options.cache or run / "cache", options.limit_bytes
    return ClipCache.open(store, path, split="train", names=names, limit_bytes=limit)
