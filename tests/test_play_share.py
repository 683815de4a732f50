"""A moment that is told in a few bytes comes out again, to the byte, or is refused in words."""

import base64
import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from play_guest import Guest
from test_dream import make_clip
from test_play_futures import JUMP, LEFT, RIGHT, begun, dream, play
from test_play_server import SOON

from worldloom.errors import WorldloomError
from worldloom.play import protocol, share
from worldloom.play.protocol import MAX_PART
from worldloom.play.server import served_in_thread
from worldloom.play.share import Mode, Shared, fingerprint, fingerprint_of_start, shared_of
from worldloom.play.trace import Origin
from worldloom.seeding import rng

HERE = Mode(4, 1, "2.0", "cpu", "x86")


def told(player, **changes):
    trace, shown = player.present()
    facts = {"world": "w", "start": "s", "frame": fingerprint(shown.frame.image), "mode": HERE}
    return shared_of(trace, player._session.world.spec.action, **{**facts, **changes})


def come_to(shared):
    """The picture that another session comes to."""
    player = begun(dream(), script=())
    player.begin(shared.origin)
    for tick in range(len(shared)):
        if tick in shared.noise:
            player.reseed(shared.noise[tick])
        player.tick(shared.action(tick))
    return player.present()[1].frame.image


def winding(seed=1):
    """A player who went back, branched, entered a future and came to be somewhere."""
    player = begun(dream(), seed)
    play(player, [LEFT, JUMP] * 5)
    player.rewind(4, 13)
    play(player, [RIGHT, (), JUMP])
    player.enter_future(1234567890123)
    play(player, [RIGHT] * 6)
    return player


def test_a_winding_way_is_told_and_gone_again():
    player = winding()
    shared = told(player)
    assert len(shared) == 3 + 6 + 3 + 6
    code = shared.to_text()
    assert len(code) < 1000
    again = Shared.from_text(code, player._session.world.spec.action)
    assert again.noise == {12: 1234567890123}
    assert fingerprint(come_to(again)) == shared.frame
    other = begun(dream(), 1)
    assert fingerprint(other.present()[1].frame.image) != shared.frame


def test_a_start_that_was_carried_in_goes_along():
    player = begun(dream(), script=())
    clip = make_clip(rows=1, seed=7)
    player.begin(Origin(5, clip))
    play(player, [LEFT, JUMP])
    shared = Shared.from_text(told(player).to_text(), player._session.world.spec.action)
    assert fingerprint_of_start(shared.origin.clip) == fingerprint_of_start(clip)
    assert fingerprint(come_to(shared)) == shared.frame
    assert fingerprint_of_start(make_clip(rows=1, seed=8)) != fingerprint_of_start(clip)


def test_what_differs_is_told_in_words():
    there = Mode(1, 2, "2.0", "cpu", "x86")
    assert there.differences(there) == []
    assert there.differences(HERE) == ["rows a step: 1 there, 4 here", "threads: 2 there, 1 here"]


def test_a_code_that_is_damaged_is_refused_whatever_is_in_it():
    player = begun(dream())
    spec, code = player._session.world.spec.action, told(player).to_text()
    draws = rng(0, "damage")
    letters = "ABCxyz019-_=+ é"
    refused = 0
    for _ in range(300):
        broken = list(code)
        for _ in range(draws.integers(1, 4)):
            broken[draws.integers(len(broken))] = letters[draws.integers(len(letters))]
        try:
            Shared.from_text("".join(broken), spec)
        except WorldloomError:
            refused += 1
    assert refused > 250
    data = json.loads(zlib.decompress(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))))
    wrong = [
        {"format": 2},
        {"seed": -1},
        {"seed": "0"},
        {"seed": 2**40},
        {"actions": {"keys": share._pack(np.zeros((3, 3), np.float32))}},
        {"actions": {"keys": share._pack(np.zeros((2, 3, 3), np.uint8))}},
        {"noise": {"x": 1}},
        {"noise": []},
        {"actions": {}},
        {"actions": {"keys": share._pack(np.zeros((3, 2), np.uint8))}},
        {"actions": {"keys": share._pack(np.full((3, 3), 7, np.uint8))}},
        {"actions": {"keys": {"dtype": "O", "shape": [1], "data": ""}}},
        {"actions": {"keys": {"dtype": "u1", "shape": [9, 9], "data": ""}}},
        {"actions": {"keys": share._pack(np.zeros((share.MOST_TICKS + 1, 3), np.uint8))}},
        {"clip": {"frames": {}, "actions": None, "known": None}},
        {"clip": {"frames": {"main": share._pack(np.zeros((1, 99, 2, 2, 3), np.uint8))}}},
        {"mode": {}},
        {"world": "w" * 999},
    ]
    for change in wrong:
        with pytest.raises(WorldloomError):
            Shared.from_text(as_code({**data, **change}), spec)
    for other in ("", "é", "[]", as_code([]), as_code({}), as_code("[" * 9999)):
        with pytest.raises(WorldloomError):
            Shared.from_text(other, spec)
    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(share.MOST_BYTES + 1), 9)).decode()
    assert len(bomb) < share.MOST_CODE
    with pytest.raises(WorldloomError, match="damaged"):
        Shared.from_text(bomb, spec)
    with pytest.raises(WorldloomError, match="characters"):
        Shared.from_text("A" * (share.MOST_CODE + 1), spec)


