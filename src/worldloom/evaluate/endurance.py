"""What is left of a world after a long time: usable horizon, idling, free play.

Open loop and long, where `openloop` is broad. The real environment goes through
the same at its side wherever it can be entered again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from worldloom import seeding
from worldloom.actions import Action, ActionSpec
from worldloom.agents.choose import choose
from worldloom.data.store import Store
from worldloom.data.types import Clip, Episode
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv
from worldloom.errors import WorldloomError
from worldloom.evaluate import evidence, real, rollout, statistics, windows
from worldloom.evaluate.judge import Judge, figure
from worldloom.evaluate.report import Figure
from worldloom.evaluate.rules import rules_of
from worldloom.evaluate.windows import Window
from worldloom.world import World

CONTEXT = 8
EARLY, LATE, AROUND = 100, 1000, 40
"""Idling is compared at these frames, over so many frames up to each."""

Keys = Callable[[ActionSpec, int], dict[str, np.ndarray]]
"""Gives the keys `[T, ...]` of a row, component by component."""


@dataclass(frozen=True)
class Long:
    """Long rollouts of a world beside the real environment, from the same moments.

    Args:
      episodes: `N` the recordings that they begin with.
      plates: `[H, W, 3]` each.
      dream: `[N, T, H, W, 3]` uint8.
      real: `[L, H, W, 3]` each, with L at most T: shorter where the game was over.
      start: `[H, W, 3]` each, the last frame of the context.
    """

    episodes: list[Episode]
    plates: list[np.ndarray]
    dream: np.ndarray
    real: list[np.ndarray]
    start: list[np.ndarray]


def usable_horizon(
    world: World, store: Store, *, episodes: int = 64, frames: int = 256, seed: int = 0
) -> tuple[Figure, Figure]:
    """Frames that the median rollout stays true under the recorded keys, watched for long.

    Args:
      world: that can `render`.
      store: with the ground truth of an environment whose pictures can be read.
      episodes: held-out episodes, one rollout each.
      frames: for which they are watched, where the recording is as long.
      seed: of the rollouts and the resamples.

    Returns:
      The usable horizon, and the share of real frames that the reader reads rightly.
    """
    windows.check_fit(world, store)
    chosen = windows.choose(store, episodes=episodes, context=CONTEXT, horizon=1, longest=frames)
    found = evidence.gather(
        world, store, chosen, horizons=(1,), seed=seed, tell=lambda share, text: None
    )
    judge = Judge(found, seed=seeding.stream(seed, "resample"))
    return judge.usable()["world"], judge.reader_accuracy()


def idle(world: World, store: Store, *, episodes: int = 16, seed: int = 0) -> dict[str, Figure]:
    """What 1,000 frames without any key do to the picture, beyond what the real game does.

    PSNR is against the frame where idling began. The loss is that from frame 100 to frame
    1,000, each over the 40 frames before, of the dream minus that of the real game from
    the same moment; a real game that stops keeps its last frame. Once over the whole
    picture and once over the pixels that stand still in the real game.

    Args:
      world: that can `render`.
      store: whose environment can be entered again.
      episodes: held-out episodes; those whose real game ends badly are left out.
      seed: of the rollouts and the resamples.
    """
    null = lambda spec, row: spec.null((LATE,))  # noqa: E731
    run = _both(world, store, episodes=2 * episodes, keys=null, seed=seed)
    # A time limit only stops the clock; a game that was lost would be compared with nothing.
    stands = [i for i, shown in enumerate(run.real) if len(shown) > EARLY][:episodes]
    if len(stands) < 2:
        raise WorldloomError(
            f"the real game outlives {EARLY} idle frames from {len(stands)} starts, needed are 2",
            "record more episodes",
        )
    sums = np.stack([idle_sums(run.start[i], run.dream[i], run.real[i]) for i in stands])
    pool = statistics.Pool(sums, seed=seeding.stream(seed, "resample"))
    found = pool.estimate(idle_loss)
    names = ("idle_1000_psnr_drop_db", "idle_1000_still_psnr_drop_db")
    frozen = np.zeros_like(sums[:1]) + sums.sum(0)
    frozen[:, 0] = frozen[:, 0, :, :1]  # a dream that stays as it was at frame 100
    null_values = idle_loss(frozen)[0]
    return {
        name: figure(found, i, "dB", null=float(null_values[i]), ceiling=0.0)
        for i, name in enumerate(names)
    }


def free_play(
    world: World, store: Store, *, episodes: int = 40, frames: int = 250, seed: int = 0
) -> dict[str, Figure]:
    """Breaches of the game's rules in every 1,000 frames under random keys.

    Frames after a game is over do not count. The ceiling is the real game under the same
    keys, read in the same way; the null is the level without anything in it.

    Args:
      world: that can `render`.
      store: of an environment whose rules are known.
      episodes: held-out episodes to start from.
      frames: of each game at most.
      seed: of the keys, the rollouts and the resamples.
    """
    rules = rules_of(store.info.env)
    if rules is None:
        why = "nobody wrote down the rules of this environment"
        return {"violations_per_1000": Figure.absent("1", why)}

    def keys(spec: ActionSpec, row: int) -> dict[str, np.ndarray]:
        return _random_keys(store, spec, frames, seeding.stream(seed, "free play", row))

    run = _both(world, store, episodes=episodes, keys=keys, seed=seed)
    empty = [np.broadcast_to(plate, (2, *plate.shape)) for plate in run.plates]
    rows = {}
    for name, shown in (("dream", list(run.dream)), ("real", run.real), ("empty", empty)):
        counts = []
        for frames_, plate, episode in zip(shown, run.plates, run.episodes, strict=True):
            lasts = rules.over(frames_, plate, episode) if name == "dream" else len(frames_)
            breaches = rules.broken(frames_[:lasts], plate, episode).sum(0)
            counts.append([*breaches, breaches.sum(), lasts])
        rows[name] = np.array(counts, np.float64)
    rate = lambda sums: 1000 * sums[..., :-1] / sums[..., -1:]  # noqa: E731
    pool = statistics.Pool(rows["dream"], seed=seeding.stream(seed, "resample"))
    found = pool.estimate(rate)
    best, worst = rate(rows["real"].sum(0)), rate(rows["empty"].sum(0))
    names = [f"violations_per_1000_{rule.replace(' ', '_')}" for rule in rules.names]
    return {
        name: figure(
            found,
            i,
            "1",
            null=float(worst[i]),
            ceiling=float(best[i]),
            why=f"{rows['dream'][:, -1].sum():.0f} frames",
        )
        for i, name in enumerate([*names, "violations_per_1000"])
    }


def _both(world: World, store: Store, *, episodes: int, keys: Keys, seed: int) -> Long:
    """Rolls the world and the real environment out from the same moments, under the same keys."""
    windows.check_fit(world, store)
    chosen = windows.choose(store, episodes=episodes, context=CONTEXT, horizon=1, longest=1)
    read = [windows.read(store, window) for window in chosen]
    values = [keys(world.spec.action, row) for row in range(len(chosen))]
    shown = _real(store, chosen, values)
    return Long(
        episodes=read,
        plates=[windows.background(store, window.episode, "main")[0] for window in chosen],
        dream=_dream(world, read, values, seed),
        real=[frames for _, frames in shown],
        start=[frame for frame, _ in shown],
    )


def _real(
    store: Store, chosen: Sequence[Window], values: Sequence[dict[str, np.ndarray]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The frame where each window's context ends, and what follows until the game is over."""
    entered = zip(real.entered(store, chosen), values, strict=True)
    return [(frame, _until_over(env, frame, keys)) for (env, frame), keys in entered]


