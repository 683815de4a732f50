"""A doubt is trained, resumed, found again beside its world, and heeded by who dreams in it."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from test_agent_training import SPEC, colour_store, lessons, small
from worlds import tiny_dynamics

from worldloom.data.cache import ClipCache
from worldloom.errors import WorldloomError
from worldloom.families import identity_of
from worldloom.hub import load_agent, load_trunk, load_world, new_doubt, save_world
from worldloom.models.agent import Agent
from worldloom.models.draw import Sampler
from worldloom.models.heads import AgentShape
from worldloom.train.agent import train_agent
from worldloom.train.doubt import Doubting, DoubtObjective, measure, told, train_doubt
from worldloom.train.dream import Actor, DreamObjective, Rollout, heeded, train_dream
from worldloom.train.dynamics import train_dynamics
from worldloom.train.imagination import Dreaming, lambda_returns
from worldloom.train.optim import Schedule
from worldloom.train.replay import Windows, replay
from worldloom.train.setup import Options
from worldloom.train.tokenizer import train_tokenizer
from worldloom.trust.report.profile import without_doubt

pytestmark = pytest.mark.slow

WINDOWS = Windows(rows=4, context=3, length=6, tolerance=0.2)
SMALL = Doubting(Schedule(steps=6, rate=3e-3, warmup=2), WINDOWS, learned=48, judged=48, batch=16)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with tokenizer, dynamics and agent, and the doubt of both worlds."""
    folder = tmp_path_factory.mktemp("doubts")
    store, run = colour_store(folder / "store", episodes=16), folder / "run"
    train_tokenizer(store, run, small(), Options())
    train_dynamics(store, run, small(), Options())
    assert train_agent(store, run, lessons(), Options())
    for of in ("dynamics", "agent"):
        assert train_doubt(store, run, SMALL, Options(), of=of)
    return store, run


def test_a_step_beside_the_recording_has_the_error_of_what_is_shown(run):
    """The plain version, for the first step: the world itself, rendered."""
    store, folder = run
    world, cache = load_trunk(folder, "dynamics"), ClipCache.open(store, folder / "cache")

    def watched(tolerance):
        """Steps, and the frames before them as they were then."""
        windows = replace(WINDOWS, tolerance=tolerance)
        seen = replay(world, cache, windows, steps=24, seed=3)
        return zip(*[(step, step.made.before.clone()) for step in seen], strict=True)

    steps, before = watched(0.0)
    assert len(steps) == 6
    reals = torch.stack([step.real for step in steps], 1)
    for step, after in zip(steps, before[1:], strict=False):  # wrong: back on the recording
        assert torch.equal(after, step.real)
    loose, before = watched(1.0)
    for step, after in zip(loose, before[1:], strict=False):  # right: the dream goes on
        assert torch.equal(after, step.made.latents)
    assert torch.equal(reals, torch.stack([step.real for step in loose], 1))
    shown, real = (world.tokenizer.decode(x) for x in (steps[0].made.latents, reals[:, 0]))
    gap = ((shown.clamp(0, 1) - real.clamp(0, 1)) ** 2).flatten(1).mean(1).sqrt()
    assert torch.allclose(steps[0].error, gap, atol=0.01) and gap.min() > 0


def test_a_loaded_world_doubts_as_its_stage_says(run):
    store, folder = run
    for world, name in ((load_world(folder), "doubt"), (load_agent(folder), "agent-doubt")):
        facts = json.loads((folder / name / "scores.json").read_text())
        assert world.doubt is not None and world.doubt.kind == facts["speaks"]
        assert world.spec.tolerance == 0.2 and set(facts["auroc"]) > {"heads", "near", "spread"}
        cache = ClipCache.open(store, folder / "cache", split="heldout")
        found = measure(world.doubt, world, cache, WINDOWS, steps=24, seed=1)
        table = told(world.doubt, found, world.doubt.kind)
        assert len(table.doubt) == 24 and (table.low <= table.high).all()
    assert load_trunk(folder, "dynamics").doubt is None
    assert load_world(folder, Sampler(passes=2)).doubt is None  # it was fitted to another way


def test_training_resumes_exactly(run, tmp_path):
    store, folder = run
    for part in ("tokenizer", "dynamics"):
        (tmp_path / part).symlink_to(folder / part)
    assert not train_doubt(store, tmp_path, SMALL, Options(until=3))
    assert not (tmp_path / "doubt" / "weights.safetensors").exists()
    assert load_world(tmp_path).doubt is None
    assert train_doubt(store, tmp_path, SMALL, Options(), resume=True)
    for name in ("weights.safetensors", "scores.json"):
        assert (tmp_path / "doubt" / name).read_bytes() == (folder / "doubt" / name).read_bytes()


def test_a_doubt_of_other_weights_is_refused(run, tmp_path):
    store, folder = run
    shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("agent*", "cache"))
    shutil.rmtree(tmp_path / "run" / "dynamics")
    train_dynamics(store, tmp_path / "run", small(), Options(seed=1))
    with pytest.raises(WorldloomError, match="fitted to other weights"):
        load_world(tmp_path / "run")


def test_a_doubt_goes_with_its_world(run, tmp_path):
    _, folder = run
    world = load_world(folder)
    assert world.doubt is not None
    save_world(world, folder, tmp_path / "saved")
    saved = load_world(tmp_path / "saved")
    assert saved.doubt is not None and saved.doubt.kind == world.doubt.kind
    for old, new in zip(world.doubt.parameters(), saved.doubt.parameters(), strict=True):
        assert torch.equal(old, new)
    save_world(load_world(folder, Sampler(passes=2)), folder, tmp_path / "faster")
    assert load_world(tmp_path / "faster").doubt is None


