"""The dream behind the contract: cached equals uncached, determinism, branches, noise."""

import math

import numpy as np
import pytest
import torch
from worlds import ACTIONS, keys, tiny_dynamics

from worldloom.actions import Action
from worldloom.check import check_world
from worldloom.data.types import Clip
from worldloom.models.dream import DreamWorld, Sampler, arrange, dream_spec, lighten
from worldloom.models.patches import PatchShape, PatchTokenizer
from worldloom.models.tokenizer import Tokenizer, TokenizerShape
from worldloom.seeding import noise

NEAR = {"copy": 2, "columns": 2}


def make_world(kind="patches", paths=None, **sampler):
    torch.manual_seed(0)
    if kind == "patches":
        tokenizer = PatchTokenizer(PatchShape((16, 16), 8, 6))
        tokenizer.fit((torch.rand(200, 16, 16, 3) * 255).to(torch.uint8))
    else:
        shape = TokenizerShape((16, 16), 8, 8, 3, 2, width=16, layers=4, heads=2, window=4)
        tokenizer = Tokenizer(shape)
        tokenizer.calibrate((torch.rand(2, 9, 16, 16, 3) * 255).to(torch.uint8))
    return DreamWorld(
        tokenizer,
        tiny_dynamics(**(paths or {})),
        dream_spec("test", (16, 16), ACTIONS, 20.0),
        Sampler(**sampler),
    )


def make_clip(rows=2, length=6, seed=0):
    draws = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (rows, length, 16, 16, 3), generator=draws, dtype=torch.uint8)
    return Clip(frames={"main": frames}, actions=keys(rows, length, seed=seed))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["patches", "learned"])
def test_a_dream_keeps_the_contract(kind):
    tested = check_world(make_world(kind), make_clip())
    assert "a step is a pure function" in tested and "states stack" in tested


@pytest.mark.parametrize("recalled", [False, True])
@pytest.mark.parametrize("paths", [{}, NEAR, {**NEAR, "steered": True}])
@torch.no_grad()
def test_cached_generation_equals_recomputing_the_whole_history(paths, recalled):
    """The plain version: all frames so far through the full transformer, for every pass.

    Recalled: every step begins at a mark, from which another branch has gone its way.
    """
    world = make_world(paths=paths, snap=False)
    model, shape = world.dynamics, world.dynamics.shape
    length = 3 * shape.window
    clip, actions, seeds = make_clip(length=4), keys(2, length, seed=3), torch.tensor([5, 9])
    state, _ = world.start(clip, seeds)

    level, finest = round(0.9 * shape.grid), shape.grid.bit_length() - 1
    done = clip.actions.values["keys"]
    clean = world.encode(clip.frames["main"])
    frame = (shape.tokens, shape.channels)

    def corrupted(n, z):
        eps = noise(seeds, torch.full((2,), n), 1, frame)
        return (1 - level / shape.grid) * eps + level / shape.grid * z

    past = torch.stack([corrupted(n, clean[:, n]) for n in range(4)], 1)
    mark = None
    for t in range(length):
        n = 4 + t
        action = actions[:, t]
        if recalled:
            mark = world.mark(state, mark)
            world.step(world.recall(mark), actions[:, t - 1])
            state = world.recall(mark)
        state, _ = world.step(state, action)
        done = torch.cat([done, action.values["keys"][:, None]], 1)
        told = Action({"keys": done}, torch.ones(done.shape[:2], dtype=torch.bool))
        z = noise(seeds, torch.full((2,), n), 0, frame)
        for index in range(4):
            signal = torch.full((2, n + 1), level)
            signal[:, n] = index * shape.grid // 4
            size = torch.full((2, n + 1), finest)
            size[:, n] = 2
            clean = model(torch.cat([past, z[:, None]], 1), signal, size, told, None)[:, n]
            z = z + (clean - z) / (4 - index)
        past = torch.cat([past, corrupted(n, z)[:, None]], 1)
        assert torch.allclose(state.latents[:, -1], z, atol=1e-4), f"frame {n}"