def _until_over(env: PixelEnv, frame: np.ndarray, keys: dict[str, np.ndarray]) -> np.ndarray:
    """`[L, H, W, 3]` frames; a time limit holds the last one, an ending stops."""
    shown, stopped = [], False
    for t in range(len(next(iter(keys.values())))):
        if not stopped:
            outcome = env.step({name: value[t] for name, value in keys.items()})
            frame, stopped = outcome.frame, outcome.truncated
            if outcome.terminated:
                return np.stack([*shown, frame])
        shown.append(frame)
    return np.stack(shown)


def _dream(
    world: World, read: Sequence[Episode], values: Sequence[dict[str, np.ndarray]], seed: int
) -> np.ndarray:
    """`[N, T, H, W, 3]` uint8."""
    stack = lambda every: torch.from_numpy(np.stack(every))  # noqa: E731
    names = list(read[0].actions)
    camera = windows.camera_of(world)
    past = {name: stack([e.actions[name][:CONTEXT] for e in read]) for name in names}
    clip = Clip(
        frames={camera: stack([e.frames[camera][:CONTEXT] for e in read])},
        actions=Action(past, stack([np.asarray(e.action_known)[:CONTEXT] for e in read])),
        snapshots=tuple(e.snapshots[CONTEXT - 1] for e in read)
        if all(CONTEXT - 1 in e.snapshots for e in read)
        else None,
    )
    future = {name: stack([v[name] for v in values]) for name in names}
    known = torch.ones(future[names[0]].shape[:2], dtype=torch.bool)
    seeds = torch.tensor([seeding.stream(seed, "endurance", i) for i in range(len(read))])
    return rollout.roll(world, clip, [Action(future, known)], seeds, camera=camera)[0]


