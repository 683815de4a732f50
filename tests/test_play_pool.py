"""Many players as rows of one batch: nobody's bytes depend on who else is there."""

import pytest
import torch
from play_world import CountingWorld
from test_dream import make_clip, make_world
from test_play_travel import keys

from worldloom.envs.gym import GymWorld
from worldloom.errors import WorldloomError
from worldloom.play.clock import Latency
from worldloom.play.player import Player, tick_together
from worldloom.play.pool import Pool, pooled
from worldloom.play.session import Session, from_clips, from_seed

ROWS = 4
TICKS = 14  # the ring of the tiny dream has wrapped twice


def dream(rows=ROWS):
    world = make_world(paths={"copy": 2, "columns": 2})
    clips = [make_clip(rows=1, seed=seed) for seed in range(3)]
    return Session(Pool(world, rows) if rows else world, from_clips(clips))


def begun(session, seed):
    player = Player(session, Latency())
    player.start(seed)
    return player


def play(turns):
    """The pictures of one tick of several players."""
    return [shown.frame.image.tobytes() for shown, _ in tick_together(turns)]


def alone(seed, script):
    player = begun(dream(), seed)
    return [play([(player, held)])[0] for held in script]


def test_neighbours_who_join_leave_pause_and_rewind_change_no_byte():
    """The player sits in two rows of the batch, with nobody, one, three and four others."""
    script = keys(TICKS)
    expected = alone(0, script)
    session = dream()
    others = [begun(session, seed) for seed in range(1, 5)]
    play([(other, ()) for other in others[:2]])  # rows 0 and 1 are taken
    player = begun(session, 0)
    seen = []
    for tick, held in enumerate(script):
        near = others[: tick % 4]
        images = play([*((other, keys(1, tick)[0]) for other in near), (player, held)])
        seen.append(images[-1])
        if tick == 4:
            others[0].rewind(2, others[0]._here.moment)
        if tick == 6:
            others.pop(1).close()
        if tick == 8:
            others[0].start(2)
        if tick == 9:  # the player's own row goes to somebody else meanwhile
            for _ in range(2):
                play([(other, ()) for other in others] + [(begun(session, 5), ())])
            others.append(begun(session, 4))
    assert seen == expected
    assert len(set(seen)) > TICKS // 2


def test_who_rewinds_or_branches_in_company_goes_the_same_way_again():
    session, script = dream(), keys(TICKS)
    player, other = begun(session, 0), begun(session, 1)
    seen = [play([(player, held), (other, ())])[0] for held in script]
    back = player.rewind(6, TICKS)
    assert back.frame.image.tobytes() == seen[-7]
    player.branch()
    assert [play([(player, held)])[0] for held in script[-6:]] == seen[-6:]
    player.switch(1)
    again = [play([(other, ("Space",)), (player, held)])[1] for held in script[-6:]]
    assert again == seen[-6:]


def test_a_branch_that_runs_on_takes_a_row_and_leaves_the_bytes_alone():
    session = dream()
    player, other = begun(session, 0), begun(session, 1)
    play([(player, ("ArrowLeft",)), (other, ())])
    player.branch()
    player.run_on(1, True)
    for _ in range(5):
        outcome = tick_together([(player, ("Space",)), (player, None), (other, ())])
        assert outcome[1] is None
    expected = alone(0, [("ArrowLeft",), *[()] * 5])
    shown = player.switch(1)
    assert shown.moment == 6 and shown.frame.image.tobytes() == expected[-1]


def test_the_plain_world_is_the_judge_of_the_pool():
    """One row of a batch against a batch of one: the same up to rounding."""
    script = keys(TICKS)
    plain = begun(dream(rows=0), 0)
    session = dream()
    player, others = begun(session, 0), [begun(session, seed) for seed in (1, 2)]
    for held in script:
        tick_together([(player, held), *((other, ()) for other in others)])
        plain.tick(held)
        ours, theirs = player._state.world.view(), plain._state.world
        torch.testing.assert_close(ours.latents, theirs.latents, atol=1e-4, rtol=1e-4)
        assert ours.ring.count.tolist() == theirs.ring.count.tolist()


