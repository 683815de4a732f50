"""Worlds whose faults are known, and a store to try them on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from worldloom.actions import ActionSpec, Binary
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Clip, Episode
from worldloom.envs import HOP, hop, hop_draw
from worldloom.envs.make import Setup
from worldloom.envs.pixel import Snapshot
from worldloom.world import Step, WorldSpec

SIZE = 32
KEYS = ActionSpec((Binary("keys", hop.KEYS),))


def hop_store(path: Path, *, episodes: int, frames: int, size: int = SIZE, **info) -> Store:
    """Random play of Hop with everything known of it, all of it held out."""
    fields = {"env": HOP, "heldout": 1.0, "action": KEYS, "cameras": {"main": (size, size)}}
    fields["env_kwargs"] = Setup(HOP, (size, size)).to_json()
    store = Store.create(path, StoreInfo(**{**fields, "fps": 20, **info}))
    seed = 0
    while len(store) < episodes:
        episode = play(seed, frames, size)
        if len(episode) == frames:
            store.append(episode)
        seed += 1
    return store


def play(seed: int, frames: int, size: int) -> Episode:
    """Keys that are held for a while; ends early where the player dies or wins."""
    rng = np.random.default_rng(seed)
    now, keys = hop.begin(seed), np.zeros(3, np.uint8)
    shots, held, info, snapshots = [], [], [], {}
    while len(shots) < frames and not now.over:
        if shots:
            if rng.random() < 0.15:
                keys = rng.integers(0, 2, 3, dtype=np.uint8)
            hop.advance(now, *keys.tolist())
        snapshots[len(shots)] = pack(now, size)
        shots.append(hop.draw(now, size))
        held.append(keys if len(shots) > 1 else np.zeros(3, np.uint8))
        info.append(hop.truth(now))
    return Episode(
        frames=np.stack(shots),
        actions={"keys": np.stack(held)},
        info={name: np.stack([np.asarray(i[name]) for i in info]) for name in info[0]},
        stills={"background": hop_draw.plate(seed, size)},
        snapshots=snapshots,
        seed=seed,
    )


def pack(now: hop.Moment, size: int) -> bytes:
    env = hop.Hop(size)
    env._now = now
    return Snapshot(env.get_state(), env.render()).pack()


def unpack(snapshot: bytes) -> hop.Moment:
    env = hop.Hop()
    env.set_state(Snapshot.unpack(snapshot).state)
    return env._moment()


@dataclass
class Moments:
    """A batch of moments, each with the number of steps since its start and its seed."""

    rows: list[hop.Moment]
    steps: int
    seeds: list[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows):
        index = torch.arange(len(self.rows))[rows].tolist()
        return Moments(
            [replace(self.rows[i]) for i in index], self.steps, [self.seeds[i] for i in index]
        )


Fault = Callable[[hop.Moment, int, int], None]


class HopOracle:
    """Simulates Hop exactly, except for the faults that are planted.

    Args:
      listens: False makes it deaf: no key is ever held.
      fault: changes a moment in place after each step, given the step's number and the seed.
      paint: changes the rendered frames `[B, H, W, 3]`, given the state.
      moves: False repeats the first moment for ever.
    """

    def __init__(
        self,
        *,
        listens: bool = True,
        fault: Fault | None = None,
        paint=None,
        moves: bool = True,
        size: int = SIZE,
        action: ActionSpec = KEYS,
        tokenizer: bool = True,
    ) -> None:
        self.listens, self.fault, self.paint, self.moves = listens, fault, paint, moves
        self.size, self.seen = size, []
        self.spec = WorldSpec(
            name="oracle",
            cameras={"main": (size, size)},
            action=action,
            fps=20,
            capabilities=frozenset({"render", *(["reconstruct"] if tokenizer else [])}),
            starts=frozenset({"snapshot"}),
        )

    def start(self, clip: Clip, seeds: torch.Tensor) -> tuple[Moments, Step]:
        self.seen.append(seeds.tolist())
        rows = [unpack(state) for state in clip.snapshots or ()]
        return Moments(rows, 0, seeds.tolist()), Step()

    def step(self, state: Moments, action) -> tuple[Moments, Step]:
        rows = [replace(now) for now in state.rows]
        for now, seed, keys, known in zip(
            rows, state.seeds, action.values["keys"].tolist(), action.known.tolist(), strict=True
        ):
            if self.moves and not now.over:
                hop.advance(now, *(keys if known and self.listens else (0, 0, 0)))
            if self.fault:
                self.fault(now, state.steps, seed)
        return Moments(rows, state.steps + 1, state.seeds), Step()

    def render(self, state: Moments, camera: str = "main") -> torch.Tensor:
        frames = np.stack([hop.draw(now, self.size) for now in state.rows])
        return torch.as_tensor(self.paint(frames, state) if self.paint else frames)

    def reconstruct(self, clip: Clip) -> torch.Tensor:
        """A tokenizer that blunts every colour a little."""
        frames = clip.frames["main"].to(torch.int16)
        return (frames // 8 * 8 + 4).to(torch.uint8)
