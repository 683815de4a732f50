"""A policy's server: openpi's own client, several at once, mistakes, and the verb."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from test_agent import agent_world
from test_agent_training import colour_store, lessons, small
from test_serve_desk import IMAGE, frames, play, team
from test_serve_wire import openpi as openpi
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from worldloom.agents.trained import Team
from worldloom.cli import main
from worldloom.models.agent import choose_action
from worldloom.serving.desk import Desk, Memory
from worldloom.serving.server import Offer, policy_in_thread
from worldloom.serving.wire import pack, unpack

# What it does with a socket works with every version of websockets so far; newer ones warn.
unmodified = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager")


@contextmanager
def served(team_=None, **offer):
    with policy_in_thread(team_ or team(), Offer(port=0, **offer)) as port:
        yield port


@contextmanager
def client(port, **more):
    with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None, **more) as socket:
        facts = unpack(socket.recv())

        def infer(image, **keys):
            socket.send(pack({"image": image, **keys}))
            found = socket.recv()
            return found if isinstance(found, str) else unpack(found)

        infer.facts, infer.socket = facts, socket
        yield infer


def acted(answer) -> list:
    return answer["actions"]["keys"][0].tolist()


@unmodified
def test_an_unmodified_openpi_client_drives_it(openpi):
    from openpi_client.websocket_client_policy import WebsocketClientPolicy

    images = frames(5)
    with served(name="runs/x") as port:
        policy = WebsocketClientPolicy("127.0.0.1", port)
        facts = policy.get_server_metadata()
        assert facts["image"] == {"shape": [16, 16, 3], "dtype": "uint8"}
        assert facts["policy"] == "runs/x" and "reset" in facts["request"]
        found = []
        for image in images:
            answer = policy.infer({"image": image, "seed": 6})
            found.append(acted(answer))
            assert {"infer_ms", "wait_ms"} <= set(answer["server_timing"])
        assert {"prev_total_ms", "p50_ms", "p95_ms"} <= set(answer["server_timing"])
        with pytest.raises(RuntimeError, match=r"uint8 \[8, 16, 3\], expected uint8 \[16, 16, 3\]"):
            policy.infer({"image": images[0][:8]})
        again = policy.infer({"image": images[0], "seed": 6, "reset": True})
        policy._ws.close()
    assert found == play(Desk(team(), 4), Memory(), images, 6)
    assert acted(again) == found[0]
    assert answer["actions"]["keys"].shape == (1, 3), "a chunk of one action"


def test_clients_at_once_do_what_each_would_do_alone():
    def go(number):
        with client(port) as infer:
            images = frames(6, seed=number)
            return [acted(infer(image, seed=number)) for image in images]

    with served(rows=2) as port, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(go, range(4)))
    for number in range(4):
        images = frames(6, seed=number)
        assert found[number] == play(Desk(team(), 2), Memory(), images, number)


def gated():
    """A team that decides only while its gate is open, and says when it came to it."""
    gate, there, world = threading.Event(), threading.Event(), agent_world()
    gate.set()

    def decide(heard, state):
        there.set()
        gate.wait(20)
        return choose_action(world.agent.policy, heard, state)

    return Team(world, decide), gate, there


def test_only_the_newest_frame_waits_and_the_loop_stays_free():
    slow, gate, there = gated()
    images = frames(4)
    with served(slow, rows=2) as port, client(port) as infer:
        gate.clear()
        there.clear()
        for number, image in enumerate(images):
            more = {"reset": True, "seed": 8} if number == 1 else {}
            infer.socket.send(pack({"image": image, **more}))
            assert there.wait(20)
        infer.socket.ping().wait(20)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            assert (answer.status, answer.read()) == (200, b"OK\n")
        gate.set()
        first, last = unpack(infer.socket.recv()), unpack(infer.socket.recv())
        assert (first["frame"], last["frame"]) == (0, 3)
        assert infer(images[0])["frame"] == 4
    assert acted(last) == play(Desk(team(), 2), Memory(), images[3:], 8)[0]


def test_a_mistake_is_a_text_and_the_episode_goes_on():
    images = frames(3)
    with served() as port, client(port) as infer:
        done = [acted(infer(images[0], seed=2))]
        said = infer(images[1], speed=3)
        assert said.splitlines() == [
            "there is no key `speed`",
            "hint: send a map with: image, reset, seed, prompt",
        ]
        infer.socket.send("hello")
        assert "a text came" in infer.socket.recv()
        infer.socket.send(b"\xc1")
        assert "not msgpack" in infer.socket.recv()
        assert "no task `fly`" in infer(images[1], reset=True, prompt="fly")
        done += [acted(infer(image)) for image in images[1:]]
    assert done == play(Desk(team(), 4), Memory(), images, 2)


def test_a_broken_policy_says_so_and_hangs_up():
    world, broken = agent_world(), []

    def decide(heard, state):
        if broken:
            raise RuntimeError("the head\nfell off")
        return choose_action(world.agent.policy, heard, state)

    with served(Team(world, decide)) as port:
        with client(port) as infer:
            broken.append(1)
            assert infer(IMAGE) == "the policy broke (RuntimeError: the head fell off)"
            with pytest.raises(ConnectionClosed) as closed:
                infer.socket.recv()
            assert closed.value.rcvd.code == 1011
        broken.clear()
        with client(port) as infer:
            assert infer(IMAGE)["frame"] == 0


def refused(port, **more) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as error, client(port, **more):
        pass
    return error.value.response.status_code, error.value.response.body.decode()


@unmodified
def test_who_may_not_come_in_hears_why_in_http(openpi, capsys):
    from openpi_client.websocket_client_policy import WebsocketClientPolicy

    with served(key="a secret", clients=1) as port:
        assert refused(port) == (401, "give this server's key, as api_key\n")
        status, words = refused(port, additional_headers={"Origin": "http://evil.example"})
        assert status == 403 and "not for pages" in words
        policy = WebsocketClientPolicy("127.0.0.1", port, api_key="a secret")
        keyed = {"Authorization": "Api-Key a secret"}
        assert refused(port, additional_headers=keyed) == (503, "all 1 places are taken\n")
        policy._ws.close()
        for _ in range(50):
            try:
                with client(port, additional_headers=keyed) as infer:
                    assert "actions" in infer(IMAGE)
                break
            except InvalidStatus:
                time.sleep(0.1)
        else:
            pytest.fail("a place that was left stayed taken")
    assert "ERROR" not in capsys.readouterr().err, "a refusal is no error of the server"


def test_a_message_far_too_long_is_hung_up_on():
    with served() as port, client(port) as infer:
        infer.socket.send(b"\x00" * 200_000)
        with pytest.raises(ConnectionClosed) as closed:
            infer.socket.recv()
        assert closed.value.rcvd.code == 1009


# The verb


@pytest.fixture(scope="module")
def cloned(tmp_path_factory):
    """A policy of a few steps, from recordings alone."""
    from worldloom.train.agent import train_agent
    from worldloom.train.setup import Options
    from worldloom.train.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("served")
    store, run = colour_store(folder / "store", episodes=4), folder / "run"
    train_tokenizer(store, run, small(2), Options())
    train_agent(store, run, lessons(2, alone=True), Options(), name="policy", size=small(2))
    return run


@pytest.mark.slow
def test_the_verb_serves_a_run_until_ctrl_c(cloned):
    command = [sys.executable, "-m", "worldloom", "serve", str(cloned), "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        found = re.search(r"serving (\S+) at ws://127.0.0.1:(\d+)", process.stdout.readline())
        assert found and found[1] == str(cloned)
        with client(int(found[2])) as infer:
            assert infer.facts["action_spec"]["components"][0]["n"] == 3
            assert infer(IMAGE)["actions"]["action"].shape == (1,)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "client 1 left: 1 frame, answered in" in out and "1 client, 1 frame, answered" in out


def test_mistakes_of_the_verb(cloned, capsys):
    with served() as port:
        assert main(["serve", str(cloned), "--port", str(port)]) == 1
    assert f"cannot serve on port {port}" in capsys.readouterr().err
    assert main(["serve", "random"]) == 1
    assert "no policy `random`" in capsys.readouterr().err
    assert main(["serve", str(cloned / "tokenizer")]) == 1
    assert "is no agent but a tokenizer" in capsys.readouterr().err
    for option, said in (("--rows", "0 rows"), ("--max-clients", "0 clients")):
        assert main(["serve", str(cloned), "--port", "0", option, "0"]) == 1
        assert said in capsys.readouterr().err
    assert main(["serve", str(cloned), "--port", "0", "--task", "fly"]) == 1
    assert "no task `fly`" in capsys.readouterr().err
