"""A server for many: shared steps, places, patience, its own account, and its end."""

import asyncio
import json
import re
import socket
import stat
import struct
import threading
import time
from contextlib import suppress

import pytest
from play_world import CountingWorld
from test_play_server import Page, fetch, lit, serving, until
from websockets.exceptions import ConnectionClosed

from worldloom.errors import WorldloomError
from worldloom.play import protocol
from worldloom.play.guard import read_token
from worldloom.play.limits import Limits, Rate, limits_for
from worldloom.play.pool import Pool
from worldloom.play.tally import Tally, Ticks, text
from worldloom.play.together import Together

ROWS = 4


def pool(**kwargs):
    world = CountingWorld(**kwargs)
    return world, Pool(world, ROWS, 2)


# Shared steps


def test_pages_that_are_due_together_share_a_step():
    world, shared = pool()
    with serving(shared, fps=50) as served:
        pages = [Page(served, seed=seed) for seed in range(6)]
        for _ in range(8):
            for page in pages:
                page.frame()
        assert set(world.rows) == {ROWS}
        ticks = sum(connection.counts.ticks for connection in served.room.here)
        assert ticks >= 6 * 7 and world.rows[ROWS] < ticks / 2
        assert world.threads == {"world_0"}
        for page in pages:
            page.socket.close()
        until(lambda: not served.room.here)
        assert shared.taken == 0, "rows are freed"


def test_two_halves_of_a_crowd_that_is_late_become_one():
    sizes = []

    async def run(_, __, turns):
        sizes.append(len(turns))
        await asyncio.sleep(0.002)
        return [None] * len(turns)

    async def play(together, wait):
        await asyncio.sleep(wait)
        for _ in range(6):
            await together.sleep_until(0.0)
            await together.tick(None, ())

    async def crowd():
        together = Together(run, at_once=10, period=0.001)
        await asyncio.gather(*(play(together, 0.001 * (n % 2)) for n in range(10)))

    asyncio.run(crowd())
    assert sum(sizes) == 60 and sizes[0] < 10
    assert sizes.count(10) >= 5, sizes


def test_a_page_plays_alone_among_others():
    """The same keys give the same pictures, with others who come, move and go."""
    script = [(), ("ArrowLeft",), ("ArrowLeft", "Space"), (), ("ArrowRight",)]

    def play(page):
        page.say("pause", on=True)
        images = [page.reset(7)]
        for held in script:
            page.keys(*held)
            images.append(page.step())
        return [image.tobytes() for image in images]

    with serving(pool()[1]) as served:
        page = Page(served)
        page.frame()
        expected = play(page)
        others = [Page(served, seed=seed) for seed in range(5)]
        stop = threading.Event()

        def disturb():
            while not stop.is_set():
                for number, other in enumerate(others):
                    other.keys("Space", time=number + 1)
                    other.frame()
                    if number == 2:
                        other.say("rewind", ticks=1, moment=other.frame()[0].moment)

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            assert [play(page) for _ in range(2)] == [expected] * 2
        finally:
            stop.set()
            thread.join()


def test_a_paused_page_takes_no_steps_and_keeps_its_place():
    _, shared = pool()
    with serving(shared) as served:
        still, moving = Page(served), Page(served, seed=1)
        still.paused(seed=3)
        still.keys("Space")
        before = still.step()
        first = moving.frame()[0].frame
        while moving.frame()[0].frame < first + 20:
            pass
        assert still.silent(0.05)
        still.keys("Space")
        after = still.step()
        assert lit(before)[4] and lit(after)[4]
        assert before[-1].argmax() // 3 + 1 == after[-1].argmax() // 3, "one tick later"


def test_a_world_that_breaks_in_a_shared_step_says_so_to_all():
    _, shared = pool(breaks_at=10)
    with serving(shared) as served:
        pages = [Page(served, seed=seed) for seed in range(2)]
        for page in pages:
            with pytest.raises(ConnectionClosed) as caught:
                while True:
                    page.frame()
            assert caught.value.rcvd.code == 1011
        until(lambda: not served.room.here and shared.taken == 0)


# Places and patience


def test_a_page_that_says_too_much_is_sent_away():
    with serving(messages=20.0) as served:
        page, other = Page(served), Page(served)
        other.frame()
        with suppress(ConnectionClosed):  # sent away while it still speaks
            for n in range(200):
                page.keys(time=n)
        code, error = page.error()
        assert (code, error["code"]) == (1008, "rate")
        assert other.frame(), "the other one plays on"
        assert served.room.tally.ended["rate"] == 1


def test_a_bucket_fills_with_time():
    rate = Rate(10, 3)
    assert [rate.allows(5.0) for _ in range(4)] == [True, True, True, False]
    assert rate.allows(5.25) and not rate.allows(5.25)
    assert [rate.allows(100.0) for _ in range(4)] == [True, True, True, False]


@pytest.mark.slow
def test_an_idle_page_is_told_before_it_has_to_go():
    with serving(idle_after=0.5, idle_notice=0.4, stats_every=0.02) as served:
        idle, busy = Page(served), Page(served)
        notice = idle.text("notice")
        assert notice["code"] == "idle" and 0 < notice["seconds"] <= 0.4
        begin = time.monotonic()
        while time.monotonic() < begin + 0.8:
            busy.keys()
            busy.frame()
        code, error = idle.error()
        assert (code, error["code"]) == (1008, "idle") and "reload" in error["hint"]
        assert busy.frame() and served.room.tally.ended == {"idle": 1}


