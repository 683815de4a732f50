"""Transfer: demonstrations are what they say, heads are alike, planted faults are caught."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.data.types import Clip
from worldloom.trust.rows import Row
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Verdict
from worldloom.trust.tasks.transfer import cloning, encoders, hopping
from worldloom.trust.tasks.transfer.encoders import Comparing, Informed
from worldloom.trust.tasks.transfer.task import Extent, Transfer, _area
from worldloom.trust.tasks.transfer.verdict import PROBED

SMOKE = Setting("smoke")


class Pictures(Comparing):
    """Is told what one picture shows, and nothing of the one before."""

    def observe(self, clip: Clip, state=()):
        return super().observe(clip, ())


@dataclass(frozen=True)
class Cheap(Transfer):
    """The task beside encoders that need no training, and its own faults."""

    others: tuple[str, ...] = ()

    def nulls(self, setting):
        known = {
            "stack": encoders.Blind("blind"),
            "blind": encoders.Blind("blind"),
            "image": Pictures("pictures"),
            "in_order": Comparing("in order"),
        }
        known |= {name: fault.probe(setting) for name, fault in self.faults().items()}
        return {name: known[name] for name in self.others}


def sat(extent: Extent, *others: str) -> Sequence[Row]:
    return sit(Cheap(extent, others=others), Informed("true state"), SMOKE).rows


def verdict(rows: Sequence[Row], name: str = "") -> Verdict:
    """What the task says of the world under test, or of another one in its place."""
    if name:
        rows = [
            replace(row, value=row.null[name], extra={**row.extra, **row.extra["beside"][name]})
            for row in rows
        ]
    return Transfer().judge(rows, seed=0)


def test_dots_hide_nothing_that_moves_and_change_no_game():
    plain, dots = (hopping.demonstrate(7, view, 20) for view in hopping.VIEWS)
    assert plain.told == dots.told and (plain.pressed == dots.pressed).all()
    assert (plain.frames != dots.frames).any((1, 2, 3)).all()
    still = hopping.hop_draw.plate(hopping.LEVELS[7 % 4], 64)
    moving = (plain.frames != still).any(-1)
    assert (plain.frames[moving] == dots.frames[moving]).all()


def test_a_demonstration_is_labelled_with_what_was_wanted_and_played_by_what_was_pressed():
    demo = next(
        d for d in (hopping.demonstrate(s, "plain", 40) for s in range(9)) if len(d.wanted) == 40
    )
    keys = iter(demo.pressed[1:].tolist())
    screen = hopping.Screen(demo_seed(demo), "plain")
    for t in range(40):
        assert screen.told() == demo.told[t]
        if t < 39:
            screen.press(next(keys))
    assert (demo.pressed[1:] != demo.wanted[:-1]).any(), "it goes astray"
    assert hopping.pack(hopping.unpack(5)) == 5


def demo_seed(demo: hopping.Demo) -> int:
    return next(s for s in range(9) if hopping.demonstrate(s, "plain", 40).told == demo.told)


def test_a_lens_shows_main_directions_with_a_spread_of_one():
    dice = torch.Generator().manual_seed(0)
    hidden = torch.randn(300, 3, generator=dice)
    for width in (20, 900):  # fewer directions than samples, and more
        seen = hidden @ torch.randn(3, width, generator=dice) + 5
        shown = cloning.fit_lens(seen)(seen)
        assert shown.shape == (300, cloning.DIRECTIONS)
        assert torch.allclose(shown.std(0)[:3], torch.ones(3), atol=0.02)
        assert shown[:, 3:].abs().max() == 0
    assert cloning.fit_lens(torch.zeros(9, 1))(torch.zeros(9, 1)).abs().max() == 0


def test_heads_that_learn_side_by_side_learn_their_own_lesson():
    seen = torch.randn(200, cloning.DIRECTIONS, generator=torch.Generator().manual_seed(0))
    right = (seen[:, 0] > 0).long()
    one, two = cloning.clone([(seen, right), (seen, 1 - right)], 2, steps=60, seed=0)
    assert (one(seen).argmax(1) == right).float().mean() > 0.95
    assert (two(seen).argmax(1) == 1 - right).float().mean() > 0.95
    assert torch.allclose(
        cloning.follow(cloning.fit_line(seen, seen[:, :2]), seen), seen[:, :2], atol=0.01
    )


def test_choices_are_drawn_as_often_as_they_are_likely():
    logits = torch.tensor([[0.0, 1.0, -1.0]]).expand(10_000, -1)
    share = (torch.arange(10_000) + 0.5) / 10_000
    found = torch.bincount(cloning.choose(logits, share), minlength=3) / 10_000
    assert torch.allclose(found, logits[0].softmax(0), atol=1e-3)


def test_an_encoder_sees_the_last_frames_in_order():
    frames = torch.arange(6, dtype=torch.uint8)[None, :, None, None, None].expand(1, 6, 16, 16, 3)
    probe = encoders.EndToEnd(4)
    state = probe.observe(Clip(frames={"main": frames[:, :1]}))
    first = probe.features(state)[0, ::3, 0, 0]
    for t in range(1, 6):
        state = probe.observe(Clip(frames={"main": frames[:, t : t + 1]}), state)
    seen = (probe.features(state)[0, ::3, 0, 0] + 0.5) * 255
    assert seen.round().tolist() == [2, 3, 4, 5] and len(set(first.tolist())) == 1


def test_an_autoencoder_learns_to_draw_again():
    films = [hopping.demonstrate(0, "plain", 8).frames]
    real = encoders.stacked(torch.from_numpy(films[0][None]), 1)
    errors = []
    for steps in (0, 8):
        net = encoders.autoencoder(films, 1, steps=steps, seed=0)
        errors.append(float((net.decode(net(real)) - real).square().mean()))
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.slow
def test_the_true_state_earns_and_with_shuffled_labels_it_earns_what_chance_does():
    rows = sat(
        Extent(24, (0.5, 1.0), 40, 32, 48, 2, 200, 0, 0),
        "stack",
        "blind",
        "image",
        "shuffled_labels",
    )
    found, fault = verdict(rows), Transfer().faults()["shuffled_labels"]
    assert found.passed and not fault.caught(found)
    assert fault.caught(verdict(rows, "shuffled_labels"))
    assert found.figures["gain"].n == 32


@pytest.mark.slow
def test_what_was_pressed_is_read_of_frames_in_order_only():
    extent = Extent(12, (0.5, 1.0), 40, 2, 2, 4, 100, 0, 0)
    rows = sat(extent, "stack", "blind", "image", "in_order", "time_shuffled")
    fault = Transfer().faults()["time_shuffled"]
    assert fault.caught(verdict(rows, "time_shuffled"))
    assert not fault.caught(verdict(rows, "in_order")) and not fault.caught(verdict(rows))
    assert (verdict(rows).figures["speed_error"].value or 9) < 0.1


def test_the_area_weighs_shares_by_their_logarithm():
    assert _area(np.array([0.0, 2.0, 4.0])) == 2.0 and _area(np.array([0.0, 4.0, 4.0])) == 3.0


def test_recordings_are_video_whose_actions_nobody_knows(tmp_path: Path):
    task = Transfer(Extent(2, (1.0,), 6, 2, 4, 2, 2, 1, 1))
    store = task.recordings(tmp_path / "films", SMOKE)[""]
    assert len(store) == 4 and len(task.recordings(tmp_path / "films", SMOKE)[""]) == 4
    episode = store.read(store.split("train")[1])
    assert not episode.action_known.any()
    assert (episode.frames["main"] == task.demos(SMOKE)["dots"][0].frames).all()


@pytest.mark.slow
def test_all_encoders_sit_beside_it():
    task = Transfer(Extent(2, (0.5, 1.0), 6, 2, 4, 2, 2, 1, 1))
    rows = sit(task, Informed("true state"), SMOKE).rows
    assert set(rows[0].null) == {"stack", "image", "random", "pixels", "blind"}
    assert all(value is not None for value in rows[0].null.values())


def test_the_game_that_a_row_tells_is_the_one_that_was_played(monkeypatch: pytest.MonkeyPatch):
    extent = Extent(2, (0.5, 1.0), 6, 2, 8, 1, 4, 1, 1)
    played: list[np.ndarray] = []
    usual = hopping.play

    def filming(seeds, view, decide, frames):
        def filmed(shown, told):
            played.append(shown)
            return decide(shown, told)

        return usual(seeds, view, filmed, frames)

    monkeypatch.setattr(hopping, "play", filming)
    rows = sat(extent, "stack", "blind", "image")
    items = {item.key: item for item in Transfer(extent).items(SMOKE)}
    row = next(row for row in rows if row.split == "plain")
    shown = Transfer(extent).draw(items[row.sample], row)
    assert shown is not None and shown.truth.shape == shown.seen.shape
    last = [frames[2] for frames in played[:8]]  # 2 shares of 2 starts; the first start, all
    assert np.array_equal(shown.seen, np.stack(last))
    assert np.array_equal(shown.truth[0], shown.seen[0])
    assert Transfer(extent).draw(items[row.sample], replace(row, extra={})) is None


def earned(own: float, ceiling: float | None) -> Sequence[Row]:
    """Games on 40 starts in which the frame stack earns 1, and all have some luck."""
    luck = np.random.default_rng(0).normal(size=(3, 40))
    each = {"returns": {"1.0": own}, "inverse": 1.0, "place_error": 0.0, "speed_error": 0.0}
    beside = {"stack": each, "blind": each, "image": each, "ceiling": each}
    return [
        Row(
            task="transfer",
            version=1,
            sample=f"{split}-{i}",
            cluster=f"start-{i}",
            split=split,
            seed=0,
            value=own + a,
            null={"stack": 1 + b},
            ceiling=None if ceiling is None else ceiling + c,
            extra={**each, "beside": beside},
        )
        for split in (*hopping.VIEWS, *PROBED.values())
        for i, (a, b, c) in enumerate(luck.T)
    ]


@pytest.mark.parametrize(
    ("own", "ceiling", "passed"),
    [(3, 3, True), (1, 3, False), (1, 1, None), (3, 1, True), (1, None, False)],
)
def test_where_not_even_the_true_state_earns_more_nothing_is_said(own, ceiling, passed):
    found = Transfer().judge(earned(own, ceiling), seed=0)
    assert found.passed is passed
    assert ("nor does the true state" in found.sentence) == (passed is None)
