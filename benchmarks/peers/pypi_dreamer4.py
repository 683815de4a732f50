"""Runs the dynamics model of the PyPI package `dreamer4` at a given shape.

Its own `DynamicsWorldModel` with the defaults of its constructor but for width,
depth, token counts and grid, its own `generate` with its own cache, and the
optimiser and clipping of its `BehaviorCloneTrainer`, in float32 on the CPU. It
bootstraps whole batches with a probability; we make that every fourth step for
a share of 0.25, so that a multiple of four steps has the compared mixture. Its
agent heads are there but no loss reaches them.
"""

import importlib.metadata
import time
from pathlib import Path
from typing import Any

from protocol import matrix_flops, serve


def import_torchvision(torch: Any) -> None:
    """Imports torchvision, whose wheels are built for CUDA, beside a CPU torch.

    Its compiled operators are missing then, and not needed here, but its import
    fails unless those that it describes unconditionally are declared.
    """
    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401


class PypiDreamer4:
    """Its `DynamicsWorldModel` with random weights, on random latents."""

    def __init__(self, shape: dict[str, Any], checkout: Path | None) -> None:
        del checkout
        import torch

        import_torchvision(torch)
        from adam_atan2_pytorch import MuonAdamAtan2
        from dreamer4 import DynamicsWorldModel

        torch.set_num_threads(shape["threads"])
        torch.manual_seed(0)
        self.torch, self.shape, self.steps = torch, shape, 0
        self.model = DynamicsWorldModel(
            dim=shape["width"],
            dim_latent=shape["channels"],
            depth=shape["layers"],
            num_latent_tokens=shape["tokens"],
            num_spatial_tokens=shape["tokens"],
            num_register_tokens=shape["registers"],
            max_steps=shape["grid"],
            num_discrete_actions=8,
        )
        self.optimiser = MuonAdamAtan2(
            list(self.model.muon_parameters()),
            list(self.model.parameters()),
            lr=3e-4,
            weight_decay=0.0,
        )
        self.cache: dict[int, Any] = {}
        self.about = {
            "name": f"PyPI dreamer4 {importlib.metadata.version('dreamer4')}",
            "torch": torch.__version__,
            "parameters": sum(p.numel() for p in self.model.transformer.parameters()),
            "tokens_per_frame": 2 + shape["tokens"] + shape["registers"] + 1,
            "flops_per_step": matrix_flops(self.train, round(1 / shape["bootstrap_rows"])),
        }

    def train(self) -> float:
        rows, frames = self.shape["batch"], self.shape["frames"]
        latents = self.torch.randn(rows, frames, *self.model.latent_shape).tanh()
        actions = self.torch.randint(0, 8, (rows, frames, 1))
        every = round(1 / self.shape["bootstrap_rows"])
        self.model.prob_shortcut_train = float(self.steps % every == 0)
        self.steps += 1
        self.model.train()
        start = time.perf_counter()
        loss = self.model(
            latents=latents, discrete_actions=actions, add_autoregressive_action_loss=False
        )
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return time.perf_counter() - start

    def generate(self, context: int) -> float:
        """One frame more than `context`, from the cache that its `generate` returns."""
        if context not in self.cache:
            prompt = self.torch.randn(1, context - 1, *self.model.latent_shape).tanh()
            self.cache[context] = self.frame(prompt, None)
        latents, cache = self.cache[context]
        start = time.perf_counter()
        self.frame(latents, cache)
        return time.perf_counter() - start

    def frame(self, prompt: Any, cache: Any) -> tuple[Any, Any]:
        frames = prompt.shape[1]
        return self.model.generate(
            frames + 1,
            num_steps=self.shape["passes"],
            prompt_latents=prompt,
            prompt_discrete_actions=self.torch.zeros(1, frames, 1, dtype=self.torch.int64),
            time_cache=cache,
            return_decoded_video=False,
            return_time_cache=True,
        )


if __name__ == "__main__":
    serve(PypiDreamer4)
