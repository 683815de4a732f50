"""Things that are handed over by a name that nobody can guess, and forgotten after a while."""

import secrets
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Tray(Generic[T]):
    """Keeps the newest things within bounds.

    Args:
      most: how many.
      most_bytes: what they may weigh together; the newest stays whatever it weighs.
    """

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._things: OrderedDict[str, tuple[T, int]] = OrderedDict()

    def put(self, thing: T, size: int) -> str:
        """Keeps a thing of `size` bytes; returns its name."""
        name = secrets.token_urlsafe(12)
        self._things[name] = (thing, size)
        while len(self._things) > self._most or (self.size > self._most_bytes and len(self) > 1):
            self._things.popitem(last=False)
        return name

    def get(self, name: str) -> T | None:
        """The thing of this name, or None where it never was or is forgotten."""
        found = self._things.get(name)
        return None if found is None else found[0]

    @property
    def size(self) -> int:
        """What all of them weigh, in bytes."""
        return sum(size for _, size in self._things.values())

    def __len__(self) -> int:
        return len(self._things)
