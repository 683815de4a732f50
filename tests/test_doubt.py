"""Doubt: scores and tables by hand, a world that doubts, and what its frames are without."""

import pytest
import torch
from test_dream import make_clip, make_world
from worlds import keys

from worldloom.check import check_world
from worldloom.data.types import Clip
from worldloom.hub import new_doubt
from worldloom.models.doubt import CHEAP, KINDS, Heads, Near, Spread, Table, rising
from worldloom.models.draw import Made
from worldloom.models.dream import DreamWorld
from worldloom.models.walk import Walk

SEEDS = torch.tensor([5, 9])


def doubting(kind="heads", **sampler):
    """A world whose doubt depends on everything that it reads."""
    world = make_world(**sampler)
    doubt = new_doubt(world.dynamics, 0.1)
    doubt.kind = kind
    torch.nn.init.normal_(doubt.heads.out, 0, 0.5)
    doubt.near.bank.normal_()
    for table in doubt.tables.values():
        table.at.copy_(torch.linspace(-3, 60 if kind == "near" else 3, 8))
        table.wrong.copy_(torch.linspace(0.1, 0.9, 8))
    return DreamWorld(world.tokenizer, world.dynamics, world.spec, world.sampler, doubt=doubt)


def walked(world, steps=4):
    """Frames `[B, T, H, W, 3]` and doubts `[B, T]` of a few steps."""
    state, first = world.start(make_clip(), SEEDS)
    actions, frames, doubts = keys(2, steps, seed=3), [], []
    for t in range(steps):
        state, step = world.step(state, actions[:, t])
        frames.append(world.render(state))
        doubts.append(step.doubt)
    return torch.stack(frames, 1), first.doubt, doubts


def test_a_world_that_doubts_keeps_the_contract():
    world = doubting(passes=1)
    tested = check_world(world, make_clip(), steps=2)
    assert "a mark recalls its moment exactly" in tested and "players come and go" in tested
    assert world.spec.tolerance == 0.1


@pytest.fixture(scope="module")
def plain():
    """What a world without doubt shows."""
    return walked(make_world(passes=2))


@pytest.mark.parametrize("kind", KINDS)
def test_doubt_changes_no_byte(kind, plain):
    frames, first, doubts = walked(doubting(kind, passes=2))
    same, none, no_doubts = plain
    assert torch.equal(frames, same) and none is None and set(no_doubts) == {None}
    assert first.tolist() == [0, 0]
    told = torch.stack(doubts, 1)
    assert told.shape == (2, 4) and told.dtype == torch.float32
    assert len(told.unique()) > 4 and ((told > 0) & (told < 1)).all()


def test_doubt_is_part_of_the_state_and_what_is_seen_is_not_doubted():
    world, actions = doubting(), keys(2, 4, seed=3)
    state, _ = world.start(make_clip(), SEEDS)
    state, step = world.step(state, actions[:, 0])
    mark = world.mark(state)
    assert torch.equal(state[[1, 0]].doubt, step.doubt.flip(0))
    assert torch.equal(type(state).stack([state, state]).doubt, step.doubt.repeat(2))
    kept = state.copy()
    world.step(state, actions[:, 1])
    assert torch.equal(kept.doubt, step.doubt)
    again = world.recall(mark)
    assert torch.equal(again.doubt, step.doubt)
    _, one = world.step(again, actions[:, 1])
    _, two = world.step(kept, actions[:, 1])
    assert torch.equal(one.doubt, two.doubt) and not torch.equal(one.doubt, step.doubt)
    assert torch.equal(world.recall(mark).doubt, step.doubt)  # who went on left the mark alone
    seen = Clip(frames={"main": make_clip(length=1).frames["main"]})
    _, step = world.observe(kept, actions[:, 2], seen)
    assert step.doubt.tolist() == [0, 0]


def made(first, latents, *, before=None, read=None, again=None):
    latents = torch.tensor(latents)[:, :, None]
    first = torch.tensor(first)[:, :, None]
    read = torch.zeros(*latents.shape[:2], 3) if read is None else read
    before = torch.zeros_like(latents) if before is None else before
    return Made(latents, before, first, read, None, again)  # type: ignore[arg-type]


