"""A tiny deterministic world for the tests of play: it counts ticks and shows held keys."""

import threading
import time
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from worldloom.actions import Action, ActionSpec, Binary
from worldloom.errors import WorldloomError
from worldloom.world import Step, WorldSpec

KEYS = ("left", "right", "up", "down", "jump")
SPEC = ActionSpec((Binary("keys", KEYS),))


@dataclass(frozen=True)
class Count:
    seed: Tensor
    tick: Tensor
    keys: Tensor
    pressed: Tensor  # [B, K] ticks for which each key was held so far

    def __len__(self):
        return len(self.seed)

    def _map(self, change):
        return Count(*(change(getattr(self, field)) for field in self.__dataclass_fields__))

    def copy(self):
        return self._map(torch.clone)

    def __getitem__(self, rows):
        return self._map(lambda part: part[rows].clone())

    def view(self, row):
        return self._map(lambda part: part[row : row + 1])

    def put(self, row, other):
        for field in self.__dataclass_fields__:
            getattr(self, field)[row] = getattr(other, field)[0]


class CountingWorld:
    """Draws its seed as the colour, ticks as a moving dot, and a white bar for each held key.

    Args:
      size: height and width of a frame.
      ends_at: the tick at which it terminates, 0 for never.
      seconds: what a step takes.
      breaks_at: the tick at which it raises a user's error, 0 for never.
      starts: what its spec says it starts from.
    """

    def __init__(self, size=(40, 40), *, ends_at=0, seconds=0.0, breaks_at=0, starts=("seed",)):
        self.spec = WorldSpec(
            "counting",
            {"main": size},
            SPEC,
            fps=50.0,
            capabilities=frozenset({"render", "fork", "rows"}),
            starts=frozenset(starts),
        )
        self.ends_at, self.seconds, self.breaks_at = ends_at, seconds, breaks_at
        self.threads = set()
        self.calls = Counter()
        self.rows = Counter()  # steps by their number of rows

    def start(self, clip, seeds):
        self._note("start")
        zeros = torch.zeros(2, len(seeds), len(KEYS), dtype=torch.int64)
        return Count(clip.env_seeds, torch.zeros_like(seeds), *zeros), self._step(seeds * 0)

    def step(self, state: Count, action: Action):
        self._note("step")
        self.rows[len(state)] += 1
        time.sleep(self.seconds)
        keys = action.values["keys"].long()
        tick = state.tick + 1
        if self.breaks_at and int(tick.max()) >= self.breaks_at:
            raise WorldloomError("the world broke", "mend it")
        return Count(state.seed, tick, keys, state.pressed + keys), self._step(tick)

    def render(self, state: Count, camera="main"):
        self._note("render")
        height, width = self.spec.cameras[camera]
        image = torch.zeros(len(state), height, width, 3, dtype=torch.uint8)
        for row in range(len(state)):
            image[row, :, :, 0] = (int(state.seed[row]) * 37 + 60) % 256
            image[row, :, :, 2] = 90
            image[row, height - 4 :, int(state.tick[row]) % width] = 255
            for i in torch.nonzero(state.keys[row]).flatten().tolist():
                image[row, 4 : height // 2, 4 + 7 * i : 9 + 7 * i] = 255
        return image

    def release(self, state):
        self._note("release")

    def _step(self, tick):
        done = (tick >= self.ends_at) if self.ends_at else torch.zeros_like(tick, dtype=torch.bool)
        return Step(terminated=done, truncated=torch.zeros_like(done))

    def _note(self, what):
        self.calls[what] += 1
        self.threads.add(threading.current_thread().name)
