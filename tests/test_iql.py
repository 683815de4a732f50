"""The baseline without a world: its mathematics, its masks, resuming, acting after a reload."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from recipes import iql
from worldloom.actions import ActionSpec, Categorical
from worldloom.data.cache import ClipCache
from worldloom.data.info import StoreInfo
from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options

HOW = iql.How(rows=8, stack=3, patch=4, width=4, hidden=8)
LEFT, RIGHT = 0, 1


def test_the_expectile_loss_by_hand():
    error = torch.tensor([1.0, -2.0, 0.5, 0.0])
    found = iql.expectile_loss(error, 0.7)
    assert found.tolist() == pytest.approx([0.7, 0.3 * 4, 0.7 * 0.25, 0.0])
    assert iql.expectile_loss(error, 0.5).tolist() == pytest.approx((error**2 / 2).tolist())


def test_its_minimum_is_the_expectile():
    """Of 0 and 1, half each, the 0.8 expectile is 0.8: 0.8 (1 - v) = 0.2 v."""
    value = torch.linspace(0, 1, 101)[:, None]
    loss = iql.expectile_loss(torch.tensor([0.0, 1.0]) - value, 0.8).mean(1)
    assert float(value[loss.argmin()]) == pytest.approx(0.8)


def one(outputs: int, *, numbers: dict[int, list[float]]) -> nn.Module:
    """A network that says the same of everything."""
    layer = nn.Linear(1, outputs)
    layer.weight.data.zero_()
    layer.bias.data = torch.tensor(numbers[outputs])
    return layer


def seen(**changes) -> iql.Transitions:
    rows = {
        "before": torch.zeros(1, 1),
        "after": torch.zeros(1, 1),
        "action": torch.tensor([1]),
        "reward": torch.tensor([0.5]),
        "ended": torch.tensor([False]),
        "counted": torch.tensor([True]),
    }
    return iql.Transitions(**{**rows, **changes})


def test_the_three_losses_by_hand():
    """Three actions; critics 1 and 2 say 3 and 2 of the chosen one, the value is 1."""
    critics, policy = [0.0, 3.0, 0.0, 9.0, 2.0, 9.0], [0.0, 0.0, 0.0]
    make = partial(one, numbers={6: critics, 1: [1.0], 3: policy})
    how = iql.How(discount=0.9, expectile=0.7, sharpness=0.5, heaviest=1.5, follow=0.0)
    objective = iql.Objective(iql.Networks(make, 3), how)
    value, critic, cloned = objective(seen()).tolist()
    assert value == pytest.approx(0.7 * (2 - 1) ** 2)  # of the lower critic
    target = 0.5 + 0.9 * 1
    assert critic == pytest.approx((3 - target) ** 2 + (2 - target) ** 2)
    assert cloned == pytest.approx(1.5 * np.log(3))  # exp(0.5) is 1.65, more than the heaviest
    _, critic, _ = objective(seen(ended=torch.tensor([True]))).tolist()
    assert critic == pytest.approx((3 - 0.5) ** 2 + (2 - 0.5) ** 2)  # nothing comes after


def test_what_is_not_known_does_not_count():
    make = partial(one, numbers={6: [0.0, 3.0, 0.0, 9.0, 2.0, 9.0], 1: [1.0], 3: [0.0, 1.0, 0.0]})
    objective = iql.Objective(iql.Networks(make, 3), iql.How())
    alone = objective(seen())
    wild = seen(
        before=torch.zeros(2, 1),
        after=torch.zeros(2, 1),
        action=torch.tensor([1, 0]),
        reward=torch.tensor([0.5, 1e6]),
        ended=torch.tensor([False, False]),
        counted=torch.tensor([True, False]),
    )
    assert torch.equal(objective(wild), alone)
    assert (objective(replace(wild, counted=torch.tensor([False, False]))) == 0).all()


def test_no_gradient_passes_from_one_loss_to_another():
    torch.manual_seed(0)
    model = iql.Networks(partial(nn.Linear, 1), 3)
    objective = iql.Objective(model, iql.How())
    rows = seen(before=torch.ones(1, 1), after=torch.ones(1, 1))
    for term, part in enumerate(("value", "critics", "policy")):
        model.zero_grad()
        objective(rows)[term].backward()
        grads = {name.split(".")[0]: p.grad for name, p in model.named_parameters()}
        assert {name for name, grad in grads.items() if grad is not None and grad.any()} == {part}


def test_the_slow_critics_follow():
    torch.manual_seed(0)
    model = iql.Networks(partial(nn.Linear, 2), 3)
    assert torch.equal(model.slow.weight, model.critics.weight)
    model.critics.weight.data += 1
    before = model.slow.weight.clone()
    model.follow(0.25)
    assert torch.allclose(model.slow.weight - before, torch.tensor(0.25))


def test_on_a_chain_it_finds_the_way_that_cloning_does_not():
    """Five cells, a reward at the right end; seven of ten recorded steps go left."""
    rng = np.random.default_rng(0)
    cell = rng.integers(0, 4, 400)
    action = (rng.random(400) > 0.7).astype(int)
    then = np.clip(cell + np.where(action == RIGHT, 1, -1), 0, 4)
    place = lambda cells: torch.eye(5)[torch.from_numpy(cells)]  # noqa: E731
    rows = iql.Transitions(
        before=place(cell),
        after=place(then),
        action=torch.from_numpy(action),
        reward=torch.from_numpy((then == 4).astype(np.float32)),
        ended=torch.from_numpy(then == 4),
        counted=torch.ones(400, dtype=torch.bool),
    )
    torch.manual_seed(0)
    model = iql.Networks(partial(nn.Linear, 5), 2)
    how = iql.How(discount=0.8, expectile=0.95, sharpness=40.0, follow=0.1)
    objective = iql.Objective(model, how)
    learner = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(250):
        learner.zero_grad()
        objective(rows).sum().backward()
        learner.step()
    chances = model.policy(torch.eye(5)[:4]).softmax(-1)[:, RIGHT]
    assert (chances > 0.8).all()
    cloned = [float((action[cell == c] == RIGHT).mean()) for c in range(4)]
    assert max(cloned) < 0.4
    exact = [0.8**steps for steps in (3, 2, 1, 0)]
    assert model.value(torch.eye(5)[:4])[:, 0].tolist() == pytest.approx(exact, abs=0.08)


def numbered_store(path, lengths=(9, 6, 12)) -> Store:
    """Frame t of an episode is of colour t, action t has number t of 14, reward t is t."""
    spec = ActionSpec((Categorical("action", 14),))
    store = Store.create(path, StoreInfo(action=spec, cameras={"main": (8, 8)}, fps=10.0))
    for number, length in enumerate(lengths):
        steps = np.arange(length)
        frames = np.broadcast_to(steps[:, None, None, None], (length, 8, 8, 3)).astype(np.uint8)
        reward = steps.astype(np.float32) * (steps > 0)
        store.append(
            Episode(
                frames=frames,
                actions={"action": steps},
                reward=reward,
                terminated=number == 0,
                truncated=number > 0,
                seed=number,
            )
        )
    return store


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("iql")
    store = numbered_store(folder / "store")
    names = [row.name for row in store.episodes]
    return store, ClipCache.open(store, folder / "cache", names=names)


def test_transitions_are_of_the_stack_and_the_next_step(recorded):
    _, cache = recorded
    where = next(i for i in range(3) if cache.lengths[i] == 9)
    steps = np.array([0, 1, 4, 7])
    found = iql.transitions(cache, np.full(4, where), steps, stack=3)
    assert found.before[..., 0, 0, 0].tolist() == [[0, 0, 0], [0, 0, 1], [2, 3, 4], [5, 6, 7]]
    assert found.after[..., 0, 0, 0].tolist() == [[0, 0, 1], [0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert found.action.tolist() == [1, 2, 5, 8] and found.reward.tolist() == [1, 2, 5, 8]
    assert found.ended.tolist() == [False, False, False, True] and found.counted.all()
    truncated = next(i for i in range(3) if cache.lengths[i] == 6)
    assert not iql.transitions(cache, np.array([truncated]), np.array([4]), stack=3).ended.any()


def test_it_resumes_exactly_and_acts_the_same_after_a_reload(recorded, tmp_path):
    store, _ = recorded
    weights, schedule = [], Schedule(steps=4, warmup=1)
    for stops in ((None,), (2, None)):
        run = tmp_path / str(len(stops))
        for number, until in enumerate(stops):
            options = Options(until=until, seed=3)
            iql.train(store, run, schedule, HOW, options, resume=number > 0)
        weights.append((run / "iql" / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]
    frames = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8, 3), dtype=np.uint8)
    acted = []
    for rows in ([0, 1, 2], [0, 1, 2], [2, 0, 1]):
        players = iql.load_players(tmp_path / "1" / "iql")
        players.begin(frames[0, rows], [10 + row for row in rows])
        values = []
        for frame in frames[1:]:
            values.append(players.act()["action"])
            players.see({"action": values[-1]}, frame[rows])
        acted.append(np.stack(values)[:, np.argsort(rows)])
    assert (acted[0] == acted[1]).all() and (acted[0] == acted[2]).all()
    assert len(np.unique(acted[0])) > 3