def test_a_step_is_one_step_of_the_world_whoever_is_due():
    world = CountingWorld()
    session = Session(Pool(world, ROWS), from_seed)
    players = [begun(session, seed) for seed in range(3)]
    play([(player, ("Space",)) for player in players])
    play([(players[1], ())])
    assert world.rows == {ROWS: 2}
    views = [player._state.world.view() for player in players]
    assert [int(view.tick) for view in views] == [1, 2, 1]
    assert [int(view.seed) for view in views] == [0, 1, 2]


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_more_players_than_rows_take_turns(tables):
    session = Session(Pool(CountingWorld(), ROWS, tables), from_seed)
    players = [begun(session, seed) for seed in range(10)]
    for _ in range(3):
        for first in range(0, 10, ROWS):
            play([(player, ("Space",)) for player in players[first : first + ROWS]])
    for seed, player in enumerate(players):
        state = player._state.world.view()
        assert (int(state.seed), int(state.tick), int(state.pressed[0, 4])) == (seed, 3, 3)


def test_players_who_take_turns_in_good_order_are_not_copied_about():
    pool = Pool(CountingWorld(), ROWS, 3)
    session = Session(pool, from_seed)
    players = [begun(session, seed) for seed in range(10)]
    places = []
    for _ in range(3):
        for first in range(0, 10, ROWS):
            play([(player, ()) for player in players[first : first + ROWS]])
        seats = [player._state.world for player in players]
        places.append([(id(seat.table), seat.row) for seat in seats])
    assert places[0] == places[1] == places[2] and pool.taken == 10
    assert len({table for table, _ in places[0]}) == 3


@pytest.mark.slow
def test_a_start_is_begun_once_and_comes_back_exactly():
    session = dream()
    begins, start = [], session.world.world.start
    session.world.world.start = lambda *given: begins.append(given) or start(*given)
    script = keys(TICKS)
    seen = []
    for _ in range(2):
        player = begun(session, 1)
        seen.append([play([(player, held)])[0] for held in script])
    assert seen[0] == seen[1] and len(begins) == 1
    for seed in range(2, 40):
        begun(session, seed)
    assert len(begins) == 39 and len(session.world._begun) == 32


def test_a_row_is_freed_once():
    pool = Pool(CountingWorld(), ROWS)
    session = Session(pool, from_seed)
    players = [begun(session, seed) for seed in range(3)]
    play([(player, ()) for player in players])
    assert pool.taken == 3
    players[1].close()
    players[1].close()
    assert pool.taken == 2
    fresh = begun(session, 7)
    play([(player, ()) for player in (players[0], fresh, players[2])])
    assert fresh._state.world.row == 1 and pool.taken == 3
    players[1].close()
    assert pool.taken == 3, "a row that somebody else has is not freed again"


def test_an_ending_stands_still_while_the_others_go_on():
    session = Session(Pool(CountingWorld(ends_at=3), ROWS), from_seed, fps=2)
    late, early = begun(session, 0), begun(session, 5)
    seen = []
    for tick in range(8):
        turns = [(early, ())] + ([(late, ())] if tick > 1 else [])
        seen.append([shown.frame for shown, _ in tick_together(turns)])
    assert [frames[0].seed for frames in seen] == [5, 5, 5, 5, 6, 6, 6, 6]
    assert [frames[0].ended for frames in seen[:5]] == [False, False, True, True, False]
    assert [frames[1].ended for frames in seen[2:]] == [False, False, True, True, False, False]


def test_the_start_that_fails_one_player_fails_no_other():
    def make_start(seed):
        if seed == 6:
            raise WorldloomError("no clip 6", "record one")
        return from_seed(seed)

    session = Session(Pool(CountingWorld(ends_at=1), ROWS), make_start, fps=1)
    one, two = begun(session, 5), begun(session, 0)
    outcomes = [tick_together([(one, ()), (two, ())]) for _ in range(2)]
    assert isinstance(outcomes[1][0], WorldloomError)
    assert outcomes[1][1][0].frame.seed == 1


@pytest.mark.parametrize(
    ("sessions", "rows"), [(1, 1), (2, 1), (3, 3), (50, 50), (64, 64), (65, 33), (200, 50)]
)
def test_a_server_for_more_people_steps_more_rows(sessions, rows):
    world = CountingWorld()
    assert Session(pooled(world, sessions), from_seed).at_once == rows
    assert (pooled(world, sessions) is world) == (rows == 1)


def test_environments_stay_one_for_each_session():
    world = GymWorld("worldloom/Hop-v0", size=32)
    assert pooled(world, 50) is world
    with pytest.raises(WorldloomError, match="playing together needs a world that can `rows`"):
        Pool(world, 4)
