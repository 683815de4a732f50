"""Frames held still: what was seen stays what was seen, and what nobody tried comes to nothing."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_agent_training import SPEC, lessons, trained  # noqa: F401
from test_train import make_store, small_size

from worldloom.actions import Action, ActionSpec, Binary, Categorical
from worldloom.configs import Forcing
from worldloom.data.cache import ClipCache
from worldloom.hub import load_tokenizer
from worldloom.train.agent import build
from worldloom.train.dist import Ranks
from worldloom.train.dynamics import DynamicsObjective, train_dynamics
from worldloom.train.held import Coming, Held, draw_held, draw_soon, seldom
from worldloom.train.setup import Options
from worldloom.train.stage import Stage
from worldloom.train.teaching import Teacher
from worldloom.train.tokenizer import train_tokenizer

RARE = {"action": np.array([7, 8, 9])}


def windows(lead: tuple[int, int]) -> tuple[torch.Tensor, Action]:
    """Frames that tell who they are, and what led to each: a number of the same kind."""
    frames = torch.arange(lead[0] * lead[1]).reshape(lead)
    known = torch.from_numpy(np.random.default_rng(0).random(lead) < 0.8)
    return frames, Action({"action": frames % 7}, known)


def test_a_window_by_hand():
    still = np.array([[False, True, False, False, True, False]])
    held = Held(still, {"action": np.array([[0, 9, 0, 0, 8, 0]])})
    frames = torch.tensor([[10, 11, 12, 13, 14, 15]])
    assert held.frames(frames).tolist() == [[10, 10, 11, 12, 12, 13]]
    assert held.nothing(frames).tolist() == [[10, 0, 11, 12, 0, 13]]
    known = torch.tensor([[False, True, False, True, True, True]])
    said = held.told(Action({"action": torch.tensor([[0, 1, 2, 3, 4, 5]])}, known))
    assert said.values["action"].tolist() == [[0, 9, 1, 2, 8, 3]]
    assert said.known.tolist() == [[False, True, True, False, True, True]]


def test_what_was_seen_follows_from_what_was_done_and_what_is_held_from_something_rare():
    lead = (40, 12)
    held = draw_held(RARE, lead, 0.2, np.random.default_rng(1))
    assert not held.still[:, 0].any() and 0.15 < held.still[:, 1:].mean() < 0.25
    frames, action = windows(lead)
    seen, said = held.frames(frames), held.told(action)
    for row in range(lead[0]):
        for t in range(1, lead[1]):
            before, now = int(seen[row, t - 1]), int(seen[row, t])
            if held.still[row, t]:
                assert now == before and int(said.values["action"][row, t]) in RARE["action"]
                assert said.known[row, t]
            else:
                assert now == before + 1 and int(said.values["action"][row, t]) == now % 7
                assert said.known[row, t] == action.known[row, now - row * lead[1]]


def test_parts_are_of_the_whole_and_no_share_changes_nothing():
    lead = (8, 6)
    frames, action = windows(lead)
    held = draw_held(RARE, lead, 0.5, np.random.default_rng(2))
    halves = [held.rows(rows).frames(frames[rows]) for rows in (slice(4), slice(4, 8))]
    assert torch.equal(torch.cat(halves), held.frames(frames))
    for deeds, share in ((RARE, 0.0), ({}, 0.5), ({"action": RARE["action"][:0]}, 0.5)):
        none = draw_held(deeds, lead, share, np.random.default_rng(2))
        assert torch.equal(none.frames(frames), frames)
        assert torch.equal(none.told(action).values["action"], action.values["action"])


class Done:
    """As much of a cache as is asked for what was done."""

    def __init__(self, *episodes: Action) -> None:
        self._episodes = episodes

    def __len__(self) -> int:
        return len(self._episodes)

    def done(self, episode: int) -> Action:
        return self._episodes[episode]


def test_what_is_done_often_is_not_told_nor_is_a_pause_nor_what_is_unknown():
    spec = ActionSpec((Categorical("action", 10), Binary("keys", ("left", "right"))))
    action = np.repeat([0, 1, 2, 3, 4], [30, 50, 10, 10, 1])
    keys = np.zeros((101, 2), np.uint8)
    keys[80:90] = 1  # with 2: another deed than 2 alone
    known = np.arange(101) < 100
    one = Action({"action": action, "keys": keys}, known)
    found = seldom(Done(one, one), spec)  # type: ignore[arg-type]
    assert found["action"].tolist() == [2, 3]
    assert found["keys"].tolist() == [[1, 1], [0, 0]]


def test_what_was_never_done_comes_to_nothing_and_what_is_done_stays_possible():
    """Players make at a table, half of the time, and nowhere else; nobody pauses.

    The least-squares answer to "they make" is the share of those told to have made to whom
    something came of it.
    """
    lead, dice = (400, 200), np.random.default_rng(0)
    table = dice.random(lead) < 0.02  # beside the player at the frame before
    action = dice.integers(1, 9, lead)
    action = np.where(table & (dice.random(lead) < 0.5), 9, action)
    action[:, 0] = 1
    obtained = action == 9
    held = draw_held({"action": np.array([9])}, lead, 0.05, dice)
    whole = Action({"action": torch.from_numpy(action)}, torch.ones(lead, dtype=torch.bool))
    make = held.told(whole).values["action"] == 9
    near = torch.from_numpy(table)
    # A held frame is followed by what followed it: it lies before the step that comes next.
    later = torch.cat([held.frames(near)[:, 1:], near[:, :1]], 1)
    beside = torch.where(torch.from_numpy(held.still), later, held.frames(near))[:, :-1]
    came = held.nothing(torch.from_numpy(obtained))[:, :-1]
    make = make[:, :-1]
    assert make[~beside].sum() > 1000 and not came[make & ~beside].any()
    assert came[make & beside].float().mean() > 0.85


def of_actions(*episodes: list[int]) -> Done:
    return Done(*(Action({"action": np.array(e)}, np.arange(len(e)) > 0) for e in episodes))


def test_what_comes_next_by_hand():
    cache = of_actions([8, 5, 7, 0, 0, 8, 1], [0, 1])
    coming = Coming.of(cache, {"action": np.array([7, 8])})  # type: ignore[arg-type]
    assert coming.when[0].tolist() == [2, 2, 2, 5, 5, 5, 7]
    assert coming.which[0].tolist() == [0, 0, 0, 1, 1, 1, -1]
    assert coming.when[1].tolist() == [2, 2] and coming.which[1].tolist() == [-1, -1]


def test_a_frame_is_told_as_what_comes_next_but_not_yet():
    dice = np.random.default_rng(4)
    done = [dice.choice([1, 2, 7, 8], 60, p=[0.4, 0.4, 0.1, 0.1]).tolist() for _ in range(30)]
    coming = Coming.of(of_actions(*done), RARE)  # type: ignore[arg-type]
    lead = (3000, 9)
    windows = dice.integers(30, size=lead[0]), dice.integers(60 - lead[1] + 1, size=lead[0])
    before = draw_held(RARE, lead, 0.1, dice)
    held = draw_soon(before, coming, windows, 0.5, dice)
    told = np.zeros(lead[0], bool)
    for row, (episode, first) in enumerate(zip(*windows, strict=True)):
        if (held.still[row] == before.still[row]).all():
            continue
        (place,) = np.flatnonzero(held.still[row])
        later = done[episode][first + place + 1 :]
        assert done[episode][first + place] not in (7, 8)
        assert held.deeds["action"][row, place] == next(a for a in later if a in (7, 8))
        told[row] = True
    assert 0.3 < told.mean() < 0.5
    none = draw_soon(before, coming, windows, 0.0, dice)
    assert np.array_equal(none.still, before.still)
    empty = Coming.of(of_actions([1, 2]), {})  # type: ignore[arg-type]
    assert empty.which[0].tolist() == [-1, -1]


def test_who_does_a_deed_as_soon_as_it_can_be_done_is_never_told_a_lie():
    """Held frames alone tell lies of one in so many where a deed is possible; these tell none."""
    dice, episodes, able = np.random.default_rng(5), [], []
    for _ in range(200):
        can, row, possible = False, [0], [False]
        for _ in range(80):
            possible.append(can)  # before this step
            row.append(7 if can else 1)
            can = not can and dice.random() < 0.05
        episodes.append(row)
        able.append(possible)
    coming = Coming.of(of_actions(*episodes), {"action": np.array([7])})  # type: ignore[arg-type]
    lead = (4000, 10)
    windows = dice.integers(200, size=lead[0]), dice.integers(81 - lead[1] + 1, size=lead[0])
    nothing = draw_held(coming.deeds, lead, 0.0, dice)
    held = draw_soon(nothing, coming, windows, 1.0, dice)
    rows, places = np.nonzero(held.still)
    assert len(rows) > 2000
    assert not any(
        able[windows[0][r]][windows[1][r] + p] for r, p in zip(rows, places, strict=True)
    )


def test_only_the_world_is_told_so(trained, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    """What is imitated stays what was done, and a step that is held brings nothing."""
    monkeypatch.setattr("worldloom.train.held.OFTEN", 1.0)
    store, run = trained
    cache, tokenizer = ClipCache.open(store, run / "cache"), load_tokenizer(run)
    model = build(Stage.open(run / "agent"), SPEC)
    shapes, plan = (model.agent.shape, model.dynamics.shape), lessons(4, glances=8)
    one, other = (
        Teacher(cache, tokenizer, shapes, plan, Forcing(held=share), (3, Ranks()))
        for share in (0.0, 0.5)
    )
    drawn: list[Held] = []

    def spied(*given) -> Held:
        drawn.append(draw_held(*given))
        return drawn[-1]

    monkeypatch.setattr("worldloom.train.teaching.draw_held", spied)
    stops = 0
    for step in range(4):
        (true,), (lied,) = one(step), other(step)
        assert true.uniform is not None and lied.uniform is not None
        held = drawn[-1]
        still = torch.from_numpy(held.still)
        assert (lied.uniform.action.values["action"][still] != 0).all()
        assert not lied.uniform.reward[still].any() and not lied.uniform.ended[still].any()
        for name in ("clean", "rewarded", "well"):
            wanted = held.frames(getattr(true.uniform, name))
            assert torch.equal(getattr(lied.uniform, name), wanted)
        assert torch.equal(lied.uniform.reward, held.nothing(true.uniform.reward))
        stops += int(still.sum())
        for a, b in zip(
            (true.relevant, *true.glances), (lied.relevant, *lied.glances), strict=True
        ):
            assert torch.equal(a.clean, b.clean) and torch.equal(a.reward, b.reward)
            assert torch.equal(a.action.values["action"], b.action.values["action"])
    assert stops > 5


def test_recorded_deeds_are_read_from_the_cache(trained, tmp_path: Path):  # noqa: F811
    store, run = trained
    cache = ClipCache.open(store, run / "cache")
    whole = store.read(cache.names[1])
    done = cache.done(1)
    assert np.array_equal(done.values["action"], whole.actions["action"])
    assert np.array_equal(done.known, whole.action_known)


@pytest.mark.slow
def test_a_world_is_shown_frames_that_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worldloom.train.held.OFTEN", 0.5)
    store, size = make_store(tmp_path / "store"), small_size(steps=3)
    train_tokenizer(store, tmp_path / "run", size, Options())
    seen: list[tuple[torch.Tensor, Action]] = []
    usual = DynamicsObjective.forward

    def watched(self, clean, action, draws):
        seen.append((clean, action))
        return usual(self, clean, action, draws)

    monkeypatch.setattr(DynamicsObjective, "forward", watched)
    shown = []
    for share in (0.0, 0.4):
        seen.clear()
        shutil.rmtree(tmp_path / "run" / "dynamics", ignore_errors=True)
        forcing = replace(size.forcing, held=share)
        train_dynamics(store, tmp_path / "run", replace(size, forcing=forcing), Options(seed=1))
        shown.append(list(seen))
    stops = 0
    for (true, did), (lied, told) in zip(*shown, strict=True):
        assert torch.equal(true[:, 0], lied[:, 0]) and did.known.shape == told.known.shape
        for row in range(len(true)):
            place = 0
            for t in range(1, true.shape[1]):  # every frame is the next one, or the same again
                if torch.equal(lied[row, t], true[row, place + 1]):
                    place += 1
                else:
                    assert torch.equal(lied[row, t], true[row, place]) and told.known[row, t]
                    assert told.values["keys"][row, t].any()
                    stops += 1
    assert stops > 2
