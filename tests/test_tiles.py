"""Worlds whose pictures are laid out of tiles: what is found, drawn and learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from worlds import ACTIONS, keys, objective_inputs, tiny_dynamics

from worldloom.actions import Action
from worldloom.check import check_world
from worldloom.configs import Batches, Forcing, tiles
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Clip, Episode
from worldloom.errors import WorldloomError
from worldloom.families import family_of
from worldloom.hub import load_tokenizer, load_world, save_world
from worldloom.models.draw import Sampler, draw
from worldloom.models.dream import DreamWorld, dream_spec
from worldloom.models.tiles import TileShape, TileTokenizer, cut, find_tiles, laid, nearest
from worldloom.seeding import noise
from worldloom.train.dynamics import train_dynamics
from worldloom.train.masked import MaskedObjective
from worldloom.train.setup import Options
from worldloom.train.shortcut import corrupt
from worldloom.train.tokenizer import train_tokenizer

KINDS, SIDE = 5, 4


def some_tiles(kinds=KINDS, side=SIDE, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (kinds, side * side * 3), generator=draws, dtype=torch.uint8)


def pictures(count, seed=0, tiles=None):
    """Frames `[count, 16, 16, 3]` uint8 laid out of tiles, and `[count, 4, 4]` which, by token."""
    tiles = some_tiles() if tiles is None else tiles
    shape = TileShape((16, 16), 8, SIDE, len(tiles))
    draws = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, len(tiles), (count, 4, 4), generator=draws)
    return laid(tiles[ids], shape), ids


def fitted(tiles=None):
    tiles = some_tiles() if tiles is None else tiles
    tokenizer = TileTokenizer(TileShape((16, 16), 8, SIDE, len(tiles)))
    tokenizer.fit(tiles)
    return tokenizer


# What recordings are laid out of


@pytest.mark.parametrize("side", [8, 4])
def test_frames_are_cut_into_tiles_and_laid_out_again(side):
    frames = torch.randint(0, 256, (3, 16, 24, 3), dtype=torch.uint8)
    shape = TileShape((16, 24), 8, side)
    tiles = cut(frames, shape)
    assert tiles.shape == (3, 6, shape.parts, side * side * 3)
    assert torch.equal(laid(tiles, shape), frames)
    # Token 1 is the second patch of the first row; its last tile lies below and to the right.
    at = 16 - side
    assert torch.equal(tiles[0, 1, -1], frames[0, 8 - side : 8, at : at + side].flatten())


def test_the_tiles_that_leave_least_to_choose_from_are_found():
    small, _ = pictures(2000)
    shape, found = find_tiles(TileShape((16, 16)), [small[:1000], small[1000:]])
    assert (shape.tile, shape.kinds, shape.parts, shape.tokens) == (4, KINDS, 4, 4)
    assert {row.numpy().tobytes() for row in found} == {r.numpy().tobytes() for r in some_tiles()}
    large = F.pad(torch.zeros(1, 8, 8, 3, dtype=torch.uint8), (0, 0, 0, 8, 0, 8), value=9)
    shape, found = find_tiles(TileShape((16, 16)), [large])
    assert (shape.tile, shape.kinds, shape.parts) == (8, 2, 1)


def test_pictures_that_are_not_laid_out_of_tiles_are_told():
    frames = torch.randint(0, 256, (600, 16, 16, 3), dtype=torch.uint8)
    with pytest.raises(WorldloomError, match="not laid out of tiles: more than 1024") as caught:
        find_tiles(TileShape((16, 16)), [frames])
    assert "nano" in caught.value.hint


def test_latents_show_their_picture_exactly_and_a_strange_tile_as_the_nearest():
    tokenizer, (frames, ids) = fitted(), pictures(20)
    latents = tokenizer.encode(frames)
    assert latents.shape == (20, 4, 192)
    assert torch.equal((tokenizer.decode(latents) * 255).round().to(torch.uint8), frames)
    assert torch.equal(tokenizer.ids(latents), ids)
    smudged = (frames.int() + torch.randint(-9, 10, frames.shape)).clamp(0, 255).to(torch.uint8)
    assert torch.equal(tokenizer.encode(smudged), latents)
    assert torch.equal(tokenizer.snap(latents + 0.05 * torch.randn(latents.shape)), latents)


def test_nearest_is_the_least_distance():
    points, codes = torch.randn(50, 7), torch.randn(9, 7)
    assert torch.equal(nearest(points, codes), torch.cdist(points, codes).argmin(-1))


# How frames are drawn


class Known:
    """A walk whose logits are a function of what is known: `[B, N, P]`, -1 where nothing is."""

    def __init__(self, codes, parts, logits):
        self.codes, self._parts, self._logits = codes, parts, logits
        self.read, self.asked = torch.zeros(1), []

    def denoise(self, z, signal, size):
        z = z.unflatten(-1, (self._parts, -1))
        known = torch.where((z == 0).all(-1), -1, nearest(z, self.codes))
        self.asked.append((signal, size, known))
        return self._logits(known).flatten(2)


def drawn(logits, rows=4000, passes=1, temperature=1.0, tokens=1, parts=2, kinds=3):
    codes = torch.eye(kinds, 8)
    eps = noise(torch.arange(rows), torch.zeros(rows, dtype=torch.int64), 0, (tokens, 8 * parts))
    walk = Known(codes, parts, logits)
    sampler = Sampler(passes=passes, temperature=temperature)
    z, first, _ = draw(walk, eps, sampler, 8)
    return nearest(z.unflatten(-1, (parts, -1)), codes), first, walk


def test_tiles_are_drawn_as_often_as_they_are_predicted():
    """One in thirty is drawn once in thirty frames, whatever is likeliest."""
    share = torch.tensor([[0.96, 0.03, 0.01], [0.2, 0.5, 0.3]])
    ids, first, _ = drawn(lambda known: share.log().expand(*known.shape, 3), rows=20_000)
    found = F.one_hot(ids[:, 0], 3).float().mean(0)
    assert torch.allclose(found, share, atol=4 * (0.25 / 20_000) ** 0.5)
    assert torch.allclose(first[0, 0].view(2, 8)[:, :3], share, atol=1e-5)
    both = F.one_hot(ids[:, 0, 0] * 3 + ids[:, 0, 1], 9).float().mean(0).view(3, 3)
    assert torch.allclose(both, share[0][:, None] * share[1], atol=0.015)  # of two numbers each


def alike(known):
    """Two tiles of a token that are always the same, each of two kinds."""
    other = known.flip(-1)[..., None]
    even = torch.tensor([0.5, 0.5, 0.0]).log().clamp(min=-1e9)
    told = torch.where(F.one_hot(other[..., 0].clamp(min=0), 3) > 0, 0.0, -1e9)
    return torch.where(other < 0, even, told)


def test_tiles_that_depend_on_each_other_agree_when_they_are_drawn_one_after_the_other():
    ids, _, walk = drawn(alike, passes=2)
    assert (ids[..., 0] == ids[..., 1]).all()
    assert 0.45 < (ids[..., 0] == 0).float().mean() < 0.55
    assert [(signal, size) for signal, size, _ in walk.asked] == [(0, 3), (4, 3)]
    assert (walk.asked[0][2] == -1).all() and ((walk.asked[1][2] >= 0).sum(-1) == 1).all()
    assert 0.4 < (walk.asked[1][2][:, 0, 0] >= 0).float().mean() < 0.6  # chance says which first
    at_once, _, _ = drawn(alike, passes=1)
    assert 0.4 < (at_once[..., 0] == at_once[..., 1]).float().mean() < 0.6


def uneven(known):
    return torch.tensor([0.4, 0.35, 0.25]).log().expand(*known.shape, 3)


def test_what_is_known_stays_and_cold_draws_take_the_likeliest():
    ids, _, walk = drawn(uneven, 50, 7)
    for (_, _, before), (_, _, after) in zip(walk.asked, walk.asked[1:], strict=False):
        assert torch.equal(torch.where(before >= 0, after, before), before)
    assert len(ids.unique()) == 3
    cold, _, _ = drawn(uneven, 50, 2, 0)
    assert (cold == 0).all()


# A world of them


def make_world(**sampler):
    codes = fitted().codes
    dynamics = tiny_dynamics(channels=192, kinds=KINDS, parts=4, copy=2, columns=2)
    dynamics.codes.copy_(codes)
    spec = dream_spec("test", (16, 16), ACTIONS, 20.0)
    return DreamWorld(fitted(), dynamics, spec, Sampler(**sampler))


def make_clip(rows=2, length=6):
    frames, _ = pictures(rows * length)
    frames = frames.view(rows, length, 16, 16, 3)
    return Clip(frames={"main": frames}, actions=keys(rows, length))


def test_a_world_of_tiles_keeps_the_contract():
    tested = check_world(make_world(passes=2), make_clip())
    assert "a step is a pure function" in tested and "states stack" in tested


@torch.no_grad()
def test_cached_drawing_equals_recomputing_the_whole_history():
    """The plain version: every pass through the full transformer, tile by tile in a loop."""
    world = make_world(passes=4)
    model, shape, parts = world.dynamics, world.dynamics.shape, 4
    clip, length, seeds = make_clip(length=4), 3 * world.dynamics.shape.window, torch.tensor([5, 9])
    actions, state = keys(2, length, seed=3), world.start(clip, seeds)[0]
    level, finest, frame = round(0.9 * shape.grid), shape.grid.bit_length() - 1, (4, 192)
    done = clip.actions.values["keys"]

    def corrupted(n, z):
        eps = noise(seeds, torch.full((2,), n), 1, frame)
        return (1 - level / shape.grid) * eps + level / shape.grid * z

    clean = world.encode(clip.frames["main"])
    past = torch.stack([corrupted(n, clean[:, n]) for n in range(4)], 1)
    for t in range(length):
        n, action = 4 + t, actions[:, t]
        state, _ = world.step(state, action)
        done = torch.cat([done, action.values["keys"][:, None]], 1)
        told = Action({"keys": done}, torch.ones(done.shape[:2], dtype=torch.bool))
        chance = torch.special.ndtr(noise(seeds, torch.full((2,), n), 0, frame))
        z, order = torch.zeros(2, 4, 192), chance[..., :parts].flatten(1).argsort(1)
        for index in range(4):
            signal = torch.full((2, n + 1), level)
            signal[:, n] = index * shape.grid // 4
            size = torch.full((2, n + 1), finest)
            logits = model(torch.cat([past, z[:, None]], 1), signal, size, told, None)[:, n]
            share = logits.unflatten(-1, (parts, KINDS)).softmax(-1)
            for row in range(2):
                for place in order[row, index * 4 : index * 4 + 4].tolist():
                    token, part = divmod(place, parts)
                    u = chance[row, token, parts * (1 + index) + part]
                    tile = int((share[row, token, part].cumsum(0) <= u).sum())
                    z[row, token, part * 48 : part * 48 + 48] = model.codes[tile]
        past = torch.cat([past, corrupted(n, z)[:, None]], 1)
        assert torch.equal(state.latents[:, -1], z), f"frame {n}"


# How it is learned

FORCING = Forcing(bootstrap_rows=0, committed=True, blank=0.5, shown=1, images=0, unlabelled=0)


def masked_inputs(model, **changes):
    _, action, draws = objective_inputs(model)
    frames, _ = pictures(8 * 6, seed=2)
    clean = fitted().encode(frames).view(8, 6, 4, 192)
    noise_ = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    draws = replace(draws, noise=noise_, past_noise=noise_[:, 1:].flip(0), **changes)
    return clean, action, draws


def test_the_loss_is_the_likelihood_of_the_tiles_that_are_not_known():
    """The plain version: a loop over frames, tokens and tiles."""
    model = make_world().dynamics
    signal = torch.randint(0, 8, (8, 6), generator=torch.Generator().manual_seed(1))
    still = torch.zeros(8, dtype=torch.bool)
    clean, action, draws = masked_inputs(model, signal=signal, images=still, hidden=still)
    with torch.no_grad():
        loss = MaskedObjective(model, FORCING)(clean, action, draws)
        past = corrupt(clean[:, :-1], draws.past_noise, torch.full((8, 5), 7), 8)
        shown, ids = clean[:, 1:].clone(), fitted().ids(clean[:, 1:])
        asked = []
        for place in np.ndindex(8, 5, 4, 4):
            b, t, n, p = place
            chance = torch.special.ndtr(draws.noise[b, t + 1, n, p])
            if chance >= signal[b, t + 1] / 8:
                shown[b, t, n, p * 48 : p * 48 + 48] = 0
                asked.append(place)
        logits = model(shown, signal[:, 1:], draws.size[:, 1:], action, still, past)
        logits = logits.unflatten(-1, (4, KINDS)).log_softmax(-1)
        plain = -sum(logits[place][ids[place]] for place in asked) / (8 * 5 * 4 * 4)
    assert len(asked) > 100 and torch.allclose(loss, plain[None], atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"bootstrap_rows": 0.25},
        {"self_fed": 0.5},
        {"wiped": 0.1},
        {"even": 1.0},
        {"committed": False},
    ],
)
def test_what_is_not_done_with_tiles_is_refused_and_not_ignored(changes):
    with pytest.raises(WorldloomError, match=f"not trained with {next(iter(changes))}="):
        MaskedObjective(make_world().dynamics, replace(FORCING, **changes))


def test_tiles_and_channels_that_do_not_fit_are_told():
    with pytest.raises(WorldloomError, match="kinds=3 and parts=0"):
        tiny_dynamics(kinds=3)
    with pytest.raises(WorldloomError, match="kinds=3 and parts=4"):
        tiny_dynamics(kinds=3, parts=4)


def lamps(path, episodes=24, length=40, share=0.1):
    """Four lamps; one comes on by itself in a tenth of the steps, and goes off with key 0."""
    tiles, dice = some_tiles(2), np.random.default_rng(0)
    store = Store.create(path, StoreInfo(ACTIONS, {"main": (16, 16)}, 20.0))
    for index in range(episodes):
        pressed = dice.random((length, 3)) < 0.3
        ids, lit = np.zeros((length, 4, 4), int), False
        for t in range(length):
            lit = not pressed[t, 0] and (lit or dice.random() < share) if t else False
            ids[t, 0, 0] = ids[t, 3, 3] = lit
        frames = laid(tiles[torch.from_numpy(ids)], TileShape((16, 16), 8, SIDE)).numpy()
        episode = Episode(frames=frames, actions={"keys": pressed.astype(np.uint8)}, seed=index)
        store.append(episode, split="train" if index % 6 else "heldout")
    return store


def lamp_size(steps):
    base = tiles((16, 16))
    return replace(
        base,
        dynamics=replace(base.dynamics, tokens=4, columns=2, width=32, hidden=64, heads=2,
                         kv_heads=2, layers=2),
        schedule=replace(base.schedule, steps=steps, warmup=20, ema=0.98),
        batches=Batches(rows=16, short=8, long=16),
    )  # fmt: skip


@pytest.mark.slow
def test_a_world_of_tiles_learns_chance_as_chance_and_both_its_tiles_alike(tmp_path):
    """A squared error would draw what is likeliest: never a lamp."""
    store, run = lamps(tmp_path / "store"), tmp_path / "run"
    train_tokenizer(store, run, lamp_size(300), Options())
    train_dynamics(store, run, lamp_size(300), Options())
    world = load_world(run, Sampler(passes=8))
    assert world.tokenizer.shape.tile == 8 or world.tokenizer.shape.kinds == 2
    rows = 1500
    episode = store.read(store.episodes[0].name)
    dark = next(
        t for t in range(8, 40)
        if len(np.unique(episode.frames["main"][t - 7 : t + 1].reshape(8, -1), axis=0)) == 1
    )  # fmt: skip
    frames = torch.from_numpy(episode.frames["main"][dark - 7 : dark + 1])
    clip = Clip(frames={"main": frames.expand(rows, -1, -1, -1, -1)})
    state, _ = world.start(clip, torch.arange(rows))
    known = torch.ones(rows, dtype=torch.bool)
    none = Action({"keys": torch.zeros(rows, 3, dtype=torch.uint8)}, known)
    before = world.render(state)
    state, _ = world.step(state, none)
    after = world.render(state)
    changed = (after != before).any(-1)
    first, last = (changed[:, s, s].flatten(1).any(1) for s in (slice(0, 4), slice(12, 16)))
    assert 0.06 < first.float().mean() < 0.15  # a tenth
    assert (first == last).float().mean() > 0.95  # 0.82 if each had its own dice
    off = Action({"keys": torch.tensor([[1, 0, 0]], dtype=torch.uint8).expand(rows, 3)}, known)
    state, _ = world.step(state, off)
    assert (world.render(state) == before).flatten(1).all(1).float().mean() > 0.95


@pytest.mark.slow
def test_training_resumes_exactly_and_the_world_is_saved_whole(tmp_path):
    store = lamps(tmp_path / "store", episodes=6)
    for name, until in (("straight", None), ("halves", 4)):
        run = tmp_path / name
        train_tokenizer(store, run, lamp_size(8), Options())
        train_dynamics(store, run, lamp_size(8), Options(until=until))
    train_dynamics(store, tmp_path / "halves", lamp_size(8), Options(), resume=True)
    one, two = (load_world(tmp_path / name).dynamics for name in ("straight", "halves"))
    two = two.state_dict()
    assert all(torch.equal(value, two[name]) for name, value in one.state_dict().items())
    world = load_world(tmp_path / "straight")
    assert torch.equal(world.dynamics.codes, world.tokenizer.codes)
    save_world(world, tmp_path / "straight", tmp_path / "saved")
    again = load_world(tmp_path / "saved")
    assert torch.equal(again.dynamics.codes, world.dynamics.codes)
    assert torch.equal(load_tokenizer(tmp_path / "saved").tiles, world.tokenizer.tiles)
    assert "draws tiles" in family_of(again)
    train_dynamics(store, tmp_path / "halves", lamp_size(8), Options(), resume=True)  # done already


def test_a_size_that_is_no_tiles_size_is_refused_on_tiles(tmp_path):
    store, run = lamps(tmp_path / "store", episodes=6), tmp_path / "run"
    train_tokenizer(store, run, lamp_size(2), Options())
    size = replace(lamp_size(2), forcing=Forcing())
    with pytest.raises(WorldloomError, match=r"not trained with bootstrap_rows=1\.0"):
        train_dynamics(store, run, size, Options())
    assert not (run / "dynamics").exists()
