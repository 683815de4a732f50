"""How a world feels to a person: frames a second and input to frame, over a real local socket.

A program takes the page's part: it holds and releases random keys, acknowledges
every frame and reads its own clock, so the figures include the wait for the
next tick, the world's work and the wire, but no browser.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from worldloom.errors import WorldloomError
from worldloom.play import protocol
from worldloom.play.clock import WARMUP
from worldloom.play.protocol import Header
from worldloom.play.server import Served, served_in_thread
from worldloom.play.session import MakeStart, Session
from worldloom.seeding import rng
from worldloom.world import World

# Keys change every 80 to 400 ms, as fingers do: never in step with the server's clock.
SHORTEST, LONGEST = 0.08, 0.4


@dataclass
class _Seen:
    """What a player's clock saw, in seconds."""

    arrivals: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    unanswered: dict[int, float] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)


def measure(
    world: World,
    make_start: MakeStart,
    *,
    seconds: float = 10.0,
    fps: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Plays `world` with random keys through its own server, and times it.

    Args:
      seconds: for how long, after the warm-up ticks.
      fps: ticks a second that are aimed at; by default the world's own.
      seed: of the start and of the keys.

    Returns:
      `fps_p50` (one over the median interval between arrivals), `fps_mean`,
      `input_to_frame_p50_ms`, `input_to_frame_p95_ms` (from sending a change of
      keys until the first frame that used it has arrived), `inputs`, `frames`,
      and `server`, the last `stats` of the server.

    Raises:
      WorldloomError: the world broke, or no input was answered in time.
    """
    session = Session(world, make_start, fps=fps)
    with served_in_thread(session) as served:
        seen = _play(served, session, seconds=seconds, seed=seed)
    if len(seen.arrivals) < 3 or not seen.waits:
        raise WorldloomError(
            f"{len(seen.arrivals)} frames and {len(seen.waits)} answers in {seconds:g} s",
            "measure for longer",
        )
    intervals = np.diff(seen.arrivals)
    waits = 1e3 * np.asarray(seen.waits)
    return {
        "fps_p50": float(1 / np.median(intervals)),
        "fps_mean": float(1 / intervals.mean()),
        "input_to_frame_p50_ms": float(np.percentile(waits, 50)),
        "input_to_frame_p95_ms": float(np.percentile(waits, 95)),
        "inputs": len(waits),
        "frames": len(seen.arrivals),
        "server": seen.stats,
    }


def _play(served: Served, session: Session, *, seconds: float, seed: int) -> _Seen:
    draw = rng(seed, "play keys")
    codes = [button.codes[0] for button in session.keys.buttons]
    seen = _Seen()
    address = f"ws://{urlsplit(served.url).netloc}/play"
    with connect(address, max_size=None, compression=None) as socket:
        hello = {"version": protocol.VERSION, "token": served.token, "seed": seed}
        _say(socket, "hello", **hello)
        end = next_press = float("inf")
        frames = 0
        while (now := time.perf_counter()) < end:
            if now >= next_press:
                next_press = now + draw.uniform(SHORTEST, LONGEST)
                held = [code for code in codes if draw.random() < min(0.5, 2 / len(codes))]
                _press(socket, seen, held)
            frames += _listen(socket, seen, timeout=max(0.0, min(next_press, now + 0.25) - now))
            if frames > WARMUP and end == float("inf"):
                seen.arrivals.clear()
                next_press = time.perf_counter()
                end = next_press + seconds
    return seen


def _say(socket: ClientConnection, kind: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def _press(socket: ClientConnection, seen: _Seen, held: list[str]) -> None:
    now = time.perf_counter()
    stamp = int(now * 1e3) & 0xFFFFFFFF
    seen.unanswered[stamp] = now
    _say(socket, "keys", held=held, tapped=[], time=stamp)


def _listen(socket: ClientConnection, seen: _Seen, timeout: float) -> int:
    """Takes one message; returns how many frames came with it."""
    try:
        data = socket.recv(timeout)
    except TimeoutError:
        return 0
    except ConnectionClosed as error:
        raise WorldloomError("the server hung up", "see its message above") from error
    now = time.perf_counter()
    if isinstance(data, str):
        message = json.loads(data)
        if message["type"] == "error":
            raise WorldloomError(message["message"], message["hint"])
        if message["type"] == "stats":
            seen.stats = {key: value for key, value in message.items() if key != "type"}
        return 0
    header = Header.unpack(data)
    _say(socket, "ack", frame=header.frame)
    seen.arrivals.append(now)
    # One frame may be the first to show several inputs: each has waited its own time.
    if header.input_time in seen.unanswered:
        upto = seen.unanswered[header.input_time]
        for stamp, sent in list(seen.unanswered.items()):
            if sent <= upto:
                seen.waits.append(now - sent)
                del seen.unanswered[stamp]
    return 1
