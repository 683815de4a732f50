"""What is gathered before anything is judged: real frames, dreams, references, their errors.

Runs a world on every window, under the true, the hidden and another episode's
actions, and keeps for every row of the report the sums from which its metrics
are pooled. Frames of all windows and of the dream stay in memory, so that the
failures can be shown: about 110 MB for 64 windows of 72 frames at 64x64.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from worldloom import seeding
from worldloom.actions import Action
from worldloom.data.store import Store
from worldloom.data.types import Clip, Episode
from worldloom.evaluate import metrics, real, rollout, windows
from worldloom.evaluate.horizon import Departures
from worldloom.evaluate.states import StateReader, Things, out_of_tolerance, reader_of
from worldloom.evaluate.windows import Window
from worldloom.world import World

Tell = Callable[[float, str], object]
"""Takes the share that is done and what is being done."""

BATCH_ROWS = 96


@dataclass(frozen=True)
class Evidence:
    """Everything known of N windows.

    Args:
      windows: N of them, one for each episode.
      horizons: H frames after the context that are scored.
      context: `[C, H, W, 3]` frames of each window.
      real: `[L, H, W, 3]` what followed, of each window.
      dream: the same, dreamed.
      plates: `[H, W, 3]` background of each window.
      exact_plates: they were recorded, not estimated.
      sums: row to `[N, H, K, SUMS]`, K tolerances of `metrics.TOLERANCES`.
      why_not: row to the reason why it is missing.
      reader: of states, None where there is none.
      departures: row to when its rollouts left the truth; empty without a reader.
      truth: things of each window; empty without a reader.
      seen: things read off the dream.
      checked: things read off the real frames.
    """

    windows: Sequence[Window]
    horizons: tuple[int, ...]
    context: Sequence[np.ndarray]
    real: Sequence[np.ndarray]
    dream: Sequence[np.ndarray]
    plates: Sequence[np.ndarray]
    exact_plates: bool
    sums: dict[str, np.ndarray]
    why_not: dict[str, str]
    reader: StateReader | None
    departures: dict[str, Departures]
    truth: Sequence[Things]
    seen: Sequence[Things]
    checked: Sequence[Things]


@dataclass(frozen=True)
class Task:
    """One window, read.

    Args:
      window: which one.
      episode: its frames, context included, and what is known of them.
      plate: `[H, W, 3]` its background.
      seed: of the rollouts' noise.
    """

    window: Window
    episode: Episode
    plate: np.ndarray
    seed: int


def gather(
    world: World,
    store: Store,
    chosen: Sequence[Window],
    *,
    horizons: tuple[int, ...],
    seed: int,
    tell: Tell,
) -> Evidence:
    """Runs the world on the chosen windows and adds up the errors of every row."""
    camera = windows.camera_of(world)
    tell(0.0, "reading held-out episodes")
    tasks, exact = _read_all(store, chosen, camera, seed)
    other = rollout.strangers(len(tasks), seed=seeding.stream(seed, "strangers"))
    rows, why_not = _rows(world, tasks)
    predicted: dict[str, list[np.ndarray]] = {row: [] for row in rows}
    futures = [row for row in ("world", "blind", "shuffled") if row in rows]
    size = max(1, BATCH_ROWS // len(futures))
    for first in range(0, len(tasks), size):
        tell(0.9 * first / len(tasks), f"dreaming {first} of {len(tasks)}")
        batch = tasks[first : first + size]
        borrowed = [tasks[i] for i in other[first : first + size]]
        dreams = _dream(world, batch, borrowed, futures, horizon=max(horizons), camera=camera)
        for row, frames in dreams.items():
            predicted[row] += frames
    tell(0.9, "measuring")
    truth = [t.episode.frames[camera][t.window.context :] for t in tasks]
    context = [t.episode.frames[camera][: t.window.context] for t in tasks]
    predicted["real"] = truth
    predicted["persistence"] = [
        np.broadcast_to(c[-1], r.shape) for c, r in zip(context, truth, strict=True)
    ]
    predicted["background"] = [
        np.broadcast_to(t.plate, r.shape) for t, r in zip(tasks, truth, strict=True)
    ]
    borrowed = [tasks[i] for i in other]
    again = _play_again(store, tasks, borrowed, horizon=max(horizons), camera=camera)
    if isinstance(again, str):
        why_not["real_shuffled"] = again
    elif "shuffled" in rows:
        predicted["real_shuffled"] = again
        rows.append("real_shuffled")
    plates = [t.plate for t in tasks]
    reader = _reader(store, tasks)
    things = _read_states(predicted, tasks, reader)
    return Evidence(
        windows=chosen,
        horizons=horizons,
        context=context,
        real=truth,
        dream=predicted["world"],
        plates=plates,
        exact_plates=exact,
        sums={row: _sums(truth, predicted[row], plates, horizons) for row in rows},
        why_not=why_not,
        reader=reader,
        departures=_departures(things, reader) if reader else {},
        truth=things.get("truth", ()),
        seen=things.get("world", ()),
        checked=things.get("real", ()),
    )


def _read_all(
    store: Store, chosen: Sequence[Window], camera: str, seed: int
) -> tuple[list[Task], bool]:
    """The windows with their plates, and whether every plate is exact."""
    tasks, exact = [], True
    for i, window in enumerate(chosen):
        plate, recorded = windows.background(store, window.episode, camera)
        exact = exact and recorded
        episode = windows.read(store, window)
        tasks.append(Task(window, episode, plate, seeding.stream(seed, "rollout", i)))
    return tasks, exact


def _rows(world: World, tasks: Sequence[Task]) -> tuple[list[str], dict[str, str]]:
    """The rows that can be made, in the order of the report, and why others cannot."""
    rows, why_not = ["world", "persistence", "background"], {}
    if any(t.episode.action_known[t.window.context :].any() for t in tasks):  # type: ignore[index]
        rows += ["blind", "shuffled"]
    else:
        why = "the store's actions are unknown"
        why_not |= {"blind": why, "shuffled": why}
    if "reconstruct" in world.spec.capabilities:
        rows.append("tokenizer")
    else:
        why_not["tokenizer"] = "the world has no tokenizer that could be asked"
    return [*rows, "real"], why_not


def _play_again(
    store: Store,
    tasks: Sequence[Task],
    borrowed: Sequence[Task],
    *,
    horizon: int,
    camera: str,
) -> list[np.ndarray] | str:
    """What the real environment does under another episode's actions, or why that is unknown."""
    futures = [real.future_of(t.episode, t.window.context, horizon) for t in borrowed]
    return real.replay(store, [t.window for t in tasks], futures, camera=camera)


