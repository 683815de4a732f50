"""The nouns of experience: an `Episode` is what happened, a `Clip` is a window of it.

Alignment, everywhere and forever: the action at index t led from frame t-1 to
frame t; reward, ending and sensors at t arrived with frame t. At the first
frame the action is unknown and the reward 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from worldloom.actions import Action, ActionSpec
from worldloom.errors import WorldloomError


@dataclass(frozen=True)
class Episode:
    """What happened, from a start to an ending, as numpy arrays.

    Only `frames` and `actions` are required; the rest takes the defaults named here.

    Args:
      frames: camera name to `[T, H, W, 3]` uint8. A bare array means `{"main": array}`.
      actions: component name to `[T, *component shape]`.
      action_known: `[T]` bool. Default: True but at index 0.
      reward: `[T]` float32. Default: zeros, with `reward_known` all False.
      reward_known: `[T]` bool. Default: True where `reward` is given.
      terminated: the task ended with the last frame.
      truncated: somebody stopped looking after the last frame.
      sensors: sensor name to `[T, D]` float32.
      info: ground truth by name, `[T, ...]`, any numeric dtype.
      stills: named pictures of the whole episode `[H, W, 3]` uint8, for example
        `background`, the level's plate without anything that moves.
      snapshots: frame index to the environment's own exact state.
      texts: frame index to what was said at that frame.
      labels: facts about the whole episode (strings and numbers).
      policy: who acted: one name for the episode, or one for each frame.
      seed: the environment seed that the episode was started with.
    """

    frames: Mapping[str, np.ndarray]
    actions: Mapping[str, np.ndarray]
    action_known: np.ndarray | None = None
    reward: np.ndarray | None = None
    reward_known: np.ndarray | None = None
    terminated: bool = False
    truncated: bool = False
    sensors: Mapping[str, np.ndarray] = field(default_factory=dict)
    info: Mapping[str, np.ndarray] = field(default_factory=dict)
    stills: Mapping[str, np.ndarray] = field(default_factory=dict)
    snapshots: Mapping[int, bytes] = field(default_factory=dict)
    texts: Mapping[int, str] = field(default_factory=dict)
    labels: Mapping[str, str | float | int] = field(default_factory=dict)
    policy: str | tuple[str, ...] = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        if isinstance(self.frames, np.ndarray):
            put("frames", {"main": self.frames})
        length = len(self)
        if self.action_known is None:
            put("action_known", np.arange(length) > 0)
        if self.reward_known is None:
            put("reward_known", np.full(length, self.reward is not None))
        if self.reward is None:
            put("reward", np.zeros(length, np.float32))

    def __len__(self) -> int:
        return len(next(iter(self.frames.values())))

    def check(self, spec: ActionSpec, where: str = "episode") -> None:
        """Raises one clear sentence where the arrays do not fit together or `spec`."""
        if len(self) == 0:
            raise WorldloomError(f"{where} has no frames", "record at least one frame")
        for camera, frames in self.frames.items():
            if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
                raise WorldloomError(
                    f"{where} has camera `{camera}` of {frames.dtype} {frames.shape}, "
                    "expected uint8 [T, H, W, 3]",
                    "convert the frames to RGB bytes",
                )
        steps: dict[str, Any] = {
            **{f"camera `{k}`": v for k, v in self.frames.items()},
            **{f"action `{k}`": v for k, v in self.actions.items()},
            **{f"sensor `{k}`": v for k, v in self.sensors.items()},
            **{f"info `{k}`": v for k, v in self.info.items()},
            "action_known": self.action_known,
            "reward": self.reward,
            "reward_known": self.reward_known,
        }
        if not isinstance(self.policy, str):
            steps["policy"] = self.policy
        for name, value in steps.items():
            if len(value) != len(self):
                raise WorldloomError(
                    f"{where} has {len(self)} frames and {len(value)} rows of {name}",
                    "give one row for each frame",
                )
        for name, value in {"reward": self.reward, **self.sensors}.items():
            bad = np.flatnonzero(~np.isfinite(np.asarray(value)).reshape(len(self), -1).all(1))
            if len(bad):
                raise WorldloomError(
                    f"{where} has {name} that is not finite at frame {bad[0]}",
                    "repair the environment, or mark the reward unknown",
                )
        spec.check(dict(self.actions), where)


@dataclass(frozen=True)
class Clip:
    """A batch of windows of episodes; what a world is started from and learns from.

    Arrays are torch tensors (numpy arrays beside an environment). Fields that
    a clip does not carry are None or empty.

    Args:
      frames: camera name to `[B, T, H, W, 3]` uint8.
      actions: values `[B, T, ...]` and where they are known `[B, T]`.
      latents: `[B, T, N, D]`, in place of frames where they are precomputed.
      reward: `[B, T]` float32.
      reward_known: `[B, T]` bool.
      terminated: `[B, T]` bool.
      sensors: sensor name to `[B, T, D]`.
      texts: one text for each row.
      snapshots: for each row the environment's exact state at the last frame.
      env_seeds: `[B]` int64 environment seeds to start from.
      weight: `[B]` float32, what the sampler multiplied this row's chance with.
    """

    frames: Mapping[str, Any] = field(default_factory=dict)
    actions: Action | None = None
    latents: Any = None
    reward: Any = None
    reward_known: Any = None
    terminated: Any = None
    sensors: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] | None = None
    snapshots: tuple[bytes, ...] | None = None
    env_seeds: Any = None
    weight: Any = None

    def carries(self) -> frozenset[str]:
        """Which kinds of start this clip can give: frames, latents, snapshot, seed."""
        kinds = {
            "frames": bool(self.frames),
            "latents": self.latents is not None,
            "snapshot": self.snapshots is not None,
            "seed": self.env_seeds is not None,
        }
        return frozenset(kind for kind, present in kinds.items() if present)
