"""Agents are shown how episodes end: more often than by chance, and no more than chance counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_agent import SHAPE
from test_agent_training import SPEC, lessons, trained  # noqa: F401
from worlds import tiny_dynamics

from worldloom.actions import Action
from worldloom.configs import Forcing
from worldloom.data.cache import ClipCache
from worldloom.hub import load_tokenizer, weights_hash
from worldloom.models.agent import Agent
from worldloom.train.agent import build
from worldloom.train.cloning import Lesson, ending_loss, policy_loss
from worldloom.train.dist import ranks
from worldloom.train.dynamics import with_latents
from worldloom.train.stage import Stage
from worldloom.train.teaching import Teacher, Windows, show_endings


def test_endings_are_shown_and_count_as_often_as_they_are_met():
    """By chance one window of each episode reaches its end."""
    lengths, ended = np.array([9, 5, 20, 30]), np.array([1, 2, 3])
    for length, able in ((4, {1, 2, 3}), (6, {2, 3})):
        windows = Windows(np.zeros(16, np.int64), np.zeros(16, np.int64), length)
        last = show_endings(windows, lengths, ended, np.random.default_rng(0))
        assert (last > 0).tolist() == [True] * 2 + [False] * 14
        assert set(windows.episodes[:2].tolist()) <= able
        assert (windows.starts[:2] + length == lengths[windows.episodes[:2]]).all()
        assert not windows.episodes[2:].any() and not windows.starts[2:].any()
        by_chance = len(able) / sum(max(0, n - length + 1) for n in lengths.tolist())
        assert last[0] * 2 / 16 == pytest.approx(by_chance)
    for nobody, length in ((np.zeros(0, np.int64), 4), (ended, 31)):
        windows = Windows(np.zeros(16, np.int64), np.zeros(16, np.int64), length)
        assert not show_endings(windows, lengths, nobody, np.random.default_rng(0)).any()


def test_every_lesson_of_an_agent_shows_endings(trained):  # noqa: F811
    store, run = trained
    cache, tokenizer = ClipCache.open(store, run / "cache"), load_tokenizer(run)
    latents = with_latents(cache, tokenizer, weights_hash(run / "tokenizer"))
    model = build(Stage.open(run / "agent"), SPEC)
    with ranks() as group:
        for alone in (False, True):
            shapes, plan = (model.agent.shape, model.dynamics.shape), lessons(4, alone=alone)
            (shown,) = Teacher(latents, tokenizer, shapes, plan, Forcing(), (3, group))(2)
            put = shown.relevant.last > 0
            assert int(put.sum()) == (not alone) and shown.relevant.ended[put, -1].all()
            assert shown.uniform is None or not shown.uniform.last.any()


def test_what_shows_an_ending_is_not_imitated_and_weighs_what_it_should():
    torch.manual_seed(0)
    world = tiny_dynamics()
    agent = Agent(SHAPE, world.shape, SPEC)
    for head in (agent.policy.head, agent.ending):
        torch.nn.init.normal_(head.out.weight, 0.0, 0.5)
    heard, none = torch.randn(2, 5, world.shape.width), torch.zeros(2, 5)
    no = torch.zeros(2, 5, dtype=torch.bool)
    ended = no.clone()
    ended[0, -1] = True
    action = Action({"action": torch.randint(0, 3, (2, 5))}, ~no)
    plain = Lesson(none, action, none, no, ended, torch.zeros(2, dtype=torch.int64))
    put = replace(plain, last=torch.tensor([0.25, 0.0]))
    parts = [policy_loss(agent, heard[i : i + 1], _row(plain, i)) for i in range(2)]
    assert torch.equal(policy_loss(agent, heard, put), parts[1])
    ends = [ending_loss(agent, heard[i : i + 1], _row(plain, i)) for i in range(2)]
    assert torch.allclose(ending_loss(agent, heard, plain), (ends[0] + ends[1]) / 2)
    assert torch.allclose(ending_loss(agent, heard, put), (0.25 * ends[0] + ends[1]) / 2)


def _row(lesson: Lesson, row: int) -> Lesson:
    one = slice(row, row + 1)
    parts = (lesson.clean[one], lesson.action[one], lesson.reward[one], lesson.rewarded[one])
    return Lesson(*parts, lesson.ended[one], lesson.tasks[one])


def test_only_who_is_imitated_is_glanced_at(trained):  # noqa: F811
    """The best of few, and nobody else: half of them where things went well."""
    store, run = trained
    cache, tokenizer = ClipCache.open(store, run / "cache"), load_tokenizer(run)
    model = build(Stage.open(run / "agent"), SPEC)
    shapes, plan = (model.agent.shape, model.dynamics.shape), lessons(4, best=0.1, glances=64)
    returns = [cache.rewards(e).sum() for e in range(len(cache))]
    best = int(np.argmax(returns))
    with ranks() as group:
        teacher = Teacher(cache, tokenizer, shapes, plan, Forcing(), (3, group))
        for source in (teacher.relevant, *teacher.glanced):
            episodes, starts = source.draw(0, length=2, batch=64)
            assert set(episodes.tolist()) == {best}
        assert not all(teacher.well[best][starts])  # any of its frames
        good = teacher.glanced[0].draw(0, length=2, batch=64)[1]
        assert all(teacher.well[best][good])
        (shown,) = teacher(0)
        assert [len(lesson.clean) for lesson in shown.glances] == [32, 32]
