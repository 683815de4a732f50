"""Rounds of correction: what is learned on from, on what, and that a killed one goes on exactly."""

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes import craft_correct
from worldloom import correct as correcting
from worldloom.agents.choose import choose
from worldloom.configs import Batches, nano
from worldloom.correct import Correction, Plan, correct, dreamer
from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.data.gather import Quota, gather, gathered
from worldloom.data.ledger import Ledger
from worldloom.data.record import Keep, record
from worldloom.data.relevant import RelevantSampler
from worldloom.data.store import Store
from worldloom.envs import CRAFT
from worldloom.envs.make import Setup
from worldloom.envs.reenter import moment_at
from worldloom.errors import WorldloomError
from worldloom.evaluate.exam import line
from worldloom.evaluate.gap import Returns
from worldloom.hub import load_team
from worldloom.progress import Progress
from worldloom.train import correct as training
from worldloom.train.agent import train_agent
from worldloom.train.checkpoint import read_tensors
from worldloom.train.correct import Repair
from worldloom.train.doubt import Doubting, train_doubt
from worldloom.train.dream import train_dream
from worldloom.train.dynamics import train_dynamics
from worldloom.train.imagination import Dreaming
from worldloom.train.learner import Learner
from worldloom.train.lessons import Lessons
from worldloom.train.onward import Onward, fresh, weights
from worldloom.train.optim import Schedule
from worldloom.train.replay import Windows
from worldloom.train.setup import Options
from worldloom.train.stage import Stage
from worldloom.train.tokenizer import train_tokenizer

PLAN = Plan(steps=40, updates=2, dreams=2, starts=4, horizon=3, save_minutes=0)


