"""Runs the dynamics model of github.com/nicklashansen/dreamer4 at a given shape.

Its own model, loss, optimiser and sampler, called as its `train_dynamics.py`
and `interactive.py` call them, in float32 on the CPU. What we choose: no agent
token (ours has none in this phase either), and time attention in every fourth
layer, the default of its `Dynamics` class: the training script's default of
every layer is slower and larger than the compared size.
"""

import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

from protocol import matrix_flops, serve


class Nicklashansen:
    """Its `Dynamics` with random weights, on random latents."""

    def __init__(self, shape: dict[str, Any], checkout: Path | None) -> None:
        if checkout is None:
            raise SystemExit("nicklashansen needs --checkout, a clone of its repository")
        import torch

        sys.modules.setdefault("wandb", types.ModuleType("wandb"))  # imported there, not used here
        sys.path.insert(0, str(checkout / "dreamer4"))
        import train_dynamics as peer

        torch.set_num_threads(shape["threads"])
        torch.manual_seed(0)
        self.torch, self.peer, self.shape = torch, peer, shape
        self.model = peer.Dynamics(
            d_model=shape["width"],
            d_bottleneck=shape["channels"],
            d_spatial=shape["channels"],
            n_spatial=shape["tokens"],
            n_register=shape["registers"],
            n_agent=0,
            n_heads=4,
            depth=shape["layers"],
            k_max=shape["grid"],
            time_every=4,
            scale_pos_embeds=False,
        )
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=1e-4, weight_decay=1e-2, betas=(0.9, 0.999)
        )
        self.schedule = peer.make_tau_schedule(
            k_max=shape["grid"], schedule="shortcut", d=1 / shape["passes"]
        )
        commit = ["git", "-C", str(checkout), "rev-parse", "--short=10", "HEAD"]
        head = subprocess.run(commit, capture_output=True, text=True, check=True).stdout.strip()
        self.about = {
            "name": f"nicklashansen/dreamer4 at {head}",
            "torch": torch.__version__,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "tokens_per_frame": self.model.layout.S(),
            "flops_per_step": matrix_flops(self.train),
        }

    def latents(self, rows: int, frames: int) -> Any:
        return self.torch.randn(rows, frames, self.shape["tokens"], self.shape["channels"])

    def train(self) -> float:
        rows, frames = self.shape["batch"], self.shape["frames"]
        clean = self.latents(rows, frames).tanh()
        actions = self.torch.rand(rows, frames, 16) * 2 - 1
        self.model.train()
        start = time.perf_counter()
        loss, _ = self.peer.dynamics_pretrain_loss(
            self.model,
            z1=clean,
            actions=actions,
            act_mask=self.torch.ones_like(actions),
            k_max=self.shape["grid"],
            B_self=round(self.shape["bootstrap_rows"] * rows),
            step=1,
            bootstrap_start=0,
        )
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return time.perf_counter() - start

    def generate(self, context: int) -> float:
        past = self.latents(1, context).tanh()
        actions = self.torch.rand(1, context + 1, 16) * 2 - 1
        self.model.eval()
        start = time.perf_counter()
        with self.torch.inference_mode():
            self.peer.sample_one_timestep_packed(
                self.model,
                past_packed=past,
                k_max=self.shape["grid"],
                sched=self.schedule,
                actions=actions,
                act_mask=self.torch.ones_like(actions),
            )
        return time.perf_counter() - start


if __name__ == "__main__":
    serve(Nicklashansen)
