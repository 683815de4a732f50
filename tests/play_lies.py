"""A world that lies, and a ledger of that, for the tests of play."""

import numpy as np
from play_world import SPEC
from test_play_files import Canvas

from worldloom.data.info import StoreInfo
from worldloom.data.ledger import Find, Ledger
from worldloom.data.types import Clip, Episode


class Liar(Canvas):
    """Begins with any number of frames: their last one's colour, and the actions before them."""

    def __init__(self):
        super().__init__()
        self.begun = []

    def start(self, clip, seeds):
        if clip.actions is not None:
            self.begun.append(clip)
            clip = Clip(frames={"main": clip.frames["main"][:, -1:]})
        return super().start(clip, seeds)


def shades(first, length=20, size=40):
    frames = np.zeros((length, size, size, 3), np.uint8)
    frames[...] = first + np.arange(length)[:, None, None, None]
    keys = np.zeros((length, 5), np.uint8)
    keys[np.arange(1, length), np.arange(1, length) % 5] = 1
    return Episode(frames={"main": frames}, actions={"keys": keys})


def ledger_of_three(run):
    """1 is closed, 2 has a truth beside it, 3 has none."""
    ledger = Ledger.open(run, StoreInfo(SPEC, {"main": (40, 40)}, 20.0))
    ledger.add(Find("reward", "pays for nothing", shades(10), 4, same="pays", round=1))
    told = {"said": {"keys": 2}, "truth": {"keys": 0}, "tried": 9, "wrong": 8, "round": 2}
    ledger.add(Find("forbidden", "opens a <door>", shades(60), 12, real=shades(160), **told))
    ledger.add(Find("marked", "“it melts”", shades(110), 3))
    ledger.close(1, round=2, tried=20, wrong=0)
    return ledger
