"""Pictures in, films out, galleries, speed: over real sockets, without a browser."""

import http.client
import io
import json
import time
import urllib.error
import urllib.request

import av
import numpy as np
import pytest
import torch
from PIL import Image
from play_world import CountingWorld
from test_play_server import Page, serving

from worldloom.data.types import Clip
from worldloom.play.session import Session, from_clips, from_seed
from worldloom.play.trace import Origin
from worldloom.play.tray import Tray
from worldloom.world import Step


class Canvas(CountingWorld):
    """Also starts from a frame, whose colour it keeps, and doubts more with every tick."""

    def __init__(self, **fields):
        super().__init__(starts=("seed", "frames"), **fields)
        self.colours = {}

    def start(self, clip, seeds):
        if not clip.frames:
            return super().start(clip, seeds)
        frames = clip.frames["main"]
        assert frames.shape == (1, 1, 40, 40, 3) and clip.actions is None
        named = Clip(env_seeds=torch.tensor([1000 + int(frames[0, 0, 20, 20, 0])]))
        return super().start(named, seeds)

    def step(self, state, action):
        state, step = super().step(state, action)
        return state, Step(step.reward, step.terminated, step.truncated, state.tick / 100)


def _request(served, path, data=None, token=True):
    url = f"http://127.0.0.1:{served.port}{path}" + (f"?token={served.token}" if token else "")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def _png(colour, size=(120, 80)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_is_taken_and_begun_with():
    with serving(Canvas(), fps=50) as served:
        page = Page(served)
        assert page.ready["starts"]["pictures"] is True
        status, _, body = _request(served, "/picture", _png((77, 0, 0)))
        assert status == 200
        page.say("pause", on=True)
        page.say("reset", seed=3, picture=json.loads(body)["id"])
        red = ((1000 + 77) * 37 + 60) % 256
        while page.frame()[1][0, 0, 0] != red:
            pass
        page.say("reset", seed=3, picture="no such picture")
        assert page.text("error")["message"] == "this start is not kept any more"
        assert page.step()[0, 0, 0] == red, "play goes on"


def test_a_picture_outlives_rewinding():
    session = Session(Canvas(), from_seed)
    picture = np.full((40, 40, 3), 77, np.uint8)
    origin = Origin(3, session.clip_of(picture))
    state = session.advance(session.begin(origin), ())
    back = session.back(session.keep(state))
    assert back.trace.origin is origin and back.seed == 3
    assert (origin.clip.frames["main"][0, 0].numpy() == picture).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<html>", "no picture"),
        (_png((1, 2, 3))[:60], "damaged"),
    ],
)
def test_a_bad_picture_is_one_sentence(data, words):
    with serving(Canvas()) as served:
        status, _, body = _request(served, "/picture", data)
        said = json.loads(body)
        assert status == 400 and words in said["message"] and said["hint"]


def test_a_picture_that_is_too_large_is_refused_before_it_is_read():
    with serving(Canvas()) as served:
        line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        line.putrequest("POST", f"/picture?token={served.token}")
        line.putheader("content-length", str(12 * 2**20 + 1))
        line.endheaders(b"only this much")
        answer = line.getresponse()
        assert answer.status == 400
        assert "larger than 12 MB" in json.loads(answer.read())["message"]
        line.close()


def test_a_world_without_frames_takes_no_picture():
    with serving() as served:
        assert Page(served).ready["starts"]["pictures"] is False
        status, _, body = _request(served, "/picture", _png((1, 2, 3)))
        assert status == 400 and b"cannot start from a picture" in body


@pytest.mark.parametrize("path", ["/starts.png", "/picture", "/film/x"])
def test_nothing_without_the_token(path):
    with serving() as served:
        data = b"x" if path == "/picture" else None
        assert _request(served, path, data, token=False)[0] == 403


def test_the_gallery_of_a_real_world_enters_every_start_once():
    world = CountingWorld()
    with serving(world) as served:
        sheets = [_request(served, "/starts.png")[2] for _ in range(2)]
        assert sheets[0] == sheets[1]
        count = served.room.files.count
        assert world.calls["start"] == count and world.calls["release"] == count
    sheet = np.asarray(Image.open(io.BytesIO(sheets[0])))
    assert sheet.shape == (40, 40 * count, 3)
    for seed in range(count):
        assert sheet[0, 40 * seed, 0] == (seed * 37 + 60) % 256


