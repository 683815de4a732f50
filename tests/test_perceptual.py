"""The perceptual distance against a plain computation, and its way from the command line."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from worldloom import cli
from worldloom.actions import ActionSpec, Categorical
from worldloom.data.store import Store, StoreInfo
from worldloom.errors import WorldloomError
from worldloom.models.tokenizer import Tokenizer, TokenizerShape
from worldloom.train.checkpoint import write_tensors
from worldloom.train.perceptual import Perceptual
from worldloom.train.tokenizer import TokenizerObjective

# VGG-16's convolutions by torchvision's numbers, a pooling before each group but the first.
GROUPS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
WIDTHS = (64, 128, 256, 512, 512)


def random_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights under the names that a user's file has, of a size that keeps features alive."""
    draws = torch.Generator().manual_seed(seed)
    tensors, channels = {}, 3
    for group, width in zip(GROUPS, WIDTHS, strict=True):
        for layer in group:
            scale = (2 / (9 * channels)) ** 0.5
            weight = torch.randn(width, channels, 3, 3, generator=draws)
            tensors[f"features.{layer}.weight"] = weight * scale
            tensors[f"features.{layer}.bias"] = torch.randn(width, generator=draws) * 0.1
            channels = width
    for tap, width in enumerate(WIDTHS):
        tensors[f"lin{tap}"] = torch.rand(width, generator=draws)
    return tensors


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lpips.safetensors"
    write_tensors(path, random_weights(), {})
    return path


@pytest.fixture(scope="module")
def distance(file: Path) -> Perceptual:
    return Perceptual.load(file)


def pictures(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 32, 32, 3, generator=torch.Generator().manual_seed(seed))


def plain(weights: dict[str, torch.Tensor], a: torch.Tensor, b: torch.Tensor) -> float:
    """LPIPS of one pair `[H, W, 3]`, step by step, in float64."""
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)
    deviation = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)
    total = 0.0
    x, y = (((p.double() - mean) / deviation).permute(2, 0, 1)[None] for p in (a, b))
    for tap, group in enumerate(GROUPS):
        if tap:
            x, y = F.max_pool2d(x, 2), F.max_pool2d(y, 2)
        for layer in group:
            weight = weights[f"features.{layer}.weight"].double()
            bias = weights[f"features.{layer}.bias"].double()
            x, y = (F.conv2d(p, weight, bias, padding=1).clamp(min=0) for p in (x, y))
        height, width = x.shape[2:]
        for row in range(height):
            for column in range(width):
                one, two = x[0, :, row, column], y[0, :, row, column]
                gap = one / one.norm() - two / two.norm()
                total += float((weights[f"lin{tap}"] * gap**2).sum()) / (height * width)
    return total


@pytest.mark.slow
def test_the_distance_equals_a_plain_computation(distance: Perceptual) -> None:
    a, b = pictures(2, 1), pictures(2, 2)
    expected = [plain(random_weights(), a[i], b[i]) for i in range(2)]
    assert float(distance(a, b)) == pytest.approx(sum(expected) / 2, rel=1e-4)
    assert float(distance(a[:1], b[:1])) == pytest.approx(expected[0], rel=1e-4)
    assert expected[0] > 0.1


def test_equal_pictures_are_no_distance_apart(distance: Perceptual) -> None:
    a = pictures(2, 3)
    assert float(distance(a, a)) == 0
    assert float(distance(a, a.flip(2))) > 0


def test_gradients_reach_the_picture_and_no_weight(distance: Perceptual) -> None:
    a = pictures(1, 4).requires_grad_()
    distance(a, pictures(1, 5)).backward()
    assert a.grad is not None and float(a.grad.abs().max()) > 0
    assert not any(weight.requires_grad for weight in distance.parameters())


@pytest.mark.parametrize("change", ["missing", "unexpected", "shapes"])
def test_weights_that_do_not_fit_are_named(tmp_path: Path, change: str) -> None:
    weights, name = random_weights(), "features.10.bias"
    if change == "missing":
        del weights[name]
    elif change == "unexpected":
        weights[name + "2"] = torch.zeros(1)
    else:
        weights[name] = torch.zeros(7)
    path = tmp_path / "lpips.safetensors"
    write_tensors(path, weights, {})
    with pytest.raises(WorldloomError, match=f"{change}: {name}"):
        Perceptual.load(path)


def test_the_term_joins_the_loss_and_stays_out_of_the_model(distance: Perceptual) -> None:
    shape = TokenizerShape(
        (32, 32), patch=8, latents=4, bottleneck=3, pack=2, width=32, layers=4, heads=4, window=3
    )
    torch.manual_seed(0)
    model = Tokenizer(shape)
    frames = (pictures(2, 6)[None] * 255).to(torch.uint8)
    hidden = torch.zeros(1, 2, shape.patches, dtype=torch.bool)
    with_term = TokenizerObjective(model, distance)(frames, hidden)
    alone = TokenizerObjective(model)(frames, hidden)
    assert with_term.shape == (2,) and torch.equal(with_term[:1], alone)
    assert float(with_term[1].detach()) > 0


@pytest.mark.slow
def test_the_option_reaches_the_training(file: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    record = ["record", "worldloom/Hop-v0", str(store), "--episodes", "3", "--size", "32"]
    assert cli.main([*record, "--heldout", "0", "--max-frames", "40"]) == 0
    train = ["train", "tokenizer", str(store), "--steps", "1", "--batch", "1"]
    run = tmp_path / "run"
    assert cli.main([*train, "--run", str(run), "--perceptual", str(file)]) == 0
    config = json.loads((run / "tokenizer" / "config.json").read_text())
    assert config["perceptual"] == str(file) and "LPIPS" in config["loss"]
    lines = (run / "tokenizer" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert any("perceptual" in key for row in rows for key in row)


def test_a_mistake_is_said_before_anything_is_made(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = StoreInfo(ActionSpec((Categorical("move", 2),)), {"main": (32, 32)}, fps=20)
    Store.create(tmp_path / "store", info)
    train = ["train", "tokenizer", str(tmp_path / "store"), "--run", str(tmp_path / "run")]
    gone = tmp_path / "gone.safetensors"
    assert cli.main([*train, "--perceptual", str(gone)]) == 1
    assert f"there is no file `{gone}`" in capsys.readouterr().err
    assert cli.main([*train, "--size", "nano", "--perceptual", str(file)]) == 1
    assert "size nano has no learned tokenizer" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
