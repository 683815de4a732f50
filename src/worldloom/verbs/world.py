"""`worldloom play`, `eval`: a world in use."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from worldloom.errors import WorldloomError
from worldloom.shipped import FIRST, FOLDER, find_run
from worldloom.verbs.parse import on_interrupt

if TYPE_CHECKING:
    from worldloom.data.store import Store, StoreInfo
    from worldloom.evaluate.report import Report
    from worldloom.play.session import MakeStart
    from worldloom.play.shelf import Shelf
    from worldloom.play.visitor import Nearby
    from worldloom.world import World


def play(
    world: str = FIRST,
    *,
    store: str | None = None,
    size: int | None = None,
    fps: float | None = None,
    host: str = "127.0.0.1",
    port: int = 8787,
    max_sessions: int = 2,
    idle: float = 1800.0,
    token_file: str | None = None,
    keep: str | None = None,
    open: bool = True,
) -> None:
    """Opens a page in which a person enters a world.

    Args:
      world: name of a world that comes with the package (`worldloom ls worlds`), folder of
        a run, or id of an environment.
      store: whose held-out episodes a dream begins with; the run's own by default.
      size: side of an environment's frames in pixels; its own by default.
      fps: frames a second; the world's own by default.
      host: address to listen on; another than 127.0.0.1 lets other machines in.
      port: port to listen on; 0 takes any free one.
      max_sessions: pages that may play at once; above 2 they share the world's steps.
      idle: seconds after which a page that does nothing is sent away; 0 for never.
      token_file: file that keeps the access token, so that pages come back after a restart.
      keep: folder for what visitors record and mark as wrong; RUN/visitors for a run of
        your own, elsewhere none by default.
      open: whether the page is opened in the browser.
    """
    from worldloom.play.limits import limits_for
    from worldloom.play.server import Address, serve

    if fps is not None and not 0 < fps < math.inf:
        raise WorldloomError(f"--fps {fps} makes no sense", "for example 20", code=2)
    limits = limits_for(max_sessions, idle)
    run = find_run(world)
    entered = _environment(world, store, size) if run is None else _dream(run, store)
    nearby = replace(entered.nearby, shelf=entered.shelf(keep))
    _enter_marks(nearby, entered.recorded)  # of a server that was killed
    serve(
        entered.world,
        entered.make_start,
        address=Address(host, port, token_file, open),
        limits=limits,
        fps=fps,
        title=world,
        identity=entered.identity,
        nearby=nearby,
    )
    _enter_marks(replace(nearby, beside=None), entered.recorded)


def _enter_marks(nearby: "Nearby", recorded: "Store | None") -> None:
    """Puts what visitors marked as wrong into the run's ledger, and asks reality about it."""
    from worldloom import marks

    if nearby.ledger is None or nearby.shelf is None or recorded is None:
        return
    new = marks.enter(nearby.ledger, nearby.shelf.folder, recorded)
    if nearby.beside is not None:
        marks.ask_reality(nearby.ledger, nearby.beside.world)
    if new:
        run = nearby.ledger.folder.parent
        print(f"marked as wrong by visitors: {len(new)} more, see `worldloom ls lies {run}`")


@dataclass(frozen=True)
class _Entered:
    """What a person asked to enter.

    Args:
      world: a dream or a real environment.
      make_start: its starts.
      identity: tells it from others of its name.
      nearby: what there is beside it.
      info: of the stores that visitors record.
      keep: the folder for these where none is named; None for nowhere.
      recorded: what a dream begins from.
    """

    world: "World"
    make_start: "MakeStart"
    identity: str
    nearby: "Nearby"
    info: "StoreInfo"
    keep: str | None = None
    recorded: "Store | None" = None

    def shelf(self, keep: str | None) -> "Shelf | None":
        """Where visitors' recordings go, in the folder that is named or the usual one."""
        from worldloom.play.shelf import Shelf

        folder = keep or self.keep
        return None if folder is None else Shelf(Path(folder), self.info)


