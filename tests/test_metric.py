"""How much an error counts: pixel by pixel, by how much the pixel changes in the recordings."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_agent_training import lessons, small, trained  # noqa: F401
from test_hold import fitted
from worlds import keys, tiny_dynamics, tiny_shape

from worldloom.actions import ActionSpec, Categorical
from worldloom.configs import Forcing
from worldloom.data.cache import ClipCache
from worldloom.data.info import StoreInfo
from worldloom.data.store import Store
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError
from worldloom.hub import weights_hash
from worldloom.models.patches import PatchShape, PatchTokenizer, patchify
from worldloom.models.tokenizer import Tokenizer, TokenizerShape
from worldloom.train.agent import train_agent
from worldloom.train.draws import draw
from worldloom.train.dynamics import DynamicsObjective, train_dynamics
from worldloom.train.metric import FLOOR, metric_of, weighted, weights_of
from worldloom.train.setup import Options
from worldloom.train.shortcut import frame_loss

GRID = 8


def loss(error: torch.Tensor, metric: torch.Tensor | None) -> torch.Tensor:
    signal = torch.zeros(error.shape[:2], dtype=torch.int64)
    return frame_loss(error, torch.zeros_like(error), signal, GRID, ramp=0.0, metric=metric)


def test_errors_count_as_their_pixels_do():
    """The plain way: decode, square, weigh every colour of every pixel, take the mean."""
    tokenizer, _ = fitted()
    draws = torch.Generator().manual_seed(0)
    error = torch.randn(3, 5, 4, 40, generator=draws)
    weights = torch.rand(4, 192, generator=draws) * 9
    pixels = patchify(tokenizer.decode(error) - tokenizer.decode(torch.zeros_like(error)), 8)
    plain = (pixels.square() * weights).mean((-2, -1)) * 192 / (40 * tokenizer.spread[0] ** 2)
    assert torch.allclose(loss(error, weighted(tokenizer, weights)), plain, rtol=1e-4)


def test_weights_of_one_change_nothing():
    tokenizer, _ = fitted()
    error = torch.randn(2, 3, 4, 40, generator=torch.Generator().manual_seed(1))
    metric = weighted(tokenizer, torch.ones(4, 192))
    assert torch.allclose(loss(error, metric), loss(error, None), rtol=1e-4)


def test_what_changes_less_counts_more_and_nothing_counts_without_end():
    change = torch.tensor([[4.0, 1.0, 0.01, 0.0]])
    weights = weights_of(change, 1.0)
    assert (weights[0, 1:] > weights[0, :-1]).all()
    assert torch.allclose((weights * change).sum(), change.sum())
    most = (change.mean() * FLOOR + 4.0) / (change.mean() * FLOOR)
    assert torch.allclose(weights[0, 3] / weights[0, 0], most)
    half = weights_of(change, 0.5)
    assert torch.allclose(half[0, 3] / half[0, 0], most.sqrt())
    assert torch.equal(weights_of(torch.zeros(2, 3), 1.0), torch.ones(2, 3))


def blinking(path: Path) -> ClipCache:
    """Noise all over, but for one pixel of the last patch that changes one time in ten."""
    info = StoreInfo(
        action=ActionSpec((Categorical("action", 2),)), cameras={"main": (16, 16)}, fps=10.0
    )
    store, rng = Store.create(path / "store", info), np.random.default_rng(0)
    for number in range(4):
        frames = rng.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
        frames[:, 15, 15] = 100 + 10 * (np.arange(60) // 10)[:, None]
        action = np.zeros(60, np.int64)
        store.append(Episode(frames=frames, actions={"action": action}, seed=number))
    return ClipCache.open(store, path / "cache")


def test_a_pixel_that_seldom_changes_is_found(tmp_path: Path):
    cache = blinking(tmp_path)
    tokenizer = PatchTokenizer(PatchShape((16, 16), 8, 192))
    clip = cache.clip(np.array([0]), np.array([0]), length=60)
    tokenizer.fit(clip.frames["main"][0])
    metric = metric_of(cache, tokenizer, 1.0)
    assert metric_of(cache, tokenizer, 0.0) is None and metric.shape == (4, 192, 192)
    one = torch.zeros(1, 1, 4, 8, 8, 3)
    losses = []
    for y, x in ((7, 7), (3, 3)):
        error = one.clone()
        error[0, 0, 3, y, x] = 0.1
        latents = (error.flatten(3) @ tokenizer.axes) / tokenizer.spread
        losses.append(float(loss(latents, metric)))
    assert losses[0] > 40 * losses[1]


def test_saying_that_nothing_changes_costs_the_same(tmp_path: Path):
    cache = blinking(tmp_path)
    tokenizer = PatchTokenizer(PatchShape((16, 16), 8, 192))
    frames = cache.clip(np.arange(4), np.zeros(4, np.int64), length=60).frames["main"]
    tokenizer.fit(frames.flatten(0, 1))
    latents = tokenizer.encode(frames)
    error = latents[:, 1:] - latents[:, :-1]
    plain, even = (loss(error, m).mean() for m in (None, metric_of(cache, tokenizer, 1.0)))
    assert even == pytest.approx(float(plain), rel=0.05)


def test_a_learned_tokenizer_has_no_pixels(tmp_path: Path):
    cache = blinking(tmp_path)
    tokenizer = Tokenizer(TokenizerShape((16, 16), 8, 4, 4, 1, width=16, layers=2, heads=2))
    with pytest.raises(WorldloomError, match="none in its latents"):
        metric_of(cache, tokenizer, 1.0)
    assert metric_of(cache, tokenizer, 0.0) is None


def test_that_is_said_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tokenizer = Tokenizer(TokenizerShape((16, 16), 8, 4, 4, 1, width=16, layers=2, heads=2))
    monkeypatch.setattr("worldloom.train.dynamics.load_tokenizer", lambda run: tokenizer)
    size = replace(small(), forcing=Forcing(even=1.0))
    with pytest.raises(WorldloomError, match="none in its latents"):
        train_dynamics(blinking(tmp_path).store, tmp_path / "run", size, Options())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("forcing", [{"even": 1.0}, {"vain": 1.0}, {"paid": 1.0}])
def test_a_world_is_trained_as_its_forcing_says_alone_and_with_an_agent(
    trained,  # noqa: F811
    tmp_path: Path,
    forcing: dict[str, float],
):
    """What is asked for reaches the loss: the same training without it ends elsewhere."""
    store, run = trained
    for part in ("tokenizer", "dynamics"):
        shutil.copytree(run / part, tmp_path / "agent" / part)
    (tmp_path / "alone").mkdir()
    shutil.copytree(run / "tokenizer", tmp_path / "alone" / "tokenizer")
    usual = small()
    size = replace(usual, forcing=replace(usual.forcing, **forcing))
    train_dynamics(store, tmp_path / "alone", size, Options())
    assert weights_hash(tmp_path / "alone" / "dynamics") != weights_hash(run / "dynamics")
    file = tmp_path / "agent" / "dynamics" / "config.json"
    config = json.loads(file.read_text())
    config["forcing"] |= forcing
    file.write_text(json.dumps(config))
    train_agent(store, tmp_path / "agent", lessons(), Options())
    assert weights_hash(tmp_path / "agent" / "agent") != weights_hash(run / "agent")


def test_the_dynamics_is_trained_in_its_metric():
    """The loss with a metric is that of errors that were multiplied by it beforehand."""
    shape = tiny_shape()
    model = tiny_dynamics()
    draws = torch.Generator().manual_seed(0)
    clean = torch.randn(2, 5, shape.tokens, shape.channels, generator=draws)
    drawn = draw(shape, (2, 5), Forcing(), 0.0, draws)
    metric = 2 * torch.eye(shape.channels).expand(shape.tokens, -1, -1)
    plain, even = (
        DynamicsObjective(model, Forcing(), m)(clean, keys(2, 5), drawn) for m in (None, metric)
    )
    assert torch.allclose(4 * plain, even, rtol=1e-5)
