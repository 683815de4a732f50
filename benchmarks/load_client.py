"""What plays on a server under load, as cheaply as it can, and the server itself."""

import argparse
import asyncio
import json
import random
import re
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from worldloom.play import protocol
from worldloom.play.protocol import HEADER

CODES = ("ArrowLeft", "ArrowRight", "Space", "ArrowUp", "ArrowDown")


async def wait_for(fact: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits until something is true."""
    end = time.perf_counter() + seconds
    while not fact():
        if time.perf_counter() > end:
            raise TimeoutError(f"it did not come true within {seconds:g} s")
        await asyncio.sleep(0.02)


class Server:
    """`worldloom play` in a process of its own.

    Args:
      given: world and store.
      folder: for its token and its words.
      sessions: that it takes.
      fps: ticks a second; by default the world's own.
      port: 0 for any free one.
      keep: folder for what visitors record; None for nowhere.
    """

    def __init__(
        self,
        given: argparse.Namespace,
        folder: Path,
        *,
        sessions: int,
        fps: float | None = None,
        port: int = 0,
        keep: Path | None = None,
    ) -> None:
        self._token_file = folder / "token"
        self._words = (folder / "server.txt").open("ab")
        self.port = port or _free_port()
        self._command = [
            *(sys.executable, "-m", "worldloom", "play", given.world, "--no-open"),
            *("--port", str(self.port), "--max-sessions", str(sessions)),
            *("--token-file", str(self._token_file)),
            *(["--store", given.store] if given.store else []),
            *(["--fps", str(fps)] if fps else []),
            *(["--keep", str(keep)] if keep else []),
        ]

    async def __aenter__(self) -> "Server":
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=self._words, stderr=self._words
        )
        end = time.perf_counter() + 300
        while True:
            try:
                await asyncio.to_thread(self._fetch, "/health")
                break
            except OSError:
                if not self.alive or time.perf_counter() > end:
                    self._words.close()
                    words = Path(self._words.name).read_text()
                    raise RuntimeError(f"the server did not start:\n{words}") from None
                await asyncio.sleep(0.1)
        self.token = self._token_file.read_text().strip()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.alive:
            self._process.kill()
        await self._process.wait()
        self._words.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    def kill(self) -> None:
        """Ends it without a word."""
        self._process.kill()

    async def stop(self) -> int:
        """Asks it to end, as Ctrl-C does; its exit code."""
        self._process.send_signal(signal.SIGINT)
        return await asyncio.wait_for(self._process.wait(), 30)

    async def metrics(self) -> dict[str, float]:
        """The server's figures, by name; 0 for what it does not name."""
        text = await asyncio.to_thread(self._fetch, f"/metrics?token={self.token}")
        rows = re.findall(r"^worldloom_(\S+) (\S+)$", text, re.M)
        return _Zeros({name: float(value) for name, value in rows})

    def _fetch(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return answer.read().decode()

    def open(self) -> connect:
        """A socket to it, without a greeting."""
        url = f"ws://127.0.0.1:{self.port}/play"
        return connect(
            url, compression=None, max_size=None, ping_interval=None, open_timeout=60, proxy=None
        )


class _Zeros(dict[str, float]):
    def __missing__(self, key: str) -> float:
        return 0.0


class Player:
    """One person: holds and releases keys at random and acknowledges every frame.

    Args:
      server: where to play.
      seed: of the start and of the keys.
      comes_back: tries again when the line is lost, as the page does.
    """

    def __init__(self, server: Server, seed: int, *, comes_back: bool = False) -> None:
        self._server, self._seed, self._comes_back = server, seed, comes_back
        self._draw = random.Random(seed)
        self._socket: ClientConnection | None = None
        self._leaving = False
        self.ack_after: float | None = 0.0  # seconds; None for never
        self.frames = 0
        self.waits: list[float] = []
        self.errors: list[str] = []
        self.kept = 0  # recordings of its own that the server has stored

    async def play(self) -> None:
        """Plays until it leaves or is sent away."""
        while not self._leaving:
            try:
                async with self._server.open() as self._socket:
                    await self._play(self._socket)
            except (OSError, ConnectionClosed) as error:
                if not (self._leaving or self._comes_back):
                    self.errors.append(str(error))
                    return
                await asyncio.sleep(0.3)

    async def _play(self, line: ClientConnection) -> None:
        hello = {"version": protocol.VERSION, "token": self._server.token, "seed": self._seed}
        await line.send(json.dumps({"type": "hello", **hello}))
        press, stamped, sent = 0.0, 0, 0.0
        async for data in line:
            now = time.perf_counter()
            if isinstance(data, str):
                if data.startswith('{"type":"error"'):
                    self.errors.append(json.loads(data)["code"])
                self.kept += data.startswith('{"type":"kept"')
                continue
            frame, shown = HEADER.unpack_from(data)[:2]
            self.frames += 1
            if stamped and shown == stamped:
                self.waits.append(now - sent)
                stamped = 0
            if self.ack_after is None:
                continue
            await asyncio.sleep(self.ack_after)
            await line.send(f'{{"type":"ack","frame":{frame}}}')
            if now >= press and not stamped:
                press = now + self._draw.uniform(0.08, 0.4)
                stamped, sent = int(1e3 * now) & 0xFFFFFFFF or 1, now
                held = self._draw.sample(CODES, self._draw.randrange(3))
                keys = {"type": "keys", "held": held, "tapped": [], "time": stamped}
                await line.send(json.dumps(keys))

    async def record(self, on: bool) -> None:
        """Begins to record what it does, or ends that."""
        assert self._socket is not None
        await self._socket.send(json.dumps({"type": "record", "on": on}))

    async def leave(self, task: "asyncio.Task[Any]") -> None:
        """Goes, as a page does that is closed."""
        self._leaving = True
        if self._socket is not None:
            await self._socket.close()
        await task

    def tear(self) -> None:
        """The line breaks without a goodbye."""
        self._leaving = True
        assert self._socket is not None
        self._socket.transport.abort()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
