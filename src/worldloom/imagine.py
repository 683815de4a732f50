"""A World behind gymnasium's `VectorEnv`: an imagined world is just an environment.

Whatever trains in gymnasium trains in any world, learned or real. Knows the
contract of worlds and gymnasium's; no model, and no algorithm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from worldloom.actions import Action
from worldloom.data.starts import Starts, join, starts_of
from worldloom.data.starts import recorded as recorded
from worldloom.data.types import Clip
from worldloom.envs.native import action_space, from_native
from worldloom.envs.sb3 import to_sb3 as to_sb3
from worldloom.errors import WorldloomError
from worldloom.seeding import stream
from worldloom.world import Step, World, require

Reward = Callable[[np.ndarray, Action], Any]
"""Frames `[N, H, W, 3]` uint8 and the actions that led to them, to `[N]` numbers."""


@dataclass(frozen=True)
class Caution:
    """What a world's doubt does to those who train in it.

    Args:
      limit: a step of more doubt than this ends its episode (truncated); None ends none.
      price: what doubt 1 takes off the reward of a step.
    """

    limit: float | None = None
    price: float = 0.0


class Imagined(VectorEnv[np.ndarray, Any, np.ndarray]):
    """Rows of one world as gymnasium's environments.

    Episode k of a row has its start and its noise from (the row's seed, k), so the same
    seed and the same actions give the same bytes, and no two episodes are alike. A row
    that has ended begins anew in the next step (`AutoresetMode.NEXT_STEP`): that step
    ignores the row's action and returns its new first frame, reward 0 and no ending.
    `reset(options={"reset_mask": mask})` begins the rows of a mask `[N]` bool at once.

    Observations are `[N, H, W, 3]` uint8, rewards `[N]` float64. A row that the world
    terminates is not truncated as well. `infos["doubt"]` `[N]` is there where the world
    doubts.

    Args:
      world: must be able to `render`; stays its owner's, `close` leaves it open.
      starts: where episodes begin: clips of one row (`worldloom.contexts`), of which each
        is as likely, or a function (`recorded`). None: the world's own environment seeds.
      rows: how many environments, all of them one batch.
      length: steps after which an episode is truncated.
      camera: that is looked through; by default `main`, or the first one.
      seed: of everything, until `reset` gives another.
      reward: in place of the world's own reward.
      caution: what the world's doubt does.

    Raises:
      WorldloomError: the world cannot `render`, or lacks what is asked of it. What only its
        steps show, a missing reward or doubt, at the first step.
    """

    _state: Any = None  # the class has it too, for `close` where the constructor has failed

    def __init__(
        self,
        world: World,
        starts: Sequence[Clip] | Starts | None = None,
        *,
        rows: int = 8,
        length: int = 256,
        camera: str | None = None,
        seed: int = 0,
        reward: Reward | None = None,
        caution: Caution | None = None,
    ) -> None:
        require(world, "render", "an imagined environment")
        if rows < 1 or length < 1:
            raise WorldloomError(
                f"{rows} rows of {length} steps are no environment", "give at least one of each"
            )
        self.world: Any = world
        self.camera = _camera(world, camera)
        self.length, self.num_envs = length, rows
        self._starts = starts_of(world.spec, starts)
        self._reward, self._caution = reward, caution or Caution()
        self.metadata = {
            "autoreset_mode": AutoresetMode.NEXT_STEP,
            "render_modes": ["rgb_array"],
            "render_fps": world.spec.fps,
        }
        self.render_mode = "rgb_array"
        shape = (*world.spec.cameras[self.camera], 3)
        self.single_observation_space = spaces.Box(0, 255, shape, np.uint8)
        self.single_action_space = action_space(world.spec.action)
        self.observation_space = batch_space(self.single_observation_space, rows)
        self.action_space = batch_space(self.single_action_space, rows)
        self._seeds = [stream(seed, "row", row) for row in range(rows)]
        self._episodes = np.full(rows, -1)  # the number of each row's episode
        self._clock = np.zeros(rows, np.int64)  # steps of each row's episode
        self._over = np.zeros(rows, bool)  # rows that begin anew in the next step

    @torch.no_grad()
    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins a new episode in every row, or in those of a mask.

        Args:
          seed: one number, from which each row's own is drawn, or one for each row. Where
            there is none, a row goes on to its next episode.
          options: `reset_mask` `[N]` bool: the rows that begin anew; the others stand still.

        Returns:
          `[N, H, W, 3]` uint8, and an empty dict.
        """
        rows = np.flatnonzero(self._mask(options or {})).tolist()
        seeds = self._spread(seed)
        for row in rows:
            given = seeds[row]
            if given is not None:
                self._seeds[row], self._episodes[row] = given, -1
        self._begin(rows)
        return self._look(), {}

    @torch.no_grad()
    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Goes on by one step in every row, or begins it anew where it had ended."""
        self._check_begun()
        fresh = self._over.copy()
        values = from_native(self.world.spec.action, actions, self.num_envs)
        # The batch keeps its shape, on which bytes depend: rows to be replaced do nothing.
        action = Action(values, ~fresh).map(torch.from_numpy)
        self._state, step = self.world.step(self._state, action)
        self._clock += 1
        doubt = self._doubt(step, fresh)
        terminated = self._flags(step.terminated) & ~fresh
        truncated = self._flags(step.truncated) | (self._clock >= self.length)
        if doubt is not None and self._caution.limit is not None:
            truncated |= doubt > self._caution.limit
        truncated &= ~terminated & ~fresh
        if fresh.any():
            self._begin(np.flatnonzero(fresh).tolist())
        frames = self._look()
        reward = self._earned(step, frames, action)
        if doubt is not None:
            reward -= self._caution.price * doubt
        reward[fresh] = 0
        self._over = terminated | truncated
        infos = {} if doubt is None else {"doubt": doubt, "_doubt": ~fresh}
        return frames, reward, terminated, truncated, infos

    @torch.no_grad()
    def render(self) -> tuple[np.ndarray, ...]:
        """The newest frame of every row, `[H, W, 3]` uint8 each."""
        self._check_begun()
        return tuple(self._look())

    def close_extras(self, **kwargs: Any) -> None:
        """Gives back what the rows hold; the world stays open."""
        if self._state is None:
            return
        self._release(list(range(self.num_envs)))
        self._state = None

    def _begin(self, rows: list[int]) -> None:
        """Puts a new episode in place of each of `rows`."""
        if not rows:
            return
        self._episodes[rows] += 1
        own = [(self._seeds[row], int(self._episodes[row])) for row in rows]
        clip = join([self._starts(stream(s, "start", k) % 2**31) for s, k in own])
        seeds = torch.tensor([stream(s, "noise", k) for s, k in own])
        self._release(rows)
        state, _ = self.world.start(clip, seeds)
        if len(state) != len(rows):
            raise WorldloomError(
                f"{len(rows)} starts gave {len(state)} rows", "let each start be a clip of one row"
            )
        self._place(rows, state)
        self._clock[rows], self._over[rows] = 0, False

    def _place(self, rows: list[int], state: Any) -> None:
        """Exchanges rows of the batch; the others keep their bytes."""
        if len(rows) == self.num_envs:
            self._state = state
        elif "rows" in self.world.spec.capabilities:
            for place, row in enumerate(rows):
                self._state.put(row, state if len(rows) == 1 else state[[place]])
        else:
            kept = [row for row in range(self.num_envs) if row not in rows]
            mixed = type(state).stack([self._state[kept], state])
            self._state = mixed[np.argsort([*kept, *rows]).tolist()]

    def _release(self, rows: list[int]) -> None:
        """Gives rows back to a world whose states are handles."""
        handles = "fork" not in self.world.spec.capabilities and hasattr(self.world, "release")
        if handles and self._state is not None:
            self.world.release(self._state[rows])

    def _look(self) -> np.ndarray:
        return self.world.render(self._state, self.camera).cpu().numpy().copy()

    def _mask(self, options: dict[str, Any]) -> np.ndarray:
        """`[N]` bool: the rows that `reset` is asked to begin anew."""
        if unknown := set(options) - {"reset_mask"}:
            raise WorldloomError(
                f"`reset` has no option {sorted(unknown)}", "its one option is `reset_mask`"
            )
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise WorldloomError(
                f"`reset_mask` is {mask.dtype} {mask.shape}, expected bool ({self.num_envs},)",
                "say True for each row that is to begin anew",
            )
        if not mask.all():
            self._check_begun()
        return mask

    def _check_begun(self) -> None:
        if self._state is None:
            raise WorldloomError(
                f"the rows of `{self.world.spec.name}` have not begun", "call `reset` first"
            )

    def _spread(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        """What `reset` was given, for each row."""
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [stream(int(seed), "row", row) for row in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise WorldloomError(
                f"{len(seed)} seeds for {self.num_envs} rows", "give one number, or one a row"
            )
        return [None if s is None else int(s) for s in seed]

    def _flags(self, flags: torch.Tensor | None) -> np.ndarray:
        """`[N]` bool; what a world does not tell never happens."""
        return np.zeros(self.num_envs, bool) if flags is None else flags.cpu().numpy().copy()

    def _doubt(self, step: Step, fresh: np.ndarray) -> np.ndarray | None:
        """`[N]` float64 in [0, 1], where the world doubts; 0 in rows that begin anew."""
        if step.doubt is not None:
            return np.where(fresh, 0.0, step.doubt.cpu().numpy())
        if self._caution != Caution():
            raise WorldloomError(
                f"`{self.world.spec.name}` gives no doubt with its steps, caution needs it",
                "leave `caution` out, or take a world that doubts",
            )
        return None

    def _earned(self, step: Step, frames: np.ndarray, action: Action) -> np.ndarray:
        """`[N]` float64: the reward of every row, its own or the one that was given."""
        earned = step.reward if self._reward is None else self._reward(frames, action)
        if earned is None:
            raise WorldloomError(
                f"`{self.world.spec.name}` gives no reward with its steps",
                "give `reward`, a function of the frames and the actions, or another world",
            )
        earned = earned.cpu().numpy() if isinstance(earned, torch.Tensor) else earned
        earned = np.array(earned, np.float64)
        if earned.shape != (self.num_envs,) or not np.isfinite(earned).all():
            raise WorldloomError(
                f"the rewards are no {self.num_envs} finite numbers: {earned.tolist()}",
                "give one finite number for each row",
            )
        return earned


class ImaginedOne(gymnasium.Env[np.ndarray, Any]):
    """The only row of an `Imagined` as a single environment, which begins anew by `reset` alone.

    Args:
      envs: of one row.
    """

    def __init__(self, envs: Imagined) -> None:
        if envs.num_envs != 1:
            raise WorldloomError(
                f"one environment of {envs.num_envs} rows", "make it of `Imagined(..., rows=1)`"
            )
        self.envs = envs
        self.metadata = {k: v for k, v in envs.metadata.items() if k != "autoreset_mode"}
        self.render_mode = envs.render_mode
        self.observation_space = envs.single_observation_space
        self.action_space = envs.single_action_space
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode: that of `seed`, or else the next; `[H, W, 3]` uint8."""
        super().reset(seed=seed)
        frames, _ = self.envs.reset(seed=seed, options=options)
        self._over = False
        return frames[0], {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Goes on by one step."""
        if self._over:
            raise WorldloomError("this episode has ended or never began", "call `reset` first")
        add = lambda value: np.asarray(value)[None]  # noqa: E731
        rows = {k: add(v) for k, v in action.items()} if isinstance(action, dict) else add(action)
        frames, reward, terminated, truncated, infos = self.envs.step(rows)
        self._over = bool(terminated[0] or truncated[0])
        info = {name: float(infos[name][0]) for name in infos if not name.startswith("_")}
        return frames[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def render(self) -> np.ndarray:
        """The newest frame, `[H, W, 3]` uint8."""
        return self.envs.render()[0]

    def close(self) -> None:
        """Gives back what the row holds; the world stays open."""
        self.envs.close()


def _camera(world: World, camera: str | None) -> str:
    """The camera that is asked for: `main` or the first one where none is."""
    cameras = world.spec.cameras
    chosen = camera or ("main" if "main" in cameras else next(iter(cameras)))
    if chosen not in cameras:
        raise WorldloomError(
            f"`{world.spec.name}` has no camera `{chosen}`", f"its cameras: {', '.join(cameras)}"
        )
    return chosen
