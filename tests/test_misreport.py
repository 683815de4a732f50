"""What an agent is told wrongly: how much of it, and that rewards are then read off pictures."""

from dataclasses import replace

import numpy as np
import torch
from test_agent import make_agent
from test_agent_training import SPEC, lessons, trained  # noqa: F401
from worlds import keys, tiny_dynamics

from worldloom.actions import Action, ActionSpec, Binary, Categorical, Continuous
from worldloom.configs import Forcing
from worldloom.data.cache import ClipCache
from worldloom.hub import load_tokenizer, weights_hash
from worldloom.models.agent import WorldAgent
from worldloom.train.agent import Lessons, _inputs, build, lessons_of
from worldloom.train.cloning import AgentObjective, Lesson, policy_loss
from worldloom.train.dist import ranks
from worldloom.train.dynamics import with_latents
from worldloom.train.misreport import misreports, told
from worldloom.train.optim import Schedule
from worldloom.train.stage import Stage

ALL = ActionSpec((Categorical("c", 5), Binary("b", ("x", "y")), Continuous("v", (-1.0,), (1.0,))))


def test_a_share_of_the_places_is_exchanged_and_nothing_else():
    lead = (40, 25)
    done = Action(
        {name: torch.as_tensor(value) for name, value in ALL.null(lead).items()},
        torch.ones(lead, dtype=torch.bool),
    )
    done.known[35] = False
    instead = misreports(ALL, lead, 0.25, np.random.default_rng(1))
    assert not instead.known[:30].any() and 100 < instead.known[30:].sum() < 150
    heard = told(done, instead)
    assert torch.equal(heard.known, done.known)
    for name, value in heard.values.items():
        same = (value == done.values[name]).flatten(2).all(-1) if value.dim() > 2 else None
        same = value == done.values[name] if same is None else same
        assert same[~torch.from_numpy(instead.known)].all()
        assert not same[torch.from_numpy(instead.known)].all()
        assert value.dtype == done.values[name].dtype
    kinds = heard.values["c"][torch.from_numpy(instead.known)]
    assert set(kinds.tolist()) == {0, 1, 2, 3, 4}  # uniform, the null among them
    assert not done.values["c"].any()  # what is imitated is untouched
    again = misreports(ALL, lead, 0.25, np.random.default_rng(1))
    assert np.array_equal(again.known, instead.known)
    assert all(np.array_equal(again.values[k], v) for k, v in instead.values.items())


def test_runs_from_before_are_told_the_truth():
    made = {
        "schedule": {"steps": 2, "rate": 1e-3},
        "batches": {"rows": 2, "short": 2, "long": 4},
        "relevance": {},
        "hidden": 8,
        "alone": False,
    }
    old, new = lessons_of({"lessons": made}), Lessons(Schedule(1), lessons().batches)
    assert old.misreport == 0 < new.misreport and old.well == 1 > new.well


def test_the_agent_hears_what_it_is_told_and_imitates_what_was_done():
    world = tiny_dynamics()
    agent = make_agent(world.shape)
    done, other = keys(2, 6), keys(2, 6, seed=1)
    clean = torch.randn(2, 6, world.shape.tokens, world.shape.channels)
    lesson = Lesson(
        clean,
        done,
        reward=torch.rand(2, 6),
        rewarded=torch.ones(2, 6, dtype=torch.bool),
        ended=torch.zeros(2, 6, dtype=torch.bool),
        tasks=torch.zeros(2, dtype=torch.int64),
        told=done,
        imitated=torch.tensor([True, False]),
    )
    objective = AgentObjective(WorldAgent(world, agent), Forcing(), cloning=True)
    noise = torch.zeros_like(clean)
    heard = objective._committed(lesson, noise)
    assert not torch.equal(heard, objective._committed(replace(lesson, told=other), noise))
    assert torch.equal(heard, objective._committed(replace(lesson, action=other), noise))
    loss = objective(replace(lesson, told=other), noise, None, None)[1]
    again = objective._committed(replace(lesson, told=other), noise)
    again[1] = 0  # nobody asks what the other row could have taught
    assert torch.equal(loss, policy_loss(agent, again, lesson))


def test_only_what_is_imitated_is_told_wrongly_and_only_in_a_world(trained):  # noqa: F811
    store, run = trained
    cache, tokenizer = ClipCache.open(store, run / "cache"), load_tokenizer(run)
    latents = with_latents(cache, tokenizer, weights_hash(run / "tokenizer"))
    model = build(Stage.open(run / "agent"), SPEC)
    with ranks() as group:
        for alone in (False, True):
            lesson = lessons(4, alone=alone, misreport=0.5)
            given = _inputs(latents, tokenizer, model, lesson, (Forcing(), 3, group))(2)
            relevant, uniform = given[0], given[2]
            same = relevant.told.values["action"] == relevant.action.values["action"]
            assert torch.equal(relevant.imitated, same.all(1))
            assert relevant.well[:, :-1].any(1).all() and not relevant.well.all()
            assert relevant.imitated.tolist() == [True] * (4 if alone else 1) + [False] * (
                not alone
            )
            again = _inputs(latents, tokenizer, model, lesson, (Forcing(), 3, group))(2)[0]
            told = relevant.told.values["action"]
            assert torch.equal(told, again.told.values["action"])
            if uniform is not None:
                assert torch.equal(uniform.told.values["action"], uniform.action.values["action"])
