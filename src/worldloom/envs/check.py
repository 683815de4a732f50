"""The conformance kit for environments: what recordings and worlds rely on.

assert check_env("my.module:MyGame-v0") == []
"""

import math

import numpy as np

from worldloom.actions import ActionSpec
from worldloom.envs.make import Setup
from worldloom.envs.pixel import Outcome, PixelEnv


def check_env(env: str | Setup, *, steps: int = 60, seed: int = 0) -> list[str]:
    """Plays an environment with random actions and says what is wrong with it.

    Args:
      env: gymnasium id, or a `Setup`.
      steps: how long it is played.
      seed: of the episodes and of the actions.

    Returns:
      One sentence for each fault; empty where the environment conforms.
    """
    game = PixelEnv(env)
    twin = PixelEnv(env)
    try:
        faults = _spec_faults(game.action)
        actions = _draw(game.action, steps, seed)
        first, second = _play(game, actions, seed), _play(twin, actions, seed)
        faults += [fault for step, o in enumerate(first) for fault in _faults(o, game, step)]
        if not faults:
            faults += _differences(first, second, "two runs from one seed")
        if game.exact and not faults:
            faults += _snapshot_faults(game, twin, actions, seed)
        return faults
    finally:
        game.close()
        twin.close()


def _draw(spec: ActionSpec, steps: int, seed: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [spec.sample(rng) for _ in range(steps)]


def _play(env: PixelEnv, actions: list[dict[str, np.ndarray]], seed: int) -> list[Outcome]:
    """A reset, then a step for each action; where an episode ends, the next seed's begins."""
    outcomes, episode = [_kept(env.reset(seed))], 0
    for action in actions:
        if outcomes[-1].terminated or outcomes[-1].truncated:
            episode += 1
            outcomes.append(_kept(env.reset(seed + episode)))
        else:
            outcomes.append(_kept(env.step(action)))
    return outcomes


def _kept(outcome: Outcome) -> Outcome:
    return outcome._replace(frame=np.array(outcome.frame))


def _spec_faults(spec: ActionSpec) -> list[str]:
    """Its null action must be an action of its own."""
    bad = [c.name for c in spec.components if not c.valid(c.null_value())]
    return [f"the null action of `{name}` is outside its bounds" for name in bad]


def _faults(outcome: Outcome, env: PixelEnv, step: int) -> list[str]:
    """What is wrong with one outcome by itself."""
    frame, faults = outcome.frame, []
    if frame.dtype != np.uint8 or frame.shape != (*env.shape, 3):
        expected = f"uint8 {(*env.shape, 3)}"
        faults.append(f"the frame of step {step} is {frame.dtype} {frame.shape}, not {expected}")
    if not math.isfinite(outcome.reward):
        faults.append(f"the reward of step {step} is {outcome.reward}")
    return faults


def _differences(a: list[Outcome], b: list[Outcome], what: str) -> list[str]:
    """The first step at which two runs differ, and in what."""
    for step, (x, y) in enumerate(zip(a, b, strict=True)):
        if not np.array_equal(x.frame, y.frame):
            return [f"{what} differ in the frame of step {step}"]
        for name in ("reward", "terminated", "truncated"):
            if getattr(x, name) != getattr(y, name):
                mine, other = getattr(x, name), getattr(y, name)
                return [f"{what} differ in `{name}` of step {step}: {mine} and {other}"]
    return []


def _snapshot_faults(
    game: PixelEnv, twin: PixelEnv, actions: list[dict[str, np.ndarray]], seed: int
) -> list[str]:
    """A state, loaded in the same environment and in another one, must go on the same way."""
    half = len(actions) // 2
    game.reset(seed)
    for action in actions[:half]:
        outcome = game.step(action)
        if outcome.terminated or outcome.truncated:
            game.reset(seed)
    state = game.save()
    runs = []
    for env in (game, game, twin):
        env.reset(seed + 1)
        env.load(state)
        if env.save() != state:
            return ["a state that is loaded and saved again is another one"]
        runs.append(_until_end(env, actions[half:]))
    faults = _differences(runs[0], runs[1], "two runs from one snapshot")
    return faults or _differences(runs[0], runs[2], "runs of two environments from one snapshot")


def _until_end(env: PixelEnv, actions: list[dict[str, np.ndarray]]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for action in actions:
        outcomes.append(_kept(env.step(action)))
        if outcomes[-1].terminated or outcomes[-1].truncated:
            break
    return outcomes
