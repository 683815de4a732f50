"""The examples run, on a CPU, with two steps."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from slider import slider_store, verdict_of
from test_agent import agent_world
from test_docs import load

from worldloom import Action, Clip, check_world
from worldloom.agents.trained import Team
from worldloom.data.store import Store
from worldloom.models.agent import choose_action
from worldloom.models.dream import DreamWorld, dream_spec
from worldloom.models.patches import PatchShape, PatchTokenizer
from worldloom.play.session import Session, from_seed
from worldloom.serving.server import Offer, policy_in_thread
from worldloom.trust.recorded import Environment, Recording
from worldloom.trust.task import Setting

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_there_are_eight_of_under_sixty_lines() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert len(files) == 8
    assert [f.name for f in files if len(f.read_text().splitlines()) >= 60] == []


def test_own_loop(tmp_path: Path) -> None:
    store = load(EXAMPLES / "own_loop.py").main(str(tmp_path / "ball"), episodes=2)
    episode = store.read(store.episodes[0].name)
    assert len(store) == 2 and len(episode) == 40
    moved = episode.frames["main"][1:] != episode.frames["main"][:-1]
    keys = episode.actions["keys"][1:].astype(int)
    still = keys[:, 0] == keys[:, 1]
    assert not moved[still].any(), "frames follow the keys of their own index"


def test_world_by_hand() -> None:
    module = load(EXAMPLES / "world_by_hand.py")
    world = module.DotWorld()
    check_world(world, Clip(env_seeds=torch.arange(3)))
    state, _ = world.start(Clip(env_seeds=torch.tensor([5])), torch.tensor([0]))
    right = Action({"keys": torch.tensor([[0, 1]])}, torch.tensor([True]))
    state, _ = world.step(state, right)
    assert world.render(state)[0, 0, :, 0].nonzero().tolist() == [[6]]


@pytest.mark.slow
def test_train_tiny(tmp_path: Path) -> None:
    store = tmp_path / "ball"
    load(EXAMPLES / "own_loop.py").main(str(store), episodes=4)
    dream = load(EXAMPLES / "train_tiny.py").main(str(store), str(tmp_path / "run"), 2)
    assert dream.shape == (16, 32, 32, 3) and dream.dtype == torch.uint8


@pytest.mark.slow
def test_ppo_in_a_dream(tmp_path: Path) -> None:
    store, run = str(tmp_path / "ball"), str(tmp_path / "run")
    load(EXAMPLES / "own_loop.py").main(store, episodes=4)
    load(EXAMPLES / "train_tiny.py").main(store, run, 2)
    module = load(EXAMPLES / "ppo_in_a_dream.py")
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    for row, x in enumerate((24, 25)):
        frames[row, 14:18, x - 2 : x + 2] = (255, 180, 40)
    assert module.on_the_right(frames, None).tolist() == [0, 1], "as the loop rewards it"
    returns = module.main(store, run, 64, rows=2)
    assert all(0 <= value <= 32 for value in returns)


def test_play_own_env() -> None:
    session = Session(load(EXAMPLES / "play_own_env.py").world(), from_seed)
    state = session.start(0)
    places = []
    for _ in range(12):
        state, frame = session.tick(state, ["ArrowRight"])
        places.append(int((frame.image[24, :, 0] > 200).nonzero()[0].min()))
    assert places == sorted(places) and places[-1] > places[0] + 4


def test_policy_client() -> None:
    small = agent_world()
    tokenizer = PatchTokenizer(PatchShape((32, 32), 16, 6))
    spec = dream_spec("hop", (32, 32), small.spec.action, 20.0)
    world = DreamWorld(tokenizer, small.dynamics, spec, small.sampler, small.agent)
    team = Team(world, partial(choose_action, small.agent.policy))
    with policy_in_thread(team, Offer(port=0)) as port:
        main = load(EXAMPLES / "policy_client.py").main
        returns = main("worldloom/Hop-v0", f"ws://127.0.0.1:{port}", episodes=2, most=8)
    assert len(returns) == 2


def test_keeps_still(tmp_path: Path) -> None:
    store = slider_store(tmp_path / "store", frames=30, heldout=0.9)
    task, setting = load(EXAMPLES / "keeps_still.py").KeepsStill(), Setting("smoke", store=store)
    real = verdict_of(task, Environment(store), setting)
    assert real.passed and real.primary.value == 0
    deaf = verdict_of(task, Recording(), setting)
    assert deaf.passed is False and deaf.primary.value == 1
    fault = task.faults()["restless"]
    assert fault.caught(verdict_of(task, fault.probe(setting), setting))
    bare = Store(store.path, replace(store.info, env=""), list(store.episodes))
    assert verdict_of(task, Recording(), replace(setting, store=bare)).passed is None


def test_record_and_look(tmp_path: Path) -> None:
    main = load(EXAMPLES / "record_and_look.py").main
    picture = main("worldloom/Hop-v0", str(tmp_path / "hop"), episodes=2)
    assert picture.size == (2 * 12 * 64, 2 * 64)
    assert len(picture.getcolors(2**16) or []) > 10, "there is something to see"
