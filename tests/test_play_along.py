"""A dream with the real game beside it goes back, branches and is anchored; both sides agree."""

import numpy as np
import pytest
from evaluate_worlds import hop_store
from play_hop import DreamedHop, clip, hop_beside

from worldloom.data.types import Clip
from worldloom.play import along
from worldloom.play.branch import Refused
from worldloom.play.clock import Latency
from worldloom.play.player import Player
from worldloom.play.session import Session
from worldloom.play.trace import Origin


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return hop_store(tmp_path_factory.mktemp("hop") / "store", episodes=2, frames=30)


def begun(store, *, compare=True, history=600, **dream):
    world = DreamedHop(**dream)
    player = Player(
        Session(world, lambda n: clip(store, n)), Latency(), history, beside=hop_beside(store)
    )
    player.start(0)
    if compare:
        player.compare(True)
    return player


RIGHT, JUMP, LEFT = ("ArrowRight",), ("ArrowRight", "Space"), ("ArrowLeft",)
SCRIPT = [RIGHT] * 4 + [JUMP] * 6 + [()] * 4


def both(shown):
    return shown.frame.image.tobytes(), shown.side.image.tobytes(), shown.side.gap


def play(player, script):
    return [both(player.tick(keys)[0]) for keys in script]


def test_rewind_then_the_same_keys_gives_the_same_bytes_on_both_sides(store):
    player = begun(store, wrong_after=6)
    seen = play(player, SCRIPT)
    assert seen[-1][0] != seen[-1][1], "they have parted"
    for ticks in (1, 5, len(SCRIPT)):
        shown = player.rewind(ticks, len(SCRIPT))
        if ticks < len(SCRIPT):
            assert both(shown) == seen[-ticks - 1]
        assert play(player, SCRIPT[-ticks:]) == seen[-ticks:]


def test_the_moment_of_parting_is_forgotten_by_going_back_before_it(store):
    player = begun(store, wrong_after=6)
    play(player, SCRIPT)
    _, shown = player.present()
    assert shown.side.parted == 7
    assert player.rewind(10, len(SCRIPT)).side.parted is None
    play(player, SCRIPT[4:])
    assert player.present()[1].side.parted == 7


def test_it_joins_later_as_if_it_had_always_been_there(store):
    early, late = begun(store, wrong_after=6), begun(store, wrong_after=6, compare=False)
    seen = play(early, SCRIPT)
    for keys in SCRIPT:
        shown, _ = late.tick(keys)
        assert shown.side is None
    shown = late.compare(True)
    assert both(shown)[:2] == seen[-1][:2]
    back = late.rewind(5, len(SCRIPT))  # moments from before it joined have a real side too
    assert both(back)[:2] == seen[-6][:2]
    assert [s[:2] for s in play(late, SCRIPT[-5:])] == [s[:2] for s in seen[-5:]]
    assert late.compare(False).side is None
    assert late.rewind(1, len(SCRIPT)).side is None


def test_branches_take_both_sides_along(store):
    player = begun(store)
    play(player, SCRIPT[:6])
    player.branch()
    left = play(player, [LEFT] * 5)
    player.switch(1)
    right = play(player, [JUMP] * 5)
    assert left[-1][1] != right[-1][1]
    assert both(player.switch(2)) == left[-1]
    player.rewind(5, 11)
    assert play(player, [JUMP] * 5) == right


def test_a_branch_that_ran_on_alone_is_followed_up(store):
    player = begun(store)
    play(player, SCRIPT[:3])
    player.branch()
    player.run_on(1, True)
    for _ in range(4):
        player.tick_another()
    shown = player.switch(1)
    assert shown.moment == 7
    assert shown.frame.image.tobytes() == shown.side.image.tobytes()


class FromFrames(DreamedHop):
    """Also begins from frames: it looks up which real moment shows them."""

    def __init__(self, beside, **faults):
        super().__init__(**faults)
        self.beside, self.began = beside, []

    def start(self, clip, seeds):
        if clip.snapshots is None:
            self.began.append(clip)
            clip = Clip(snapshots=(self.wanted,))
        return super().start(clip, seeds)