def test_nobody_is_idle_where_that_is_not_minded():
    with serving(idle_after=0.0, idle_notice=9.0, stats_every=0.01) as served:
        page = Page(served)
        for _ in range(5):
            page.text("stats")
        assert served.room.here


def test_a_full_server_says_so_clearly():
    with serving(pages=1) as served:
        Page(served).frame()
        page = Page(served, hello=False)
        page.say("hello", version=protocol.VERSION, token=served.token)
        code, error = page.error()
        assert (code, error["code"]) == (1013, "busy")
        assert error["message"] == "all 1 places of this server are taken" and error["hint"]


def test_the_more_may_play_the_less_far_they_go_back():
    assert limits_for(1).history == limits_for(10).history == 600
    assert limits_for(50).history == 120 and limits_for(500).history == 100
    assert limits_for(3, 0).idle_after == 0 and limits_for(3).pages == 3
    with pytest.raises(WorldloomError, match="0 sessions are none"):
        limits_for(0)


# The server's account of itself


def figures(served, **headers):
    status, sent, body = fetch(served, "/metrics", **headers)
    assert status == 200 and sent["content-type"].startswith("text/plain")
    rows = re.findall(r"^(worldloom_\S+) (\S+)$", body, re.M)
    return {name: float(value) for name, value in rows}


def test_metrics_need_the_token_and_tell_what_happened():
    with serving(pool()[1], pages=2) as served:
        assert fetch(served, "/metrics")[0] == 403
        assert fetch(served, "/metrics?token=guess")[0] == 403
        key = {"Authorization": f"Bearer {served.token}"}
        assert figures(served, **key)["worldloom_sessions"] == 0
        one, two = Page(served), Page(served)
        stranger = Page(served, hello=False)
        stranger.say("hello", version=protocol.VERSION, token="guess")
        stranger.error()
        third = Page(served, hello=False)
        third.say("hello", version=protocol.VERSION, token=served.token)
        third.error()
        for _ in range(5):
            one.frame()
        two.socket.send("{")
        two.error()
        until(lambda: len(served.room.here) == 1)
        seen = figures(served, **key)
        assert seen["worldloom_sessions"] == 1 and seen["worldloom_places"] == 2
        assert seen["worldloom_sessions_total"] == 2
        assert seen["worldloom_frames_total"] >= 5 and seen["worldloom_ticks_total"] >= 4
        assert seen["worldloom_refusals_total"] == 2 and seen["worldloom_errors_total"] == 1
        assert seen['worldloom_ended_total{reason="malformed"}'] == 1
        assert seen["worldloom_memory_bytes"] > 1e7
        spread = [
            seen[f'worldloom_tick_seconds{{quantile="{q}"}}'] for q in ("0.5", "0.95", "0.99")
        ]
        assert 0 < spread[0] <= spread[1] <= spread[2]
        health = json.loads(fetch(served, "/health")[2])
        assert (health["pages"], health["places"]) == (1, 2)


def test_counts_of_those_who_left_are_kept():
    tally, ticks = Tally(opened=3), Ticks()
    counts = {"ticks": 5, "sent": 4, "dropped": 1, "late": 2}
    tally.add(counts)
    assert ticks.timed(max, 3, 4) == 4 and ticks.count == 1
    words = text(tally, ticks, [counts], sessions=1)
    assert "worldloom_ticks_total 10\n" in words and "worldloom_drops_total 2\n" in words
    assert words.count("# TYPE") == words.count("# HELP") > 10
    assert "worldloom_tick_seconds_count 1\n" in words


# The end, and coming back


def test_a_server_that_stops_says_so_and_frees_everything():
    _, shared = pool()
    with serving(shared) as served:
        pages = [Page(served, seed=seed) for seed in range(3)]
        for page in pages:
            page.frame()
    for page in pages:
        code, error = page.error()
        assert (code, error["code"]) == (1012, "closing")
    assert shared.taken == 0 and served.room.tally.ended == {"closing": 3}


def test_a_page_that_reads_nothing_does_not_hold_up_the_end():
    with serving(CountingWorld((128, 128)), close_after=60.0) as served:
        page = Page(served, max_queue=1)
        page.frame()
        begin = time.monotonic()
    assert time.monotonic() - begin < 20
    assert not served.room.here


def test_the_token_file_outlives_the_server(tmp_path):
    file = tmp_path / "token"
    token = read_token(str(file))
    assert read_token(str(file)) == token and len(token) > 16
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_token(None) != read_token(None)
    file.write_text("short\n")
    with pytest.raises(WorldloomError, match="no access token"):
        read_token(str(file))
    with pytest.raises(WorldloomError, match="cannot use"):
        read_token(str(tmp_path / "none" / "token"))


def test_limits_are_what_the_guide_says():
    assert Limits().idle_after == 1800 and Limits().idle_notice == 60 and Limits().messages == 200


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "break", "tear"])
def test_a_line_that_ends_in_the_middle_of_a_frame_is_no_crash(how):
    with serving(fps=500, stats_every=0.002) as served:
        for n in range(6):
            page = Page(served)
            for _ in range(n + 1):
                page.frame()
            line = page.socket.socket
            if how == "close":
                page.say("reset", seed=n)
                page.socket.close()
            elif how == "break":
                line.shutdown(socket.SHUT_RDWR)
            else:
                linger = struct.pack("ii", 1, 0)  # closing resets the line
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                line.shutdown(socket.SHUT_RD)
                line.close()
        until(lambda: not served.room.here)
        until(lambda: served.room.tally.ended.total() == 6)
        assert served.room.tally.ended == {"left": 6}