def test_doubt_tells_a_world_from_the_same_one_without(run, tmp_path):
    _, folder = run
    told = identity_of(folder, load_world(folder))
    assert [part.split()[0] for part in told.split(", ")] == [
        "run",
        "agent",
        "doubt",
        "agent-doubt",
    ]
    bare = tmp_path / "run"
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("*doubt", "cache"))
    assert identity_of(bare, load_world(bare)) == without_doubt(told) != told
    faster = identity_of(folder, load_world(folder, Sampler(passes=2)))
    assert "agent-doubt" in faster and ", doubt" not in faster, "it was fitted to other draws"


def test_nothing_held_out_is_said_at_once(run, tmp_path):
    _, folder = run
    for part in ("tokenizer", "dynamics"):
        (tmp_path / part).symlink_to(folder / part)
    few = colour_store(tmp_path / "few", episodes=1)
    with pytest.raises(WorldloomError, match="no held-out episodes"):
        train_doubt(few, tmp_path, SMALL, Options())
    assert not (tmp_path / "doubt").exists()


def test_the_loss_is_least_where_the_mean_error_is_told():
    """Errors 1 and 3 of one kind of token: the best is log 2, for a head that has both."""
    heads = new_doubt(tiny_dynamics(), 0.1).heads
    torch.nn.init.zeros_(heads.out)
    read, off = torch.zeros(2, 1, 32), torch.tensor([[1.0], [3.0]])
    weight = torch.tensor([[1.0, 1, 0, 1], [1, 0, 1, 1]])
    heads.level.data = torch.tensor([2.0, 1.0, 3.0, 2.0]).log().requires_grad_()
    heads.level.requires_grad_()
    DoubtObjective(heads)(read, off, weight).backward()
    assert heads.level.grad is not None
    assert heads.level.grad.abs().max() < 1e-6


def test_returns_stop_where_nothing_is_believed():
    """By hand: discount 1, trace 1; the second step is not believed."""
    reward = torch.tensor([[1.0, 2.0, 4.0]])
    value = torch.tensor([[0.0, 10.0, 20.0, 30.0]])
    keeps, stops = torch.ones(1, 3), torch.tensor([[False, True, False]])
    plain = lambda_returns(reward, keeps, value, discount=1.0, trace=1.0)
    assert plain.tolist() == [[37, 36, 34]]
    found = lambda_returns(reward, keeps, value, discount=1.0, trace=1.0, stops=stops)
    assert found.tolist() == [[1 + 2 + 20, 2 + 20, 34]]


def rollout(**changes):
    torch.manual_seed(0)
    action = {"action": torch.tensor([[0, 1, 2], [2, 1, 0]])}
    reward, doubt = torch.ones(2, 3), torch.tensor([[0.0, 0.5, 0.2], [0.1, 0.0, 0.9]])
    given = Rollout(torch.randn(2, 4, 32), action, reward, torch.zeros(2, 3), doubt)
    return replace(given, **changes)


def test_caution_takes_doubt_off_the_reward_and_a_limit_ends():
    dreams = rollout()
    reward, stops = heeded(dreams, Dreaming())
    assert reward is dreams.reward and stops is None
    reward, stops = heeded(dreams, Dreaming(caution=2.0, limit=0.4))
    assert torch.allclose(reward, torch.tensor([[1.0, 0.0, 0.6], [0.8, 1.0, -0.8]]))
    assert stops is not None
    assert stops.tolist() == [[False, True, False], [False, False, True]]


def test_what_comes_after_a_doubtful_step_moves_nothing():
    dynamics = tiny_dynamics()
    torch.manual_seed(0)
    agent = Agent(AgentShape(hidden=16), dynamics.shape, SPEC)
    actor = Actor(agent, dynamics.shape.width)
    torch.nn.init.normal_(actor.value.head.out.weight, 0, 0.1)
    dreams, after = rollout(), rollout()
    after.reward[0, 2], after.heard[0, 3], after.actions["action"][0, 2] = 99.0, 9.0, 1
    for how, same in ((Dreaming(limit=0.4), True), (Dreaming(limit=0.6), False)):
        objective = DreamObjective(actor, agent.policy, how)
        losses = [objective(given).detach() for given in (dreams, after)]
        assert torch.equal(*losses) == same
    cautious = DreamObjective(actor, agent.policy, Dreaming(caution=3.0))(dreams)
    plain = DreamObjective(actor, agent.policy, Dreaming())
    assert dreams.doubt is not None
    less = replace(dreams, reward=dreams.reward - 3.0 * dreams.doubt)
    assert torch.equal(cautious, plain(less)) and not torch.equal(cautious, plain(dreams))


def test_a_dream_heeds_the_doubt_of_its_world(run, tmp_path):
    store, folder = run
    how = Dreaming(horizon=3, contexts=4, context=3)
    dreamed = {}
    for name, given in {"plain": how, "wary": replace(how, caution=50.0, limit=0.5)}.items():
        train_dream(store, folder, Schedule(steps=2, rate=1e-2), given, Options(), name=name)
        dreamed[name] = (folder / name / "weights.safetensors").read_bytes()
    assert dreamed["plain"] != dreamed["wary"]
    with pytest.raises(WorldloomError, match="caution needs a world that doubts"):
        sampler, wary = Sampler(passes=2), replace(how, caution=1.0)
        train_dream(store, folder, Schedule(2), wary, Options(), sampler=sampler, name="none")
    assert not (folder / "none").exists()
