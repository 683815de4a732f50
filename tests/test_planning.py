"""Planning: it finds what is best in worlds that are known exactly, and keeps its budget."""

from dataclasses import replace

import pytest
import torch
from planning_worlds import Gamble, Steered, Table, places

from worldloom.actions import Action, ActionSpec, Binary, Categorical, Continuous
from worldloom.agents.belief import Belief, numbers_of
from worldloom.agents.planning import Planner, Search
from worldloom.errors import WorldloomError
from worldloom.world import Step

TABLE = Search(horizon=5, candidates=128, rounds=4, discount=0.9)
STEER = Search(horizon=4, candidates=64, rounds=6, discount=1.0)


def plan(world, state, search, *, seed=0, frame=0, **more):
    rows = len(state)
    seeds, frames = torch.arange(rows) + seed, torch.full((rows,), frame)
    guess = more.pop("guess", None)
    return Planner(world, search, **more).plan(state, seeds, frames, guess=guess)


def played(world, state, actions, discount):
    """What sequences `[B, H, ...]` are really worth."""
    state, worth = state.copy(), torch.zeros(len(state))
    known = torch.ones(len(state), dtype=torch.bool)
    for step in range(next(iter(actions.values())).shape[1]):
        told = Action({name: value[:, step] for name, value in actions.items()}, known)
        state, found = world.step(state, told)
        worth += discount**step * found.reward
    return worth


def chance(spec, rows, horizon):
    normal = torch.randn(rows, 1, horizon, numbers_of(spec), generator=torch.manual_seed(0))
    drawn = Belief.even(spec, rows, horizon).draw(normal)
    return {name: value[:, 0] for name, value in drawn.items()}


def test_the_best_of_all_sequences_is_found_where_greed_and_chance_miss_it():
    world = Table(seed=1)
    state = places(*range(12))
    found = plan(world, state, replace(TABLE, horizon=4))
    best = torch.tensor([world.best(at, 4, 0.9) for at in range(12)])
    assert torch.allclose(found.worth[-1], best, atol=1e-5)
    assert torch.allclose(played(world, state, found.actions, 0.9), best, atol=1e-5)
    at, greedy = state.copy(), []
    for _ in range(4):
        greedy.append(world.pays[at.at[:, 0].long()].argmax(1))
        at, _ = world.step(at, Action({"move": greedy[-1]}, None))
    greedy = played(world, state, {"move": torch.stack(greedy, 1)}, 0.9)
    random = played(world, state, chance(world.spec.action, 12, 4), 0.9)
    assert greedy.mean() < best.mean() - 0.3 and random.mean() < best.mean() - 1


def test_rounds_find_more_choices_than_as_many_steps_in_one_round():
    for seed in range(3):
        world, state = Table(seed=seed), places(*range(12))
        rounds = plan(world, state, replace(TABLE, horizon=8)).worth
        once = plan(world, state, replace(TABLE, horizon=8, rounds=1, candidates=4 * 128)).worth
        assert rounds[-1].mean() > once[-1].mean() + 0.2
        assert (rounds.diff(dim=0) >= 0).all()


def test_numbers_and_keys_are_found_together():
    world, state = Steered(), places((2.5, -0.5), (-1.0, 0.25))
    best = torch.tensor([-0.25, 0.0])  # two of the first's 2.5 in one push; the second at once
    few = plan(world, state, replace(STEER, rounds=1, candidates=64 * 6))
    found = plan(world, state, STEER)
    assert found.actions["push"].abs().max() <= 1 and found.actions["keys"].dtype == torch.uint8
    assert torch.allclose(played(world, state, found.actions, 1.0), found.worth[-1])
    assert (found.worth[-1] > best - 0.35).all()
    assert (found.worth[-1] > few.worth[-1] + 0.2).all(), "rounds find what chance does not"
    assert (found.worth.diff(dim=0) >= 0).all() and (found.worth[-1] > found.worth[0] + 0.3).all()


def test_a_world_whose_rewards_lie_is_worse_than_chance():
    truth, liar, state = Table(seed=1), Table(seed=1, sign=-1.0), places(*range(12))
    fooled = plan(liar, state, TABLE).actions
    random = played(truth, state, chance(truth.spec.action, 12, 5), 0.9)
    assert played(truth, state, fooled, 0.9).mean() < random.mean() - 1