def test_heads_expect_what_is_known_and_what_they_learned():
    """Draws 1 and 2 from the middle, and twice as much again to come as each head says."""
    heads = Heads(3, count=2)
    torch.nn.init.zeros_(heads.out)
    heads.level.data = torch.tensor([0.0, torch.log(torch.tensor(3.0)).item()])
    step = made([[0.0, 1.0]], [[1.0, 3.0]])
    expected = heads.expected(step.read, step.first, step.latents)
    assert torch.allclose(expected, torch.tensor([[[2.0, 4.0], [5.0, 7.0]]]))
    assert heads.score(step).exp().item() == pytest.approx(4.5)


def test_near_measures_to_the_nearest_and_spread_to_other_draws():
    near = Near(2, kept=3, width=4)
    near.project.copy_(torch.eye(4))
    near.bank.copy_(torch.tensor([[0.0, 0, 0, 0], [0, 0, 1, 5], [9, 9, 9, 9]]))
    step = made([[0.0, 0.0]], [[1.0, 1.0]])
    assert near.score(step).item() == pytest.approx(2**0.5)
    others = {3: 0.0, 4: 4.0}
    step = made([[0.0]], [[1.0]], again=lambda use: torch.full((1, 1, 1), others[use]))
    assert Spread(2).score(step).item() == pytest.approx(((1 + 9) / 2) ** 0.5)


def test_what_falls_is_merged():
    found = rising(torch.tensor([0.1, 0.5, 0.3, 0.2, 0.9]), torch.tensor([1.0, 1, 1, 2, 1]))
    assert torch.allclose(found, torch.tensor([0.1, 0.3, 0.3, 0.3, 0.9]))
    assert rising(torch.tensor([3.0, 2, 1]), torch.ones(3)).tolist() == [2, 2, 2]


def test_a_table_tells_how_often_such_scores_were_wrong():
    """Two knots of four: one of four wrong below, all above; the error is the score."""
    table = Table(2)
    score = torch.tensor([8.0, 1, 2, 7, 3, 4, 5, 6])
    table.fit(score, torch.where(score == 4, 9.0, score), tolerance=4.5)
    assert table.at.tolist() == [2.5, 6.5]
    assert table.wrong.tolist() == pytest.approx([1.5 / 5, 4.5 / 5])
    assert table(torch.tensor([-9.0, 4.5, 99.0])).tolist() == pytest.approx([0.3, 0.6, 0.9])
    low, high = table.interval(torch.tensor([2.5]))
    assert low.item() == pytest.approx(1.15) and high.item() <= 9


def test_probabilities_and_intervals_hold_on_steps_that_were_not_fitted():
    """Errors of which the score knows the scale alone."""
    draws = torch.Generator().manual_seed(0)
    score = torch.rand(8000, generator=draws)
    error = score * torch.rand(8000, generator=draws)
    table = Table()
    table.fit(score[:4000], error[:4000], 0.3)
    p, (low, high) = table(score[4000:]), table.interval(score[4000:])
    wrong = error[4000:] > 0.3
    for part in p.argsort().chunk(5):
        assert p[part].mean().item() == pytest.approx(wrong[part].float().mean().item(), abs=0.05)
    inside = (error[4000:] >= low) & (error[4000:] <= high)
    assert inside.float().mean().item() == pytest.approx(0.9, abs=0.02)


def test_a_table_of_one_score_tells_the_share():
    table = Table(4)
    table.fit(torch.zeros(100), (torch.arange(100) < 30).float(), 0.5)
    told = table(torch.tensor([-1.0, 0.0, 1.0]))
    assert torch.isfinite(told).all() and (told.diff() >= 0).all()


def test_what_speaks_by_itself_costs_no_pass(monkeypatch):
    passes, denoise = [], Walk.denoise
    monkeypatch.setattr(Walk, "denoise", lambda *a: passes.append(1) or denoise(*a))
    for kind in CHEAP:
        world = doubting(kind, passes=2)
        state, _ = world.start(make_clip(), SEEDS)
        passes.clear()
        world.step(state, keys(2, 1)[:, 0])
        assert len(passes) == 2