def trace(world, clip, seeds, actions):
    state, _ = world.start(clip, seeds)
    pictures = []
    for t in range(actions.known.shape[1]):
        state, _ = world.step(state, actions[:, t])
        pictures.append(world.render(state))
    return torch.stack(pictures, 1)


def test_without_shortcuts_every_pass_is_told_the_finest_step():
    """The plain version: a model whose steps all look like the finest."""
    clip, actions, seeds = make_clip(), keys(2, 6, seed=2), torch.tensor([1, 2])
    one = trace(make_world(passes=2, shortcuts=False), clip, seeds, actions)
    told = make_world(passes=2)
    with torch.no_grad():
        assert not torch.equal(one, trace(told, clip, seeds, actions))
        told.dynamics.size.weight[:] = told.dynamics.size.weight[-1].clone()
    assert torch.equal(one, trace(told, clip, seeds, actions))


@torch.no_grad()
def test_a_lower_temperature_draws_from_a_narrower_noise():
    """At 0 one future is left, whatever the seed; at 1 frames are drawn as ever."""

    def drawn(seed, **sampler):
        world = make_world(passes=1, snap=False, **sampler)
        state, _ = world.start(make_clip(rows=1), torch.tensor([0]))
        state = world.reseed(state, torch.tensor([seed]))
        state, _ = world.step(state, keys(1, 1, seed=4)[:, 0])
        return state.latents[:, -1]

    spread = {t: (drawn(1, temperature=t) - drawn(2, temperature=t)).norm() for t in (0, 0.5, 1)}
    assert spread[0] < 1e-5 < spread[0.5] < spread[1]
    assert torch.equal(drawn(1, temperature=1.0), drawn(1))


def test_same_seed_and_actions_give_the_same_bytes_and_another_seed_others():
    world, clip, actions = make_world(), make_clip(), keys(2, 12, seed=2)
    one = trace(world, clip, torch.tensor([1, 2]), actions)
    assert torch.equal(one, trace(world, clip, torch.tensor([1, 2]), actions))
    assert not torch.equal(one[0], trace(world, clip, torch.tensor([3, 2]), actions)[0])


def comings_and_goings(world, rows, place, ticks, draws):
    """One player's pictures at `place`, while the others' rows are exchanged at every tick."""
    mine, _ = world.start(make_clip(rows=1), torch.tensor([5]))
    others = []
    for age in (1, 4, 9):
        start, _ = world.start(make_clip(rows=1, length=age, seed=age), torch.tensor([age]))
        others.append(start)
    ghost = others[0].copy()
    ghost.latents.fill_(float("nan"))
    ghost.ring.k[0].fill_(float("inf"))
    others.append(ghost)
    state = mine[[0] * rows]
    actions, pictures, mark = keys(rows, ticks, seed=7), [], None
    for tick in range(ticks):
        for row in range(rows):
            if row != place and draws.integers(2):
                state.put(row, others[draws.integers(len(others))].copy())
        mark = world.mark(state.view(place), mark)
        if draws.integers(2):
            state.put(place, world.recall(mark))
        action = actions[:, tick]
        action.values["keys"][place] = actions.values["keys"][0, tick]
        state, _ = world.step(state, action)
        pictures.append(world.render(state)[place])
    return torch.stack(pictures)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["patches", "learned"])
@torch.inference_mode()
def test_a_row_keeps_its_bytes_wherever_it_is_and_whoever_comes_and_goes(kind):
    world, rows = make_world(kind, {"copy": 2, "columns": 2}), 3
    seen = [
        comings_and_goings(world, rows, place, 12, np.random.default_rng(place + seed))
        for place in range(rows)
        for seed in (0, 10)
    ]
    assert seen[0].float().std() > 1
    for other in seen[1:]:
        assert torch.equal(seen[0], other)