def test_nothing_counts_after_an_ending():
    world, state = Table(seed=1), places(*range(12))
    world.ends[:], world.pays[:] = True, torch.arange(4.0)
    rich = lambda features: torch.full((len(features),), 100.0)  # noqa: E731
    found = plan(world, state, TABLE, value=rich)
    assert torch.equal(found.worth[-1], torch.full((12,), 3.0))
    state.over[0] = True
    assert plan(world, state, TABLE).worth[-1, 0] == 0, "it has ended before the search"


def test_what_is_still_to_come_counts_with_its_discount():
    world, state = Table(seed=1), places(*range(12))
    world.ends[:], world.pays[:] = False, 0.0
    found = plan(world, state, TABLE, value=lambda features: features[:, 0])
    places_ = {float(worth) for worth in found.worth[-1]}
    reached = [x * 0.9**5 for x in range(12)]
    assert all(min(abs(p - r) for r in reached) < 1e-4 for p in places_)
    assert max(places_) == pytest.approx(11 * 0.9**5, abs=1e-4)


def test_a_plan_follows_from_seed_and_frame():
    world, state, small = Table(seed=1), places(*range(12)), replace(TABLE, candidates=8, rounds=1)
    one, two = (plan(world, state, small) for _ in range(2))
    assert torch.equal(one.actions["move"], two.actions["move"])
    for other in ({"seed": 50}, {"frame": 1}):
        assert not torch.equal(
            one.actions["move"], plan(world, state, small, **other).actions["move"]
        )


@pytest.mark.parametrize("samples", [1, 3])
def test_rows_and_batches_do_not_matter_and_the_state_stays(samples):
    search = replace(TABLE, candidates=16, samples=samples)
    world, state = Table(seed=1), places(*range(12))
    before = state.copy()
    whole = plan(world, state, search)
    assert all(
        torch.equal(a, b) for a, b in zip(vars(before).values(), vars(state).values(), strict=True)
    )
    for row in (0, 7):
        alone = plan(world, state[[row]], search, seed=row)
        assert torch.equal(alone.actions["move"][0], whole.actions["move"][row])
    world.batches.clear()
    pieces = plan(world, state, replace(search, rows=7))
    assert torch.equal(pieces.actions["move"], whole.actions["move"])
    assert max(world.batches) == 7 // samples * samples


@pytest.mark.parametrize("samples", [1, 2])
def test_the_budget_is_kept_to_the_step(samples):
    world = Table()
    search = Search(horizon=3, candidates=5, rounds=2, samples=samples, rows=4)
    plan(world, places(1, 2, 3), search)
    assert search.steps == 30 * samples and world.stepped == 3 * search.steps
    assert f"{search.steps} imagined steps" in str(search)


def test_more_futures_do_not_take_luck_for_skill():
    state, bets = places(*[0.0] * 20), {}
    for samples in (1, 64):
        search = Search(horizon=1, candidates=4, rounds=1, samples=samples, rows=10_000)
        bets[samples] = plan(Gamble(), state, search).actions["bet"].float().mean()
    assert bets[1] > 0.15 and bets[64] == 0


def test_all_candidates_meet_the_same_chance():
    """With one future the gamble is either good for every candidate or for none."""
    search = Search(horizon=1, candidates=64, rounds=1)
    world, state = Gamble(), places(*[0.0] * 20)
    found = plan(world, state, search)
    bet, worth = found.actions["bet"][:, 0], found.worth[-1]
    assert (worth[bet == 1] > 0).all() and (worth[bet == 0] == 0).all()
    assert len(set(worth[bet == 1].tolist())) > 1, "each row has a chance of its own"
    assert 0 < bet.sum() < 20
    later = plan(world, state, search, frame=1)
    assert not torch.equal(later.worth, found.worth), "and each frame"


