"""LPIPS, for those who have its weights (Zhang et al., arXiv 1801.03924).

The distance between two pictures in the features of a VGG-16. The weights can
not be shipped; `Perceptual.load` reads them from a safetensors file that holds
the convolutions under torchvision's names (`features.0.weight`, ...) and the
five channel weights as `lin0` ... `lin4`.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldloom.train.checkpoint import load_strictly, read_tensors

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions


class Perceptual(nn.Module):
    """Mean LPIPS distance between two batches of pictures; never trained."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        channels = 3
        for width, count in _BLOCKS:
            if layers:
                layers.append(nn.MaxPool2d(2))
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            self.taps.append(len(layers) - 1)
        self.features = nn.ModuleList(layers)
        for index, (width, _) in enumerate(_BLOCKS):
            self.register_buffer(f"lin{index}", torch.zeros(width))
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean.view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", deviation.view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    @classmethod
    def load(cls, path: Path) -> "Perceptual":
        """Reads the weights, strictly."""
        module = cls()
        tensors, _ = read_tensors(path)
        load_strictly(module, tensors, f"`{path}`")
        return module

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Pictures `[n, H, W, 3]` in [0, 1], twice, to their mean distance, a scalar."""
        x = (torch.cat([a, b]).permute(0, 3, 1, 2) - self.mean) / self.deviation
        total = x.new_zeros(())
        tap = 0
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index == self.taps[tap]:
                one, two = F.normalize(x, dim=1).chunk(2)
                weight = getattr(self, f"lin{tap}").view(-1, 1, 1)
                total = total + (weight * (one - two).square()).sum(1).mean()
                tap += 1
        return total
