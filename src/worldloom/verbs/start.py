"""`worldloom quickstart`: the whole loop once."""

import socket
from pathlib import Path

from worldloom.errors import WorldloomError
from worldloom.verbs.parse import on_interrupt


def quickstart(
    *,
    out: str = "runs/quickstart",
    seed: int = 0,
    smoke: bool = False,
    serve: bool = True,
    open: bool = True,
    port: int = 8787,
) -> None:
    """Runs the whole loop once, small, in minutes.

    Args:
      out: folder for everything; an interrupted quickstart in it goes on.
      seed: of everything random.
      smoke: a few episodes and updates, in seconds: proves the way, not the world.
      serve: whether it ends by entering the world; otherwise after the report.
      open: whether the page is opened in the browser.
      port: port of the page; 0 takes any free one.
    """
    if serve and port:
        _check_free(port)
    from worldloom import quickstart as loop

    again = f"worldloom quickstart --out {out}" + (f" --seed {seed}" if seed else "")
    again += " --smoke" if smoke else ""
    with on_interrupt(f"what is done is kept in {out}; `{again}` goes on"):
        report = loop.quickstart(Path(out), seed=seed, smoke=smoke)
        print(loop.report_text(Path(out), report), flush=True)
    if serve:
        from worldloom.verbs.world import play

        print()
        play(out, port=port, open=open)


def _check_free(port: int) -> None:
    """Raises now, and not after minutes of training, where the port is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise WorldloomError(
                f"the page cannot be served on port {port}: {reason}",
                "choose another port with --port, or pass --no-serve",
            ) from error
