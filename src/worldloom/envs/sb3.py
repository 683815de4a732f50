"""Gymnasium's batches of environments, behind the interface of stable-baselines3.

Knows the two interfaces; no world. stable-baselines3 is needed when `to_sb3` is called.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import VectorEnv

from worldloom.errors import WorldloomError, need

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


def to_sb3(envs: VectorEnv) -> "VecEnv":
    """The same environments behind the interface of stable-baselines3.

    There, a row that ends shows its next first observation in the same step, and its last
    one as `terminal_observation`.

    Args:
      envs: whose `reset` takes the option `reset_mask`.
    """
    need("stable_baselines3", "sb3")
    from stable_baselines3.common.vec_env import VecEnv

    class Sb3Rows(_Sb3Rows, VecEnv):
        """`_Sb3Rows`, with what stable-baselines3 inherits to all."""

    return Sb3Rows(envs)


class _Sb3Rows:
    """What stable-baselines3 asks of a batch of environments; abstract, see `to_sb3`."""

    _seeds: list[int | None]
    _get_indices: Callable[[Any], Any]
    _reset_seeds: Callable[[], None]

    def __init__(self, envs: VectorEnv) -> None:
        self.envs = envs
        self._actions: Any = None
        one: Any = (envs.single_observation_space, envs.single_action_space)
        super().__init__(envs.num_envs, *one)  # type: ignore[call-arg]

    def reset(self) -> np.ndarray:
        seen, _ = self.envs.reset(seed=self._seeds)  # type: ignore[arg-type]  # one for each row
        self._reset_seeds()
        return seen

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        seen, reward, terminated, truncated, _ = self.envs.step(self._actions)
        over = terminated | truncated
        cut = truncated & ~terminated
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": bool(c)} for c in cut]
        if over.any():
            for row in np.flatnonzero(over):
                infos[row]["terminal_observation"] = seen[row]
            seen, _ = self.envs.reset(options={"reset_mask": over})
        return seen, reward.astype(np.float32), over, infos

    def get_images(self) -> list[Any]:
        return list(self.envs.render() or ())

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise _one_batch(attr_name)

    def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> list[Any]:
        raise _one_batch(method_name)

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


def _one_batch(name: str) -> WorldloomError:
    return WorldloomError(
        f"`{name}` is asked of single rows, which are one batch", "ask it of the `VectorEnv`"
    )
