"""Whole episodes of real environments: the same starts, rows that do not matter, clear refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

from worldloom.acting import play_checkpoint
from worldloom.agents.acting import Played, play_all, play_one, starts
from worldloom.agents.policy import StickyRandom
from worldloom.cli import main
from worldloom.envs import HOP
from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv
from worldloom.errors import WorldloomError
from worldloom.evaluate.returns import chance, gain, mean, ratio, share, summary, to_json

GAME = Setup(HOP, size=(32, 32))


class Counting:
    """Presses the keys that the number of frames seen so far spells; remembers by row."""

    def begin(self, frames, seeds):
        self.seen = np.zeros(len(frames), int)
        self.seeds, self.rested = np.array(seeds), []

    def replace(self, row, frame, seed):
        self.seen[row], self.seeds[row] = 0, seed

    def rest(self, row):
        self.rested.append(row)

    def act(self):
        number = (self.seeds >> 7) + self.seen
        return {"keys": ((number[:, None] >> np.arange(3)) & 1).astype(np.uint8)}

    def see(self, values, frames):
        self.seen += 1


def play(rows: int, episodes: int = 5, players: Counting | None = None) -> list[Played]:
    envs = [PixelEnv(GAME) for _ in range(rows)]
    return play_all(envs, players or Counting(), starts(episodes, 0), max_frames=40)


def test_an_episode_does_not_depend_on_the_row_it_is_played_in():
    one, three, eight = (play(rows) for rows in (1, 3, 8))
    key = lambda played: [(p.seed, p.total, p.length, float(p.info["player_x"])) for p in played]  # noqa: E731
    assert key(one) == key(three) == key(eight)
    assert [p.seed for p in one] == starts(5, 0)
    assert all(p.length <= 40 for p in one)


def test_a_row_rests_when_no_episode_is_left_for_it():
    counting = Counting()
    play(3, 4, counting)
    assert sorted(counting.rested) == [0, 1, 2]


def test_the_starts_are_the_same_for_whoever_plays():
    env = PixelEnv(GAME)
    begin = starts(4, 3)
    named = play_checkpoint("random", GAME, episodes=4, seed=3, max_frames=20)
    one = play_one(env, StickyRandom(env.action), begin[2], max_frames=20)
    assert [p.seed for p in named] == begin and one.seed == begin[2]
    again = play_checkpoint("random", GAME, episodes=4, seed=3, max_frames=20)
    assert [(p.total, p.length) for p in named] == [(p.total, p.length) for p in again]


def test_returns_with_their_intervals():
    played = [Played(n, float(n % 3), 10 + n, n % 2 == 0) for n in range(60)]
    found = mean([p.total for p in played])
    assert float(found.value) == pytest.approx(1.0) and found.low < 1 < found.high
    more = [Played(p.seed, p.total + 0.5, 5, False) for p in played]
    better = gain(more, played)
    assert float(better.value) == float(better.low) == float(better.high) == pytest.approx(0.5)
    assert float(ratio(more, played).value) == pytest.approx(1.5)
    assert "return 1.00 [0." in summary(played) and "50% ended" in summary(played)
    assert len(json.loads(to_json(played))["episodes"]) == 60


def test_training_seeds_that_play_the_same_starts_are_no_more_starts():
    one = [Played(n, float(n % 3), 10, False) for n in range(40)]
    found, twice = mean([p.total for p in one]), [*one, *one]
    again = mean([p.total for p in twice], starts=[p.seed for p in twice])
    assert (again.value, again.low, again.high, again.n) == (
        found.value, found.low, found.high, 40,
    )  # fmt: skip
    more = [Played(p.seed, p.total + p.seed % 2, 5, False) for p in twice]
    assert gain(more, twice).n == 40 and ratio(more, twice).n == 40
    assert chance(more[:8], twice[:8]) == chance([*more[:8], *more[:8]], [*twice[:8], *twice[:8]])


def test_the_chance_of_a_gain_by_hand():
    """Differences 1, 2 and 3: of eight signs, +++ and --- give as much."""
    ours = [Played(n, n + 1.0, 5, False) for n in range(3)]
    theirs = [Played(n, 0.0, 5, False) for n in range(3)]
    assert chance(ours, theirs) == pytest.approx(2 / 8)
    theirs = [Played(n, 2.0 * n, 5, False) for n in range(3)]  # differences 1, 0, -1
    assert chance(ours, theirs) == pytest.approx(1)


def test_a_share_of_none_has_an_interval_and_its_unit_is_the_start():
    none = share([False] * 10)
    assert (none.value, none.low) == (0, pytest.approx(0)) and none.high == pytest.approx(
        0.2775, abs=1e-4
    )
    half = share([True, False] * 5)
    assert (half.low, half.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    again = share([True, False] * 10, starts=[*range(10), *range(10)])
    assert (again.low, again.high, again.n) == (half.low, half.high, 10)


def test_other_starts_are_not_compared():
    with pytest.raises(WorldloomError, match="same starts"):
        gain([Played(1, 0.0, 1, True)], [Played(2, 0.0, 1, True)])


def test_act_prints_the_return_and_writes_every_episode(tmp_path: Path, capsys):
    file = tmp_path / "played.json"
    code = main(
        ["act", "scripted", HOP, "--episodes", "3", "--max-frames", "30", "--json", str(file)]
    )
    assert code == 0 and "over 3 episodes" in capsys.readouterr().out
    assert len(json.loads(file.read_text())["episodes"]) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody", HOP], "nobody"),
        (["random,scripted", HOP], "several policies"),
        (["random", HOP, "--episodes", "0"], "0 episodes"),
    ],
)
def test_mistakes_are_one_sentence(arguments, said, capsys):
    assert main(["act", *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error and "hint:" in error and "Traceback" not in error
