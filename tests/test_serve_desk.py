"""Players who come and go at one desk: memories that do not mix, and who waits for whom."""

import asyncio
import threading
from functools import partial

import numpy as np
import pytest
import torch
from test_agent import agent_world
from test_serve_wire import IMAGE, SIZE

from worldloom.agents.trained import Team
from worldloom.errors import WorldloomError
from worldloom.models.agent import choose_action
from worldloom.serving.desk import Ask, Desk, Memory
from worldloom.serving.line import Line
from worldloom.serving.messages import Request


def team(task=None, decide=None, seed=0) -> Team:
    world = agent_world(seed)
    return Team(world, decide or partial(choose_action, world.agent.policy), task)


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), np.uint8)


def play(desk, memory, images, seed=0, between=lambda n: []):
    """What a player does; `between` gives others who ask in the same pass."""
    done = []
    for n, image in enumerate(images):
        others = between(n)
        place = n % (len(others) + 1)
        asks = [*others[:place], Ask(memory, Request(image), seed), *others[place:]]
        done.append(desk.act(asks)[place]["keys"].tolist())
    return done


def test_at_one_row_it_acts_as_the_team_does():
    images, one = frames(12), team()
    one.begin(images[:1], [9])
    expected = []
    for image in images[1:]:
        expected.append(one.act()["keys"][0].tolist())
        one.see({"keys": np.array([expected[-1]], np.uint8)}, image[None])
    assert play(Desk(team(), 1), Memory(), images[:-1], 9) == expected
    assert len({str(keys) for keys in expected}) > 2, "the policy does different things"


def test_who_sits_beside_changes_nothing():
    images, draw = frames(20), np.random.default_rng(1)
    others, crowd = [Memory() for _ in range(5)], frames(200, seed=2)

    def between(n):
        here = draw.choice(5, draw.integers(0, 3), replace=False)
        return [Ask(others[k], Request(crowd[draw.integers(200)], k == n % 7), k) for k in here]

    found = []
    for more in (lambda n: [], between):
        desk, memory = Desk(team(), 3), Memory()
        done = play(desk, memory, images, 4, more)
        if more is between:  # also while others are served without it
            for n in range(3):
                desk.act([Ask(others[k], Request(crowd[n]), k) for k in range(3)])
        else:
            desk.act([Ask(Memory(), Request(images[0]), 0)])
        desk.act([Ask(Memory(), Request(images[0]), 0)])
        assert memory.row is None
        state = memory.state
        found.append((done, state.mind.heard, state.before, *state.ring.k, *state.mind.ring.v))
    assert found[0][0] == found[1][0]
    for alone, among in zip(found[0][1:], found[1][1:], strict=True):
        assert torch.equal(alone, among)


def test_a_reset_forgets_and_nothing_else_does():
    images, desk, memory = frames(8), Desk(team(), 2), Memory()
    first = play(desk, memory, images, 5)
    on = play(desk, memory, images, 5)
    desk.act([Ask(memory, Request(images[0], reset=True), 5)])
    again = play(desk, memory, images[1:], 5)
    assert again == first[1:] and on != first


def test_a_task_holds_for_an_episode():
    images, desk, memory = frames(3), Desk(team("jump"), 2), Memory()
    play(desk, memory, images[:1])
    assert memory.task == "jump"

    def said(**request):
        (outcome,) = desk.act([Ask(memory, Request(images[1], **request), 0)])
        return outcome.message if isinstance(outcome, WorldloomError) else ""

    assert "task is `jump`, and `prompt` asks for `walk`" in said(task="walk")
    assert "no task `fly`" in said(task="fly", reset=True)
    assert memory.task == "jump" and said(task="jump") == "", "the episode goes on"
    assert said(task="walk", reset=True) == "" and memory.task == "walk"


def test_a_pass_that_breaks_costs_only_who_took_part():
    broken = []

    def decide(heard, state):
        if broken:
            raise RuntimeError("no")
        return choose_action(world.agent.policy, heard, state)

    world = agent_world()
    desk, images = Desk(Team(world, decide), 2), frames(6)
    one, two = Memory(), Memory()
    expected = play(Desk(Team(world, decide), 2), Memory(), images, 3)
    done = play(desk, one, images[:3], 3)
    play(desk, two, images[:2])
    broken.append(1)
    with pytest.raises(RuntimeError):
        play(desk, two, images[2:3])
    broken.clear()
    assert done + play(desk, one, images[3:], 3) == expected
    play(desk, two, images[:1])


def test_a_desk_for_nobody_is_refused():
    with pytest.raises(WorldloomError, match="0 rows"):
        Desk(team(), 0)


class Counted:
    """A desk that notes how many came to each pass, and works while its gate is open."""

    rows = 2

    def __init__(self):
        self.passes, self.gate = [], threading.Event()

    def act(self, asks):
        self.gate.wait(20)
        self.passes.append(len(asks))
        return [{"n": np.array(ask.seed)} for ask in asks]


def lined_up(here, story):
    """What came of a story about a line with so many clients."""

    async def go():
        desk = Counted()
        line = Line(desk)
        line.here = here

        async def ask(number):
            task = asyncio.create_task(line.act(Ask(Memory(), Request(IMAGE), number)))
            for _ in range(5):
                await asyncio.sleep(0)
            return task

        try:
            tasks = await story(desk, ask)
            return [int((await task).values["n"]) for task in tasks], desk.passes
        finally:
            line.close()

    return asyncio.run(go())


def test_a_pass_waits_a_moment_for_who_may_come_along(monkeypatch):
    monkeypatch.setattr("worldloom.serving.line.LINGER", 0.5)

    async def story(desk, ask):
        desk.gate.set()
        return [await ask(number) for number in range(3)]

    assert lined_up(4, story) == ([0, 1, 2], [2, 1])


def test_who_is_alone_waits_for_nobody_and_who_left_takes_no_row(monkeypatch):
    monkeypatch.setattr("worldloom.serving.line.LINGER", 60.0)

    async def story(desk, ask):
        first, gone, *others = [await ask(number) for number in range(4)]
        gone.cancel()
        desk.gate.set()
        return [first, *others]

    assert lined_up(1, story) == ([0, 2, 3], [1, 2])
