"""Any policy in a real environment: a trained agent's folder, or a player by its name."""

from worldloom.agents.acting import Played, Told, play_all, play_one, starts
from worldloom.agents.choose import PolicyMaker, choose
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv
from worldloom.errors import WorldloomError
from worldloom.hub import TrainedMaker, check_actions, maker_of


def play_checkpoint(
    checkpoint: str | TrainedMaker,
    setup: Setup,
    *,
    episodes: int,
    seed: int = 0,
    rows: int = 16,
    max_frames: int | None = None,
    task: str | None = None,
    progress: Told | None = None,
) -> list[Played]:
    """Whole episodes from the same starts whoever acts.

    Args:
      checkpoint: a run or the folder of a trained agent, `plan:` before it to have it search
        before it acts; or a player's name.
      setup: of the environment.
      episodes: how many.
      seed: of the starts.
      rows: games of a trained agent at once.
      max_frames: ends an episode after so many.
      task: that is asked of a trained agent.
      progress: called with (episodes done, episodes in all).
    """
    if episodes < 1 or rows < 1:
        raise WorldloomError(
            f"{episodes} episodes in {rows} rows make no sense", "give 1 or more", code=2
        )
    env, begin = PixelEnv(setup), starts(episodes, seed)
    maker = _only(checkpoint) if isinstance(checkpoint, str) else checkpoint
    if isinstance(maker, TrainedMaker):
        check_actions(maker.path, env.action)
        players = maker.players(task)
        envs = [env, *(PixelEnv(setup) for _ in range(min(rows, episodes) - 1))]
        return play_all(envs, players, begin, max_frames=max_frames, progress=progress)
    played = []
    for number, start in enumerate(begin):
        played.append(play_one(env, maker(env), start, max_frames=max_frames))
        if progress:
            progress(number + 1, episodes)
    return played


def _only(name: str) -> PolicyMaker:
    maker, *others = choose(name, load=maker_of)
    if others:
        raise WorldloomError(f"`{name}` names several policies", "give one at a time", code=2)
    return maker
