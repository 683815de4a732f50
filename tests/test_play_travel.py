"""Going back, branching and switching: the same keys give the same bytes, and nothing leaks."""

import gc
import json
import time
import weakref
from itertools import pairwise

import numpy as np
import pytest
from play_world import CountingWorld
from test_dream import make_clip, make_world
from test_play_server import SOON, Page, lit, serving, until

from worldloom.models import cells
from worldloom.models.dream import DreamMark
from worldloom.play import protocol
from worldloom.play.branch import BRANCHES, Refused
from worldloom.play.clock import Latency
from worldloom.play.player import Player
from worldloom.play.protocol import Header
from worldloom.play.session import Session, from_clips, from_seed
from worldloom.seeding import rng

WINDOW = 5  # of the tiny dream


def dream_session(**paths):
    return Session(
        make_world(paths=paths), from_clips([make_clip(rows=1), make_clip(rows=1, seed=1)])
    )


def keys(count, seed=0):
    draws = rng(seed, "keys")
    codes = ("ArrowLeft", "ArrowRight", "Space")
    return [tuple(c for c in codes if draws.random() < 0.5) for _ in range(count)]


def play(player, script):
    return [player.tick(held)[0].frame.image.tobytes() for held in script]


def begun(session, history=600):
    player = Player(session, Latency(), history)
    player.start(0)
    return player


@pytest.mark.parametrize("paths", [{}, {"copy": 2, "columns": 2}])
@pytest.mark.parametrize("ticks", [1, 3, 2 * WINDOW + 2, 3 * WINDOW])
def test_a_dream_goes_the_same_way_again(paths, ticks):
    """After the ring has wrapped; also back beyond it, and to within the context."""
    player, script = begun(dream_session(**paths)), keys(3 * WINDOW)
    seen = play(player, script)
    for _ in range(2):
        shown = player.rewind(ticks, len(script))
        assert shown.moment == len(script) - ticks
        if ticks < len(script):
            assert shown.frame.image.tobytes() == seen[-ticks - 1]
        assert play(player, script[-ticks:]) == seen[-ticks:]
    player.rewind(ticks, len(script))
    other = [("ArrowLeft", "Space") if "Space" not in held else () for held in script[-ticks:]]
    assert play(player, other)[-1] != seen[-1]


def test_a_real_game_goes_the_same_way_again():
    from worldloom.envs.gym import GymWorld

    player, script = begun(Session(GymWorld("worldloom/Hop-v0", size=32), from_seed)), keys(20)
    seen = play(player, script)
    assert len(set(seen)) > 5
    player.rewind(15, 20)
    assert play(player, script[5:]) == seen[5:]


def test_branches_go_their_own_ways_and_share_the_past():
    player, script = begun(dream_session()), keys(12)
    seen = play(player, script[:8])
    assert player.branch().branch == 2
    left = play(player, [("ArrowLeft",)] * 4)
    back = player.switch(1)
    assert (back.branch, back.moment) == (1, 8)
    assert back.frame.image.tobytes() == seen[-1]
    right = play(player, [("ArrowRight", "Space")] * 4)
    assert left[-1] != right[-1]
    assert player.switch(2).frame.image.tobytes() == left[-1]
    player.rewind(4, 12)
    assert play(player, [("ArrowRight", "Space")] * 4) == right
    one, two = (player._branches[n].past for n in (1, 2))
    assert all(a is b for a, b in zip(list(one)[:9], list(two)[:9], strict=True))
    old, new = one[8].mark, two[12].mark
    assert isinstance(old, DreamMark)
    assert new.frames[0] is not one[12].mark.frames[0]


def test_what_was_shared_is_neither_copied_nor_changed():
    player = begun(dream_session(copy=2, columns=2))
    play(player, keys(20))
    marks = [moment.mark for moment in player._here.past]
    before = [part.clone() for mark in marks for part in parts_of(mark)]
    for older, newer in pairwise(marks):
        assert all(a is b for a, b in zip(newer.frames[1:], older.frames[:-1], strict=True))
    player.rewind(15, 20)
    play(player, keys(15, seed=1))
    after = [part for mark in marks for part in parts_of(mark)]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def parts_of(mark):
    return [part for cell in mark.frames for part in cell.read().values()]


def bytes_of(marks):
    """What marks hold, counted once: whole storages, so that a view cannot hide one."""
    parts = [part for mark in marks for part in parts_of(mark)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in parts}
    return sum(storages.values())