def test_putting_a_row_changes_that_row_only_and_shares_no_memory():
    world = make_world()
    state, _ = world.start(make_clip(rows=3), torch.arange(3))
    other, _ = world.start(make_clip(rows=1, length=3, seed=8), torch.tensor([8]))
    kept, given = state.copy(), other.copy()
    state.put(1, other)
    with torch.inference_mode():
        other.latents.zero_()
        other.ring.k[0].zero_()
    for row, (source, place) in enumerate([(kept, 0), (given, 0), (kept, 2)]):
        for a, b in zip(parts(state.view(row)), parts(source.view(place)), strict=True):
            assert torch.equal(a, b)
    with pytest.raises(ValueError, match="`other` has 3"):
        state.put(0, kept)


def parts(state):
    return (*state.ring.k, *state.ring.v, state.ring.count, state.latents, state.seeds)


def test_changing_an_action_leaves_earlier_frames_alone():
    world, clip, actions = make_world(), make_clip(), keys(2, 8, seed=2)
    values = actions.values["keys"].clone()
    values[:, 4] ^= 1
    one = trace(world, clip, torch.arange(2), actions)
    two = trace(world, clip, torch.arange(2), Action({"keys": values}, actions.known))
    assert torch.equal(one[:, :4], two[:, :4])
    assert not torch.equal(one[:, 4], two[:, 4])


def test_rewinding_repeats_the_same_bytes_after_the_ring_has_wrapped():
    world, actions = make_world(), keys(2, 20, seed=4)
    state, _ = world.start(make_clip(), torch.arange(2))
    for t in range(12):
        state, _ = world.step(state, actions[:, t])
    kept = state.copy()
    futures = []
    for _ in range(2):
        state = kept.copy()
        for t in range(12, 20):
            state, _ = world.step(state, actions[:, t])
        futures.append(world.render(state))
    assert torch.equal(*futures)


def test_an_action_blind_dream_does_not_read_its_actions():
    world, clip = make_world(), make_clip()
    one = trace(world, clip, torch.arange(2), keys(2, 6, seed=1).unknown())
    two = trace(world, clip, torch.arange(2), keys(2, 6, seed=2).unknown())
    assert torch.equal(one, two)


def test_rendering_does_not_change_the_dream():
    world, actions = make_world("learned"), keys(2, 9, seed=4)
    looked, _ = world.start(make_clip(), torch.arange(2))
    blind, _ = world.start(make_clip(), torch.arange(2))
    for t in range(9):
        looked, _ = world.step(looked, actions[:, t])
        blind, _ = world.step(blind, actions[:, t])
        world.render(looked)
    assert torch.equal(world.render(looked), world.render(blind))


def test_a_clip_without_actions_counts_as_unlabelled():
    world, clip = make_world(), make_clip()
    bare, _ = world.start(Clip(frames=clip.frames), torch.arange(2))
    unlabelled = Clip(frames=clip.frames, actions=clip.actions.unknown())
    hidden, _ = world.start(unlabelled, torch.arange(2))
    assert torch.equal(bare.ring.k[0], hidden.ring.k[0])


def test_planted_faults_are_caught_by_the_kit():
    class Leaky(DreamWorld):
        """Keeps a secret: every call moves on."""

        calls = 0

        def step(self, state, action):
            Leaky.calls += 1
            return super().step(self.reseed(state, state.seeds + Leaky.calls), action)

    good = make_world()
    with pytest.raises(AssertionError, match="differs at step"):
        check_world(Leaky(good.tokenizer, good.dynamics, good.spec), make_clip())

    class Gossip(DreamWorld):
        """Lets rows see their neighbours."""

        def step(self, state, action):
            state.latents = state.latents + state.seeds.sum()
            return super().step(self.reseed(state, state.seeds + state.seeds.sum()), action)

    with pytest.raises(AssertionError):
        check_world(Gossip(good.tokenizer, good.dynamics, good.spec), make_clip())


