"""What a page asks for beyond playing, over real sockets."""

import numpy as np
import pytest
from evaluate_worlds import hop_store
from play_guest import Guest
from play_hop import DreamedHop, clip, hop_beside
from test_play_server import until

from worldloom.data.store import Store
from worldloom.play.protocol import BESIDE, PAUSED
from worldloom.play.server import served_in_thread
from worldloom.play.session import Session
from worldloom.play.shelf import Shelf
from worldloom.play.visitor import Nearby


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return hop_store(tmp_path_factory.mktemp("hop") / "store", episodes=2, frames=30)


@pytest.fixture
def room(store, tmp_path):
    def serve(*, wrong_after=10**9, **nearby):
        session = Session(DreamedHop(wrong_after), lambda n: clip(store, n), fps=100)
        shelf = Shelf(tmp_path / "visitors", store.info)
        return served_in_thread(
            session, nearby=Nearby(**{"beside": hop_beside(store), "shelf": shelf, **nearby})
        )

    return serve


def halves(image):
    width = image.shape[1] // 2
    return image[:, :width], image[:, width:]


@pytest.mark.slow
def test_both_are_shown_in_one_picture_with_the_gap_told_before_it(room):
    with room(wrong_after=4) as served:
        page = Guest(served)
        assert page.ready["can_compare"] and page.ready["compare_rewinds"]
        header, image = page.stands()
        assert not header.flags & BESIDE and image.shape == (32, 32, 3)
        page.say("reset", seed=0)
        page.say("compare", on=True)
        page.two()
        page.keys("ArrowRight")
        errors = []
        for _ in range(10):
            header, image = page.stepped()
            real, dream = halves(image)
            gap = page.newest("beside")
            assert (gap["moment"], gap["branch"]) == (header.moment, header.branch)
            wanted = np.sqrt(np.mean((real / 255 - dream / 255) ** 2))
            assert gap["error"] == pytest.approx(wanted, abs=1e-4)
            errors.append(gap["error"])
        assert errors[:4] == [0] * 4 and min(errors[4:]) > 0.03
        assert gap["parted"] == header.moment - 5
        page.say("rewind", ticks=8, moment=header.moment)
        _, image = page.two()
        assert np.array_equal(*halves(image))
        assert page.newest("beside")["parted"] is None
        page.say("compare", on=False)
        page.when(lambda header: not header.flags & BESIDE)


def test_where_there_is_no_environment_the_page_is_told_why(room):
    with room(beside=None, why_not="the recordings name no environment") as served:
        page = Guest(served)
        assert not page.ready["can_compare"]
        assert page.ready["why_no_compare"] == "the recordings name no environment"
        page.say("compare", on=True)
        assert "no real environment" in page.text("error")["message"]


def test_futures_come_as_pictures_while_the_world_stands_and_one_is_entered(room):
    with room() as served:
        page = Guest(served)
        page.frame()
        here, _ = page.stands()
        page.say("futures", choices=[[], ["ArrowRight"]], samples=2, horizon=6)
        futures = [page.text("future") for _ in range(6)]
        assert [f["frame"] for f in futures] == [1, 2, 3, 4, 5, 6]
        assert {f["samples"] for f in futures} == {1}, "this game leaves nothing to chance"
        page.say("future", choice=1, sample=0)
        end = (2, here.moment + 6)
        page.when(lambda h: (h.branch, h.moment) == end and h.flags & PAUSED)
        page.say("future", choice=1, sample=0)
        assert "no such future" in page.text("error")["message"]
        page.say("futures", choices=[[]] * 16, samples=9, horizon=6)
        assert "at most 40" in page.text("error")["message"]
        page.say("futures", choices=[[1]], samples=1, horizon=6)
        assert page.error()[1]["code"] == "malformed"


def test_what_is_done_is_kept_as_dreamed_and_for_real(room, tmp_path):
    with room() as served:
        page = Guest(served)
        page.stands()
        page.say("compare", on=True)
        page.say("record", on=True)
        assert page.text("recording")["on"]
        page.keys("ArrowRight")
        images = [halves(page.stepped()[1]) for _ in range(7)]
        page.say("record", on=False)
        kept = {m["kind"]: m for m in (page.text("kept"), page.text("kept"))}
        assert set(kept) == {"real", "dreamed"}
        for kind, side in (("real", 0), ("dreamed", 1)):
            kept_at = Store.open(tmp_path / "visitors" / kind)
            episode = kept_at.read(kept_at.episodes[0].name)
            assert kept[kind]["where"].endswith(kept_at.episodes[0].name)
            assert set([episode.policy] if isinstance(episode.policy, str) else episode.policy) == {
                "visitor"
            }
            assert (episode.frames["main"][-7:] == [i[side] for i in images]).all()
            assert (episode.actions["keys"][-7:] == [0, 1, 0]).all()
        assert Store.open(tmp_path / "visitors" / "real").episodes[0].split != "dreamed"


@pytest.mark.parametrize("end", ["leave", "shutdown"])
def test_a_recording_is_closed_when_the_page_leaves_or_the_server_ends(room, tmp_path, end):
    with room() as served:
        page = Guest(served)
        page.say("record", on=True)
        page.text("recording")
        for _ in range(5):
            page.frame()
        if end == "leave":
            page.socket.close()
            until(lambda: not served.room.here)
    stored = Store.open(tmp_path / "visitors" / "dreamed")
    assert len(stored) == 1
    assert stored.episodes[0].length >= 4


@pytest.mark.slow
def test_a_wrong_moment_is_kept_with_the_real_frame_and_the_way_to_it(room, tmp_path):
    with room(wrong_after=2) as served:
        page = Guest(served)
        page.stands()
        page.say("compare", on=True)
        page.two()
        page.keys("ArrowRight")
        for _ in range(6):
            _, image = page.stepped()
        real, dream = halves(image)
        page.say("wrong", note="the player jumped away")
        assert page.text("kept")["kind"] == "wrong"
        store = Store.open(tmp_path / "visitors" / "wrong")
        (row,) = store.episodes
        episode = store.read(row.name)
        assert (episode.frames["main"][-1] == dream).all()
        assert (episode.stills["real"] == real).all()
        last = len(episode) - 1
        assert episode.texts == {last: "the player jumped away"}
        assert list(episode.snapshots) == [last]
        assert (row.split, row.labels["should"]) == ("dreamed", "real")
        page.say("open", code=row.labels["moment"][:3000])
        assert page.text("opened")["exact"]
        page.say("wrong", note="x" * 501)
        assert page.error()[1]["code"] == "malformed"


def test_without_a_shelf_nothing_is_kept_and_the_page_knows(room):
    with room(shelf=None) as served:
        page = Guest(served)
        assert not page.ready["can_keep"]
        for kind, fields in (("record", {"on": True}), ("wrong", {"note": ""})):
            page.say(kind, **fields)
            assert "nowhere to keep" in page.text("error")["message"]
