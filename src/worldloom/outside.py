"""A world model that nobody here wrote, before the same questions: TorchRL's DreamerV3.

Encoder, recurrent state-space model, decoder and divergence are TorchRL's. Ours are the loop
that trains them and the contract of worlds around them. The package imports none of this by
itself: `worldloom eval worldloom.outside:Dreamer STORE --suite trust` names it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worldloom import seeding
from worldloom.actions import Action, ActionSpec, Categorical
from worldloom.data.clips import ClipCache, ClipSampler
from worldloom.data.files import replace_file
from worldloom.data.store import Store
from worldloom.data.types import Clip
from worldloom.errors import need
from worldloom.train.checkpoint import load_strictly, read_tensors, write_tensors
from worldloom.trust.sitting import Tell
from worldloom.trust.task import Budget, Setting, training_seed
from worldloom.world import Step, WorldSpec

STEPS: Mapping[Budget, int] = {"smoke": 4, "quick": 600, "full": 6000}
"""Updates. Smoke proves the way, not the world; quick takes minutes on one core."""
ROWS, FRAMES = 8, 16
"""Windows of an update, and their length."""
DEPTH, STAGES = 8, (1, 2, 3, 4)
CLASSES, HIDDEN, BELIEF = (16, 16), 128, 256
UNIMIX, FREE, BACK = 0.01, 1.0, 0.1
"""DreamerV3's: share of the uniform in every categorical, free nats, weight of the divergence
that draws the posterior back to the prior."""
RATE, CLIP = 5e-4, 100.0


class Net(nn.Module):
    """TorchRL's parts, for frames of one size.

    Args:
      frame: (height, width), multiples of 16.
      actions: length of an action as `as_vector` writes it.
    """

    def __init__(self, frame: tuple[int, int], actions: int) -> None:
        super().__init__()
        parts: Any = need("torchrl.modules", "torchrl")
        how = {"num_categoricals": CLASSES[0], "num_classes": CLASSES[1], "unimix": UNIMIX}
        self.encoder = parts.DreamerV3ImageEncoder(depth=DEPTH, mults=STAGES)
        self.prior = parts.RSSMPriorV3(
            action_shape=(actions,),
            action_dim=actions,
            hidden_dim=HIDDEN,
            rnn_hidden_dim=BELIEF,
            recurrent_model="block_gru",
            **how,
        )
        self.posterior = parts.RSSMPosteriorV3(
            hidden_dim=HIDDEN,
            rnn_hidden_dim=BELIEF,
            obs_embed_dim=self.encoder.output_features((3, *frame)),
            use_rms_norm=True,
            **how,
        )
        self.decoder = parts.DreamerV3ImageDecoder(
            math.prod(CLASSES) + BELIEF, (3, *frame), depth=DEPTH, mults=STAGES
        )

    def loss(self, frames: Tensor, actions: Tensor) -> Tensor:
        """What a window costs: squared error of every frame, and both divergences.

        Args:
          frames: `[B, T, H, W, 3]` uint8.
          actions: `[B, T, A]` as `as_vector` writes them.
        """
        real = frames.movedim(-1, -3).float() / 255
        seen = self.encoder(real)
        state, belief = nothing_known(len(frames))
        before, after, states, beliefs = [], [], [], []
        for t in range(frames.shape[1]):
            logits, _, belief = self.prior(state, belief, actions[:, t])
            before.append(logits)
            logits, state = self.posterior(belief, seen[:, t])
            after.append(logits)
            states.append(state)
            beliefs.append(belief)
        drawn = self.decoder(torch.stack(states, 1), torch.stack(beliefs, 1))
        terms = need("torchrl.objectives.dreamer_v3", "torchrl").categorical_kl_terms
        forth, back = terms(
            torch.stack(after, 1), torch.stack(before, 1), free_nats=FREE, unimix=UNIMIX
        )
        return (drawn - real).square().sum((2, 3, 4)).mean() + forth + BACK * back


def nothing_known(rows: int) -> tuple[Tensor, Tensor]:
    """State and belief before the first frame."""
    return torch.zeros(rows, math.prod(CLASSES)), torch.zeros(rows, BELIEF)


def as_vector(spec: ActionSpec, action: Action) -> Tensor:
    """Actions `[*lead]` as one vector `[*lead, A]`: every component, and whether it is known."""
    known = torch.as_tensor(action.known).float()[..., None]
    parts = []
    for component in spec.components:
        value = torch.as_tensor(action.values[component.name])
        if isinstance(component, Categorical):
            value = nn.functional.one_hot(value.long(), component.n)
        parts.append(value.float().flatten(known.ndim - 1))
    return torch.cat([*(part * known for part in parts), known], -1)


@dataclass
class Moment:
    """A batch of moments of such a world, as a value.

    Args:
      state: `[B, S]` the classes that were drawn, one-hot.
      belief: `[B, D]` what the recurrent part holds.
      seeds: `[B]` int64.
      count: `[B]` int64 number of the next frame.
    """

    state: Tensor
    belief: Tensor
    seeds: Tensor
    count: Tensor

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> "Moment":
        pick = rows if isinstance(rows, slice) else torch.as_tensor(rows, dtype=torch.int64)
        return Moment(*(getattr(self, f.name)[pick].clone() for f in fields(self)))

    def copy(self) -> "Moment":
        return self[:]

    @classmethod
    def stack(cls, states: Sequence["Moment"]) -> "Moment":
        return cls(*(torch.cat([getattr(s, f.name) for s in states]) for f in fields(cls)))


class DreamerWorld:
    """TorchRL's DreamerV3 behind the contract: no reward, no ending, no doubt.

    Args:
      net: trained or not.
      spec: camera, actions and frames a second of what it learned from.
    """

    layers = ("latent",)

    def __init__(self, net: Net, spec: WorldSpec) -> None:
        self.net = net.eval().requires_grad_(False)
        can = {"render", "observe", "score", "features", "steer", "fork", "reseed"}
        self.spec = replace(spec, capabilities=frozenset(can), starts=frozenset({"frames"}))

    @torch.no_grad()
    def start(self, clip: Clip, seeds: Tensor) -> tuple[Moment, Step]:
        """What is known after the frames of a clip."""
        frames = torch.as_tensor(clip.frames["main"])
        state, belief = nothing_known(len(frames))
        now = Moment(state, belief, seeds.clone(), torch.zeros_like(seeds))
        for t in range(frames.shape[1]):
            action = self._unknown(len(frames)) if clip.actions is None else clip.actions[:, t]
            now, _ = self.observe(now, action, Clip(frames={"main": frames[:, t : t + 1]}))
        return now, Step()

    @torch.no_grad()
    def step(self, state: Moment, action: Action) -> tuple[Moment, Step]:
        """Imagines one frame: classes are drawn from the prior, row by row."""
        logits, belief = self._prior(state, action)
        share = 0.5 * (1 + torch.erf(seeding.noise(state.seeds, state.count, 0, CLASSES) / 2**0.5))
        gumbel = -(-share.clamp(1e-6, 1 - 1e-6).log()).log()
        return self._next(state, _shares(logits).log() + gumbel, belief), Step()

    @torch.no_grad()
    def observe(self, state: Moment, action: Action, clip: Clip) -> tuple[Moment, Step]:
        """A real frame: the likeliest classes of the posterior."""
        _, belief = self._prior(state, action)
        return self._next(state, self._posterior(belief, clip), belief), Step()

    @torch.no_grad()
    def score(self, state: Moment, clip: Clip) -> Tensor:
        """`[B, T]` divergence of what a frame says from what was expected, in nats."""
        told = []
        for t in range(clip.frames["main"].shape[1]):
            action = self._unknown(len(state)) if clip.actions is None else clip.actions[:, t]
            frame = Clip(frames={"main": torch.as_tensor(clip.frames["main"])[:, t : t + 1]})
            expected, belief = self._prior(state, action)
            found = self._posterior(belief, frame)
            p, q = _shares(found), _shares(expected)
            told.append((p * (p.log() - q.log())).sum((-1, -2)))
            state = self._next(state, found, belief)
        return torch.stack(told, 1)

    @torch.no_grad()
    def render(self, state: Moment, camera: str = "main") -> Tensor:
        """`[B, H, W, 3]` uint8."""
        del camera
        drawn = self.net.decoder(state.state, state.belief).movedim(-3, -1)
        return (drawn.clamp(0, 1) * 255).round().to(torch.uint8)

    def features(self, state: Moment, layer: str | None = None) -> Tensor:
        """`[B, S + D]` the whole latent: there is one layer."""
        del layer
        return torch.cat([state.state, state.belief], -1)

    def steer(self, state: Moment, vector: Tensor, layer: str) -> Moment:
        """A push `[B, S + D]` given to the latent."""
        del layer
        push = vector.to(state.state).split([state.state.shape[1], state.belief.shape[1]], -1)
        return replace(state, state=state.state + push[0], belief=state.belief + push[1])

    def reseed(self, state: Moment, seeds: Tensor) -> Moment:
        """Another of the possible futures."""
        return replace(state, seeds=seeds.clone())

    def _unknown(self, rows: int) -> Action:
        null = {k: torch.from_numpy(v) for k, v in self.spec.action.null((rows,)).items()}
        return Action(null, torch.zeros(rows, dtype=torch.bool))

    def _prior(self, state: Moment, action: Action) -> tuple[Tensor, Tensor]:
        """Logits `[B, *CLASSES]` of what comes, and the belief; what TorchRL draws is left."""
        with torch.random.fork_rng(devices=[]):
            told = as_vector(self.spec.action, action)
            logits, _, belief = self.net.prior(state.state, state.belief, told)
        return logits, belief

    def _posterior(self, belief: Tensor, clip: Clip) -> Tensor:
        frame = torch.as_tensor(clip.frames["main"])[:, -1].movedim(-1, -3)
        with torch.random.fork_rng(devices=[]):
            return self.net.posterior(belief, self.net.encoder(frame))[0]

    def _next(self, state: Moment, scores: Tensor, belief: Tensor) -> Moment:
        """The moment in which the classes with the highest scores came."""
        classes = nn.functional.one_hot(scores.argmax(-1), CLASSES[1]).float().flatten(1)
        return Moment(classes, belief, state.seeds.clone(), state.count + 1)


def _shares(logits: Tensor) -> Tensor:
    """Probabilities of classes, as the networks were trained to mean them."""
    return (1 - UNIMIX) * logits.softmax(-1) + UNIMIX / logits.shape[-1]


@dataclass(frozen=True)
class Dreamer:
    """The family: how such worlds come of recordings.

    Args:
      steps: updates; the budget's own number by default.
      name: of the recipe.
    """

    steps: int | None = None
    name: str = "TorchRL's DreamerV3"

    def words(self, setting: Setting) -> str:
        """The recipe and how long it trains."""
        return f"{self.name}, {self.steps or STEPS[setting.budget]:,} updates"

    def train(self, store: Store, folder: Path, setting: Setting, tell: Tell) -> DreamerWorld:
        """The world trained on a store, or the one that is in `folder`."""
        info, weights = store.info, folder / "weights.safetensors"
        facts = {
            "frame": info.cameras["main"],
            "action": info.action.to_json(),
            "fps": info.fps,
            "name": f"dreamer on {store.path.name}",
        }
        if not weights.exists():
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(folder / "config.json", json.dumps(facts).encode())
            cache = ClipCache.open(store, folder / "cache")
            sampler = ClipSampler(cache, FRAMES, ROWS, seed=training_seed(setting))
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(training_seed(setting))
                net = _net(facts)
                _fit(net, sampler, info.action, self.steps or STEPS[setting.budget], tell)
            write_tensors(weights, net.state_dict(), {"family": self.name})
        return self._load(folder)

    def untrained(self, folder: Path, *, seed: int) -> DreamerWorld:
        """The world in `folder` with weights as they are drawn."""
        facts = json.loads((folder / "config.json").read_text())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return DreamerWorld(_net(facts), _spec(facts))

    def _load(self, folder: Path) -> DreamerWorld:
        world, weights = self.untrained(folder, seed=0), folder / "weights.safetensors"
        load_strictly(world.net, read_tensors(weights)[0], f"`{weights}`")
        return world


def _fit(net: Net, sampler: ClipSampler, spec: ActionSpec, steps: int, tell: Tell) -> None:
    """Adam on windows of the store; each update's windows follow from the seed and its number."""
    optimizer = torch.optim.Adam(net.parameters(), RATE, eps=1e-6)
    for step in range(steps):
        clip = sampler.batch(step)
        assert clip.actions is not None, "a cache has actions, known or not"
        loss = net.loss(clip.frames["main"], as_vector(spec, clip.actions))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), CLIP)
        optimizer.step()
        tell(0.0, f"training {sampler.cache.store.path.name}: {step:,} of {steps:,}")


def _spec(facts: Mapping[str, Any]) -> WorldSpec:
    action, frame = ActionSpec.from_json(facts["action"]), tuple(facts["frame"])
    return WorldSpec(facts["name"], {"main": frame}, action, facts["fps"])  # type: ignore[dict-item]


def _net(facts: Mapping[str, Any]) -> Net:
    """Networks for the frames and actions of a store, weights as they are drawn."""
    spec = _spec(facts)
    null = {name: torch.from_numpy(value) for name, value in spec.action.null((1,)).items()}
    width = as_vector(spec.action, Action(null, torch.ones(1, dtype=torch.bool))).shape[-1]
    return Net(spec.cameras["main"], width)
