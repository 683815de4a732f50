"""Possible futures: what they show is what happens, and nobody who plays notices them."""

import numpy as np
import pytest
from test_dream import make_clip, make_world

from worldloom.envs.gym import GymWorld
from worldloom.errors import WorldloomError
from worldloom.play import futures
from worldloom.play.clock import Latency
from worldloom.play.futures import Plan, choices_of, grid_picture, shrunk
from worldloom.play.player import Player
from worldloom.play.pool import Pool
from worldloom.play.session import Session, from_clips, from_seed

LEFT, RIGHT, JUMP = ("ArrowLeft",), ("ArrowRight",), ("Space",)
PLAN = Plan(((), LEFT, JUMP), samples=2, horizon=4)


def dream(rows=4):
    world = Pool(make_world(), rows) if rows > 1 else make_world()
    return Session(world, from_clips([make_clip(rows=1), make_clip(rows=1, seed=1)]))


def begun(session, seed=0, script=(LEFT, RIGHT, JUMP)):
    player = Player(session, Latency())
    player.start(seed)
    play(player, script)
    return player


def play(player, script):
    return [player.tick(keys)[0].frame.image for keys in script]


def worked_off(fan):
    grids = []
    while not fan.finished:
        grid = fan.work()
        grids += [] if grid is None else [grid]
    fan.close()
    return np.stack(grids)


@pytest.mark.parametrize("rows", [1, 4])
def test_what_is_shown_is_what_happens(rows):
    session = dream(rows)
    player = begun(session)
    fan = player.fan(PLAN)
    grids = worked_off(fan)  # [H, A, N, h, w, 3]
    assert grids.shape == (4, 3, 2, 16, 16, 3)
    assert (grids[:, :, 0] != grids[:, :, 1]).any(), "samples differ"
    assert (grids[:, 0] != grids[:, 1]).any(), "actions differ"
    for choice, keys in enumerate(PLAN.choices):
        for sample in range(2):
            player.enter_future(fan.noise(sample))
            came = play(player, [keys] * 4)
            assert (np.stack(came) == grids[:, choice, sample]).all(), (choice, sample)
            player.switch(1)
    came = play(player, [JUMP] * 4)
    assert (np.stack(came) == grids[:, 2, 0]).all(), "the first sample is the player's own future"


def test_nobody_notices():
    """Two players of one pool, with futures worked off between their ticks and without."""
    seen = []
    for look in (False, True):
        session = dream()
        one, two = begun(session), begun(session, 1)
        before = session.draw(one._present()).image
        fan = one.fan(PLAN) if look else None
        frames = []
        for _ in range(8):
            if fan is not None:
                fan.work()
                fan.work()
            frames += play(two, [RIGHT])
        if fan is not None:
            assert fan.finished
            fan.close()
            assert (session.draw(one._present()).image == before).all()
        frames += play(one, [RIGHT, JUMP, ()] * 2)
        seen.append(frames)
        if look:
            assert session.world.taken <= 2, "its rows are free again"
    assert all((a == b).all() for a, b in zip(*seen, strict=True))


def test_a_world_without_chance_has_one_future_for_each_action():
    player = Player(Session(GymWorld("worldloom/Hop-v0", size=32), from_seed), Latency())
    player.start(0)
    fan = player.fan(Plan(((), LEFT, RIGHT), samples=3, horizon=5))
    grids = worked_off(fan)
    assert grids.shape == (5, 3, 1, 32, 32, 3)
    assert (grids[-1, 1, 0] == play(player, [LEFT] * 5)[-1]).all()


def test_too_much_is_refused_and_pictures_are_small():
    for plan in (Plan((), 1, 1), Plan(((),) * 7, 8, 1), Plan(((),) * 5, 8, 17)):
        with pytest.raises(WorldloomError, match="were asked for; at most 40"):
            plan.check()
    image = np.arange(200 * 300 * 3, dtype=np.uint32).astype(np.uint8).reshape(200, 300, 3)
    small = shrunk(image)
    assert max(small.shape) <= futures.SIDE and small.shape == (50, 75, 3)
    assert abs(int(small[0, 0, 0]) - image[:4, :4, 0].mean()) < 1
    assert shrunk(image[:90, :96]).shape == (90, 96, 3)
    grid = np.arange(2 * 3)[..., None, None, None] * np.ones((4, 5, 3), int)
    grid = grid.reshape(2, 3, 4, 5, 3)
    picture = grid_picture(grid)
    assert picture.shape == (8, 15, 3)
    assert picture[::4, ::5, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert choices_of((("KeyA", "ArrowLeft"), ("KeyD",)), most=1) == ((), ("KeyA",))
