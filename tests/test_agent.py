"""The agent in the world: the firewall both ways, the cache, and the heads."""

import pytest
import torch
from test_dream import make_clip
from worlds import ACTIONS, keys, tiny_dynamics

from worldloom.check import check_world
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.models.agent import Agent
from worldloom.models.dream import DreamWorld, Sampler, dream_spec
from worldloom.models.dynamics import DynamicsShape
from worldloom.models.heads import AgentShape
from worldloom.models.patches import PatchShape, PatchTokenizer
from worldloom.seeding import noise

SHAPE = AgentShape(
    tasks=("walk", "jump"), length=3, hidden=16, bins=15, reach=2.0, eye=4, witness=4
)


def make_agent(world: DynamicsShape, seed: int = 0) -> Agent:
    """An agent whose heads say something, as after training."""
    torch.manual_seed(seed)
    agent = Agent(SHAPE, world, ACTIONS)
    assert agent.witness is not None
    paying = agent.witness.reward.head
    for head in (agent.policy.head, agent.reward.head, agent.ending, paying):
        torch.nn.init.normal_(head.out.weight, 0.0, 0.5)
    return agent.eval().requires_grad_(False)


def agent_world(seed: int = 0, **sampler) -> DreamWorld:
    torch.manual_seed(0)
    tokenizer = PatchTokenizer(PatchShape((16, 16), 8, 6))
    tokenizer.fit((torch.rand(200, 16, 16, 3) * 255).to(torch.uint8))
    dynamics = tiny_dynamics(copy=2, columns=2)
    spec = dream_spec("test", (16, 16), ACTIONS, 20.0)
    agent = make_agent(dynamics.shape, seed)
    return DreamWorld(tokenizer, dynamics, spec, Sampler(**sampler), agent)


def inputs(model, batch=2, length=7, committed=True, seed=0):
    draws = torch.Generator().manual_seed(seed)
    full = (batch, length, model.shape.tokens, model.shape.channels)
    noisy, past = (torch.randn(full, generator=draws) for _ in range(2))
    signal = torch.randint(0, model.shape.grid, (batch, length), generator=draws)
    size = torch.full_like(signal, model.shape.grid.bit_length() - 1)
    action = keys(batch, length, seed=seed)
    return noisy, signal, size, action, None, past[:, 1:] if committed else None


@pytest.mark.parametrize("committed", [True, False])
@torch.no_grad()
def test_the_world_does_not_see_the_agent(committed):
    model = tiny_dynamics()
    given = inputs(model, committed=committed)
    alone = model(*given)
    for seed in range(3):
        guest = 10 * torch.randn(
            2, model.shape.width, generator=torch.Generator().manual_seed(seed)
        )
        beside, heard = model.watched(*given, guest)
        assert torch.equal(alone, beside)
        assert heard is not None and heard.shape == (2, 6 if committed else 7, model.shape.width)


@pytest.mark.parametrize("committed", [True, False])
@torch.no_grad()
def test_the_agent_sees_the_frame_and_the_past_and_not_the_future(committed):
    model = tiny_dynamics()
    noisy, signal, size, action, alone, past = inputs(model, committed=committed)
    guest = torch.randn(2, model.shape.width)
    _, heard = model.watched(noisy, signal, size, action, alone, past, guest)
    seen = (noisy if past is None else past).clone()
    seen[:, 3] += 1.0
    changed = (seen, past) if past is None else (noisy, seen)
    _, other = model.watched(changed[0], signal, size, action, alone, changed[1], guest)
    assert torch.equal(heard[:, :3], other[:, :3])
    assert (heard[:, 3:] != other[:, 3:]).any(-1).all()
    _, asked = model.watched(noisy, signal, size, action, alone, past, guest + 1)
    assert (asked != heard).any(-1).all()


def test_gradients_of_the_agent_reach_the_world_and_its_token():
    model = tiny_dynamics()
    agent = Agent(SHAPE, model.shape, ACTIONS)
    token = agent.enter(torch.tensor([0, 1]))
    _, heard = model.watched(*inputs(model), token)
    heard.square().sum().backward()
    assert model.layers[0].attention.qkv.weight.grad.abs().sum() > 0
    assert (agent.token.grad.abs().sum(-1) > 0).all()


