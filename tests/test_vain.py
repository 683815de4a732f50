"""Pauses told as deeds: only pauses, only for the world, and what a learner makes of them."""

import numpy as np
import torch
from test_agent_training import SPEC, lessons, trained  # noqa: F401

from worldloom.actions import Action, ActionSpec, Binary, Categorical, Continuous
from worldloom.configs import Forcing
from worldloom.data.cache import ClipCache
from worldloom.hub import load_tokenizer
from worldloom.train.agent import build
from worldloom.train.dist import Ranks
from worldloom.train.stage import Stage
from worldloom.train.teaching import Teacher
from worldloom.train.vain import draw_deeds, pauses, told

MIXED = ActionSpec(
    (Binary("keys", ("left", "right")), Continuous("stick", (-1.0, -1.0), (1.0, 1.0))), per_frame=2
)


def many(spec: ActionSpec, lead: tuple[int, int], share: float, seed: int) -> Action:
    return draw_deeds(spec, lead, share, np.random.default_rng(seed))


def recorded(spec: ActionSpec, lead: tuple[int, int]) -> Action:
    """A third of the steps are pauses, and every fifth label is unknown."""
    drawn, null = many(spec, lead, 2 / 3, 1), spec.null(lead)
    known = np.random.default_rng(2).random(lead) < 0.8
    values = {
        name: np.where(drawn.known.reshape(*lead, *[1] * (v.ndim - 2)), v, null[name])
        for name, v in drawn.values.items()
    }
    return Action(values, known).map(torch.as_tensor)


def test_pauses_are_told_as_deeds_and_nothing_else_is_touched():
    for spec in (SPEC, MIXED):
        lead = (40, 30)
        action, deeds = recorded(spec, lead), many(spec, lead, 0.5, 3)
        still = pauses(action, spec)
        by_hand = action.known.clone()
        for name, null in spec.null().items():
            same = (action.values[name].numpy() == null).reshape(*lead, -1).all(-1)
            by_hand &= torch.from_numpy(same)
        assert torch.equal(still, by_hand) and 0.2 < still.float().mean() < 0.5
        heard = told(action, deeds, spec)
        here = still & torch.from_numpy(deeds.known)
        assert 0.4 < here.sum() / still.sum() < 0.6
        assert torch.equal(heard.known, action.known)
        for name, value in heard.values.items():
            wanted = torch.as_tensor(deeds.values[name]).to(value)
            assert torch.equal(value[here], wanted[here])
            assert torch.equal(value[~here], action.values[name][~here])


def test_no_share_tells_the_truth():
    action = recorded(SPEC, (8, 9))
    heard = told(action, many(SPEC, (8, 9), 0.0, 0), SPEC)
    assert torch.equal(heard.values["action"], action.values["action"])


def test_what_was_never_done_comes_to_nothing_and_what_is_done_stays_possible():
    """Players make at a table, half of the time, and nowhere else; they pause anywhere.

    The least-squares answer to "they make" is the share of those told to have made to whom
    something came of it. Told the truth there is no answer away from the table at all.
    """
    spec, lead = ActionSpec((Categorical("action", 10),)), (400, 200)
    dice = np.random.default_rng(0)
    table = dice.random(lead) < 0.02
    mood = dice.random(lead)
    action = np.where(mood < 0.1, 0, dice.integers(1, 9, lead))
    action = np.where(table & (mood > 0.5), 9, action)
    obtained = torch.from_numpy(action == 9)
    said = Action({"action": torch.from_numpy(action)}, torch.ones(lead, dtype=torch.bool))
    near = torch.from_numpy(table)
    assert not (said.values["action"] == 9)[~near].any()
    heard = told(said, many(spec, lead, 0.5, 4), spec).values["action"]
    make = heard == 9
    assert make[~near].sum() > 100 and not obtained[make & ~near].any()
    assert obtained[make & near].float().mean() > 0.95


def test_each_rank_tells_its_part_of_what_one_would_tell():
    action, deeds = recorded(SPEC, (8, 6)), many(SPEC, (8, 6), 0.5, 5)
    whole = told(action, deeds, SPEC).values["action"]
    parts = [told(action[rows], deeds[rows], SPEC) for rows in (slice(4), slice(4, 8))]
    assert torch.equal(whole, torch.cat([part.values["action"] for part in parts]))


def test_only_the_world_is_told_so(trained):  # noqa: F811
    """What is imitated stays what was done."""
    store, run = trained
    cache, tokenizer = ClipCache.open(store, run / "cache"), load_tokenizer(run)
    model = build(Stage.open(run / "agent"), SPEC)
    shapes, plan = (model.agent.shape, model.dynamics.shape), lessons(4, glances=8)
    one, other = (
        Teacher(cache, tokenizer, shapes, plan, Forcing(vain=share), (3, Ranks()))
        for share in (0.0, 1.0)
    )
    changed = 0
    for step in range(4):
        (true,), (lied,) = one(step), other(step)
        assert true.uniform is not None and lied.uniform is not None
        same = true.uniform.action.values["action"] == lied.uniform.action.values["action"]
        assert (true.uniform.action.values["action"][~same] == 0).all()
        changed += int((~same).sum())
        for a, b in zip(
            (true.relevant, *true.glances), (lied.relevant, *lied.glances), strict=True
        ):
            assert torch.equal(a.action.values["action"], b.action.values["action"])
    assert changed > 5