def test_the_gallery_of_a_dream_is_its_clips():
    frames = [torch.full((1, 2, 300, 200, 3), 10 * i, dtype=torch.uint8) for i in range(3)]
    starts = from_clips([Clip(frames={"main": f}) for f in frames])
    world = Canvas()
    with serving(world, make_start=starts) as served:
        sheet = np.asarray(Image.open(io.BytesIO(_request(served, "/starts.png")[2])))
        assert served.room.files.count == 3 and world.calls["start"] == 0
    assert sheet.shape == (96, 3 * 64, 3), "small"
    assert [sheet[9, 64 * i + 9, 0] for i in range(3)] == [0, 10, 20]


def _film(page, served, **wish):
    page.say("export", **{"format": "gif", "scale": 2, "ticks": 0, **wish})
    told = page.text("exported")
    status, headers, data = _request(served, told["href"])
    assert status == 200 and len(data) == told["bytes"]
    assert headers["content-disposition"] == f'attachment; filename="{told["name"]}"'
    return told, headers, data


def test_a_film_shows_the_past_of_the_branch():
    with serving(fps=50) as served:
        page = Page(served, seed=2)
        page.paused(seed=2)
        images = [page.step() for _ in range(5)]
        page.say("step")
        page.say("rewind", ticks=1, moment=page.frame()[0].moment)
        page.frame()
        told, headers, data = _film(page, served, ticks=5)
        assert told["frames"] == 5 and (told["width"], told["height"]) == (80, 80)
        assert headers["content-type"] == "image/gif"
        with Image.open(io.BytesIO(data)) as film:
            assert film.n_frames == 5
            for index, image in enumerate(images[:5]):
                film.seek(index)
                shown = np.asarray(film.convert("RGB"))[::2, ::2]
                np.testing.assert_array_equal(shown, image)
        told, headers, data = _film(page, served, format="mp4", scale=4)
        assert headers["content-type"] == "video/mp4" and told["name"].endswith(".mp4")
        with av.open(io.BytesIO(data)) as film:
            assert sum(1 for _ in film.decode(film.streams.video[0])) == told["frames"]
        assert _request(served, "/film/nothing")[0] == 404


def test_a_world_without_a_past_has_no_film():
    world = CountingWorld()
    object.__setattr__(world.spec, "capabilities", frozenset({"render"}))
    with serving(world) as served:
        page = Page(served)
        page.paused()
        page.say("export", format="mp4", scale=1, ticks=0)
        assert "cannot go back" in page.text("error")["message"]
        page.step()


@pytest.mark.slow
def test_slow_and_fast():
    with serving(fps=40) as served:
        page = Page(served)
        page.frame()
        taken = {}
        for factor in (0.25, 2):
            page.say("speed", factor=factor)
            page.frame()
            begin, first = time.monotonic(), page.frame()[0].moment
            while page.frame()[0].moment < first + 8:
                pass
            taken[factor] = time.monotonic() - begin
        assert taken[0.25] > 0.7, "eight ticks at ten a second"
        assert taken[0.25] > 2 * taken[2]


def test_doubt_is_told_only_by_a_world_that_has_some():
    with serving(Canvas(), fps=50) as served:
        page = Page(served)
        page.paused()
        page.step()
        page.say("step")
        assert page.frame()[0].doubt == round(254 * 0.02)
    with serving() as served:
        assert Page(served).frame()[0].doubt == 255


def test_a_tray_forgets_the_oldest():
    tray = Tray(most=3, most_bytes=100)
    names = [tray.put(i, 30) for i in range(4)]
    assert [tray.get(name) for name in names] == [None, 1, 2, 3]
    heavy = tray.put("heavy", 1000)
    assert len(tray) == 1 and tray.get(heavy) == "heavy"
    assert tray.get("") is None and len(set(names)) == 4
