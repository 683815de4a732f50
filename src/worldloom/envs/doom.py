"""Doom behind gymnasium's interface: ViZDoom's engine and scenarios, Freedoom's art.

Knows ViZDoom's game object and nothing of worlds. Which licences are behind
the pictures is written down in docs/doom.md.
"""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from worldloom.envs.doom_player import Explorer
from worldloom.errors import WorldloomError, need

TICS_PER_SECOND = 35  # of the engine, whatever is drawn
TURN = 2.5  # degrees a tic at full deflection; the game's own turning keys do 3.5
PACE = 15.0  # of walking, where the game's own is 25: its rooms are small
WALKING = ("forward", "back", "strafe_left", "strafe_right")


class Doom(gymnasium.Env[np.ndarray, dict[str, Any]]):
    """A scenario of ViZDoom, registered as `worldloom/Doom-v0`; no window, no sound.

    Actions: `keys`, what is held of forward, back, strafe left, strafe right and,
    where the scenario lets one shoot, attack; `mouse`, sideways from -1 (left) to 1
    (right). Nothing is drawn over the view, and the eye does not bob with the
    level's clock, which no frame shows.

    An episode follows from its seed: each reset seeds the engine anew. The engine
    cannot save its state here, so that episodes can be replayed but not branched.

    Args:
      scenario: one of those that come with ViZDoom, for example `my_way_home`.
      tics: of the engine's clock, 35 a second, to a step.
      length: steps after which an episode is truncated; None is the scenario's own.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": TICS_PER_SECOND}  # noqa: RUF012
    players = {"scripted": Explorer}  # noqa: RUF012

    def __init__(
        self,
        scenario: str = "my_way_home",
        tics: int = 2,
        length: int | None = None,
        render_mode: str = "rgb_array",
    ) -> None:
        self._package: Any = need("vizdoom", "doom")
        if tics < 1:
            raise WorldloomError(f"a step of Doom cannot last {tics} tics", "give 1 or more")
        config = _config(self._package, scenario)
        self.tics, self.length, self.render_mode = tics, length, render_mode
        self._steps = 0
        self.metadata = {**self.metadata, "render_fps": TICS_PER_SECOND / tics}
        self._folder = tempfile.TemporaryDirectory(prefix="worldloom-doom-")
        self._game, shoots = self._start(config)
        self.key_names = (*WALKING, "attack") if shoots else WALKING
        self.action_space = spaces.Dict(
            keys=spaces.MultiBinary(len(self.key_names)),
            mouse=spaces.Box(-1.0, 1.0, (1,), np.float32),
        )
        self._shape = (self._game.get_screen_height(), self._game.get_screen_width(), 3)
        self.observation_space = spaces.Box(0, 255, self._shape, np.uint8)
        self._frame: np.ndarray | None = None
        self._truth: dict[str, Any] = {}

    def _start(self, config: Path) -> tuple[Any, bool]:
        """The running engine, and whether one can shoot in its scenario."""
        viz = self._package
        game = viz.DoomGame()
        game.load_config(str(config))
        if "doom_game_path" not in config.read_text():
            # Left alone, the engine prefers a bought game that lies beside it.
            game.set_doom_game_path(str(Path(viz.__file__).parent / "freedoom2.wad"))
        shoots = viz.Button.ATTACK in game.get_available_buttons()
        moves = [
            viz.Button.MOVE_FORWARD_BACKWARD_DELTA,
            viz.Button.MOVE_LEFT_RIGHT_DELTA,
            viz.Button.TURN_LEFT_RIGHT_DELTA,
        ]
        game.set_available_buttons([*moves, *([viz.Button.ATTACK] if shoots else [])])
        _show(game, viz, weapon=shoots)
        game.set_doom_config_path(str(Path(self._folder.name) / "engine.ini"))
        game.set_mode(viz.Mode.PLAYER)
        if self.length is not None:
            game.set_episode_timeout(0)  # steps are counted here
        try:
            game.init()
        except (viz.ViZDoomErrorException, viz.ViZDoomUnexpectedExitException) as error:
            raise WorldloomError(
                f"the engine of ViZDoom did not start: {error}".splitlines()[0],
                "its documentation names the system libraries that it needs",
            ) from error
        _tidy()
        return game, shoots

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._game.set_seed(int(self.np_random.integers(2**31 - 1)))
        self._game.new_episode()
        self._steps = 0
        self._look()
        return self.render(), self._truth

    def step(self, action: dict[str, Any]) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        forward, back, left, right, *attack = map(float, action["keys"])
        moves = [PACE * (forward - back), PACE * (right - left), TURN * float(action["mouse"][0])]
        reward = self._game.make_action([*moves, *attack], self.tics)
        self._steps += 1
        late = self._steps == self.length or self._game.is_episode_timeout_reached()
        ended = self._game.is_episode_finished()
        if not ended:
            self._look()  # at its end the engine shows nothing more: the last view stays
        return self.render(), float(reward), ended and not late, late, self._truth

    def render(self) -> np.ndarray:  # type: ignore[override]
        if self._frame is None:
            raise WorldloomError("Doom was drawn before its first reset", "call reset() first")
        return self._frame

    def close(self) -> None:
        self._game.close()
        self._folder.cleanup()
        _tidy()

    def _look(self) -> None:
        """Takes picture and truth out of the engine."""
        state = self._game.get_state()
        x, y, angle, health = state.game_variables
        depth = state.depth_buffer
        middle = depth[depth.shape[0] // 2]
        self._frame = state.screen_buffer
        self._truth = {
            "position": np.array([x, y], np.float32),
            "angle": np.float32(angle),
            "health": np.float32(health),
            # How far one sees to the left, ahead and to the right, in the engine's coarse unit.
            "clear": np.array([part.mean() for part in np.array_split(middle, 3)], np.float32),
        }


def _show(game: Any, viz: Any, *, weapon: bool) -> None:
    """Settles what the engine draws and tells: the bare view, its depth, where the player is."""
    game.set_screen_resolution(viz.ScreenResolution.RES_320X240)
    game.set_screen_format(viz.ScreenFormat.RGB24)
    game.set_depth_buffer_enabled(True)
    where = viz.GameVariable
    game.set_available_game_variables(
        [where.POSITION_X, where.POSITION_Y, where.ANGLE, where.HEALTH]
    )
    for name in ("hud", "crosshair", "messages", "screen_flashes"):
        getattr(game, f"set_render_{name}")(False)
    game.set_render_weapon(weapon)
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    game.add_game_args("+movebob 0")


def _config(package: Any, scenario: str) -> Path:
    """The settings of a scenario by its name, or one clear sentence."""
    folder = Path(package.scenarios_path)
    config = folder / f"{scenario}.cfg"
    if not config.is_file():
        names = sorted(path.stem for path in folder.glob("*.cfg"))
        raise WorldloomError(f"ViZDoom has no scenario `{scenario}`", f"it has {', '.join(names)}")
    return config


def _tidy() -> None:
    """Removes the empty folder that the engine leaves where it was started."""
    with contextlib.suppress(OSError):
        Path("_vizdoom").rmdir()