@pytest.mark.slow
def test_the_memory_of_a_history_is_what_the_guide_says(monkeypatch):
    history, rows = 40, 8
    monkeypatch.setattr(cells, "BLOCK", 8 * record_bytes())
    player = begun(dream_session(copy=2, columns=2), history)
    seen = []
    for _ in range(3):
        play(player, keys(history + 10))
        seen.append(bytes_of(moment.mark for moment in player._here.past))
    assert len(player._here.past) == history + 1
    # What the oldest moment remembers, and the frame that is kept before the oldest goes.
    frames = history + 1 + WINDOW - 2 + 1
    assert seen == [-(-frames // rows) * rows * record_bytes()] * 3


def record_bytes():
    """One frame of the tiny dream, as the guide counts it."""
    shape = dream_session(copy=2, columns=2).world.dynamics.shape
    cached = sum(shape.ring_slots()) * shape.kv_heads * (shape.width // shape.heads) * 2 * 4
    return cached + 2 * shape.tokens * shape.channels * 4 + 16


def test_the_past_is_bounded_and_ends_at_its_oldest_moment():
    player, script = begun(dream_session(), 10), keys(25)
    seen = play(player, script)
    with pytest.raises(Refused, match="moment 14 is not kept; those from 15 to 25 are"):
        player.rewind(11, 25)
    assert player.rewind(10, 25).moment == 15
    assert play(player, script[15:]) == seen[15:]
    with pytest.raises(Refused):
        player.rewind(0, 26)


def test_ticks_are_counted_from_the_frame_that_the_page_saw():
    player = begun(Session(CountingWorld(), from_seed))
    play(player, keys(12))
    assert player.rewind(3, 10).moment == 7
    assert player.rewind(0, 7).moment == 7


def test_one_can_go_back_beyond_a_reset_and_an_ending():
    world = CountingWorld(ends_at=4)
    player = begun(Session(world, from_seed, fps=2))
    seen = play(player, keys(4))
    shown = [player.tick(())[0] for _ in range(3)]
    assert [s.frame.seed for s in shown] == [0, 1, 1]
    assert player.start(9).moment == 8
    back = player.rewind(4, 8)
    assert back.frame.ended and back.frame.image.tobytes() == seen[-1]
    again = [player.tick(())[0].frame.seed for _ in range(3)]
    assert again == [0, 1, 1]


def test_a_dream_that_began_anew_shares_nothing_with_what_was_before():
    player = begun(dream_session())
    play(player, keys(8))
    player.start(1)
    script = keys(9, seed=2)
    seen = play(player, script)
    player.rewind(9, 18)
    assert play(player, script) == seen


def test_branches_are_few_and_can_be_dropped():
    player = begun(Session(CountingWorld(), from_seed))
    with pytest.raises(Refused, match="the only branch"):
        player.drop(1)
    for _ in range(BRANCHES - 1):
        player.tick(("Space",))
        player.branch()
    with pytest.raises(Refused, match=f"{BRANCHES} branches already"):
        player.branch()
    here = player.drop(8)
    assert (here.branch, here.moment) == (7, 7)
    assert player.drop(3).branch == 7
    told = player.branches()
    assert told["here"] == 7 and [row["id"] for row in told["all"]] == [1, 2, 4, 5, 6, 7]
    assert told["all"][2] == {"id": 4, "parent": 3, "root": 3, "moment": 4, "runs": False}
    with pytest.raises(Refused, match="no branch 3"):
        player.switch(3)
    assert player.branch().branch == 9


@pytest.mark.parametrize("count", [1, 2])
def test_a_branch_that_runs_on_goes_its_way_without_keys(count):
    player = begun(dream_session(copy=2, columns=2))
    play(player, keys(8))
    for _ in range(count):
        player.branch()
    assert not player.others_run
    for branch in range(1, count + 2):
        player.run_on(branch, True)
    alone = begun(dream_session(copy=2, columns=2))
    play(alone, keys(8))
    idle = play(alone, [()] * 7)
    for held in keys(7 * count, seed=3):
        player.tick(held)
        assert player.others_run
        player.tick_another()
    for branch in range(1, count + 1):
        shown = player.switch(branch)
        assert shown.moment == 8 + 7
        assert shown.frame.image.tobytes() == idle[-1]
        assert player.rewind(3, 15).frame.image.tobytes() == idle[-4]


class Forward(CountingWorld):
    """A world that only goes forward."""

    def __init__(self):
        super().__init__()
        object.__setattr__(self.spec, "capabilities", frozenset({"render"}))


def test_a_world_without_a_past_says_so():
    player = begun(Session(Forward(), from_seed))
    play(player, keys(3))
    for wish in (lambda: player.rewind(1, 3), player.branch, lambda: player.switch(1)):
        with pytest.raises(Refused, match="`counting` cannot go back in time"):
            wish()
    assert player.tick(())[0].moment == 4


def test_everything_is_freed_on_leaving():
    world = CountingWorld()
    player = begun(Session(world, from_seed))
    play(player, keys(5))
    player.branch()
    player.rewind(2, 5)
    old = weakref.ref(player._here.past[0])
    player.close()
    player.close()
    gc.collect()
    assert old() is None
    # Every state in use was given back once: the start's and the one that was gone back to.
    assert world.calls["release"] == 2


# Over the wire


@pytest.fixture
def served():
    with serving() as served:
        yield served


def go(page, kind, flag=protocol.REWOUND, **fields):
    """Says something, and returns the frame that answers it."""
    page.say(kind, **fields)
    while True:
        header, image = page.frame()
        if header.flags & flag:
            return header, image


def told(page, kind, fact=lambda message: True):
    """The next text message of a kind that `fact` holds for; frames are taken meanwhile."""
    while True:
        data = page.socket.recv(SOON)
        if isinstance(data, bytes):
            page.say("ack", frame=Header.unpack(data).frame)
        elif (message := json.loads(data))["type"] == kind and fact(message):
            return message


def held(page, *codes):
    page.keys(*codes)
    page.say("step")
    return page.frame()


def test_rewind_over_the_wire(served):
    page = Page(served)
    assert page.ready["can_rewind"] is True
    page.paused()
    first = held(page, "ArrowLeft")[0].moment
    pictures = [held(page, *codes)[1] for codes in ((), ("Space",), ("ArrowRight",))]
    header, image = go(page, "rewind", ticks=1, moment=first + 3)
    assert header.moment == first + 2 and header.branch == 1
    assert header.flags & protocol.PAUSED
    assert np.array_equal(image, pictures[1])
    assert np.array_equal(held(page, "ArrowRight")[1], pictures[2])


def test_branch_and_switch_over_the_wire(served):
    page = Page(served)
    page.paused()
    root = held(page, "ArrowLeft")[0].moment
    page.say("branch")
    said = told(page, "branches", lambda message: message["here"] == 2)
    assert said["all"][1]["root"] == root
    assert page.frame()[0].branch == 2
    assert lit(held(page, "Space")[1]) == [False] * 4 + [True]
    header, image = go(page, "switch", branch=1)
    assert (header.branch, header.moment) == (1, root)
    assert lit(image) == [True] + [False] * 4
    header, image = go(page, "switch", branch=2)
    assert lit(image) == [False] * 4 + [True]
    assert go(page, "drop", branch=2)[0].branch == 1


def test_a_branch_runs_on_over_the_wire(served):
    page = Page(served)
    while page.frame()[0].moment < 3:
        pass
    left = go(page, "branch")[0].moment
    page.say("run", branch=1, on=True)
    told(page, "branches", lambda message: message["all"][0]["runs"])
    while page.frame()[0].moment < left + 20:
        pass
    page.say("switch", branch=1)
    rows = told(page, "branches", lambda message: message["here"] == 1)["all"]
    assert rows[0]["moment"] > left + 5
    while page.frame()[0].moment < rows[0]["moment"] + 10:
        pass
    assert go(page, "switch", branch=2)[0].moment == rows[1]["moment"], "this one stayed"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"kind": "rewind", "ticks": 9, "moment": 10**6}, "is not kept"),
        ({"kind": "rewind", "ticks": 10**6, "moment": 0}, "is not kept"),
        ({"kind": "switch", "branch": 5}, "no branch 5"),
        ({"kind": "drop", "branch": 1}, "only branch"),
    ],
)
def test_what_cannot_be_is_refused_and_play_goes_on(served, wish, words):
    page = Page(served)
    page.frame()
    page.say(**wish)
    error = told(page, "error")
    assert error["code"] == "refused" and words in error["message"] and error["hint"]
    page.reset(3)


