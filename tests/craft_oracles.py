"""Craft itself as a world that can observe, and worlds that lie about it in one way each."""

from dataclasses import replace

import numpy as np
import torch

from worldloom.data.types import Clip
from worldloom.envs import CRAFT, craft_rules
from worldloom.envs.craft_core import RECORD, CraftWorlds
from worldloom.envs.craft_paths import STEPS
from worldloom.envs.craft_rules import Act
from worldloom.envs.gym import ExactState, GymWorld


class Oracle:
    """The truth; what it says of a real frame it reads off the exact state."""

    def __init__(self) -> None:
        self.inner = GymWorld(CRAFT)
        spec = self.inner.spec
        can = spec.capabilities | {"observe"}
        self.spec = replace(spec, capabilities=can, starts=frozenset({"snapshot"}))

    def start(self, clip, seeds):
        return self.inner.start(Clip(snapshots=clip.snapshots), seeds)

    def step(self, state, action):
        before = state
        after, step = self.inner.step(state, action)
        after = self.twist(before, np.asarray(action.values["action"]), after)
        live = torch.tensor([not moment.ended for moment in before.moments])
        return after, replace(step, reward=torch.where(live, self.pay(before, after), 0.0))

    def observe(self, state, action, clip):
        after, step = self.start(clip, torch.zeros(len(state)))
        live = torch.tensor([not moment.ended for moment in state.moments])
        return after, replace(step, reward=torch.where(live, self.pay(state, after), 0.0))

    def features(self, state):
        rows = [np.frombuffer(moment.state, np.uint8) for moment in state.moments]
        return torch.from_numpy(np.stack(rows))

    def render(self, state, camera="main"):
        return self.inner.render(state)

    def twist(self, before, action, after):
        return after

    def pay(self, before, after):
        was, now = games(before), games(after)
        gained = now["ever"].sum(1).astype(int) - was["ever"].sum(1)
        health = now["shown"][:, 0].astype(int) - was["shown"][:, 0]
        return torch.from_numpy((gained + 0.1 * health).astype(np.float32))


class Optimist(Oracle):
    """Pays a little for every step, in the dream and on real frames."""

    def pay(self, before, after):
        return super().pay(before, after) + 0.25


class Permissive(Oracle):
    """Whatever is asked for is made, as long as it is asked for with a deed that has a recipe."""

    def twist(self, before, action, after):
        return changed(before, action, after, worked=True)


class Timid(Oracle):
    """Nothing is ever gained."""

    def twist(self, before, action, after):
        return changed(before, action, after, worked=False)


def games(state: ExactState) -> np.ndarray:
    """The records of all rows, a fresh array."""
    return np.concatenate([np.frombuffer(m.state, RECORD) for m in state.moments]).copy()


def changed(before, action, after, *, worked: bool):
    """`after` with the item of every deed that has one given (or taken back) against the rules."""
    was, now = games(before), games(after)
    worlds = CraftWorlds(1)
    moments = []
    for row, moment in enumerate(after.moments):
        facing = np.array(STEPS)[now[row]["facing"]]
        ahead = was[row]["cells"][was[row]["place"] + facing]
        deed = int(craft_rules.deeds(np.array([action[row]]), np.array([ahead]))[0])
        gains = np.flatnonzero(craft_rules.GAINS[deed]) if action[row] >= int(Act.DO) else []
        for item in gains:
            held = was[row]["shown"][3 + item]
            if worked:
                now[row]["shown"][3 + item] = min(held + 1, craft_rules.LIMITS[item])
                now[row]["ever"][3 + item] = 1
            else:
                now[row]["shown"][3 + item] = held
                now[row]["ever"][3 + item] = was[row]["ever"][3 + item]
        state = now[row : row + 1].tobytes()
        worlds.set_state(0, state)
        moments.append(replace(moment, state=state, frame=worlds.render()[0]))
    return ExactState(tuple(moments))