def test_the_first_round_follows_who_knows_better_and_tries_the_guess_too():
    world, state = Steered(), places((2.5, -0.5), (-1.0, 0.25))
    calls = []

    def home(features, seeds, frames):
        calls.append((len(seeds), len(set(seeds.tolist())), frames.tolist()[0]))
        push = (-features / 2 + 0.01 * (seeds[:, None] % 7)).clamp(-1, 1)
        return {"push": push, "keys": torch.ones(len(seeds), 1, dtype=torch.uint8)}

    few = Search(horizon=3, candidates=8, rounds=1, samples=2, discount=1.0)
    found = plan(world, state, few, prior=home, frame=5)
    assert (found.worth[-1] > torch.tensor([-0.3, -0.05])).all()
    assert torch.allclose(played(world, state, found.actions, 1.0), found.worth[-1])
    assert calls == [(16, 16, 5 + step) for step in range(3)], "each candidate of its own chance"
    known = {
        "push": torch.tensor([[[-1, 0.25], [-0.5, 0], [0, 0]], [[0.5, -0.125], [0, 0], [0, 0]]])
    }
    still = lambda features, seeds, frames: {  # noqa: E731
        "push": torch.zeros(len(seeds), 2),
        "keys": torch.zeros(len(seeds), 1, dtype=torch.uint8),
    }
    known["keys"] = torch.tensor([[[1], [0], [0]], [[1], [0], [0]]], dtype=torch.uint8)
    guessed = plan(world, state, replace(few, samples=1), guess=known, prior=still)
    assert torch.equal(guessed.worth[-1], torch.tensor([-0.25, 0.0]))
    assert torch.equal(guessed.actions["push"], known["push"])


def test_where_all_is_worth_the_same_the_first_is_taken_and_not_the_guess():
    world, state = Table(seed=1), places(3)
    world.pays[:] = 0
    ones = lambda features, seeds, frames: {"move": torch.ones(len(seeds), dtype=torch.int64)}  # noqa: E731
    assert (plan(world, state, TABLE, prior=ones).actions["move"] == 1).all()


def test_actions_of_several_a_frame_have_their_shapes():
    spec = ActionSpec(
        (Categorical("a", 3), Continuous("b", (0.0, 2.0), (1.0, 4.0)), Binary("c", "xy")), 2
    )
    belief = Belief.even(spec, 2, 4)
    drawn = belief.draw(torch.randn(2, 500, 4, numbers_of(spec), generator=torch.manual_seed(0)))
    for name, tail in {"a": (2,), "b": (2, 2), "c": (2, 2)}.items():
        assert drawn[name].shape == (2, 500, 4, *tail)
    spec.check({name: value.numpy() for name, value in drawn.items()}, "a draw")
    assert drawn["a"].float().mean() == pytest.approx(1, abs=0.05)
    best = {name: value[:, :1] for name, value in drawn.items()}
    again = belief.fit(best).draw(torch.zeros(2, 3, 4, numbers_of(spec)))
    assert torch.equal(again["a"], best["a"].expand(-1, 3, -1, -1))
    assert torch.allclose(again["b"], best["b"].expand(-1, 3, -1, -1, -1))
    sure = belief.fit({"a": drawn["a"][:, :1].repeat(1, 9, 1, 1), "b": drawn["b"], "c": drawn["c"]})
    assert sure.parts["a"].min() == pytest.approx(0.1 / 3), "never quite sure"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"horizon": 0}, "horizon 0"),
        ({"candidates": 1}, "1 candidates"),
        ({"every": 6, "horizon": 5}, "6 actions"),
    ],
)
def test_a_search_that_makes_no_sense_is_one_sentence(given, said):
    with pytest.raises(WorldloomError, match=said) as error:
        Search(**given)
    assert error.value.hint


def test_a_world_that_lacks_what_is_needed_is_told_in_one_sentence():
    world = Table()
    world.move = lambda state, values: (torch.zeros(len(state)), state.over)
    world.step = lambda state, action: (state, Step())
    with pytest.raises(WorldloomError, match="gives no rewards") as error:
        plan(world, places(1), TABLE)
    assert "train agent" in error.value.hint
    for lacks, given in (("fork", {}), ("reseed", {"samples": 2})):
        with pytest.raises(WorldloomError, match=f"planning needs a world that can `{lacks}`"):
            Planner(Table(lacks=[lacks]), replace(TABLE, **given))
    with pytest.raises(WorldloomError, match="can `features`"):
        Planner(Table(lacks=["features"]), TABLE, value=lambda features: features[:, 0])
    plain = Table(seed=1, lacks=["reseed", "features"])
    found = plan(plain, places(*range(12)), TABLE)
    assert torch.equal(found.worth, plan(Table(seed=1), places(*range(12)), TABLE).worth)