def test_a_frame_tells_how_many_ways_back_were_answered(served):
    """Also those that were refused, though the clock stands: a page waits for the answer."""
    page = Page(served)
    page.paused()
    there = held(page)[0].moment
    for answered, (ticks, moment) in enumerate([(1, there), (1, 10**6), (0, there - 1)], 1):
        page.say("rewind", ticks=ticks, moment=moment)
        while (header := page.frame()[0]).rewinds != answered:
            assert header.rewinds == answered - 1
        assert header.moment == there - 1


def test_a_world_that_only_goes_forward_refuses():
    with serving(Forward()) as served:
        page = Page(served)
        assert page.ready["can_rewind"] is False
        page.frame()
        page.say("branch")
        assert told(page, "error")["message"] == "`counting` cannot go back in time"


def test_two_pages_have_pasts_of_their_own(served):
    one, two = Page(served), Page(served, seed=7)
    for page in (one, two):
        page.paused(seed=3 if page is one else 7)
    for _ in range(3):
        held(one, "Space")
    there = held(two, "ArrowLeft")[0].moment
    go(one, "branch")
    two.say("switch", branch=2)
    assert told(two, "error")["code"] == "refused"
    go(one, "rewind", ticks=2, moment=held(one)[0].moment)
    header, image = held(two)
    assert header.moment == there + 1 and image[0, 0, 0] == (7 * 37 + 60) % 256


def test_too_many_wishes_end_the_session():
    world = CountingWorld(seconds=0.5)
    with serving(world) as served:
        page = Page(served)
        page.frame()
        for _ in range(200):
            page.say("branch")
        code, error = page.error()
        assert (code, error["code"]) == (1002, "malformed")
        until(lambda: not served.room.here)


def test_the_rhythm_goes_on_after_going_back(served):
    page = Page(served)
    while (header := page.frame()[0]).moment < 10:
        pass
    back, _ = go(page, "rewind", ticks=5, moment=header.moment)
    assert back.moment == header.moment - 5
    time.sleep(0.05)
    moments = [page.frame()[0].moment for _ in range(5)]
    assert moments == sorted(moments) and moments[0] > back.moment
