"""The server, over real sockets, with a program in the place of the page."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest
from play_world import CountingWorld
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from worldloom.errors import WorldloomError
from worldloom.play import protocol
from worldloom.play.guard import Guard
from worldloom.play.limits import Limits
from worldloom.play.measure import measure
from worldloom.play.protocol import Header
from worldloom.play.server import Address, serve, served_in_thread
from worldloom.play.session import Session, from_seed

SOON = 30.0


class Page:
    """Says what a page says, and keeps what it hears."""

    def __init__(self, served, *, hello=True, seed=0, **headers):
        self.url = f"ws://127.0.0.1:{served.port}/play"
        # Entered and never left: a test's page lives as long as the test.
        self.socket = connect(self.url, max_size=None, compression=None, **headers).__enter__()
        self.texts = []
        if hello:
            self.say("hello", version=protocol.VERSION, token=served.token, seed=seed)
            self.ready = self.text("ready")

    def say(self, kind, **fields):
        self.socket.send(json.dumps({"type": kind, **fields}))

    def keys(self, *held, time=1):
        self.say("keys", held=list(held), tapped=[], time=time)

    def text(self, kind):
        """The next text message of a kind."""
        while True:
            data = self.socket.recv(SOON)
            if isinstance(data, str) and json.loads(data)["type"] == kind:
                return json.loads(data)

    def frame(self, timeout=SOON, ack=True):
        """The next frame: its header and its pixels."""
        end = time.monotonic() + timeout
        while True:
            data = self.socket.recv(max(0.0, end - time.monotonic()))
            if isinstance(data, bytes):
                header = Header.unpack(data)
                if ack:
                    self.say("ack", frame=header.frame)
                shape = (self.ready["height"], self.ready["width"], 3)
                return header, np.frombuffer(data[protocol.HEADER.size :], np.uint8).reshape(shape)

    def silent(self, seconds):
        """Whether no frame comes within `seconds`."""
        try:
            self.frame(seconds, ack=False)
        except TimeoutError:
            return True
        return False

    def paused(self, seed=0):
        """Stands at the start of `seed`."""
        self.say("pause", on=True)
        while not self.frame()[0].flags & protocol.PAUSED:
            pass
        return self.reset(seed)

    def reset(self, seed):
        """Begins again, and returns the first picture."""
        self.say("reset", seed=seed)
        while True:
            header, image = self.frame()
            if header.flags & protocol.RESET:
                return image

    def step(self):
        self.say("step")
        return self.frame()[1]

    def closed(self):
        """The close code, once everything that was still sent has been read."""
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                data = self.socket.recv(SOON)
                self.texts.append(json.loads(data) if isinstance(data, str) else None)
        return caught.value.rcvd.code

    def error(self):
        """Close code and error message of a socket that the server ended."""
        code = self.closed()
        return code, next(t for t in self.texts if t and t["type"] == "error")


@contextmanager
def serving(world=None, *, fps=100, make_start=from_seed, **limits):
    world = world or CountingWorld()
    with served_in_thread(Session(world, make_start, fps=fps), limits=Limits(**limits)) as served:
        yield served


@pytest.fixture
def served():
    with serving() as served:
        yield served


def lit(image):
    """Which keys a frame shows as held."""
    return [bool((image[6, 4 + 7 * i] == 255).all()) for i in range(5)]


def until(fact):
    end = time.monotonic() + SOON
    while not fact():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)


def fetch(served, path, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{served.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=SOON) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


# What a page sees


def test_a_page_is_greeted_and_gets_frames(served):
    page = Page(served, seed=4)
    ready = page.ready
    assert (ready["width"], ready["height"], ready["panes"], ready["fps"]) == (40, 40, 1, 100)
    assert (ready["version"], ready["kind"], ready["seed"]) == (protocol.VERSION, "real", 4)
    assert ready["can_rewind"] is True and ready["can_compare"] is False
    assert ready["keys"][0]["codes"] == ["ArrowLeft", "KeyA"]
    first, image = page.frame()
    assert first.frame == 1 and first.flags == protocol.RESET and first.format == protocol.RAW
    assert image[0, 0].tolist() == [(4 * 37 + 60) % 256, 0, 90]
    second, _ = page.frame()
    assert second.frame > 1 and second.flags == 0
    assert second.server_time >= first.server_time


def test_a_world_that_starts_from_frames_is_a_dream():
    with serving(CountingWorld(starts=("frames",))) as served:
        assert Page(served).ready["kind"] == "dream"


def test_large_frames_come_as_jpeg():
    with serving(CountingWorld((160, 200))) as served:
        page = Page(served)
        while True:
            data = page.socket.recv(SOON)
            if isinstance(data, bytes):
                break
        assert Header.unpack(data).format == protocol.JPEG
        assert data[protocol.HEADER.size :][:2] == b"\xff\xd8"


def test_held_keys_act_until_they_are_released(served):
    page = Page(served)
    page.keys("ArrowLeft", "Space", time=77)
    while not any(lit((got := page.frame())[1])):
        pass
    assert lit(got[1]) == [True, False, False, False, True]
    assert got[0].input_time == 77
    for _ in range(5):
        assert lit(page.frame()[1]) == [True, False, False, False, True]
    page.keys(time=78)
    while any(lit((got := page.frame())[1])):
        assert got[0].input_time == 77
    assert got[0].input_time == 78


def test_a_key_tapped_between_ticks_counts_for_one_tick(served):
    page = Page(served)
    page.paused()
    page.keys("Space")
    page.keys()
    assert lit(page.step())[4] is True
    assert lit(page.step())[4] is False


def test_unknown_keys_are_ignored(served):
    page = Page(served)
    page.paused()
    page.keys("KeyÖ", "F12", "ArrowRight")
    assert lit(page.step()) == [False, True, False, False, False]


def test_pause_step_and_go_on():
    world = CountingWorld()
    with serving(world) as served:
        page = Page(served)
        start = page.paused(seed=2)
        assert page.silent(0.15), "nothing moves while paused"
        steps = world.calls["step"]
        first, second = page.step(), page.step()
        assert world.calls["step"] == steps + 2
        assert len({frame.tobytes() for frame in (start, first, second)}) == 3
        page.say("pause", on=False)
        for _ in range(3):
            header, _ = page.frame()
        assert header.flags == 0


def test_pausing_is_confirmed_with_the_frame_that_stands(served):
    page = Page(served)
    last = page.frame()
    page.say("pause", on=True)
    while not (got := page.frame())[0].flags & protocol.PAUSED:
        last = got
    assert got[0].frame > last[0].frame
    assert page.silent(0.1)


def test_the_same_seed_and_keys_give_the_same_bytes(served):
    def play():
        page = Page(served)
        frames = [page.paused(seed=9)]
        for held in (["KeyA"], ["KeyA", "Space"], [], ["KeyD"]):
            page.keys(*held)
            frames.append(page.step())
        return b"".join(frame.tobytes() for frame in frames)

    assert play() == play()


def test_two_pages_share_nothing(served):
    one, two = Page(served), Page(served)
    one.paused(seed=1)
    still = two.paused(seed=1)
    one.keys("ArrowLeft")
    for _ in range(3):
        moved = one.step()
    assert lit(moved)[0] is True
    assert lit(two.step()) == [False] * 5
    assert two.reset(seed=1).tobytes() == still.tobytes()


@pytest.mark.slow
def test_an_ended_world_shows_it_and_restarts():
    with serving(CountingWorld(ends_at=3), fps=20) as served:
        page = Page(served, seed=5)
        flags = [page.frame()[0].flags for _ in range(6)]
        assert flags[0] == protocol.RESET and flags[-1] == protocol.ENDED
        while not (got := page.frame())[0].flags & protocol.RESET:
            pass
        assert got[1][0, 0, 0] == (6 * 37 + 60) % 256
        assert page.text("stats")["seed"] == 6


def test_stats_name_every_stage():
    with serving(stats_every=0.05) as served:
        page = Page(served)
        page.frame()
        page.keys("ArrowLeft", time=5)
        while page.frame()[0].frame < 20:
            pass
        page.say("pause", on=True)
        until(lambda: "input_to_frame" in page.text("stats")["stages"])
        stats = page.text("stats")
        stages = {"wait", "step", "render", "keep", "encode", "input_to_frame"}
        assert set(stats["stages"]) == stages
        # The start and perhaps the pause gave a frame each; one may wait, one be on its way.
        shown = stats["sent"] + stats["dropped"]
        assert stats["ticks"] >= 15 and -1 <= shown - stats["ticks"] <= 2
        page.socket.close()
        until(lambda: not served.room.here)
        until(lambda: "nobody played" not in served.room.report())  # noted as the session ends
        report = served.room.report()
        assert "40x40, on cpu with" in report and "input to frame" in report


# A page that does not keep up


def test_one_frame_is_in_flight_and_the_newest_waits():
    world = CountingWorld()
    with serving(world) as served:
        page = Page(served)
        first, _ = page.frame(ack=False)
        steps = world.calls["step"]
        until(lambda: world.calls["step"] >= steps + 20)
        page.say("ack", frame=first.frame + 1)  # not the frame in flight
        assert page.silent(0.1), "nothing more is sent before the ack"
        page.say("ack", frame=first.frame)
        second, _ = page.frame(ack=False)
        assert second.frame >= first.frame + 20, "old frames were dropped, not queued"
        page.say("ack", frame=second.frame)
        third, _ = page.frame()
        assert third.frame - second.frame <= 100


def test_what_a_dropped_frame_would_have_told_is_not_lost():
    with serving(stats_every=0.05) as served:
        page = Page(served)
        first, _ = page.frame(ack=False)
        page.keys("ArrowLeft", time=41)
        page.keys(time=42)
        page.say("reset", seed=3)
        time.sleep(0.1)
        page.say("ack", frame=first.frame)
        second, _ = page.frame()
        assert second.flags & protocol.RESET, "the start was dropped, its flag was not"
        until(lambda: page.frame()[0].input_time == 42)


def test_the_world_stands_still_for_a_page_that_does_not_listen():
    world = CountingWorld()
    with serving(world, pause_after=0.1, close_after=60) as served:
        page = Page(served)
        first, _ = page.frame(ack=False)
        time.sleep(0.3)
        steps = world.calls["step"]
        time.sleep(0.2)
        assert world.calls["step"] == steps
        page.say("ack", frame=first.frame)
        page.frame()
        until(lambda: world.calls["step"] > steps + 1 or page.frame() is None)


def test_a_page_that_never_listens_is_sent_away():
    world = CountingWorld()
    with serving(world, pause_after=0.05, close_after=0.2, stats_every=0.05) as served:
        code, error = Page(served).error()
        assert (code, error["code"]) == (1008, "slow")
        until(lambda: world.calls["release"] == 1)


# Who may come in


@pytest.mark.parametrize(
    ("fields", "word", "code"),
    [
        ({"version": protocol.VERSION, "token": "guess"}, "token", 1008),
        ({"version": protocol.VERSION + 1, "token": ""}, "version", 1002),
        ({"version": protocol.VERSION}, "malformed", 1002),
    ],
)
def test_a_wrong_greeting_is_refused(fields, word, code):
    world = CountingWorld()
    with serving(world) as served:
        page = Page(served, hello=False)
        page.say("hello", **fields)
        assert page.error()[0] == code
        assert page.texts[0]["code"] == word
        assert world.calls["start"] == 0


def test_silence_and_other_first_words_are_refused():
    with serving(hello_within=0.05) as served:
        assert Page(served, hello=False).error()[1]["message"] == "no `hello` came"
        page = Page(served, hello=False)
        page.say("step")
        assert page.error()[1]["code"] == "malformed"


@pytest.mark.parametrize(
    "headers", [{"origin": o} for o in ("http://evil.example", "null", "http://[")]
)
def test_foreign_origins_are_refused(served, headers):
    with pytest.raises(InvalidStatus) as caught:
        Page(served, hello=False, **headers)
    assert caught.value.response.status_code == 403


def test_the_own_origin_is_welcome(served):
    assert Page(served, origin=f"http://127.0.0.1:{served.port}").ready


def test_foreign_hosts_are_refused(served):
    path = f"/?token={served.token}"
    assert fetch(served, path, Host=f"rebound.example:{served.port}")[0] == 403
    assert fetch(served, "/health", Host="10.0.0.1")[0] == 403
    assert fetch(served, "/health", Host="[broken")[0] == 403
    assert fetch(served, path, Host=f"localhost:{served.port}")[0] == 200
    assert fetch(served, path, Origin=f"http://127.0.0.1:{served.port + 1}")[0] == 403


def test_an_open_server_takes_addresses_but_no_foreign_names():
    guard = Guard(lambda *_: None, "0.0.0.0")
    assert guard._known("192.168.1.5:8787") and guard._known("[::1]:80")
    assert guard._known(socket.gethostname())
    assert not guard._known("rebound.example") and not guard._known("")


def test_the_page_needs_the_token(served):
    assert fetch(served, "/")[0] == 403
    assert fetch(served, "/?token=guess")[0] == 403
    status, headers, body = fetch(served, f"/?token={served.token}")
    assert status == 200 and "<canvas" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def test_page_files_and_health(served):
    for name in ("main.js", "style.css", "icon.svg"):
        assert fetch(served, f"/page/{name}")[0] == 200
    assert fetch(served, "/page/../server.py")[0] == 404
    assert json.loads(fetch(served, "/health")[2])["status"] == "ok"


def test_too_many_pages_are_told_so():
    with serving(pages=1) as served:
        first = Page(served)
        page = Page(served, hello=False)
        page.say("hello", version=protocol.VERSION, token=served.token)
        assert page.error() == (1013, page.texts[0]) and page.texts[0]["code"] == "busy"
        first.socket.close()
        until(lambda: not served.room.here)
        assert Page(served).ready


# Mistakes and endings


@pytest.mark.parametrize("bad", ["{", '{"type": "fly"}', '{"type": "ack"}', b"binary", "x" * 5000])
def test_a_malformed_message_ends_the_session_with_a_reason(bad):
    world = CountingWorld()
    with serving(world) as served:
        page = Page(served)
        page.socket.send(bad)
        code, error = page.error()
        assert (code, error["code"]) == (1002, "malformed")
        until(lambda: world.calls["release"] == world.calls["start"])


def test_a_second_greeting_is_malformed(served):
    page = Page(served)
    page.say("hello", version=protocol.VERSION, token=served.token)
    assert page.error()[1]["message"] == "`hello` came twice"


def test_a_huge_message_is_cut_off():
    world = CountingWorld()
    with serving(world) as served:
        page = Page(served)
        page.socket.send("x" * 10**6)
        assert page.closed() == 1009
        until(lambda: world.calls["release"] == world.calls["start"])


def test_a_world_that_breaks_says_why():
    world = CountingWorld(breaks_at=5)
    with serving(world) as served:
        page = Page(served)
        with pytest.raises(ConnectionClosed):
            while True:
                page.frame()
        until(lambda: world.calls["release"] == world.calls["start"] == 1)


def test_the_error_of_a_world_reaches_the_page():
    def no_start(seed):
        raise WorldloomError("no clips", "record some")

    with serving(make_start=no_start) as served:
        code, error = Page(served).error()
        assert code == 1011
        assert error == {
            "type": "error",
            "code": "world",
            "message": "no clips",
            "hint": "record some",
        }


def test_a_state_is_released_once_when_the_page_leaves():
    world = CountingWorld(seconds=0.05)
    with serving(world) as served:
        page = Page(served)
        page.frame()
        page.say("reset", seed=1)
        until(lambda: page.frame()[0].flags & protocol.RESET)
        page.socket.close()
        until(lambda: not served.room.here)
        assert world.calls["start"] == world.calls["release"] == 2


def test_a_state_is_released_once_when_the_line_breaks():
    world = CountingWorld(seconds=0.05)
    with serving(world) as served:
        page = Page(served)
        page.frame()
        page.socket.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: not served.room.here and world.calls["release"])
        steps = world.calls["step"]
        time.sleep(0.15)
        assert world.calls["step"] == steps
        assert world.calls["start"] == world.calls["release"] == 1


def test_a_state_is_released_once_when_the_server_stops():
    world = CountingWorld(seconds=0.05)
    with serving(world) as served:
        page = Page(served)
        page.frame()
    assert world.calls["start"] == world.calls["release"] == 1
    assert page.closed() == 1012


def test_the_world_is_entered_by_one_thread_only():
    world = CountingWorld()
    with serving(world) as served:
        pages = [Page(served) for _ in range(3)]
        for page in pages:
            page.frame()
            page.frame()
    assert world.threads == {"world_0"}


def test_a_port_in_use_is_one_sentence():
    with (
        serving() as served,
        pytest.raises(WorldloomError, match=f"cannot serve on port {served.port}") as caught,
    ):
        serve(CountingWorld(), from_seed, address=Address(port=served.port, open_browser=False))
    assert "--port 0" in caught.value.hint


@pytest.mark.parametrize("place", [("127.0.0.1", 70000), ("no such host", 0), ("203.0.113.1", 0)])
def test_an_address_that_cannot_be_is_one_sentence(place):
    with pytest.raises(WorldloomError):
        serve(CountingWorld(), from_seed, address=Address(*place, open_browser=False))


SERVE = """
import sys
sys.path.insert(0, sys.argv[1])
from play_world import CountingWorld
from worldloom.play.server import Address, serve
from worldloom.play.session import from_seed
serve(CountingWorld(), from_seed, address=Address(port=0, open_browser=False), title="Counting")
print("left in peace")
"""


@pytest.mark.slow
def test_ctrl_c_ends_cleanly_and_reports():
    here = os.path.dirname(__file__)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, here],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("playing Counting at http://127.0.0.1:")
        url = line.split()[-1]
        port, token = url.split(":")[2].split("/?token=")
        page = Page(type("Served", (), {"port": int(port), "token": token}))
        for _ in range(8):
            page.frame()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "frames sent" in out and "left in peace" in out
    assert err == ""


@pytest.mark.slow
def test_measuring_plays_over_a_real_socket():
    figures = measure(CountingWorld(), from_seed, seconds=1.0, fps=50)
    assert figures["frames"] > 5 and figures["inputs"] > 1
    assert 0 < figures["input_to_frame_p50_ms"] <= figures["input_to_frame_p95_ms"]
    assert figures["fps_p50"] > 0 and figures["fps_mean"] > 0
    assert "input_to_frame" in figures["server"]["stages"]


def test_measuring_a_world_that_breaks_says_why():
    with pytest.raises(WorldloomError, match="the world broke"):
        measure(CountingWorld(breaks_at=20), from_seed, seconds=5.0, fps=200)