def _dream(
    world: World,
    batch: Sequence[Task],
    borrowed: Sequence[Task],
    futures: Sequence[str],
    *,
    horizon: int,
    camera: str,
) -> dict[str, list[np.ndarray]]:
    """Predicted frames `[L, H, W, 3]` of every task in the batch, for every row made by the world.

    The world's own row goes on to the end of its window, the others to the
    last horizon.
    """
    context = batch[0].window.context
    longest = max(t.window.length for t in batch)
    clip = Clip(
        frames={camera: torch.as_tensor(_stack(batch, camera, context))},
        actions=_actions(batch, 0, context),
        snapshots=_snapshots(batch, context - 1),
    )
    true = _actions(batch, context, longest)
    by_row = {
        "world": true,
        "blind": true[:, :horizon].unknown(),
        "shuffled": _actions(borrowed, context, horizon),
    }
    seeds = torch.tensor([t.seed for t in batch])
    rolled = rollout.roll(
        world,
        clip,
        [by_row[row] for row in futures],
        seeds,
        camera=camera,
        beyond=longest - horizon,
    )
    made = {row: list(frames) for row, frames in zip(futures, rolled, strict=True)}
    made["world"] = [f[: t.window.length] for f, t in zip(made["world"], batch, strict=True)]
    if "reconstruct" in world.spec.capabilities:
        whole = Clip(
            frames={camera: torch.as_tensor(_stack(batch, camera, context + horizon))},
            actions=_actions(batch, 0, context + horizon),
        )
        with torch.no_grad():
            again = world.reconstruct(whole)  # type: ignore[attr-defined]
        made["tokenizer"] = list(torch.as_tensor(again).cpu().numpy()[:, context:])
    return made


