"""What a run's ledger of lies adds to its report: each open lie in one sentence.

Knows the ledger; draws nothing and knows no page.
"""

from dataclasses import dataclass

from worldloom.data.ledger import Lie, facts_text, when

SHOWN = 12
"""Lies of which there is a film in a report, the newest."""


@dataclass(frozen=True)
class Told:
    """An open lie as a report tells it.

    Args:
      id: its number in the ledger.
      kind: of the lie.
      sentence: what is untrue, how often, and since when it is known.
      both: its film shows reality beside the dream; else the truth is unknown.
    """

    id: int
    kind: str
    sentence: str
    both: bool


def told(lie: Lie) -> Told:
    """An entry of the ledger for people."""
    facts = facts_text(lie)
    often = f"wrong {lie.wrong} of {lie.tried} times since {when(lie.round, lie.date)}"
    again = f", closed and back {lie.reopened} times" if lie.reopened else ""
    sentence = f"{lie.what}{f' ({facts})' if facts else ''}: {often}{again}"
    return Told(lie.id, lie.kind, sentence, bool(lie.real))