def small():
    base = nano((32, 32))
    return replace(
        base,
        dynamics=replace(base.dynamics, width=32, hidden=48, heads=2, kv_heads=2, window=6),
        schedule=Schedule(2, 1e-3, warmup=1, muon_rate=0.01),
        batches=Batches(rows=4, short=6, long=8),
        tokenizer_batches=Batches(rows=256, short=1, long=1),
    )


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A run whose agent has dreamed, with its store beside it; each stage of a few updates."""
    run = tmp_path_factory.mktemp("origin") / "run"
    keep = Keep(max_frames=60, heldout=0.3)
    record(CRAFT, run / "store", episodes=6, policies=choose("journeyman"), workers=0, keep=keep)
    store = Store.open(run / "store")
    assert store.split("heldout")
    train_tokenizer(store, run, small(), Options())
    train_dynamics(store, run, small(), Options())
    lessons = Lessons(Schedule(2, 1e-3, muon_rate=0.01), Batches(4, 6, 8), hidden=32)
    train_agent(store, run, lessons, Options())
    how = Dreaming(horizon=2, contexts=4, context=4)
    train_dream(store, run, Schedule(2, warmup=1), how, Options())
    return run


def copy(origin: Path, folder: Path) -> tuple[Path, Store]:
    run = folder / "run"
    shutil.copytree(origin, run)
    return run, Store.open(run / "store")


def go(run: Path, store: Store, plan: Plan = PLAN, rounds: int = 1):
    out = StringIO()
    return correct(run, store, plan, rounds=rounds, progress=Progress({"x": 0.0}, out=out)), out


@pytest.fixture(scope="module")
def corrected(origin, tmp_path_factory):
    run, store = copy(origin, tmp_path_factory.mktemp("corrected"))
    found, out = go(run, store)
    return run, store, found, out.getvalue()


@pytest.mark.slow
def test_a_round_acts_learns_dreams_and_is_examined(origin, corrected):
    run, store, found, said = corrected
    first, second = found["rounds"]
    assert first["real_steps"] == 0 and second["real_steps"] == PLAN.steps
    assert {"value", "low", "high", "n"} == set(first["agent"]["gap"]["dynamics"])
    assert first["deeds"]["forbidden"]["n"] >= 1 and "gap_removed" not in first
    assert set(second["gap_removed"]) == {"agent", "planner"}
    assert second["planner"]["gap"]["gap"]["n"] == 1 and second["planner"]["horizon"] == 3
    rows = [one["agent"]["gap"]["rows"]["episodes"] for one in (first, second)]
    assert rows[0] == rows[1], "the same moments in every round"
    assert {store.row(name).split for name in rows[0]} == {"heldout"}
    assert json.loads((run / "rounds" / "report.json").read_text()) == found
    assert "kept as it is" in said and "round 1: real return" in said
    assert "dynamics" in line(second) and "forbidden" in line(second)
    told = craft_correct.figures({"agent": found, "random": found})
    assert told["gap_removed_1_rounds"] == told["gap_removed_1_rounds_random"]
    assert {"forbidden_rate_before", "omission_rate_after", "return_before"} <= set(told)
    before, after = (
        read_tensors(folder / "agent" / "weights.safetensors")[0]
        for folder in (run, run / "rounds/1")
    )
    apart = [float((before[k] - after[k]).abs().max()) for k in before if k.endswith("weight")]
    assert 0 < max(apart) < 0.2, "learned on from the earlier weights"
    assert load_team(run / "rounds" / "1").world is not None
    assert {p.name for p in run.iterdir()} == {
        *(p.name for p in origin.iterdir()),
        "rounds",
        "ledger",
    }


@pytest.mark.slow
def test_new_recordings_are_labelled_and_for_training(corrected):
    run, store, _found, _ = corrected
    again = Store.open(store.path)
    names = gathered(again, {"round": 1})
    rows = [again.row(name) for name in names]
    assert sum(row.length - 1 for row in rows) == PLAN.steps
    assert {row.split for row in rows} == {"train"} and rows[0].policy == "agent of round 1"
    assert names == [row.name for row in again.episodes][-len(names) :]
    config = Stage.open(run / "rounds/1/agent").config
    assert set(names) == set(config["lessons"]["onward"]["fresh"]) <= set(config["episodes"])


@pytest.mark.slow
def test_lies_are_in_the_ledger_once(corrected):
    run, _store, found, _ = corrected
    ledger = Ledger.open(run)
    lies = ledger.lies()
    assert lies and {lie.round for lie in lies} <= {0, 1}
    assert len({(lie.kind, lie.same) for lie in lies}) == len(lies)
    for lie in lies[:3]:
        dream, real = ledger.dream(lie), ledger.real(lie)
        assert real is not None and len(dream) == len(real) == lie.start + len(dream) - lie.start
        shown = dream.frames["main"][: lie.start]
        assert (shown == real.frames["main"][: lie.start]).all(), "both begin alike"
        assert lie.said != lie.truth
    last = found["rounds"][-1]["lies"]
    assert last["open"] + last["closed"] == len(lies)


def dies_at(what: str):
    """Makes this process kill itself at a point of a correction."""

    def after(owner, name, when=lambda *given: True):
        whole = getattr(owner, name)

        def once(*args, **kwargs):
            result = whole(*args, **kwargs)
            if when(*args):
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, once)

    saved = lambda part: lambda learner, path: f"1/{part}" in str(path)  # noqa: E731
    if what == "act":
        after(Store, "append", lambda store, *rest: store.path.name == "store")
    elif what == "tokenizer":
        after(shutil, "copytree")
    elif what in ("agent", "dream"):
        after(Learner, "save", saved(what))
    elif what == "ledger":
        after(Ledger, "add")


def child(run: Path, what: str) -> None:
    torch.set_num_threads(1)
    dies_at(what)
    go(run, Store.open(run / "store"))
    os._exit(0)


@pytest.mark.slow
def test_a_killed_correction_goes_on_to_the_same_end(origin, corrected, tmp_path):
    straight = corrected[0]
    run, _ = copy(origin, tmp_path)
    fork = multiprocessing.get_context("fork")
    for what in ("ledger", "act", "tokenizer", "agent", "dream"):
        process = fork.Process(target=child, args=(run, what))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, what
    go(run, Store.open(run / "store"))
    for file in (
        *(f"rounds/1/{stage}/weights.safetensors" for stage in ("tokenizer", "agent", "dream")),
        *("rounds/0/report.json", "rounds/1/report.json"),
    ):
        assert (run / file).read_bytes() == (straight / file).read_bytes(), file
    ours, theirs = (
        [replace(lie, date="", closed=None) for lie in Ledger.open(r).lies()]
        for r in (run, straight)
    )
    assert [(x.same, x.wrong, x.round) for x in ours] == [
        (x.same, x.wrong, x.round) for x in theirs
    ]


@pytest.mark.slow
def test_a_correction_goes_on_as_it_was_begun(corrected):
    run, store, _, _ = corrected
    with pytest.raises(WorldloomError, match=r"was begun with --mixture 0\.5"):
        Correction(run, store, replace(PLAN, mixture=0.25))
    report = (run / "rounds/1/report.json").read_bytes()
    assert len(go(run, Store.open(store.path))[0]["rounds"]) == 2
    assert (run / "rounds/1/report.json").read_bytes() == report


@pytest.mark.slow
def test_another_run_of_the_same_name_does_not_share_a_store(origin, corrected, tmp_path):
    run, _ = copy(origin, tmp_path)
    with pytest.raises(WorldloomError, match="holds rounds of another run"):
        Correction(run, Store.open(corrected[1].path), PLAN)


@pytest.mark.parametrize(
    ("data", "words"),
    [("nobody", "no policy `nobody`"), ("random,expert", "several players")],
)
def test_who_cannot_act_is_said_at_once(origin, tmp_path, data, words):
    (tmp_path / "run").mkdir()
    for part in ("agent", "dream", "tokenizer", "store"):
        (tmp_path / "run" / part).symlink_to(origin / part)
    store = Store.open(tmp_path / "run" / "store")
    with pytest.raises(WorldloomError, match=words):
        Correction(tmp_path / "run", store, replace(PLAN, data=data))


def test_windows_come_from_old_and_new_as_stated(origin, tmp_path):
    store = Store.open(origin / "store")
    cache = ClipCache.open(store, origin / "cache")
    new = cache.names[-1:]
    for share in (0.0, 0.25, 0.8):
        onward = Onward("", share, new)
        given = weights(cache, onward, 6)
        sampler = ClipSampler(cache, 6, 8, seed=0, weights=given)
        episodes, _ = sampler.draw(0, length=6, batch=4000)
        assert np.mean(fresh(cache, onward)[episodes]) == pytest.approx(share, abs=0.03)
    assert weights(cache, None, 6) is None and weights(cache, Onward("", 0.5, ()), 6) is None
    old = ~fresh(cache, Onward("", 0.5, new))
    well = [np.ones(length, bool) for length in cache.lengths]
    shown = RelevantSampler(cache, 6, 8, seed=0, well=well, weights=old)
    assert len(cache) - 1 not in shown.windows(6)[0]
    with pytest.raises(WorldloomError, match=r"a share of 1\.5"):
        Onward("", 1.5, ())


def test_real_steps_are_gathered_to_the_step_and_once(origin, tmp_path):
    shutil.copytree(origin / "store", tmp_path / "store")
    store = Store.open(tmp_path / "store")
    (maker,) = choose("random")
    quota = Quota(50, {"of": "test"}, "someone", seed=3, most=21)
    names = gather(store, Setup(CRAFT), maker, quota)
    assert [store.row(name).length for name in names] == [21, 21, 11]
    assert gather(store, Setup(CRAFT), maker, quota) == names
    moments = [moment_at(store, names[0], 0), moment_at(store, names[1], 0)]
    begun = replace(quota, labels={"of": "moments"}, steps=9, most=4, begin=moments)
    made = [store.read(name) for name in gather(store, Setup(CRAFT), maker, begun)]
    assert [len(one) for one in made] == [4, 4, 4]
    assert (made[1].frames["main"][0] == store.read(names[1]).frames["main"][0]).all()
    assert made[0].seed is None and 0 in made[0].snapshots


@pytest.mark.slow
def test_a_learned_tokenizer_learns_on(origin, tmp_path):
    from worldloom.models.tokenizer import TokenizerShape

    store = Store.open(origin / "store")
    shape = TokenizerShape((32, 32), 8, 8, 3, 2, width=16, layers=4, heads=2, window=4)
    size = replace(
        small(),
        tokenizer=shape,
        tokenizer_schedule=Schedule(2, 1e-3, warmup=1),
        tokenizer_batches=Batches(2, 4, 4),
    )
    options = Options(cache=origin / "cache")
    train_tokenizer(store, tmp_path / "one", size, options)
    assert not training.keep_tokenizer(tmp_path / "one", tmp_path / "two")
    repair = Repair(0.5, 2, 2, store.split("train")[-1:])
    training.learn_tokenizer(store, tmp_path / "one", tmp_path / "two", repair, options)
    before, after = (
        read_tensors(tmp_path / name / "tokenizer/weights.safetensors")[0]
        for name in ("one", "two")
    )
    name = next(k for k in before if k.endswith("weight") and before[k].ndim == 2)
    assert 0 < float((before[name] - after[name]).abs().max()) < 0.05


def test_doubt_is_asked_of_worlds_that_have_it(origin, tmp_path):
    store = Store.open(origin / "store")
    (tmp_path / "run").mkdir()
    for part in ("agent", "dream", "tokenizer"):
        (tmp_path / "run" / part).symlink_to(origin / part)
    with pytest.raises(WorldloomError, match="tells no doubt"):
        Correction(tmp_path / "run", store, replace(PLAN, data="doubt"))


@pytest.mark.slow
def test_an_environment_that_cannot_be_brought_back_is_told(corrected, monkeypatch):
    run, store, _, _ = corrected
    one = Correction(run, store, PLAN)
    monkeypatch.setattr(one, "_exam", replace(one.exam(), why="nothing repeats itself"))
    found = one._examine(0)
    assert found["not applicable"] == "nothing repeats itself" and found["return"]["n"] == 4
    assert line(found).endswith("not applicable: nothing repeats itself")


@pytest.mark.slow
def test_the_share_of_the_gap_that_is_gone_is_of_the_same_moments(corrected):
    run, _store, found, _ = corrected
    first, second = (one["agent"]["gap"] for one in found["rounds"])
    real = lambda gap: Returns(  # noqa: E731
        tuple(gap["rows"]["episodes"]),
        *(np.array(gap["rows"][k]) for k in ("imagined", "judged", "real")),
    )
    expected = float(correcting.removed(real(first), real(second)).value)
    assert found["rounds"][1]["gap_removed"]["agent"]["value"] == pytest.approx(expected)
    world, act = dreamer(run)
    assert world.sampler.passes == 4 and act is not None


@pytest.mark.slow
def test_the_agent_is_sent_where_the_world_doubts_and_doubt_is_fitted_anew(origin, tmp_path):
    run, store = copy(origin, tmp_path)
    windows = Windows(rows=4, context=3, length=6, tolerance=0.2)
    how = Doubting(Schedule(2, 3e-3, warmup=1), windows, learned=24, judged=24, batch=8)
    train_doubt(store, run, how, Options(), of="agent")
    found, _ = go(run, store, replace(PLAN, data="doubt", steps=9), rounds=2)
    assert [one["real_steps"] for one in found["rounds"]] == [0, 9, 18]
    again = Store.open(store.path)
    rows = [again.row(name) for name in gathered(again, {"round": 2})]
    assert [row.length for row in rows] == [4, 4, 4] and {row.seed for row in rows} == {None}
    doubt = Stage.open(run / "rounds/2/agent-doubt").config
    assert doubt["doubting"]["windows"]["tolerance"] == 0.2
