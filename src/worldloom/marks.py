"""Moments that visitors marked as wrong become entries of the ledger, and reality is asked.

A mark holds the film up to it and the code of its moment (`play/visitor.py`). Where the film
reaches back to a recorded start, the entry says so, and the real environment can be brought
there to do the same actions. Knows stores, the ledger and environments; no server.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from worldloom.actions import Action
from worldloom.data.ledger import Fact, Find, Ledger, Lie, Place
from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.envs.reenter import moment_at
from worldloom.errors import WorldloomError
from worldloom.play.beside import Beside, Start, pixel_error
from worldloom.play.share import Shared, fingerprint_of_start
from worldloom.starts import LENGTH, chosen, clip_of
from worldloom.world import World


def enter(ledger: Ledger, visitors: str | Path, recorded: Store) -> list[Lie]:
    """Enters what visitors marked as wrong, each mark once however often this is called.

    Args:
      ledger: of the run that they played.
      visitors: folder that keeps what they left, RUN/visitors.
      recorded: the store that their dreams began from.

    Returns:
      what is new in the ledger.
    """
    path = Path(visitors) / "wrong"
    if not path.is_dir():
        return []
    marked = Store.open(path)
    known = {lie.same for lie in ledger.lies() if lie.kind == "marked"}
    new = [row for row in marked.episodes if row.name not in known]
    return [ledger.add(_find(marked.read(row.name), row.name, recorded)) for row in new]


def ask_reality(ledger: Ledger, world: World) -> list[Lie]:
    """Does in the real environment what was done in open lies of which the truth is unknown.

    Lies that begin nowhere in the recordings, and those that the environment cannot be
    brought to, stay as they are.

    Args:
      ledger: whose lies are looked at.
      world: the real environment, as `GymWorld`, of the frame size of the recordings.

    Returns:
      those of which the truth is known now.
    """
    told = []
    for lie in ledger.lies(open=True):
        if not lie.real and lie.place.store:
            dream = ledger.dream(lie)
            try:
                real = _for_real(lie, dream, world)
            except WorldloomError:  # its recording is gone, or the environment is another one
                continue
            last = min(len(real), len(dream)) - 1
            error = pixel_error(_last(real, last), _last(dream, last))
            told.append(ledger.tell(lie.id, real, {"rms error": round(error, 4)}))
    return told


def _find(film: Episode, name: str, recorded: Store) -> Find:
    """A mark as an entry."""
    labels, last = film.labels, len(film) - 1
    note = film.texts.get(last, "")
    truth: dict[str, Fact] = {}
    if "real" in film.stills:  # the real frame of this very moment
        truth["rms error"] = round(pixel_error(film.stills["real"], _last(film, last)), 4)
    what = f"“{note}”" if note else "marked as wrong without a word"
    whole = replace(film, stills={}, snapshots={})
    origin = _origin(film, recorded)
    facts: dict[str, Any] = {"same": name, "truth": truth, "world": str(labels.get("world", ""))}
    if origin is None:
        return Find("marked", what, whole, 1, **facts)
    place = Place(str(recorded.path.resolve()), origin, LENGTH - 1)
    past = recorded.read(origin, 0, LENGTH)
    return Find("marked", what, _joined(past, whole), LENGTH, place=place, **facts)


def _origin(film: Episode, recorded: Store) -> str | None:
    """The recorded episode that the film began after; None where it began anywhere else."""
    try:
        shared = Shared.from_text(str(film.labels.get("moment", "")), recorded.info.action)
        names = chosen(recorded)
    except WorldloomError:
        return None
    if shared.origin.clip is not None or len(shared) != len(film) - 1:
        return None
    name = names[shared.origin.seed % len(names)]
    start = fingerprint_of_start(clip_of(recorded.read(name, 0, LENGTH)))
    return name if start == shared.start else None


def _joined(past: Episode, film: Episode) -> Episode:
    """What was recorded, then the film, whose first frame is the model's own of the last one."""
    join = lambda a, b: np.concatenate([a, b[1:]])  # noqa: E731
    return Episode(
        frames={name: join(past.frames[name], film.frames[name]) for name in film.frames},
        actions={name: join(past.actions[name], film.actions[name]) for name in film.actions},
        action_known=join(past.action_known, film.action_known),
        reward=join(past.reward, film.reward),
        reward_known=join(past.reward_known, film.reward_known),
        snapshots=past.snapshots,
        texts={len(past) - 1 + t: text for t, text in film.texts.items()},
        labels=film.labels,
        policy=film.policy,
        seed=past.seed,
        truncated=True,
    )


def _for_real(lie: Lie, dream: Episode, world: World) -> Episode:
    """What the environment does under the same actions; it may end sooner."""
    recorded = Store.open(lie.place.store)
    way = moment_at(recorded, lie.place.episode, lie.place.frame)
    beside = Beside(world, lambda _: Start(way))
    side = beside.enter(0)
    frames, rewards = [], []
    terminated = False
    for t in range(lie.start, len(dream)):
        side = beside.step(side, _action(dream, t))
        frames.append(side.image)
        rewards.append(side.reward)
        terminated = side.terminated
        if side.ended:
            break
    beside.release(side)
    end = lie.start + len(frames)
    told = np.array([reward is not None for reward in rewards])
    reward = np.array([reward or 0.0 for reward in rewards], np.float32)
    first = lie.place.frame + 1 - lie.start
    past = recorded.read(lie.place.episode, first, lie.place.frame + 1)
    return Episode(
        frames={"main": np.concatenate([past.frames["main"], np.stack(frames)])},
        actions={name: values[:end] for name, values in dream.actions.items()},
        action_known=np.asarray(dream.action_known)[:end],
        reward=np.concatenate([np.asarray(past.reward), reward]),
        reward_known=np.concatenate([np.asarray(past.reward_known), told]),
        terminated=terminated,
        truncated=not terminated,
        snapshots=past.snapshots,
        policy=dream.policy,
        seed=past.seed,
    )


def _action(episode: Episode, t: int) -> Action:
    """The action of one frame, numpy values `[1, ...]`."""
    values = {name: np.asarray(array)[t : t + 1] for name, array in episode.actions.items()}
    return Action(values, np.ones(1, bool))


def _last(episode: Episode, index: int) -> np.ndarray:
    return episode.frames["main"][index]
