"""What visitors mark as wrong becomes an entry of the ledger, with the truth beside it."""

from dataclasses import replace

import numpy as np
import pytest
from evaluate_worlds import hop_store
from play_guest import Guest
from play_hop import DreamedHop, hop_beside

from worldloom import marks
from worldloom.data.ledger import Ledger
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.envs.gym import GymWorld
from worldloom.envs.make import Setup
from worldloom.play.server import served_in_thread
from worldloom.play.session import Session, from_clips
from worldloom.play.shelf import Shelf
from worldloom.play.visitor import Nearby
from worldloom.starts import LENGTH, contexts
from worldloom.verbs.world import _enter_marks


class Recognizing(DreamedHop):
    """Finds by their frames the moments of a store that clips come from."""

    def __init__(self, store, wrong_after):
        super().__init__(wrong_after)
        self.known = {}
        for row in store.episodes:
            episode = store.read(row.name)
            for t, snapshot in episode.snapshots.items():
                self.known[episode.frames["main"][t].tobytes()] = snapshot

    def start(self, clip, seeds):
        here = self.known[clip.frames["main"][0, -1].numpy().tobytes()]
        return super().start(Clip(frames=clip.frames, snapshots=(here,)), seeds)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return hop_store(tmp_path_factory.mktemp("hop") / "store", episodes=2, frames=30)


@pytest.fixture(scope="module")
def visited(store, tmp_path_factory):
    """A run where a moment was marked, 6 steps into start 1."""
    run = tmp_path_factory.mktemp("run")
    session = Session(Recognizing(store, wrong_after=2), from_clips(contexts(store)))
    near = Nearby(shelf=Shelf(run / "visitors", store.info))
    with served_in_thread(session, nearby=near) as served:
        page = Guest(served)
        page.stands()
        page.say("reset", seed=1)
        page.frame()
        page.keys("ArrowRight")
        for _ in range(6):
            page.stepped()
        page.say("wrong", note="the player is elsewhere")
        assert page.text("kept")["kind"] == "wrong"
    return run


@pytest.fixture
def real(store):
    world = GymWorld(Setup.from_json(store.info.env, store.info.env_kwargs))
    yield world
    world.close()


def test_a_mark_is_entered_once_with_its_start_and_actions(visited, store, tmp_path):
    ledger = Ledger.open(tmp_path, store.info)
    (lie,) = marks.enter(ledger, visited / "visitors", store)
    assert marks.enter(ledger, visited / "visitors", store) == []
    assert (lie.kind, lie.what, lie.start) == ("marked", "“the player is elsewhere”", LENGTH)
    name = store.split("heldout")[1]
    assert (lie.place.store, lie.place.episode, lie.place.frame) == (str(store.path), name, 7)
    assert lie.world == Recognizing(store, 0).spec.name
    dream, recorded = ledger.dream(lie), store.read(name)
    assert (dream.frames["main"][:LENGTH] == recorded.frames["main"][:LENGTH]).all()
    assert (dream.actions["keys"][:LENGTH] == recorded.actions["keys"][:LENGTH]).all()
    assert (dream.actions["keys"][LENGTH:] == [0, 1, 0]).all() and len(dream) == LENGTH + 6
    assert dream.action_known[1:].all() and not dream.action_known[0]
    assert (dream.seed, dream.texts) == (recorded.seed, {LENGTH + 5: "the player is elsewhere"})
    assert ledger.real(lie) is None and lie.truth == {}


def test_reality_is_asked_what_it_does_under_the_same_actions(visited, store, tmp_path, real):
    ledger = Ledger.open(tmp_path, store.info)
    marks.enter(ledger, visited / "visitors", store)
    (lie,) = marks.ask_reality(ledger, real)
    assert marks.ask_reality(ledger, real) == [], "once is enough"
    dream, truth = ledger.dream(lie), ledger.real(lie)
    same = (truth.frames["main"] == dream.frames["main"]).all((1, 2, 3))
    assert same.tolist() == [True] * (LENGTH + 2) + [False] * 4
    # The same game in the place of a model, never wrong.
    honest = Recognizing(store, wrong_after=10**9)
    session = Session(honest, from_clips(contexts(store)))
    state = session.start(1)
    for frame in truth.frames["main"][LENGTH:]:
        state = session.advance(state, ("ArrowRight",))
        assert (session.draw(state).image == frame).all()
    assert (truth.actions["keys"] == dream.actions["keys"]).all()
    assert lie.truth["rms error"] > 0.03 and truth.snapshots.keys() == set(range(LENGTH))


def test_a_mark_that_began_nowhere_in_the_recordings_keeps_what_it_has(
    visited, store, tmp_path, real
):
    wrong = Store.open(visited / "visitors" / "wrong")
    film = wrong.read(wrong.episodes[0].name)
    cut = replace(
        film,
        frames={"main": film.frames["main"][2:]},
        actions={"keys": film.actions["keys"][2:]},
        **{k: getattr(film, k)[2:] for k in ("action_known", "reward", "reward_known")},
        texts={},
        stills={"real": film.frames["main"][0]},
    )
    Shelf(tmp_path / "visitors", store.info).put("wrong", cut)
    ledger = Ledger.open(tmp_path, store.info)
    (lie,) = marks.enter(ledger, tmp_path / "visitors", store)
    assert (lie.what, lie.start) == ("marked as wrong without a word", 1)
    assert lie.place.store == "" and lie.truth["rms error"] > 0
    assert (ledger.dream(lie).frames["main"] == film.frames["main"][2:]).all()
    assert marks.ask_reality(ledger, real) == []


def test_an_environment_that_is_another_one_says_nothing(visited, store, tmp_path):
    ledger = Ledger.open(tmp_path, store.info)
    marks.enter(ledger, visited / "visitors", store)
    (lie,) = ledger.lies()
    honest = Recognizing(store, wrong_after=10**9)
    honest.render = lambda state, camera="main": np.zeros((len(state), 32, 32, 3), np.uint8)
    assert marks.ask_reality(ledger, honest) == [] and ledger.lies() == [lie]


def test_a_server_enters_marks_when_it_begins_and_when_it_ends(visited, store, tmp_path, capsys):
    ledger, shelf = Ledger.open(tmp_path, store.info), Shelf(visited / "visitors", store.info)
    near = Nearby(hop_beside(store), shelf=shelf, ledger=ledger)
    _enter_marks(replace(near, beside=None), store)
    assert "1 more, see `worldloom ls lies" in capsys.readouterr().out
    assert [lie.real for lie in ledger.lies()] == [""]
    _enter_marks(near, store)
    assert capsys.readouterr().out == "" and ledger.lies()[0].real
    near.beside.close()
    _enter_marks(replace(near, ledger=None), store)
    _enter_marks(Nearby(ledger=ledger), store)


def test_where_nobody_marked_anything_nothing_is_entered(store, tmp_path):
    assert marks.enter(Ledger.open(tmp_path, store.info), tmp_path / "visitors", store) == []
    assert not (tmp_path / "ledger").exists()
