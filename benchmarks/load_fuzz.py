"""Messages that no page would send, and what becomes of whoever sends them."""

import asyncio
import json
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from benchmarks.load_client import Player, Server
from worldloom.play import protocol
from worldloom.play.protocol import MAX_BYTES

ATTACKERS = 8
# Fewer than a line may say, so that most are sent away for what they said.
AT_ONCE, PER_SECOND = 100, 180

WORDS = ("hello", "keys", "ack", "pause", "reset", "rewind", "switch", "drop", "run")
FIELDS = ("version", "token", "seed", "held", "tapped", "time", "frame", "on", "ticks", "moment")


def harmless(draw: random.Random) -> str:
    """Out of order, out of date or out of place, but in the protocol: the session goes on."""
    kind = draw.randrange(8)
    number = draw.choice((0, 1, draw.randrange(100), draw.randrange(2**32)))
    if kind == 0:
        return json.dumps({"type": "ack", "frame": number})
    if kind == 1:
        held = ["".join(draw.choices("KeyArowÖ\x00💥", k=draw.randrange(9))) for _ in range(5)]
        return json.dumps({"type": "keys", "held": held, "tapped": held[:2], "time": number})
    if kind == 2:
        return json.dumps({"type": "rewind", "ticks": number, "moment": draw.randrange(2**32)})
    if kind == 3:
        return json.dumps({"type": "switch", "branch": draw.randrange(1, 2**16)})
    if kind == 4:
        return json.dumps({"type": "drop", "branch": draw.randrange(1, 2**16)})
    if kind == 5:
        return json.dumps({"type": "pause", "on": draw.random() < 0.5, "extra": [None] * 9})
    if kind == 6:
        return json.dumps({"type": "run", "branch": draw.randrange(1, 9), "on": True})
    return json.dumps({"type": "step"})


def harmful(draw: random.Random) -> str | bytes:
    """Broken: the session must end, with a reason."""
    kind = draw.randrange(7)
    if kind == 0:
        return draw.randbytes(draw.randrange(200))
    if kind == 1:
        return "".join(chr(draw.randrange(1, 0xD7FF)) for _ in range(draw.randrange(60)))
    if kind == 2:
        return "x" * draw.randrange(MAX_BYTES + 1, 3 * MAX_BYTES)
    if kind == 3:
        return "[" * draw.randrange(1, MAX_BYTES)
    if kind == 4:
        return json.dumps({"type": "hello", "version": protocol.VERSION, "token": "again"})
    if kind == 5:
        return json.dumps({"type": draw.choice(("fly", "", None, 7, ["ack"], {"ack": 1}))})
    fields = {name: _junk(draw) for name in draw.sample(FIELDS, 3)}
    return json.dumps({"type": draw.choice(WORDS), **fields, "x": 1})


def _junk(draw: random.Random) -> Any:
    return draw.choice((None, -1, 2**70, 1e300, "ä" * 40, [[]], {}, True, [0] * 99, float("inf")))


async def attack(
    server: Server, messages: int, players: list[Player], *, seed: int
) -> dict[str, Any]:
    """Sends so many messages over line after line.

    Args:
      players: who play meanwhile.

    Returns:
      `messages` that were sent, `lines`, `endings` (why lines ended, and how many did so),
      `unclear` (lines that ended without exactly one reason), `players_fps` of all of them.
    """
    ledger = _Ledger(messages)
    begin, frames = time.perf_counter(), sum(player.frames for player in players)
    draws = [random.Random(1000 * seed + number) for number in range(ATTACKERS)]
    await asyncio.gather(*(_attacker(server, draw, ledger) for draw in draws))
    took = time.perf_counter() - begin
    return {
        "messages": messages - ledger.left,
        "lines": sum(ledger.endings.values()),
        "endings": dict(ledger.endings.most_common()),
        "unclear": sum(n for why, n in ledger.endings.items() if why.startswith("unclear")),
        "seconds": took,
        "players_fps": (sum(player.frames for player in players) - frames) / took,
    }


LAST_WORD = b"\0"
"""Surely broken, before the greeting and after it. Every line has one in reserve, so that no
line is left without an ending when the others have said all that there was to say."""


@dataclass
class _Ledger:
    """How many messages are still to be sent, and how lines ended."""

    left: int
    endings: Counter[str] = field(default_factory=Counter)


async def _attacker(server: Server, draw: random.Random, ledger: _Ledger) -> None:
    while ledger.left > 0:
        ledger.left -= 1  # for the last word
        async with server.open() as line:
            ending = await _one_line(line, server.token, draw, ledger)
        ledger.endings[ending] += 1


async def _say(line: ClientConnection, word: str | bytes, ledger: _Ledger) -> None:
    """Sends one message; it counts when it was sent."""
    ledger.left -= 1
    try:
        await line.send(word)
    except ConnectionClosed:
        ledger.left += 1
        raise


async def _one_line(
    line: ClientConnection, token: str, draw: random.Random, ledger: _Ledger
) -> str:
    """Talks until it is sent away; why it was."""
    heard = asyncio.create_task(_reasons(line))
    try:
        if draw.random() < 0.8:  # the others are broken from the first word on
            hello = {"type": "hello", "version": protocol.VERSION, "token": token}
            await line.send(json.dumps(hello))
            for n in range(draw.randrange(1, 1200)):
                if ledger.left <= 0 or heard.done():
                    break
                await _say(line, harmless(draw), ledger)
                if n % AT_ONCE == AT_ONCE - 1:
                    await asyncio.sleep(AT_ONCE / PER_SECOND)
        while not heard.done() and ledger.left > 0:
            await _say(line, harmful(draw), ledger)
            await asyncio.wait({heard}, timeout=5)
    except ConnectionClosed:
        pass
    ledger.left += 1  # the reserve: spoken now, or not needed
    with suppress(ConnectionClosed):
        if not heard.done():
            await _say(line, LAST_WORD, ledger)
    reasons = await heard
    code = line.close_code
    if reasons == [] and code == 1009:
        return "1009 message too big"
    return f"{code} {reasons[0]}" if len(reasons) == 1 else f"unclear: {code} {reasons}"


async def _reasons(line: ClientConnection) -> list[str]:
    """Every error that is not a mere refusal, until the line ends."""
    codes = []
    with suppress(ConnectionClosed):
        async for data in line:
            if isinstance(data, str) and (told := json.loads(data))["type"] == "error":
                codes.append(told["code"])
    return [code for code in codes if code != "refused"]
