"""How patient a server is, with how many, and how much one page may say."""

from dataclasses import dataclass

from worldloom.errors import WorldloomError
from worldloom.play.branch import HISTORY

LEDGER = 6000  # ticks that all sessions together may go back


@dataclass(frozen=True)
class Limits:
    """How long the server is patient, in seconds, and with how many pages.

    Args:
      pause_after: without an acknowledgement the world stands still.
      close_after: without one the page is sent away.
      hello_within: that a socket has to say who it is.
      stats_every: between two reports.
      pages: that play at once.
      idle_after: without anything done the page is sent away; 0 for never.
      idle_notice: that it is told before.
      messages: a second that a page may say for long, and three times as many at once.
      history: ticks that one can go back.
    """

    pause_after: float = 2.0
    close_after: float = 30.0
    hello_within: float = 5.0
    stats_every: float = 1.0
    pages: int = 8
    idle_after: float = 1800.0
    idle_notice: float = 60.0
    messages: float = 200.0
    history: int = HISTORY


def limits_for(max_sessions: int, idle: float = Limits.idle_after) -> Limits:
    """Patience with so many pages; the more there are, the less far each can go back.

    Raises:
      WorldloomError: nobody could play.
    """
    if max_sessions < 1:
        raise WorldloomError(f"{max_sessions} sessions are none", "pass --max-sessions 1 or more")
    history = min(HISTORY, max(100, LEDGER // max_sessions))
    return Limits(pages=max_sessions, idle_after=idle, history=history)


class Rate:
    """A bucket of words: it fills steadily, and who empties it has said too much.

    Args:
      per_second: how fast it fills.
      burst: how many it holds.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second, self._burst = per_second, burst
        self._left, self._at = burst, 0.0

    def allows(self, now: float) -> bool:
        """Takes one word; False where none is left."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        self._left -= 1
        return self._left >= 0
