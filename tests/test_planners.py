"""Players who plan: memories and plans that do not mix, and the way from a run to a real game."""

import json
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from test_agent import agent_world
from test_agent_training import colour_store, lessons, small
from test_serve_desk import frames

from worldloom.acting import play_checkpoint
from worldloom.actions import Action
from worldloom.agents.planners import Planners
from worldloom.agents.planning import Plan, Planner, Search
from worldloom.agents.trained import Team
from worldloom.cli import main
from worldloom.data.store import Store
from worldloom.envs.make import Setup
from worldloom.hub import load_agent, load_planners, load_value
from worldloom.models.agent import draw_action
from worldloom.serving.desk import Ask, Desk, Memory
from worldloom.serving.messages import Request
from worldloom.train.agent import train_agent
from worldloom.train.dream import train_dream
from worldloom.train.dynamics import train_dynamics
from worldloom.train.imagination import Dreaming
from worldloom.train.optim import Schedule
from worldloom.train.setup import Options
from worldloom.train.tokenizer import train_tokenizer

SEARCH = Search(horizon=3, candidates=4, rounds=2, every=2)


class Told:
    """Plans nothing: the keys of step h are those of its frame + h, bit by bit; notes who asks."""

    nothing = Planner.nothing

    def __init__(self, world, search):
        self.world, self.search, self.asked = world, search, []

    def plan(self, state, seeds, frames, *, guess):
        assert len(state) == len(seeds)
        self.asked.append((seeds.tolist(), frames.tolist(), guess["keys"]))
        number = frames[:, None] + torch.arange(self.search.horizon)
        keys = (number[..., None] >> torch.arange(3)) & 1
        return Plan({"keys": keys.to(torch.uint8)}, torch.zeros(1, len(seeds)))


def decoded(keys):
    return (np.asarray(keys) @ [1, 2, 4]).tolist()


def test_a_search_serves_several_actions_and_the_next_goes_on_from_it():
    world = agent_world()
    told = Told(world, SEARCH)
    players, images = Planners(Team(world, None), told), frames(6)
    players.begin(images[:2], [5, 6])
    done = []
    for n in range(5):
        done.append(decoded(players.act()["keys"]))
        players.see({"keys": np.zeros((2, 3), np.uint8)}, images[:2])
        if n == 2:
            players.replace(1, images[2], 7)
        if n == 3:
            players.rest(0)
    assert [asked[:2] for asked in told.asked] == [
        ([5, 6], [0, 0]),
        ([5, 6], [2, 2]),
        ([7], [0]),
        # Row 0 rests from here on: it would have been due at frame 4.
    ]
    assert [one for one, _ in done[:4]] == [0, 1, 2, 3]
    assert [two for _, two in done] == [0, 1, 2, 0, 1]
    guesses = [decoded(asked[2]) for asked in told.asked]
    assert guesses[0] == [[0, 0, 0]] * 2, "nothing has been planned"
    assert guesses[1] == [[2, 2, 2]] * 2, "two of three actions are done, the last stays"
    assert guesses[2] == [[0, 0, 0]]


def endless():
    """A dream whose agent believes in no ending."""
    world = agent_world(passes=1)
    torch.nn.init.zeros_(world.agent.ending.out.weight)
    torch.nn.init.constant_(world.agent.ending.out.bias, -9.0)
    return world


def planners(world, search=SEARCH, **more):
    prior = lambda *given: draw_action(world.agent.policy, *given)  # noqa: E731
    planner = Planner(world, search, prior=prior, **more)
    decide = lambda heard, state: planner.plan(state, state.seeds, state.ring.count).first()  # noqa: E731
    return Planners(Team(world, decide), planner)


def run(players, images, seeds, steps):
    players.begin(images[: len(seeds)], seeds)
    done = []
    for n in range(steps):
        done.append(players.act())
        players.see(done[-1], images[n : n + len(seeds)])
    return np.stack([values["keys"] for values in done], 1)


def test_in_a_dream_planning_repeats_itself_and_leaves_the_memory_alone():
    images = frames(12)
    one, two = (run(planners(endless()), images, [3, 4], 6) for _ in range(2))
    assert (one == two).all() and len(np.unique(one.reshape(-1, 3), axis=0)) > 1
    players = planners(endless())
    players.begin(images[:2], [3, 4])
    before = players.team.world.features(players.team.state).clone()
    ring = [k.clone() for k in players.team.state.ring.k]
    players.act()
    assert torch.equal(players.team.world.features(players.team.state), before)
    assert all(torch.equal(a, b) for a, b in zip(ring, players.team.state.ring.k, strict=True))


def test_imagined_worth_in_a_dream_is_what_its_steps_say():
    world = endless()
    players = planners(world, replace(SEARCH, rounds=1, discount=0.5))
    players.begin(frames(2), [3, 4])
    state, seeds = players.team.state, torch.tensor([3, 4])
    # Without `reseed` what is imagined can be done again with the state's own chance.
    world.spec = replace(world.spec, capabilities=world.spec.capabilities - {"reseed"})
    found = players.planner.plan(state, seeds, torch.zeros(2, dtype=torch.int64))
    worth, again = torch.zeros(2), state.copy()
    for step in range(3):
        keys = found.actions["keys"][:, step].clone()
        again, told = world.step(again, Action({"keys": keys}, torch.ones(2, dtype=torch.bool)))
        worth += 0.5**step * told.reward
    assert torch.allclose(found.worth[-1], worth, atol=1e-3) and worth.abs().min() > 1e-3


