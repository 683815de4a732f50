"""Steps in resident memory give the bytes of plain ones, from addresses that never change."""

import pytest
import torch
from test_dream import make_clip, make_world
from worlds import ACTIONS, keys

from worldloom.check import check_world
from worldloom.models.agent import Agent
from worldloom.models.dream import DreamWorld
from worldloom.models.engine import EAGER, Engine, tensors
from worldloom.models.heads import AgentShape
from worldloom.play.pool import Pool

STEPS = EAGER + 4


class Recorder:
    """A capture as a GPU makes it, without the GPU: it runs again what it was given.

    Fails where a run finds any of the resident tensors at another address than at capture.
    """

    def __init__(self):
        self.captured, self.replayed = 0, 0

    def __call__(self, run, memory):
        self.captured += 1
        before = [(id(part), part.data_ptr()) for part in memory]

        def replay():
            assert [(id(part), part.data_ptr()) for part in memory] == before
            run()
            self.replayed += 1

        return replay


def engined(**sampler):
    world, capture = make_world(**sampler), Recorder()
    said = []
    world.advance_by(Engine(world, capture, said.append))
    return world, capture, said


def course(world, state, steps, seed=0):
    """The bytes of so many frames, and the state after them."""
    actions, seen = keys(len(state), steps, seed=seed), []
    for index in range(steps):
        state, _ = world.step(state, actions[:, index])
        seen.append(world.render(state).numpy().tobytes())
    return seen, state


def begun(world, seed=0, rows=1):
    return world.start(make_clip(rows=rows, seed=seed), torch.arange(rows) + seed)[0]


@pytest.mark.parametrize("sampler", [{}, {"paths": {"copy": 2, "columns": 2, "steered": True}}])
def test_a_captured_step_gives_the_same_bytes(sampler):
    plain = make_world(**sampler)
    world, capture, said = engined(**sampler)
    assert course(world, begun(world), STEPS)[0] == course(plain, begun(plain), STEPS)[0]
    assert (capture.captured, capture.replayed) == (1, STEPS - EAGER)
    assert len(said) == 1 and "1 row" in said[0]


def test_the_first_steps_wait_for_no_capture():
    world, capture, _ = engined()
    course(world, begun(world), EAGER)
    assert capture.captured == 0


def test_states_take_turns_in_the_resident_memory():
    """Each has its own course, its copies and marks too, whoever was there in between."""
    plain, (world, capture, _) = make_world(), engined()
    told = {}
    for each in (plain, world):
        states = [begun(each, seed) for seed in (0, 1)]
        seen = []
        for turn in range(STEPS):
            for number in range(2):
                frames, states[number] = course(each, states[number], 1, seed=turn)
                seen += frames
        kept, mark = states[0].copy(), each.mark(states[0])
        seen += course(each, states[0], 3, seed=50)[0]
        seen += course(each, kept, 3, seed=50)[0]
        back = each.recall(mark)
        seen += course(each, back, 3, seed=50)[0] + course(each, states[1], 2, seed=51)[0]
        told[each] = seen
    assert told[plain] == told[world]
    assert capture.captured == 1


def test_one_graph_for_each_number_of_rows():
    world, capture, said = engined()
    for rows in (1, 3, 1, 3):
        course(world, begun(world, rows=rows), STEPS)
    assert capture.captured == 2 and "3 rows" in said[1]


@pytest.mark.slow
def test_the_world_keeps_the_contract():
    world, _, _ = engined()
    assert "rows" in " ".join(check_world(world, make_clip()))


def test_a_pool_of_players_is_stepped_in_it():
    seen = []
    for world in (make_world(), engined()[0]):
        pool = Pool(world, 4)
        seats = [pool.start(make_clip(rows=1, seed=s), torch.tensor([s]))[0] for s in range(3)]
        frames = []
        for turn in range(STEPS):
            there = seats[: 2 + turn % 2]  # one comes and goes
            actions = keys(len(there), 1, seed=turn)[:, 0]
            pool.step_together(there, [actions[i : i + 1] for i in range(len(there))])
            frames += [image.numpy().tobytes() for image in pool.render_together(there)]
        seen.append(frames)
    assert seen[0] == seen[1]


def test_a_machine_that_cannot_capture_goes_on_without():
    def capture(run, memory):
        raise RuntimeError("operation not permitted when stream is capturing")

    plain, world, said = make_world(), make_world(), []
    world.advance_by(Engine(world, capture, said.append))
    assert course(world, begun(world), STEPS)[0] == course(plain, begun(plain), STEPS)[0]
    assert len(said) == 1 and "not permitted" in said[0]


def test_an_agent_is_in_the_memory_too():
    plain = make_world()
    torch.manual_seed(1)
    shape = AgentShape(length=2, hidden=16, bins=15, reach=2.0)
    agent = Agent(shape, plain.dynamics.shape, ACTIONS)
    worlds = [
        DreamWorld(plain.tokenizer, plain.dynamics, plain.spec, plain.sampler, agent)
        for _ in range(2)
    ]
    worlds[1].advance_by(Engine(worlds[1], Recorder(), lambda words: None))
    ends = [course(world, begun(world), STEPS) for world in worlds]
    assert ends[0][0] == ends[1][0]
    parts = [tensors(state) for _, state in ends]
    assert len(parts[0]) == len(parts[1]) > 8
    assert all(torch.equal(a, b) for a, b in zip(*parts, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_graph_gives_the_bytes_of_plain_steps():
    from worldloom.models.engine import graphed

    plain, world = make_world().to("cuda"), make_world().to("cuda")
    said = []
    world.advance_by(Engine(world, graphed, said.append))
    frames = []
    for each in (plain, world):
        state, seen = begun(each), []
        actions = keys(1, STEPS)
        for index in range(STEPS):
            state, _ = each.step(state, actions[:, index])
            seen.append(each.render(state).cpu().numpy().tobytes())
        frames.append(seen)
    assert frames[0] == frames[1] and "graph" in said[0]
