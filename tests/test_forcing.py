"""What a training step shows the dynamics: row kinds, and the past as generation commits it."""

import pytest
import torch
from worlds import keys, tiny_dynamics, tiny_shape

from worldloom.configs import Forcing
from worldloom.train.draws import draw
from worldloom.train.dynamics import DynamicsObjective
from worldloom.train.shortcut import corrupt

FED = Forcing(0.0, images=0.0, unlabelled=0.0, committed=True, shown=2, self_fed=1.0, fed_from=0.5)


def drawn(forcing, progress, batch=16, length=6):
    draws = torch.Generator().manual_seed(0)
    return draw(tiny_shape(), (batch, length), forcing, progress, draws)


def inputs(batch=3, length=6):
    shape = tiny_shape()
    draws = torch.Generator().manual_seed(1)
    clean = torch.randn(batch, length, shape.tokens, shape.channels, generator=draws)
    return clean, keys(batch, length)


def test_shortcut_rows_come_late_and_spread_over_the_ranks():
    forcing = Forcing(bootstrap_rows=0.25, bootstrap_from=0.5)
    assert not drawn(forcing, 0.49).shortcut.any()
    draws = drawn(forcing, 0.5)
    assert draws.shortcut.sum() == 4
    assert draws.shortcut[:8].sum() == 2
    assert bool((draws.size[~draws.shortcut] == 3).all())


def test_fed_rows_come_late_and_no_deeper_than_asked():
    forcing = Forcing(committed=True, self_fed=0.5, fed_from=0.5, fed_depth=3)
    assert not drawn(forcing, 0.49).fed.any()
    assert set(drawn(forcing, 0.5, batch=200).fed.tolist()) == {0, 1, 2, 3}


def test_the_past_is_the_recording_at_the_level_of_the_context():
    objective = DynamicsObjective(tiny_dynamics(), FED)
    clean, action = inputs()
    draws = drawn(FED, 0.0, batch=3)
    past = objective.past(clean, action, draws)
    level = torch.full((3, 5), 7)
    assert torch.equal(past, corrupt(clean[:, :-1], draws.past_noise, level, 8))


@torch.no_grad()
@pytest.mark.parametrize("passes", [1, 2])
def test_a_fed_past_is_a_dream_frame_by_frame(passes):
    """As deep as the clip is long, the parallel passes equal dreaming one frame after another."""
    forcing = Forcing(**{**vars(FED), "fed_depth": 4, "fed_passes": passes})
    objective = DynamicsObjective(tiny_dynamics(copy=1), forcing)
    clean, action = inputs()
    draws = drawn(forcing, 1.0, batch=3)
    draws.fed[:] = torch.tensor([4, 1, 0])
    fed = objective.past(clean, action, draws)

    real = objective.past(clean, action, drawn(forcing, 0.0, batch=3))
    plain = real.clone()
    for frame in range(2, 5):
        noise, level = draws.noise[:, frame : frame + 1], torch.zeros(3, 1, dtype=torch.int64)
        told, z = action[:, : frame + 1], noise
        for index in range(passes):
            at = level + 8 * index // passes
            own = objective.model(z, at, level + 3, told, None, plain[:, :frame])
            z = z + (own - z) / (passes - index)
        again = draws.past_noise[:, frame : frame + 1]
        plain[:, frame] = corrupt(own, again, level + 7, 8)[:, 0]
    assert torch.allclose(fed[0], plain[0], atol=1e-5)
    assert torch.equal(fed[:, :2], real[:, :2])  # what is only shown stays real
    assert torch.allclose(fed[1, 2], plain[1, 2], atol=1e-5)
    assert not torch.allclose(fed[1, 3], plain[1, 3], atol=1e-3)  # one prediction deep only
    assert torch.equal(fed[2], real[2])


@torch.no_grad()
def test_frames_that_are_only_shown_are_not_predicted():
    for committed in (False, True):
        forcing = Forcing(0.0, images=0.0, unlabelled=0.0, committed=committed, shown=2)
        objective = DynamicsObjective(tiny_dynamics(), forcing)
        clean, action = inputs()
        draws = drawn(forcing, 0.0, batch=3)
        loss = objective(clean, action, draws)
        past = objective.past(clean, action, draws) if committed else None
        noisy = corrupt(clean, draws.noise, draws.signal, 8)
        predicted = objective.model(noisy, draws.signal, draws.size, action, None, past)
        error = (predicted - clean).square().mean((-2, -1)) * (0.9 * draws.signal / 8 + 0.1)
        assert torch.allclose(loss, error[:, 2:].mean(), atol=1e-6)


WIPED = Forcing(committed=True, images=0.0, shown=2, wiped=0.5, wiped_from=0.5)


def test_wiped_places_are_boxes_of_space_and_time_in_late_rows():
    shape = tiny_shape(tokens=12, columns=4, copy=1)
    draws = torch.Generator().manual_seed(0)
    assert not draw(shape, (200, 30), WIPED, 0.49, draws).wiped.any()
    mask = draw(shape, (200, 30), WIPED, 0.5, draws).wiped
    assert mask.shape == (200, 29, 12)
    assert 70 < int(mask.any((1, 2)).sum()) < 130  # half of the rows
    assert not mask[:, : WIPED.shown].any()
    for row in mask[mask.any((1, 2))]:
        when, where = row.any(1), row.any(0).view(3, 4)
        assert torch.equal(row, when[:, None] & where.flatten())
        high, wide = where.any(1), where.any(0)
        assert torch.equal(where, high[:, None] & wide)
        for line, least, most in ((when, 1, 8), (high, 2, 3), (wide, 2, 4)):
            place = line.nonzero()[:, 0]
            assert least <= len(place) <= most
            assert int(place[-1] - place[0]) == len(place) - 1  # in one piece


def test_what_moves_is_missing_where_a_past_is_wiped():
    """The wiped past shows the clip's median, as noisy as any past; the targets stay."""
    objective = DynamicsObjective(tiny_dynamics(), WIPED)
    clean, action = inputs(length=7)
    clean[:] = clean[:, :1]  # a still picture ...
    clean[:, 3, 0] += 1.0  # ... through which something flits
    draws = drawn(WIPED, 1.0, batch=3, length=7)
    draws.wiped[:] = False
    draws.wiped[1, 2:5, 0] = True
    past = objective.past(clean, action, draws)
    still = clean[:, :1].expand_as(clean)[:, :-1]
    level = torch.full((3, 6), 7)
    gone = corrupt(still, draws.past_noise, level, 8)
    there = corrupt(clean[:, :-1], draws.past_noise, level, 8)
    assert torch.equal(past[1], gone[1])
    assert torch.equal(past[[0, 2]], there[[0, 2]])
    assert not torch.equal(there[1], gone[1])
