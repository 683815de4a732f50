"""The simulator as a world under test: the real environment, entered where a recording was.

`worldloom eval simulator STORE --suite trust`: it sits the tasks that ask about recordings of
its own game, and stands where nothing can stand higher. Films of tasks with data of their own
are other worlds, of which this environment knows nothing: their ceilings are simulators too.
"""

from typing import Any

from torch import Tensor

from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.envs.gym import GymWorld, State
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv, Snapshot
from worldloom.errors import WorldloomError
from worldloom.evaluate.real import entered
from worldloom.trust.recorded import Recalled
from worldloom.trust.task import Setting
from worldloom.world import Step

ELSEWHERE = "an environment is not trained, and the films of this task are of another world"
"""Why it sits no task with data of its own."""


class EnteredWorld:
    """The environment of a store, which also starts where its recordings were.

    Args:
      store: names the environment, whose exact state can be kept.

    Raises:
      WorldloomError: it names none, or one that cannot be kept.
    """

    def __init__(self, store: Store) -> None:
        if not store.info.env:
            raise WorldloomError(
                f"store `{store.path}` names no environment", "let a learned world sit its exam"
            )
        self.store = store
        self.world = GymWorld(Setup.from_json(store.info.env, store.info.env_kwargs))
        self.spec = self.world.spec
        if "fork" not in self.spec.capabilities:
            raise WorldloomError(
                f"`{store.info.env}` cannot give its exact state, so that no moment is kept",
                "its tasks have no simulator; let a learned world sit them",
            )

    def start(self, clip: Clip, seeds: Tensor) -> tuple[State, Step]:
        """The moments that a clip was recorded at, or its snapshots.

        Raises:
          WorldloomError: the environment does not repeat its recordings exactly.
        """
        if isinstance(clip, Recalled) and clip.moments:
            windows = [moment.window for moment in clip.moments]
            states = (_kept(env, frame) for env, frame in entered(self.store, windows))
            clip = Clip(snapshots=tuple(states))
        return self.world.start(clip, seeds)

    def step(self, state: State, action: Any) -> tuple[State, Step]:
        """As the environment."""
        return self.world.step(state, action)

    def __getattr__(self, name: str) -> Any:
        """What else it can: `render`, `snapshot`."""
        return getattr(self.world, name)


def _kept(env: PixelEnv, frame: Any) -> bytes:
    """Where an environment is, as a world starts from it."""
    return Snapshot(env.save(), frame).pack()


def simulator(setting: Setting) -> tuple[EnteredWorld, str, str]:
    """The environment of an exam's recordings.

    Returns:
      The world, a name that tells it from others, and why it has no family.

    Raises:
      WorldloomError: there are no recordings, or no environment that can be entered.
    """
    if setting.store is None:
        raise WorldloomError(
            "the simulator is that of recordings, and no store is named",
            "worldloom eval simulator STORE --suite trust",
            code=2,
        )
    world = EnteredWorld(setting.store)
    return world, f"{setting.store.info.env} as {setting.store.path.name} has it", ELSEWHERE
