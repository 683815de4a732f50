"""What a tick of a dream leaves behind, and what it looks at: its past, and its frame."""

import gc
import json

import pytest
import torch
from test_dream import NEAR, make_clip, make_world
from test_play_server import SOON, Page
from test_play_travel import begun, dream_session, keys, play

from worldloom.actions import Action
from worldloom.models.engine import tensors
from worldloom.play import protocol
from worldloom.play.limits import Limits
from worldloom.play.protocol import Header
from worldloom.play.server import served_in_thread

HISTORY = 6


def alive():
    """Tensors that somebody holds, and the bytes under them."""
    gc.collect()
    found = [each for each in gc.get_objects() if type(each) is torch.Tensor]
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage() for each in found}
    return len(found), sum(storage.nbytes() for storage in storages.values())


@pytest.mark.slow
def test_nothing_outlives_a_tick_but_its_past():
    player = begun(dream_session(**NEAR), HISTORY)
    play(player, keys(3 * HISTORY))
    before = alive()
    for _ in range(2):
        play(player, keys(5))
        assert alive() == before


def test_what_a_tick_writes_stays_where_it_is():
    """After the ring has wrapped, too; its keys are turned in one place."""
    player = begun(dream_session(**NEAR), HISTORY)
    places = []
    for _ in range(14):
        play(player, keys(1))
        state = player._present().world
        held = [*tensors(state), *state.ring._turned]
        places.append([part.data_ptr() for part in held])
    assert len(places[0]) > 6 and places == places[:1] * 14


# Operators that need to know what is in a tensor: on a GPU they would wait for it.
LOOKS = {"aten::_local_scalar_dense", "aten::equal", "aten::nonzero", "aten::masked_select"}


def looks(act):
    """Which of them run, also within others."""
    with torch.autograd.profiler.profile() as seen:
        act()
    return {event.name for event in seen.function_events or ()} & LOOKS


@pytest.mark.parametrize("kind", ["patches", "learned"])
def test_a_step_and_its_picture_look_at_no_number(kind):
    world = make_world(kind, NEAR, hold=6 if kind == "patches" else 0)
    state, _ = world.start(make_clip(rows=1), torch.tensor([3]))
    assert looks(lambda: bool(state.latents.sum() > 0)) == {"aten::_local_scalar_dense"}
    assert looks(lambda: state.latents[state.latents > 0]) == {"aten::nonzero"}
    action = Action({"keys": torch.ones(1, 3, dtype=torch.uint8)}, torch.ones(1, dtype=torch.bool))
    assert looks(lambda: [world.step(state, action), world.render(state)]) == set()


def test_a_tick_reads_back_its_frame_and_no_more(monkeypatch):
    player = begun(dream_session(**NEAR), HISTORY)
    read, plain = [], torch.Tensor.numpy
    for name in ("item", "tolist", "__bool__", "__int__", "__float__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_: pytest.fail("a number was read"))
    monkeypatch.setattr(torch.Tensor, "numpy", lambda each: read.append(each.nbytes) or plain(each))
    play(player, keys(8))
    assert read == [16 * 16 * 3] * 8


def test_a_page_is_handed_its_frames_and_no_more():
    session = dream_session(**NEAR)
    with served_in_thread(session, limits=Limits(stats_every=60)) as served:
        page, sizes = Page(served), []
        page.say("reset", seed=0)
        while not page.frame()[0].flags & protocol.RESET:
            pass
        while len(sizes) < 8:
            data = page.socket.recv(SOON)
            assert isinstance(data, bytes) or json.loads(data)["type"] in ("stats", "branches")
            if isinstance(data, bytes):
                page.say("ack", frame=Header.unpack(data).frame)
                sizes.append(len(data))
        page.socket.close()
    words = served.room.report()
    assert "16x16, on cpu with" in words and " parameters, 4 passes a frame; " in words
    assert sizes == [protocol.HEADER.size + 16 * 16 * 3] * 8
