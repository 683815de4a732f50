"""Training resumes bit for bit, ranks agree, and a run folder explains itself."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from worlds import ACTIONS, objective_inputs, tiny_dynamics, tiny_shape

from worldloom.configs import Batches, Forcing, Size
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode
from worldloom.errors import WorldloomError
from worldloom.hub import load_world, save_world
from worldloom.models.patches import PatchShape
from worldloom.models.tokenizer import TokenizerShape
from worldloom.train.checkpoint import read_tensors, write_tensors
from worldloom.train.dist import Ranks
from worldloom.train.dynamics import DynamicsObjective, train_dynamics
from worldloom.train.learner import Learner
from worldloom.train.muon import Muon, orthogonalise
from worldloom.train.optim import Schedule, rate_share, running_scale, update_average
from worldloom.train.setup import Options
from worldloom.train.tokenizer import train_tokenizer

LEARNED = TokenizerShape(
    (16, 16), patch=8, latents=4, bottleneck=4, pack=2, width=16, layers=4, heads=2, window=4
)


def make_store(path, episodes=4, length=20, seed=0):
    rng = np.random.default_rng(seed)
    store = Store.create(path, StoreInfo(ACTIONS, {"main": (16, 16)}, 20.0))
    for index in range(episodes):
        keys = rng.integers(0, 2, (length, 3), dtype=np.uint8)
        frames = np.repeat(np.repeat(keys[:, None, None] * 200, 16, 1), 16, 2).astype(np.uint8)
        store.append(Episode(frames=frames, actions={"keys": keys}, seed=index), split="train")
    return store


def small_size(kind="patches", steps=20, muon=0.02):
    tokenizer = PatchShape((16, 16), 8, 8) if kind == "patches" else LEARNED
    shape = tiny_shape(tokens=tokenizer.tokens, channels=tokenizer.channels, window=4)
    return Size(
        "test",
        (16, 16),
        tokenizer,
        shape,
        tokenizer_schedule=Schedule(steps, warmup=2, ema=0.9),
        tokenizer_batches=Batches(rows=2, short=8, long=8)
        if kind != "patches"
        else Batches(rows=40, short=1, long=1),
        schedule=Schedule(steps, rate=1e-3, warmup=2, ema=0.9, muon_rate=muon),
        batches=Batches(rows=4, short=4, long=8, long_every=4),
        forcing=Forcing(),
    )


def weights(run, stage):
    return read_tensors(run / stage / "weights.safetensors")[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["patches", "learned"])
def test_ten_steps_and_ten_more_equal_twenty(tmp_path, kind):
    store, size = make_store(tmp_path / "store"), small_size(kind)
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    assert train_tokenizer(store, straight, size, Options(seed=1))
    assert train_dynamics(store, straight, size, Options(seed=1))
    half = Options(seed=1, until=10)
    if kind == "learned":
        assert not train_tokenizer(store, halves, size, half)
    assert train_tokenizer(store, halves, size, Options(seed=1), resume=kind == "learned")
    assert not train_dynamics(store, halves, size, half)
    checkpoint, _ = read_tensors(halves / "dynamics/checkpoint.safetensors")
    assert any(name.startswith("optimizer1/") for name in checkpoint)
    assert train_dynamics(store, halves, size, Options(seed=1), resume=True)
    for stage in ("tokenizer", "dynamics"):
        one, two = weights(straight, stage), weights(halves, stage)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert not (halves / "dynamics/checkpoint.safetensors").exists()


@pytest.mark.slow
def test_a_run_that_begins_with_another_learns_on_from_it_and_resumes_exactly(tmp_path):
    store, size = make_store(tmp_path / "store"), small_size(steps=6)
    for name in ("first", "on", "halves"):
        train_tokenizer(store, tmp_path / name, size, Options())
    first = tmp_path / "first"
    train_dynamics(store, first, size, Options())
    still = replace(size, schedule=replace(size.schedule, rate=0.0, muon_rate=0.0, decay=0.0))
    train_tokenizer(store, tmp_path / "still", size, Options())
    train_dynamics(store, tmp_path / "still", still, Options(), begin=first)
    one, two = weights(first, "dynamics"), weights(tmp_path / "still", "dynamics")
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)
    train_dynamics(store, tmp_path / "on", size, Options(), begin=first)
    train_dynamics(store, tmp_path / "halves", size, Options(until=3), begin=first)
    train_dynamics(store, tmp_path / "halves", size, Options(), resume=True)
    two, three = weights(tmp_path / "on", "dynamics"), weights(tmp_path / "halves", "dynamics")
    assert not torch.equal(one["embed.weight"], two["embed.weight"])
    assert all(torch.equal(two[name], three[name]) for name in two)


@pytest.mark.slow
def test_a_run_of_another_kind_is_not_begun_with(tmp_path):
    store, size = make_store(tmp_path / "store"), small_size(steps=2)
    train_tokenizer(store, tmp_path / "first", size, Options())
    train_dynamics(store, tmp_path / "first", size, Options())
    train_tokenizer(store, tmp_path / "run", size, Options())
    wider = replace(size, dynamics=replace(size.dynamics, registers=3))
    with pytest.raises(WorldloomError, match=r"another shape than size test.*: registers"):
        train_dynamics(store, tmp_path / "run", wider, Options(), begin=tmp_path / "first")
    other = make_store(tmp_path / "other", seed=5)
    train_tokenizer(other, tmp_path / "stranger", size, Options())
    with pytest.raises(WorldloomError, match="have different tokenizers"):
        train_dynamics(store, tmp_path / "stranger", size, Options(), begin=tmp_path / "first")
    assert not (tmp_path / "stranger/dynamics").exists()
    # What is missing here is said before what is wrong there.
    with pytest.raises(WorldloomError) as caught:
        train_dynamics(store, tmp_path / "bare", wider, Options(), begin=tmp_path / "first")
    assert caught.value.message == f"`{tmp_path / 'bare'}` has no tokenizer"
    assert "worldloom train tokenizer" in caught.value.hint
    assert not (tmp_path / "bare").exists()


@pytest.mark.slow
def test_another_seed_is_another_run(tmp_path):
    store, size = make_store(tmp_path / "store"), small_size(steps=3)
    for seed in (1, 2):
        train_tokenizer(store, tmp_path / str(seed), size, Options(seed=seed))
        train_dynamics(store, tmp_path / str(seed), size, Options(seed=seed))
    one, two = weights(tmp_path / "1", "dynamics"), weights(tmp_path / "2", "dynamics")
    assert not torch.equal(one["embed.weight"], two["embed.weight"])


@pytest.mark.slow
def test_a_store_that_grows_does_not_disturb_a_resumed_run(tmp_path):
    store, size = make_store(tmp_path / "store"), small_size(steps=8)
    for name in ("a", "b"):
        train_tokenizer(store, tmp_path / name, size, Options())
    train_dynamics(store, tmp_path / "a", size, Options())
    train_dynamics(store, tmp_path / "b", size, Options(until=4))
    keys = np.ones((30, 3), np.uint8)
    frames = np.zeros((30, 16, 16, 3), np.uint8)
    store.append(Episode(frames=frames, actions={"keys": keys}, seed=99), split="train")
    train_dynamics(Store.open(store.path), tmp_path / "b", size, Options(), resume=True)
    one, two = weights(tmp_path / "a", "dynamics"), weights(tmp_path / "b", "dynamics")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_folder_explains_itself(tmp_path):
    store, size = make_store(tmp_path / "store"), small_size(steps=3)
    train_tokenizer(store, tmp_path / "run", size, Options(seed=5))
    train_dynamics(store, tmp_path / "run", size, Options(seed=5))
    config = json.loads((tmp_path / "run/dynamics/config.json").read_text())
    assert config["seed"] == 5 and config["shape"]["width"] == 32
    assert {"command", "commit", "worldloom", "torch", "machine"} <= config["made"].keys()
    rows = [
        json.loads(r)
        for r in (tmp_path / "run/dynamics/metrics.jsonl").read_text().split("\n")
        if r
    ]
    assert rows[-1]["step"] == 3 and rows[-1]["loss"] > 0
    assert list((tmp_path / "run/dynamics/samples").glob("*.png"))
    with pytest.raises(WorldloomError, match="exists already"):
        train_dynamics(store, tmp_path / "run", size, Options())


def test_world_loads_strictly_and_saves(tmp_path):
    store, size = make_store(tmp_path / "store"), small_size(steps=3)
    run = tmp_path / "run"
    with pytest.raises(WorldloomError, match="has no tokenizer"):
        load_world(run)
    train_tokenizer(store, run, size, Options())
    train_dynamics(store, run, size, Options(until=1))
    with pytest.raises(WorldloomError, match="not trained to its end"):
        load_world(run)
    train_dynamics(store, run, size, Options(), resume=True)
    world = load_world(run)
    save_world(world, run, tmp_path / "saved")
    again = load_world(tmp_path / "saved")
    for name, value in world.dynamics.state_dict().items():
        assert torch.equal(value, again.dynamics.state_dict()[name])
    tensors = weights(run, "dynamics")
    broken = {k: v for k, v in tensors.items() if k != "norm.scale"} | {"stray": torch.ones(2)}
    write_tensors(run / "dynamics/weights.safetensors", broken, {})
    with pytest.raises(WorldloomError, match=r"missing: norm.scale; unexpected: stray"):
        load_world(run)
    (run / "dynamics/weights.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(WorldloomError, match="not a readable"):
        load_world(run)


def test_a_configuration_that_does_not_fit_is_one_sentence(tmp_path):
    store, size = make_store(tmp_path / "store"), small_size(steps=1)
    train_tokenizer(store, tmp_path / "run", size, Options())
    train_dynamics(store, tmp_path / "run", size, Options())
    file = tmp_path / "run/dynamics/config.json"
    whole = json.loads(file.read_text())
    stranger = {**whole, "shape": {**whole["shape"], "depth": 3}}
    without = {key: value for key, value in whole.items() if key != "tokenizer"}
    for config, words in (
        (stranger, r"has another `shape` than this version: .*depth"),
        ({**whole, "shape": None}, "has another `shape`"),
        (without, r"config\.json` lacks `tokenizer`"),
        ([], "is not readable|has format None"),
    ):
        file.write_text(json.dumps(config))
        with pytest.raises(WorldloomError, match=words):
            load_world(tmp_path / "run")


def test_a_world_refuses_another_tokenizer(tmp_path):
    store, size = make_store(tmp_path / "store"), small_size(steps=2)
    train_tokenizer(store, tmp_path / "run", size, Options())
    train_dynamics(store, tmp_path / "run", size, Options())
    tensors = weights(tmp_path / "run", "tokenizer")
    tensors["mean"] += 1
    write_tensors(tmp_path / "run/tokenizer/weights.safetensors", tensors, {})
    with pytest.raises(WorldloomError, match="was trained on tokenizer"):
        load_world(tmp_path / "run")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {"a": torch.ones(3)}, {"step": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("worldloom.train.checkpoint.save_file", full)
    with pytest.raises(WorldloomError, match="No space left"):
        write_tensors(path, {"a": torch.zeros(3)}, {"step": 2})
    tensors, facts = read_tensors(path)
    assert facts == {"step": 1} and torch.equal(tensors["a"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("lost", ["mean_square", "optimizer0/", "optimizer1/"])
def test_a_checkpoint_that_lacks_a_part_is_refused(tmp_path, lost):
    store, size = make_store(tmp_path / "store"), small_size(steps=4)
    train_tokenizer(store, tmp_path / "run", size, Options())
    train_dynamics(store, tmp_path / "run", size, Options(until=2))
    path = tmp_path / "run/dynamics/checkpoint.safetensors"
    tensors, facts = read_tensors(path)
    kept = {name: value for name, value in tensors.items() if not name.startswith(lost)}
    write_tensors(path, kept, facts)
    with pytest.raises(WorldloomError, match=f"no {lost.rstrip('/')}"):
        train_dynamics(store, tmp_path / "run", size, Options(), resume=True)


def test_a_process_that_does_not_lead_writes_nothing(tmp_path, monkeypatch):
    store, size = make_store(tmp_path / "store"), small_size()
    second = lambda: nullcontext(Ranks(1, 2))  # noqa: E731
    monkeypatch.setattr("worldloom.train.tokenizer.ranks", second)
    assert train_tokenizer(store, tmp_path / "run", size, Options(track="wandb"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["cache"]


class FakeTracker(ModuleType):
    """Notes what wandb, trackio or tensorboard would be sent."""

    def __init__(self, name):
        super().__init__(name)
        self.begun, self.rows = {}, []

    def init(self, **facts):
        self.begun = facts

    def log(self, row, step):
        self.rows.append((step, row))

    def SummaryWriter(self, folder):
        self.begun = {"name": "/".join(Path(folder).parts[-3:-1])}
        return self

    def add_scalar(self, key, value, step):
        self.rows.append((step, {key: value}))

    def flush(self):
        pass


@pytest.mark.parametrize("name", ["wandb", "trackio", "tensorboard"])
def test_a_tracker_is_sent_what_is_logged(tmp_path, monkeypatch, name):
    fake = FakeTracker(name)
    for module in (name, "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, module, fake)
    store, size = make_store(tmp_path / "store"), small_size(steps=2)
    train_tokenizer(store, tmp_path / "run", size, Options(track=name))
    train_dynamics(store, tmp_path / "run", size, Options(track=name))
    assert fake.begun["name"] == "run/dynamics"
    told = [row for step, row in fake.rows if step == 2]
    assert any(row.get("loss", 0) > 0 for row in told)
    assert not any("step" in row for row in told)


def test_rows_that_do_not_divide_among_ranks_are_refused():
    assert Ranks(1, 2).rows(8) == slice(4, 8)
    with pytest.raises(WorldloomError, match="9 rows cannot be divided among 2"):
        Ranks(0, 2).rows(9)


_SCRIPT = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import torch
    torch.set_num_threads(1)  # as conftest does: bits may depend on the number of threads
    sys.path.insert(0, {tests!r})
    from test_train import make_store, small_size
    from worldloom.data.store import Store
    from worldloom.train.dynamics import train_dynamics
    from worldloom.train.setup import Options
    store = Store.open({store!r})
    done = train_dynamics(store, Path({run!r}), small_size(steps=200),
                          Options(save_minutes={minutes}), resume={resume})
    print("finished", done)
    """
)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A store, and a run on it that nobody killed."""
    folder = tmp_path_factory.mktemp("straight")
    store, run, size = make_store(folder / "store"), folder / "run", small_size(steps=200)
    train_tokenizer(store, run, size, Options())
    train_dynamics(store, run, size, Options())
    return store, run


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_goes_on_exactly(tmp_path, straight, how):
    (store, whole), killed = straight, tmp_path / "killed"
    shutil.copytree(whole / "tokenizer", killed / "tokenizer")
    fill = {"tests": os.path.dirname(__file__), "store": str(store.path), "run": str(killed)}
    script = _SCRIPT.format(**fill, minutes=0.002, resume=False)
    first = subprocess.Popen([sys.executable, "-c", script])
    checkpoint = killed / "dynamics/checkpoint.safetensors"
    while not checkpoint.exists() and first.poll() is None:
        time.sleep(0.02)
    first.send_signal(how)
    assert first.wait(60) != 0
    assert checkpoint.exists() and not (killed / "dynamics/weights.safetensors").exists()
    script = _SCRIPT.format(**fill, minutes=10, resume=True)
    subprocess.run([sys.executable, "-c", script], check=True)
    one, two = weights(whole, "dynamics"), weights(killed, "dynamics")
    assert all(torch.equal(one[name], two[name]) for name in one)


def _gradient(model, inputs):
    objective = DynamicsObjective(model)
    loss = objective(*inputs)
    loss.sum().backward()
    return loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}


_RANK = textwrap.dedent(
    """
    import sys, torch
    sys.path.insert(0, {tests!r})
    from worlds import objective_inputs, tiny_dynamics
    from worldloom.train.dist import ranks
    from worldloom.train.dynamics import DynamicsObjective
    from worldloom.train.learner import Learner
    from worldloom.train.optim import Schedule
    torch.set_num_threads(1)
    with ranks() as group:
        model = tiny_dynamics()
        learner = Learner(DynamicsObjective(model), Schedule(4, ema=0.9), group)
        seen = []
        for step in range(4):
            clean, action, draws = objective_inputs(model, seed=step)
            rows = group.rows(8)
            row = learner.update(clean[rows], action[rows], draws.rows(rows, group.device))
            seen.append([float(row[name]) for name in ("loss", "gradient_norm")])
        if group.leads:
            torch.save({{"seen": seen, "weights": model.state_dict()}}, {out!r})
    """
)


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    """Two gloo ranks on halves of a batch equal one process on all of it.

    In losses, in weights, and in the gradient's norm: AdamW would hide its scale.
    """
    script = tmp_path / "rank.py"
    out = tmp_path / "two.pt"
    script.write_text(_RANK.format(tests=os.path.dirname(__file__), out=str(out)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
    subprocess.run([*command, str(script)], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    two = torch.load(out, weights_only=True)
    model = tiny_dynamics()
    learner = Learner(DynamicsObjective(model), Schedule(4, ema=0.9), Ranks())
    for step, seen in enumerate(two["seen"]):
        row = learner.update(*objective_inputs(model, seed=step))
        assert [float(row[n]) for n in ("loss", "gradient_norm")] == pytest.approx(seen, rel=1e-5)
    for name, value in model.state_dict().items():
        assert torch.allclose(value, two["weights"][name], atol=1e-5), name


def test_gradients_of_halves_average_to_the_gradient_of_the_whole():
    model = tiny_dynamics()
    clean, action, draws = objective_inputs(model)
    whole = _gradient(model, (clean, action, draws))[1]
    total = {name: torch.zeros_like(value) for name, value in whole.items()}
    for rows in (slice(0, 4), slice(4, 8)):
        model.zero_grad()
        part = (clean[rows], action[rows], draws.rows(rows, torch.device("cpu")))
        for name, value in _gradient(model, part)[1].items():
            total[name] += value / 2
    assert all(torch.allclose(whole[n], total[n], atol=1e-5) for n in whole)


def test_schedule_warms_up_and_ends_at_its_floor():
    schedule = Schedule(1000, warmup=100, floor=0.1)
    assert rate_share(0, schedule) == pytest.approx(0.01)
    assert rate_share(99, schedule) == 1.0
    assert rate_share(1000, schedule) == pytest.approx(0.1)
    assert rate_share(0, Schedule(20, warmup=1000)) == 0.5  # short runs warm up in a tenth


def test_running_scale_is_the_root_mean_square_from_the_first_step():
    square, losses = torch.zeros(2), torch.tensor([3.0, 0.5])
    assert torch.allclose(running_scale(square, losses, 0), losses)
    for step in range(1, 600):
        scale = running_scale(square, torch.tensor([4.0, 1.0]), step)
    assert torch.allclose(scale, torch.tensor([4.0, 1.0]), rtol=1e-2)


def test_average_follows_at_once_and_then_slowly():
    mean, weight = [torch.zeros(1)], [torch.ones(1)]
    update_average(mean, weight, 0, 0.99)
    assert float(mean[0]) == pytest.approx(0.9)
    update_average(mean, [torch.zeros(1)], 10**6, 0.99)
    assert float(mean[0]) == pytest.approx(0.9 * 0.99)


def test_orthogonalise_brings_singular_values_near_one():
    draws = torch.Generator().manual_seed(0)
    for shape in ((3, 20, 8), (3, 8, 20)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape, generator=draws)))
        assert float(values.min()) > 0.6 and float(values.max()) < 1.3


def test_muon_matches_the_plain_update_of_one_matrix():
    torch.manual_seed(0)
    matrices = [torch.nn.Parameter(torch.randn(6, 4)) for _ in range(2)]
    plain = [m.detach().clone() for m in matrices]
    momentum = [torch.zeros(6, 4) for _ in range(2)]
    muon = Muon(matrices, 0.1, weight_decay=0.5)
    for step in range(3):
        for index, matrix in enumerate(matrices):
            matrix.grad = torch.sin(torch.arange(24.0).view(6, 4) + step + index)
            momentum[index] = 0.95 * momentum[index] + 0.05 * matrix.grad
            direction = 0.05 * matrix.grad + 0.95 * momentum[index]
            plain[index] *= 1 - 0.1 * 0.5
            plain[index] -= 0.1 * (6 / 4) ** 0.5 * orthogonalise(direction[None])[0]
        muon.step()
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(matrices, plain, strict=True))


def test_batches_alternate_and_end_long():
    batches = Batches(rows=16, short=8, long=32, long_every=8, long_last=0.1)
    assert batches.at(0, 1000) == (16, 8)
    assert batches.at(7, 1000) == (4, 32)
    assert batches.at(899, 1000)[1] == 8 and batches.at(900, 1000)[1] == 32
