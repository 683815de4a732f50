"""The ledger of lies: every hole that was found in a world, and whether it was closed.

    RUN/ledger/
      events.jsonl   what happened, one line each: found, seen, told, closed, reopened
      dream/         a store: what the world said, one episode for each lie
      real/          a store: what reality said, where that is known

Nothing is ever changed, only added: what stands in the ledger now is the sum of its events.
Clips are stored before the line that names them, and a line counts once it is whole, so that
a writer that is killed loses at most the event that it was writing. Any number of processes
may write. Knows stores and episodes; knows no world and no environment.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from worldloom.data import files
from worldloom.data.info import StoreInfo
from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError

FORMAT = 1
FOLDER = "ledger"
EVENTS = "events.jsonl"

Kind = Literal["frames", "reward", "ending", "forbidden", "omission", "marked"]
"""What was untrue: pictures; rewards; endings; a rule of the environment that the world breaks,
or that it denies; whatever a visitor marked as wrong."""

Fact = str | int | float


Side = Literal["dream", "real"]
MADE_UP = "dreamed by a model: no truth in it"


@dataclass(frozen=True)
class Place:
    """Where in the recordings a lie begins; empty where it begins nowhere in them.

    Args:
      store: folder of the store.
      episode: its name there.
      frame: index of the last frame that the world was shown.
    """

    store: str = ""
    episode: str = ""
    frame: int = 0


@dataclass(frozen=True)
class Find:
    """A hole that somebody found, to be put into the ledger.

    Args:
      kind: of the hole.
      what: is untrue, in a few words for people: "makes a wood pickaxe without a table".
      dream: what the world said, from the frames that it was shown on. Its `seed` is the
        environment's, and its `snapshots` may hold the environment's exact state at the start.
      start: index in `dream` of the first frame that the world made up.
      real: what reality said to the same actions, from the same frames on; None while unknown.
      said: the facts that the world told, by name.
      truth: the same facts in reality, as far as they are known.
      same: finds of one kind and one `same` are one lie, for example the broken rule's name.
        Default: those with the same start and the same actions.
      tried: how often the world was asked.
      wrong: how often it lied.
      world: fingerprint of its weights.
      round: of correction, None outside of any.
      place: in the recordings.
    """

    kind: Kind
    what: str
    dream: Episode
    start: int
    real: Episode | None = None
    said: Mapping[str, Fact] = field(default_factory=dict)
    truth: Mapping[str, Fact] = field(default_factory=dict)
    same: str = ""
    tried: int = 1
    wrong: int = 1
    world: str = ""
    round: int | None = None
    place: Place = field(default_factory=Place)

    def key(self) -> str:
        """What makes two finds of one kind the same."""
        if self.same:
            return self.same
        digest = hashlib.blake2b(digest_size=8)
        for camera in sorted(self.dream.frames):
            digest.update(self.dream.frames[camera][self.start - 1].tobytes())
        for name in sorted(self.dream.actions):
            digest.update(np.asarray(self.dream.actions[name][self.start :]).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Trial:
    """A time at which the world was asked again.

    Args:
      round: of correction, None outside of any.
      tried: how often it was asked.
      wrong: how often it lied.
      date: of the trial, UTC.
    """

    round: int | None
    tried: int
    wrong: int
    date: str


@dataclass(frozen=True)
class Lie:
    """One entry of the ledger, as it stands now.

    Args:
      id: counts up from 1 in the order of finding.
      kind: as of `Find`, and so are `what`, `same`, `start`, `said`, `truth`, `place`, `world`
        and `round`, of the time when it was first found.
      date: when it was first found, UTC.
      tried: how often the world was asked while it was open, in all.
      wrong: how often it lied.
      dream: name of its episode in RUN/ledger/dream.
      real: name of its episode in RUN/ledger/real; empty while the truth is unknown.
      closed: the trial that closed it; None while it is open.
      reopened: how often it came back after that.
    """

    id: int
    kind: Kind
    what: str
    same: str
    start: int
    said: Mapping[str, Fact]
    truth: Mapping[str, Fact]
    place: Place
    world: str
    round: int | None
    date: str
    tried: int
    wrong: int
    dream: str
    real: str = ""
    closed: Trial | None = None
    reopened: int = 0


def open_first(lies: Iterable[Lie]) -> list[Lie]:
    """Entries in the order in which people want them: the open ones first, the newest first."""
    return sorted(lies, key=lambda lie: (lie.closed is not None, -lie.id))


def when(round: int | None, date: str) -> str:
    """The round of correction, or else the day."""
    return date[:10] if round is None else f"round {round}"


def facts_text(lie: Lie) -> str:
    """What was said against what is true, in a few words: "reward 1, in truth 0"."""
    words = []
    for name, said in lie.said.items():
        told = f"{name} {_short(said)}"
        words.append(f"{told}, in truth {_short(lie.truth[name])}" if name in lie.truth else told)
    rest = {name: fact for name, fact in lie.truth.items() if name not in lie.said}
    return "; ".join([*words, *(f"{name} {_short(fact)}" for name, fact in rest.items())])


def _short(fact: Fact) -> str:
    return f"{fact:.3g}" if isinstance(fact, float) else str(fact)


class Ledger:
    """The ledger of one run, open for reading and writing.

    Args:
      folder: RUN/ledger; made with the first entry.
      info: what recordings of the run's environment have in common; needed for the first
        entry only, where it is None the ledger's own stores tell.
    """

    def __init__(self, folder: Path, info: StoreInfo | None = None) -> None:
        self.folder = folder
        self._info = info
        self._stores: dict[str, Store] = {}
        self._lies: dict[int, Lie] = {}
        self._read = 0  # bytes of events.jsonl that are in `_lies`

    @classmethod
    def open(cls, run: str | Path, info: StoreInfo | None = None) -> Self:
        """The ledger of a run, empty where nothing was ever entered."""
        return cls(Path(run) / FOLDER, info)

    def lies(self, *, open: bool | None = None) -> list[Lie]:
        """All entries in the order of finding, or only those that are open, or closed."""
        self._refresh()
        return [lie for lie in self._lies.values() if open in (None, lie.closed is None)]

    def lie(self, id: int) -> Lie:
        """One entry.

        Raises:
          WorldloomError: there is none with this number.
        """
        self._refresh()
        if id not in self._lies:
            raise WorldloomError(
                f"`{self.folder}` has no lie {id}", f"worldloom ls lies {self.folder.parent}"
            )
        return self._lies[id]

    def dream(self, lie: Lie) -> Episode:
        """What the world said."""
        return self._clip("dream", lie.dream)

    def real(self, lie: Lie) -> Episode | None:
        """What reality said, None while nobody knows."""
        return self._clip("real", lie.real) if lie.real else None

    def add(self, find: Find) -> Lie:
        """Enters a hole; one that is known already is counted, and open again if it was closed.

        Raises:
          WorldloomError: it does not fit the ledger's stores, or cannot be written.
        """
        _check(find)
        self.folder.mkdir(parents=True, exist_ok=True)
        with files.locked(self.folder):
            self._refresh()
            key, counts = find.key(), {"tried": find.tried, "wrong": find.wrong}
            known = [lie for lie in self._lies.values() if (lie.kind, lie.same) == (find.kind, key)]
            if known:
                return self._append("seen", known[0].id, {**counts, "round": find.round})
            facts = {
                **{name: getattr(find, name) for name in ("kind", "what", "start", "world")},
                **{"same": key, "said": dict(find.said), "truth": dict(find.truth)},
                **{"place": vars(find.place), "round": find.round, **counts},
                "dream": self._keep("dream", find.dream),
                "real": "" if find.real is None else self._keep("real", find.real),
            }
            return self._append("found", 1 + max(self._lies, default=0), facts)

    def close(self, id: int, *, round: int | None, tried: int, wrong: int) -> Lie:
        """A repaired world was asked `tried` times and lied `wrong` times: few enough."""
        return self._event("closed", id, {"round": round, "tried": tried, "wrong": wrong})

    def reopen(self, id: int, *, round: int | None, tried: int, wrong: int) -> Lie:
        """A world was asked again, and the lie is back."""
        return self._event("reopened", id, {"round": round, "tried": tried, "wrong": wrong})

    def tell(self, id: int, real: Episode, truth: Mapping[str, Fact]) -> Lie:
        """What reality said, known only now."""
        _check_facts(truth)
        self.lie(id)
        return self._event("told", id, {"real": self._keep("real", real), "truth": dict(truth)})

    def _event(self, event: str, id: int, facts: dict[str, Any]) -> Lie:
        self.lie(id)
        with files.locked(self.folder):
            self._refresh()
            return self._append(event, id, facts)

    def _keep(self, side: Side, episode: Episode) -> str:
        """Stores a clip; its sensors are no part of it."""
        split = "dreamed" if side == "dream" else None
        return self._store(side).append(replace(episode, sensors={}), split=split)

    def _clip(self, side: Side, name: str) -> Episode:
        """Reads a clip, which another process may just have stored."""
        store = self._store(side)
        if name not in {row.name for row in store.episodes}:
            store.refresh()
        return store.read(name)

    def _store(self, side: Side) -> Store:
        """One of the two stores, made where it is missing."""
        if side not in self._stores:
            path, info = self.folder / side, self._info
            if path.exists():
                self._stores[side] = Store.open(path)
            elif info is None:
                raise WorldloomError(
                    f"`{self.folder}` does not know what its recordings look like",
                    "open it with the StoreInfo of the run's recordings",
                )
            else:
                words = {"seed_policy": MADE_UP} if side == "dream" else {}
                info = replace(info, sensors={}, **words)
                self._stores[side] = Store.open_or_create(path, info)
        return self._stores[side]

    def _append(self, event: str, id: int, facts: dict[str, Any]) -> Lie:
        """Writes one line; the caller holds the ledger."""
        path = self.folder / EVENTS
        date = datetime.now(UTC).isoformat(timespec="seconds")
        head = {"format": FORMAT, "event": event, "id": id, "date": date}
        line = json.dumps({**head, **facts}, allow_nan=False, default=_plain) + "\n"
        try:
            with open(path, "ab") as file:
                file.truncate(self._read)  # half a line of a writer that was killed
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise files.disk_error(error, f"`{path}`", "this event was not entered") from error
        self._refresh()
        return self._lies[id]

    def _refresh(self) -> None:
        """Reads the lines that were added since the last look."""
        path = self.folder / EVENTS
        if not path.exists():
            return
        with open(path, "rb") as file:
            file.seek(self._read)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):  # somebody is writing it, or died over it
                break
            try:
                _enter(self._lies, json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise WorldloomError(
                    f"`{path}` has a line at byte {self._read} that is no event ({error!r})",
                    "restore the file, or remove this line",
                ) from error
            self._read += len(line)


def _enter(lies: dict[int, Lie], event: dict[str, Any]) -> None:
    """What an event changes."""
    if event["format"] != FORMAT:
        raise ValueError(f"format {event['format']}, expected {FORMAT}: update worldloom")
    id, kind = event["id"], event["event"]
    if kind == "found":
        facts = {k: v for k, v in event.items() if k not in ("format", "event", "place")}
        lies[id] = Lie(**facts, place=Place(**event["place"]))
        return
    lie = lies[id]
    if kind == "told":
        lies[id] = replace(lie, real=event["real"], truth=event["truth"])
    elif kind == "closed":
        trial = Trial(**{name: event[name] for name in ("round", "tried", "wrong", "date")})
        lies[id] = replace(lie, closed=trial)
    elif kind in ("seen", "reopened"):
        back = lie.closed is not None and (kind == "reopened" or event["wrong"] > 0)
        lies[id] = replace(
            lie,
            tried=lie.tried + event["tried"],
            wrong=lie.wrong + event["wrong"],
            closed=None if back else lie.closed,
            reopened=lie.reopened + back,
        )
    else:
        raise ValueError(f"unknown event {kind!r}")


def _check(find: Find) -> None:
    """Raises one clear sentence where a find makes no sense."""
    if find.kind not in get_args(Kind):
        raise WorldloomError(
            f"a lie of kind `{find.kind}` is unknown", f"one of: {', '.join(get_args(Kind))}"
        )
    if not 1 <= find.start < len(find.dream):
        raise WorldloomError(
            f"a dream of {len(find.dream)} frames begins at frame {find.start}",
            "give at least one real frame before it, and one dreamed frame",
        )
    if not 0 <= find.wrong <= find.tried or find.tried < 1:
        raise WorldloomError(
            f"a world was wrong {find.wrong} times of {find.tried}", "count each trial once"
        )
    _check_facts(find.said)
    _check_facts(find.truth)


def _check_facts(facts: Mapping[str, Fact]) -> None:
    for name, fact in facts.items():
        if isinstance(fact, float | np.floating) and not math.isfinite(fact):
            raise WorldloomError(f"the fact `{name}` is {fact}", "leave out what is not known")


def _plain(value: Any) -> Any:
    """A numpy number as Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no fact")