def as_code(data):
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(data).encode())).decode().rstrip("=")


def test_too_long_a_way_is_not_told(monkeypatch):
    monkeypatch.setattr(share, "MOST_TICKS", 2)
    with pytest.raises(WorldloomError, match="3 ticks from its start, 2 can be told"):
        told(begun(dream()))


@pytest.mark.slow
def test_a_very_long_trace_is_let_go_of_without_a_word():
    trace = begun(dream(), script=()).present()[0]
    action = dream()._action(LEFT)
    for _ in range(300_000):
        trace = trace.then(action)
    assert trace.action is trace.before.action
    assert len(trace.ticks()) == 300_000
    del trace


CHILD = """
import torch
torch.set_num_threads(THREADS)
from test_play_futures import dream
from worldloom.play.server import served_in_thread
session = dream(); session.identity = "tiny"; session.fps = 100
with served_in_thread(session) as served:
    print(served.port, served.token, flush=True)
    input()
"""


class Told:
    def __init__(self, port, token):
        self.port, self.token = int(port), token


def share_from(page):
    page.say("share")
    return page.text("moment")


def open_on(page, code):
    """Opens a moment in parts; what was said of it, and its picture."""
    parts = [code[i : i + 500] for i in range(0, len(code), 500)]
    assert all(len(part) <= MAX_PART for part in parts)
    for part in parts[:-1]:
        page.say("open", code=part, more=True)
    page.say("open", code=parts[-1])
    opened = page.text("opened")
    return opened, page.when(lambda header: header.flags & protocol.PAUSED)[1]


def picture_of_now(page):
    return page.stands()[1]


@pytest.mark.slow
def test_a_shared_moment_comes_out_on_a_fresh_server_to_the_byte():
    session = dream()
    session.identity, session.fps = "tiny", 100
    with served_in_thread(session) as served:
        page = Guest(served, seed=1)
        page.keys("ArrowLeft", "Space")
        for _ in range(20):
            page.frame()
        page.keys("ArrowRight")
        for _ in range(5):
            page.frame()
        wanted = picture_of_now(page)
        moment = share_from(page)
        assert moment["ticks"] >= 20
        opened, image = open_on(Guest(served), moment["code"])
        assert opened["exact"] and (image == wanted).all()
    code = CHILD.replace("THREADS", str(torch.get_num_threads()))
    command = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parent, **pipes) as child:
        fresh = Guest(Told(*child.stdout.readline().split()))
        opened, image = open_on(fresh, moment["code"])
        child.communicate("\n", timeout=4 * SOON)
    assert opened == {
        "type": "opened",
        "ticks": moment["ticks"],
        "exact": True,
        "differs": [],
    }
    assert (image == wanted).all()


def test_another_world_or_start_is_refused_and_another_picture_announced():
    session = dream()
    session.identity, session.fps = "tiny", 100
    with served_in_thread(session) as served:
        page = Guest(served, seed=1)
        page.frame()
        spec = session.world.spec.action
        shared = Shared.from_text(share_from(page)["code"], spec)
        refusals = [
            ({"world": "huge"}, "of another world (huge), this is tiny"),
            ({"start": "elsewhere"}, "start 1 of this moment is another one here"),
        ]
        for change, words in refusals:
            page.say("open", code=Shared(**{**vars(shared), **change}).to_text())
            error = page.text("error")
            assert error["code"] == "refused" and words in error["message"]
        page.say("open", code="rubbish")
        assert "no moment" in page.text("error")["message"]
        other = Shared(**{**vars(shared), "frame": "0", "mode": HERE})
        opened, _ = open_on(page, other.to_text())
        assert not opened["exact"]
        assert any(words.startswith("torch: 2.0 there") for words in opened["differs"])