@torch.no_grad()
def test_what_the_agent_hears_in_a_dream_is_what_the_whole_sequence_tells():
    """The slow judge: all frames so far, committed, through `watched`, at every step."""
    world = agent_world(snap=False)
    model, shape = world.dynamics, world.dynamics.shape
    length, rows = 3 * shape.window, 2
    clip, actions, seeds = make_clip(length=4), keys(rows, length, seed=3), torch.tensor([5, 9])
    clip = Clip(frames=clip.frames, actions=clip.actions, texts=("jump", "walk"))
    state, step = world.start(clip, seeds)
    level = round(0.9 * shape.grid)
    frame = (shape.tokens, shape.channels)

    def corrupted(n, z):
        eps = noise(seeds, torch.full((rows,), n), 1, frame)
        return torch.lerp(eps, z, level / shape.grid)

    first = world.encode(clip.frames["main"])
    committed = [corrupted(n, first[:, n]) for n in range(4)]
    done = clip.actions.values["keys"]
    token = world.agent.enter(torch.tensor([1, 0]))
    for n in range(4, length):
        past = torch.stack(committed, 1)
        lead = (rows, past.shape[1])
        told = keys(*lead).__class__({"keys": done}, torch.ones(lead, dtype=torch.bool))
        told.known[:] = True
        told.known[:, : clip.actions.known.shape[1]] = clip.actions.known
        whole = torch.full(lead, level), torch.full(lead, shape.grid.bit_length() - 1)
        _, heard = model.watched(past, *whole, told, None, None, token)
        expected = world.agent.read(heard[:, -1], state.latents[:, -1])
        assert torch.allclose(world.features(state), expected, atol=1e-4), n
        logits = world.agent.reward(expected)[:, 0]
        assert torch.allclose(step.reward, world.agent.reward.mean(logits), atol=1e-3) or (
            step.terminated.any()
        )
        state, step = world.step(state, actions[:, n])
        done = torch.cat([done, actions[:, n].values["keys"][:, None]], 1)
        committed.append(corrupted(n, state.latents[:, -1]))


@pytest.mark.slow
def test_a_world_with_an_agent_keeps_the_contract():
    tested = check_world(agent_world(), make_clip())
    assert "a step is a pure function" in tested and "states stack" in tested


@torch.no_grad()
def test_a_dream_is_the_same_with_and_without_an_agent():
    states = []
    for agent in (True, False):
        world = agent_world()
        world.agent = world.agent if agent else None
        state, _ = world.start(make_clip(), torch.tensor([1, 2]))
        for n in range(5):
            state, _ = world.step(state, keys(2, 5, seed=1)[:, n])
        states.append(state)
    assert torch.equal(states[0].latents, states[1].latents)
    for a, b in zip(states[0].ring.k, states[1].ring.k, strict=True):
        assert torch.equal(a, b)


@torch.no_grad()
def test_observing_real_frames_equals_starting_from_them():
    world = agent_world()
    clip = make_clip(length=6)
    whole, _ = world.start(clip, torch.tensor([1, 2]))
    state, _ = world.start(
        Clip(frames={"main": clip.frames["main"][:, :2]}, actions=clip.actions[:, :2]),
        torch.tensor([1, 2]),
    )
    for n in range(2, 6):
        newest = Clip(frames={"main": clip.frames["main"][:, n : n + 1]})
        state, _ = world.observe(state, clip.actions[:, n], newest)
    assert torch.equal(world.features(state), world.features(whole))
    assert torch.equal(state.latents, whole.latents)


@torch.inference_mode()
def test_a_predicted_ending_lasts_and_gives_no_reward():
    world = agent_world()
    state, _ = world.start(make_clip(), torch.tensor([1, 2]))
    state.mind.over[0] = True
    for n in range(3):
        state, step = world.step(state, keys(2, 3)[:, n])
        assert step.terminated[0] and step.reward[0] == 0


@torch.no_grad()
def test_marks_and_rows_carry_the_agents_memory():
    world = agent_world()
    state, _ = world.start(make_clip(), torch.tensor([1, 2]))
    actions = keys(2, 24, seed=4)
    mark = None
    for n in range(12):
        state, _ = world.step(state, actions[:, n])
        mark = world.mark(state, mark)
    ahead = [state.copy(), world.recall(mark)]
    for n in range(12, 20):
        ahead = [world.step(s, actions[:, n])[0] for s in ahead]
    assert torch.equal(world.features(ahead[0]), world.features(ahead[1]))
    one = ahead[0][[1]]
    other = state[[0, 0]]
    other.put(1, one)
    assert torch.equal(world.features(other)[1], world.features(ahead[0])[1])


def test_an_unknown_task_is_one_sentence():
    clip = make_clip()
    with pytest.raises(WorldloomError, match="no task `fly`") as error:
        agent_world().start(Clip(frames=clip.frames, texts=("fly", "walk")), torch.tensor([1, 2]))
    assert "walk, jump" in error.value.hint


def test_untrained_heads_know_nothing():
    agent = Agent(SHAPE, tiny_dynamics().shape, ACTIONS)
    x = torch.randn(4, tiny_dynamics().shape.width)
    assert torch.equal(agent.reward.mean(agent.reward(x)), torch.zeros(4, 3))
    assert torch.allclose(agent.policy.now(x).entropy(), torch.full((4,), 3 * 0.6931472))


def test_the_last_layer_must_be_over_time():
    with pytest.raises(WorldloomError, match="over space"):
        Agent(SHAPE, DynamicsShape(4, 6, width=16, layers=5, heads=2, kv_heads=2), ACTIONS)