def test_noise_is_normal_and_independent_across_seed_frame_use_and_place():
    seeds = torch.arange(2000)
    zero = torch.zeros(2000, dtype=torch.int64)
    draws = noise(seeds, zero, 0, (64,))
    assert abs(float(draws.mean())) < 0.01 and abs(float(draws.std()) - 1) < 0.01
    assert abs(float((draws**4).mean()) - 3) < 0.1
    assert float(torch.corrcoef(draws.T).fill_diagonal_(0).abs().max()) < 0.12
    for other in (
        noise(seeds, zero + 1, 0, (64,)),
        noise(seeds, zero, 1, (64,)),
        noise(seeds + 1, zero, 0, (64,)),
        noise(seeds + 2**33, zero, 0, (64,)),
    ):
        assert abs(float((draws * other).mean())) < 0.02


def plain_noise(seeds, frames, use, shape):
    """The formula, written for reading."""
    size, mask = math.prod(shape), 0xFFFFFFFF

    def mix(x):
        x = ((x ^ (x >> 16)) * 0x85EBCA6B) & mask
        x = ((x ^ (x >> 13)) * 0xC2B2AE35) & mask
        return x ^ (x >> 16)

    half = (size + 1) // 2
    low = mix((seeds & mask) ^ 0x9E3779B9)
    key = mix(low ^ mix((seeds >> 32) & mask) ^ mix(frames + 0x51ED27 * (use + 1)))
    count = torch.arange(2 * half)
    bits = mix((mix(key[:, None] ^ mix(count * 0x27D4EB2F & mask)) + count) & mask)
    u = (bits.double() + 0.5) / 2**32
    radius = torch.sqrt(-2.0 * torch.log(u[:, :half]))
    angle = (2.0 * math.pi) * u[:, half:]
    normal = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], 1)
    return normal[:, :size].float().reshape(len(seeds), *shape)


@pytest.mark.parametrize("shape", [(1,), (5,), (64, 128), (7, 3)])
@pytest.mark.parametrize("use", [0, 1])
def test_noise_is_the_plain_formula_to_the_bit(shape, use):
    for rows in (1, 3):
        seeds = torch.tensor([5, 2**40 + 7, 2**31 - 1])[:rows]
        frames = torch.tensor([0, 600, 72_000])[:rows]
        kept = seeds.clone(), frames.clone()
        assert torch.equal(noise(seeds, frames, use, shape), plain_noise(*kept, use, shape))
        assert torch.equal(seeds, kept[0]) and torch.equal(frames, kept[1])


def test_a_rows_noise_does_not_depend_on_its_batch():
    seeds, frames = torch.tensor([7, 8, 9]), torch.tensor([1, 1, 4])
    assert torch.equal(noise(seeds, frames, 0, (5,))[2], noise(seeds[2:], frames[2:], 0, (5,))[0])


def test_arranged_weights_are_the_same_weights():
    model = tiny_dynamics()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = arrange(model).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not model.embed.weight.is_contiguous()


@pytest.mark.parametrize("paths", [{}, {"copy": 2, "columns": 2}])
def test_a_dream_with_matrices_in_bfloat16_is_nearly_the_same(paths):
    exact, light = make_world(paths=paths, snap=False), make_world(paths=paths, snap=False)
    lighten(light.dynamics)
    assert light.dynamics.head.weight.dtype == torch.float32
    assert light.dynamics.layers[0].mlp.up.weight.dtype == torch.bfloat16
    action, seeds = keys(2), torch.arange(2)
    one, _ = exact.step(exact.start(make_clip(), seeds)[0], action)
    two, _ = light.step(light.start(make_clip(), seeds)[0], action)
    error = (one.latents[:, -1] - two.latents[:, -1]).pow(2).mean().sqrt()
    assert 1e-5 < error < 0.05 * one.latents[:, -1].std()
