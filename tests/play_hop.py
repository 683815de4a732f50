"""Hop as a dream that goes wrong when told to, beside the game itself."""

import torch
from evaluate_worlds import HopOracle, Moments

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.envs import hop_reader
from worldloom.envs.gym import GymWorld
from worldloom.envs.make import Setup
from worldloom.envs.reenter import moment_at
from worldloom.play.beside import Beside, Start

BEGIN = 4  # the frame after which dreams begin


class Copyable(Moments):
    def copy(self):
        return self  # `step` writes into fresh rows


class DreamedHop(HopOracle):
    """The game itself in the place of a model, until `wrong_after` steps of a row."""

    def __init__(self, wrong_after=10**9):
        def fault(now, steps, seed):
            if steps == wrong_after:
                now.x = (now.x + 30 * 256) % (58 * 256)  # the player is suddenly elsewhere

        super().__init__(fault=fault)
        object.__setattr__(self.spec, "capabilities", frozenset({"render", "fork"}))
        object.__setattr__(self.spec, "starts", frozenset({"frames"}))

    def start(self, clip, seeds):
        """Frames alone do not tell it where the game is: clips bring the snapshot along."""
        state, step = super().start(clip, seeds)
        return Copyable(state.rows, 0, state.seeds), step

    def step(self, state, action):
        state, step = super().step(state, action)
        return Copyable(state.rows, state.steps, state.seeds), step


def clip(store, number):
    name = store.split("heldout")[number % len(store)]
    episode = store.read(name, 0, BEGIN + 1)
    actions = Action(dict(episode.actions), episode.action_known)
    return Clip(
        frames={"main": torch.from_numpy(episode.frames["main"])[None]},
        actions=actions.map(lambda array: torch.from_numpy(array)[None]),
        snapshots=(episode.snapshots[BEGIN],),
    )


def hop_beside(store, *, reader=True):
    world = GymWorld(Setup.from_json(store.info.env, store.info.env_kwargs))
    names = store.split("heldout")

    def start(seed):
        name = names[seed % len(names)]
        way = moment_at(store, name, BEGIN)
        return Start(way, store.read(name, 0, 1).stills["background"])

    return Beside(world, start, reader=hop_reader.player if reader else None)