def test_anchoring_begins_anew_from_the_latest_real_frames(store):
    beside = hop_beside(store)
    world = FromFrames(beside, wrong_after=3)
    player = Player(Session(world, lambda n: clip(store, n)), Latency(), beside=beside)
    player.start(0)
    player.compare(True)
    seen = [player.tick(keys)[0] for keys in SCRIPT[:10]]
    assert seen[-1].side.parted is not None
    world.wanted = player.real_snapshot(seen[-1].side)
    shown = player.anchor()
    assert (shown.moment, shown.frame.tick) == (11, 0)
    assert shown.side.parted is None and not shown.side.gap.wrong
    (context,) = world.began
    frames = context.frames["main"][0].numpy()
    assert len(frames) == along.LOOK_BACK
    wanted = [s.side.image for s in seen[-along.LOOK_BACK :]]
    assert all((a == b).all() for a, b in zip(frames, wanted, strict=True))
    actions = context.actions.values["keys"][0].tolist()
    pressed = [[int("ArrowLeft" in k), int("ArrowRight" in k), int("Space" in k)] for k in SCRIPT]
    assert actions == pressed[10 - along.LOOK_BACK : 10]
    assert context.actions.known.all()
    went_on = play(player, SCRIPT[:3])
    assert all(dream == real for dream, real, _ in went_on[:3])
    object.__setattr__(world.spec, "starts", frozenset({"latents"}))
    with pytest.raises(Refused, match="cannot begin from frames"):
        player.anchor()
    player.compare(False)
    player.compare(True)  # it finds its way from the anchor, too
    assert both(player.present()[1])[:2] == went_on[-1][:2]


def test_what_cannot_be_followed_is_refused_in_words(store, monkeypatch):
    player = begun(store, compare=False)
    play_on = [player.tick(keys) for keys in SCRIPT]
    monkeypatch.setattr(along, "MOST_REPLAYED", 5)
    with pytest.raises(Refused, match="began 14 ticks ago, 5 can be done again"):
        player.compare(True)
    assert play_on
    with pytest.raises(Refused, match="no real side to begin from"):
        player.anchor()
    bare = Player(Session(DreamedHop(), lambda n: clip(store, n)), Latency())
    bare.start(0)
    with pytest.raises(Refused, match="no real environment beside"):
        bare.compare(True)
    carried = begun(store, compare=False)
    carried.begin(Origin(0, clip(store, 1)))
    with pytest.raises(Refused, match="began from a picture"):
        carried.compare(True)


def test_a_start_without_a_counterpart_shows_the_dream_alone(store):
    player = begun(store)
    assert player.begin(Origin(0, clip(store, 1))).side is None
    assert player.tick(RIGHT)[0].side is None
    assert player.start(1).side is not None


def test_an_environment_that_cannot_go_back_is_compared_but_not_rewound(store, monkeypatch):
    beside = hop_beside(store)
    beside.exact = False
    player = Player(Session(DreamedHop(), lambda n: clip(store, n)), Latency(), beside=beside)
    player.start(0)
    player.compare(True)
    play(player, SCRIPT)
    for wish in (lambda: player.rewind(1, len(SCRIPT)), player.branch, lambda: player.switch(1)):
        with pytest.raises(Refused, match="beside cannot go back in time"):
            wish()
    released = []
    monkeypatch.setattr(beside, "release", released.append)
    player.compare(False)
    assert len(released) == 1
    assert player.rewind(2, len(SCRIPT)).moment == len(SCRIPT) - 2
    shown = player.compare(True)
    assert shown.frame.image.tobytes() == shown.side.image.tobytes()
    player.close()
    player.close()
    assert len(released) == 2


def test_the_past_of_the_real_side_is_as_bounded_as_that_of_the_dream(store):
    player = begun(store, history=5)
    play(player, SCRIPT)
    sides = [moment.side for moment in player._here.past]
    assert len(sides) == 6
    assert all(side is not None for side in sides)
    assert np.array_equal(sides[-1].image, player.present()[1].side.image)