def _random_keys(store: Store, spec: ActionSpec, frames: int, seed: int) -> dict[str, np.ndarray]:
    """Keys of the environment's own random player, `[frames, ...]` each."""
    env = PixelEnv(Setup.from_json(store.info.env, store.info.env_kwargs))
    player = choose("random")[0](env)
    env.close()
    rng, blank = np.random.default_rng(seed), np.zeros((1, 1, 3), np.uint8)
    player.reset()
    pressed = [player(blank, {}, rng) for _ in range(frames)]
    return {c.name: np.stack([p[c.name] for p in pressed]) for c in spec.components}


def idle_sums(
    start: np.ndarray,
    dream: np.ndarray,
    real: np.ndarray,
    *,
    upto: tuple[int, int] = (EARLY, LATE),
    around: int = AROUND,
) -> np.ndarray:
    """Squared errors and pixels against the frame where idling began.

    Args:
      start: `[H, W, 3]` that frame.
      dream: `[T, H, W, 3]` what followed it in the dream.
      real: the same for real; may be shorter, and then keeps its last frame.
      upto: early and late, in frames.
      around: frames up to each over which is pooled.

    Returns:
      `[2, 2, 2, 2]`: dream or real; whole picture or what stands still; early or late;
      sum or count.
    """
    real = np.concatenate([real, real[-1:].repeat(max(0, upto[1] - len(real)), 0)])
    still = (real == start).all((0, 3))
    masks, begun = (np.ones_like(still), still), start.astype(np.float32) / 255
    sums = np.zeros((2, 2, 2, 2))
    for row, frames in enumerate((dream, real)):
        for column, last in enumerate(upto):
            error = np.square(frames[last - around : last].astype(np.float32) / 255 - begun)
            for kind, mask in enumerate(masks):
                sums[row, kind, column] = error.mean(0).sum(-1)[mask].sum(), 3 * mask.sum()
    return sums


def idle_loss(sums: np.ndarray) -> np.ndarray:
    """dB lost by the dream minus dB lost by the real game, `[R, 2]`, of sums `idle_sums`.

    Once over the whole picture, once over the pixels that stand still in the real game. Half
    a level of brightness is added to every error: less cannot be seen, and a picture without
    any error has no PSNR.
    """
    error = sums[..., 0] / sums[..., 1] + (0.5 / 255) ** 2
    lost = 10 * np.log10(error[..., 1] / error[..., 0])
    return lost[:, 0] - lost[:, 1]