def _dream(run: Path, store: str | None) -> _Entered:
    """The world of a run, or one that comes with the package."""
    from worldloom.data.ledger import Ledger
    from worldloom.evaluate.windows import check_fit
    from worldloom.hub import load_world, world_identity
    from worldloom.play.session import from_clips
    from worldloom.play.visitor import Nearby
    from worldloom.starts import beside, contexts, run_store, spare_a_core, use_gpu

    dream, recorded = load_world(run), run_store(run, store)
    check_fit(dream, recorded)
    spare_a_core()
    use_gpu(dream)
    found, own = beside(recorded, dream.spec), run.parent != FOLDER
    nearby = Nearby(why_not=found) if isinstance(found, str) else Nearby(found)
    return _Entered(
        dream,
        from_clips(contexts(recorded)),
        world_identity(run, dream),
        replace(nearby, ledger=Ledger.open(run, recorded.info) if own else None),
        recorded.info,
        f"{run}/visitors" if own else None,
        recorded,
    )


def _environment(world: str, store: str | None, size: int | None) -> _Entered:
    """A real environment, by its id."""
    from worldloom.data.store import StoreInfo
    from worldloom.envs.gym import GymWorld
    from worldloom.play.session import from_seed
    from worldloom.play.visitor import Nearby

    if store is not None:
        raise WorldloomError(
            f"`{world}` is an environment and starts from seeds, not a store",
            "leave out --store, or give the folder of a run",
        )
    real = GymWorld(world, size=size)
    spec, setup = real.spec, real.setup.to_json()
    return _Entered(
        real,
        from_seed,
        f"{world} {setup}",
        Nearby(why_not="this is the real environment itself"),
        StoreInfo(spec.action, spec.cameras, spec.fps, env=world, env_kwargs=setup),
    )


def evaluate(
    run: str,
    store: str,
    *,
    out: str | None = None,
    suite: Literal["openloop"] = "openloop",
    episodes: int = 64,
    context: int = 8,
    horizons: tuple[int, ...] = (1, 2, 4, 8, 16, 32),
    seed: int = 0,
    json: bool = False,
) -> None:
    """Scores a world on recordings, or asks what it knows.

    Args:
      run: folder of the run, or name of a world that comes with the package.
      store: folder of the recordings.
      out: folder for the report; RUN/eval-STORE by default, without RUN for a world of the
        package.
      suite: openloop scores predictions; trust asks what the world knows, and has options of its
        own: worldloom eval --suite trust --help.
      episodes: at most so many held-out episodes, one window each.
      context: frames that the world is shown first.
      horizons: frames after the context at which it is scored.
      seed: of the rollouts' noise and of the resampling.
      json: prints the report as JSON in place of the table.
    """
    import json as encoder

    from worldloom.progress import Progress

    del suite  # the command line has taken it for what it says
    name = f"eval-{Path(store).resolve().name}"
    folder = Path(out) if out else Path(run) / name if Path(run).is_dir() else Path(name)
    progress = Progress({"eval": 0.0})
    progress.begin("eval", f"into {folder}")
    with on_interrupt(f"what {folder} holds is whole; run the same command again"):
        report = _openloop(
            run,
            store,
            horizons=horizons,
            episodes=episodes,
            context=context,
            seed=seed,
            out=folder,
            progress=progress.update,
        )
    print(encoder.dumps(report.to_json(), indent=1) if json else report.to_text())
    progress.say(f"eval: written to {folder}, look at {folder / 'report.html'}")


def _openloop(run: str, store: str, out: Path, **how: Any) -> "Report":
    """Predictions against recordings, and what is known to be wrong already."""
    from worldloom.data.ledger import Ledger
    from worldloom.data.store import Store
    from worldloom.evaluate.openloop import evaluate as score
    from worldloom.evaluate.publish import add_lies
    from worldloom.hub import load_world

    opened = Store.open(store)
    found = find_run(run) or run
    report = score(load_world(found), opened, out=out, **how)
    ledger = Ledger.open(found)
    return add_lies(report, ledger, out, fps=opened.info.fps) if ledger.lies() else report