def test_a_desk_serves_it_without_a_memory_of_plans():
    images, once = frames(4), replace(SEARCH, every=1)
    desk, alone = (Desk(planners(endless(), once).team, 2) for _ in range(2))
    memory, other, own = Memory(), Memory(), Memory()
    for n, image in enumerate(images):
        asks = [Ask(memory, Request(image), 8), *[Ask(other, Request(images[0]), 2)] * (n % 2)]
        found = desk.act(asks)[0]["keys"]
        assert (found == alone.act([Ask(own, Request(image), 8)])[0]["keys"]).all()


def test_an_ending_that_was_not_one_does_not_end_the_search():
    """What was falsely believed to be over is alive again once reality goes on."""
    players, images = planners(endless()), frames(2)
    players.begin(images[:1], [1])
    with torch.inference_mode():
        players.team.state.mind.over[:] = True
    players.see({"keys": np.zeros((1, 3), np.uint8)}, images[1:])
    assert not players.team.state.mind.over.any()
    state = players.team.state
    assert players.planner.plan(state, state.seeds, state.ring.count).worth[-1, 0] != 0


class Colour(gymnasium.Env):
    """Shows the last action as a colour; action 1 pays; ends after 6 steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    action_space = spaces.Discrete(3)
    observation_space = spaces.Discrete(7)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = self.shown = 0
        return self.count, {}

    def step(self, action):
        self.count, self.shown = self.count + 1, action
        return self.count, float(action == 1), self.count == 6, False, {}

    def render(self):
        frame = np.zeros((16, 16, 3), np.uint8)
        frame[..., self.shown] = 200
        return frame


@pytest.fixture
def colour():
    gymnasium.register("Colour-v0", entry_point=Colour)
    yield "Colour-v0"
    del gymnasium.registry["Colour-v0"]


@pytest.fixture(scope="module")
def dreamt(tmp_path_factory):
    """A store, and a run with all stages, of two steps each."""
    folder = tmp_path_factory.mktemp("planners")
    store, run = colour_store(folder / "store", episodes=4), folder / "run"
    train_tokenizer(store, run, small(2), Options())
    train_dynamics(store, run, small(2), Options())
    train_agent(store, run, lessons(2), Options())
    how = Dreaming(horizon=2, contexts=2, context=3)
    train_dream(store, run, Schedule(steps=2, warmup=1), how, Options())
    return store, run


def test_the_value_of_the_end_is_that_of_the_dream(dreamt):
    _, run = dreamt
    world = load_agent(run)
    assert load_value(run, world, "agent") is None
    heard = torch.randn(5, world.dynamics.shape.width)
    head = load_value(run, world)
    players = load_planners(run, Search(horizon=2, candidates=2, rounds=1), passes=2)
    assert players.planner.world.sampler.passes == 2
    assert torch.equal(players.planner.value(heard), head.mean(head(heard))[:, 0])
    assert players.planner.value(heard).abs().max() > 0
    assert load_planners(run / "agent").planner.value is None


def test_plan_acts_in_the_real_game_and_says_what_it_cost(dreamt, colour, tmp_path, capsys):
    _, run = dreamt
    file = tmp_path / "played.json"
    search = ["--horizon", "3", "--candidates", "4", "--rounds", "1", "--every", "2"]
    command = ["plan", str(run), colour, "--episodes", "3", *search, "--json", str(file)]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "over 3 episodes" in out and "100% ended" in out
    assert "1 round x 4 candidates x 3 steps = 12 imagined steps a search" in out
    assert "a search every 2 actions" in out and "s an action" in out
    told = json.loads(file.read_text())
    assert told["steps"] == 12 and told["search"]["every"] == 2 and len(told["episodes"]) == 3
    assert [one["length"] for one in told["episodes"]] == [7, 7, 7]
    assert main(command) == 0
    assert json.loads(file.read_text())["episodes"] == told["episodes"]


@pytest.mark.slow
def test_plan_before_a_name_makes_any_policy_plan(dreamt, colour, tmp_path):
    _, run = dreamt
    setup = Setup(colour)
    played = play_checkpoint(f"plan:{run}", setup, episodes=1, max_frames=2)
    assert [one.length for one in played] == [2]
    store = tmp_path / "store"
    command = ["record", colour, str(store), "--policy", f"plan:{run}", "--episodes", "1"]
    assert main([*command, "--max-frames", "2"]) == 0
    (row,) = Store.open(store).episodes
    assert row.length == 2 and row.policy == f"plan:{run}"


def test_mistakes_of_plan_are_one_sentence(dreamt, colour, tmp_path, capsys):
    store, run = dreamt
    for part in ("tokenizer", "dynamics"):
        (tmp_path / part).symlink_to(run / part)
    train_agent(store, tmp_path, lessons(2, alone=True), Options(), name="policy")
    for given, said in (
        ([str(tmp_path / "gone"), colour], "no policy"),
        ([str(tmp_path), colour], "imitation alone"),
        ([str(run), "worldloom/Hop-v0"], "this environment takes keys"),
        ([str(run), colour, "--candidates", "1"], "nothing to choose from"),
        ([str(run), colour, "--passes", "3"], "3 passes"),
        ([str(run), colour, "--task", "fly"], "no task `fly`"),
    ):
        assert main(["plan", *given]) in (1, 2), given
        error = capsys.readouterr().err
        assert said in error and "hint:" in error and "Traceback" not in error