def _stack(batch: Sequence[Task], camera: str, stop: int) -> np.ndarray:
    return np.stack([t.episode.frames[camera][:stop] for t in batch])


def _snapshots(batch: Sequence[Task], frame: int) -> tuple[bytes, ...] | None:
    """The simulator's states at the end of the contexts, where all were recorded."""
    if all(frame in t.episode.snapshots for t in batch):
        return tuple(t.episode.snapshots[frame] for t in batch)
    return None


def _actions(batch: Sequence[Task], first: int, length: int) -> Action:
    """Actions `[B, length]` from frame `first` on; unknown beyond the end of a window."""
    values: dict[str, torch.Tensor] = {}
    where = [np.arange(first, first + length).clip(max=len(t.episode) - 1) for t in batch]
    for name in batch[0].episode.actions:
        cut = [t.episode.actions[name][i] for t, i in zip(batch, where, strict=True)]
        values[name] = torch.as_tensor(np.stack(cut))
    known = [
        np.asarray(t.episode.action_known)[i] & (np.arange(first, first + length) == i)
        for t, i in zip(batch, where, strict=True)
    ]
    return Action(values, torch.as_tensor(np.stack(known)))


def _sums(
    real: Sequence[np.ndarray],
    predicted: Sequence[np.ndarray],
    plates: Sequence[np.ndarray],
    horizons: tuple[int, ...],
) -> np.ndarray:
    """`[N, H, K, SUMS]` of one row, one window at a time."""
    at = np.array(horizons) - 1
    every = zip(real, predicted, plates, strict=True)
    return np.stack([metrics.frame_sums(r[at], p[at], plate) for r, p, plate in every])


def _reader(store: Store, tasks: Sequence[Task]) -> StateReader | None:
    """The reader of the store's environment, where the recordings hold the truth it is held to."""
    reader = reader_of(store.info.env)
    if reader is None or not all(reader.info <= set(t.episode.info) for t in tasks):
        return None
    return reader


STATIC = ("persistence", "background")


def _read_states(
    predicted: dict[str, list[np.ndarray]], tasks: Sequence[Task], reader: StateReader | None
) -> dict[str, list[Things]]:
    """The things of every row and, as `truth`, those of the recording; empty without a reader."""
    if reader is None:
        return {}
    read: dict[str, list[Things]] = {}
    for row, every in predicted.items():
        read[row] = []
        for frames, task in zip(every, tasks, strict=True):
            shown = frames[:1] if row in STATIC else frames
            things = reader.read(shown, task.plate, task.episode)
            xy = np.broadcast_to(things.xy, (len(frames), *things.xy.shape[1:]))
            read[row].append(Things(things.names, xy))
    whole = [(reader.truth(t.episode), t.window.context) for t in tasks]
    read["truth"] = [Things(things.names, things.xy[context:]) for things, context in whole]
    return read


def _departures(things: dict[str, list[Things]], reader: StateReader) -> dict[str, Departures]:
    """When the rollouts of each row left the truth."""
    truth = things["truth"]
    longest = max(len(t.xy) for t in truth)
    result = {}
    for row, seen in things.items():
        if row == "truth":
            continue
        wrong = np.zeros((len(truth), longest), bool)
        length = np.array([min(len(t.xy), len(s.xy)) for t, s in zip(truth, seen, strict=True)])
        for i, (t, s, n) in enumerate(zip(truth, seen, length, strict=True)):
            cut = Things(t.names, t.xy[:n]), Things(s.names, s.xy[:n])
            wrong[i, :n] = out_of_tolerance(*cut, reader.deciding)
        result[row] = Departures(wrong, length)
    return result
