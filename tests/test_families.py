"""The named recipes, by which worlds are trained on recordings that a task brings."""

import numpy as np
import pytest

from worldloom.configs import Batches
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode
from worldloom.families import STEPS, Nano
from worldloom.trust.task import Setting
from worldloom.trust.tasks.scenes.films import NO_ACTIONS

INFO = StoreInfo(NO_ACTIONS, {"main": (64, 64)}, 10.0, heldout=0.0)


@pytest.mark.parametrize("budget", ["smoke", "quick", "full"])
def test_clips_are_no_longer_than_the_films(tmp_path, budget):
    store = Store.create(tmp_path / "store", INFO)
    for frames in (9, 12):
        store.append(Episode({"main": np.zeros((frames, 64, 64, 3), np.uint8)}, {}))
    batches, steps = Nano().size(store, Setting(budget)).batches, STEPS[budget]
    clips = {batches.at(step, steps)[1] for step in range(steps)}
    assert clips == {"smoke": {8}}.get(budget, {8, 12})


def test_clips_within_a_length():
    assert Batches(8, 16, 64).within(24) == Batches(8, 16, 24)
    assert Batches(8, 16, 64).within(10) == Batches(8, 10, 10)
    assert Batches(8, 16, 64).within(99) == Batches(8, 16, 64)


def test_a_recipe_says_how_long_it_trains():
    assert Nano().words(Setting("quick")) == "nano, 1,500 updates"
    assert Nano().words(Setting("smoke")) == "nano, 32 wide, 4 updates"
