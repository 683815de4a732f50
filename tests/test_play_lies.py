"""The ledger of a world on its server: entries, films, and starts to begin with again."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from play_lies import Liar, ledger_of_three, shades
from test_play_files import _request
from test_play_server import Page, serving

from worldloom.data.ledger import Find
from worldloom.play.server import served_in_thread
from worldloom.play.session import Session, from_seed
from worldloom.play.visitor import Nearby


@pytest.fixture
def ledger(tmp_path):
    return ledger_of_three(tmp_path)


@pytest.fixture
def served(ledger):
    with served_in_thread(Session(Liar(), from_seed), nearby=Nearby(ledger=ledger)) as served:
        yield served


def ask(served, path, data=None):
    status, headers, body = _request(served, path, data)
    return status, json.loads(body) if "json" in headers["content-type"] else body


def test_entries_are_told_the_open_ones_first(served):
    assert Page(served).ready["lies"] == 3
    status, told = ask(served, "/lies")
    assert (status, told["all"]) == (200, 3)
    assert [lie["id"] for lie in told["lies"]] == [3, 2, 1]
    door = told["lies"][1]
    assert (door["what"], door["facts"]) == ("opens a <door>", "keys 2, in truth 0")
    assert (door["often"], door["found"], door["closed"]) == ("wrong 8 of 9", "round 2", "")
    assert [lie["known"] for lie in told["lies"]] == [False, True, False]
    assert told["lies"][2]["closed"] == "round 2"


def test_a_lie_has_a_film_and_a_picture(served):
    status, data = ask(served, "/lies/2.webp")
    with Image.open(io.BytesIO(data)) as film:
        assert (status, film.n_frames, film.size) == (200, 9, (82, 40))
    with Image.open(io.BytesIO(ask(served, "/lies/2-still.webp")[1])) as still:
        pixels = np.asarray(still.convert("RGB"))
        assert (pixels[0, 0, 0], pixels[0, -1, 0], still.size) == (179, 79, (82, 40))


def test_a_lie_is_begun_with_again(served):
    page, world = Page(served), served.room.session.world
    page.say("pause", on=True)
    status, given = ask(served, "/lies/2", b"")
    assert status == 200
    page.say("reset", seed=3, picture=given["id"])
    red = ((1000 + 60 + 11) * 37 + 60) % 256
    while page.frame()[1][0, 0, 0] != red:
        pass
    (clip,) = world.begun
    assert (clip.frames["main"][0, :, 0, 0, 0].numpy() == 60 + np.arange(4, 12)).all()
    assert clip.actions.known[0].all()
    assert (clip.actions.values["keys"][0].numpy().argmax(1) == np.arange(4, 12) % 5).all()
    assert ask(served, "/lies/1", b"")[0] == 200, "a closed one too: to see what became of it"
    clip_of_one = served.room.files.starts.get(ask(served, "/lies/1", b"")[1]["id"])
    assert clip_of_one.actions.known[0].tolist() == [False, True, True, True]


@pytest.mark.parametrize("path", ["/lies", "/lies/2.webp", "/lies/2-still.webp"])
def test_nobody_gets_in_without_the_token(served, path):
    assert _request(served, path, token=False)[0] == 403
    assert _request(served, "/lies/2", b"", token=False)[0] == 403


def test_what_is_not_there_is_not_there(served, ledger):
    for path, data in (("/lies/9.webp", None), ("/lies/9", b""), ("/lies/x.webp", None)):
        assert _request(served, path, data)[0] == 404
    with serving(Liar()) as without:
        assert Page(without).ready["lies"] == 0
        assert _request(without, "/lies")[0] == 404


def test_a_lie_that_does_not_fit_the_world_is_one_sentence(served, ledger):
    small = replace(ledger._info, cameras={"main": (8, 8)})
    other = type(ledger).open(ledger.folder.parent / "other", small)
    other.add(Find("frames", "is small", shades(0, size=8), 3))
    with served_in_thread(Session(Liar(), from_seed), nearby=Nearby(ledger=other)) as served:
        status, said = ask(served, "/lies/1", b"")
        assert status == 400 and "frames of another size" in said["message"]
