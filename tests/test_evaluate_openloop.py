"""Planted faults: each number must see the world that is broken in just its way, and no other."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluate_worlds import KEYS, SIZE, HopOracle, Moments, hop_store
from PIL import Image

from worldloom.actions import ActionSpec, Binary, Categorical
from worldloom.data.ledger import Find, Ledger
from worldloom.data.store import Store, StoreInfo
from worldloom.data.types import Episode
from worldloom.envs import hop, hop_draw
from worldloom.errors import WorldloomError
from worldloom.evaluate.openloop import evaluate
from worldloom.evaluate.publish import add_lies
from worldloom.evaluate.report import Figure, Report, Table

pytestmark = pytest.mark.slow

HORIZONS = (1, 2, 4, 8, 16)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return hop_store(tmp_path_factory.mktemp("hop") / "store", episodes=32, frames=40)


def run(world, store: Store, **settings) -> Report:
    return evaluate(world, store, **{"horizons": HORIZONS, "context": 4, "episodes": 8, **settings})


@pytest.fixture(scope="module")
def oracle(store) -> Report:
    return run(HopOracle(), store, episodes=32)


def cells(report: Report, row: str, table: str = "foreground_psnr") -> list[float]:
    return [round(f.value, 6) for f in report.tables[table].rows[row]]


def test_the_oracle_is_exact_beats_everything_and_listens(oracle):
    assert cells(oracle, "world") == cells(oracle, "real")
    assert cells(oracle, "world")[0] == pytest.approx(58.92, abs=0.01)
    gain = oracle.figures["foreground_gain_db_h1_16"]
    assert gain.low > 30 and gain.null == 0 and gain.n == 32
    share = oracle.figures["headroom_share_h8"]
    assert 0.2 < share.low < share.value < share.high
    assert oracle.usable["world"].value == 36 and "or more" in oracle.usable["world"].why
    assert oracle.usable["world"].null < 10
    assert oracle.figures["reader_accuracy"].value > 0.98
    assert oracle.failures == () and "No mistake" in oracle.to_text()


def test_every_reference_row_is_there_and_the_tokenizer_is_the_ceiling(oracle):
    rows = ["world", "persistence", "background", "blind", "shuffled", "tokenizer", "real"]
    assert list(oracle.tables["foreground_psnr"].rows) == [*rows, "real_shuffled"]
    # Colours moved to the middle of eight: off by 2.3 of 255 if all are as frequent, 4 at most.
    assert 36.0 < cells(oracle, "tokenizer")[0] < 40.9
    assert oracle.figures["foreground_gain_db_h1"].ceiling == pytest.approx(
        cells(oracle, "tokenizer")[0] - cells(oracle, "persistence")[0], abs=1e-3
    )


def test_the_real_game_is_entered_again_and_bounds_the_headroom_share(oracle):
    assert cells(oracle, "real_shuffled") == cells(oracle, "shuffled")
    share = oracle.figures["headroom_share_h8"]
    assert share.ceiling == pytest.approx(share.value) and share.ceiling < 0.9


def test_a_game_that_does_not_repeat_its_recordings_is_no_reference(store, tmp_path):
    other = Store.create(tmp_path / "other", store.info)
    for name in store.split("heldout")[:3]:
        episode = store.read(name)
        first = {0: store.read(store.split("heldout")[5]).snapshots[0]}  # of another level
        other.append(replace(episode, snapshots=first))
    world = HopOracle()
    world.spec = replace(world.spec, starts=frozenset({"frames"}))
    world.start = lambda clip, seeds: (
        Moments([hop.begin(1)] * len(seeds), 0, seeds.tolist()),
        None,
    )
    report = run(world, other)
    assert "real_shuffled" not in report.tables["psnr"].rows
    assert any("does not repeat its recordings" in note for note in report.notes)
    assert report.figures["headroom_share_h8"].ceiling is None


def test_a_world_that_stands_still_is_persistence_and_has_no_headroom(store):
    report = run(HopOracle(moves=False), store)
    assert cells(report, "world") == cells(report, "persistence")
    assert report.figures["foreground_gain_db_h1"].value == 0
    share = report.figures["headroom_share_h8"]
    assert share.value is None and "headroom" in share.why
    assert report.usable["world"].value == report.usable["persistence"].value


def test_a_world_that_shows_the_empty_level_is_background_only(store):
    plates = {}

    def paint(frames, state):
        for now in state.rows:
            plates.setdefault(now.level, hop_draw.plate(now.level, SIZE))
        return np.stack([plates[now.level] for now in state.rows])

    report = run(HopOracle(paint=paint), store)
    assert cells(report, "world") == cells(report, "background")
    assert report.figures["foreground_gain_db_h1_16"].value < 0
    assert report.usable["world"].value == 0
    assert all("vanished" in failure.what for failure in report.failures)
    assert len({failure.window for failure in report.failures}) == 3


def test_a_deaf_world_has_no_share_though_it_beats_persistence(store, oracle):
    report = run(HopOracle(listens=False), store)
    assert report.figures["headroom_share_h4"].value == 0
    assert report.figures["action_gain_db_h4"].value == 0
    assert "p = 1" in report.figures["action_gain_db_h4"].why
    assert cells(report, "world") == cells(report, "blind") == cells(report, "shuffled")
    assert report.figures["foreground_gain_db_h1"].value > 1
    assert report.usable["world"].value < oracle.usable["world"].value
    assert report.failures[0].what == "the player is in the wrong place"


def test_a_world_that_forgets_a_coin_is_named_with_place_and_time(store, tmp_path):
    def forget(now, step, seed):
        if step == 5:
            now.coins &= now.coins - 1  # the lowest of those that are left

    report = run(HopOracle(fault=forget), store, out=tmp_path / "out")
    assert report.usable["world"].value == 5
    (failure, *others) = report.failures
    assert failure.what == "a coin has vanished that nobody took"
    assert failure.frame == 6 and failure.affected >= 7 and failure.rollouts == 8
    assert "from frame 6 (0.30 s)" in failure.sentence
    assert [f.what for f in others if f.what.startswith(("the", "a "))] == []
    # The box stands where the coin is in the truth.
    window = json.loads((tmp_path / "out/samples.jsonl").read_text().splitlines()[failure.window])
    name, start = window["sample"].split(":")
    info = store.read(name, int(start) + 4 + 5, int(start) + 4 + 6).info
    places = np.stack([info["coin_x"][0], info["coin_y"][0]], -1) * SIZE / 64
    assert (np.abs(places - failure.places[0][1:]).max(-1) < 1e-3).any()


def test_a_world_that_loses_the_enemy_keeps_its_usable_horizon(store):
    def kill(now, step, seed):
        now.enemy_alive = 0

    report = run(HopOracle(fault=kill), store)
    assert report.failures[0].what == "the enemy has vanished, though nobody squashed it"
    assert report.usable["world"].value == 36
    assert cells(report, "world")[0] < 20


def test_a_world_that_stands_still_and_tints_the_background_gains_nothing(store):
    """What flattered it by its own mask: a background a little beyond the tolerance."""

    def tint(frames, state):
        return np.where(frames < 128, frames + 20, frames - 20).astype(np.uint8)

    report = run(HopOracle(moves=False, paint=tint), store)
    found = report.sensitivity["differs by more than 16 of 255"]
    assert found["foreground_gain_db_h1_16_own_mask"].low > 3
    assert found["mask_ratio_h8"].value > 5
    gain = report.figures["foreground_gain_db_h1_16"]
    assert gain.high < 0 and found["foreground_gain_db_h1_16"] == gain
    assert report.figures["headroom_share_h8"].value is None
    assert any("what it invents" in note for note in report.notes)


def test_rows_share_their_seeds_and_their_noise(store):
    def noisy(frames, state):
        noise = [
            np.random.default_rng((s, state.steps)).normal(0, 40, frames[0].shape)
            for s in state.seeds
        ]
        return np.clip(frames + np.stack(noise), 0, 255).astype(np.uint8)

    world = HopOracle(listens=False, paint=noisy)
    report = run(world, store, episodes=8)
    assert cells(report, "world") == cells(report, "shuffled") == cells(report, "blind")
    (seeds,) = world.seen
    assert len(seeds) == 24 and seeds[:8] == seeds[8:16] == seeds[16:] and len(set(seeds)) == 8
    assert any("times the real one" in note for note in report.notes)


def test_the_same_seed_gives_the_same_report(store):
    first, again, other = (run(HopOracle(), store, seed=seed) for seed in (0, 0, 1))
    assert again.figures == first.figures != other.figures


def test_the_folder_holds_what_it_says_and_the_report_reads_back(store, tmp_path):
    out = tmp_path / "eval"
    report = run(HopOracle(listens=False), store, out=out)
    assert Report.load(out / "report.json") == report
    data = json.loads((out / "report.json").read_text())
    assert set(data["figures"]["headroom_share_h8"]) >= {"value", "low", "high", "unit", "n"}
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    clips = {f"worst/{i}.{kind}" for i in (1, 2, 3) for kind in ("gif", "png")}
    assert files == {
        "report.json",
        "report.txt",
        "report.html",
        "contact.png",
        "samples.jsonl",
        *clips,
    }
    with Image.open(out / "worst/1.gif") as clip:
        assert clip.n_frames > 10
    page = (out / "report.html").read_text()
    assert page.count("data:image/gif") == 3 and report.failures[0].sentence in page
    assert "src='http" not in page and "<script" not in page
    assert max(map(len, report.to_text().splitlines())) <= 100
    # A better world leaves no clip of the worse one behind.
    run(HopOracle(), store, out=out)
    assert list((out / "worst").iterdir()) == []


def test_a_full_disk_is_one_sentence_and_leaves_no_part(store, tmp_path, monkeypatch):
    def full(frames, path, *, fps):
        Path(path).write_bytes(b"GIF")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("worldloom.evaluate.pictures.save_gif", full)
    with pytest.raises(WorldloomError, match=r"disk is full while writing .*worst/1\.gif") as error:
        run(HopOracle(listens=False), store, out=tmp_path)
    assert "the report is not complete" in error.value.message
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert not (tmp_path / "report.json").exists()


def test_open_lies_of_the_ledger_stand_in_the_report(store, oracle, tmp_path):
    out, ledger = tmp_path, Ledger.open(tmp_path / "run", store.info)
    assert add_lies(oracle, ledger, out, fps=20) == oracle, "an empty ledger adds nothing"
    real = store.read(store.split("heldout")[0], 0, 20)
    dream = replace(real, frames={"main": real.frames["main"][::-1].copy()}, stills={})
    for name in ("wall", "coin", "door"):
        what = f"goes <through> a {name}"
        ledger.add(Find("frames", what, dream, 9, real=real, same=name, said={"coins": 2}))
    ledger.close(2, round=1, tried=9, wrong=0)
    report = add_lies(oracle, ledger, out, fps=20)
    assert Report.load(out / "report.json") == report
    assert [lie.id for lie in report.lies] == [3, 1]
    assert sorted(path.name for path in (out / "lies").iterdir()) == ["1.webp", "3.webp"]
    with Image.open(out / "lies/3.webp") as film:
        assert (film.n_frames, film.size) == (12, (2 * SIZE + 2, SIZE))
    page = (out / "report.html").read_text()
    assert page.count("data:image/webp") == 2 and "goes &lt;through&gt; a door (coins 2)" in page
    assert "goes &lt;through&gt; a coin" not in page
    text = (out / "report.txt").read_text()
    assert "3. frames: goes <through> a door (coins 2): wrong 1 of 1 times since" in text
    assert max(map(len, text.splitlines())) <= 100
    ledger.close(3, round=1, tried=9, wrong=0)
    assert [lie.id for lie in add_lies(report, ledger, out, fps=20).lies] == [1]
    assert [path.name for path in (out / "lies").iterdir()] == ["1.webp"], "of closed ones none"


def test_the_contact_sheet_has_the_real_frames_above_the_dream(store, tmp_path):
    run(HopOracle(paint=lambda frames, state: np.full_like(frames, 7)), store, out=tmp_path)
    with Image.open(tmp_path / "contact.png") as sheet:
        pixels = np.asarray(sheet)
    side = SIZE * 4 + 4
    first = store.read(store.split("heldout")[0])
    real = pixels[30 : 30 + SIZE * 4 : 4, 64 + side : 64 + side + SIZE * 4 : 4]
    assert (first.frames["main"] == real).all((1, 2, 3)).any()
    dream = pixels[30 + side : 30 + side + SIZE * 4, 64 + side : 64 + side + SIZE * 4]
    assert (dream == 7).all()


def test_a_store_without_plates_says_so_and_still_finds_the_foreground(store, tmp_path):
    bare = Store.create(tmp_path / "bare", replace(store.info, env=""))
    for name in store.split("heldout"):
        bare.append(replace(store.read(name), stills={}, info={}))
    report = run(HopOracle(listens=False), bare)
    assert "median" in report.setting["background"] and any("plate" in n for n in report.notes)
    assert report.usable["world"].value is None and "read-out" in report.usable["world"].why
    deaf = report.figures["foreground_gain_db_h1"]
    assert deaf.value > 1
    assert {f.what for f in report.failures} <= {
        "something that moves is missing",
        "something is there that should not be",
        "something looks wrong",
    }
    assert "not applicable" in report.to_text()


def test_unknown_actions_leave_out_the_rows_that_need_them(store, tmp_path):
    video = Store.create(tmp_path / "video", store.info)
    for name in store.split("heldout")[:6]:
        episode = store.read(name)
        video.append(replace(episode, action_known=np.zeros(len(episode), bool)))
    report = run(HopOracle(tokenizer=False), video)
    assert list(report.tables["psnr"].rows) == ["world", "persistence", "background", "real"]
    assert report.figures["headroom_share_h8"].why == "the store's actions are unknown"
    assert len([note for note in report.notes if note.startswith("there is no")]) == 3


MISTAKES = {
    "has 3 actions, world `oracle` was trained with 2": HopOracle(
        action=ActionSpec((Binary("keys", ("left", "right")),))
    ),
    "has actions keys[left right jump], world `oracle` was trained with move[3]": HopOracle(
        action=ActionSpec((Categorical("move", 3),))
    ),
    "has frames of 32x32, world `oracle` was trained with 64x64": HopOracle(size=64),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_a_store_that_does_not_fit_the_world_is_one_sentence(store, sentence):
    with pytest.raises(WorldloomError) as mistake:
        run(MISTAKES[sentence], store)
    assert mistake.value.message == f"store `{store.path}` {sentence}" and mistake.value.hint


def test_a_store_with_too_little_held_out_is_one_sentence(tmp_path):
    info = StoreInfo(action=KEYS, cameras={"main": (SIZE, SIZE)}, fps=20)
    store = Store.create(tmp_path / "store", info)
    with pytest.raises(WorldloomError, match="is empty"):
        run(HopOracle(), store)
    short = Episode(np.zeros((9, SIZE, SIZE, 3), np.uint8), {"keys": np.zeros((9, 3), np.uint8)})
    store.append(short, split="train")
    with pytest.raises(WorldloomError, match="has 1 episodes and none held out"):
        run(HopOracle(), store)
    store.append(short, split="heldout")
    with pytest.raises(WorldloomError, match="has 0 held-out episodes of at least 20 frames"):
        run(HopOracle(), store)


@pytest.mark.parametrize(
    "settings", [{"horizons": ()}, {"horizons": (0, 1)}, {"episodes": 1}, {"context": 0}]
)
def test_settings_that_make_no_sense_are_one_sentence(store, settings):
    with pytest.raises(WorldloomError, match="expected"):
        run(HopOracle(), store, **settings)


def test_bare_numbers_are_refused():
    good = Figure(1.0, 0.5, 1.5, "dB", 40, 0.0)
    good.check("gain")
    for change in ({"low": None}, {"null": None}, {"n": 1}, {"value": float("nan")}):
        with pytest.raises(WorldloomError, match="lacks"):
            replace(good, **change).check("gain")
    with pytest.raises(WorldloomError, match="reason"):
        Figure(None, None, None, "dB", 0, None).check("gain")
    with pytest.raises(WorldloomError, match="no reference row"):
        Table("PSNR", "dB", (1,), {"world": (good,)}).check("psnr")
