"""What visitors do, as episodes; and where it is kept."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from play_world import SPEC

from worldloom.actions import Action
from worldloom.data.clips import ClipCache
from worldloom.data.store import Store, StoreInfo
from worldloom.errors import WorldloomError
from worldloom.play import tape as tapes
from worldloom.play.shelf import Shelf
from worldloom.play.tape import Tape, Taped

INFO = StoreInfo(SPEC, {"main": (8, 8)}, 20.0, env="worldloom/Hop-v0", heldout=0.0)


def press(*held):
    return Action({"keys": np.array([[int(i in held) for i in range(5)]], np.uint8)}, np.ones(1))


def image(value):
    return np.full((8, 8, 3), value, np.uint8)


def taped(count, first=0, **last):
    rows = [Taped(first, image(0))]
    for i in range(1, count):
        rows.append(Taped(first + i, image(i), press(i % 5), reward=float(i)))
    rows[-1] = Taped(**{**vars(rows[-1]), **last})
    return Tape(SPEC.null(), frames=rows)


def test_actions_and_rewards_stand_beside_the_frame_that_they_led_to():
    episode = taped(4).episode()
    episode.check(SPEC)
    assert [frame[0, 0, 0] for frame in episode.frames["main"]] == [0, 1, 2, 3]
    assert episode.action_known.tolist() == [False, True, True, True]
    assert episode.actions["keys"].argmax(1).tolist()[1:] == [1, 2, 3]
    assert episode.actions["keys"][0].sum() == 0
    assert episode.reward.tolist() == [0, 1, 2, 3]
    assert episode.reward_known.tolist() == [False, True, True, True]
    assert (episode.policy, episode.terminated, episode.truncated) == ("visitor", False, True)


def test_an_ending_of_the_world_is_told():
    episode = taped(3, terminated=True).episode()
    assert (episode.terminated, episode.truncated) == (True, False)
    assert taped(3, terminated=True).ended and not taped(3).ended


def test_going_back_takes_off_what_was_undone():
    tape = taped(6, first=10)
    assert tape.follows(16) and not tape.follows(15)
    assert tape.cut(12)
    assert [t.moment for t in tape.frames] == [10, 11, 12]
    assert tape.follows(13)
    assert not tape.cut(9), "before the tape began"
    assert tape.episode() is None


def test_a_tape_is_bounded_in_frames_and_bytes(monkeypatch):
    monkeypatch.setattr(tapes, "MOST_FRAMES", 5)
    assert taped(5).full and not taped(4).full
    monkeypatch.setattr(tapes, "MOST_BYTES", 3 * 8 * 8 * 3)
    assert taped(3).full and not taped(2).full


def test_nobody_trains_on_dreams_by_accident(tmp_path):
    shelf = Shelf(tmp_path / "visitors", INFO)
    for kind in ("dreamed", "wrong"):
        place = shelf.put(kind, taped(5).episode())
        store = Store.open(place.store)
        row = store.row(place.episode)
        assert (row.split, row.policy, store.info.env) == ("dreamed", "visitor", "")
        assert store.split("train") == store.split("heldout") == []
        with pytest.raises(WorldloomError, match="no episodes in its train split"):
            ClipCache.open(store, tmp_path / "cache")
    place = shelf.put("real", taped(5).episode())
    store = Store.open(place.store)
    assert store.split("train") == [place.episode]
    assert store.info.env == "worldloom/Hop-v0"


def test_a_full_shelf_refuses_and_says_so(tmp_path):
    shelf = Shelf(tmp_path, INFO, limit_bytes=2000)
    shelf.put("real", taped(5).episode())
    with pytest.raises(WorldloomError, match="its limit is"):
        for _ in range(10):
            shelf.put("real", taped(5).episode())
    with pytest.raises(WorldloomError, match="its limit is"):
        Shelf(tmp_path, INFO, limit_bytes=1000).put("dreamed", taped(2).episode())
    assert not (tmp_path / "dreamed").exists()


def test_a_killed_recorder_leaves_whole_episodes(tmp_path):
    code = f"""if True:
        from pathlib import Path
        import numpy as np
        from worldloom.actions import ActionSpec, Binary
        from worldloom.data.store import StoreInfo
        from worldloom.play.shelf import Shelf
        from worldloom.play.tape import Tape, Taped

        spec = ActionSpec((Binary("keys", ("a",)),))
        shelf = Shelf(Path({str(tmp_path)!r}), StoreInfo(spec, {{"main": (8, 8)}}, 20.0))
        for number in range(10_000):
            frames = [Taped(i, np.full((8, 8, 3), number % 256, np.uint8)) for i in range(5)]
            shelf.put("real", Tape(spec.null(), frames=frames).episode())
            print(number, flush=True)
    """
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for _ in range(5):
            assert child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    store = Store.open(tmp_path / "real")
    assert len(store) >= 5
    for row in store.episodes:
        assert len(store.read(row.name)) == row.length
